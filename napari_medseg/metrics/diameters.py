"""How far a label reaches: the longest line across it in a plane, the longest one at right angles to it, and the longest in space.

The first two are what RECIST 1.1 asks for (Eisenhauer et al., European Journal of Cancer 45, 2009): the long axis on the slice where it is longest, and the
short axis, the longest line perpendicular to it on that slice. Of a mask in several pieces they are taken over all of them together.

The outline runs halfway between the centre of a voxel inside and that of its neighbour outside, along each axis of the grid (as the vertices of marching
squares and cubes do), so a line of n voxels is n voxels long and a voxelled ball is on average as wide as the ball. Lines may leave a label that is not convex;
they end on it. Distances are in mm, so spacing may differ by axis; a rotated grid changes nothing, since its axes stay at right angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_medseg.volume import Array, BoolArray
from napari_medseg.volume.geometry import Spacing

Point = tuple[float, float, float]
Line = tuple[Point, Point]
BLOCK = 512  # points whose distances to all others are held at a time


@dataclass(frozen=True, slots=True)
class Diameters:
    """The longest lines across a label.

    Attributes
    ----------
    slice : int
        Voxel index, along the axis that was asked for, of the slice with the longest line.
    long_mm, short_mm : float
        In that slice; `short_mm` at right angles to the long one.
    long, short : pairs of (z, y, x) voxel positions
        Where they end.
    feret_mm : float
        The longest line in space (the largest Feret diameter).
    feret : pair of (z, y, x) voxel positions
    """

    slice: int
    long_mm: float
    short_mm: float
    long: Line
    short: Line
    feret_mm: float
    feret: Line

    def moved(self, by: Sequence[int], axis: int) -> Diameters:
        """The same in a grid that begins `by` voxels (z, y, x) before this one."""

        def line(ends: Line) -> Line:
            (az, ay, ax), (bz, by_, bx) = ends
            return (az + by[0], ay + by[1], ax + by[2]), (bz + by[0], by_ + by[1], bx + by[2])

        return replace(self, slice=self.slice + by[axis], long=line(self.long), short=line(self.short), feret=line(self.feret))


def diameters(mask: BoolArray, spacing: Spacing, axis: int = 0) -> Diameters | None:
    """The diameters of a mask; None of an empty one.

    Parameters
    ----------
    mask : (z, y, x)
    spacing : (z, y, x) mm
    axis : int
        The slices to look on lie across it; 0 for z.
    """
    if not mask.any():
        return None
    turned = np.moveaxis(mask, axis, 0)
    order = (axis, *(each for each in range(3) if each != axis))
    steps = tuple(spacing[each] for each in order)
    outlines = {int(index): _outline(turned[index], steps[1:]) for index in np.flatnonzero(turned.any((1, 2)))}
    index = max(outlines, key=lambda at: _longest(outlines[at].points)[0])
    flat = outlines[index].points
    long_mm, ends = _longest(flat)
    short_mm, across = _perpendicular(flat, flat[ends[0]], flat[ends[1]])
    solid = np.concatenate([outline.in_space(at * steps[0], steps[0]) for at, outline in outlines.items()])
    solid = solid[_hull(solid)]
    feret_mm, far = _longest(solid)

    def line(a: Array, b: Array) -> Line:
        return _voxel(a, steps, order), _voxel(b, steps, order)

    def there(point: Array) -> Array:
        return np.array([index * steps[0], *point])

    return Diameters(
        index, long_mm, short_mm, line(there(flat[ends[0]]), there(flat[ends[1]])), line(there(across[0]), there(across[1])), feret_mm, line(*solid[list(far)]),
    )


@dataclass(frozen=True, slots=True)
class _Outline:
    """The convex outline of one slice, in mm.

    Attributes
    ----------
    points : (n, 2)
        Corners of the outline.
    centres : (m, 2)
        Of the voxels they belong to.
    """

    points: Array
    centres: Array

    def in_space(self, height: float, thickness: float) -> Array:
        """Every point of the slice that can be a corner of the solid it is a slice of, (k, 3)."""
        flat = np.column_stack([np.full(len(self.points), height), self.points])
        caps = [np.column_stack([np.full(len(self.centres), height + side * thickness / 2), self.centres]) for side in (-1, 1)]
        return np.concatenate([flat, *caps])


def _outline(mask: BoolArray, steps: tuple[float, ...]) -> _Outline:
    """The convex outline of a flat mask that is not empty: only the ends of its rows can be corners."""
    rows = np.flatnonzero(mask.any(1))
    held = mask[rows]
    first = held.argmax(1)
    last = mask.shape[1] - 1 - held[:, ::-1].argmax(1)
    centres = np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last])]) * np.array(steps)
    offsets = np.array([[0, 1], [0, -1], [1, 0], [-1, 0]]) * np.array(steps) / 2
    points = (centres[:, None] + offsets).reshape(-1, 2)
    corners = _hull(points)
    return _Outline(points[corners], centres[np.unique(corners // len(offsets))])


def _hull(points: Array) -> Array:
    """Indices of the corners of a convex hull; in a plane they go round it."""
    from scipy.spatial import ConvexHull

    return np.asarray(ConvexHull(points).vertices)


def _longest(points: Array) -> tuple[float, tuple[int, int]]:
    """The two points farthest from each other."""
    middle = (points.min(0) + points.max(0)) / 2
    from_middle = np.linalg.norm(points - middle, axis=1)
    first = int(from_middle.argmax())
    sure = float(np.linalg.norm(points - points[first], axis=1).max())
    able = np.flatnonzero(from_middle + from_middle.max() >= sure)  # the others are too near the middle to be an end
    kept = points[able] - middle
    squares = (kept**2).sum(1)
    best, ends = -1.0, (0, 0)
    for start in range(0, len(kept), BLOCK):
        block = slice(start, start + BLOCK)
        between = squares[block, None] + squares - 2 * kept[block] @ kept.T
        at = int(between.argmax())
        if between.flat[at] > best:
            best, ends = float(between.flat[at]), (start + at // len(kept), at % len(kept))
    a, b = int(able[ends[0]]), int(able[ends[1]])
    return float(np.linalg.norm(points[a] - points[b])), (a, b)


def _perpendicular(outline: Array, a: Array, b: Array) -> tuple[float, tuple[Array, Array]]:
    """The longest line across a convex outline at right angles to the one from a to b; it passes through a corner."""
    along = (b - a) / np.linalg.norm(b - a)
    aside = np.array([-along[1], along[0]])
    u, v = (outline - a) @ along, (outline - a) @ aside
    u = np.clip(u, 0.0, np.linalg.norm(b - a))
    upper, lower = (_chain(u, v, side) for side in (1, -1))
    widths = upper(u) - lower(u)
    at = int(widths.argmax())
    ends = tuple(a + u[at] * along + float(edge(u[at])) * aside for edge in (lower, upper))
    return float(widths[at]), (ends[0], ends[1])


def _chain(u: Array, v: Array, side: int) -> _Edge:
    mine = side * v >= 0  # the line from a to b parts the outline in two
    order = np.lexsort((side * v[mine], u[mine]))
    return _Edge(np.concatenate([[0.0], u[mine][order], [u.max()]]), np.concatenate([[0.0], v[mine][order], [0.0]]))


@dataclass(frozen=True, slots=True)
class _Edge:
    """One side of an outline, over the line that parts it."""

    u: Array
    v: Array

    def __call__(self, u: Array) -> Array:
        return np.asarray(np.interp(u, self.u, self.v))


def _voxel(point: Array, steps: tuple[float, ...], order: tuple[int, ...]) -> Point:
    found = [0.0, 0.0, 0.0]
    for axis, value, step in zip(order, point, steps, strict=True):
        found[axis] = float(value / step)
    return found[0], found[1], found[2]
