"""Patches for learning: a scan and its targets turned, stretched and bent together, and the scan's intensities varied.

The bends are about as large as the errors of a weak mask: a network that never sees the same place twice cannot learn each case's own error by heart.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as nnf

from napari_medseg.volume import Shape, Spacing

KNOTS = 8.0  # voxels between the knots of a bend, along a patch
STEEPEST = 0.25  # of the way between two knots that a bend's deviation may be: beyond, it folds


@dataclass(frozen=True, slots=True)
class Strength:
    """How much.

    Attributes
    ----------
    bend_mm : float
        Deviation of the elastic part.
    turn, stretch, shear : float
        Largest rotation (radians; less across thick slices), scaling (log) and shear.
    shift_mm : float
        Largest shift of a scan that fits into a patch.
    """

    bend_mm: float
    turn: float
    stretch: float
    shear: float
    shift_mm: float


def uniform(shape: tuple[int, ...], most: float, generator: torch.Generator) -> Tensor:
    """U(-most, most) of a shape."""
    return (torch.rand(shape, generator=generator) * 2 - 1) * most


def warp(patch: Shape, spacing: Spacing, strength: Strength, generator: torch.Generator) -> Tensor:
    """Where each voxel of a patch comes from, (*patch, 3) voxels (z, y, x) away from its centre."""
    size = torch.tensor(spacing, dtype=torch.float32)
    axes = [torch.arange(n) - (n - 1) / 2 for n in patch]
    away = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) * size
    matrix = torch.eye(3)
    for a, b in combinations(range(3), 2):
        thin = min(spacing[a], spacing[b]) / max(spacing[a], spacing[b])
        angle = uniform((), strength.turn * thin, generator)
        turned = torch.eye(3)
        turned[a, a] = turned[b, b] = angle.cos()
        turned[a, b], turned[b, a] = -angle.sin(), angle.sin()
        matrix = matrix @ turned
    matrix = matrix * uniform((), strength.stretch, generator).exp() * uniform((3,), strength.stretch / 2, generator).exp()
    matrix = matrix + uniform((3, 3), strength.shear, generator)
    moved = away @ matrix.T
    if strength.bend_mm:
        knots = [max(2, round(n / KNOTS)) for n in patch]
        between = torch.tensor([n * s / k for n, s, k in zip(patch, spacing, knots, strict=True)])
        deviation = torch.minimum(torch.tensor(strength.bend_mm), STEEPEST * between)
        bend = torch.randn((1, 3, *knots), generator=generator) * deviation[:, None, None, None]
        moved = moved + nnf.interpolate(bend, size=patch, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0)
    return moved / size


def cut(maps: Tensor, centre: Tensor, away: Tensor) -> Tensor:
    """Maps (c, z, y, x) linearly at centre + away: one pass for the scan and its targets, so that they stay together; 0 outside.

    Parameters
    ----------
    centre : (3,) voxels
    away : (*patch, 3) voxels
    """
    low = [int(v) for v in (centre + away.flatten(0, 2).amin(0)).floor()]
    high = [int(v) + 2 for v in (centre + away.flatten(0, 2).amax(0)).floor()]
    box = [slice(min(max(a, 0), n - 1), max(min(b, n), 1)) for a, b, n in zip(low, high, maps.shape[1:], strict=True)]
    part = maps[(slice(None), *box)].float()
    start = torch.tensor([b.start for b in box])
    last = torch.tensor([max(n - 1, 1) for n in part.shape[1:]])
    grid = ((centre - start + away) / last * 2 - 1).flip(-1)
    if 1 in part.shape[1:]:  # a single voxel has no extent that a grid could run over
        flat = torch.tensor([n == 1 for n in reversed(part.shape[1:])])
        grid = torch.where(flat & (grid.abs() <= 1), torch.zeros(()), torch.where(flat, torch.full((), 3.0), grid))
    return nnf.grid_sample(part[None], grid[None].to(part.device), mode="bilinear", padding_mode="zeros", align_corners=True)[0]


def vary(images: Tensor, generator: torch.Generator) -> Tensor:
    """Other contrast, brightness, noise and gamma for each scan of a batch (n, c, z, y, x) at mean 0 and deviation 1."""
    each = (*images.shape[:2], 1, 1, 1)
    device = images.device

    def drawn(most: float) -> Tensor:
        return uniform(each, most, generator).to(device)

    images = images * (1 + drawn(0.25)) + drawn(0.25)
    noise = torch.rand(each, generator=generator).to(device) * 0.15
    images = images + torch.randn(images.shape, generator=generator).to(device) * noise
    low, high = images.amin((2, 3, 4), keepdim=True), images.amax((2, 3, 4), keepdim=True)
    reach = (high - low).clamp(min=1e-6)
    return ((images - low) / reach) ** drawn(0.35).exp() * reach + low
