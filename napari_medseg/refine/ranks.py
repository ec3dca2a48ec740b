"""Several processes that train one network together: each takes its part of every batch, and all have the same weights after every update.

Most losses here pool over the whole batch (a Dice of all its patches, a mean over all weights), so the mean of the parts' losses would be another loss. So the
logits of all parts are put together, every process takes the loss of the whole batch, and each sends back through the network what falls on its part; the
gradients are added up (torch's DistributedDataParallel). The gradient is that of one process, but for the order of sums. Every process draws the same batches
from the same seed, so no scan travels during the training.

Processes find each other by a file in a folder that only this user can open, or as torchrun tells them. What travels is arrays and JSON, never code.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch._C._distributed_c10d import FileStore

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Array

Arrays = Mapping[str, Array]
LONG = timedelta(days=30)
"""A run may be paused; a process that is gone is noticed by its connection, not by time."""


class Ranks(Protocol):
    """The processes of a training, as one of them sees them."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def rank(self) -> int:
        """Which one this is; 0 leads."""

    def told(self, arrays: Arrays, facts: Mapping[str, Any]) -> tuple[Arrays, Mapping[str, Any]]:
        """What the leader says, in every process; what the others give is not looked at."""

    def spread(self, network: nn.Module, *, parts_unused: bool) -> nn.Module:
        """The network with gradients that are the mean over the processes'.

        Parameters
        ----------
        parts_unused : bool
            Whether a batch may leave parts of it out, which then learn nothing from it, as in one process; looking for them takes time.
        """

    def part(self, batch: Tensor) -> Tensor:
        """What of a batch (n, ...) falls on this process.

        Raises
        ------
        InvalidInputError
            When it does not come out even.
        """

    def whole(self, part: Tensor) -> Tensor:
        """The parts (n / size, ...) of all processes as one batch (n, ...); gradients go back into this one's."""


class Alone:
    """One process."""

    size, rank = 1, 0

    def told(self, arrays: Arrays, facts: Mapping[str, Any]) -> tuple[Arrays, Mapping[str, Any]]:
        """What was given."""
        return arrays, facts

    def spread(self, network: nn.Module, *, parts_unused: bool) -> nn.Module:
        """The network."""
        return network

    def part(self, batch: Tensor) -> Tensor:
        """The batch (n, ...), all of it."""
        return batch

    def whole(self, part: Tensor) -> Tensor:
        """The batch (n, ...), which is all of it."""
        return part


class Together:
    """Several processes; `joined` makes it.

    Parameters
    ----------
    rank, size : int
    device : str
        That this process trains on.
    """

    def __init__(self, rank: int, size: int, device: str) -> None:
        self.rank, self.size, self.device = rank, size, device

    def told(self, arrays: Arrays, facts: Mapping[str, Any]) -> tuple[Arrays, Mapping[str, Any]]:
        """As `Ranks.told`."""
        held = {name: np.ascontiguousarray(value) for name, value in arrays.items()} if self.rank == 0 else {}
        head = json.dumps({"facts": dict(facts), "arrays": [[name, a.dtype.str, a.shape] for name, a in held.items()]}) if self.rank == 0 else ""
        said = json.loads(self._bytes(np.frombuffer(head.encode(), np.uint8)).tobytes())
        found: dict[str, Array] = {}
        for name, kind, shape in said["arrays"]:
            sent = held[name].reshape(-1).view(np.uint8) if name in held else np.zeros(0, np.uint8)
            found[name] = self._bytes(sent).view(np.dtype(kind)).reshape(shape)
        return found, said["facts"]

    def _bytes(self, sent: Array) -> Array:
        length = torch.tensor([sent.size])
        dist.broadcast(length, 0)
        data = torch.from_numpy(sent.copy()) if self.rank == 0 else torch.empty(int(length), dtype=torch.uint8)
        if len(data):
            dist.broadcast(data, 0)
        return data.numpy()

    def spread(self, network: nn.Module, *, parts_unused: bool) -> nn.Module:
        """As `Ranks.spread`."""
        cards = [torch.device(self.device)] if self.device.startswith("cuda") else None
        return nn.parallel.DistributedDataParallel(network, device_ids=cards, find_unused_parameters=parts_unused)

    def part(self, batch: Tensor) -> Tensor:
        """As `Ranks.part`."""
        if len(batch) % self.size:
            what = f"a batch of {len(batch)} patches cannot be shared by {self.size} processes"
            raise InvalidInputError(what, where="--processes", todo=f"Give --set batch={self.size}, or fewer processes")
        return batch.chunk(self.size)[self.rank]

    def whole(self, part: Tensor) -> Tensor:
        """As `Ranks.whole`."""
        parts = part.new_zeros(self.size, *part.shape)
        parts[self.rank] = part.detach()
        dist.all_reduce(parts)
        return torch.cat([part if index == self.rank else other for index, other in enumerate(parts)])


def own_device(device: str, place: int) -> str:
    """The device of the process at this place on its machine: each its own card where there are several.

    Raises
    ------
    InvalidInputError
        For devices that training cannot be shared on.
    """
    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise InvalidInputError(f"several processes cannot train on {device} together", where="--processes", todo="Choose cpu or cuda, or one process")
    return device if kind == "cpu" else f"cuda:{place % torch.cuda.device_count()}"


@contextmanager
def joined(rank: int, size: int, device: str, meet: str | None, waiting: Callable[[], None] = lambda: None) -> Iterator[Together]:
    """Meet the other processes, for as long as the block lasts.

    Parameters
    ----------
    meet : str or None
        A file that does not exist yet, known to all; None meets as torchrun tells through the environment.
    waiting : callable
        Called by the leader while others are not there yet; what it raises ends the waiting.
    """
    own = device.startswith("cuda") and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", size))
    backend = f"cpu:gloo,cuda:{'nccl' if own else 'gloo'}" if device.startswith("cuda") else "gloo"
    if device.startswith("cuda"):
        torch.cuda.set_device(torch.device(device))
    store = None if meet is None else FileStore(meet, size)
    if store is not None and rank:
        store.set(f"here{rank}", "yes")
    elif store is not None:
        while not store.check([f"here{other}" for other in range(1, size)]):
            waiting()
            time.sleep(0.05)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=LONG)
    try:
        yield Together(rank, size, device)
    finally:
        dist.destroy_process_group()
