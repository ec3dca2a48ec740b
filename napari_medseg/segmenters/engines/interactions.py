"""Prompts as the single acts that a stateful interactive engine is told of, and what of them it has not been told yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.segmenters.promptable.pointed import Pointed, Positions
from napari_medseg.segmenters.protocol import Box
from napari_medseg.volume import BoolArray, Shape

Kind = Literal["mask", "lasso", "box", "scribble", "point"]


@dataclass(frozen=True, slots=True, eq=False)
class Interaction:
    """One act.

    Attributes
    ----------
    kind : str
    positive : bool
        Inside, or outside.
    box : (z, y, x) slices with start and stop
        Where; one voxel for a point.
    voxels : bool array of the box, or None
        What of the box is meant; None for all.
    """

    kind: Kind
    positive: bool
    box: Box
    voxels: BoolArray | None = field(default=None, repr=False)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal acts."""
        marked = None if self.voxels is None else np.packbits(self.voxels).tobytes()
        return (self.kind, self.positive, *((part.start, part.stop) for part in self.box), marked)

    def within(self, shape: Shape) -> BoolArray:
        """Its voxels in a whole volume, bool (z, y, x)."""
        whole = np.zeros(shape, dtype=bool)
        whole[self.box] = True if self.voxels is None else self.voxels
        return whole


def interactions_of(pointed: Pointed, shape: Shape, *, solid_boxes: bool = True) -> list[Interaction]:
    """The acts of one object: the label to start from, then what is rough (outlines, boxes), then what is exact (strokes, points in their order).

    Parameters
    ----------
    pointed : Pointed
        On the voxels of a grid of this shape.
    solid_boxes : bool
        Whether boxes may be thick; else only their middle slice counts, for engines whose boxes are flat.
    """
    acts = list(_drawn(pointed.mask, "mask", positive=True))
    acts += [Interaction("lasso", True, *found) for outline in pointed.lassos if (found := outlined(outline, shape)) is not None]
    acts += [Interaction("box", True, _box(low, high, shape, solid_boxes)) for low, high in pointed.boxes]
    acts += _drawn(pointed.strokes, "scribble", positive=True)
    acts += _drawn(pointed.background, "scribble", positive=False)
    for place, sign in zip(np.rint(pointed.points).astype(int), pointed.signs, strict=True):
        z, y, x = (int(v) for v in place)
        acts.append(Interaction("point", bool(sign > 0), (slice(z, z + 1), slice(y, y + 1), slice(x, x + 1))))
    return acts


def left_to_tell(told: Sequence[Interaction], wanted: Sequence[Interaction]) -> list[Interaction] | None:
    """What an engine that was told some acts must still be told.

    Parameters
    ----------
    told, wanted : sequences of Interaction
        Strokes of one sign are one act in `wanted`; of those in `told`, each holds what was new then.

    Returns
    -------
    list of Interaction, or None
        None when something it was told is no longer wanted, or something must come before all else: it must begin anew.
    """
    before = Counter(act.key for act in told if act.kind != "scribble")
    fresh = []
    for act in wanted:
        if act.kind == "scribble":
            continue
        if before[act.key]:
            before[act.key] -= 1
        else:
            fresh.append(act)
    if any(before.values()) or (told and any(act.kind == "mask" for act in fresh)):
        return None
    for positive in (True, False):
        of_sign = [[act for act in acts if act.kind == "scribble" and act.positive == positive] for acts in (told, wanted)]
        new = _new_strokes(*of_sign)
        if new is None:
            return None
        fresh += new
    return fresh if told else list(wanted)


def outlined(outline: Positions, shape: Shape) -> tuple[Box, BoolArray] | None:
    """A closed outline (n, 3), filled in the slice it lies in (across the axis along which it is flattest); None where it misses the volume."""
    from skimage.draw import polygon

    across = int(np.argmin(np.ptp(outline, axis=0)))
    level = round(float(outline[:, across].mean()))
    rest = [axis for axis in range(3) if axis != across]
    rows, columns = polygon(outline[:, rest[0]], outline[:, rest[1]], (shape[rest[0]], shape[rest[1]]))
    if not len(rows) or not 0 <= level < shape[across]:
        return None
    voxels = np.empty((len(rows), 3))
    voxels[:, across], voxels[:, rest[0]], voxels[:, rest[1]] = level, rows, columns
    return _where(voxels)


def _new_strokes(told: Sequence[Interaction], wanted: Sequence[Interaction]) -> list[Interaction] | None:
    if not told:
        return list(wanted)
    old, new = (np.concatenate([np.zeros((0, 3), np.intp), *map(_voxels, acts)]) for acts in (told, wanted))
    known, asked = {tuple(v) for v in old.tolist()}, {tuple(v) for v in new.tolist()}
    if known - asked:
        return None
    fresh = np.array(sorted(asked - known)).reshape(-1, 3)
    return list(_drawn(fresh, "scribble", positive=told[0].positive))


def _voxels(act: Interaction) -> npt.NDArray[np.intp]:
    assert act.voxels is not None
    return np.asarray(np.argwhere(act.voxels) + [part.start for part in act.box])


def _drawn(voxels: npt.NDArray[np.generic], kind: Kind, *, positive: bool) -> Iterator[Interaction]:
    if len(voxels):
        yield Interaction(kind, positive, *_where(voxels))


def _where(voxels: npt.NDArray[np.generic]) -> tuple[Box, BoolArray]:
    """Voxels (n, 3) as the box round them and what of it they fill."""
    at = np.rint(voxels.astype(float)).astype(int)
    low, high = at.min(axis=0), at.max(axis=0) + 1
    filled = np.zeros(high - low, dtype=bool)
    filled[tuple((at - low).T)] = True
    return (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))), filled


def _box(low: Positions, high: Positions, shape: Shape, solid: bool) -> Box:
    ends = [(max(0, round(float(a))), min(n, round(float(b)) + 1)) for a, b, n in zip(low, high, shape, strict=True)]
    ends = [(min(a, n - 1), max(b, min(a, n - 1) + 1)) for (a, b), n in zip(ends, shape, strict=True)]
    if not solid and min(b - a for a, b in ends) > 1:
        middle = (ends[0][0] + ends[0][1] - 1) // 2
        ends[0] = middle, middle + 1
    return slice(*ends[0]), slice(*ends[1]), slice(*ends[2])
