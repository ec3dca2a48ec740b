"""Where networks run: the graphics card when there is one, else the processor, which always works."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from napari_medseg.errors import InvalidInputError, UnavailableError
from napari_medseg.segmenters import torch_beside

if TYPE_CHECKING:
    import torch

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Device:
    """One device, as the window and `medseg doctor` list it.

    Attributes
    ----------
    name : str
        What torch calls it: "cuda:0", "mps", "cpu".
    kind : str
        What a person calls it: "NVIDIA GeForce RTX 4070", "Apple GPU", "processor".
    free_mb : int or None
        Memory free now; None when the system does not say.
    """

    name: str
    kind: str
    free_mb: int | None


def list_devices() -> tuple[Device, ...]:
    """Every device that works here, best first; loads torch."""
    torch_beside.load()
    import torch

    cards = [Device(f"cuda:{i}", torch.cuda.get_device_name(i), _cuda_free(torch.device("cuda", i))) for i in range(_cuda_count())]
    apple = [Device("mps", "Apple GPU", _memory_free())] if torch.backends.mps.is_available() else []  # its memory is the machine's
    return (*cards, *apple, Device("cpu", "processor", _memory_free()))


def choose(name: str = "auto", *, where: str = "device") -> str:
    """The torch name of the device to use; loads torch.

    Parameters
    ----------
    name : str
        "auto" (cuda, else mps, else cpu), or "cpu", "cuda", "cuda:1", "mps".
    where : str
        Who asks, named in errors.

    Raises
    ------
    InvalidInputError
        When there is no such kind of device.
    UnavailableError
        When this machine has none of that kind.
    """
    torch_beside.load()
    import torch

    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and (kind != "cuda" or not number.isdecimal())):
        raise InvalidInputError(f"there is no device '{name}'", where=where, todo="Use auto, cpu, cuda or mps")
    cards = _cuda_count()
    apple = torch.backends.mps.is_available()
    if kind == "auto":
        return "cuda" if cards else "mps" if apple else "cpu"
    if (kind == "cuda" and int(number or 0) >= cards) or (kind == "mps" and not apple):
        raise UnavailableError(f"this machine has no usable device '{name}'", where=where, todo="Use auto or cpu, or check the driver with `medseg doctor`")
    return name


def give_back(name: str) -> None:
    """Give memory that torch keeps for later back to a device, and to the system what C's `malloc` keeps; called when a network has gone. Loads torch.

    Between runs glibc holds on to what networks freed, some hundred MB after many runs of many shapes (measured in docs/segmenters.md).
    """
    import torch

    if name.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif name == "mps":
        torch.mps.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not in every C library
        if trim is not None:
            trim(0)


def _cuda_count() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _cuda_free(device: torch.device) -> int | None:
    import torch

    try:
        free, _ = torch.cuda.mem_get_info(device)
    except RuntimeError:  # the card is there but busy or lost
        return None
    return free // MEGABYTE


def _memory_free() -> int | None:
    try:
        return int(psutil.virtual_memory().available) // MEGABYTE
    except (OSError, RuntimeError, psutil.Error):
        return None
