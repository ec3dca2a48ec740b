"""What a network can learn from a scan alone: what is done to a window, and where its answer counts.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as nnf

from napari_medseg.segmenters.volumetric.plan import VolumetricPlan

BLOCKS = 6  # along the side of a window that reaches least far


def noisy(images: Tensor, deviation: Tensor, generator: torch.Generator) -> Tensor:
    """Windows (n, c, z, y, x) with Gaussian noise of these deviations (n, c)."""
    drawn = torch.randn(images.shape, generator=generator)
    return images + drawn * deviation[:, :, None, None, None]


def hidden(count: int, plan: VolumetricPlan, share: float, generator: torch.Generator) -> Tensor:
    """Where blocks of as many windows are hidden, 0 or 1, (n, 1, *patch); at least one block of each.

    Blocks are about as long in mm along each axis, and lie somewhere else each time. In a super image they are one slice thick: squares of what it lays out.
    """
    found = torch.zeros(count, 1, *plan.patch)
    sides = block(plan)
    for index in range(count):
        shift = [int(torch.randint(side, (), generator=generator)) for side in sides]
        places = [-(-(n + move) // side) for n, move, side in zip(plan.patch, shift, sides, strict=True)]
        order = torch.rand(places, generator=generator)
        wanted = min(max(1, round(share * order.numel())), max(1, order.numel() - 1))
        chosen = (order <= order.flatten().kthvalue(wanted).values).float()
        whole = nnf.interpolate(chosen[None, None], scale_factor=[float(side) for side in sides], mode="nearest")[0]
        found[index] = whole[(slice(None), *(slice(move, move + n) for move, n in zip(shift, plan.patch, strict=True)))]
    return found


def block(plan: VolumetricPlan) -> tuple[int, int, int]:
    """Sides of the blocks, voxels (z, y, x)."""
    long = [n * mm for n, mm in zip(plan.patch, plan.spacing, strict=True) if n > 1]
    side_mm = min(long, default=1.0) / BLOCKS
    z, y, x = (min(n, max(1 if n == 1 else 2, round(side_mm / mm))) for n, mm in zip(plan.patch, plan.spacing, strict=True))
    return (1 if getattr(plan.network, "name", "") == "super-image" else z), y, x


def squared_error(answers: Tensor, images: Tensor, weights: Tensor) -> Tensor:
    """Mean squared error where it counts; answers and images (n, c, ...), weights (n, 1, ...)."""
    return (weights * (answers - images) ** 2).sum() / (weights.sum() * images.shape[1]).clamp(min=1.0)
