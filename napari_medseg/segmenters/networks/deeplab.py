"""DeepLabV3+: an encoder down to a sixteenth, a look around at several distances at once, and a decoder that meets the features at a quarter.

Chen et al., "Encoder-decoder with atrous separable convolution for semantic image segmentation", ECCV 2018; with ResNet50 and MobileNetV2 half of the
ensemble of Gil et al. (MIUA 2023) for tumours in photographs. The look around (ASPP) is a 1x1 convolution, three separable 3x3 ones dilated by `rates`
and the mean of the window, each to 256 features; the decoder adds 48 features at a quarter and answers there, upsampled four times.

The paper says neither the rates nor the output stride; ours are 12, 24 and 36 at a sixteenth, and 2, 4 and 6 for volumes, whose windows are a few places
long there. It began with ImageNet's weights, which are not shipped. The mean of a window is one number a feature, which batch normalisation cannot take
from a batch of one: that branch has a bias instead.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.blocks import LAYERS, begin, convolved
from napari_medseg.segmenters.networks.mobilenet import MobileNetV2
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.resnet import DEPTHS, ResNet
from napari_medseg.segmenters.networks.windows import resized, two_places

RATES = {2: (12, 24, 36), 3: (2, 4, 6)}
ENCODERS = ("resnet50", "mobilenetv2")


class DeepLabV3Plus(Network):
    """DeepLabV3+ on one of two encoders.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    encoder : "resnet50" or "mobilenetv2"
    width : float
        How many times the published features, everywhere.
    depths : four of int, optional
        Blocks of each level of a ResNet; those of ResNet50 by default.
    rates : sequence of int, optional
        How far apart the voxels of each dilated convolution lie, at a sixteenth of the resolution.
    dropout : float
        Share of feature maps dropped behind the look around while training.
    """

    ENCODER = ("seen",)
    SMALL: ClassVar = {"width": 0.125, "depths": (1, 1, 1, 1), "rates": (1, 2, 3), "dropout": 0.0}
    UPDATES = 90
    RATE = 2e-2

    def __init__(
        self, in_channels: int = 1, classes: int = 1, dims: int = 2, encoder: str = "resnet50", width: float = 1.0, depths: Sequence[int] = DEPTHS,
        rates: Sequence[int] | None = None, dropout: float = 0.1,
    ) -> None:
        super().__init__(in_channels, classes, dims, 16)
        rates = tuple(rates or RATES[dims])
        if encoder not in ENCODERS or not 0 < width <= 4 or len(depths) != 4 or min(depths) < 1 or min(rates) < 1 or not 0 <= dropout < 1:
            what = f"no DeepLabV3+ has the encoder {encoder}, {width} times the features, depths {tuple(depths)}, rates {rates} and dropout {dropout}"
            raise InvalidInputError(what, where="DeepLabV3+", todo=f"Choose {' or '.join(ENCODERS)}, 4 depths, and numbers above 0")

        def scaled(features: int) -> int:
            return max(8, round(features * width))

        middle, skip = scaled(256), scaled(48)
        self.seen = ResNet(in_channels, dims, scaled(64), depths) if encoder == "resnet50" else MobileNetV2(in_channels, dims, width)
        self.around = Around(dims, self.seen.coarse, middle, rates, dropout)
        self.blend = separable(dims, middle, middle)
        self.skip = convolved(dims, self.seen.fine, skip, 1)
        self.join = separable(dims, middle + skip, middle)
        self.head = LAYERS[dims].conv(middle, classes, 1)
        begin(self.around, self.blend, self.skip, self.join)

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        windows = two_places(windows, self.step)
        fine, coarse = self.seen(windows)
        x = resized(self.blend(self.around(coarse)), fine.shape[2:])
        return resized(self.head(self.join(torch.cat([x, self.skip(fine)], 1))), windows.shape[2:])


class Around(nn.Module):
    """What lies at several distances of each place, and the mean of all (atrous spatial pyramid pooling)."""

    def __init__(self, dims: int, before: int, after: int, rates: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.near = nn.ModuleList([convolved(dims, before, after, 1), *(separable(dims, before, after, rate) for rate in rates)])
        self.whole = LAYERS[dims].conv(before, after, 1)
        self.join = nn.Sequential(convolved(dims, (len(rates) + 2) * after, after, 1), LAYERS[dims].dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, after, ...) on the grid of x."""
        whole = self.whole(x.mean(tuple(range(2, x.ndim)), keepdim=True)).relu().expand(-1, -1, *x.shape[2:])
        found: Tensor = self.join(torch.cat([*(one(x) for one in self.near), whole], 1))
        return found


def separable(dims: int, before: int, after: int, dilation: int = 1) -> nn.Sequential:
    """Convolution of each feature alone, then 1x1 over all, batch normalisation and ReLU."""
    return nn.Sequential(LAYERS[dims].conv(before, before, 3, 1, dilation, dilation, before, bias=False), convolved(dims, before, after, 1))
