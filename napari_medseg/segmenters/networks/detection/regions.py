"""Features of a region, at sub-pixel places: RoIAlign (He et al., Mask R-CNN, ICCV 2017), on plain torch.

Half-pixel convention (torchvision's `aligned=True`): a box is in pixel edges, so its place in a feature map of stride s is box / s - 0.5, where feature i
has its centre at i. Every bin takes the mean of `samples` x `samples` bilinear samples; a sample more than a pixel outside the map is 0.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as nnf

SAMPLES = 2


def roi_align(features: Tensor, boxes: Sequence[Tensor], size: int, stride: float, samples: int = SAMPLES) -> Tensor:
    """Features of boxes.

    Parameters
    ----------
    features : (n, c, h, w)
    boxes : n tensors (k, 4)
        Of each image, (y0, x0, y1, x1) in pixel edges of the image; none where an image has no box.
    size : int
        Bins a side.
    stride : float
        Pixels of the image that a feature stands for.
    samples : int
        A bin's samples along each axis.

    Returns
    -------
    (sum of k, c, size, size)
        In the order of the images, then of the boxes.
    """
    parts = [_aligned(features[i : i + 1], some, size, stride, samples) for i, some in enumerate(boxes)]
    return torch.cat(parts) if parts else features.new_zeros(0, features.shape[1], size, size)


def _aligned(features: Tensor, boxes: Tensor, size: int, stride: float, samples: int) -> Tensor:
    _, channels, height, width = features.shape
    if not len(boxes):
        return features.new_zeros(0, channels, size, size)
    each = size * samples
    steps = (torch.arange(each, device=features.device, dtype=features.dtype) + 0.5) / each
    boxes = boxes.to(features.dtype) / stride - 0.5
    y, x = (boxes[:, axis, None] + (boxes[:, axis + 2, None] - boxes[:, axis, None]) * steps for axis in (0, 1))  # (k, each)
    inside = ((y >= -1) & (y <= height))[:, :, None] & ((x >= -1) & (x <= width))[:, None]
    shape = (len(boxes), each, each)
    grid = torch.stack([_spread(x, width)[:, None].expand(shape), _spread(y, height)[:, :, None].expand(shape)], -1)
    sampled = nnf.grid_sample(features, grid.reshape(1, -1, each, 2), padding_mode="border", align_corners=True)
    sampled = sampled.reshape(channels, len(boxes), each, each).transpose(0, 1) * inside[:, None]
    return nnf.avg_pool2d(sampled, samples)


def _spread(places: Tensor, length: int) -> Tensor:
    """Places of features as `grid_sample` counts them: -1 the first, 1 the last."""
    return places * (2 / (length - 1)) - 1 if length > 1 else torch.zeros_like(places)


def level_of(boxes: Tensor, levels: int, first: int = 2, canonical: float = 224.0, at: int = 4) -> Tensor:
    """Which level of a pyramid sees a box (Lin et al., CVPR 2017, eq. 1): floor(at + log2(sqrt(area) / canonical)), as an index from 0 for level `first`.

    Boxes are (n, 4) in pixels, levels int64 (n,).
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    level = (at + ((sides[:, 0] * sides[:, 1]).sqrt() / canonical).log2() + 1e-6).floor()
    return (level.clamp(first, first + levels - 1) - first).long()


def roi_align_levels(
    levels: Sequence[Tensor], boxes: Sequence[Tensor], size: int, strides: Sequence[float], canonical: float = 224.0,
) -> Tensor:
    """Features of boxes, each from the level that suits its size; arguments and order as in `roi_align`, with a feature map and a stride for each level."""
    at = [level_of(some, len(levels), canonical=canonical) for some in boxes]
    joined = torch.cat(at) if at else torch.zeros(0, dtype=torch.int64)
    out = levels[0].new_zeros(len(joined), levels[0].shape[1], size, size)
    for index, (features, stride) in enumerate(zip(levels, strides, strict=True)):
        mine = [some[which == index] for some, which in zip(boxes, at, strict=True)]
        if sum(map(len, mine)):
            out = out.index_put((torch.nonzero(joined == index)[:, 0],), roi_align(features, mine, size, stride))
    return out
