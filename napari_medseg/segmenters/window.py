"""A network slid over an image larger than it can see, window by window, blended where windows overlap.

Windows lie as MONAI's `sliding_window_inference(mode="gaussian")` lays them and weigh as its importance map does (a Gaussian with sigma
one eighth of the window, never below 0.001), so that models trained for it answer the same. Each batch can be watched and stopped, and the slice a person looks
at comes first, also when they scroll meanwhile. A network is any function from array to array, or an `Inference`, whose answers then stay on its device
until they are final. Torch loads when a window is first run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.volume import FloatArray, Shape

if TYPE_CHECKING:
    from torch import Tensor

    from napari_medseg.segmenters.cells import Cells
    from napari_medseg.segmenters.inference import Inference

Box = tuple[slice, slice, slice]
Network = Callable[[FloatArray], FloatArray]
"""From windows (n, c, z, y, x) to maps (n, classes, z, y, x)."""
Place = tuple[float | None, float | None, float | None]
"""Where a person looks, (z, y, x); None along axes that do not matter. The first that is given names the slice in view."""

SIGMA = 0.125
LEAST = 1e-3
WORK = 1 << 16  # voxels that the processor is given at once, if a window is not larger


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """A piece of the answer.

    Attributes
    ----------
    box : (z, y, x) slices with start and stop
    values : float32 (classes, *box)
        Final, or blended so far.
    fraction : float
        Share of the windows done.
    """

    box: Box
    values: FloatArray
    fraction: float


def slide(
    image: FloatArray, network: Network | Inference, window: Shape, *,
    overlap: float = 0.5, batch: int | None = None, focus: Place | Callable[[], Place | None] | None = None,
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
    batch : int, optional
        Windows given at once: one step of progress, and the longest wait for a cancel. As many as suit the device when not given.
    focus : (z, y, x) or callable, optional
        Windows are done from here outwards, the first one alone; a callable is asked again before every batch, so that what is left follows the
        scrolling. From the first slice to the last when not given.

    Yields
    ------
    Blend
        After every batch, in any number: first the slice in view in the windows just done (when there is a new slice in view: in all windows so far),
        then what is final. Where neither is, a plane through the middle of the windows just done. A later piece holds the newer values; pieces hold only what
        a window has seen, and the final ones cover the image. Memory: one float32 a voxel for each class where windows are done and others
        to come.

    Raises
    ------
    InvalidInputError
        When window, overlap or batch make no sense.
    SegmenterError
        When the network answers with another shape.
    """
    if image.ndim != 4 or min(image.shape) < 1 or min(window) < 1 or not 0 <= overlap < 1 or (batch is not None and batch < 1):
        raise InvalidInputError(f"a window of {window}, overlap {overlap} and batch {batch} cannot slide over {image.shape}", where="sliding window")
    from napari_medseg.segmenters.cells import Cells

    shape: Shape = image.shape[1:]
    short = [max(0, w - n) for w, n in zip(window, shape, strict=True)]
    before = [s // 2 for s in short]
    if any(short):
        image = np.pad(image, [(0, 0), *((b, s - b) for b, s in zip(before, short, strict=True))])
    starts = [_starts(n, w, overlap) for n, w in zip(image.shape[1:], window, strict=True)]
    cells = Cells(image.shape[1:], starts, importance(window))
    order = _Order(starts, window, before)
    at_once = batch or _at_once(network, window)
    view: tuple[int, int] | None = None
    done: list[Box] = []
    while order.left:
        looked, view = view, order.look(focus() if callable(focus) else focus)
        boxes = order.take(1 if view != looked else at_once)
        maps = _asked(network, [image[(slice(None), *box)] for box in boxes], window, cells)
        for box, values in zip(boxes, maps, strict=True):
            cells.add(box, values)
        del maps, values
        done += boxes
        fraction = len(done) / (len(done) + order.left)
        for box, known in _pieces(cells, boxes, done if view != looked else boxes, view):
            yield _unpadded(box, known, before, shape, fraction)


def importance(window: Shape) -> FloatArray:
    """Weight of each voxel of a window, float32 (z, y, x): Gaussian, 1 in the middle, never below 0.001."""
    weight = np.ones((), dtype=np.float64)
    for n in window:
        distance = np.arange(n) - (n - 1) / 2
        weight = weight[..., None] * np.exp(-0.5 * (distance / (SIGMA * n)) ** 2)
    return np.maximum(weight, LEAST).astype(np.float32)


class _Order:
    """The windows that are left, nearest to where a person looks first.

    Nearest is first what lies at the least distance from the place along the axes that are given, then what has its middle there along z, then y,
    then x: slices become complete one by one, and little is half done at a time.
    """

    def __init__(self, starts: list[list[int]], window: Shape, before: list[int]) -> None:
        self._starts = np.array(list(product(*starts)))
        self._size = np.array(window)
        self._before = before
        self._place: Place | None = None

    @property
    def left(self) -> int:
        return len(self._starts)

    def look(self, place: Place | None) -> tuple[int, int] | None:
        """Sort by a place; the slice in view as (axis, index)."""
        if place is None or all(p is None for p in place):
            self._place = None
            return None
        given = tuple(None if p is None else p + b for p, b in zip(place, self._before, strict=True))
        if given != self._place:
            self._place = given  # type: ignore[assignment]
            ends = self._starts.min(axis=0), (self._starts + self._size).max(axis=0)
            point = np.array([(a + b - 1) / 2 if p is None else p for p, a, b in zip(given, *ends, strict=True)])
            away = np.abs(self._starts + (self._size - 1) / 2 - point)
            outside = np.where([p is not None for p in given], np.maximum(0, away - (self._size - 1) / 2), 0)
            self._starts = self._starts[np.lexsort((away[:, 2], away[:, 1], away[:, 0], (outside**2).sum(axis=1)))]
        return next((axis, round(p)) for axis, p in enumerate(given) if p is not None)

    def take(self, count: int) -> list[Box]:
        taken, self._starts = self._starts[:count], self._starts[count:]
        return [tuple(slice(int(a), int(a + w)) for a, w in zip(start, self._size, strict=True)) for start in taken]  # type: ignore[misc]


def _starts(n: int, w: int, overlap: float) -> list[int]:
    step = n if n == w else max(1, int(w * (1 - overlap)))
    count = max(0, -(-(n - w) // step)) + 1
    return sorted({min(i * step, n - w) for i in range(count)})


def _asked(network: Network | Inference, parts: list[FloatArray], window: Shape, cells: Cells) -> Tensor:
    """Maps of windows, as a tensor where the network left them, checked."""
    import torch

    ask = getattr(network, "maps", None)
    if ask is not None:
        maps: Tensor = ask(parts[0][None] if len(parts) == 1 else np.stack(parts), cells.leave_card)  # it makes a copy of its own
    else:
        maps = torch.from_numpy(np.require(network(np.stack(parts)), np.float32, ["C", "W"]))
    check_shape(tuple(maps.shape), (len(parts), len(parts[0]), *window), getattr(network, "title", ""))
    return maps


def check_shape(answered: tuple[int, ...], asked: tuple[int, ...], where: str = "") -> None:
    """Refuse maps that are not (n, classes, *window) for windows (n, c, *window); `where` is the network's name.

    Raises
    ------
    SegmenterError
    """
    if len(answered) != len(asked) or answered[0] != asked[0] or answered[1] < 1 or answered[2:] != asked[2:]:
        raise SegmenterError(f"the network answered with an array of {answered} for windows of {asked}", where=where, todo="Use another model")


def _pieces(cells: Cells, new: list[Box], shown: list[Box], view: tuple[int, int] | None) -> Iterator[tuple[Box, FloatArray]]:
    told = False
    if view is not None:
        for box in shown:
            for piece in cells.so_far(box, *view):
                told = True
                yield piece
    for piece in cells.finished():
        told = True
        yield piece
    if not told:
        for box in new:
            yield from cells.so_far(box, 0, (box[0].start + box[0].stop - 1) // 2)


def _at_once(network: Network | Inference, window: Shape) -> int:
    own = getattr(network, "batch", None)
    return int(own(window)) if callable(own) else max(1, min(16, WORK // int(np.prod(window))))


def _unpadded(box: Box, values: FloatArray, before: list[int], shape: Shape, fraction: float) -> Blend:
    """In the coordinates of the image without its padding."""
    inner = [(max(part.start - b, 0), min(part.stop - b, n)) for part, b, n in zip(box, before, shape, strict=True)]
    keep = tuple(slice(a + b - part.start, c + b - part.start) for part, b, (a, c) in zip(box, before, inner, strict=True))
    return Blend(tuple(slice(a, c) for a, c in inner), np.ascontiguousarray(values[(slice(None), *keep)]), fraction)  # type: ignore[arg-type]
