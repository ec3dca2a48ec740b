"""MobileNetV2 as an encoder (Sandler et al., CVPR 2018), whose last levels can look around instead of going coarser.

Inverted residuals: 1x1 to six times the features, 3x3 for each feature alone, 1x1 back to few without bending; 2,223,872 weights in 2D with three channels.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from torch import Tensor, nn

from napari_medseg.segmenters.networks.blocks import begin, convolved

STEM, LAST = 32, 1280
LEVELS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""For each level: how much wider inside, features, blocks, stride (Sandler et al., table 2)."""
FINE = 1  # the level at a quarter of the resolution
COARSEST = 16


class MobileNetV2(nn.Module):
    """Features at a quarter and at a sixteenth of a window's resolution.

    Parameters
    ----------
    in_channels, dims : int
    width : float
        How many times the published features.

    Attributes
    ----------
    fine, coarse : int
        Feature maps at a quarter and at a sixteenth.
    """

    def __init__(self, in_channels: int, dims: int, width: float = 1.0) -> None:
        super().__init__()

        def scaled(features: int) -> int:
            return max(8, round(features * width / 8) * 8)

        before, coarseness = scaled(STEM), 2
        self.stem = convolved(dims, in_channels, before, stride=2, then=nn.ReLU6)
        levels = []
        for wider, features, depth, stride in LEVELS:
            stays = coarseness * stride > COARSEST
            coarseness = coarseness if stays else coarseness * stride
            blocks = []
            for index in range(depth):
                far = 2 if coarseness == COARSEST and features >= LEVELS[5][1] else 1
                blocks.append(_Inverted(dims, before, scaled(features), wider, stride if index == 0 and not stays else 1, far))
                before = scaled(features)
            levels.append(nn.Sequential(*blocks))
        self.levels = nn.ModuleList(levels)
        self.fine, self.coarse = scaled(LEVELS[FINE][1]), scaled(LAST)
        self.last = convolved(dims, before, self.coarse, 1, then=nn.ReLU6)
        begin(self)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """The features (n, fine, ...) and (n, coarse, ...)."""
        x = fine = self.stem(windows)
        for index, level in enumerate(self.levels):
            x = level(x)
            fine = x if index == FINE else fine
        return fine, self.last(x)


class _Inverted(nn.Module):
    def __init__(self, dims: int, before: int, after: int, wider: int, stride: int, dilation: int) -> None:
        super().__init__()
        inside = before * wider
        self.body = nn.Sequential(
            *([convolved(dims, before, inside, 1, then=nn.ReLU6)] if wider > 1 else []),
            convolved(dims, inside, inside, stride=stride, dilation=dilation, groups=inside, then=nn.ReLU6), convolved(dims, inside, after, 1, then=None),
        )
        self.same = before == after and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return x + found if self.same else found
