"""Losses that count an error by how far it lies from the true outline. "Review" is Asgari Taghanaki et al., Artificial Intelligence Review 2021.

Distances are worked out on the processor from what is known of a patch, in voxels of its finest axis (by its spacing where that is given): an unknown voxel is
neither object nor background. They hold no gradient and need none; it passes through the probabilities that they multiply. A class that a patch does not
hold, or is full of, has no outline there and costs nothing, so that these losses stand beside one that looks at every voxel.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from napari_medseg.refine.losses.limits import require, require_settings
from napari_medseg.refine.losses.loss import Loss, Seen

HALF = 0.5  # voxel from the middle of the last one inside to the outline; also the share from which on a voxel is the object's


@dataclass(frozen=True)
class Boundary(Loss):
    """Mean of phi * (p - g): each wrong voxel by its distance to the true outline (Kervadec et al., MIDL 2019, eq. 5; review, eq. 18).

    phi is the signed distance, below 0 inside. The review leaves out - phi g, which no gradient depends on and which makes it 0 where p is the label g (a share
    of half or more). The source adds it to the generalised Dice with a small and growing share: `generalised-dice + 0.01*boundary`.

    Parameters
    ----------
    spacing : mm a voxel along each axis of the patch, optional
    """

    spacing: Sequence[float] | None = None

    def __post_init__(self) -> None:
        require_settings("boundary", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        there = seen.targets >= HALF
        far = distances(there, seen.known, self.spacing).to(seen.logits)
        signed = torch.where(there, HALF - far, far - HALF) * (far > 0)
        return seen.mean((signed * (seen.chances[:, 1:] - there.to(far))).mean(1, keepdim=True))


@dataclass(frozen=True)
class Hausdorff(Loss):
    """Mean of (p - y)^2 (d_p^alpha + d_y^alpha), a smooth stand-in for the Hausdorff distance (Karimi and Salcudean, TMI 2020, eq. 8; review, eq. 25).

    d_y and d_p are distances to the outlines of the label and of the prediction (shares and probabilities of half or more). The source adds it to Dice
    (review, eq. 24): `dice + 0.01*hausdorff`.

    Parameters
    ----------
    alpha : float
        How much worse a far error is.
    spacing : mm a voxel along each axis of the patch, optional

    Raises
    ------
    InvalidInputError
        When alpha is not above 0.
    """

    alpha: float = 2.0
    spacing: Sequence[float] | None = None

    def __post_init__(self) -> None:
        require_settings("hausdorff", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        chances = seen.chances[:, 1:]
        far = sum(distances(maps >= HALF, seen.known, self.spacing).to(seen.logits) ** self.alpha for maps in (chances.detach(), seen.targets))
        return seen.mean(((chances - seen.targets) ** 2 * far).mean(1, keepdim=True))


def distances(inside: Tensor, known: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
    """Of each voxel to the nearest known one on the other side of the outline, in voxels of the finest axis; 0 where there is no outline.

    Parameters
    ----------
    inside : bool (n, classes, [z,] y, x)
    known : bool (n, 1, [z,] y, x)
    spacing : mm, optional

    Returns
    -------
    float32 (n, classes, [z,] y, x), on the processor

    Raises
    ------
    InvalidInputError
        When the spacing is of other axes than the patch.
    """
    require(spacing is None or len(spacing) == inside.ndim - 2, "spacing", f"{inside.ndim - 2} numbers, one for each axis of the patch")
    step = None if spacing is None else [side / min(spacing) for side in spacing]
    objects, clear = inside.cpu().numpy(), known.cpu().numpy()
    found = np.zeros(objects.shape, np.float32)
    for place in np.ndindex(objects.shape[:2]):
        sure = clear[place[0], 0]
        one, rest = objects[place] & sure, ~objects[place] & sure
        if one.any() and rest.any():
            found[place] = np.where(objects[place], ndimage.distance_transform_edt(~rest, step), ndimage.distance_transform_edt(~one, step))
    return torch.from_numpy(found)
