"""Masks as closed outlines, and closed outlines as masks, in one plane.

Outlines run halfway between the centres of the pixels inside and outside (marching squares), so filling them by the centres gives back each pixel. A
hole is joined to the outline around it by a channel of no width ("keyhole", PS3.3 C.8.8.6.3), which reads the same by every convention. Filling is by
parity: what lies within an even number of outlines is outside, which also reads holes drawn as outlines of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree
from skimage.measure import find_contours

from napari_medseg.volume import BoolArray

Points = npt.NDArray[np.float64]

ASIDE = (0.37, 0.29)  # share of an edge of the outline and of the hole; not the same, since a channel between mirrored ports meets a centre too
BLOCK = 1 << 20  # crossings of edges and rows at a time


def outlines(mask: BoolArray) -> list[Points]:
    """Closed outlines of a mask, one a piece, holes joined in.

    Parameters
    ----------
    mask : bool (row, column)

    Returns
    -------
    list of (n, 2) arrays
        Rows and columns, pixel centres at whole numbers; the last point joins the first.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return []
    corner = np.array([rows[0], columns[0]], float)
    box = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1).astype(float)
    rings = [ring[:-1] + (corner - 1) for ring in find_contours(box, 0.5)]
    areas = [_area(ring) for ring in rings]
    pieces = sorted(((area, ring) for area, ring in zip(areas, rings, strict=True) if area > 0), key=lambda pair: pair[0])
    holes: list[list[Points]] = [[] for _ in pieces]
    for area, ring in zip(areas, rings, strict=True):
        if area < 0:
            holes[next(k for k, (size, piece) in enumerate(pieces) if size > -area and _inside(ring[0], piece))].append(ring)
    return [_bends(_keyhole(piece, inner)) for (_, piece), inner in zip(pieces, holes, strict=True)]


def filled(polygons: Sequence[Points], shape: tuple[int, int]) -> BoolArray:
    """The pixels whose centres lie within an odd number of polygons.

    Parameters
    ----------
    polygons : list of (n, 2) arrays
        Rows and columns; closed by themselves. They may reach out of the image.
    shape : rows, columns
    """
    turns = np.zeros((shape[0], shape[1] + 1), bool)
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
        first = np.clip(np.ceil(low), 0, shape[0]).astype(np.int64)  # an edge crosses the rows from its lower end to below its upper end
        count = np.clip(np.ceil(high), 0, shape[0]).astype(np.int64) - first
        for part in _blocks(count):
            edge = np.repeat(np.arange(part.start, part.stop), count[part])
            row = np.arange(edge.size) - np.repeat(np.cumsum(count[part]) - count[part], count[part]) + first[edge]
            rise = (row - start[edge, 0]) / (end[edge, 0] - start[edge, 0])
            column = start[edge, 1] + rise * (end[edge, 1] - start[edge, 1])
            np.logical_xor.at(turns, (row, np.clip(np.ceil(column), 0, shape[1]).astype(np.int64)), True)
    inside: BoolArray = np.logical_xor.accumulate(turns, axis=1)[:, :-1]
    return inside


def _blocks(count: npt.NDArray[np.int64]) -> list[slice]:
    """Edges in parts that cross about BLOCK rows each."""
    ends = np.cumsum(count)
    total = int(ends[-1]) if ends.size else 0
    cuts = [0, *(int(k) + 1 for k in np.searchsorted(ends, np.arange(BLOCK, total, BLOCK))), count.size]
    return [slice(a, b) for a, b in pairwise(cuts) if b > a]


def _area(ring: Points) -> float:
    """Positive around what is inside, negative around a hole, as `find_contours` turns them."""
    rows, columns = ring.T
    return float(np.sum(columns * np.roll(rows, -1) - rows * np.roll(columns, -1)) / 2)


def _bends(ring: Points) -> Points:
    """A ring without the points on its straight parts."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    bends: Points = ring[turns | ((before * after).sum(1) < 0)]
    return bends


def _inside(point: Points, ring: Points) -> bool:
    """Whether a point that lies on no edge is inside a ring."""
    start, end = ring, np.roll(ring, -1, axis=0)
    crosses = (start[:, 0] <= point[0]) != (end[:, 0] <= point[0])
    start, end = start[crosses], end[crosses]
    columns = start[:, 1] + (point[0] - start[:, 0]) / (end[:, 0] - start[:, 0]) * (end[:, 1] - start[:, 1])
    return bool(np.count_nonzero(columns > point[1]) % 2)


def _keyhole(ring: Points, holes: list[Points]) -> Points:
    """Join holes to their outline where they are nearest, the nearest hole first.

    The channels start beside the middles of the edges, so that none runs through the centre of a pixel.
    """
    tree = KDTree(ring)
    for hole in sorted(holes, key=lambda h: float(tree.query(h)[0].min())):
        outer, inner = _ports(ring, ASIDE[0]), _ports(hole, ASIDE[1])
        distances, nearest = KDTree(outer).query(inner)
        there = int(distances.argmin())
        here = int(nearest[there])
        around = np.roll(hole, -1 - there, axis=0)
        port, far = outer[here], inner[there]
        ring = np.concatenate([ring[: here + 1], [port, far], around, [far, port], ring[here + 1 :]])
    return ring


def _ports(ring: Points, share: float) -> Points:
    return ring + share * (np.roll(ring, -1, axis=0) - ring)
