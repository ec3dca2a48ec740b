"""The maps by which the networks of a model tell where they look, window by window on the network's grid.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.inference import Inference
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.volumetric.grid import Way
from napari_medseg.segmenters.volumetric.members import Architecture
from napari_medseg.segmenters.volumetric.model import OVERLAP, VolumetricModel, window
from napari_medseg.segmenters.window import Blend, Place, slide
from napari_medseg.volume import Volume

TODO = "Train one with a network that has such maps, such as attention-unet, or do without them"


class Looking(nn.Module):
    """The mean of what several networks of one architecture tell of a window.

    Attributes
    ----------
    names : tuple of str
        Of the maps; known once a window was seen.
    """

    def __init__(self, members: Sequence[Architecture]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.names: tuple[str, ...] = ()

    def forward(self, windows: Tensor) -> Tensor:
        """Maps (n, maps, z, y, x), 0-1, of windows (n, channels, z, y, x).

        Raises
        ------
        InvalidInputError
            When a network does not tell where it looks.
        """
        every = []
        for member in cast("Sequence[Architecture]", self.members):
            found = member.network.looks(member.flat(windows))
            if not found:
                raise InvalidInputError("does not tell where it looks", where=member.plan.name, todo=TODO)
            self.names = tuple(found)
            every.append(member.spread(torch.cat(list(found.values()), 1)))
        return torch.stack(every).mean(0)


def look(model: VolumetricModel, image: Volume, focus: Callable[[], Place | None] | None = None) -> Iterator[tuple[tuple[str, ...], Blend]]:
    """The maps window by window, on the network's grid (`grid.Way`), with their names.

    Raises
    ------
    InvalidInputError
        When the model's networks tell nothing, or the scan has other channels than they take.
    """
    plan = model.described
    together = Looking(lookers(model))
    model.check(image)
    array = Way.of(image.geometry, plan).image(image, plan.fingerprint)
    running = Inference(together, model.device, plan.title)
    for piece in slide(array, running, window(array.shape[1:], plan), overlap=OVERLAP, focus=focus):
        yield together.names, piece


def lookers(model: VolumetricModel) -> list[Architecture]:
    """The networks of a model, which must tell where they look.

    Raises
    ------
    InvalidInputError
        When they do not.
    """
    members = [member for member in model.network.networks if isinstance(member, Architecture) and type(member.network).looked is not Network.looked]
    if len(members) < len(model.network.networks):
        raise InvalidInputError("does not tell where it looks", where=model.described.title, todo=TODO)
    return members
