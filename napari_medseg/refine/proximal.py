"""Staying close to the base: a term that pulls the weights back to those a training began from.

(mu / 2) * |w - w_base|^2, added to the loss (FedProx: Li et al., MLSys 2020, eq. 2; with mu 0.1 in Gad et al., MIUA 2023). Meant for several sites that train
the same base on scans of their own, so that they drift apart less, and for a base that is tuned on a few scans.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError


class Proximal:
    """The term for one network.

    Parameters
    ----------
    network : nn.Module
        With the weights of the base and on its device; what asks for no gradient (frozen parts) is left out. A training that goes on from a checkpoint is made
        from the base first, so the base need not be saved again.
    mu : float
        0 for no term at all.
    without : names of modules or parameters
        What the base does not have, such as a head for new classes: there is nothing to stay close to.

    Raises
    ------
    InvalidInputError
        When mu is below 0 or no number.
    """

    def __init__(self, network: nn.Module, mu: float, without: Collection[str] = ()) -> None:
        if not 0 <= mu < float("inf"):
            raise InvalidInputError(f"proximal cannot be {mu}", where="recipe", todo="Give 0 (off) or more; 0.1 is a common start")
        self.mu = mu
        held = [p for name, p in network.named_parameters() if p.requires_grad and not any(name == part or name.startswith(f"{part}.") for part in without)]
        self._pairs = [(p, p.detach().clone()) for p in held] if mu else []

    def __call__(self) -> Tensor:
        """The term as the network stands, a scalar; 0 at the base."""
        if not self._pairs:
            return torch.zeros(())
        return self.mu / 2 * torch.stack([(now - base).square().sum() for now, base in self._pairs]).sum()
