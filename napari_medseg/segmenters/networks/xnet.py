"""XNet: two encoder-decoders one behind the other, so that no map is ever coarser than an eighth, with skips within and across them.

Bullock, Cuesta-Lazaro and Quera-Bofarull, "XNet", SPIE Medical Imaging 2019. Each level is one Conv3 - BatchNorm - ReLU; down by max-pooling, up by
nearest neighbours; the first module comes back to half resolution, the second goes down and up again and ends at full. A skip joins behind the
convolution of its level, not before, and the very first goes across both modules. Widths and batch normalisation are those of the authors' published
code (64-128-256-512), as the paper leaves them out. Volumes are ours: the same with three dimensions.

The paper trains with cross-entropy, Adam 1e-4 and a penalty of 5e-4 on squared weights, on batches of 5 images of 200 x 200, mean-subtracted, -1 to 1.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.blocks import LAYERS, begin, convolved
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.windows import two_places

WIDTHS = (64, 128, 256, 512)


class XNet(Network):
    """XNet with free widths.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    widths : four of int
        Feature maps at full, half, quarter and eighth resolution.
    """

    ENCODER = ("down", "bottom")
    SMALL: ClassVar = {"widths": (6, 8, 12, 16)}
    UPDATES = 60
    RATE = 2e-2

    def __init__(self, in_channels: int = 1, classes: int = 1, dims: int = 2, widths: Sequence[int] = WIDTHS) -> None:
        if len(widths) != 4 or min(widths) < 1:
            raise InvalidInputError(f"no XNet has widths {tuple(widths)}", where="XNet", todo="Give 4 widths")
        super().__init__(in_channels, classes, dims, 8)
        one, two, three, four = widths

        def level(before: int, after: int) -> nn.Module:
            return convolved(dims, before, after)

        self.pool = LAYERS[dims].pool(2)
        self.again = nn.Upsample(scale_factor=2)
        self.down = nn.ModuleList([level(in_channels, one), level(one, two), level(two, three)])
        self.bottom = nn.Sequential(level(three, four), level(four, four))
        self.up = nn.ModuleList([level(four, three), level(2 * three, two)])
        self.second_down = nn.ModuleList([level(2 * two, two), level(two, three)])
        self.second_bottom = nn.Sequential(level(three, four), level(four, four))
        self.second_up = nn.ModuleList([level(four, three), level(2 * three, two), level(2 * two, one)])
        self.head = LAYERS[dims].conv(2 * one, classes, 1)
        begin(self.down, self.bottom, self.up, self.second_down, self.second_bottom, self.second_up)

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        first = self.down[0](two_places(windows, self.step))
        half = self.down[1](self.pool(first))
        quarter = self.down[2](self.pool(half))
        x = self._risen(self.bottom(self.pool(quarter)), self.up, (quarter, half))
        half = self.second_down[0](x)
        quarter = self.second_down[1](self.pool(half))
        x = self._risen(self.second_bottom(self.pool(quarter)), self.second_up, (quarter, half, first))
        found: Tensor = self.head(x)
        return found

    def _risen(self, x: Tensor, levels: nn.ModuleList, skips: Sequence[Tensor]) -> Tensor:
        for level, skip in zip(levels, skips, strict=True):
            x = torch.cat([skip, level(self.again(x))], 1)
        return x
