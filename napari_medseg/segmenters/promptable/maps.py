"""Prompts drawn on the working grid, as the network was shown them: points as balls, strokes, filled boxes and outlines, the last answer.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage as ndi

from napari_medseg.segmenters.promptable.encode import FADE, Marks, add_point
from napari_medseg.segmenters.promptable.grid import Grid
from napari_medseg.segmenters.promptable.pointed import Pointed, Positions
from napari_medseg.volume import BoolArray, FloatArray


def marks(prompts: Pointed, grid: Grid, previous: FloatArray | None = None) -> Marks:
    """Prompts on the working grid.

    Parameters
    ----------
    previous : float32 (side, side, side), optional
        Probability of the last answer, on the working grid; nothing where it is not given.

    Returns
    -------
    Marks
        Points beyond the cube are left out, strokes and areas beyond it are cut.
    """
    made = Marks.none((grid.side,) * 3)
    for drawn, target in ((prompts.strokes, made.positive_strokes), (prompts.background, made.negative_strokes)):
        target.copy_(torch.from_numpy(stroked(drawn, grid)))
    if not (len(prompts.strokes) or (prompts.signs > 0).any()):
        for at in implied(prompts, grid):
            add_point(made.positive_points, at)
    for point, sign in zip(grid.inside(prompts.points), prompts.signs, strict=True):
        own, other = (made.positive_points, made.negative_points) if sign > 0 else (made.negative_points, made.positive_points)
        if ((point > -1) & (point < grid.side)).all():
            add_point(own, tuple(point))
            for older in (other, made.positive_strokes, made.negative_strokes):
                older *= FADE
    made.positive_areas.copy_(torch.from_numpy(filled(prompts.areas, grid).astype(np.float32)))
    if previous is not None:
        made.previous.copy_(torch.from_numpy(previous))
    return made


def implied(prompts: Pointed, grid: Grid) -> list[tuple[float, ...]]:
    """Where one would click who only drew areas or gave a mask: the middle of each area, the deepest voxel of the mask; coordinates in the cube."""
    found = []
    for area in prompts.areas:
        voxels = np.argwhere(filled([area], grid))
        if len(voxels):
            found.append(voxels[((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1).argmin()])
    held = np.asarray(stroked(prompts.mask, grid) > 0)
    if held.any():
        depth = ndi.distance_transform_edt(held)
        found.append(np.array(np.unravel_index(depth.argmax(), depth.shape)))
    return [tuple(float(at) for at in voxel) for voxel in found]


def stroked(voxels: Positions, grid: Grid) -> FloatArray:
    """Voxels of the scan, (n, 3) coordinates z, y, x, as a map of the cube, 0 and 1: float32 (side, side, side)."""
    drawn = np.zeros((grid.side,) * 3, np.float32)
    at = np.rint(grid.inside(voxels)).astype(int)
    at = at[((at >= 0) & (at < grid.side)).all(axis=1)]
    drawn[tuple(at.T)] = 1
    return drawn


def filled(areas: Iterable[Positions], grid: Grid) -> BoolArray:
    """Boxes (2, 3) and outlines (3 or more, 3), voxel coordinates of the scan, filled; what is flat is one layer thick."""
    inside = np.zeros((grid.side,) * 3, bool)
    for area in areas:
        if len(area) > 2:
            inside |= lassoed(grid.inside(area), grid.side)
            continue
        first, last = grid.inside(area[0]), grid.inside(area[1])
        middle = np.rint((first + last) / 2)
        first, last = (np.where(last - first < 1, middle, end) for end in (first, last))
        inside[tuple(slice(max(0, int(np.ceil(a - 1e-6))), max(0, int(np.floor(b + 1e-6)) + 1)) for a, b in zip(first, last, strict=True))] = True
    return inside


def lassoed(outline: Positions, side: int) -> BoolArray:
    """Voxels of a cube within half a voxel of an outline's plane and inside the outline.

    Parameters
    ----------
    outline : (n, 3) coordinates in the cube
        Any plane; what does not lie in one is taken by the plane nearest to it.
    """
    middle = outline.mean(axis=0)
    across, along, normal = np.linalg.svd(outline - middle, full_matrices=True)[2]
    low = np.clip(np.floor(outline.min(axis=0)) - 1, 0, side).astype(int)
    high = np.clip(np.ceil(outline.max(axis=0)) + 2, 0, side).astype(int)
    inside = np.zeros((side,) * 3, bool)
    if (high <= low).any():
        return inside
    where = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    offset = where - middle
    height = offset @ normal
    near = (height > -0.5 - 1e-6) & (height <= 0.5 - 1e-6)
    at = offset[near]
    corners = (outline - middle) @ np.stack([across, along], axis=1)
    held = np.zeros(where.shape[:3], bool)
    held[near] = _within(np.stack([at @ across, at @ along], axis=1), corners)
    inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = held
    return inside


def _within(points: Positions, polygon: Positions) -> npt.NDArray[np.bool_]:
    """Which points (n, 2) lie inside a closed polygon (m, 2): those from which a ray crosses it an odd number of times."""
    odd = np.zeros(len(points), bool)
    for (ay, ax), (by, bx) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if ay == by:
            continue
        crosses = ((points[:, 0] >= ay) != (points[:, 0] >= by)) & (points[:, 1] < ax + (points[:, 0] - ay) * (bx - ax) / (by - ay))
        odd ^= crosses
    return odd
