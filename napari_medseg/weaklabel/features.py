"""What a pixel classifier looks at: grey value, brightness, edges, ridges and texture at three scales in millimetres.

Slices thicker than a scale are not mixed at it, so that thick slices cost little and stay apart. Filters are cut at three standard deviations and are
computed with a margin, so that a voxel's features do not depend on the part of the scan that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import FloatArray, Spacing
from napari_medseg.weaklabel.compiled import compiled, in_parts
from napari_medseg.weaklabel.scene import Box, joined

SCALES = (1.0, 2.0, 4.0)  # times the finest scale
PER_SCALE = 4
CUT = 3.0
SAMPLE = 200_000
PER_PART = 65536  # voxels that pay for a thread
BLOCK = 12  # finest scales by which the part that is kept grows


class FeatureMaps:
    """The features of a scan, made where they are asked for and kept.

    Parameters
    ----------
    image : (z, y, x), any real type
        What is not a number counts as the scan's median.
    spacing : mm per voxel (z, y, x)
    extra : float32 (c, z, y, x), optional
        More channels on the same grid, for example a network's features.
    typical : (median, width) of grey values, optional
        What values are measured by; those of the whole scan when not given.
    """

    def __init__(
        self, image: npt.NDArray[Any], spacing: Spacing, extra: FloatArray | None = None, typical: tuple[float, float] | None = None,
    ) -> None:
        self._image, self._spacing, self._extra = image, spacing, extra
        self._middle, self._span = typical or _typical(image)
        self._base = finest_scale(spacing)
        self._box: Box | None = None
        self._count = 1 + PER_SCALE * len(SCALES) + (0 if extra is None else extra.shape[0])
        self._kept = np.zeros((0, 0, 0, 0), np.float32)

    def of(self, box: Box) -> FloatArray:
        """The features of a part of the scan: float32 (features, z, y, x), not to be written to."""
        if self._box is None or not _holds(self._box, box):
            self._widen(box if self._box is None else joined(self._box, box))
        assert self._box is not None
        return self._kept[(slice(None), *_within(box, self._box))]

    def _widen(self, box: Box) -> None:
        """Make what is new; what was made stays."""
        new, old = in_blocks(box, self._spacing, self._image.shape), self._box
        kept = np.empty((self._count, *(s.stop - s.start for s in new)), np.float32)
        for part in [new] if old is None else beyond(new, old):
            kept[(slice(None), *_within(part, new))] = self._made(part)
        if old is not None:
            kept[(slice(None), *_within(old, new))] = self._kept
        self._box, self._kept = new, kept

    def _made(self, box: Box) -> FloatArray:
        margins = [int(np.ceil(CUT * self._base * SCALES[-1] / step)) + 1 for step in self._spacing]
        z, y, x = (slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(box, margins, self._image.shape, strict=True))
        values = self._image[z, y, x].astype(np.float32, order="C")
        values[~np.isfinite(values)] = self._middle
        values = (values - np.float32(self._middle)) / np.float32(self._span)
        found = of_values(values, self._spacing)[(slice(None), *_within(box, (z, y, x)))]
        return found if self._extra is None else np.concatenate([found, np.nan_to_num(self._extra[(slice(None), *box)].astype(np.float32))])


def in_blocks(box: Box, spacing: Spacing, shape: tuple[int, ...]) -> Box:
    """A part of a scan made larger to whole blocks, so that it seldom changes while strokes are added."""
    return whole_blocks(box, [max(1, round(BLOCK * finest_scale(spacing) / step)) for step in spacing], shape)


def whole_blocks(box: Box, blocks: Sequence[int], shape: tuple[int, ...]) -> Box:
    """A part of a scan made larger to whole blocks of so many voxels along each axis, counted from the scan's first."""
    z, y, x = (slice(s.start // block * block, min(n, -(-s.stop // block) * block)) for s, block, n in zip(box, blocks, shape, strict=True))
    return z, y, x


def _holds(outer: Box, inner: Box) -> bool:
    return all(a.start <= b.start and b.stop <= a.stop for a, b in zip(outer, inner, strict=True))


def _within(inner: Box, outer: Box) -> Box:
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return z, y, x


def beyond(outer: Box, inner: Box) -> list[Box]:
    """What of a box lies beyond one inside it, in up to six boxes."""
    parts, left = [], list(outer)
    for axis in range(3):
        for side in (slice(outer[axis].start, inner[axis].start), slice(inner[axis].stop, outer[axis].stop)):
            if side.start < side.stop:
                parts.append((*left[:axis], side, *left[axis + 1 :]))
        left[axis] = inner[axis]
    return [(z, y, x) for z, y, x in parts]


def of_values(values: FloatArray, spacing: Spacing) -> FloatArray:
    """The features of finite values, the array's border mirrored.

    Parameters
    ----------
    values : float32 (z, y, x)
    spacing : mm per voxel (z, y, x)

    Returns
    -------
    float32 (features, z, y, x)
        The value itself; then at each scale the Gaussian mean, the length of its gradient, its Laplacian and the standard deviation around it.
    """
    base = finest_scale(spacing)
    found = np.empty((1 + PER_SCALE * len(SCALES), *values.shape), np.float32)
    found[0] = values
    squares = values * values
    for index, times in enumerate(SCALES):
        scale = base * times
        mean, square = smoothed(values, spacing, scale), smoothed(squares, spacing, scale)
        steps = np.array([scale / step for step in spacing], np.float32)
        in_parts(_describe, values.shape[0], mean, square, steps, found[1 + PER_SCALE * index :])
    return found


def finest_scale(spacing: Spacing) -> float:
    """One millimetre, or what the grid can show: between one and two of the finest voxels."""
    finest = min(spacing)
    return float(np.clip(1.0, finest, 2 * finest))


def smoothed(values: FloatArray, spacing: Spacing, scale: float) -> FloatArray:
    """Gaussian mean of an array (z, y, x), float32, with a standard deviation in mm; an axis whose step in mm is far larger is left alone."""
    for axis, step in enumerate(spacing):
        kernel = _gaussian(scale / step)
        if kernel.size > 1 and values.shape[axis] > 1:
            out = np.empty_like(values)
            rows = values.shape[1] if axis == 0 else values.shape[0]
            in_parts((_smooth_z, _smooth_y, _smooth_x)[axis], rows, values, kernel, out, least=max(1, PER_PART * rows // values.size))
            values = out
    return values


def _gaussian(deviation: float) -> FloatArray:
    if deviation < 0.3:
        return np.ones(1, np.float32)
    reach = int(np.ceil(CUT * deviation))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _typical(image: npt.NDArray[Any]) -> tuple[float, float]:
    """Median and width of the scan's grey values, from a sample on a lattice."""
    every = max(1, round((image.size / SAMPLE) ** (1 / 3)))
    start = tuple(min(every // 2, n - 1) for n in image.shape)
    some = image[start[0] :: every, start[1] :: every, start[2] :: every].astype(np.float64)
    some = some[np.isfinite(some)]
    if not some.size:
        return 0.0, 1.0
    low, middle, high = np.percentile(some, [1, 50, 99])
    return float(middle), float(high - low) or float(np.ptp(some)) or 1.0


@compiled
def _mirrored(index: int, size: int) -> int:
    while index < 0 or index >= size:
        index = -index - 1 if index < 0 else 2 * size - 1 - index
    return index


@compiled
def _smooth_z(start: int, stop: int, values: FloatArray, kernel: FloatArray, out: FloatArray) -> None:
    depth, reach, width = values.shape[0], kernel.size // 2, values.shape[2]
    for z in range(depth):
        for y in range(start, stop):
            out[z, y] = np.float32(0)
            for tap in range(kernel.size):
                source, weight = _mirrored(z + tap - reach, depth), kernel[tap]
                for x in range(width):
                    out[z, y, x] += weight * values[source, y, x]


@compiled
def _smooth_y(start: int, stop: int, values: FloatArray, kernel: FloatArray, out: FloatArray) -> None:
    height, reach, width = values.shape[1], kernel.size // 2, values.shape[2]
    for z in range(start, stop):
        for y in range(height):
            out[z, y] = np.float32(0)
            for tap in range(kernel.size):
                source, weight = _mirrored(y + tap - reach, height), kernel[tap]
                for x in range(width):
                    out[z, y, x] += weight * values[z, source, x]


@compiled
def _smooth_x(start: int, stop: int, values: FloatArray, kernel: FloatArray, out: FloatArray) -> None:
    width, reach = values.shape[2], kernel.size // 2
    row = np.empty(width + 2 * reach, np.float32)
    for z in range(start, stop):
        for y in range(values.shape[1]):
            for x in range(row.size):
                row[x] = values[z, y, _mirrored(x - reach, width)]
            out[z, y] = np.float32(0)
            for tap in range(kernel.size):
                weight = kernel[tap]
                for x in range(width):
                    out[z, y, x] += weight * row[x + tap]


@compiled
def _describe(start: int, stop: int, mean: FloatArray, square: FloatArray, steps: FloatArray, out: FloatArray) -> None:
    """Mean, gradient, Laplacian and deviation of slices `start` to `stop`; derivatives in units of the scale."""
    depth, height, width = mean.shape
    half = np.float32(0.5)
    for z in range(start, stop):
        below, above = max(z - 1, 0), min(z + 1, depth - 1)
        for y in range(height):
            before, behind = max(y - 1, 0), min(y + 1, height - 1)
            for x in range(width):
                left, right = max(x - 1, 0), min(x + 1, width - 1)
                here = mean[z, y, x]
                down, up = mean[below, y, x] - here, mean[above, y, x] - here
                front, back = mean[z, before, x] - here, mean[z, behind, x] - here
                west, east = mean[z, y, left] - here, mean[z, y, right] - here
                dz, dy, dx = half * (up - down) * steps[0], half * (back - front) * steps[1], half * (east - west) * steps[2]
                out[0, z, y, x] = here
                out[1, z, y, x] = np.sqrt(dz * dz + dy * dy + dx * dx)
                out[2, z, y, x] = (up + down) * steps[0] * steps[0] + (front + back) * steps[1] * steps[1] + (west + east) * steps[2] * steps[2]
                out[3, z, y, x] = np.sqrt(max(square[z, y, x] - here * here, np.float32(0)))
