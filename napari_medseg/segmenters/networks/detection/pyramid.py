"""Feature pyramid (Lin et al., CVPR 2017): every level of a trunk with what the coarser ones know.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as nnf


def resized(x: Tensor, like: Tensor) -> Tensor:
    """A map (n, c, y, x) bilinearly at another map's size, pixel centres kept."""
    return x if x.shape[-2:] == like.shape[-2:] else nnf.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


class Pyramid(nn.Module):
    """P2 to P5 of C2 to C5: 1x1 convolutions aside, the coarser level upsampled (nearest) and added, a 3x3 convolution on each.

    Parameters
    ----------
    channels : of C2 to C5
    features : int
        Channels of every level; 256 as published.
    """

    def __init__(self, channels: Sequence[int], features: int) -> None:
        super().__init__()
        self.aside = nn.ModuleList(nn.Conv2d(c, features, 1) for c in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in channels)

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """P2 to P5, finest first."""
        sides = [aside(c) for aside, c in zip(self.aside, stages, strict=True)]
        for level in range(len(sides) - 2, -1, -1):
            sides[level] = sides[level] + nnf.interpolate(sides[level + 1], sides[level].shape[-2:], mode="nearest")
        return [smooth(p) for smooth, p in zip(self.smooth, sides, strict=True)]
