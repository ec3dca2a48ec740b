"""A torch network as a function on arrays: on its device, checked, and back on the processor when the graphics card is full.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import nn

from napari_medseg.errors import SegmenterError
from napari_medseg.segmenters.devices import choose
from napari_medseg.volume import FloatArray

log = logging.getLogger(__name__)

FULL = "the graphics card ran out of memory, going on with the processor"


class Inference:
    """A network that answers arrays with arrays.

    Parameters
    ----------
    network : Module
        Put into eval mode and moved to the device.
    device : str
        As `devices.choose`; only with "auto" may the processor take over when the card is full.
    title : str
        Named in errors.

    Attributes
    ----------
    device : str
        Where it runs now.
    note : str
        What a person should know about that; "" for nothing.
    """

    def __init__(self, network: nn.Module, device: str, title: str) -> None:
        self.title = title
        self.note = ""
        self.device = choose(device)
        self._may_move = device == "auto" and self.device != "cpu"
        self._network = network.eval()
        self._place()

    def __call__(self, array: FloatArray) -> FloatArray:
        """The network's answer, float32.

        Raises
        ------
        SegmenterError
            When memory runs out, the network fails, or the answer holds NaN or infinity.
        """
        try:
            answer = self._ask(array)
        except torch.OutOfMemoryError as error:
            if not self._may_move:
                raise SegmenterError("the graphics card has not enough memory", where=self.title, todo="Choose the device auto or cpu") from error
            log.warning("%s: %s", self.title, FULL)
            self._retreat()
            answer = self._ask(array)
        if not np.isfinite(answer).all():
            raise SegmenterError("the network answered with values that are no numbers (NaN)", where=self.title, todo="Use another model; this one is damaged")
        return answer

    def _ask(self, array: FloatArray) -> FloatArray:
        try:
            with torch.inference_mode():
                answer = self._network(torch.from_numpy(np.array(array, order="C")).to(self.device))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, MemoryError) as error:  # torch's word for everything, TorchScript's faults too
            if isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "not enough memory" in str(error):
                raise SegmenterError("there is not enough memory for this scan", where=self.title, todo="Close other programs, or crop the scan") from error
            raise SegmenterError("the network failed on this scan", where=self.title, todo="Use another model, or report it with the log") from error
        if not isinstance(answer, torch.Tensor):
            raise SegmenterError(f"the network answered with {type(answer).__name__}, not with maps", where=self.title, todo="Use another model")
        return np.asarray(answer.detach().float().cpu().numpy())

    def _place(self) -> None:
        try:
            self._network.to(self.device)
        except torch.OutOfMemoryError as error:
            if not self._may_move:
                raise SegmenterError("the graphics card has not enough memory", where=self.title, todo="Choose the device auto or cpu") from error
            self._retreat()

    def _retreat(self) -> None:
        self.device, self.note, self._may_move = "cpu", FULL, False
        self._network.to("cpu")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
