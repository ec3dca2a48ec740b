"""ResNet50 as an encoder (He et al., CVPR 2016), whose last level can look around instead of going coarser.

Blocks of 1x1, 3x3 and 1x1 convolutions with the stride in the middle one, as every published set of weights has it: 23,508,032 weights in 2D with three
channels.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from napari_medseg.segmenters.networks.blocks import LAYERS, begin, convolved

DEPTHS = (3, 4, 6, 3)
WIDER = 4  # the features that a block gives against those of its middle


class ResNet(nn.Module):
    """Features at a quarter and at a sixteenth of a window's resolution.

    Parameters
    ----------
    in_channels, dims : int
    width : int
        Features of the stem; levels have 1, 2, 4 and 8 times as many in the middle of their blocks.
    depths : four of int
        Blocks of each level.

    Attributes
    ----------
    fine, coarse : int
        Feature maps at a quarter and at a sixteenth.
    """

    def __init__(self, in_channels: int, dims: int, width: int = 64, depths: Sequence[int] = DEPTHS) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolved(dims, in_channels, width, 7, stride=2), LAYERS[dims].pool(3, 2, 1))
        levels, before = [], width
        for index, depth in enumerate(depths):
            inside = width * 2**index
            last = index == len(depths) - 1  # at a sixteenth it looks twice as far instead of going to a thirty-second
            stride, dilation = (1, 2) if last else (1 if index == 0 else 2, 1)
            blocks = [_Bottleneck(dims, before if n == 0 else WIDER * inside, inside, stride if n == 0 else 1, dilation) for n in range(depth)]
            levels.append(nn.Sequential(*blocks))
            before = WIDER * inside
        self.levels = nn.ModuleList(levels)
        self.fine, self.coarse = WIDER * width, before
        begin(self)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """The features (n, fine, ...) and (n, coarse, ...)."""
        fine = x = self.levels[0](self.stem(windows))
        for level in self.levels[1:]:
            x = level(x)
        return fine, x


class _Bottleneck(nn.Module):
    def __init__(self, dims: int, before: int, inside: int, stride: int, dilation: int) -> None:
        super().__init__()
        after = WIDER * inside
        self.body = nn.Sequential(
            convolved(dims, before, inside, 1), convolved(dims, inside, inside, stride=stride, dilation=dilation),
            convolved(dims, inside, after, 1, then=None),
        )
        self.past = nn.Identity() if before == after and stride == 1 else convolved(dims, before, after, 1, stride=stride, then=None)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = (self.body(x) + self.past(x)).relu()
        return found
