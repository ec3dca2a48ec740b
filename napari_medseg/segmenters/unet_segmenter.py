"""The paper's U-Net as a segmenter: the base model M0, or any model a refinement wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_medseg.errors import InvalidInputError, UnavailableError
from napari_medseg.segmenters.plan import BASE, read_plan
from napari_medseg.segmenters.protocol import Box, Capabilities, Focus, Prediction
from napari_medseg.segmenters.slices import box_in_file, normalise, restore, slice_order
from napari_medseg.segmenters.window import check_shape, slide
from napari_medseg.volume import AxisMap, FloatArray, Volume

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts
    from napari_medseg.segmenters.inference import Inference

Fit = Literal["slice", "native"]

BATCH = 16


class UNetSegmenter:
    """U-Net slice by slice, from the slice in view outwards; its network stays on its device from one scan to the next.

    Parameters
    ----------
    model : path, optional
        A file or folder that `weights.save_model` wrote; M0 when not given.
    fit : "slice" or "native"
        "slice" shows the network each whole slice at 128 x 128, as the paper does; "native" slides a window of 128 x 128 over the slice's own
        pixels, for models trained that way.
    batch : int
        Slices or windows at once.

    Raises
    ------
    UnavailableError
        When M0 is asked for and did not come with this copy of the package.
    MissingFileError, SegmenterError
        When `model` is not there, or is no model.
    InvalidInputError
        When `fit` or `batch` is none that exists.
    """

    def __init__(self, model: str | Path | None = None, fit: Fit = "slice", batch: int = BATCH) -> None:
        if fit not in ("slice", "native") or batch < 1:
            raise InvalidInputError(f"fit '{fit}' with batch {batch} is not possible", where="U-Net", todo="Use fit slice or native, and a batch of 1 or more")
        if model is None and not BASE.is_file():
            raise UnavailableError("the base model M0 is not part of this copy", where="U-Net", todo="Install napari-medseg again, or choose your own model")
        self.model = Path(model) if model is not None else BASE
        self.fit, self.batch = fit, batch
        self._plan = read_plan(self.model)
        self._running: tuple[str, Inference] | None = None

    @property
    def title(self) -> str:
        """What the model calls itself."""
        return self._plan.title

    @property
    def capabilities(self) -> Capabilities:
        """From the model's plan."""
        plan = self._plan
        return Capabilities(
            classes=tuple(plan.classes), licence=plan.licence, dims=2, channels=plan.network.in_channels, modalities=frozenset(plan.modalities),
            fine_tunable=True, threshold=plan.threshold,
        )

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume; see `protocol.Segmenter`. Prompts are not looked at."""
        wanted = self._plan.network.in_channels
        if volume.channels != wanted:
            found = f"has {volume.channels} channels, {self.title} takes {wanted}"
            raise InvalidInputError(found, where=volume.name or "volume", todo="Choose one channel of the scan")
        infer = self._on(device)
        turn = slice_order(volume.geometry)
        stack = turn.apply(volume.array if volume.array.ndim == 4 else volume.array[None])
        count, *plane = stack.shape[1:]
        side = self._plan.preprocessing.size
        done = 0
        run = _whole_slices if self.fit == "slice" else _windows
        size = self.batch if self.fit == "slice" else max(1, self.batch // (-(-2 * plane[0] // side) * -(-2 * plane[1] // side)))
        for start, stop, looked in blocks(count, lambda: _slice_in_view(focus, turn, count), size):
            for box, logits, share in run(infer, normalise(stack[:, start:stop]), side, self.batch, looked - start):
                here = slice(box[0].start + start, box[0].stop + start), box[1], box[2]
                fraction = (done + share * (stop - start)) / count
                message = f"Slice {min(count, round(fraction * count))} of {count}" + (f" ({infer.note})" if infer.note else "")
                yield Prediction(box_in_file(turn, here, (count, plane[0], plane[1])), turn.undo(_sigmoid(logits)), fraction, message)
            done += stop - start

    def release(self) -> None:
        """Give the network's memory back; the next scan loads it again."""
        from napari_medseg.segmenters.devices import give_back

        running, self._running = self._running, None
        if running is not None:
            device = running[1].device
            del running
            give_back(device)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_running": None}  # the network loads again where this is sent

    def _on(self, device: str) -> Inference:
        """The network on a device, as it was left there or loaded now."""
        from napari_medseg.segmenters.inference import Inference
        from napari_medseg.segmenters.weights import load_model

        running = self._running
        if running is None or running[0] != device:
            del running
            self.release()
            network, _ = load_model(self.model)
            running = self._running = device, Inference(network, device, self.title, dims=2)
        return running[1]


def blocks(count: int, view: Callable[[], int], size: int) -> Iterator[tuple[int, int, int]]:
    """Runs of slices that are left, nearest to the slice in view, as (start, stop, slice in view).

    That slice comes alone, for a quick first answer; then up to `size` at a time on both sides in turn. `view` is asked before every run, so that
    what is left follows the scrolling.
    """
    left = np.ones(count, dtype=bool)
    alone = None
    while left.any():
        looked = view()
        if looked != alone and left[looked]:
            start, stop = looked, looked + 1
        else:
            places = np.flatnonzero(left)
            nearest = int(places[np.lexsort((-places, np.abs(places - looked)))[0]])
            start, stop = nearest, nearest + 1
            while nearest >= looked and stop < count and left[stop] and stop - start < size:
                stop += 1
            while nearest < looked and start > 0 and left[start - 1] and stop - start < size:
                start -= 1
        alone = looked
        left[start:stop] = False
        yield start, stop, looked


def _slice_in_view(focus: Focus, turn: AxisMap, count: int) -> int:
    """The slice of the stack that a person looks at; the middle when they look across the slices."""
    index = focus() if callable(focus) else focus
    if index is None or turn.order[0] != 0:
        return count // 2
    inside = min(max(index, 0), count - 1)
    return count - 1 - inside if turn.flipped[0] else inside


def _whole_slices(infer: Inference, planes: FloatArray, side: int, batch: int, looked: int) -> Iterator[tuple[Box, FloatArray, float]]:
    """Planes (c, n, h, w) shown to the network whole, as (box, logits (classes, *box), share done)."""
    count, height, width = planes.shape[1:]
    windows = _fitted(planes, (side, side)).transpose(1, 0, 2, 3)
    logits = infer.maps(windows)
    check_shape(tuple(logits.shape), windows.shape, infer.title)
    yield (slice(0, count), slice(0, height), slice(0, width)), restore(logits, (height, width)), 1.0


def _windows(infer: Inference, planes: FloatArray, side: int, batch: int, looked: int) -> Iterator[tuple[Box, FloatArray, float]]:
    """Planes (c, n, h, w) window by window; as `_whole_slices`."""
    focus = (looked, None, None) if 0 <= looked < planes.shape[1] else None
    for blend in slide(planes, infer, (1, side, side), batch=batch, focus=focus):
        yield blend.box, blend.values, blend.fraction


def _fitted(planes: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Planes (c, n, h, w) bilinearly at another size."""
    import torch

    return restore(torch.from_numpy(planes).transpose(0, 1), size)


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0))), dtype=np.float32)
