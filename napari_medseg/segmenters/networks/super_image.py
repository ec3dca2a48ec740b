"""A volume as one image: its slices side by side on a grid, one network of two dimensions over them, and the answers back where they came from.

Sobirov et al., "Super images - a new 2D perspective on 3D medical imaging analysis" (MIUA 2023). They lay D slices on sh x sw = D places and find near-square
grids better than long ones; what to do with a depth that is no such product (37 slices) is left open, and solved here by places that stay empty.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.building import build
from napari_medseg.segmenters.networks.network import Network

LONGEST = 2  # times one side of the grid may be the other


class SuperImage(Network):
    """A network of two dimensions on volumes.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`; three dimensions.
    inside : str
        A network of the catalogue that comes in two dimensions.
    parameters : mapping, optional
        Of that network.

    Raises
    ------
    CatalogueError, UnavailableError, InvalidInputError
        As `building.build` for the network inside; when it is made for images, or to have a network inside that finds objects.
    """

    SMALL: ClassVar = {"inside": "unet-lite", "parameters": {"widths": (8, 16, 24), "dropout": 0.1}}
    RATE = 1e-2

    def __init__(self, in_channels: int, classes: int, dims: int, inside: str, parameters: Mapping[str, Any] | None = None) -> None:
        if dims != 3:
            what = "lays out volumes and has nothing to do with an image"
            raise InvalidInputError(what, where=type(self).__name__, todo=f"Use 3 dimensions, or '{inside}' itself")
        super().__init__(in_channels, classes, dims)
        drawn = int(torch.randint(2**31, (), device="cpu"))
        self.inside = build(inside, in_channels=in_channels, classes=classes, dims=2, seed=drawn, **(parameters or {}))
        if hasattr(self.inside, "own_loss"):
            what = f"cannot have '{inside}' inside, which finds objects and learns from them"
            raise InvalidInputError(what, where=type(self).__name__, todo="Choose a network that answers with maps, such as unet-lite")

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of volumes of any size."""
        return folded(self.inside(laid_out(windows)), windows.shape)

    def looked(self, windows: Tensor) -> Mapping[str, Tensor]:
        """What the network inside tells of the image, on the volume."""
        return {name: folded(found, windows.shape) for name, found in self.inside.looks(laid_out(windows)).items()}

    def encoder(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of the encoder of the network inside."""
        for name, parameter in self.inside.encoder():
            yield f"inside.{name}", parameter


def grid(slices: int) -> tuple[int, int]:
    """Rows and columns of the squarest grid for so many slices.

    Of all grids of which one side is at most twice the other, those with the fewest empty places, and of these the squarest; never more columns than rows
    (144 slices: 12 x 12, 88: 11 x 8, 48: 8 x 6, as in the paper; 37: 8 x 5 with three empty places).
    """
    across = range(1, math.isqrt(slices - 1) + 2)
    near = [(max(math.ceil(slices / n), n), n) for n in across]
    return min((one for one in near if one[0] <= LONGEST * one[1]), key=lambda one: (one[0] * one[1], one[0]))


def laid_out(volumes: Tensor) -> Tensor:
    """Volumes (n, c, z, y, x) as images (n, c, rows * y, columns * x), slice after slice along each row; empty places repeat the last slice."""
    n, c, slices, y, x = volumes.shape
    rows, columns = grid(slices)
    if rows * columns > slices:
        volumes = torch.cat([volumes, volumes[:, :, -1:].expand(-1, -1, rows * columns - slices, -1, -1)], 2)
    return volumes.reshape(n, c, rows, columns, y, x).transpose(3, 4).reshape(n, c, rows * y, columns * x)


def folded(images: Tensor, shape: torch.Size) -> Tensor:
    """Images (n, c, rows * y, columns * x) as volumes (n, c, z, y, x) of this shape, whatever their channels; the inverse of `laid_out`."""
    slices, y, x = shape[2:]
    rows, columns = grid(slices)
    volumes = images.reshape(images.shape[0], images.shape[1], rows, y, columns, x).transpose(3, 4)
    return volumes.reshape(images.shape[0], images.shape[1], rows * columns, y, x)[:, :, :slices]
