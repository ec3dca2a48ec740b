"""A torch network of somebody's as the described runner asks it: on its device, its answer picked out of several.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_medseg.errors import SegmenterError
from napari_medseg.segmenters.inference import Inference
from napari_medseg.volume import FloatArray


class TorchNetwork:
    """A network that the described runner can ask.

    Parameters
    ----------
    network : Module
    device : str
        As `devices.choose`.
    title : str
        Named in errors.
    take : int or str
        Which answer counts when there are several.
    batch : int
        Windows at once.
    """

    def __init__(self, network: nn.Module, device: str, title: str, take: int | str, batch: int) -> None:
        self.batch = batch
        self._infer = Inference(_Taking(network, take, title), device, title)

    @property
    def note(self) -> str:
        """What a person should know about where it runs."""
        return self._infer.note

    def __call__(self, windows: FloatArray) -> FloatArray:
        """Windows in, maps out; see `described.Network`."""
        return self._infer(windows)


class _Taking(nn.Module):
    """One answer of several, as networks trained with deep supervision or auxiliary heads give them."""

    def __init__(self, network: nn.Module, take: int | str, title: str) -> None:
        super().__init__()
        self.network, self.take, self.title = network, take, title

    def forward(self, windows: Tensor) -> Tensor:
        answer = self.network(windows)
        if isinstance(answer, torch.Tensor):
            return answer
        try:
            if isinstance(answer, dict):
                found = answer[self.take] if isinstance(self.take, str) else list(answer.values())[self.take]
            else:
                found = answer[self.take]
        except (KeyError, IndexError, TypeError) as error:
            what = f"the model answered with {type(answer).__name__}, which holds no '{self.take}'"
            raise SegmenterError(what, where=self.title, todo="Correct `take` in its description") from error
        return found  # type: ignore[no-any-return]  # Inference refuses what is no tensor
