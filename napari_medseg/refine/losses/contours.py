"""Energies of active contours as losses: how long an outline is, and how well it parts what it lies between.

"Review" is Asgari Taghanaki et al., Artificial Intelligence Review 2021. Both hold the length of the outline, so neither is 0 at a perfect prediction, but as
large as the true outline's length (for each voxel of the patch) says.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_medseg.refine.losses.limits import require, require_settings
from napari_medseg.refine.losses.loss import LEAST, Loss, Seen

ROUND = 1e-8  # added under the root, so that it has a gradient at 0


@dataclass(frozen=True)
class ActiveContour(Loss):
    """length + region * (p (1 - y)^2 + (1 - p) y^2), means over the voxels (Chen et al., CVPR 2019, eq. 6-8; review, eq. 21-23 with c1 = 1, c2 = 0).

    Parameters
    ----------
    region : float
        The source's lambda, of which the review says nothing. An object saves its outline by vanishing (as r in 2D, r^2 in 3D) and pays for its inside (as r^2,
        r^3), so that objects of a radius below about 3 / region voxels would vanish; with 10 every voxel is worth its outline.
    length : float
    spacing : mm a voxel along each axis of the patch, optional

    Raises
    ------
    InvalidInputError
        When region is not above 0, length is below 0 or a spacing is not above 0.
    """

    region: float = 10.0
    length: float = 1.0
    spacing: Sequence[float] | None = None

    def __post_init__(self) -> None:
        require_settings("active-contour", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        p, y = seen.chances[:, 1:], seen.targets
        wrong = (p * (1 - y) ** 2 + (1 - p) * y**2).mean(1, keepdim=True)
        return self.region * seen.mean(wrong) + self.length * outline(seen, p, self.spacing)


@dataclass(frozen=True)
class LevelSet(Loss):
    """Sum over classes and background of |x - c|^2 p and of the outline, as a term beside another loss (Kim and Ye, TIP 2020; review, eq. 29).

    x is the scan that the network saw and c its mean where a class is predicted, so that outlines fall where brightness changes. Where no scan is given,
    x are the labels' shares. It does not know which class is which: alone it teaches nothing; `ce + 0.1*level-set-term` is the source's use. Smallest where
    every region is even: with labels for x, at a perfect prediction, where it is `length` times the outline.

    Parameters
    ----------
    length : float
        The source's lambda.
    spacing : mm a voxel along each axis of the patch, optional

    Raises
    ------
    InvalidInputError
        When length is below 0 or a spacing is not above 0.
    """

    length: float = 0.1
    spacing: Sequence[float] | None = None

    def __post_init__(self) -> None:
        require_settings("level-set-term", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        values = seen.shares if seen.images is None else seen.images
        uneven = values.new_zeros(())
        for c in range(seen.chances.shape[1]):
            chance = seen.chances[:, c : c + 1]
            mean = seen.sums(values * chance) / seen.sums(chance).clamp(min=LEAST)
            away = ((values - mean.view(1, -1, *[1] * (values.ndim - 2))) ** 2).mean(1, keepdim=True)
            uneven = uneven + seen.mean(away * chance)
        return uneven + self.length * outline(seen, seen.chances, self.spacing, mean=False)


def outline(seen: Seen, maps: Tensor, spacing: Sequence[float] | None = None, *, mean: bool = True) -> Tensor:
    """Length of the outlines of maps (n, k, [z,] y, x), 0-1, for each voxel: the mean of |gradient|, over the maps too unless they are to be added up.

    The step between two voxels counts where both are known, by what the first of them does.

    Raises
    ------
    InvalidInputError
        When the spacing is of other axes than the patch.
    """
    axes = range(2, maps.ndim)
    require(spacing is None or len(spacing) == len(axes), "spacing", f"{len(axes)} numbers, one for each axis of the patch")
    squares = torch.zeros_like(maps)
    for axis in axes:
        long = 1.0 if spacing is None else spacing[axis - 2] / min(spacing)
        both = torch.minimum(seen.weights.narrow(axis, 1, maps.shape[axis] - 1), seen.weights.narrow(axis, 0, maps.shape[axis] - 1)) > 0
        step = torch.where(both, maps.diff(dim=axis), 0.0) / long
        squares = squares + torch.cat([step**2, torch.zeros_like(maps.narrow(axis, 0, 1))], axis)
    steep = (squares + ROUND).sqrt() - ROUND**0.5
    return seen.mean(steep.mean(1, keepdim=True) if mean else steep.sum(1, keepdim=True))
