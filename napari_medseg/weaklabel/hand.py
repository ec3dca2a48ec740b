"""What a roughly painted limit tells: how deep each voxel lies in it, and where its surroundings begin.

A person paints slice by slice, and each slice is off by some millimetres of its own. So depth is measured in the slice, then averaged over
neighbouring slices, and then taken as a share of the slice's deepest point. Slices are worked on when they are first asked for.
"""

from __future__ import annotations

import numpy as np

from napari_medseg.volume import BoolArray, FloatArray, Spacing
from napari_medseg.weaklabel.compiled import compiled, in_parts
from napari_medseg.weaklabel.scene import IntArray
from napari_medseg.weaklabel.tiles import gaussian

STEADY_MM = 4.0  # hands drift from slice to slice; measured in docs/weaklabel.md
FAR = np.float32(1e6)


class Hand:
    """A painted limit, looked at as it was painted.

    Parameters
    ----------
    limit : bool (z, y, x)
    spacing : mm per voxel (z, y, x)
    """

    def __init__(self, limit: BoolArray, spacing: Spacing) -> None:
        self.limit = limit
        self.spacing = spacing
        self.painted: BoolArray = np.asarray(limit.any((1, 2)))
        self._signed = np.zeros(limit.shape, np.float32)
        self._measured = np.zeros(len(limit), bool)
        self._depth = np.zeros(limit.shape, np.float32)
        self._ready = np.zeros(len(limit), bool)
        self._weights = gaussian(STEADY_MM / spacing[0])
        self._region: dict[tuple[int, float], BoolArray] = {}

    def depth(self, first: int, stop: int) -> FloatArray:
        """Depth in slices `first` to `stop`, (z, y, x): 1 at a slice's deepest point, 0 on the border, -1 outside at most; 0 without paint."""
        missing = [z for z in range(first, stop) if self.painted[z] and not self._ready[z]]
        if missing:
            reach = len(self._weights) // 2
            wanted = np.zeros(len(self.limit), bool)
            for z in missing:
                wanted[max(0, z - reach) : z + reach + 1] = True
            fresh = np.flatnonzero(wanted & self.painted & ~self._measured)
            in_parts(lambda start, end: self._measure(fresh[start:end]), len(fresh))
            self._measured[fresh] = True
            for z in missing:
                self._steady(z)
        return self._depth[first:stop]

    def shell(self, z: int, width_mm: float) -> BoolArray:
        """The voxels of a slice within `width_mm` outside the paint, (y, x)."""
        away = np.sqrt(squared_distance(~self.limit[z], self.spacing[1], self.spacing[2]))
        return np.asarray(~self.limit[z] & (away <= width_mm))

    def region(self, first: int, stop: int, width_mm: float) -> BoolArray:
        """The limit and its shell in slices `first` to `stop`, (z, y, x)."""
        return np.stack([self._with_shell(z, width_mm) for z in range(first, stop)])

    def _with_shell(self, z: int, width_mm: float) -> BoolArray:
        key = (z, width_mm)
        if key not in self._region:
            self._region[key] = self.limit[z] | self.shell(z, width_mm) if self.painted[z] else self.limit[z]
        return self._region[key]

    def _measure(self, slices: IntArray) -> None:
        for z in slices:
            paint = np.pad(self.limit[z], 1)
            inside, outside = (squared_distance(side, self.spacing[1], self.spacing[2])[1:-1, 1:-1] for side in (paint, ~paint))
            self._signed[z] = np.sqrt(inside) - np.sqrt(outside)

    def _steady(self, z: int) -> None:
        reach = len(self._weights) // 2
        total, weight = np.zeros(self.limit.shape[1:], np.float32), 0.0
        for k, share in enumerate(self._weights):
            other = z + k - reach
            if 0 <= other < len(self.limit) and self.painted[other]:
                total += share * self._signed[other]
                weight += float(share)
        self._depth[z] = np.clip(total / max(float(total.max()), 1e-6), -1, 1)
        self._ready[z] = True


def squared_distance(mask: BoolArray, step_y: float, step_x: float) -> FloatArray:
    """Squared distance (mm^2) of each voxel of `mask` (y, x) to the nearest voxel outside it; 0 outside (Felzenszwalb & Huttenlocher, 2012).

    Where nothing lies outside, the distance is very large.
    """
    out = np.empty(mask.shape, np.float32)
    _squared_distance(np.ascontiguousarray(mask), np.float64(step_y), np.float64(step_x), out)
    return out


@compiled
def _squared_distance(mask: BoolArray, step_y: float, step_x: float, out: FloatArray) -> None:
    height, width = mask.shape
    for x in range(width):  # along y: two sweeps
        run = 1e6
        for y in range(height):
            run = min(run + step_y, 1e6) if mask[y, x] else 0.0
            out[y, x] = run
        run = 1e6
        for y in range(height - 1, -1, -1):
            run = min(run + step_y, 1e6) if mask[y, x] else 0.0
            out[y, x] = min(out[y, x], run) ** 2
    at = np.empty(width, np.int64)
    border = np.empty(width + 1, np.float64)
    line = np.empty(width, np.float64)
    for y in range(height):  # along x: the lower envelope of parabolas
        for x in range(width):
            line[x] = out[y, x]
        count = 0
        at[0] = 0
        border[0], border[1] = -1e30, 1e30
        for x in range(1, width):
            here = line[x] + (x * step_x) ** 2
            while True:
                last = at[count]
                meet = (here - line[last] - (last * step_x) ** 2) / (2 * step_x * (x - last))
                if meet > border[count] or count == 0:
                    break
                count -= 1
            if meet > border[count]:
                count += 1
                at[count] = x
                border[count], border[count + 1] = meet, 1e30
            else:
                at[0] = x
        count = 0
        for x in range(width):
            while border[count + 1] < x * step_x:
                count += 1
            out[y, x] = ((x - at[count]) * step_x) ** 2 + line[at[count]]
