"""Parts of a network that a training leaves alone.

A frozen part keeps its weights and is held in eval mode, so that its normalisation keeps the base's statistics and its dropout is off: gradients that are
switched off alone would leave batch normalisation drifting with every batch (the trap of published code on transfer between modalities).

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


class Frozen:
    """A network of which some parts do not learn.

    Parameters
    ----------
    network : nn.Module
    parts : modules and parameters of it that are left alone
        Their weights ask for no gradient from here on.
    """

    def __init__(self, network: nn.Module, parts: Iterable[nn.Module | nn.Parameter] = ()) -> None:
        self.network, self.parts = network, tuple(parts)
        for part in self.parts:
            part.requires_grad_(False)

    def train(self) -> None:
        """Training mode for all but the frozen parts."""
        self.network.train()
        for part in self.parts:
            if isinstance(part, nn.Module):
                part.eval()

    def learning(self) -> list[nn.Parameter]:
        """What an optimiser is given."""
        return [value for value in self.network.parameters() if value.requires_grad]
