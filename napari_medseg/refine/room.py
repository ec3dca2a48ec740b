"""Whether a training will fit in the memory, asked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psutil

from napari_medseg.errors import NoRoomError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.method import AnyRecipe

SPARE = 1 << 30
"""Bytes of the processor's memory that torch and what else runs may take beside the estimate."""


def enough(cases: Sequence[Case], recipe: AnyRecipe, classes: int, device: str) -> None:
    """Refuse a training that cannot fit.

    A method that can tell has `memory(cases, classes, device) -> (processor, device)`: bytes at the peak of a round beside the cases themselves, in the
    processor's memory and in the graphics card's; one that cannot is let through, and says so itself when memory runs out.

    Parameters
    ----------
    device : str
        As `devices.choose`.

    Raises
    ------
    NoRoomError
        Says how much is needed, how much is free, and what to change.
    """
    from napari_medseg.segmenters.devices import choose

    method: Any = recipe.method()
    if not hasattr(method, "memory"):
        return
    device = choose(device)
    processor, card = method.memory(cases, classes, device)
    free = _free()
    if processor + SPARE > free:
        _refuse(processor, free, "of memory", recipe)
    if device.startswith("cuda") and card > (room := _card_free(device)):
        _refuse(card, room, "on the graphics card", recipe)


def _refuse(need: int, free: int, where: str, recipe: AnyRecipe) -> None:
    batch = getattr(recipe, "batch", None)
    smaller = f"a batch smaller than {batch}" if isinstance(batch, int) and batch > 1 else "smaller patches"
    raise NoRoomError(
        f"a round needs about {need / 1e9:.1f} GB {where}, and {free / 1e9:.1f} GB are free", where=recipe.name,
        todo=f"Choose {smaller} in the recipe, refine fewer or smaller scans at once, or close other programs",
    )


def _free() -> int:
    return int(psutil.virtual_memory().available)


def _card_free(device: str) -> int:
    import torch

    free, _ = torch.cuda.mem_get_info(torch.device(device))
    return int(free)
