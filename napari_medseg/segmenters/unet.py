"""The 2D U-Net of Salah et al., MIUA 2023: four blocks a path, made for slices of 128 x 128.

A block is Conv3x3 - ReLU - BatchNorm, dropout 0.2, and the same again; max-pooling down, transposed convolution up, concatenated skips, a 1x1
convolution at the end. The sigmoid stays outside, so that losses and resampling work on logits. The paper gives no widths; 12-24-48-96-192 is ours
(1.1 million weights, 4.4 MB).

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.pruning.record import Kept

WIDTHS = (12, 24, 48, 96, 192)
DROPOUT = 0.2


class UNet(nn.Module):
    """U-Net for single slices.

    Parameters
    ----------
    in_channels : int
        Values a pixel has.
    classes : int
        Maps to answer with, one a class; the background is where all are low.
    widths : sequence of int
        Feature maps at each level; the last is the bottom, so there are `len(widths) - 1` blocks a path.
    dropout : float
        Share of feature maps' values dropped within a block while training.

    Attributes
    ----------
    kept : Kept
        What pruning left of it (`networks.pruning.record`); nothing for a whole one.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    def __init__(self, in_channels: int = 1, classes: int = 1, widths: Sequence[int] = WIDTHS, dropout: float = DROPOUT) -> None:
        super().__init__()
        if in_channels < 1 or classes < 1 or len(widths) < 2 or min(widths) < 1 or not 0 <= dropout < 1:
            raise InvalidInputError(f"no U-Net has {in_channels} channels, {classes} classes, widths {tuple(widths)} and dropout {dropout}", where="network")
        self.in_channels, self.classes, self.widths, self.dropout = in_channels, classes, tuple(widths), dropout
        self.kept: Kept = {}
        self.down = nn.ModuleList(_block(a, b, dropout) for a, b in pairwise((in_channels, *widths)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(_block(2 * a, a, dropout) for a in widths[:-1])
        self.head = nn.Conv2d(widths[0], classes, 1)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return int(2 ** (len(self.widths) - 1))

    def forward(self, slices: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of slices (n, channels, h, w) in [0, 1]; h and w are multiples of `multiple`."""
        skips = []
        features = slices
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else nn.functional.max_pool2d(features, 2))
            skips.append(features)
        for level in reversed(range(len(self.up))):
            features = self.merge[level](torch.cat([skips[level], self.up[level](features)], dim=1))
        logits: Tensor = self.head(features)
        return logits


def _block(before: int, after: int, dropout: float) -> nn.Sequential:
    def half(inside: int) -> list[nn.Module]:
        return [nn.Conv2d(inside, after, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(after)]

    return nn.Sequential(*half(before), nn.Dropout(dropout), *half(after))
