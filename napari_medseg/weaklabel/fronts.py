"""Which front moves a level set: the processor's, or the graphics card's where there is one."""

from __future__ import annotations

import shutil
import sys
from typing import Protocol

from napari_medseg.errors import UnavailableError
from napari_medseg.volume import BoolArray, Spacing
from napari_medseg.weaklabel.drive import Drive
from napari_medseg.weaklabel.front import Front, Moved
from napari_medseg.weaklabel.settings import Device


class AnyFront(Protocol):
    """What all fronts share; `front.Front` says what it means."""

    inside: BoolArray
    iterations: int
    time: float

    def advance(self, speed: Drive, iterations: int) -> Moved:
        """Move on."""

    def reset(self, inside: BoolArray) -> None:
        """Go on from a mask."""

    def bar(self, barred: BoolArray) -> None:
        """Never enter nor cross these voxels."""


def front_on(device: Device, inside: BoolArray, spacing: Spacing, allowed: BoolArray, kept: BoolArray) -> AnyFront:
    """A front on a device.

    Raises
    ------
    UnavailableError
        When a graphics card is asked for and none can be used.
    """
    if device == "cpu" or (device == "auto" and not _may_have_card()):
        return Front(inside, spacing, allowed, kept)
    from napari_medseg.weaklabel import front_torch

    if device == "torch":
        return front_torch.Front(inside, spacing, allowed, kept, "cpu")
    if front_torch.has_card():
        return front_torch.Front(inside, spacing, allowed, kept, "cuda")
    if device == "cuda":
        raise UnavailableError("torch finds no graphics card", where="device", todo="Choose auto or cpu")
    return Front(inside, spacing, allowed, kept)


def _may_have_card() -> bool:
    """Whether it is worth loading torch to ask: it takes seconds."""
    return "torch" in sys.modules or shutil.which("nvidia-smi") is not None
