"""An architecture from its name in the catalogue.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from typing import Any

import torch

from napari_medseg import catalogue
from napari_medseg.errors import CatalogueError, InvalidInputError, MedsegError
from napari_medseg.segmenters.networks.network import Network


def build(name: str, *, in_channels: int = 1, classes: int = 1, dims: int = 3, seed: int = 0, **parameters: Any) -> Network:
    """A network with fresh weights, the same for the same seed.

    Parameters
    ----------
    name : str
        Of an entry of the kind `network`.
    in_channels, classes, dims
        As `network.Network`.
    seed : int
        Of the weights; the generators of the process are left as they were.
    **parameters
        Of the architecture; the entry's own where not given.

    Raises
    ------
    CatalogueError
        When there is no such network, or it is made in a way it cannot be.
    UnavailableError
        When a package it needs is missing.
    InvalidInputError
        When the architecture does not come in so many dimensions, or a number makes no network.
    """
    entry = catalogue.load().find(name, "network")
    offered = entry.capabilities.get("dims", [2, 3])
    if dims not in offered:
        what = f"does not come with {dims} dimensions"
        raise InvalidInputError(what, where=entry.title, todo=f"Use {' or '.join(str(n) for n in offered)} dimensions, or another network")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the cards' generators too
        try:
            network = entry.build(in_channels=in_channels, classes=classes, dims=dims, **parameters)
        except CatalogueError as error:
            if not parameters or not isinstance(error.__cause__, TypeError):
                raise
            what = f"is not made from these parameters ({error.__cause__})"
            raise InvalidInputError(what, where=name, todo=f"It has {', '.join(entry.parameters) or 'none'}") from error
        except ValueError as error:
            if isinstance(error, MedsegError):
                raise
            raise InvalidInputError(f"makes no network ({error})", where=name, todo="Give whole numbers where layers or features are counted") from error
    if not isinstance(network, Network):
        raise CatalogueError(f"its factory makes a {type(network).__name__}, not a Network", where=entry.id, todo="Derive it from networks.network.Network")
    return network
