"""How long networks take for a window on this machine, measured in turns so that whatever else the machine does hits all of them alike.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

WARM = 2
TURNS = 15
LONGEST_S = 4.0
FEWEST = 5


def milliseconds(networks: Sequence[nn.Module], window: Sequence[int], *, turns: int = TURNS, longest_s: float = LONGEST_S) -> list[list[float]]:
    """Times (ms) of each network, one a turn; turns end after `turns`, or `longest_s` seconds and some.

    Returns
    -------
    list of list of float
        For each network its times; the same place in each list is the same turn, to be compared pairwise.
    """
    shown = torch.randn(*window, generator=torch.Generator().manual_seed(0))
    times: list[list[float]] = [[] for _ in networks]
    with torch.inference_mode():
        for network in networks:
            for _ in range(WARM):
                network(shown)
        begun = time.perf_counter()
        while len(times[0]) < turns and (len(times[0]) < FEWEST or time.perf_counter() - begun < longest_s):
            for network, taken in zip(networks, times, strict=True):
                start = time.perf_counter()
                network(shown)
                taken.append(1000 * (time.perf_counter() - start))
    return times


def quicker(before: Sequence[float], after: Sequence[float]) -> float:
    """How many times quicker, the median over the turns."""
    return float(np.median(np.array(before) / np.array(after)))


def flops(network: nn.Module, window: Sequence[int]) -> int:
    """Floating-point operations for a window, as torch counts them: two for each multiplication with its addition."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(*window))
    return int(counter.get_total_flops())
