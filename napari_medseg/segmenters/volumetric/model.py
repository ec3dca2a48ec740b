"""A trained volumetric model: one network or several that answer together, and all that is needed to label a scan.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.inference import Inference
from napari_medseg.segmenters.plan import FORMAT, TODO, model_file, read_plan
from napari_medseg.segmenters.volumetric.grid import Way
from napari_medseg.segmenters.volumetric.members import Member, read_members
from napari_medseg.segmenters.volumetric.plan import MixedPlan, VolumetricPlan
from napari_medseg.segmenters.weights import read_weights, write_weights
from napari_medseg.segmenters.window import Blend, Place, slide
from napari_medseg.volume import FloatArray, LabelArray, Shape, Volume

OVERLAP = 0.5
LARGER = 1.3  # a scan up to this much larger than the patch, along an axis, is seen whole


class Together(nn.Module):
    """Networks that answer together: the mean of their logits, or of their probabilities, moved so that 0 is the right place to cut."""

    offsets: Tensor

    def __init__(self, networks: Iterable[Member], offsets: Iterable[float], *, probable: bool = False) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.probable = probable
        self.register_buffer("offsets", torch.tensor(list(offsets), dtype=torch.float32)[:, None, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes, z, y, x) against a background of 0."""
        if self.probable:
            return mean_probability(torch.stack([network(x) for network in self.networks])) + self.offsets
        total = self.networks[0](x)
        for network in self.networks[1:]:
            total = total + network(x)
        answer: Tensor = total / len(self.networks) + self.offsets
        return answer


def mean_probability(logits: Tensor) -> Tensor:
    """Logits (..., classes, z, y, x) of the mean of the probabilities that logits of several networks (networks, ..., classes, z, y, x) stand for."""
    background = torch.zeros_like(logits[..., :1, :, :, :])
    shares = torch.cat([background, logits], dim=-4).log_softmax(-4).logsumexp(0)
    return shares[..., 1:, :, :, :] - shares[..., :1, :, :, :]


class VolumetricModel:
    """Networks with their plan; see `refine.method.Model`.

    Parameters
    ----------
    plan : VolumetricPlan
    networks : VolumetricNet or Architecture, ...
        As the plan names.
    device : str
        As `devices.choose`.

    Attributes
    ----------
    network : Together
        What answers, as one module.
    described : VolumetricPlan
    """

    def __init__(self, plan: VolumetricPlan, networks: Iterable[Member], device: str = "auto") -> None:
        mixed = isinstance(plan.network, MixedPlan)
        self.network = Together(networks, plan.offsets, probable=mixed)
        counted = plan.network if mixed else plan.network.model_copy(update={"members": len(self.network.networks)})
        self.described = plan.model_copy(update={"network": counted})
        self.device = device
        self._running: Inference | None = None

    @property
    def plan(self) -> Mapping[str, Any]:
        """What it is and how it sees a scan; goes into JSON."""
        return self.described.model_dump(mode="json")

    def logits(self, image: Volume, focus: Place | Callable[[], Place | None] | None = None) -> Iterator[Blend]:
        """The answer window by window, on the network's grid (`grid.Way`); stop iterating to cancel.

        Raises
        ------
        InvalidInputError
            When the scan has other channels than the model.
        """
        self.check(image)
        array = Way.of(image.geometry, self.described).image(image, self.described.fingerprint)
        yield from slide(array, self._inference(), window(array.shape[1:], self.described), overlap=OVERLAP, focus=focus)

    def check(self, image: Volume) -> None:
        """Refuse a scan that has other channels than the model.

        Raises
        ------
        InvalidInputError
        """
        wanted = self.described.network.in_channels
        if image.channels != wanted:
            found = f"has {image.channels} channel{'s' if image.channels > 1 else ''}, but the model takes {wanted}"
            raise InvalidInputError(found, where=image.name or "scan", todo="Choose scans of the kind that the model was trained on")

    def predict(self, image: Volume) -> FloatArray:
        """Probabilities (classes, z, y, x) on the scan's own grid, float32, 0-1; calibrated, so that 0.5 is where to cut."""
        way = Way.of(image.geometry, self.described)
        whole = np.zeros((self.described.network.classes, *way.shape), np.float32)
        for piece in self.logits(image):
            whole[(slice(None), *piece.box)] = piece.values
        return probabilities(way.back(whole))

    def label(self, image: Volume) -> LabelArray:
        """Label map (z, y, x) on the scan's own grid: the most probable class, or background."""
        return labelled(self.predict(image), self.described.values)

    def save(self, folder: Path, facts: Mapping[str, Any]) -> Path:
        """Write `model.safetensors` with its plan into a folder; `facts` join the plan. Returns the file."""
        tensors = {name: value.detach().float().cpu().contiguous() for name, value in self.network.state_dict().items()}
        return write_weights(model_file(folder), tensors, VolumetricPlan, {**self.described.model_dump(), **facts, "format": FORMAT})

    def release(self) -> None:
        """Give the device's memory back."""
        from napari_medseg.segmenters.devices import give_back

        if self._running is not None:
            device, self._running = self._running.device, None
            self.network.to("cpu")
            give_back(device)

    def _inference(self) -> Inference:
        if self._running is None:
            self._running = Inference(self.network, self.device, self.described.title)
        return self._running


def window(shape: Shape, plan: VolumetricPlan) -> Shape:
    """What the network is shown at once of a scan of this shape: all of it along axes where that is not much more than a patch.

    At least two voxels are left at the lowest level, since nothing is normalised over one.
    """
    sides = zip(shape, plan.patch, plan.network.step, strict=True)
    z, y, x = (-(-n // step) * step if n <= LARGER * patch else patch for n, patch, step in sides)
    return (z, y, 2 * x) if (z, y, x) == plan.network.step else (z, y, x)


def probabilities(logits: FloatArray) -> FloatArray:
    """Probability maps (classes, z, y, x) of logits against a background of 0; exclusive classes, so that no sum exceeds 1."""
    highest = np.maximum(logits.max(axis=0), 0)
    parts = np.exp(logits - highest)
    return np.asarray(parts / (parts.sum(axis=0) + np.exp(-highest)), np.float32)


def labelled(maps: FloatArray, values: list[int]) -> LabelArray:
    """Label map of probability maps (classes, z, y, x): the most probable class where it is likelier than the background."""
    best = maps.argmax(axis=0)
    wins = np.take_along_axis(maps, best[None], axis=0)[0] > 1 - maps.sum(axis=0)
    return np.where(wins, np.array(values, np.uint8)[best], 0).astype(np.uint8)


def load_volumetric(path: str | Path, device: str = "auto") -> VolumetricModel:
    """Read a model that `VolumetricModel.save` wrote.

    Parameters
    ----------
    path : path
        A file, or a folder that holds `model.safetensors`.

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When it is something else, is cut short or damaged, its weights do not fit its plan, or it needs a network that the catalogue does not have. Nothing
        in it is ever executed.
    UnavailableError
        When its network needs a package that is missing.
    """
    file = model_file(path)
    plan = read_plan(file, VolumetricPlan)
    tensors = read_weights(file, plan.sha256)
    model = VolumetricModel(plan, read_members(plan.network, tensors, file), device)
    try:
        model.network.load_state_dict(tensors)
    except RuntimeError as error:  # torch's word for missing, unexpected or misshapen weights
        raise SegmenterError("holds weights that do not fit the network it names", where=file, todo=TODO) from error
    model.network.eval()
    return model
