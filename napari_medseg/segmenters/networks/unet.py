"""The U-Net of Sourget et al., MIUA 2023 (after Ronneberger et al., MICCAI 2015), and its light twin.

A block is Conv3 - ReLU - Conv3 - ReLU - dropout 0.2 of whole maps, without normalisation; max-pooling down, transposed convolution up, concatenated
skips, a 1x1 convolution at the end. Widths 64-128-256-512-1024 make 31,030,788 weights in 2D with one channel and four maps, widths 22-44-88-176-352
make 3,668,460.

The paper says nothing of the weights to begin with; ours are those of the U-Net it cites (Gaussian, He et al., ICCV 2015), without which a net of this depth
without normalisation answers with background for hundreds of updates. Borders are padded with zeros, so that the answer is as large as the window.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.blocks import LAYERS, begin
from napari_medseg.segmenters.networks.network import Network

WIDTHS = (64, 128, 256, 512, 1024)
DROPOUT = 0.2


class UNet(Network):
    """U-Net with free widths.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    widths : sequence of int
        Feature maps at each level; the last is the bottom.
    dropout : float
        Share of feature maps dropped behind each block while training.
    """

    ENCODER = ("down",)
    SMALL: ClassVar = {"widths": (6, 12, 24), "dropout": 0.05}
    UPDATES = 80

    def __init__(self, in_channels: int = 1, classes: int = 1, dims: int = 2, widths: Sequence[int] = WIDTHS, dropout: float = DROPOUT) -> None:
        if len(widths) < 2 or min(widths) < 1 or not 0 <= dropout < 1:
            raise InvalidInputError(f"no U-Net has widths {tuple(widths)} and dropout {dropout}", where="U-Net", todo="Give 2 or more widths, dropout 0-1")
        super().__init__(in_channels, classes, dims, 2 ** (len(widths) - 1))
        layers = LAYERS[dims]

        def block(before: int, after: int) -> nn.Sequential:
            halves = (part for inside in (before, after) for part in (layers.conv(inside, after, 3, padding=1), nn.ReLU(inplace=True)))
            return nn.Sequential(*halves, layers.dropout(dropout))

        self.pool = layers.pool(2)
        self.down = nn.ModuleList(block(a, b) for a, b in pairwise((in_channels, *widths)))
        self.lift = nn.ModuleList(layers.lift(b, a, 2, 2) for a, b in reversed([*pairwise(widths)]))
        self.up = nn.ModuleList(block(2 * a, a) for a in reversed(widths[:-1]))
        self.head = layers.conv(widths[0], classes, 1)
        begin(self.down, self.up)

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        skips = [self.down[0](windows)]
        for block in self.down[1:]:
            skips.append(block(self.pool(skips[-1])))
        x = skips.pop()
        for lift, block in zip(self.lift, self.up, strict=True):
            x = block(torch.cat([skips.pop(), lift(x)], 1))
        found: Tensor = self.head(x)
        return found
