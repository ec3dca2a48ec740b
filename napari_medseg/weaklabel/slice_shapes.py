"""How a class's outline runs from one annotated slice to the next.

Depths inside the outline are interpolated (Raya and Udupa, IEEE TMI 1990), by cubic polynomials through the two slices on either side (Herman, Zheng and
Bucholtz, IEEE CG&A 1992), in a frame that moves with the outline: the shift between two slices is the one under which their depths agree best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy import ndimage as ndi

from napari_medseg.volume import BoolArray, FloatArray

Place = npt.NDArray[np.float64]
Plane = tuple[slice, slice]
PlaneSpacing = tuple[float, float]

RIM = 6.0  # voxels: depths beyond it do not count for the shift
MARGIN = 0.25  # of the outline's size, around it: a cubic may swing out
MISSING = -1e3


@dataclass(frozen=True, slots=True)
class Gap:
    """Slices between two annotated ones.

    Attributes
    ----------
    low, high : int
        The annotated slices.
    before, after : int or None
        The next annotated ones beyond them.
    """

    low: int
    high: int
    before: int | None
    after: int | None

    def knots(self) -> list[int | None]:
        """All four, in order."""
        return [self.before, self.low, self.high, self.after]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A class on its way through a gap.

    Attributes
    ----------
    box : (y, x) slices
        Holds the class all the way.
    """

    box: Plane
    _gap: Gap
    _depths: list[FloatArray | None]
    _places: list[Place | None]

    def at(self, z: int) -> FloatArray:
        """Depth inside the class in mm on a slice of the gap, negative outside; float32, the box's (y, x)."""
        frame = cubic(self._gap, self._places, z)
        moved = [None if depth is None or place is None else _moved(depth, frame - place) for depth, place in zip(self._depths, self._places, strict=True)]
        return np.asarray(cubic(self._gap, moved, z), np.float32)


def course(masks: Sequence[BoolArray | None], gap: Gap, spacing: PlaneSpacing) -> Course | None:
    """The course of a class.

    Parameters
    ----------
    masks : bool (y, x) or None
        The class on the gap's four knots; None where there is no such slice.
    spacing : mm per voxel (y, x)

    Returns
    -------
    Course or None
        None when neither end of the gap holds the class. Where one end does not, the class ends there in a point.
    """
    there = [mask if mask is not None and mask.any() else None for mask in masks]
    held = [mask for mask in there if mask is not None]
    if not held:
        return None
    box = around(held)
    before, low, high, after = (None if mask is None else depth_inside(mask[box], spacing) for mask in there)
    stay: Place = np.zeros(2)
    if low is not None and high is not None:
        way = shift_between(low, high, spacing)
        came = None if before is None else -shift_between(before, low, spacing)
        goes = None if after is None else way + shift_between(high, after, spacing)
        return Course(box, gap, [before, low, high, after], [came, stay, way, goes])
    if high is not None:
        return Course(box, gap, [None, np.full_like(high, -high.max()), high, None], [None, stay, stay, None])
    if low is not None:
        return Course(box, gap, [None, low, np.full_like(low, -low.max()), None], [None, stay, stay, None])
    return None


def cubic(gap: Gap, knots: Sequence[Any], z: int) -> Any:
    """A cubic Hermite polynomial through the middle two of four values, at a slice between them; a missing outer value leaves its end straight."""
    before, low, high, after = knots
    wide, t = gap.high - gap.low, (z - gap.low) / (gap.high - gap.low)
    rise = high - low if before is None or gap.before is None else (high - before) * (wide / (gap.high - gap.before))
    fall = high - low if after is None or gap.after is None else (after - low) * (wide / (gap.after - gap.low))
    return (2 * t**3 - 3 * t**2 + 1) * low + (t**3 - 2 * t**2 + t) * rise + (3 * t**2 - 2 * t**3) * high + (t**3 - t**2) * fall


def depth_inside(mask: BoolArray, spacing: PlaneSpacing) -> FloatArray:
    """Distance to the outline in mm, positive inside, float32 (y, x) as the mask; the border of the array is no outline."""
    half = min(spacing) / 2
    if mask.all():
        return np.full(mask.shape, -MISSING, np.float32)
    inside, outside = (ndi.distance_transform_edt(side, sampling=spacing) for side in (mask, ~mask))
    return np.asarray(np.where(mask, inside - half, half - outside), np.float32)


def shift_between(first: FloatArray, second: FloatArray, spacing: PlaneSpacing) -> Place:
    """How far, in voxels (y, x), the first shape is moved to lie best on the second; both as depths."""
    reach = RIM * min(spacing)
    size = [fft.next_fast_len(2 * n, real=True) for n in first.shape]
    one, two = (fft.rfft2(np.clip(depth, -reach, reach) + reach, size) for depth in (first, second))
    match = fft.irfft2(two * np.conj(one), size)
    best = np.array(np.unravel_index(int(match.argmax()), match.shape))
    return np.where(best > np.array(size) // 2, best - size, best).astype(np.float64)


def around(masks: Sequence[BoolArray]) -> Plane:
    """A box (y, x) around outlines, bool (y, x) of one shape and not all empty, with room for their way."""
    shape = masks[0].shape
    ends = []
    for axis in (0, 1):
        hits = np.flatnonzero(np.any([mask.any(axis=1 - axis) for mask in masks], axis=0))
        room = max(4, int(MARGIN * (hits[-1] - hits[0] + 1)))
        ends.append(slice(max(0, int(hits[0]) - room), min(shape[axis], int(hits[-1]) + 1 + room)))
    return ends[0], ends[1]


def _moved(depth: FloatArray, by: Place) -> FloatArray:
    return depth if not by.any() else np.asarray(ndi.shift(depth, by, order=1, mode="nearest"))
