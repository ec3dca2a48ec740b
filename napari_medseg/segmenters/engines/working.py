"""The grid a network works on: the scan turned, resampled and scaled as its description says, and answers brought back.

Sampling is linear between voxel centres and keeps the outer faces of the grid (as torch's `align_corners=False`), from array to array, so that the same scan
stored the other way round gives the same answer to the bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.segmenters.engines.description import Input, Intensity
from napari_medseg.segmenters.protocol import Box, Focus
from napari_medseg.segmenters.slices import box_in_file, place_in_view, thick_axis
from napari_medseg.segmenters.window import Place
from napari_medseg.volume import Array, AxisMap, FloatArray, Geometry, Shape, Volume, axis_map

Taps = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]


class Working:
    """A scan on a network's grid.

    Parameters
    ----------
    volume : Volume
    wanted : Input

    Attributes
    ----------
    turn : AxisMap
        From the file's axes to the network's; with single slices the first axis runs across them.
    source, shape : (z, y, x)
        The turned grid before and after resampling.
    """

    def __init__(self, volume: Volume, wanted: Input) -> None:
        self._volume, self._wanted = volume, wanted
        self.turn = _turn(volume.geometry, wanted)
        grid = self.turn.geometry(volume.geometry)
        self.source: Shape = grid.shape
        self.shape = _shape(grid, wanted)
        self._maps: FloatArray | None = None

    def image(self) -> FloatArray:
        """The network's input, float32 (c, *shape)."""
        array = self._volume.array
        turned = self.turn.view(array if array.ndim == 4 else array[None])
        return resampled(np.stack([scaled(channel, self._wanted.intensity) for channel in turned]), self.shape)

    def focus(self, focus: Focus) -> Place | None:
        """The slice in view on this grid, None along the other axes; None when nobody looks."""
        return place_in_view(focus, self.turn, self.source, self.shape)

    def back(self, box: Box, maps: FloatArray) -> tuple[Box, FloatArray]:
        """A box of maps (n, *box) on this grid, as a box of maps in the file's array.

        Where the grids differ, what was brought back before is kept, since values between two boxes need both; until there are both, one counts alone.
        """
        if self.shape != self.source:
            if self._maps is None:
                self._maps = np.full((len(maps), *self.shape), np.nan, dtype=np.float32)
            self._maps[(slice(None), *box)] = maps
            box, maps = sampled_back(self._maps, box, self.source)
        return box_in_file(self.turn, box, self.source), self.turn.undo(maps)


def scaled(values: Array, how: Intensity) -> FloatArray:
    """One channel (z, y, x) as the network takes it, float32; what is not finite counts for nothing and becomes the lowest value (or the mean)."""
    if how.per == "slice":
        whole = how.model_copy(update={"per": "volume"})
        return np.stack([scaled(plane, whole) for plane in values])
    numbers = values.astype(np.float32)
    if how.kind == "none":
        return np.nan_to_num(numbers, nan=0.0, posinf=0.0, neginf=0.0)
    fine = np.isfinite(numbers)
    counted = numbers[fine & (numbers != 0)] if how.nonzero else numbers[fine]
    low, high = _ends(counted, how)
    if how.kind == "z-score":
        clipped = np.clip(counted, low, high).astype(np.float64)
        mean = how.mean if how.mean is not None else float(clipped.mean()) if clipped.size else 0.0
        std = how.std if how.std is not None else float(clipped.std()) if clipped.size else 0.0
        centred = (np.clip(np.where(fine, numbers, mean), low, high) - mean) / (std if std > 0 else 1.0)
        return np.asarray(np.where(fine & ((numbers != 0) | (not how.nonzero)), centred, 0), dtype=np.float32)
    below, above = how.range
    if not high > low:
        return np.full(numbers.shape, below, dtype=np.float32)
    share = np.clip((np.where(fine, numbers, low).astype(np.float64) - low) / (high - low), 0, 1)
    return np.asarray(below + share * (above - below), dtype=np.float32)


def resampled(image: FloatArray, shape: Shape) -> FloatArray:
    """Maps (n, z, y, x) at another size, linearly."""
    for axis, (old, new) in enumerate(zip(image.shape[1:], shape, strict=True)):
        if old != new:
            image = _along(image, axis + 1, _taps(old, new, 0, new))
    return np.ascontiguousarray(image)


def _ends(counted: FloatArray, how: Intensity) -> tuple[float, float]:
    if how.kind == "percentiles" and counted.size:
        low, high = np.percentile(counted, [how.low, how.high])
        return float(low), float(high)
    if how.within is not None and counted.size:
        low, high = np.percentile(counted, how.within)
        return float(low), float(high)
    if how.kind in ("clip", "z-score"):
        return -np.inf if how.low is None else how.low, np.inf if how.high is None else how.high
    return (float(counted.min()), float(counted.max())) if counted.size else (0.0, 0.0)


def _turn(geometry: Geometry, wanted: Input) -> AxisMap:
    turn = axis_map(geometry, wanted.orientation)
    if wanted.dims == 3:
        return turn
    across = {"axial": 0, "coronal": 1, "sagittal": 2}.get(wanted.slices, thick_axis(turn.geometry(geometry).spacing))
    axes = (across, *(axis for axis in range(3) if axis != across))
    return AxisMap(tuple(turn.order[a] for a in axes), tuple(turn.flipped[a] for a in axes))  # type: ignore[arg-type]


def _shape(grid: Geometry, wanted: Input) -> Shape:
    shape = list(grid.shape)
    for axis in range(wanted.dims == 2, 3):
        if wanted.fit == "resize":
            shape[axis] = wanted.size[axis]
        elif wanted.spacing is not None:
            shape[axis] = max(1, round(shape[axis] * grid.spacing[axis] / wanted.spacing[axis]))
    return shape[0], shape[1], shape[2]


def _taps(old: int, new: int, start: int, stop: int) -> Taps:
    """Neighbours below and above in the old grid, and the share of the one above, for indices start..stop of the new grid."""
    place = np.clip((np.arange(start, stop) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.floor(place).astype(np.intp)
    return low, np.minimum(low + 1, old - 1), (place - low).astype(np.float32)


def _along(image: FloatArray, axis: int, taps: Taps) -> FloatArray:
    low, high, share = taps
    weight = share.reshape([-1 if a == axis else 1 for a in range(image.ndim)])
    first, second = image.take(low, axis), image.take(high, axis)
    between = np.asarray(first + (second - first) * weight)
    unknown = np.isnan(between)
    if unknown.any():
        between[unknown] = np.where(np.isnan(first), second, first)[unknown]
    return between


def sampled_back(maps: FloatArray, box: Box, source: Shape) -> tuple[Box, FloatArray]:
    """The voxels of the source grid that take something from a box of maps (n, *working; NaN where nothing is known yet), and their values."""
    found = []
    for axis, (part, n) in enumerate(zip(box, source, strict=True)):
        low, high, _ = taps = _taps(maps.shape[axis + 1], n, 0, n)
        touched = np.flatnonzero((high >= part.start) & (low < part.stop))
        start, stop = (int(touched[0]), int(touched[-1]) + 1) if touched.size else (0, 0)
        found.append(slice(start, stop))
        near = slice(int(low[start]), int(high[stop - 1]) + 1) if stop else slice(0, 0)
        maps = maps[(slice(None),) * (axis + 1) + (near,)]
        maps = _along(maps, axis + 1, (taps[0][start:stop] - near.start, taps[1][start:stop] - near.start, taps[2][start:stop]))
    return (found[0], found[1], found[2]), np.nan_to_num(maps, nan=0.0)
