"""Where a level set works: a box of the scan around what it can reach, and which of its voxels the front may enter.

Nothing here costs more than writing one byte a voxel of the box once: distances to seeds are balls drawn row by row, never a map of distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.volume import BoolArray, Shape, Spacing
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.blank import blank
from napari_medseg.weaklabel.compiled import compiled, in_parts
from napari_medseg.weaklabel.samples import reach_from, reach_of
from napari_medseg.weaklabel.scene import Box, IntArray
from napari_medseg.weaklabel.settings import LevelSetSettings

SURROUNDINGS = 1.5  # times the reach: where the background is looked at when nothing was painted
GRAIN = 8.0  # a mask's reach is drawn from voxels a reach / GRAIN apart
DIRECTIONS = 500  # in which the end of the reach is watched, from each seed
WATCHED = 64  # seeds


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a person gave; arrays are the scan's (z, y, x).

    Attributes
    ----------
    image : any real type
    spacing : mm per voxel (z, y, x)
    points : (n, 3) voxel indices
        Seeds.
    limit, init, barrier : bool or None
    probability : float or None
    unit : str
        What grey values are called, such as "HU"; "" for nothing.
    """

    image: npt.NDArray[Any]
    spacing: Spacing
    points: IntArray
    limit: BoolArray | None
    init: BoolArray | None
    barrier: BoolArray | None
    probability: npt.NDArray[Any] | None
    unit: str = ""

    @property
    def shape(self) -> Shape:
        """Of the scan."""
        return self.image.shape[0], self.image.shape[1], self.image.shape[2]


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The box that is worked on; arrays are the box's (z, y, x), what is given as views.

    Attributes
    ----------
    box : three slices of the scan
    points : (n, 3) voxel indices in the box
        Seeds that count.
    allowed : bool
        Where the front may be.
    kept : bool
        Voxels that never leave.
    rim : (n,) flat indices
        Voxels at the end of the reach, spread evenly; none where a limit was painted.
    reach_mm : float
    """

    box: Box
    given: Given
    points: IntArray
    allowed: BoolArray
    kept: BoolArray
    rim: IntArray
    reach_mm: float

    @property
    def shape(self) -> Shape:
        """Of the box."""
        return self.allowed.shape[0], self.allowed.shape[1], self.allowed.shape[2]

    def part(self, array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        """A scan's array (z, y, x) as the box's view."""
        return None if array is None else array[self.box]

    @property
    def first_mask(self) -> BoolArray | None:
        """The mask given to start from, bool, the box's (z, y, x)."""
        return None if self.given.init is None else self.given.init[self.box] & self.allowed

    def place(self, box: Box, part: BoolArray) -> BoolArray:
        """A mask (z, y, x) in another box of the scan, in this one: bool, False where that box does not reach."""
        mask = blank(self.shape)
        both = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, self.box, strict=True))
        if all(each.start < each.stop for each in both):
            here, there = (tuple(slice(e.start - o.start, e.stop - o.start) for e, o in zip(both, origin, strict=True)) for origin in (self.box, box))
            mask[here] = part[there]
        return mask


def cut(given: Given, settings: LevelSetSettings, least: Box | None = None, least_reach_mm: float = 0.0) -> Ground:
    """The box around all that can be reached, at least as large as `least`; where the reach is left to the data it is at least so far."""
    spacing, points = given.spacing, given.points
    reach = settings.reach_mm or max(least_reach_mm, reach_from(given.image, points, spacing) if given.limit is None else reach_of(points, spacing))
    boxes = [] if least is None else [least]
    if given.limit is not None:
        boxes.append(box_of(given.limit, settings.shell_mm + 1, spacing))
        points = points[given.limit[tuple(points.T)]]
    else:
        if given.init is not None and given.init.any():
            boxes.append(box_of(given.init, SURROUNDINGS * reach, spacing))
        if points.size:
            boxes.append(scene.box_around_points(points, SURROUNDINGS * reach, spacing, given.shape))
    box = boxes[0]
    for other in boxes[1:]:
        box = scene.joined(box, other)
    points = points - [part.start for part in box]
    sides = [part.stop - part.start for part in box]
    shape: Shape = (sides[0], sides[1], sides[2])
    if given.limit is not None:
        allowed, rim = given.limit[box].copy(), np.zeros(0, np.intp)
        if given.image.dtype.kind == "f":
            allowed &= np.isfinite(given.image[box])
    else:
        allowed = blank(shape)
        centres = points if given.init is None else np.concatenate([points, _grains(given.init[box], reach / GRAIN, spacing)])
        draw_balls(allowed, centres, reach, spacing)
        if given.init is not None:
            allowed |= given.init[box]
        rim = _rim(centres, reach, shape, spacing)
    if given.barrier is not None:
        allowed &= ~given.barrier[box]
    kept = blank(shape)
    kept[tuple(points.T)] = allowed[tuple(points.T)]
    return Ground(box, given, points, allowed, kept, rim, reach)


def box_of(mask: BoolArray, margin_mm: float, spacing: Spacing) -> Box:
    """The smallest box around a mask, bool (z, y, x), wider by a margin in mm, within the array; looks at a scan's slices once.

    Raises
    ------
    InvalidInputError
        When the mask is empty.
    """
    slices = [z for z in range(len(mask)) if mask[z].any()]
    if not slices:
        raise scene.nowhere()
    plane: BoolArray = np.asarray(mask[slices[0] : slices[-1] + 1].any(0))
    parts = []
    for axis, hits in enumerate((np.array(slices), np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0)))):
        margin = int(np.ceil(margin_mm / spacing[axis]))
        parts.append(slice(max(0, int(hits[0]) - margin), min(mask.shape[axis], int(hits[-1]) + margin + 1)))
    return parts[0], parts[1], parts[2]


def draw_balls(mask: BoolArray, centres: IntArray, radius_mm: float, spacing: Spacing, value: bool = True) -> None:
    """Set every voxel whose centre lies within a distance of some voxels', which may lie outside the array; these voxels always.

    The mask is bool (z, y, x) in C order, changed in place; centres are (n, 3) voxel indices.
    """
    rows = mask.shape[0] * mask.shape[1]
    in_parts(_balls, rows, mask.reshape(-1), np.ascontiguousarray(centres, np.float64), float(radius_mm), *mask.shape, *spacing, value, least=256)


def rooms_with(mask: BoolArray, marks: BoolArray) -> BoolArray:
    """The pieces of a mask, joined through faces, that hold a mark; all three bool (z, y, x)."""
    pieces, count = ndi.label(mask)
    stay = np.zeros(count + 1, bool)
    stay[np.unique(pieces[marks])] = True
    stay[0] = False
    return np.asarray(stay[pieces])


def cut_off(mask: BoolArray, barred: BoolArray, kept: BoolArray) -> BoolArray:
    """A mask without what a barrier severs from the seeds; pieces that never hung together with a seed stay.

    Parameters
    ----------
    mask, barred, kept : bool (z, y, x)
    """
    whole, count = ndi.label(mask)
    pieces, parts = ndi.label(mask & ~barred)
    owner = np.zeros(parts + 1, np.intp)
    owner[pieces] = whole
    seeded = np.zeros(count + 1, bool)
    seeded[np.unique(whole[kept & mask])] = True
    stay = ~seeded[owner]
    stay[np.unique(pieces[kept])] = True
    stay[0] = False
    return np.asarray(stay[pieces])


@compiled
def _balls(
    start: int, stop: int, mask: npt.NDArray[np.bool_], centres: npt.NDArray[np.float64], radius: float, nz: int, ny: int, nx: int, sz: float, sy: float,
    sx: float, value: bool,
) -> None:
    for row in range(start, stop):
        z, y = row // ny, row % ny
        for k in range(len(centres)):
            dz, dy = (z - centres[k, 0]) * sz, (y - centres[k, 1]) * sy
            rest = radius * radius * (1 + 1e-9) - dz * dz - dy * dy
            if rest < 0:
                continue
            half = np.sqrt(rest) / sx
            first, last = max(0, int(np.ceil(centres[k, 2] - half))), min(nx - 1, int(np.floor(centres[k, 2] + half)))
            for v in range(row * nx + first, row * nx + last + 1):
                mask[v] = value


def _grains(mask: BoolArray, step_mm: float, spacing: Spacing) -> IntArray:
    """Voxels of a mask, about one in every cube of some mm; each voxel of the mask lies near one."""
    places = np.argwhere(mask)
    cells = (places * np.array(spacing) / step_mm).astype(np.intp)
    _, first = np.unique(np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1)), return_index=True) if len(places) else (None, np.zeros(0, int))
    return np.asarray(places[first], np.intp)


def _rim(centres: IntArray, reach_mm: float, shape: Shape, spacing: Spacing) -> IntArray:
    """Voxels just within the reach, spread over the surface of the union of balls; not where the scan ends before."""
    some = centres[:: max(1, len(centres) // WATCHED)]
    turn = np.arange(DIRECTIONS) * np.pi * (3 - 5**0.5)
    height = 1 - (2 * np.arange(DIRECTIONS) + 1) / DIRECTIONS
    flat = np.sqrt(1 - height**2)
    directions = np.stack([height, flat * np.sin(turn), flat * np.cos(turn)], axis=1)
    step = max(spacing[1:])
    mm = some * np.array(spacing)
    if shape[0] == 1:
        directions = directions[np.abs(directions[:, 0]) * reach_mm < spacing[0]]
    ends = (mm[:, None] + directions * max(reach_mm - 0.75 * step, 0)).reshape(-1, 3)
    away = np.min([np.linalg.norm(ends - each, axis=1) for each in mm], axis=0) if len(mm) else np.zeros(0)
    voxels = np.rint(ends / np.array(spacing)).astype(np.intp)[away > reach_mm - 1.5 * step]
    voxels = voxels[((voxels >= 0) & (voxels < shape)).all(axis=1)]
    return np.asarray(np.ravel_multi_index(tuple(voxels.T), shape), np.intp) if len(voxels) else np.zeros(0, np.intp)
