"""Residual trunks: ResNet-18, -34, -50, -101 (He et al., CVPR 2016) and ResNeXt (Xie et al., CVPR 2017), with group normalisation.

Group normalisation in place of batch normalisation, since a batch here is a handful of slices (Wu & He, ECCV 2018, who show it for Mask R-CNN); it has as many
parameters, so the counts are those of the published trunks.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from math import gcd

from torch import Tensor, nn
from torch.nn import functional as nnf

from napari_medseg.errors import InvalidInputError

COUNTS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
WIDER = 4  # what a bottleneck puts out, in times its width
GROUPS = 8


def norm(channels: int) -> nn.GroupNorm:
    """Eight groups, or as many as divide the channels."""
    return nn.GroupNorm(gcd(GROUPS, channels), channels)


def conv(before: int, after: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and normalisation, without a bias; sides shrink by the stride only."""
    return nn.Sequential(nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False), norm(after))


class Residual(nn.Module):
    """Two convolutions, or a bottleneck of three, around which the input goes.

    Parameters
    ----------
    before, width : int
        Channels of the input, and inside.
    stride : int
        Of the 3x3 convolution of a bottleneck, of the first one of a plain block.
    bottleneck : bool
    cardinality : int
        Groups of the 3x3 convolution of a bottleneck; above 1 that convolution is `per_group` channels a group and 64 of width wide (ResNeXt).
    """

    def __init__(self, before: int, width: int, stride: int, bottleneck: bool, cardinality: int = 1, per_group: int = 4) -> None:
        super().__init__()
        self.out_channels = width * WIDER if bottleneck else width
        if bottleneck:
            inner = width if cardinality == 1 else width * per_group * cardinality // 64
            parts = [conv(before, inner, 1), nn.ReLU(), conv(inner, inner, 3, stride, cardinality), nn.ReLU(), conv(inner, self.out_channels, 1)]
        else:
            parts = [conv(before, width, 3, stride), nn.ReLU(), conv(width, width)]
        self.body = nn.Sequential(*parts)
        self.around = conv(before, self.out_channels, 1, stride) if stride > 1 or before != self.out_channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Input and change, rectified."""
        return nnf.relu(self.body(x) + self.around(x))


class Trunk(nn.Module):
    """A stem and four stages, C1 to C5.

    Parameters
    ----------
    in_channels : int
    depth : 18, 34, 50 or 101
    width : int
        Channels of the stem; 64 as published.
    stride : 1, 2 or 4
        Pixels that a feature of C2 stands for: 4 as published, less for small objects. Every further stage halves.
    cardinality, per_group : int
        1 for a ResNet; 32 with 4 or 8 a group for the published ResNeXt-50 and -101.

    Attributes
    ----------
    channels : tuple of int
        Of C1 to C5.
    strides : tuple of int
        Of C1 to C5.

    Raises
    ------
    InvalidInputError
        When there is no such trunk.
    """

    def __init__(self, in_channels: int, depth: int = 18, width: int = 64, stride: int = 4, cardinality: int = 1, per_group: int = 4) -> None:
        super().__init__()
        if depth not in COUNTS or stride not in (1, 2, 4) or width < 1 or (cardinality > 1 and (depth < 50 or width * per_group % 64)):
            what = f"there is no residual trunk of depth {depth}, width {width}, stride {stride} and cardinality {cardinality}"
            raise InvalidInputError(what, where="depth", todo="Use depth 18, 34, 50 or 101, stride 1, 2 or 4, and cardinality from depth 50 on")
        bottleneck = depth >= 50
        first = 2 if stride > 1 else 1
        self.stem = nn.Sequential(*conv(in_channels, width, 7, first), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1) if stride == 4 else nn.Identity()
        self.stages = nn.ModuleList()
        before, channels = width, [width]
        for level, count in enumerate(COUNTS[depth]):
            blocks = []
            for index in range(count):
                step = 2 if level and not index else 1
                blocks.append(Residual(before, width * 2**level, step, bottleneck, cardinality, per_group))
                before = blocks[-1].out_channels
            self.stages.append(nn.Sequential(*blocks))
            channels.append(before)
        self.channels = tuple(channels)
        self.strides = (first, *(stride * 2**level for level in range(4)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """C1 to C5."""
        found = [self.stem(x)]
        x = self.pool(found[0])
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found
