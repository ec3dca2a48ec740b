"""Coarser levels of a volume: the mean of blocks for scans, every second voxel for label maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_medseg.volume import Array, Geometry

SMALL = 128  # voxels along the longest axis below which no coarser level is made
EVEN = 1.5  # an axis is halved while its spacing is below this many times the finest


@dataclass(frozen=True, slots=True)
class Level:
    """A level of a pyramid.

    Attributes
    ----------
    array : (z, y, x) or (c, z, y, x)
    scale : (z, y, x)
        Voxels of the finest level that a voxel spans.
    shift : (z, y, x)
        Where voxel [0, 0, 0] lies, in voxels of the finest level.
    """

    array: Array
    scale: tuple[int, int, int]
    shift: tuple[float, float, float]


def pyramid(array: Array, geometry: Geometry, labels: bool) -> Iterator[Level]:
    """The volume itself and coarser ones, until the longest axis is short; axes with the largest spacing are halved last.

    The array is (z, y, x) or (c, z, y, x).
    """
    scale, shift = np.ones(3, int), np.zeros(3)
    spacing = np.array(geometry.spacing)
    yield Level(array, (1, 1, 1), (0.0, 0.0, 0.0))
    while max(array.shape[-3:]) > SMALL:
        finest = min(s * f for s, f, n in zip(spacing, scale, array.shape[-3:], strict=True) if n > 1)
        halve = [n > 1 and s * f < EVEN * finest for s, f, n in zip(spacing, scale, array.shape[-3:], strict=True)]
        steps = np.where(halve, 2, 1)
        array = array[..., :: steps[0], :: steps[1], :: steps[2]] if labels else _mean(array, steps)
        shift = shift if labels else shift + scale * (steps - 1) / 2
        scale = scale * steps
        yield Level(array, tuple(scale.tolist()), tuple(shift.tolist()))


def _mean(array: Array, steps: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Array:
    """Means of blocks, slice by slice; a block that reaches over the edge repeats the last voxels."""
    down, (rows, columns) = int(steps[0]), (-(-array.shape[-2] // int(steps[1])), -(-array.shape[-1] // int(steps[2])))
    slices = -(-array.shape[-3] // down)
    made = np.empty((*array.shape[:-3], slices, rows, columns), array.dtype)
    whole = array.dtype.kind in "ui"
    for z in range(slices):
        block = array[..., z * down : (z + 1) * down, :, :].mean(axis=-3, dtype=np.float64)
        missing = [(0, rows * int(steps[1]) - block.shape[-2]), (0, columns * int(steps[2]) - block.shape[-1])]
        block = np.pad(block, [(0, 0)] * (block.ndim - 2) + missing, "edge")
        block = block.reshape(*block.shape[:-2], rows, int(steps[1]), columns, int(steps[2])).mean(axis=(-3, -1))
        made[..., z, :, :] = np.rint(block) if whole else block
    return made
