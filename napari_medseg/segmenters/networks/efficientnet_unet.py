"""EfficientNet-B3 as the encoder of a U-Net.

Hammouda et al. (MIUA 2023, "Hybrid self-supervised EfficientNet-B3 with denoising autoencoder") segment with EfficientNet-B3 (Tan and Le, ICML 2019) and do not
say how they come back to the image. Taken here is the U-Net decoder of the library whose words they use: nearest-neighbour steps of two, the features from
before that halving beside (those of the stem before the first), two convolutions of 3 with batch norm and ReLU; 256, 128, 64, 32 and 16 features.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.blocks import LAYERS
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.windows import two_places

STEM = 32
DIVISOR = 8  # features come in multiples of this
SQUEEZED = 0.25
EPSILON = 1e-3


class Stage(NamedTuple):
    """Blocks of EfficientNet-B0: how many, their kernel, the stride of the first, how much wider they are inside, features they give."""

    blocks: int
    kernel: int
    stride: int
    wider: int
    features: int


STAGES = (
    Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80), Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
DECODER = (256, 128, 64, 32, 16)


class EfficientNetUNet(Network):
    """EfficientNet, B3 unless told otherwise, and back to the window's resolution.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    width, depth : float
        Factors on features and blocks of B0: 1.2 and 1.4 are B3's.
    halvings : int, optional
        How often the resolution is halved, 2-5: 5 as published for images, 4 for volumes, whose windows are smaller; strides beyond are 1.
    decoder : sequence of int
        Features of each step back up, the coarsest first.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    ENCODER = ("stem", "stages")
    SMALL: ClassVar = {"width": 0.25, "depth": 0.3, "decoder": (32, 16, 16, 16, 16)}

    def __init__(
        self, in_channels: int, classes: int, dims: int, width: float = 1.2, depth: float = 1.4, halvings: int | None = None,
        decoder: Sequence[int] = DECODER,
    ) -> None:
        halvings = halvings or (5 if dims == 2 else 4)
        if width <= 0 or depth <= 0 or not 2 <= halvings <= 5 or len(decoder) < halvings or min(decoder) < 1:
            what = f"no EfficientNet has width {width}, depth {depth}, {halvings} halvings and decoder features {list(decoder)}"
            raise InvalidInputError(what, where=type(self).__name__, todo="Give positive factors, 2-5 halvings and as many decoder features")
        super().__init__(in_channels, classes, dims, step=2**halvings)
        features = rounded(STEM * width)
        self.stem = _normed(LAYERS[dims].conv(in_channels, features, 3, 2, 1, bias=False), features, dims, nn.SiLU(inplace=True))
        self.stages = nn.ModuleList()
        self.halving = [index for index, stage in enumerate(STAGES) if stage.stride > 1][: halvings - 1]
        beside = [features]
        for index, stage in enumerate(STAGES):
            if index in self.halving[1:]:
                beside.append(features)
            after, stride = rounded(stage.features * width), stage.stride if index in self.halving else 1
            self.stages.append(_stage(features, after, stage._replace(blocks=math.ceil(stage.blocks * depth), stride=stride), dims))
            features = after
        steps = zip((features, *decoder), (*reversed(beside), 0), decoder[:halvings], strict=False)
        self.decoder = nn.ModuleList(_up(before + skip, after, dims) for before, skip, after in steps)
        self.head = LAYERS[dims].conv(decoder[halvings - 1], classes, 3, padding=1)
        self.apply(_draw)

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        features = self.stem(two_places(windows, self.step))
        skips = [features]
        for index, stage in enumerate(self.stages):
            if index in self.halving[1:]:
                skips.append(features)
            features = stage(features)
        for up in self.decoder:
            features = nnf.interpolate(features, scale_factor=2.0, mode="nearest")
            features = up(torch.cat([features, skips.pop()], 1) if skips else features)
        return self.head(features)[..., : windows.shape[-1]]  # type: ignore[no-any-return]


class _Inverted(nn.Module):
    """Wider, looked around depth-wise, weighed by what is in the whole window (squeeze and excitation), narrow again (MBConv)."""

    def __init__(self, before: int, after: int, stage: Stage, dims: int) -> None:
        super().__init__()
        conv, wide = LAYERS[dims].conv, before * stage.wider
        self.widen = _normed(conv(before, wide, 1, bias=False), wide, dims, nn.SiLU(inplace=True)) if stage.wider > 1 else nn.Identity()
        around = conv(wide, wide, stage.kernel, stage.stride, stage.kernel // 2, groups=wide, bias=False)
        self.around = _normed(around, wide, dims, nn.SiLU(inplace=True))
        squeezed = max(1, int(before * SQUEEZED))
        self.weigh = nn.Sequential(conv(wide, squeezed, 1), nn.SiLU(inplace=True), conv(squeezed, wide, 1), nn.Sigmoid())
        self.narrow = _normed(conv(wide, after, 1, bias=False), after, dims)
        self.beside = stage.stride == 1 and before == after

    def forward(self, features: Tensor) -> Tensor:
        found = self.around(self.widen(features))
        found = self.narrow(found * self.weigh(found.mean(dim=list(range(2, found.ndim)), keepdim=True)))
        return features + found if self.beside else found  # type: ignore[no-any-return]


def rounded(features: float) -> int:
    """The multiple of 8 nearest to a number of features, and never a tenth less than it."""
    near = max(DIVISOR, int(features + DIVISOR / 2) // DIVISOR * DIVISOR)
    return near if near >= 0.9 * features else near + DIVISOR


def _stage(before: int, after: int, stage: Stage, dims: int) -> nn.Sequential:
    first = _Inverted(before, after, stage, dims)
    return nn.Sequential(first, *(_Inverted(after, after, stage._replace(stride=1), dims) for _ in range(stage.blocks - 1)))


def _normed(conv: nn.Module, after: int, dims: int, *then: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv, LAYERS[dims].batch_norm(after, EPSILON), *then)


def _up(before: int, after: int, dims: int) -> nn.Sequential:
    conv, norm = LAYERS[dims].conv, LAYERS[dims].batch_norm
    return nn.Sequential(*(nn.Sequential(conv(n, after, 3, padding=1, bias=False), norm(after), nn.ReLU(inplace=True)) for n in (before, after)))


def _draw(module: nn.Module) -> None:
    """Convolutions normally by their fan-out, as the authors draw them; biases are 0."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d)):
        nn.init.normal_(module.weight, std=math.sqrt(2 * module.groups / (math.prod(module.kernel_size) * module.out_channels)))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
