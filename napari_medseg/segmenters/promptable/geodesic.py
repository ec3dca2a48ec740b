"""Geodesic distance maps by raster sweeps: voxel by voxel on a processor (compiled), plane by plane and batched on a card.

A path pays for its length and for the changes of intensity along it: a step of length s (in units of the finest spacing) between two voxels whose
intensities differ by d costs sqrt((length_cost * s)^2 + d^2); steps go to all 26 neighbours. On a card a sweep carries the distances from plane to plane
along one axis, each voxel looking at the nine nearest of the plane before; six sweeps (both ways along every axis) go round once.

Toivanen, "New geodesic distance transforms for gray-scale images", Pattern Recognition Letters 17, 1996; Criminisi et al., "Geodesic image and video
editing", ACM Trans. Graphics 29, 2010; the planewise order that suits a card: Asad et al., "FastGeodis", JOSS 7, 2022.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_medseg.segmenters.promptable.sweeps import sweep

FAR = 1e4
"""The distance where nothing is seeded."""


def geodesic(image: Tensor, seeds: Tensor, spacing: Sequence[float] = (1.0, 1.0, 1.0), *, length_cost: float = 0.05, rounds: int = 2) -> Tensor:
    """How far every voxel lies from the seeds, along the cheapest path.

    Parameters
    ----------
    image : Tensor, (n, z, y, x) float32
        Intensities; a change of 1 costs 1.
    seeds : Tensor, (n, k, z, y, x) bool
        k sets of seeds for each image.
    spacing : three of float
        Of z, y, x, in mm; only their ratios matter.
    length_cost : float
        What a step of the finest spacing costs where the image is flat.
    rounds : int
        Times the grid is gone over there and back; winding objects need more.

    Returns
    -------
    Tensor, (n, k, z, y, x) float32
        0 on seeds, `FAR` everywhere where a set is empty.
    """
    distance = torch.full(seeds.shape, FAR, device=image.device).masked_fill_(seeds, 0.0)
    if not bool(seeds.any()):
        return distance
    steps = [length / min(spacing) for length in spacing]
    return _plane_by_plane(image, distance, steps, length_cost, rounds) if image.is_cuda else _voxel_by_voxel(image, distance, steps, length_cost, rounds)


def _voxel_by_voxel(image: Tensor, distance: Tensor, steps: Sequence[float], length_cost: float, rounds: int) -> Tensor:
    along = [(np.arange(-1, 2) * step * length_cost) ** 2 for step in steps]
    squared = (along[0][:, None, None] + along[1][:, None] + along[2]).astype(np.float32)
    for each, maps in zip(image, distance, strict=True):
        sweep(each.numpy(), maps.numpy(), squared, rounds)
    return distance


def _plane_by_plane(image: Tensor, distance: Tensor, steps: Sequence[float], length_cost: float, rounds: int) -> Tensor:
    planes = []
    for axis in range(3):
        turned = image.movedim(axis + 1, 1)
        others = [steps[other] for other in range(3) if other != axis]
        planes.append(_step_costs(turned, steps[axis], others, length_cost))
    for _ in range(rounds):
        for axis in range(3):
            turned = distance.movedim(axis + 2, 2).contiguous()
            forward, backward = planes[axis]
            _sweep(turned, forward, range(1, turned.shape[2]), -1)
            _sweep(turned, backward, range(turned.shape[2] - 2, -1, -1), +1)
            distance = turned.movedim(2, axis + 2)
    return distance.contiguous()


def _step_costs(image: Tensor, along: float, across: Sequence[float], length_cost: float) -> tuple[Tensor, Tensor]:
    """Costs (n, plane, 1, 3, 3, rows, columns) of reaching each voxel from the nine of the plane before, and of the plane after."""
    beside = functional.pad(image, (1, 1, 1, 1), mode="replicate").unfold(2, image.shape[2], 1).unfold(3, image.shape[3], 1)
    offsets = torch.tensor([-1.0, 0.0, 1.0], device=image.device)
    squared = (offsets[:, None] * across[0]) ** 2 + (offsets * across[1]) ** 2 + along**2
    length = (squared * length_cost**2)[:, :, None, None]
    here = image[:, :, None, None]
    back, ahead = torch.roll(beside, 1, 1), torch.roll(beside, -1, 1)
    return tuple(torch.sqrt((here - other) ** 2 + length)[:, :, None] for other in (back, ahead))  # type: ignore[return-value]


def _sweep(distance: Tensor, costs: Tensor, order: range, before: int) -> None:
    """Carry distances (n, k, plane, rows, columns) along the planes, in place."""
    n, k, _, rows, columns = distance.shape
    padded = torch.full((n, k, rows + 2, columns + 2), FAR, device=distance.device)
    nine = padded.unfold(2, rows, 1).unfold(3, columns, 1)
    for plane in order:
        padded[:, :, 1:-1, 1:-1] = distance[:, :, plane + before]
        reached = (nine + costs[:, plane]).amin(dim=(2, 3))
        distance[:, :, plane] = torch.minimum(distance[:, :, plane], reached)


def smooth(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian over images (n, z, y, x), sigma in voxels, edges repeated."""
    reach = max(1, math.ceil(3 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype) / sigma) ** 2)
    taps = taps / taps.sum()
    smoothed = image[:, None]
    for axis in range(3):
        shape, pad = [1, 1, 1], [0] * 6
        shape[axis] = len(taps)
        pad[4 - 2 * axis] = pad[5 - 2 * axis] = reach
        smoothed = functional.conv3d(functional.pad(smoothed, pad, mode="replicate"), taps.reshape(1, 1, *shape))
    return smoothed[:, 0]
