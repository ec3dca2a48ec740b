"""A network somebody brings, as a segmenter: the runner that TorchScript, ONNX and a person's own PyTorch module share.

The scan is turned, resampled and scaled as the description says, windows slide over it from the slice in view outwards, their raw answers are blended as
MONAI's sliding window blends them, and only then become probabilities on the scan's own grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.engines.description import HELP, Description, Output
from napari_medseg.segmenters.engines.exclusive import decided
from napari_medseg.segmenters.engines.working import Working
from napari_medseg.segmenters.protocol import Capabilities, Focus, Prediction
from napari_medseg.segmenters.window import slide
from napari_medseg.volume import FloatArray, Volume

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts

SLACK = 1e-3  # how far a probability may lie outside 0-1 by rounding


class Network(Protocol):
    """Windows in, maps out."""

    @property
    def note(self) -> str:
        """What a person should know about where it runs; "" for nothing."""

    @property
    def batch(self) -> int:
        """Windows at once."""

    def __call__(self, windows: FloatArray) -> FloatArray:
        """Float32 (n, c, *window) to float32 (n, maps, *window); the window has the description's axes, and no z with dims 2."""


class DescribedSegmenter:
    """A network with its description; an engine says how its file is opened.

    Parameters
    ----------
    model : Path
    description : Description
    engine : str
        Named with the model in the window and in errors.
    """

    def __init__(self, model: Path, description: Description, engine: str) -> None:
        self.model, self.description = model, description
        self.title = description.title or f"{engine}: {model.stem}"
        self._ready: dict[str, Network] = {}

    @property
    def capabilities(self) -> Capabilities:
        """From the description."""
        wanted, given = self.description.input, self.description.output
        return Capabilities(
            classes=given.classes, licence=self.description.licence, dims=wanted.dims, channels=wanted.channels,
            modalities=frozenset(self.description.modalities), spacing=wanted.spacing, threshold=given.threshold,
        )

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume; see `protocol.Segmenter`. Prompts are not looked at."""
        wanted = self.description.input
        if volume.channels != wanted.channels:
            found = f"has {volume.channels} channels, {self.title} takes {wanted.channels}"
            raise InvalidInputError(found, where=volume.name or "volume", todo="Choose the channels of the scan, or correct `channels` in the description")
        if device not in self._ready:
            self._ready[device] = self.open(device)
        network = self._ready[device]
        working = Working(volume, wanted)
        given = self.description.output
        exclusive = given.activation == "softmax" and given.background and given.threshold == 0.5
        overlap = 0.0 if wanted.fit == "resize" else wanted.overlap
        steps = slide(
            working.image(), lambda windows: self._through(network, windows), wanted.size,
            overlap=overlap, batch=network.batch, focus=lambda: working.focus(focus),
        )
        for blend in steps:
            if given.brought_back == "logits":
                box, raw = working.back(blend.box, blend.values)
                values = probabilities(raw, given, self.title)
            else:
                box, values = working.back(blend.box, probabilities(blend.values, given, self.title))
            values = decided(values) if exclusive else values
            yield Prediction(box, values, blend.fraction, "Outlining" + (f" ({network.note})" if network.note else ""))

    def open(self, device: str) -> Network:
        """The network, on a device; called once a device.

        Raises
        ------
        SegmenterError
            When the file is no such network.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Give its memory back; the next scan opens the file again."""
        self._ready.clear()

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_ready": {}}  # networks open again where this is sent

    def _through(self, network: Network, windows: FloatArray) -> FloatArray:
        """Windows (n, c, z, y, x) through a network in its own order of axes, checked."""
        wanted, given = self.description.input, self.description.output
        asked = windows[:, :, 0] if wanted.dims == 2 else windows
        backwards = (0, 1, *range(asked.ndim - 1, 1, -1))
        asked = np.ascontiguousarray(asked.transpose(backwards) if wanted.axes == "xyz" else asked)
        maps = network(asked)
        if given.activation == "labels" and maps.shape == (len(asked), *asked.shape[2:]):
            maps = maps[:, None]
        if maps.shape != (len(asked), given.maps, *asked.shape[2:]):
            what = f"the model answered windows of {_by(asked.shape)} with {_by(maps.shape)}, not with {_by((len(asked), given.maps, *asked.shape[2:]))}"
            raise SegmenterError(what, where=self.title, todo=f"Correct window, classes or background in its description. {HELP}")
        maps = maps.transpose(backwards) if wanted.axes == "xyz" else maps
        if given.activation == "labels":
            maps = np.concatenate([np.rint(maps) == label for label in range(1, len(given.classes) + 1)], axis=1).astype(np.float32)
        return maps[:, :, None] if wanted.dims == 2 else maps


def probabilities(maps: FloatArray, given: Output, title: str) -> FloatArray:
    """Blended answers (maps, z, y, x) as float32 (classes, z, y, x) without the background.

    Raises
    ------
    SegmenterError
        When answers that should be probabilities are none.
    """
    if given.activation == "softmax":
        maps = np.exp(maps - maps.max(axis=0))
        maps /= maps.sum(axis=0)
    elif given.activation == "sigmoid":
        maps = np.asarray(1.0 / (1.0 + np.exp(-np.clip(maps, -80.0, 80.0))), dtype=np.float32)
    elif maps.size and not (maps.min() >= -SLACK and maps.max() <= 1 + SLACK):
        what = f"the model's answers lie between {maps.min():.3g} and {maps.max():.3g}, and are no probabilities"
        raise SegmenterError(what, where=title, todo="Say activation sigmoid or softmax in its description")
    maps = maps[1:] if given.background and given.activation != "labels" else maps
    return np.asarray(np.clip(maps, 0, 1), dtype=np.float32)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
