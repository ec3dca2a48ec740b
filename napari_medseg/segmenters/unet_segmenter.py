"""The paper's U-Net as a segmenter: the base model M0, or any model a refinement wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_medseg.errors import InvalidInputError, UnavailableError
from napari_medseg.segmenters.plan import BASE, read_plan
from napari_medseg.segmenters.protocol import Capabilities, Focus, Prediction
from napari_medseg.segmenters.slices import box_in_file, normalise, restore, slice_order
from napari_medseg.segmenters.window import slide
from napari_medseg.volume import FloatArray, Volume

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts
    from napari_medseg.segmenters.inference import Inference
    from napari_medseg.segmenters.unet import UNet

Fit = Literal["slice", "native"]

UNSEEN = -1e4  # a logit whose probability is 0
BATCH = 16


class UNetSegmenter:
    """U-Net slice by slice, from the slice in view outwards.

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
        self._network: UNet | None = None

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
        from napari_medseg.segmenters.inference import Inference

        network = self._load(volume)
        infer = Inference(network, device, self.title)
        turn = slice_order(volume.geometry)
        stack = turn.apply(volume.array if volume.array.ndim == 4 else volume.array[None])
        count, *plane = stack.shape[1:]
        side = self._plan.preprocessing.size
        seen = (side, side) if self.fit == "slice" else (plane[0], plane[1])
        done = 0
        for start, stop in blocks(count, _slice_in_view(focus, turn.order, turn.flipped, count), self.batch):
            planes = _fitted(normalise(stack[:, start:stop]), seen)
            for blend in slide(planes, lambda windows: _through(infer, windows), (1, side, side), batch=self.batch, fill=UNSEEN):
                box, logits = blend.box, blend.values
                if self.fit == "slice":
                    logits, box = _fitted(logits, (plane[0], plane[1])), (box[0], slice(0, plane[0]), slice(0, plane[1]))
                here = slice(box[0].start + start, box[0].stop + start), box[1], box[2]
                fraction = (done + blend.fraction * (stop - start)) / count
                message = f"Slice {min(count, round(fraction * count))} of {count}" + (f" ({infer.note})" if infer.note else "")
                yield Prediction(box_in_file(turn, here, (count, *plane)), turn.undo(_sigmoid(logits)), fraction, message)
            done += stop - start

    def _load(self, volume: Volume) -> UNet:
        from napari_medseg.segmenters.weights import load_model

        wanted = self._plan.network.in_channels
        if volume.channels != wanted:
            found = f"has {volume.channels} channels, {self.title} takes {wanted}"
            raise InvalidInputError(found, where=volume.name or "volume", todo="Choose one channel of the scan")
        if self._network is None:
            self._network, _ = load_model(self.model)
        return self._network


def blocks(count: int, first: int, size: int) -> Iterator[tuple[int, int]]:
    """Runs of slices (start, stop): the first slice alone, for a quick first answer, then `size` at a time on both sides in turn."""
    yield first, first + 1
    below, above = first, first + 1
    while below > 0 or above < count:
        if above < count:
            yield above, min(count, above + size)
            above = min(count, above + size)
        if below > 0:
            yield max(0, below - size), below
            below = max(0, below - size)


def _slice_in_view(focus: Focus, order: tuple[int, int, int], flipped: tuple[bool, bool, bool], count: int) -> int:
    """The slice of the stack to begin with; the middle when the person looks across the slices."""
    focus = focus() if callable(focus) else focus
    if focus is None or order[0] != 0:
        return count // 2
    inside = min(max(focus, 0), count - 1)
    return count - 1 - inside if flipped[0] else inside


def _fitted(planes: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Planes (c, n, h, w) bilinearly at another size."""
    import torch

    return restore(torch.from_numpy(planes).transpose(0, 1), size)


def _through(infer: Inference, windows: FloatArray) -> FloatArray:
    """Windows (n, c, 1, h, w) through a network of single slices (n, c, h, w)."""
    return infer(windows[:, :, 0])[:, :, None]


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0))), dtype=np.float32)
