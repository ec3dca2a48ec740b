"""A region in ever larger voxels: two along each of the axes with the smallest steps become one, so that thick slices wait until pixels are as large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_medseg.volume import BoolArray, FloatArray, Shape, Spacing
from napari_medseg.weaklabel.compiled import compiled, in_parts
from napari_medseg.weaklabel.multigrid import joined_axes
from napari_medseg.weaklabel.scribble_region import Factor, Region

PER_PART = 65536  # voxels that pay for a thread


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A region in voxels of one size.

    Attributes
    ----------
    times : three int
        Voxels of the level before this one along each axis of a voxel here.
    spacing : mm per voxel here (z, y, x)
    contrast : float32, (z, y, x) with a rim of one voxel
    closed : bool (z, y, x)
        Where the scan holds no number.
    """

    times: Factor
    spacing: Spacing
    contrast: FloatArray
    closed: BoolArray

    @property
    def shape(self) -> Shape:
        """Voxels here (z, y, x)."""
        return self.closed.shape[0], self.closed.shape[1], self.closed.shape[2]


class Levels:
    """The levels of one region, each made when it is first asked for."""

    def __init__(self, region: Region) -> None:
        self._kept = [Level((1, 1, 1), region.spacing, np.pad(region.contrast, 1), region.closed)]

    def __getitem__(self, index: int) -> Level:
        """A level, 0 being the region's own voxels."""
        while len(self._kept) <= index:
            fine = self._kept[-1]
            times = joined_axes(fine.shape, fine.spacing)
            z, y, x = (step * t for step, t in zip(fine.spacing, times, strict=True))
            contrast, closed = pooled(fine.contrast[1:-1, 1:-1, 1:-1], times), pooled(fine.closed.astype(np.float32), times) > 0.5
            self._kept.append(Level(times, (z, y, x), np.pad(contrast, 1), closed))
        return self._kept[index]


def pooled(values: FloatArray, times: Factor) -> FloatArray:
    """Means of blocks of voxels, float32 (z, y, x); blocks at the end may be smaller."""
    z, y, x = (-(-n // t) for n, t in zip(values.shape, times, strict=True))
    out = np.empty((z, y, x), np.float32)
    in_parts(_pool, z, np.ascontiguousarray(values), times, out, least=max(1, PER_PART * z // values.size))
    return out


def any_of(marked: BoolArray, times: Factor) -> BoolArray:
    """Whether any voxel of a block is marked, bool (z, y, x)."""
    z, y, x = (-(-n // t) for n, t in zip(marked.shape, times, strict=True))
    out = np.zeros((z, y, x), bool)
    _any(marked, times, out)
    return out


@compiled
def _pool(start: int, stop: int, values: FloatArray, times: Factor, out: FloatArray) -> None:
    depth, height, width = values.shape
    for k in range(start, stop):
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                total, count = np.float32(0), 0
                for c in range(k * times[0], min((k + 1) * times[0], depth)):
                    for b in range(j * times[1], min((j + 1) * times[1], height)):
                        for a in range(i * times[2], min((i + 1) * times[2], width)):
                            total, count = total + values[c, b, a], count + 1
                out[k, j, i] = total / np.float32(count)


@compiled
def _any(marked: BoolArray, times: Factor, out: BoolArray) -> None:
    depth, height, width = marked.shape
    row = np.empty(width, np.bool_)
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            row[:] = False
            for c in range(k * times[0], min((k + 1) * times[0], depth)):
                for b in range(j * times[1], min((j + 1) * times[1], height)):
                    line = marked[c, b]
                    for x in range(width):
                        row[x] |= line[x]
            for i in range(out.shape[2]):
                for x in range(i * times[2], min((i + 1) * times[2], width)):
                    out[k, j, i] |= row[x]
