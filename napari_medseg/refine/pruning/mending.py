"""What a channel that goes has said is said by those that stay, as well as they can.

Each layer that reads channels reads, in place of one that goes, the mixture of those that stay which comes nearest to it in the least squares over all places
of some windows: its weights are moved, nothing is trained. After ThiNet (Luo et al., ICCV 2017, section 3.3), which solves for the whole weights of a layer; by
channel it is one small system of equations for any kernel, transposed convolution or matrix.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from napari_medseg.segmenters.networks.pruning.anatomy import Anatomy, Product
from napari_medseg.volume import Array

RIDGE = 1e-3
"""Of a channel's own power, added to it: channels that are near to each other are not played against each other."""

Module = TypeVar("Module", bound=nn.Module)


class Moments:
    """How the channels that layers read go together: their second moments (channels, channels) over all places seen.

    Parameters
    ----------
    network : Module
    parts : Anatomy
    """

    def __init__(self, network: nn.Module, parts: Anatomy) -> None:
        self._network = network
        self._readers = {reader.weight: (reader, module) for reader in parts.products if (module := _reads(network, reader)) is not None}
        self._sums: dict[str, Tensor] = {}

    def add(self, windows: Tensor) -> None:
        """Look at one more window (1, channels, ...)."""
        hooks = [module.register_forward_pre_hook(self._hook(name, reader)) for name, (reader, module) in self._readers.items()]
        try:
            with torch.no_grad():
                self._network.eval()(windows)
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, name: str, reader: Product) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def note(module: nn.Module, given: tuple[Any, ...]) -> None:
            read: Tensor = given[0].detach()
            values = read.flatten(0, -2) if isinstance(module, nn.Linear) else read.movedim(1, -1).flatten(0, -2)
            if values.shape[1] == reader.full[0]:
                moment = (values.T @ values / len(values)).double()
                self._sums[name] = self._sums[name] + moment if name in self._sums else moment

        return note

    def mended(self, network: Module, parts: Anatomy, keep: Array) -> Module:
        """A network, as wide as before, whose layers read what is kept in place of what goes; the one given stays as it is.

        `keep` is bool (units,), `parts.count` of them.
        """
        out = copy.deepcopy(network)
        weights = dict(out.named_parameters())
        for name, sums in self._sums.items():
            before = self._readers[name][0].before
            if before is None:
                continue
            stays = torch.from_numpy(np.where(before < 0, True, keep[before]))
            here, gone = stays.nonzero()[:, 0], (~stays).nonzero()[:, 0]
            if not len(gone) or not len(here):
                continue
            power = sums[here][:, here]
            power = power + torch.diag(RIDGE * power.diagonal().clamp(min=1e-12))
            mixture = torch.linalg.solve(power, sums[here][:, gone]).to(weights[name].dtype)
            if bool(mixture.isfinite().all()):
                with torch.no_grad():
                    read = weights[name].movedim(self._readers[name][0].axis, 0)
                    read[here] += torch.tensordot(mixture, read[gone], dims=1)
        return out


def _reads(network: nn.Module, product: Product) -> nn.Module | None:
    """The convolution or matrix that reads channels of which some can go; None where it is of another kind, which is left alone."""
    owner, _, short = product.weight.rpartition(".")
    module = network.get_submodule(owner)
    known = isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and short == "weight"
    return module if known and product.before is not None and product.groups == 1 else None
