"""Landmarks of a labelled patch, and patches warped from their own landmarks to others.

Campbell et al. (MIUA 2023) warp faces by 68 keypoints, triangle by triangle. Of a label we know where it lies and how far it goes: its middle less and plus its
reach (the deviation of its voxels) along each axis, for each class that both patches hold. One scale and one shift along each axis bring them onto each other,
exactly for one class and at least squares for more; nothing is turned.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nnf

LEAST = 8.0  # voxels a class must have for its middle and reach to say anything
MOST = 2.0  # times larger or smaller that a patch is made at most
FAINT = 1e-3  # weight: less is as good as none


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Of each item and class.

    Attributes
    ----------
    low, high : float32 (n, classes, axes)
        Middle of the label less, and plus, its reach along each axis; voxels.
    found : bool (n, classes)
    """

    low: Tensor
    high: Tensor
    found: Tensor


def landmarks(targets: Tensor, weights: Tensor) -> Landmarks:
    """Of targets (n, classes, [z,] y, x) where they are known; on the processor."""
    known = torch.where(weights > 0, targets, torch.zeros((), dtype=targets.dtype, device=targets.device)).float().cpu()
    axes = range(2, known.ndim)
    size = known.flatten(2).sum(2)
    low, high = [], []
    for axis in axes:
        line = known.sum([other for other in axes if other != axis])
        at = torch.arange(known.shape[axis], dtype=torch.float32)
        middle = (line * at).sum(2) / size.clamp(min=1)
        reach = ((line * (at - middle[..., None]) ** 2).sum(2) / size.clamp(min=1)).sqrt().clamp(min=0.5)
        low.append(middle - reach)
        high.append(middle + reach)
    return Landmarks(torch.stack(low, 2), torch.stack(high, 2), size >= LEAST)


def moved(batch: tuple[Tensor, ...], own: Landmarks, wanted: Landmarks, which: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Images, targets and weights warped by one grid so that their landmarks come to lie on those wanted; items not in `which` (n,) stay as they are.

    Targets travel multiplied by their weights, as shares of each class: no label value is averaged, and a voxel next to an unknown one takes nothing of it.
    """
    images, targets, weights = batch
    sides = torch.tensor(images.shape[2:], dtype=torch.float32)
    scale, shift = _lines(own, wanted)
    theta = torch.zeros(len(images), len(sides), len(sides) + 1)
    away = (scale - 1) * (1 - 1 / sides) + 2 * shift / sides  # of the middle, in -1..1 from edge to edge
    for axis in range(len(sides)):
        place = len(sides) - 1 - axis  # the grid wants x, y, z
        theta[:, place, place], theta[:, place, -1] = scale[:, axis], away[:, axis]
    stays = torch.eye(len(sides), len(sides) + 1)
    theta = torch.where((which & wanted.found.any(1))[:, None, None], theta, stays)
    known = torch.where(weights > 0, targets * weights, torch.zeros((), dtype=targets.dtype, device=targets.device))
    maps = torch.cat([images, known, weights], 1)
    grid = nnf.affine_grid(theta.to(maps), list(maps.shape), align_corners=False)
    warped = nnf.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    image, target, weight = torch.split(warped, [images.shape[1], targets.shape[1], 1], dim=1)
    some = weight > FAINT
    nothing = torch.zeros((), dtype=maps.dtype, device=maps.device)
    return image, torch.where(some, target / weight.clamp(min=FAINT), nothing), torch.where(some, weight, nothing)


def _lines(own: Landmarks, wanted: Landmarks) -> tuple[Tensor, Tensor]:
    """Scale and shift (n, axes) from a wanted place to where it comes from: source = scale * place + shift, least squares over the classes both hold."""
    count = torch.cat([wanted.found, wanted.found], 1)[..., None].float()
    to, of = (torch.cat([marks.low, marks.high], 1) for marks in (wanted, own))
    place, source = ((count * marks).sum(1) / count.sum(1).clamp(min=1) for marks in (to, of))
    spread = (count * (to - place[:, None]) ** 2).sum(1)
    along = (count * (to - place[:, None]) * (of - source[:, None])).sum(1)
    scale = (along / spread.clamp(min=1e-6)).clamp(1 / MOST, MOST)
    return scale, source - scale * place
