"""Mixup: scans learnt from in pairs, laid over each other, and their labels in the same shares.

Zhang et al., ICLR 2018: x = lambda x_i + (1 - lambda) x_j and y likewise, lambda from Beta(alpha, alpha); alpha 1 is the uniform share of Campbell et al. (MIUA
2023, facial phenotyping, eq. 1), who warp both faces to the mean of their keypoints first. Scans have no keypoints: `landmarks` takes each label's middle and
reach for them. The source draws one share for a batch; here each pair has its own.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_medseg.refine.augmentation.landmarks import Landmarks, landmarks, moved


def mixed(images: Tensor, targets: Tensor, weights: Tensor, generator: torch.Generator, *, alpha: float, aligned: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """A batch in which each item is mixed with another; one that is alone stays as it is.

    Parameters
    ----------
    images : (n, c, [z,] y, x)
    targets : (n, classes, [z,] y, x)
    weights : (n, 1, [z,] y, x)
        A voxel that is unknown in either of a pair is unknown in the mixture.
    generator : of the processor
    alpha : float
        Above 0.
    aligned : float
        Share of the pairs that are warped to the mean of their landmarks first, where their labels have any in common.
    """
    count = len(images)
    if count < 2:
        return images, targets, weights
    partner = (torch.arange(count) + int(torch.randint(1, count, (), generator=generator))) % count
    share = _shares(count, alpha, generator)
    warped = torch.rand(count, generator=generator) < aligned
    first, second = (images, targets, weights), tuple(maps[partner.to(maps.device)] for maps in (images, targets, weights))
    if warped.any():
        here, there = landmarks(targets, weights), landmarks(second[1], second[2])
        both = Landmarks(here.low.lerp(there.low, 1 - share[:, None, None]), here.high.lerp(there.high, 1 - share[:, None, None]), here.found & there.found)
        first = moved(first, here, both, warped)
        second = moved(second, there, both, warped)
    known = (first[2] > 0) & (second[2] > 0)
    part = share.view(-1, *[1] * (images.ndim - 1)).to(images)
    nothing = torch.zeros((), dtype=images.dtype, device=images.device)
    image, target, weight = (part * one + (1 - part) * other for one, other in zip(first, second, strict=True))
    return image, torch.where(known, target, nothing), torch.where(known, weight, nothing)


def _shares(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Of the first of each pair, Beta(alpha, alpha)."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count).astype(np.float32))
