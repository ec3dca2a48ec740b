"""Growing, shrinking, closing and islands, in millimetres: a ball stays a ball on voxels of 0.7 x 0.7 x 5 mm.

Distances are Euclidean, from voxel centre to voxel centre, and exact: the squared distance is the least over the steps along each axis in turn
(Saito and Toriwaki, Pattern Recognition 1994), looked for no farther than the radius.
"""

from __future__ import annotations

import numpy as np

from napari_medseg.metrics.pieces import components
from napari_medseg.volume import BoolArray, FloatArray, Spacing
from napari_medseg.weaklabel.compiled import compiled, in_parts

ISLAND_SHARE = 0.02
SLACK = 1e-5  # of the squared radius: a voxel exactly at the radius counts as within it


def squared_distance(mask: BoolArray, most_mm: float, spacing: Spacing) -> FloatArray:
    """Squared distance to the mask in mm2, float32 (z, y, x); infinite beyond `most_mm`."""
    most = np.float32(most_mm**2 * (1 + SLACK))
    z, y, x = (np.square(np.arange(int(most_mm * (1 + SLACK) / s) + 1) * s).astype(np.float32) for s in spacing)
    out = np.empty(mask.shape, np.float32)
    in_parts(_nearest, len(mask), np.ascontiguousarray(mask), z, y, x, most, out, least=max(4, len(z)))
    return out


def grown(mask: BoolArray, mm: float, spacing: Spacing) -> BoolArray:
    """The mask, bool (z, y, x), and all within a distance of it in mm."""
    return mask if mm <= 0 else np.isfinite(squared_distance(mask, mm, spacing))


def shrunk(mask: BoolArray, mm: float, spacing: Spacing) -> BoolArray:
    """The mask, bool (z, y, x), without all that lies within a distance in mm of its outside; the border of the array is no outside."""
    return mask if mm <= 0 else np.isinf(squared_distance(~mask, mm, spacing))


def close_mm(mask: BoolArray, radius_mm: float, spacing: Spacing) -> BoolArray:
    """Dilate a mask, bool (z, y, x), then erode it, by a ball; the border of the array erodes nothing."""
    if radius_mm <= 0 or not mask.any():
        return mask
    pad = [int(np.ceil(radius_mm / s)) + 1 for s in spacing]
    wide = np.pad(mask, [(p, p) for p in pad])
    closed = shrunk(grown(wide, radius_mm, spacing), radius_mm, spacing)
    return closed[tuple(slice(p, -p) for p in pad)] | mask


def open_mm(mask: BoolArray, radius_mm: float, spacing: Spacing) -> BoolArray:
    """Erode a mask, bool (z, y, x), then dilate it, by a ball; the border of the array erodes nothing."""
    return grown(shrunk(mask, radius_mm, spacing), radius_mm, spacing) & mask


def drop_islands(mask: BoolArray, kept: BoolArray, share: float = ISLAND_SHARE) -> BoolArray:
    """A mask, bool (z, y, x), without pieces smaller than a share of the largest, unless they hold a kept voxel (bool, as the mask)."""
    pieces, count = components(mask)
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    stay = sizes >= share * sizes.max()
    stay[np.unique(pieces[kept])] = True
    stay[0] = False
    return np.asarray(stay[pieces])


@compiled
def _nearest(
    start: int, stop: int, mask: BoolArray, squares_z: FloatArray, squares_y: FloatArray, squares_x: FloatArray, most: np.float32, out: FloatArray
) -> None:
    """Squared distances of slices `start` to `stop`; `squares` holds the squared length of 0, 1, 2 ... steps along an axis."""
    slices, rows, columns = mask.shape
    reach, high = len(squares_z) - 1, len(squares_y) - 1
    kept = 2 * reach + 1
    planes = np.empty((kept, rows, columns), np.float32)
    filled = np.zeros(kept, np.bool_)
    along = np.empty((rows, columns), np.float32)
    hit = np.zeros(rows, np.bool_)
    for z in range(start - reach, stop + reach):
        place = (z + kept) % kept
        filled[place] = 0 <= z < slices and _along_rows(mask[z], squares_x, along, hit)
        if filled[place]:
            plane = planes[place]
            plane[:] = np.inf
            for y in range(rows):
                for other in range(max(0, y - high), min(rows, y + high + 1)):
                    if hit[other]:
                        step, line, best = squares_y[abs(other - y)], along[other], plane[y]
                        for x in range(columns):
                            value = line[x] + step
                            best[x] = value if value < best[x] else best[x]
        target = z - reach
        if target < start:
            continue
        here = out[target]
        here[:] = np.inf
        for other in range(target - reach, target + reach + 1):
            if filled[(other + kept) % kept]:
                step, plane = squares_z[abs(other - target)], planes[(other + kept) % kept]
                for y in range(rows):
                    line, best = plane[y], here[y]
                    for x in range(columns):
                        value = line[x] + step
                        best[x] = value if value < best[x] and value <= most else best[x]


@compiled
def _along_rows(plane: BoolArray, squares: FloatArray, out: FloatArray, hit: BoolArray) -> bool:
    """Squared distance along each row; says which rows hold anything, and whether one does."""
    rows, columns = plane.shape
    most = len(squares)
    some = False
    for y in range(rows):
        steps = most
        hit[y] = False
        for x in range(columns):
            steps = 0 if plane[y, x] else steps + 1
            hit[y] |= plane[y, x]
            out[y, x] = squares[steps] if steps < most else np.inf
        if hit[y]:
            some = True
            steps = most
            for x in range(columns - 1, -1, -1):
                steps = 0 if plane[y, x] else steps + 1
                if steps < most and squares[steps] < out[y, x]:
                    out[y, x] = squares[steps]
    return some


