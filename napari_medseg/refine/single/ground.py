"""What the engine works on: the part of the scan around the object, its slices first, and how deep each voxel lies in the weak label.

Large parts are thinned in the slice, so that the work is bounded; what is found is brought back by linear interpolation of its log-odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.volume import Array, BoolArray, FloatArray, LabelArray, Spacing

Box = tuple[slice, slice, slice]

MOST_VOXELS = 1_500_000
ROOM = 0.35  # of the object's size, around it
LEAST_ROOM = 10  # pixels
ABOVE_MM = 4.0  # beyond the first and the last slice
FARTHEST = 30.0  # pixels: depths are not told apart beyond
BEYOND = 3.0  # pixels outside the weak label's errors that are looked at
REACH = (3.0, 20.0)  # pixels: how far from its outline errors of a weak label are looked for, at least and at most
USUAL = 95.0  # percent of the errors lie within
THICK = 2.0  # slices thicker than so many pixels are shapes of their own: nothing is said about one from the distance to the next


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A part of a scan.

    Attributes
    ----------
    axis : int
        Of the scan, along which slices are counted; it comes first in all arrays below.
    box : three slices
        Of the scan, its axes in this order.
    thin : int
        Every so many-th pixel of a slice is looked at.
    image : float32 (z, y, x)
        About 0 in the middle of the object's surroundings, 1 across their range.
    labels, weak : uint8 (z, y, x)
        With the corrections, and as the tool left them.
    known : bool (z, y, x)
        Where the weak label says something.
    locked : bool (z, y, x)
        What a person settled.
    spacing : mm per voxel (z, y, x), of these arrays
    """

    axis: int
    box: Box
    thin: int
    image: FloatArray
    labels: LabelArray
    weak: LabelArray
    known: BoolArray
    locked: BoolArray
    spacing: Spacing

    @property
    def pixel(self) -> float:
        """Side of a pixel in mm."""
        return float(np.sqrt(self.spacing[1] * self.spacing[2]))

    @property
    def thick(self) -> bool:
        """Whether slices are much thicker than pixels are wide."""
        return self.spacing[0] > THICK * self.pixel

    def cut(self, maps: FloatArray) -> FloatArray:
        """Maps (c, z, y, x) of the scan on this ground."""
        within = (slice(None), self.box[0], *(slice(part.start, part.stop, self.thin) for part in self.box[1:]))
        return np.ascontiguousarray(np.moveaxis(maps, self.axis + 1, 1)[within], np.float32)

    def back(self, odds: FloatArray) -> FloatArray:
        """Maps (..., z, y, x) of this ground on the scan's pixels, the box's slices still first."""
        if self.thin == 1:
            return odds
        sizes = [part.stop - part.start for part in self.box[1:]]
        places = [np.clip((np.arange(size) + 0.5) / self.thin - 0.5, 0, have - 1) for size, have in zip(sizes, odds.shape[-2:], strict=True)]
        return _along(_along(odds, places[0], -2), places[1], -1)


def ground(image: Array, labels: LabelArray, weak: LabelArray, known: BoolArray, locked: BoolArray, spacing: Spacing) -> Ground:
    """Cut out what matters; all arrays (z, y, x). Something is labelled."""
    axis = slices_along(locked, spacing)
    scan, given, before = np.moveaxis(image, axis, 0), np.moveaxis(labels, axis, 0), np.moveaxis(weak, axis, 0)
    said, held = np.moveaxis(known, axis, 0), np.moveaxis(locked, axis, 0)
    steps = list(spacing)
    steps.insert(0, steps.pop(axis))
    box = _around((given > 0) | (before > 0), steps)
    size = int(np.prod([part.stop - part.start for part in box]))
    thin = max(1, int(np.ceil(np.sqrt(size / MOST_VOXELS))))
    few = (box[0], slice(box[1].start, box[1].stop, thin), slice(box[2].start, box[2].stop, thin))
    values = _evened(scan[box], thin)
    return Ground(
        axis, box, thin, _normal(values, given[few] > 0), given[few], before[few], said[few], held[few],
        (steps[0], steps[1] * thin, steps[2] * thin),
    )


def slices_along(locked: BoolArray, spacing: Spacing) -> int:
    """The axis whose whole slices were corrected, of what is settled, bool (z, y, x); the thickest where that does not tell."""
    order = sorted(range(3), key=lambda axis: (-spacing[axis], axis))
    share = [float(locked.mean(axis=tuple(other for other in range(3) if other != axis)).max()) for axis in order]
    whole = [np.count_nonzero(locked.all(axis=tuple(other for other in range(3) if other != axis))) for axis in order]
    best = max(range(3), key=lambda k: (whole[k] > 0 and whole[k] == max(whole), round(share[k], 2), -k))
    return order[best]


def depths(mask: BoolArray, own: Ground) -> FloatArray:
    """Depth inside a mask in pixels, negative outside, slice by slice; a slice without any is judged by its neighbours unless slices are thick.

    The mask is bool, the ground's (z, y, x); depths are float32, at most `FARTHEST`.
    """
    plane = (own.spacing[1] / own.pixel, own.spacing[2] / own.pixel)
    out = np.stack([_depth(piece, plane) for piece in mask])
    empty = ~mask.any((1, 2))
    if not own.thick and empty.any() and mask.any():
        around = _depth(np.pad(mask, 1), tuple(step / own.pixel for step in own.spacing))[1:-1, 1:-1, 1:-1]
        out[empty] = around[empty]
    return np.asarray(np.clip(out, -FARTHEST, FARTHEST), np.float32)


def skipped(mask: BoolArray) -> BoolArray:
    """Slices (z,) without any of a mask between slices with some."""
    held: BoolArray = np.asarray(mask.any((1, 2)))
    return np.asarray(~held & np.logical_or.accumulate(held) & np.logical_or.accumulate(held[::-1])[::-1])


def filled_in(depth: FloatArray, silent: BoolArray) -> FloatArray:
    """Depths (z, y, x) where slices or parts of them say nothing (bool (z, y, x)): on the line between the nearest slices that do."""
    out = depth.copy()
    for z in np.flatnonzero(silent.any((1, 2))):
        said = ~silent & silent[z]
        usable = np.flatnonzero(said.sum((1, 2)) > 0.5 * silent[z].sum())
        low, high = usable[usable < z], usable[usable > z]
        if not (low.size or high.size):
            continue
        ends = [int(part) for part in (*low[-1:], *high[:1])]
        share = (z - ends[0]) / (ends[1] - ends[0]) if len(ends) == 2 else 0.0
        between = (1 - share) * depth[ends[0]] + share * depth[ends[-1]]
        out[z] = np.where(silent[z], between, depth[z])
    return out


def reach_of(depth: FloatArray, truth: BoolArray, locked: BoolArray) -> float:
    """How far from the outline the weak label errs on what is settled, pixels.

    Depths in pixels, what is true and what is settled (bool) are of one shape; `USUAL` percent of the errors reach no farther, and it is within `REACH`.
    """
    wrong = np.abs(depth[((depth > 0) != truth) & locked])
    return float(np.clip(np.percentile(wrong, USUAL) if wrong.size else 0.0, *REACH))


def _depth(mask: BoolArray, spacing: tuple[float, ...]) -> npt.NDArray[np.float64]:
    if not mask.any():
        return np.full(mask.shape, -FARTHEST)
    inside, outside = (ndi.distance_transform_edt(side, sampling=spacing) for side in (mask, ~mask))
    half = min(spacing) / 2
    return np.where(mask, inside - half, half - outside) if not mask.all() else np.full(mask.shape, FARTHEST)


def _around(mask: BoolArray, spacing: list[float]) -> Box:
    parts = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        wide = int(hits[-1] - hits[0] + 1)
        room = max(1, int(ABOVE_MM / spacing[0])) if axis == 0 else max(LEAST_ROOM, int(ROOM * wide))
        parts.append(slice(max(0, int(hits[0]) - room), min(mask.shape[axis], int(hits[-1]) + 1 + room)))
    return parts[0], parts[1], parts[2]


def _evened(values: Array, thin: int) -> FloatArray:
    """Finite float32, every so many-th pixel being the mean of those around it."""
    out = values.astype(np.float32)
    real = np.isfinite(out)
    if not real.all():
        out[~real] = np.median(out[real]) if real.any() else 0.0
    return out if thin == 1 else np.asarray(ndi.uniform_filter(out, (0, thin, thin))[:, ::thin, ::thin])


def _normal(values: FloatArray, inside: BoolArray) -> FloatArray:
    near = values[:, ndi.binary_dilation(inside.any(0), iterations=6)]
    low, middle, high = np.percentile(near, [2, 50, 98])
    return np.asarray(np.clip((values - middle) / max(high - low, 1e-6), -2, 2), np.float32)


def _along(values: FloatArray, at: npt.NDArray[np.float64], axis: int) -> FloatArray:
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = (at - low).astype(np.float32).reshape([-1 if axis == -1 else 1] if axis == -1 else [-1, 1])
    return np.asarray(np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share, np.float32)
