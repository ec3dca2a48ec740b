"""The attention U-Net: a U-Net whose skips pass a gate that the coarser level below opens and shuts, voxel by voxel.

Gad et al. (MIUA 2023), with the gates of Oktay et al. (MIDL 2018): the skip by a strided convolution and the coarser features by one of 1x1 are
added; ReLU, 1x1 convolution to a single map, sigmoid; the map, between 0 and 1, is upsampled linearly and multiplied with the skip. These maps are what
`looks` shows. The paper gives no widths and no blocks; ours are 32-64-128-256-512 and twice Conv3 - BatchNorm - ReLU.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.blocks import LAYERS, begin, convolved
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.windows import resized, two_places

WIDTHS = (32, 64, 128, 256, 512)


class AttentionUNet(Network):
    """U-Net with gated skips and free widths.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    widths : sequence of int
        Feature maps at each level; the last is the bottom.
    """

    ENCODER = ("down",)
    SMALL: ClassVar = {"widths": (6, 12, 24)}
    UPDATES = 80
    RATE = 2e-2

    def __init__(self, in_channels: int = 1, classes: int = 1, dims: int = 2, widths: Sequence[int] = WIDTHS) -> None:
        if len(widths) < 2 or min(widths) < 1:
            raise InvalidInputError(f"no attention U-Net has widths {tuple(widths)}", where="Attention U-Net", todo="Give 2 or more widths")
        super().__init__(in_channels, classes, dims, 2 ** (len(widths) - 1))
        layers = LAYERS[dims]

        def block(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(convolved(dims, before, after), convolved(dims, after, after))

        upward = [*reversed([*pairwise(widths)])]
        self.pool = layers.pool(2)
        self.down = nn.ModuleList(block(a, b) for a, b in pairwise((in_channels, *widths)))
        self.gates = nn.ModuleList(Gate(a, b, dims) for a, b in upward)
        self.lift = nn.ModuleList(layers.lift(b, a, 2, 2) for a, b in upward)
        self.up = nn.ModuleList(block(2 * a, a) for a, _ in upward)
        self.head = layers.conv(widths[0], classes, 1)
        begin(self.down, self.up)

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        return self._answer(windows)[0]

    def looked(self, windows: Tensor) -> dict[str, Tensor]:
        """How far each gate is open: "attention-1" at full resolution, "attention-2" at half of it, and so on."""
        gates = self._answer(windows)[1]
        return {f"attention-{2**level}": resized(gate, windows.shape[2:]).clamp(0, 1) for level, gate in enumerate(reversed(gates))}

    def _answer(self, windows: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = [self.down[0](two_places(windows, self.step))]
        for block in self.down[1:]:
            skips.append(block(self.pool(skips[-1])))
        x = skips.pop()
        opened = []
        for gate, lift, block in zip(self.gates, self.lift, self.up, strict=True):
            skip = skips.pop()
            opened.append(gate(skip, x))
            x = block(torch.cat([skip * opened[-1], lift(x)], 1))
        return self.head(x), opened


class Gate(nn.Module):
    """How much of a skip is let through, from the skip and the level below.

    Parameters
    ----------
    fine, coarse : int
        Feature maps of the skip, and of the level below at half its resolution.
    dims : int
    """

    def __init__(self, fine: int, coarse: int, dims: int) -> None:
        super().__init__()
        layers = LAYERS[dims]
        inside = max(1, fine // 2)
        self.skip = layers.conv(fine, inside, 2, 2, bias=False)
        self.below = layers.conv(coarse, inside, 1)
        self.join = layers.conv(inside, 1, 1)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Opening (n, 1, ...) of the gate on the skip's grid, 0-1."""
        return resized(self.join((self.skip(skip) + self.below(below)).relu()).sigmoid(), skip.shape[2:])
