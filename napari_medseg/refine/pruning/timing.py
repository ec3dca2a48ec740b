"""How long networks take for a window on this machine's processor.

They are asked as `segmenters.inference` asks them (a single volume by oneDNN, slices with channels last), in turns, so that whatever else the machine does hits
all of them alike.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from napari_medseg.segmenters.one_window import OneWindow, helps

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
    if len(window) == 4:
        shown = shown.contiguous(memory_format=torch.channels_last)
        networks = [copy.deepcopy(network).to(memory_format=torch.channels_last) for network in networks]  # type: ignore[call-overload]
    times: list[list[float]] = [[] for _ in networks]
    with ExitStack() as asked:
        asked.enter_context(torch.inference_mode())
        if helps("cpu"):
            asked.enter_context(OneWindow())
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
