"""An oblique scan on the patient's own axes, and what was drawn there back on the grid of the file.

Scans are sampled linearly, labels by the nearest voxel. What nobody changed comes back bit for bit, and no voxel that somebody painted is lost on the way:
where two grids are turned against each other some voxels of one hold no centre of the other, so every painted voxel also marks the nearest one of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume.geometry import Geometry
from napari_medseg.volume.orientation import axis_map
from napari_medseg.volume.resample import resample
from napari_medseg.volume.volume import Array, Volume

Box = tuple[slice, slice, slice]

PATIENT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # x to the left, y to the back, z to the feet: the display order
LARGEST_GROWTH = 8.0  # times the voxels of the scan


@dataclass(frozen=True, slots=True)
class Straightening:
    """Between the grid of a file and one along the patient's axes; for labels it serves in the place of an `AxisMap`.

    Attributes
    ----------
    source : Geometry
        The file's grid.
    target : Geometry
        The straight one, which covers all of it.
    """

    source: Geometry
    target: Geometry

    def geometry(self, source: Geometry) -> Geometry:
        """The grid of `apply(array)`."""
        return self.target

    def sampled(self, volume: Volume) -> Volume:
        """A scan on the straight grid, linear between its voxels; outside it, its lowest value."""
        lowest = float(np.nanmin(volume.array)) if volume.array.size else 0.0
        return resample(volume, self.target, fill=lowest if np.isfinite(lowest) else 0.0)

    def apply(self, array: Array) -> Array:
        """Labels of the file on the straight grid, by the nearest voxel."""
        return resample(Volume(array, self.source), self.target, labels=True).array

    def undo(self, array: Array) -> Array:
        """Labels of the straight grid on the file's, by the nearest voxel."""
        return self.undo_changes(array, np.zeros(self.target.shape, array.dtype), np.zeros(self.source.shape, array.dtype))

    def undo_changes(self, labels: Array, before: Array, stored: Array) -> Array:
        """What `stored` becomes when somebody has made `labels` of `before`.

        Parameters
        ----------
        labels, before : integer (z, y, x) on the straight grid
            As they are now, and as they were when nothing was drawn yet.
        stored : integer (z, y, x) on the file's grid
            What `before` was made of.

        Returns
        -------
        integer (z, y, x)
            On the file's grid; the same values as `stored` wherever nothing near was changed.
        """
        after = stored.astype(np.promote_types(stored.dtype, labels.dtype))
        changed = labels != before
        box = _around(changed)
        if box is None:
            return after
        target, part = self.target.cropped(box), np.where(changed[box], labels[box].astype(np.int32) + 1, 0)
        into = self.reach(box)
        view, start = after[into], np.array([side.start for side in into])
        near = resample(Volume(part, target), self.source.cropped(into), labels=True).array
        self._clear_unseen(view, start, near, labels, before)
        where = np.argwhere(part > 0)
        at = np.rint(self.source.voxel(target.world(where))).astype(int)
        inside = self.source.contains(at)
        view[tuple((at[inside] - start).T)] = part[tuple(where[inside].T)] - 1
        view[near > 0] = near[near > 0] - 1
        return after

    def _clear_unseen(self, view: Array, start: Array, near: Array, labels: Array, before: Array) -> None:
        """Voxels of the file that no straight one showed follow their surroundings: where their label has gone from all of it, they go too."""
        unseen = np.argwhere((near == 0) & (view > 0))
        at = np.rint(self.target.voxel(self.source.world(unseen + start))).astype(int)
        at = np.clip(at, 0, np.array(self.target.shape) - 1)
        shown_otherwise = before[tuple(at.T)] != view[tuple(unseen.T)]
        unseen, at = unseen[shown_otherwise], at[shown_otherwise]
        values = view[tuple(unseen.T)]
        there = np.array(list(product((-1, 0, 1), repeat=3)))
        around = np.clip(at[:, None] + there, 0, np.array(self.target.shape) - 1)
        index = tuple(np.moveaxis(around, -1, 0))
        gone = (before[index] == values[:, None]).any(1) & ~(labels[index] == values[:, None]).any(1)
        view[tuple(unseen[gone].T)] = labels[tuple(at[gone].T)]

    def reach(self, box: Box) -> Box:
        """The part of the file's grid that a box of the straight one can touch."""
        corners = np.array(list(product(*((side.start - 0.5, side.stop - 0.5) for side in box))))
        found = self.source.voxel(self.target.world(corners))
        low = np.clip(np.floor(found.min(0)) - 1, 0, np.array(self.source.shape) - 1).astype(int)
        high = np.clip(np.ceil(found.max(0)) + 2, low + 1, self.source.shape).astype(int)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))


def straightening(geometry: Geometry) -> Straightening:
    """The straight grid over all of an oblique one, with its voxel size along the nearest axes.

    Raises
    ------
    InvalidInputError
        When it would hold many times the voxels of the scan, as for a thin slab cut at a slant.
    """
    spacing = np.array(axis_map(geometry).geometry(geometry).spacing)
    outer = geometry.world(np.array(list(product(*((-0.5, n - 0.5) for n in geometry.shape)))))
    low, high = outer.min(0), outer.max(0)
    shape = np.maximum(1, np.ceil((high - low)[::-1] / spacing - 1e-6)).astype(int)
    if np.prod(shape, dtype=float) > LARGEST_GROWTH * np.prod(geometry.shape, dtype=float):
        what = "lies too much at a slant: on the patient's axes most of it would be empty"
        raise InvalidInputError(what, where="Straighten", todo="Work on it as it is stored")
    first = np.array([low[0], low[1], high[2]]) + np.array([1.0, 1.0, -1.0]) * spacing[::-1] / 2
    target = Geometry(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])), spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin=(float(first[0]), float(first[1]), float(first[2])), direction=PATIENT,
    )
    return Straightening(geometry, target)


def _around(mask: Array) -> Box | None:
    sides = []
    for axis in range(3):
        where = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(where):
            return None
        sides.append(slice(int(where[0]), int(where[-1]) + 1))
    return sides[0], sides[1], sides[2]
