"""How much surface a label has.

By Crofton's formula on voxels: the surface of a body is four times the mean area of its shadows, and a shadow's area is counted by lines that enter and leave
the body. Lines run along the 13 directions from a voxel to its neighbours, each with the share of all directions that are nearest to it (G. Lehmann and D.
Legland, "Efficient N-dimensional surface estimation using Crofton formula and run-length encoding", Insight Journal, 2012). Counting the sides of voxels
would give a ball half as much again, and marching cubes on a mask some 9 % too much; this is right on average over all orientations. Where a label is cut off
by the edge of the scan, the cut counts as surface.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

from napari_medseg.volume import Array, BoolArray
from napari_medseg.volume.geometry import Spacing

DIRECTIONS = tuple(step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0))
SLAB = 16  # slices compared at a time: what they need stays in the processor's cache


def surface_cm2(mask: BoolArray, spacing: Spacing) -> float:
    """Surface of a (z, y, x) mask in cm2; 0 of an empty one.

    Parameters
    ----------
    spacing : (z, y, x) mm
    """
    padded = np.pad(mask, 1)
    lengths, shares = _directions(tuple(float(each) for each in spacing))
    crossed = np.zeros(len(DIRECTIONS))
    for start in range(0, len(padded), SLAB):
        for at, step in enumerate(DIRECTIONS):
            here = padded[start:min(start + SLAB, len(padded) - step[0])]
            there = padded[start + step[0]:start + SLAB + step[0]]
            (rows, further_rows), (columns, further_columns) = (_apart(each) for each in step[1:])
            crossed[at] += np.count_nonzero(here[:, rows, columns] ^ there[:len(here), further_rows, further_columns])
    square_mm = 2 * float(np.prod(spacing)) * float((shares * crossed / lengths).sum())
    return square_mm / 100


def _apart(step: int) -> tuple[slice, slice]:
    """Where a pair of neighbours along an axis lies: the one, and the other."""
    return {0: (slice(None), slice(None)), 1: (slice(None, -1), slice(1, None)), -1: (slice(1, None), slice(None, -1))}[step]


@cache
def _directions(spacing: Spacing) -> tuple[Array, Array]:
    """How long a step along each direction is, in mm, and what share of all directions is nearest to it or to its opposite."""
    from scipy.spatial import SphericalVoronoi

    steps = np.array(DIRECTIONS) * np.array(spacing)
    lengths = np.linalg.norm(steps, axis=1)
    ways = steps / lengths[:, None]
    areas = SphericalVoronoi(np.concatenate([ways, -ways])).calculate_areas()
    return lengths, areas[:len(ways)] * 2 / areas.sum()
