"""A torch network as a function on arrays: on its device, checked, and content with less memory when there is less.

On a graphics card it runs in half precision (autocast), channels last, and compiled once that is ready. Where memory runs out it gives way step by
step: the sums of the sliding window leave the card, windows go one at a time, smaller windows are blended in their place, and at last the processor
goes on; `note` says so.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from napari_medseg.errors import SegmenterError
from napari_medseg.segmenters.compiling import Compiling
from napari_medseg.segmenters.devices import choose, give_back
from napari_medseg.segmenters.one_window import OneWindow, helps
from napari_medseg.segmenters.window import WORK, slide
from napari_medseg.volume import FloatArray, Shape

log = logging.getLogger(__name__)

FULL = "the graphics card ran out of memory, going on with the processor"
SINGLY = "memory is short: windows one by one"
CUT = "memory is short: smaller windows, so the answer may differ a little"
FULL_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
SMALLEST = 32  # voxels: windows are not cut below this

Half = Literal["auto", "off"]


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
    half : "auto" or "off"
        Half precision on an NVIDIA card (not for TorchScript); where that overflows, single precision from then on.
    dims : int
        2 for a network of single slices: windows (n, c, 1, y, x) are then shown to it as (n, c, y, x).

    Attributes
    ----------
    device : str
        Where it runs now.
    """

    def __init__(self, network: nn.Module, device: str, title: str, *, half: Half = "auto", dims: int = 3) -> None:
        self.title = title
        self.device = choose(device, where=title)
        self._may_move = device == "auto" and self.device != "cpu"
        self._network = network.eval()
        self._flat = dims == 2
        scripted = any(isinstance(part, torch.jit.ScriptModule) for part in network.modules())
        quick = self.device.startswith("cuda") and not scripted
        self._half = quick and half == "auto"
        self._compiling = Compiling(self._network, self._context) if quick else None
        self._most: int | None = None
        self._cut: dict[tuple[int, ...], Shape] = {}
        self._notes: list[str] = []
        self._place()

    @property
    def note(self) -> str:
        """What a person should know about how it runs; "" for nothing."""
        return "; ".join(filter(None, [*self._notes, self._compiling.note if self._compiling else ""]))

    def batch(self, window: Shape) -> int:
        """Windows to give at once: few on the processor, where more bring nothing but memory and waiting."""
        work = WORK if self.device == "cpu" else 64 * WORK
        return max(1, min(16, work // int(np.prod(window))))

    def __call__(self, array: FloatArray) -> FloatArray:
        """The network's answer, float32, in main memory; see `maps`."""
        return np.asarray(self.maps(array).cpu().numpy())

    def maps(self, windows: FloatArray, relief: Callable[[], bool] | None = None) -> Tensor:
        """The network's answer, float32, where it was computed.

        Parameters
        ----------
        windows : float32 (n, c, ...)
        relief : callable, optional
            Asked first when memory runs out: frees what else lies on the device; whether there was anything.

        Raises
        ------
        SegmenterError
            When memory runs out, the network fails, or the answer holds NaN or infinity.
        """
        while isinstance(answer := self._tried(windows), Exception):
            if not self._give_way(windows, relief, fits=_is_full(answer)):
                what, todo = "the graphics card has not enough memory", "Choose the device auto or cpu"
                if self.device == "cpu":
                    what, todo = "there is not enough memory for this scan", "Close other programs, or crop the scan"
                raise SegmenterError(what, where=self.title, todo=todo) from answer
        return answer

    def _tried(self, windows: FloatArray) -> Tensor | Exception:
        """The answer, or why memory did not do: without its traceback, which would keep what filled it."""
        try:
            parts = [self._part(part) for part in np.array_split(windows, -(-len(windows) // (self._most or len(windows))))]
        except (RuntimeError, MemoryError) as error:  # RuntimeError is torch's word for everything, TorchScript's faults too
            if isinstance(error, SegmenterError):
                raise
            if _is_full(error) or windows.shape[2:] in self._cut:
                return error.with_traceback(None)
            why, todo = _why(str(error), windows.shape[2:])
            raise SegmenterError(f"the network failed on this scan{why}", where=self.title, todo=todo) from error
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _give_way(self, windows: FloatArray, relief: Callable[[], bool] | None, *, fits: bool) -> bool:
        """Ask for less from now on; False when there is nothing left to give.

        `fits` is whether the network takes windows of the size it was asked for last.
        """
        shape = windows.shape[2:]
        most = min(self._most or len(windows), len(windows))
        smaller = _halved(self._cut.get(shape, shape)) if fits else None
        if relief is not None and relief():
            step = "memory is short: the answer gathers in main memory"
        elif most > 1:
            self._most, step = most // 2, SINGLY
        elif smaller is not None:
            self._cut[shape], step = smaller, CUT
        elif self._may_move:
            self._retreat()
            step = FULL
        else:
            return False
        log.warning("%s: %s", self.title, step)
        if step in (SINGLY, CUT) and step not in self._notes:
            self._notes.append(step)
        give_back(self.device)
        return True

    def _part(self, windows: FloatArray) -> Tensor:
        """Windows as they are, or put together from smaller ones."""
        cut = self._cut.get(windows.shape[2:])
        if cut is None:
            return self._checked(windows)
        whole: list[Tensor] = []
        for image in windows:
            pieces = list(slide(image, lambda part: self._checked(part).cpu().numpy(), cut, batch=1))
            whole.append(torch.zeros((len(pieces[0].values), *image.shape[1:])))
            for piece in pieces:
                whole[-1][(slice(None), *piece.box)] = torch.from_numpy(piece.values)
        return torch.stack(whole)

    def _checked(self, windows: FloatArray) -> Tensor:
        answer = self._ask(windows)
        if self._half and not _finite(answer):
            log.info("%s: overflows in half precision", self.title)
            self._half = False
            answer = self._ask(windows)
        if not _finite(answer):
            raise SegmenterError("the network answered with values that are no numbers (NaN)", where=self.title, todo="Use another model; this one is damaged")
        return answer

    def _ask(self, windows: FloatArray) -> Tensor:
        flat = self._flat and windows.ndim == 5
        tensor = torch.from_numpy(np.array(windows[:, :, 0] if flat else windows, order="C")).to(self.device)  # a copy: layers may work in place
        with self._context():
            answer = (self._compiling or self._network)(self._ordered(tensor))
        if not isinstance(answer, Tensor):
            raise SegmenterError(f"the network answered with {type(answer).__name__}, not with maps", where=self.title, todo="Use another model")
        answer = answer.detach().float().contiguous()
        return answer[:, :, None] if flat else answer

    def _context(self) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(torch.inference_mode())
        if self._half:
            stack.enter_context(torch.autocast("cuda", torch.float16))
        if helps(self.device):
            stack.enter_context(OneWindow())
        return stack

    def _place(self) -> None:
        try:
            self._network.to(self.device)
            for weight in self._network.parameters():
                weight.data = self._ordered(weight.data)
        except torch.OutOfMemoryError as error:
            if not self._may_move:
                raise SegmenterError("the graphics card has not enough memory", where=self.title, todo="Choose the device auto or cpu") from error
            self._retreat()

    def _ordered(self, tensor: Tensor) -> Tensor:
        """Channels last where that pays: on a card, and on the processor for slices (a quarter quicker; volumes gain nothing there)."""
        order = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.ndim)
        pays = self.device.startswith("cuda") or (self.device == "cpu" and tensor.ndim == 4)
        return tensor.contiguous(memory_format=order) if order is not None and pays else tensor

    def _retreat(self) -> None:
        card, self.device, self._may_move = self.device, "cpu", False
        self._half, self._compiling, self._most, self._cut, self._notes = False, None, None, {}, [FULL]
        self._network.to("cpu")
        give_back(card)


def _is_full(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in FULL_WORDS)


def _why(text: str, window: tuple[int, ...]) -> tuple[str, str]:
    """What torch complains of, where a person can put it right, and what to do."""
    channels = re.search(r"to have (\d+) channels, but got (\d+)", text)
    if channels:
        return f": it takes {channels[1]} channels and was given {channels[2]}", "Correct channels in its form or description, or use another model"
    if "Sizes of tensors must match" in text:
        return f": its parts do not fit together for windows of {' x '.join(map(str, window))}", "Give the window that it was trained with, or multiples of 32"
    return "", "Use another model, or report it with the log"


def _halved(window: tuple[int, ...]) -> Shape | None:
    """Half the window along each axis where that leaves enough and keeps it a multiple of 16; None when it stays as it is."""
    half = tuple(n // 2 if n >= 2 * SMALLEST and n % 32 == 0 else n for n in window)
    return half if len(half) == 3 and half != window else None


def _finite(answer: Tensor) -> bool:
    return bool(answer.sum().isfinite()) or bool(answer.isfinite().all())  # a sum is quick, and may overflow where nothing is wrong
