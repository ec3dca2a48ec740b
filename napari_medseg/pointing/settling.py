"""An answer settled at the scan's own resolution: what the network says, what the marked voxels look like, and the edges of the scan, together.

The network knows what objects are like and sees coarsely; a classifier that learns from the points and strokes (`weaklabel.classifier`) knows what this
object is like and sees single voxels. Their logits are added, and inside and outside race for the voxels along paths that edges and doubts make longer
(`weaklabel.geodesic`; Criminisi et al., GeoS, ECCV 2008; a network's map as cost of paths: Wang et al., DeepIGeoS, PAMI 2019).

Far from a further point most of what was thought before stays: people correct what is wrong and leave what is right. This also averages what the classifier
makes of ever more points, which changes by chance with each of them.

Two other answers are looked at beside this one: the race with the classifier alone, which is geodesic scribbles with the same points, and the last answer with
only that changed which hangs together with the newest point. One of them is taken where its outline fits the scan clearly better (`outlines`).

Loads numba: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import InvalidInputError
from napari_medseg.pointing.outlines import Outlines
from napari_medseg.pointing.parts import box_of, cropped, joined, shared, within
from napari_medseg.pointing.seeds import INSIDE, drawn, radius_of, widest
from napari_medseg.segmenters.promptable.answer import Answer
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
BETTER = 0.2  # fit of an outline by which another answer must be better to be taken
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

    def settled(self, prompts: Pointed, found: Answer, before: Answer | None) -> Iterator[Answer]:
        """The answer to some prompts.

        Parameters
        ----------
        found : Answer
            The network's to the same prompts.
        before : Answer, optional
            This method's to the prompts without the newest point.

        Yields
        ------
        Answer
            The network's, not finished, at every place to cancel; then a `Settled`. That is what the network says where no point and no stroke says inside, or
            the scan shows one value only.
        """
        last = before if isinstance(before, Settled) else None
        shown, radii = replace(found, finished=False), self._radii(prompts, last)
        bare = Settled(**{each.name: getattr(found, each.name) for each in fields(Answer)}, radii=radii)
        inside = np.concatenate([prompts.points[prompts.signs > 0], prompts.strokes])
        if not len(inside):
            yield replace(bare, finished=True)
            return
        held_to_be = last if last is not None else found
        box, cut = self._part(prompts, inside, found, held_to_be)
        measure = last.measure if last is not None and last.measure[1] else _measure(self._view[box])
        marks = drawn(prompts, radii, box, self._spacing)
        if cut:
            _border(marks, within(held_to_be, box))
        try:
            region = cut_out(self._view, box, self._spacing, marks.size, Typical(*measure))
            yield shown
            features = self._features_of(region, measure)
            yield shown
            looks = _looks(features, marks)
        except InvalidInputError:  # nothing to tell apart by
            yield replace(bare, finished=True)
            return
        yield shown
        chance = _sigmoid(NETWORK * _logit(within(found, box)) + LOOKS * _logit(looks))
        if last is not None and len(prompts.points):
            chance = _kept(chance, box, last, prompts.points[-1], self._spacing)
        won, chance = yield from self._chosen(region, marks, chance, looks, prompts, last, shown)
        values = np.where(won, np.maximum(chance, DECIDED), np.minimum(chance, 1 - DECIDED)).astype(np.float32)
        if prompts.areas:  # they lie roughly round the object, and the network was told so
            values = np.minimum(values, np.maximum(within(found, box), 1 - DECIDED))
        whole, around = joined(values, box, held_to_be)
        answer = cropped(held(whole, around, prompts), around, found)
        thought = chance.astype(np.float16)
        yield Settled(answer.box, answer.values, found.zoom, radii=radii, part=box, thought=thought, measure=measure)

    def _chosen(
        self, region: Region, marks: LabelArray, chance: FloatArray, looks: FloatArray, prompts: Pointed, last: Settled | None, shown: Answer,
    ) -> Generator[Answer, None, tuple[BoolArray, FloatArray]]:
        """What is inside and how likely that was: of several answers the first, unless another's outline fits clearly better."""
        won = yield from self._raced(region, marks, chance, shown)
        outlines = Outlines(region.contrast, region.spacing)
        fit = outlines.fit(won)
        yield shown
        other = yield from self._raced(region, marks, looks, shown)
        if (better := outlines.fit(other)) > fit + BETTER:
            won, chance, fit = other, looks, better
        yield shown
        if last is not None and len(prompts.points):
            there = _hanging(won, within(last, region.box) > 0.5, np.rint(prompts.points[-1]).astype(int) - [side.start for side in region.box])
            other = _obeying(np.where(there, won, within(last, region.box) > 0.5), marks)
            if outlines.fit(other) > fit + BETTER:
                won, chance = other, np.where(there, chance, within(replace(last, box=last.part, values=last.thought), region.box))
        return won, chance

    def _radii(self, prompts: Pointed, last: Settled | None) -> tuple[float, ...]:
        """Radii of the points' balls: of the older ones as they were."""
        known = last.radii if last is not None else ()
        rest = len(prompts.points) - len(known)
        if last is None or rest != 1:
            return (*known, *[widest(self._spacing)] * rest)
        return (*known, radius_of(prompts.points[-1], last.values, last.box, self._spacing))

    def _part(self, prompts: Pointed, inside: Positions, found: Answer, shown: Answer) -> tuple[Box, bool]:
        """What is looked at: all about the object, or where that is too much what lies about the newest point; and whether it is."""
        shape, steps = self._view.shape, np.array(self._spacing)
        reach, margin = min(REACH_MM, REACH_VOXELS * min(self._spacing)) / steps, MARGIN_MM / steps
        low, high = inside.min(axis=0) - reach, inside.max(axis=0) + reach
        for answer in (found, shown):
            low = np.minimum(low, [part.start - m for part, m in zip(answer.box, margin, strict=True)])
            high = np.maximum(high, [part.stop - 1 + m for part, m in zip(answer.box, margin, strict=True)])
        box = in_blocks(box_of(low, high, shape), self._spacing, shape)
        size = np.array([part.stop - part.start for part in box])
        if size.prod() <= MOST_VOXELS:
            return box, False
        about = np.rint(prompts.points[-1] if len(prompts.points) else inside[len(inside) // 2])
        side = (MOST_VOXELS * steps.prod()) ** (1 / 3) / steps / 2
        low, high = np.maximum(about - side, [part.start for part in box]), np.minimum(about + side, [part.stop - 1 for part in box])
        return box_of(low, high, shape), True

    def _features_of(self, region: Region, measure: tuple[float, float]) -> FloatArray:
        """What the classifier looks at, float32 (features, z, y, x)."""
        if measure not in self._features:
            while len(self._features) >= KEPT_MAPS:
                self._features.pop(next(iter(self._features)))
            self._features[measure] = FeatureMaps(self._view, self._spacing, typical=measure)
        return self._features[measure].of(region.box)

    def _raced(self, region: Region, marks: LabelArray, chance: FloatArray, shown: Answer) -> Generator[Answer, None, BoolArray]:
        """Where inside comes first."""
        everywhere = np.ones(region.shape, bool)
        extent = float(np.linalg.norm(np.array(region.shape) * region.spacing))
        paths = Geodesic(region, max(REACH_MM, extent))
        for _ in paths.follow(region, marks, everywhere, edge_scale(region, everywhere, marks), _Doubts(region, chance)):
            yield shown
        return _obeying(rounded(paths.labels, region.spacing) == INSIDE, marks)


def _looks(features: FloatArray, marks: LabelArray) -> FloatArray:
    """How likely inside is by the looks of what was marked."""
    z, y, x = np.unravel_index(marked(marks), marks.shape)
    return np.asarray(PixelClassifier().fit(features[:, z, y, x].T, marks[z, y, x]).probabilities(features)[0])


def _obeying(found: BoolArray, marks: LabelArray) -> BoolArray:
    return np.asarray((found | (marks == INSIDE)) & (marks != BACKGROUND))


def _hanging(now: BoolArray, before: BoolArray, at: Positions) -> BoolArray:
    """The part of a change that a voxel lies in."""
    pieces, _ = ndi.label(now != before)
    z, y, x = np.clip(at, 0, np.array(now.shape) - 1)
    return np.asarray(pieces == pieces[z, y, x]) if pieces[z, y, x] else np.zeros(now.shape, bool)


def _kept(chance: FloatArray, box: Box, last: Settled, at: Positions, spacing: Spacing) -> FloatArray:
    """How likely inside is, leaning on what was thought before, the more, the farther from a point."""
    met = shared(box, last.part)
    if met is None:
        return chance
    here, there = met
    ends = [(part.start + side.start, part.start + side.stop) for part, side in zip(box, here, strict=True)]
    z, y, x = (((np.arange(a, b) - c) * s).astype(np.float32) ** 2 for (a, b), c, s in zip(ends, np.rint(at), spacing, strict=True))
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
            face, held_there = np.moveaxis(marks, axis, 0)[end], np.moveaxis(shown, axis, 0)[end] > 0.5
            face[held_there] = INSIDE
