"""Losses of how far prediction and target lie over each other. "Review" is Asgari Taghanaki et al., Artificial Intelligence Review 2021.

What both share is min(p, y) instead of the source's p y. For labels of 0 and 1 that is the same number; for shares between (the edges of a resampled label,
mixed cases) it is what makes the loss smallest at p = y instead of at the nearer of 0 and 1 (Wang et al., Dice semimetric losses, MICCAI 2023; their Jaccard
metric losses, NeurIPS 2023). Everything is summed over the batch; the mean is over the classes, without the background unless said.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_medseg.refine.losses.limits import require_settings
from napari_medseg.refine.losses.loss import Loss, Seen


def overlaps(seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
    """What both share, what only is predicted and what only is there, voxels of each map (1 + classes,), the background first."""
    both = seen.sums(torch.minimum(seen.chances, seen.shares))
    return both, seen.sums(seen.chances) - both, seen.sums(seen.shares) - both


@dataclass(frozen=True)
class Tversky(Loss):
    """1 - TP / (TP + alpha FP + beta FN) (Salehi et al., MLMI 2017; review, eq. 11, which writes beta for alpha and 1 - beta for beta).

    Parameters
    ----------
    alpha, beta : float
        What a false alarm and a miss cost; 0.5 each is Dice, 1 each Jaccard.
    smooth : float
        Voxels added above and below, so that a class that is nowhere costs nothing where none is seen.

    Raises
    ------
    InvalidInputError
        When a cost is below 0 or both are 0, or smooth is not above 0.
    """

    alpha: float = 0.3
    beta: float = 0.7
    smooth: float = 1.0

    def __post_init__(self) -> None:
        require_settings("tversky", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        both, alarm, miss = (values[1:] for values in overlaps(seen))
        return (1 - (both + self.smooth) / (both + self.alpha * alarm + self.beta * miss + self.smooth)).mean()


@dataclass(frozen=True)
class Dice(Loss):
    """1 - 2 TP / (2 TP + FP + FN) (Milletari et al., 3DV 2016; review, eq. 10).

    Parameters
    ----------
    smooth : float
        Voxels added above and below.

    Raises
    ------
    InvalidInputError
        When smooth is not above 0.
    """

    smooth: float = 1.0

    def __post_init__(self) -> None:
        require_settings("dice", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        return Tversky(0.5, 0.5, self.smooth / 2).of(seen)


@dataclass(frozen=True)
class Jaccard(Loss):
    """1 - TP / (TP + FP + FN), the intersection over the union (review, eq. 9).

    Parameters
    ----------
    smooth : float
        Voxels added above and below.

    Raises
    ------
    InvalidInputError
        When smooth is not above 0.
    """

    smooth: float = 1.0

    def __post_init__(self) -> None:
        require_settings("jaccard", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        return Tversky(1.0, 1.0, self.smooth).of(seen)


@dataclass(frozen=True)
class GeneralisedDice(Loss):
    """One Dice over all classes and the background, each weighted by its size to the power of -2 (Sudre et al., DLMIA 2017; review, eq. 17).

    A class that the batch does not hold would weigh infinitely much; it weighs as much as the smallest that is there.

    Parameters
    ----------
    smooth : float
        Added above and below, beside a smallest class that counts as its size.

    Raises
    ------
    InvalidInputError
        When smooth is not above 0.
    """

    smooth: float = 1e-5

    def __post_init__(self) -> None:
        require_settings("generalised-dice", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        both, alarm, miss = overlaps(seen)
        sizes = seen.sums(seen.shares)
        smallest = torch.where(sizes > 0, sizes, torch.inf).amin().clamp(min=1)
        scale = (smallest / torch.maximum(sizes, smallest)) ** 2
        scale = torch.where(sizes.sum() > 0, scale, torch.zeros_like(scale))
        top, bottom = (scale * 2 * both).sum(), (scale * (2 * both + alarm + miss)).sum()
        return 1 - (top + self.smooth) / (bottom + self.smooth)


@dataclass(frozen=True)
class LovaszSoftmax(Loss):
    """The tight convex extension of the Jaccard loss, on the sorted errors of the batch (Berman et al., CVPR 2018, algorithm 1; review, eq. 15).

    Mean over the classes that are there, the background among them: it is what holds false alarms of a class that is nowhere against the network. With shares
    for labels, sums of shares stand where the source counts voxels.
    """

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        exact = torch.float32 if seen.weights.device.type == "mps" else torch.float64
        weights = seen.weights.flatten()
        values, there = [], []
        for chance, share in zip(seen.chances.unbind(1), seen.shares.unbind(1), strict=True):
            error, order = (share - chance).abs().flatten().sort(descending=True)
            with torch.no_grad():
                counted = weights[order].to(exact)
                inside = share.flatten()[order].to(exact) * counted
                total = inside.sum()
                union = (total + (counted - inside).cumsum(0)).clamp(min=torch.finfo(exact).tiny)
                lost = 1 - (total - inside.cumsum(0)) / union
                step = lost.diff(prepend=lost.new_zeros(1)).to(error.dtype)
                here = (total > 0).to(error.dtype)
            values.append((error * step).sum() * here)
            there.append(here)
        return torch.stack(values).sum() / torch.stack(there).sum().clamp(min=1)
