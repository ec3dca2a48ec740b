"""Anchors: the boxes that proposals start from, some at every place of every level of a pyramid.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

RATIOS = (0.5, 1.0, 2.0)  # height to width
SCALES = (1.0, sqrt(2.0))


def shapes(side: float, ratios: Sequence[float] = RATIOS, scales: Sequence[float] = SCALES) -> Tensor:
    """Boxes (n, 4) around the origin whose area is (side * scale)^2, one for each scale and ratio."""
    found = []
    for scale in scales:
        for ratio in ratios:
            height, width = side * scale * sqrt(ratio), side * scale / sqrt(ratio)
            found.append([-height / 2, -width / 2, height / 2, width / 2])
    return torch.tensor(found)


def anchors(height: int, width: int, stride: float, side: float, like: Tensor) -> Tensor:
    """Anchors of one level.

    Parameters
    ----------
    height, width : of the feature map
    stride : float
        Pixels a feature stands for; an anchor's middle is that of its feature, (i + 0.5) * stride.
    side : float
        Root of the smallest area, in pixels.
    like : Tensor
        Gives type and device.

    Returns
    -------
    (height * width * shapes, 4)
        Place by place, the shapes of a place next to each other.
    """
    kinds = shapes(side).to(like)
    y, x = (((torch.arange(n, device=like.device, dtype=like.dtype) + 0.5) * stride) for n in (height, width))
    middles = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 1, 2)
    return (middles.repeat(1, 1, 2) + kinds).reshape(-1, 4)


COUNT = len(RATIOS) * len(SCALES)
