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
from skimage.measure import find_contours

from napari_medseg.volume import BoolArray

Points = npt.NDArray[np.float64]

ASIDE = 0.29  # share of an edge from its start: a channel there runs along no row of centres and meets no corner
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
    around = [_area(ring) > 0 for ring in rings]
    pieces = [ring for ring, outer in zip(rings, around, strict=True) if outer]
    holes = sorted((ring for ring, outer in zip(rings, around, strict=True) if not outer), key=lambda ring: float(ring[:, 1].min()))
    return [_bends(ring) for ring in (_keyholes(pieces, holes) if holes else pieces)]


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


def _keyholes(pieces: list[Points], holes: list[Points]) -> list[Points]:
    """Join holes to the outlines around them.

    From its leftmost edge each hole has a channel to the left, to the first edge it meets: of the outline around it, or of a hole that reaches farther to
    the left and so is joined on in its turn. The channels run between the rows of centres.

    Parameters
    ----------
    pieces, holes : (n, 2) arrays
        With all points of `find_contours`, so that no edge crosses a row of centres; the holes from the leftmost on.
    """
    rings = [*pieces, *holes]
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    first = np.cumsum([0, *(len(ring) for ring in rings)])
    start, end = np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    by_row = np.argsort(np.floor(low), kind="stable")
    rows = np.floor(low)[by_row]
    joined: list[list[tuple[int, float, Points]]] = [[] for _ in rings]
    for k in range(len(rings) - 1, len(pieces) - 1, -1):  # what is joined to a hole lies to its right, so it is complete by now
        leftmost = int(rings[k][:, 1].argmin())
        edge = first[k] + leftmost
        port = start[edge] + ASIDE * (end[edge] - start[edge])
        near = by_row[np.searchsorted(rows, np.floor(port[0])) : np.searchsorted(rows, np.floor(port[0]), "right")]
        near = near[(owner[near] != k) & (low[near] <= port[0]) & (port[0] < high[near])]
        share = (port[0] - start[near, 0]) / (end[near, 0] - start[near, 0])
        columns = start[near, 1] + share * (end[near, 1] - start[near, 1])
        best = int(np.where(columns < port[1], columns, -np.inf).argmax())
        meeting = np.array([port[0], columns[best]])
        around = _joined(rings[k], joined[k], leftmost)
        parent = int(owner[near[best]])
        joined[parent].append((int(near[best] - first[parent]), float(share[best]), np.concatenate([[meeting, port], around, [port, meeting]])))
    return [_joined(ring, others, len(ring) - 1) for ring, others in zip(pieces, joined, strict=False)]


def _joined(ring: Points, others: list[tuple[int, float, Points]], last: int) -> Points:
    """A ring from the point after `last` to `last`, with other paths put into its edges where they start and end."""
    turned, parts, at = np.roll(ring, -1 - last, axis=0), [], 0
    places = [((edge - last - 1) % len(ring), share, path) for edge, share, path in others]
    for edge, _, path in sorted(places, key=lambda place: place[:2]):
        parts += [turned[at : edge + 1], path]
        at = edge + 1
    return np.concatenate([*parts, turned[at:]])
