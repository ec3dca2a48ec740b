"""A volume in tiles: what a front needs is made where it is about to come, and only there.

A tile is made from a block that is wider than it by a halo, so that what a filter gives on a tile is bit for bit what it gives on the whole volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray, Shape
from napari_medseg.weaklabel.compiled import compiled
from napari_medseg.weaklabel.scene import Box

TILE = 32
TRUNCATE = 3.0  # a Gaussian is cut off at this many sigmas

Triple = tuple[int, int, int]


def grid_of(shape: Shape) -> Triple:
    """How many tiles a volume has along each axis."""
    z, y, x = (-(-n // TILE) for n in shape)
    return z, y, x


def tile_box(tile: Triple, shape: Shape) -> Box:
    """The voxels of a tile."""
    z, y, x = (slice(i * TILE, min(n, (i + 1) * TILE)) for i, n in zip(tile, shape, strict=True))
    return z, y, x


def widened(box: Box, shape: Shape, halo: Sequence[int]) -> Box:
    """A box wider by some voxels on all sides, within the volume."""
    z, y, x = (slice(max(0, part.start - h), min(n, part.stop + h)) for part, n, h in zip(box, shape, halo, strict=True))
    return z, y, x


def tiles_in(box: Box, shape: Shape) -> BoolArray:
    """Which tiles a box of voxels touches: bool, one a tile."""
    touched = np.zeros(grid_of(shape), bool)
    touched[tuple(slice(part.start // TILE, -(-part.stop // TILE)) for part in box)] = True
    return touched


def tiles_of(points: npt.NDArray[np.intp], shape: Shape) -> BoolArray:
    """Which tiles hold these voxels, (n, 3): bool, one a tile."""
    touched = np.zeros(grid_of(shape), bool)
    touched[tuple((points // TILE).T)] = True
    return touched


def inner(box: Box, block: Box) -> Box:
    """A box in the coordinates of the block around it."""
    z, y, x = (slice(part.start - whole.start, part.stop - whole.start) for part, whole in zip(box, block, strict=True))
    return z, y, x


def listed(tiles: BoolArray) -> Iterator[Triple]:
    """The tiles that are set, in order: (z, y, x) of each in a grid of them, bool, one a tile."""
    for z, y, x in np.argwhere(tiles):
        yield int(z), int(y), int(x)


def gaussian(sigma: float) -> FloatArray:
    """The weights of a Gaussian of `sigma` voxels, float32 (n,), odd in number, summing to 1; a single 1 when sigma is next to nothing."""
    radius = int(np.ceil(TRUNCATE * sigma)) if sigma > 0.1 else 0
    at = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (at / max(sigma, 1e-6)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def smoothed(block: FloatArray, weights: tuple[FloatArray, FloatArray, FloatArray]) -> FloatArray:
    """A block convolved along z, y and x; beyond its faces it goes on as it ends.

    Parameters
    ----------
    block : float32 (z, y, x), C order
        Overwritten.
    weights : float32 along z, y, x
        Odd in number each.

    Returns
    -------
    float32 (z, y, x)
        True to the whole volume wherever the block is wider by half the weights, or ends with the volume.
    """
    other = np.empty_like(block)
    for axis, each in enumerate(weights):
        if len(each) > 1 and block.shape[axis] > 1:
            _convolve(block, each, axis, other)
            block, other = other, block
    return block


@compiled
def _convolve(block: FloatArray, weights: FloatArray, axis: int, out: FloatArray) -> None:
    depth, height, width = block.shape
    radius = len(weights) // 2
    for z in range(depth):
        for y in range(height):
            line = out[z, y]
            line[:] = np.float32(0)
            if axis == 2:
                row = block[z, y]
                for k in range(len(weights)):
                    weight, step = weights[k], k - radius
                    first, last = min(max(0, -step), width), max(min(width, width - step), 0)
                    for x in range(first):
                        line[x] += weight * row[0]
                    for x in range(first, last):
                        line[x] += weight * row[x + step]
                    for x in range(max(first, last), width):
                        line[x] += weight * row[width - 1]
            else:
                for k in range(len(weights)):
                    weight, step = weights[k], k - radius
                    row = block[min(max(z + step, 0), depth - 1), y] if axis == 0 else block[z, min(max(y + step, 0), height - 1)]
                    for x in range(width):
                        line[x] += weight * row[x]
