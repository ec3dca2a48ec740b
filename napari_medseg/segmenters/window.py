"""A network slid over an image larger than it can see, window by window, blended where windows overlap.

Windows lie as MONAI's `sliding_window_inference(mode="gaussian")` lays them and weigh as its importance map does (a Gaussian with sigma
one eighth of the window, never below 0.001), so that models trained for it answer the same; each step can be watched and stopped, and the slice a
person looks at comes first. Knows no torch: a network is any function from array to array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.volume import FloatArray, Shape

Box = tuple[slice, slice, slice]
Network = Callable[[FloatArray], FloatArray]
"""From windows (n, c, z, y, x) to maps (n, classes, z, y, x)."""

SIGMA = 0.125
LEAST = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """What the last windows changed.

    Attributes
    ----------
    box : (z, y, x) slices with start and stop
        Around the windows just done.
    values : float32 (classes, *box)
        Blended so far; `fill` where no window has been yet.
    fraction : float
        Share of the windows done.
    """

    box: Box
    values: FloatArray
    fraction: float


def slide(
    image: FloatArray, network: Network, window: Shape, *,
    overlap: float = 0.5, batch: int = 4, focus: tuple[float, float, float] | None = None, fill: float = 0.0,
) -> Iterator[Blend]:
    """Run a network over an image.

    Parameters
    ----------
    image : float32 (c, z, y, x)
        Padded with 0 on both sides where it is smaller than the window.
    network : callable
        Windows (n, c, *window) to maps (n, classes, *window), float32.
    window : (z, y, x) voxels
    overlap : float
        Share of a window that the next one sees again, 0 to below 1.
    batch : int
        Windows given at once; one step of progress, and the longest wait for a cancel.
    focus : (z, y, x), optional
        Windows are done from here outwards; the image's centre when not given.
    fill : float
        Value of `Blend.values` where no window has been.

    Yields
    ------
    Blend
        After every batch. A voxel has its final value once every window over it is done; later boxes hold the newer values. Memory: one float32 a
        voxel for each class and one for the weights, besides the batch.

    Raises
    ------
    InvalidInputError
        When window, overlap or batch make no sense.
    SegmenterError
        When the network answers with another shape.
    """
    if image.ndim != 4 or min(image.shape) < 1 or min(window) < 1 or not 0 <= overlap < 1 or batch < 1:
        raise InvalidInputError(f"a window of {window}, overlap {overlap} and batch {batch} cannot slide over {image.shape}", where="sliding window")
    shape: Shape = image.shape[1:]
    short = [max(0, w - n) for w, n in zip(window, shape, strict=True)]
    before = [s // 2 for s in short]
    if any(short):
        image = np.pad(image, [(0, 0), *((b, s - b) for b, s in zip(before, short, strict=True))])
    starts = _from_focus(_starts(image.shape[1:], window, overlap), window, focus, before)
    weight = importance(window)
    total = np.zeros(image.shape[1:], dtype=np.float32)
    summed: FloatArray | None = None
    for first in range(0, len(starts), batch):
        boxes: list[Box] = [tuple(slice(a, a + w) for a, w in zip(start, window, strict=True)) for start in starts[first : first + batch]]  # type: ignore[misc]
        maps = network(np.stack([image[(slice(None), *box)] for box in boxes]))
        if maps.ndim != 5 or maps.shape[0] != len(boxes) or maps.shape[2:] != tuple(window):
            asked = (len(boxes), len(image), *window)
            raise SegmenterError(f"the network answered with an array of {maps.shape} for windows of {asked}", todo="Use another model")
        if summed is None:
            summed = np.zeros((maps.shape[1], *image.shape[1:]), dtype=np.float32)
        for box, values in zip(boxes, maps, strict=True):
            summed[(slice(None), *box)] += values * weight
            total[box] += weight
        around = _around(boxes)
        seen = total[around]
        blended = np.where(seen > 0, summed[(slice(None), *around)] / np.maximum(seen, LEAST / 2), np.float32(fill))
        yield _unpadded(around, blended, before, shape, min(1.0, (first + len(boxes)) / len(starts)))


def importance(window: Shape) -> FloatArray:
    """Weight of each voxel of a window, float32 (z, y, x): Gaussian, 1 in the middle, never below 0.001."""
    weight = np.ones((), dtype=np.float64)
    for n in window:
        distance = np.arange(n) - (n - 1) / 2
        weight = weight[..., None] * np.exp(-0.5 * (distance / (SIGMA * n)) ** 2)
    return np.maximum(weight, LEAST).astype(np.float32)


def _starts(shape: tuple[int, ...], window: Shape, overlap: float) -> list[tuple[int, ...]]:
    axes = []
    for n, w in zip(shape, window, strict=True):
        step = n if n == w else max(1, int(w * (1 - overlap)))
        count = max(0, -(-(n - w) // step)) + 1
        axes.append([min(i * step, n - w) for i in range(count)])
    return list(product(*axes))


def _from_focus(starts: list[tuple[int, ...]], window: Shape, focus: tuple[float, float, float] | None, before: list[int]) -> list[tuple[int, ...]]:
    """Nearest first, by the distance from the focus to the window; within that to its centre, in window lengths; the given order settles the rest."""
    size = np.array(window, dtype=float)
    corners = np.array(starts, dtype=float)
    centres = corners + (size - 1) / 2
    point = centres.mean(axis=0) if focus is None else np.array(focus, dtype=float) + before
    outside = np.maximum(0, np.abs(centres - point) - (size - 1) / 2)
    order = np.lexsort((np.round((((centres - point) / size) ** 2).sum(axis=1), 9), (outside**2).sum(axis=1)))
    return [starts[i] for i in order]


def _around(boxes: list[Box]) -> Box:
    return tuple(slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes)) for axis in range(3))  # type: ignore[return-value]


def _unpadded(box: Box, values: FloatArray, before: list[int], shape: Shape, fraction: float) -> Blend:
    """In the coordinates of the image without its padding."""
    inner = [(max(part.start - b, 0), min(part.stop - b, n)) for part, b, n in zip(box, before, shape, strict=True)]
    keep = tuple(slice(a + b - part.start, c + b - part.start) for part, b, (a, c) in zip(box, before, inner, strict=True))
    return Blend(tuple(slice(a, c) for a, c in inner), np.ascontiguousarray(values[(slice(None), *keep)]), fraction)  # type: ignore[arg-type]
