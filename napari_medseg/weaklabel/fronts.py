"""Which front moves a level set: the processor's, or the graphics card's where that is asked for.

"auto" is the processor, so that nothing waits for torch: it loads for seconds, and its speed on a card is not measured yet.
"""

from __future__ import annotations

from typing import Protocol

from napari_medseg.errors import UnavailableError
from napari_medseg.volume import BoolArray, Spacing
from napari_medseg.weaklabel.drive import Drive
from napari_medseg.weaklabel.front import Front, Moved
from napari_medseg.weaklabel.scene import Box
from napari_medseg.weaklabel.settings import Device


class AnyFront(Protocol):
    """What all fronts share; `front.Front` says what it means."""

    inside: BoolArray
    iterations: int
    time: float

    def advance(self, speed: Drive, iterations: int) -> Moved:
        """Move on."""

    def reset(self, inside: BoolArray) -> None:
        """Go on from a mask, bool (z, y, x)."""

    def bar(self, barred: BoolArray) -> None:
        """Never enter nor cross these voxels, bool (z, y, x)."""


def front_on(
    device: Device, inside: BoolArray, spacing: Spacing, allowed: BoolArray, kept: BoolArray, within: Box | None = None, sighted: int | None = None,
) -> AnyFront:
    """A front on a device; what is given, masks (z, y, x) among it, is told at `front.Front`.

    `within` and `sighted` only spare the processor's front a look at what is known already, and change no mask. torch's begins with the whole box at once.

    Raises
    ------
    UnavailableError
        When a graphics card is asked for and none can be used.
    """
    if device in ("auto", "cpu"):
        return Front(inside, spacing, allowed, kept, within, sighted)
    from napari_medseg.weaklabel import front_torch

    if device == "cuda" and not front_torch.has_card():
        raise UnavailableError("torch finds no graphics card", where="device", todo="Choose auto or cpu")
    return front_torch.Front(inside, spacing, allowed, kept, "cuda" if device == "cuda" else "cpu")
