"""An answer settled at the scan's own resolution: what the network says, what the marked voxels look like, and the edges of the scan, together.

The network knows what objects are like and sees coarsely; a classifier that learns from the points and strokes (`weaklabel.classifier`) knows what this
object is like and sees single voxels. Their logits are added, and inside and outside race for the voxels along paths that edges and doubts make longer
(`weaklabel.geodesic`; Criminisi et al., GeoS, ECCV 2008; a network's map as cost of paths: Wang et al., DeepIGeoS, PAMI 2019).

Far from a further point most of what was thought before stays: people correct what is wrong and leave what is right. This also averages what the classifier
makes of ever more points, which changes by chance with each of them.

Loads numba: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import InvalidInputError
from napari_medseg.pointing.seeds import INSIDE, WIDE, drawn, radius_of, widest
from napari_medseg.segmenters.promptable.answer import FAINT, Answer
from napari_medseg.segmenters.promptable.obeying import held
from napari_medseg.segmenters.promptable.pointed import Pointed, Positions
from napari_medseg.volume import Array, BoolArray, FloatArray, LabelArray, Spacing
from napari_medseg.weaklabel.classifier import PixelClassifier
from napari_medseg.weaklabel.features import FeatureMaps, in_blocks
from napari_medseg.weaklabel.geodesic import Geodesic, rounded
from napari_medseg.weaklabel.levels import pooled
from napari_medseg.weaklabel.marked import marked
from napari_medseg.weaklabel.multigrid import joined_axes
from napari_medseg.weaklabel.path_kernels import IntArray
from napari_medseg.weaklabel.scene import Box
from napari_medseg.weaklabel.scribble import edge_scale
from napari_medseg.weaklabel.scribble_region import Region, Typical, cut_out, typical

REACH_MM = 30.0  # about the points,
REACH_VOXELS = 40  # and no more of the scan's finest voxels,
MARGIN_MM = 8.0  # and about what is held to be the object: so far it is looked
MOST_VOXELS = 1_500_000  # looked at; of a larger part only what lies about the newest point
NETWORK, LOOKS = 1.0, 0.5  # weight of the network's logit and of the classifier's
TRUST, NEAR_MM = 0.7, 6.0  # so much of what was thought before stays, beyond about so far from the newest point
LEAST = 0.02  # probability that counts, and at most 1 less that
DECIDED = 0.55  # probability of a voxel that inside won, and 1 less that of one that outside won
FIRM = 0.003  # the same for what was thought before
KEPT_MAPS = 2  # objects whose surroundings' features are kept


@dataclass(frozen=True, slots=True, eq=False)
class Settled(Answer):
    """An answer, and what the next one needs of it.

    Attributes
    ----------
    radii : mm
        Of the points' balls.
    part : (z, y, x) slices of the turned scan
        What was looked at,
    thought : float16, the part
        and how likely inside was there before the race.
    measure : (median, width)
        Of the grey values round the first point; width 0 where they were not looked at.
    """

    radii: tuple[float, ...] = ()
    part: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
    thought: npt.NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float16))
    measure: tuple[float, float] = (0.0, 0.0)


class Settling:
    """Settles answers on one scan.

    Parameters
    ----------
    view : (z, y, x), any real dtype
        The turned scan; only read near the prompts.
    spacing : (z, y, x) mm
    """

    def __init__(self, view: Array, spacing: Spacing) -> None:
        self._view, self._spacing = view, spacing
        self._features: dict[tuple[float, float], FeatureMaps] = {}

    def settled(self, prompts: Pointed, found: Answer, before: Answer | None) -> Settled:
        """The answer to some prompts.

        Parameters
        ----------
        found : Answer
            The network's to the same prompts.
        before : Answer, optional
            This method's to the prompts without the newest point.

        Returns
        -------
        Settled
            What the network says where no point and no stroke says inside, or the scan shows one value only.
        """
        last = before if isinstance(before, Settled) else None
        radii = self._radii(prompts, last)
        bare = Settled(**{each.name: getattr(found, each.name) for each in fields(Answer)}, radii=radii)
        inside = np.concatenate([prompts.points[prompts.signs > 0], prompts.strokes])
        if not len(inside):
            return replace(bare, finished=True)
        shown = last if last is not None else found
        box, cut = self._part(prompts, inside, found, shown)
        measure = last.measure if last is not None and last.measure[1] else _measure(self._view[box])
        marks = drawn(prompts, radii, box, self._spacing)
        if cut:
            _border(marks, _within(shown, box))
        try:
            region = cut_out(self._view, box, self._spacing, marks.size, Typical(*measure))
            chance = self._chance(region, marks, _within(found, box), measure)
        except InvalidInputError:  # nothing to tell apart by
            return replace(bare, finished=True)
        if last is not None and len(prompts.points):
            chance = _kept(chance, box, last, prompts.points[-1], self._spacing)
        won = self._raced(region, marks, chance)
        values = np.where(won, np.maximum(chance, DECIDED), np.minimum(chance, 1 - DECIDED)).astype(np.float32)
        if prompts.areas:  # they lie roughly round the object, and the network was told so
            values = np.minimum(values, np.maximum(_within(found, box), 1 - DECIDED))
        merged = _merged(values, box, prompts, shown)
        return replace(merged, zoom=found.zoom, radii=radii, part=box, thought=chance.astype(np.float16), measure=measure)

    def _radii(self, prompts: Pointed, last: Settled | None) -> tuple[float, ...]:
        """Radii of the points' balls: of the older ones as they were."""
        known = last.radii if last is not None else ()
        rest = len(prompts.points) - len(known)
        if last is None or rest != 1 or len(prompts.points) <= WIDE:
            return (*known, *[widest(self._spacing)] * rest)
        return (*known, radius_of(prompts.points[-1], int(prompts.signs[-1]), last.values, last.box, self._spacing))

    def _part(self, prompts: Pointed, inside: Positions, found: Answer, shown: Answer) -> tuple[Box, bool]:
        """What is looked at: all about the object, or where that is too much what lies about the newest point; and whether it is."""
        shape, steps = self._view.shape, np.array(self._spacing)
        reach, margin = min(REACH_MM, REACH_VOXELS * min(self._spacing)) / steps, MARGIN_MM / steps
        low, high = inside.min(axis=0) - reach, inside.max(axis=0) + reach
        for answer in (found, shown):
            low = np.minimum(low, [part.start - m for part, m in zip(answer.box, margin, strict=True)])
            high = np.maximum(high, [part.stop - 1 + m for part, m in zip(answer.box, margin, strict=True)])
        box = in_blocks(_box(low, high, shape), self._spacing, shape)
        size = np.array([part.stop - part.start for part in box])
        if size.prod() <= MOST_VOXELS:
            return box, False
        about = np.rint(prompts.points[-1] if len(prompts.points) else inside[len(inside) // 2])
        side = (MOST_VOXELS * steps.prod()) ** (1 / 3) / steps / 2
        low, high = np.maximum(about - side, [part.start for part in box]), np.minimum(about + side, [part.stop - 1 for part in box])
        return _box(low, high, shape), True

    def _chance(self, region: Region, marks: LabelArray, network: FloatArray, measure: tuple[float, float]) -> FloatArray:
        """How likely inside is, by the network and by the looks of what was marked: float32, the region."""
        if measure not in self._features:
            while len(self._features) >= KEPT_MAPS:
                self._features.pop(next(iter(self._features)))
            self._features[measure] = FeatureMaps(self._view, self._spacing, typical=measure)
        features = self._features[measure].of(region.box)
        z, y, x = np.unravel_index(marked(marks), marks.shape)
        looks = PixelClassifier().fit(features[:, z, y, x].T, marks[z, y, x]).probabilities(features)[0]
        return _sigmoid(NETWORK * _logit(network) + LOOKS * _logit(looks))

    def _raced(self, region: Region, marks: LabelArray, chance: FloatArray) -> BoolArray:
        """Where inside comes first."""
        everywhere = np.ones(region.shape, bool)
        extent = float(np.linalg.norm(np.array(region.shape) * region.spacing))
        paths = Geodesic(region, max(REACH_MM, extent))
        for _ in paths.follow(region, marks, everywhere, edge_scale(region, everywhere, marks), _Doubts(region, chance)):
            pass
        won = rounded(paths.labels, region.spacing) == INSIDE
        return np.asarray((won | (marks == INSIDE)) & (marks != BACKGROUND))


def _merged(values: FloatArray, box: Box, prompts: Pointed, shown: Answer) -> Settled:
    """What was settled in a part, and what was shown before beyond it."""
    whole = _around(box, shown.box)
    out = _within(shown, whole)
    out[_shifted(box, whole)] = values
    return _cropped(held(out, whole, prompts), whole, shown)


def _kept(chance: FloatArray, box: Box, last: Settled, at: Positions, spacing: Spacing) -> FloatArray:
    """How likely inside is, leaning on what was thought before, the more, the farther from a point."""
    shared = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, last.part, strict=True)]
    if any(a >= b for a, b in shared):
        return chance
    here, there = (tuple(slice(a - part.start, b - part.start) for (a, b), part in zip(shared, of, strict=True)) for of in (box, last.part))
    z, y, x = (((np.arange(a, b) - c) * s).astype(np.float32) ** 2 for (a, b), c, s in zip(shared, np.rint(at), spacing, strict=True))
    trust = TRUST * (1 - np.exp(-(z[:, None, None] + y[:, None] + x) / NEAR_MM**2))
    now, before = _logit(chance[here], FIRM), _logit(last.thought[there].astype(np.float32), FIRM)
    out = chance.copy()
    out[here] = _sigmoid(now + trust * (before - now))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Doubts:
    """How unlikely inside and outside are, on each level of a race."""

    region: Region
    chance: FloatArray

    def doubts(self, level: int, places: IntArray) -> tuple[tuple[int, ...], LabelArray]:
        """See `weaklabel.geodesic.Doubts`."""
        values, spacing = self.chance, self.region.spacing
        for _ in range(level):
            times = joined_axes((values.shape[0], values.shape[1], values.shape[2]), spacing)
            values, spacing = pooled(values, times), (spacing[0] * times[0], spacing[1] * times[1], spacing[2] * times[2])
        inside = values.ravel()[places]
        return (INSIDE, BACKGROUND), np.rint(255 * np.stack([1 - inside, inside], axis=1)).astype(np.uint8)


def _logit(chance: FloatArray, least: float = LEAST) -> FloatArray:
    sure = np.clip(chance, least, 1 - least)
    return np.asarray(np.log(sure / (1 - sure)), np.float32)


def _sigmoid(logit: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


def _measure(part: Array) -> tuple[float, float]:
    look = typical(part)
    return look.middle, look.span


def _border(marks: LabelArray, shown: FloatArray) -> None:
    """Where the object goes on beyond the part that is looked at, its border is inside."""
    for axis in range(3):
        for end in (0, -1):
            face, held = np.moveaxis(marks, axis, 0)[end], np.moveaxis(shown, axis, 0)[end] > 0.5
            face[held] = INSIDE


def _within(answer: Answer, box: Box) -> FloatArray:
    """An answer's probabilities in a part of the scan; 0 beyond the answer's box."""
    out = np.zeros([part.stop - part.start for part in box], np.float32)
    shared = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, answer.box, strict=True)]
    if all(a < b for a, b in shared):
        there, here = (tuple(slice(a - part.start, b - part.start) for (a, b), part in zip(shared, of, strict=True)) for of in (box, answer.box))
        out[there] = answer.values[here]
    return out


def _box(low: Positions, high: Positions, shape: tuple[int, ...]) -> Box:
    z, y, x = (slice(max(0, int(np.floor(a))), min(n, int(np.ceil(b)) + 1)) for a, b, n in zip(low, high, shape, strict=True))
    return z, y, x


def _around(one: Box, other: Box) -> Box:
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return z, y, x


def _shifted(inner: Box, outer: Box) -> Box:
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return z, y, x


def _cropped(values: FloatArray, box: Box, like: Answer) -> Settled:
    """Values as an answer, cut to where they are worth keeping."""
    worth = values > FAINT
    sides = [np.flatnonzero(worth.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    ends = [(int(side[0]), int(side[-1]) + 1) if len(side) else (0, 1) for side in sides]
    kept = values[tuple(slice(a, b) for a, b in ends)].astype(np.float16)
    z, y, x = (slice(part.start + a, part.start + b) for part, (a, b) in zip(box, ends, strict=True))
    return Settled((z, y, x), kept, like.zoom, finished=True)
