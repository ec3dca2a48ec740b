"""Networks that learn or answer side by side, each in a thread of its own.

Networks this small cannot keep several cores busy one after the other: threads wait for each other at every layer. Side by side they have nothing to wait for.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

import torch

from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.volumetric.plan import AnyNetworkPlan

T = TypeVar("T")


def abreast(networks: int, device: str) -> int:
    """How many of some networks work at a time: on a processor as many as there are threads for, on a graphics card one."""
    return max(1, min(networks, torch.get_num_threads())) if device == "cpu" else 1


def side_by_side(network: AnyNetworkPlan, count: int) -> int:
    """How many of them may work at a time: one of a catalogued architecture, which may draw from torch's own random numbers (dropout)."""
    return 1 if isinstance(network, ArchitecturePlan) else count


class Beside:
    """Does some things at once and gives what they came to in the order in which they were asked for, so that it tells nothing of who was first.

    The tasks of a call must not touch each other's data, nor torch's own random numbers. Each has its share of torch's threads; the caller's number of
    threads is as it was after every call.

    Parameters
    ----------
    networks : int
        That there are to be busy with.
    device : str

    Attributes
    ----------
    width : int
        Tasks at a time, see `abreast`.
    """

    def __init__(self, networks: int, device: str) -> None:
        self.width = abreast(networks, device)
        self._share = max(1, torch.get_num_threads() // self.width)
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __call__(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """What each task returns. All have ended when this does; of several errors the first task's is raised."""
        if len(tasks) < 2 or self.width < 2:
            return [task() for task in tasks]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.width, "medseg-network", initializer=self._settle)
        before = torch.get_num_threads()
        torch.set_num_threads(self._share)  # a new thread begins with this many
        try:
            futures = [self._pool.submit(task) for task in tasks]
            wait(futures)
        finally:
            torch.set_num_threads(before)
        return [future.result() for future in futures]

    def _settle(self) -> None:
        torch.set_num_threads(self._share)
        torch.set_flush_denormal(True)  # not every system hands this down to new threads
