"""From grey values to chances, voxel by voxel: the compiled part of a speed.

Evidence is in log-odds, ln(p / (1 - p)) for the target. What the whole scan's statistics say is a table over values; what the neighbourhood's
statistics say is read off a coarse lattice of two means (Lankton & Tannenbaum, 2008, on a lattice in place of a ball around every voxel).
"""

from __future__ import annotations

import numpy as np

from napari_medseg.volume import BoolArray, FloatArray
from napari_medseg.weaklabel.compiled import compiled
from napari_medseg.weaklabel.scene import IntArray

FARTHEST = 4.0  # log-odds: no voxel's value alone is surer than 98 %


@compiled
def chances(
    values: FloatArray, prior: FloatArray, allowed: BoolArray, table: FloatArray, low: float, step: float, farthest: float,
    lattice: FloatArray, cell: IntArray, start: IntArray, share: float, sharpness: float, window_low: float, window_high: float, blur: float,
    out: FloatArray,
) -> None:
    """Chance of the target in a block, 0-1; 0 where the target may not be.

    Parameters
    ----------
    values, prior : float32 (z, y, x)
        Grey values, NaN where there are none; log-odds that do not come from them.
    allowed : bool (z, y, x)
    table : float32
        Log-odds at values `low`, `low` + `step`, ...; between them on the line, beyond them as at the ends.
    farthest : float
        Most that values count, in log-odds.
    lattice : float32 (2, cells z, y, x)
        Mean of the target and of the background around each cell's middle.
    cell, start : three whole numbers
        Voxels of a cell, and the block's first voxel, along z, y, x.
    share : float
        0 the table only ... 1 the lattice only.
    sharpness : float
        1 / (2 variance) about the lattice's means.
    window_low, window_high, blur : float
        Values outside the window speak against the target, by 1 log-odds each `blur`; infinite bounds for no window.
    """
    depth, height, width = values.shape
    last = len(table) - 1
    cells_z, cells_y, cells_x = lattice.shape[1:]
    for z in range(depth):
        at_z = min(max((z + start[0] + 0.5) / cell[0] - 0.5, 0.0), cells_z - 1.0)
        z0 = int(at_z)
        z1, tz = min(z0 + 1, cells_z - 1), np.float32(at_z - z0)
        for y in range(height):
            at_y = min(max((y + start[1] + 0.5) / cell[1] - 0.5, 0.0), cells_y - 1.0)
            y0 = int(at_y)
            y1, ty = min(y0 + 1, cells_y - 1), np.float32(at_y - y0)
            for x in range(width):
                value = values[z, y, x]
                if not (allowed[z, y, x] and np.isfinite(value)):
                    out[z, y, x] = np.float32(0)
                    continue
                at = min(max((value - low) / step, 0.0), float(last))
                k = min(int(at), last - 1)
                odds = table[k] + (table[k + 1] - table[k]) * (at - k)
                odds = min(max(odds, -farthest), farthest)
                if share > 0:
                    at_x = min(max((x + start[2] + 0.5) / cell[2] - 0.5, 0.0), cells_x - 1.0)
                    x0 = int(at_x)
                    x1, tx = min(x0 + 1, cells_x - 1), np.float32(at_x - x0)
                    away = np.float32(0)
                    for side in range(2):
                        means = lattice[side]
                        above = means[z0, y0, x0] * (1 - tx) + means[z0, y0, x1] * tx
                        below = means[z0, y1, x0] * (1 - tx) + means[z0, y1, x1] * tx
                        first = above * (1 - ty) + below * ty
                        above = means[z1, y0, x0] * (1 - tx) + means[z1, y0, x1] * tx
                        below = means[z1, y1, x0] * (1 - tx) + means[z1, y1, x1] * tx
                        second = above * (1 - ty) + below * ty
                        off = (value - (first * (1 - tz) + second * tz)) ** 2
                        away += off if side else -off
                    here = min(max(float(away) * sharpness, -farthest), farthest)
                    odds = (1 - share) * odds + share * here
                odds = min(odds, max(min(value - window_low, window_high - value) / blur, -farthest))
                out[z, y, x] = 1 / (1 + np.exp(-np.float32(odds + prior[z, y, x])))


@compiled
def tally(values: FloatArray, side: BoolArray, start: IntArray, cell: IntArray, sums: FloatArray) -> None:
    """Add a block's voxels to the counts and sums of their cells.

    Parameters
    ----------
    values : float32 (z, y, x)
    side : uint8 (z, y, x)
        1 target, 2 background, 0 neither.
    sums : float32 (4, cells z, y, x), changed
        Count and sum of the target, count and sum of the background.
    """
    depth, height, width = values.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                which = side[z, y, x]
                if which:
                    cz, cy, cx = (z + start[0]) // cell[0], (y + start[1]) // cell[1], (x + start[2]) // cell[2]
                    sums[2 * which - 2, cz, cy, cx] += np.float32(1)
                    sums[2 * which - 1, cz, cy, cx] += values[z, y, x]


@compiled
def nearness(points: FloatArray, start: IntArray, spacing: FloatArray, out: FloatArray) -> None:
    """Distance in mm of each voxel of a block to the nearest of some points; points in mm, (n, 3)."""
    depth, height, width = out.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                best = np.float32(1e12)
                for k in range(len(points)):
                    dz = (z + start[0]) * spacing[0] - points[k, 0]
                    dy = (y + start[1]) * spacing[1] - points[k, 1]
                    dx = (x + start[2]) * spacing[2] - points[k, 2]
                    best = min(best, np.float32(dz * dz + dy * dy + dx * dx))
                out[z, y, x] = np.sqrt(best)
