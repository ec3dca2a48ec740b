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


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """Where the voxels of a patch come from: offset from its middle -> matrix @ offset + bend, voxels (z, y, x).

    Attributes
    ----------
    matrix : float32 (3, 3)
    bend : float32 (1, 3, *knots), linear in between
    reach : float32 (3,)
        How far from the middle the farthest may come from.
    """

    matrix: Tensor
    bend: Tensor
    reach: Tensor


def warp(patch: Shape, spacing: Spacing, strength: Strength, generator: torch.Generator) -> Warp:
    """A random one."""
    mm = torch.tensor(spacing, dtype=torch.float32)
    size = torch.tensor(patch, dtype=torch.float32)
    matrix = torch.eye(3)
    for a, b in combinations(range(3), 2):
        thin = min(spacing[a], spacing[b]) / max(spacing[a], spacing[b])
        angle = uniform((), strength.turn * thin, generator)
        turned = torch.eye(3)
        turned[a, a] = turned[b, b] = angle.cos()
        turned[a, b], turned[b, a] = -angle.sin(), angle.sin()
        matrix = matrix @ turned
    matrix = matrix * uniform((), strength.stretch, generator).exp() * uniform((3,), strength.stretch / 2, generator).exp()
    matrix = matrix + uniform((3, 3), strength.shear, generator) * torch.minimum(mm[:, None] / mm, mm / mm[:, None])
    knots = [max(2, round(n / KNOTS)) for n in patch]
    between = size * mm / torch.tensor(knots)
    deviation = torch.minimum(torch.tensor(strength.bend_mm), STEEPEST * between) / mm
    bend = torch.randn((1, 3, *knots), generator=generator) * deviation[:, None, None, None]
    inside = matrix * mm / mm[:, None]
    return Warp(inside, bend, inside.abs() @ ((size - 1) / 2) + bend.abs().amax((0, 2, 3, 4)) + 1)


def box_of(middle: Tensor, warped: Warp, shape: Shape) -> tuple[slice, slice, slice]:
    """What of a volume (z, y, x) a patch around `middle`, (3,) voxels, may need; at least a voxel."""
    sides = zip((middle - warped.reach).floor(), (middle + warped.reach).ceil(), shape, strict=True)
    return tuple(slice(min(max(int(a), 0), n - 1), max(min(int(b) + 1, n), 1)) for a, b, n in sides)  # type: ignore[return-value]


def cut(maps: Tensor, middle: Tensor, warped: Warp, patch: Shape) -> Tensor:
    """A patch (c, *patch) of maps (c, z, y, x), linearly; 0 outside. One pass for the scan and its targets, so that they stay together.

    Parameters
    ----------
    middle : (3,) voxels of `maps`
    """
    sides = torch.tensor(maps.shape[1:])
    scale = torch.where(sides > 1, 2 / (sides - 1).clamp(min=1), 0.0)  # to -1..1; along a single voxel all lies at 0
    turn = (warped.matrix.T * scale).flip(1)  # grid_sample wants x, y, z
    shift = torch.where(sides > 1, middle * scale - 1, 0.0).flip(0)
    bend = nnf.interpolate((warped.bend * scale[:, None, None, None]).flip(1).to(maps.device), size=patch, mode="trilinear", align_corners=True)
    down, back, right = (((torch.arange(n) - (n - 1) / 2)[:, None] * row).to(maps.device) for n, row in zip(patch, turn, strict=True))
    grid = (down[:, None, None] + shift.to(maps.device)) + (back[:, None] + right)
    return nnf.grid_sample(maps[None], grid[None] + bend.permute(0, 2, 3, 4, 1), mode="bilinear", padding_mode="zeros", align_corners=True)[0]


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
