"""A fine-tuning that saves itself and goes on where it was: weights, optimiser, both random generators, and how far it is.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from napari_medseg.errors import TrainingError
from napari_medseg.refine.checkpoint import Checkpoints

log = logging.getLogger(__name__)

EVERY_S = 10.0
"""Between two checkpoints, seconds."""


class Saving:
    """Checkpoints of one fine-tuning.

    Parameters
    ----------
    checkpoints : Checkpoints
    whose : mapping
        What tells this training from any other (round, seed, labels); a checkpoint of another one is passed over.
    """

    def __init__(self, checkpoints: Checkpoints, whose: Mapping[str, Any]) -> None:
        self._checkpoints, self._whose = checkpoints, dict(whose)
        self._last = time.monotonic()

    def save(self, network: nn.Module, optimiser: torch.optim.Optimizer, order: Tensor, losses: list[float], done: int) -> None:
        """Save, if it is time; `order` is the state of the drawing generator (uint8, as torch gives it) when the epoch began, `done` counts updates.

        Raises
        ------
        UnwritableFileError
            When the disk refuses.
        """
        if time.monotonic() - self._last < EVERY_S:
            return
        tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
        tensors |= {"random.order": order, "random.dropout": torch.get_rng_state()}
        self._checkpoints.save(tensors, {**self._whose, "whose": self._whose, "done": done, "losses": losses})
        self._last = time.monotonic()

    def restore(self, network: nn.Module, optimiser: torch.optim.Optimizer, draw: torch.Generator, losses: list[float]) -> int:
        """Bring all back; gives how many updates were done, 0 without a whole checkpoint of this training."""
        try:
            found = self._checkpoints.load()
        except TrainingError as error:
            log.warning("the round starts anew: %s", error)
            self._checkpoints.clear()
            return 0
        if found is None or found[1].get("whose") != self._whose:
            return 0
        tensors, facts = found
        network.load_state_dict({name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")})
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".")
                states.setdefault(int(index), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        draw.set_state(tensors["random.order"])
        torch.set_rng_state(tensors["random.dropout"])
        losses[:] = facts["losses"]
        return int(facts["done"])
