"""How well an outline fits the scan: whether it lies on edges, and whether the grey values on its two sides differ.

An answer that stops in the middle of an even tissue has an outline on which the scan is as flat as beside it. That is seen without knowing the truth, so of
several answers to the same prompts the one with an outline in the picture can be taken.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

from napari_medseg.volume import BoolArray, FloatArray, Spacing

RIM, SIDES, AROUND = 1.01, 2.5, 7.5  # finest voxels on either side: the outline itself, what is compared across it, and what its edges are compared with
CLEARNESS = 0.5  # weight of the logarithm of the difference across the outline, that of the edges being 1
LEAST = 0.05  # difference across an outline, in standard deviations, below which it does not matter how small it is
FLAT = 0.01  # and the same for edges, as a share of those around
NONE = -np.inf


class Outlines:
    """Weighs outlines in one part of a scan.

    Parameters
    ----------
    contrast : float32 (z, y, x)
        Grey values in any unit.
    spacing : mm per voxel (z, y, x)
    """

    def __init__(self, contrast: FloatArray, spacing: Spacing) -> None:
        self._contrast, self._fine = contrast, [min(spacing) / step for step in spacing]
        slopes = [np.gradient(contrast, step, axis=axis) ** 2 for axis, step in enumerate(spacing) if contrast.shape[axis] > 1]
        self._slope = np.sqrt(np.sum(slopes, axis=0))

    def fit(self, found: BoolArray) -> float:
        """How well the outline of a mask, bool (z, y, x), fits; more is better, 0.2 more is clearly better, and minus infinity where there is none.

        The logarithm of how much steeper the scan is on the outline than a little way from it, and half that of how far the means of both sides lie apart, in
        standard deviations.
        """
        reach = [int(AROUND * share) + 1 for share in self._fine]
        sides = [np.flatnonzero(found.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
        if not len(sides[0]):
            return NONE
        box = tuple(slice(max(0, int(side[0]) - far), int(side[-1]) + far + 1) for side, far in zip(sides, reach, strict=True))
        part, values, slope = found[box], self._contrast[box], self._slope[box]
        (out_rim, in_rim), (out_side, in_side), (out_far, in_far) = (self._stepped(part, voxels) for voxels in (RIM, SIDES, AROUND))
        inner, outer, around = part & ~in_side, out_side & ~part, (out_far & ~out_side) | (in_side & ~in_far)
        if not outer.any() or not around.any():
            return NONE
        spread = np.sqrt((values[inner].var(dtype=float) + values[outer].var(dtype=float)) / 2)
        apart = abs(values[inner].mean(dtype=float) - values[outer].mean(dtype=float)) / max(spread, 1e-9)
        steep = slope[out_rim & ~in_rim].mean(dtype=float) / max(slope[around].mean(dtype=float), 1e-9)
        return float(np.log(max(steep, FLAT)) + CLEARNESS * np.log(max(apart, LEAST)))

    def _stepped(self, part: BoolArray, voxels: float) -> tuple[BoolArray, BoolArray]:
        """What lies in a mask or within so many finest voxels of it, and what lies in it and so far from its outline; along each axis in whole voxels."""
        size = [2 * int(voxels * share) + 1 for share in self._fine]
        mask = np.ascontiguousarray(part).view(np.uint8)
        grown, worn = ndi.maximum_filter(mask, size, mode="constant"), ndi.minimum_filter(mask, size, mode="constant")
        return np.asarray(grown, bool), np.asarray(worn, bool)
