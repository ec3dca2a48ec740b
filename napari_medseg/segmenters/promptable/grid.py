"""The working grid: a cube of even voxels laid over a part of the scan, and the way there and back.

All positions here are voxel coordinates of the scan (z, y, x), fractions allowed; the scan's own axes are kept. What is coarser than the scan is averaged over
what it covers, what is finer is put on straight lines between the scan's voxels, and beyond the scan its edge is repeated: as the network was trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import FloatArray, Shape, Spacing

Box = tuple[slice, slice, slice]
Positions = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grid:
    """A cube of the scan.

    Attributes
    ----------
    centre : (z, y, x) voxel coordinates of the scan
    spacing : float
        Of the cube's voxels, mm, the same along all axes.
    side : int
        Voxels along each axis.
    scan : (z, y, x) mm
        Spacing of the scan.
    """

    centre: tuple[float, float, float]
    spacing: float
    side: int
    scan: Spacing

    def inside(self, voxels: npt.ArrayLike) -> Positions:
        """Coordinates in the cube, (..., 3), of voxel coordinates of the scan (..., 3)."""
        offset = (np.asarray(voxels, dtype=float) - np.array(self.centre)) * np.array(self.scan)
        return np.asarray(offset / self.spacing + (self.side - 1) / 2)

    def outside(self, voxels: npt.ArrayLike) -> Positions:
        """Voxel coordinates of the scan, (..., 3), of coordinates in the cube (..., 3)."""
        offset = (np.asarray(voxels, dtype=float) - (self.side - 1) / 2) * self.spacing
        return np.asarray(offset / np.array(self.scan) + np.array(self.centre))

    def box(self, shape: Shape) -> Box:
        """The part of the scan whose voxels lie in the cube; at least one voxel along each axis."""
        first, last = self.outside(np.full(3, -0.5)), self.outside(np.full(3, self.side - 0.5))
        low = np.clip(np.ceil(first), 0, np.array(shape) - 1).astype(int)
        high = np.clip(np.floor(last) + 1, low + 1, shape).astype(int)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))

    def sample(self, array: npt.NDArray[Any]) -> FloatArray:
        """The scan (z, y, x) in the cube, float32; only the part that is needed is read. What is no number counts as the least value near it."""
        taken, weights = [], []
        for axis, (length, spacing) in enumerate(zip(array.shape, self.scan, strict=True)):
            at = self.outside(np.arange(self.side)[:, None] * np.eye(3)[axis])[:, axis]
            first, matrix = _averaging(at, length, max(1.0, self.spacing / spacing))
            taken.append(slice(first, first + matrix.shape[1]))
            weights.append(matrix)
        part = np.array(array[tuple(taken)], dtype=np.float32, order="C")
        bad = ~np.isfinite(part)
        if bad.any():
            part = np.where(bad, part[~bad].min() if not bad.all() else 0.0, part)
        return _through(part, weights)

    def place(self, values: FloatArray, box: Box) -> FloatArray:
        """Values of the cube (z, y, x) on the voxels of the scan in `box`, on straight lines between them."""
        weights = []
        for axis, part in enumerate(box):
            at = self.inside(np.arange(part.start, part.stop)[:, None] * np.eye(3)[axis])[:, axis]
            first, matrix = _averaging(at, self.side, 1.0)
            whole = np.zeros((len(at), self.side), np.float32)
            whole[:, first : first + matrix.shape[1]] = matrix
            weights.append(whole)
        return _through(values, weights)


def _averaging(at: Positions, length: int, width: float) -> tuple[int, FloatArray]:
    """Tents of `width` voxels around positions on an axis of so many voxels: the first voxel needed, and weights (positions, voxels) that add up to one."""
    held = np.clip(at, 0, length - 1)
    first = int(np.clip(np.floor(held.min() - width), 0, length - 1))
    last = int(np.clip(np.ceil(held.max() + width), first, length - 1))
    weights = np.clip(1 - np.abs(held[:, None] - np.arange(first, last + 1)) / width, 0, None)
    return first, np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _through(values: FloatArray, weights: list[FloatArray]) -> FloatArray:
    """Values (z, y, x) by a matrix along each axis; the axis that shrinks most goes first."""
    for axis in sorted(range(3), key=lambda axis: weights[axis].shape[0] / weights[axis].shape[1]):
        values = np.moveaxis(np.tensordot(weights[axis], values, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(values, dtype=np.float32)
