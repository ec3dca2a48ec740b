"""Losses that their sources mix from cross-entropy and overlap. "Review" is Asgari Taghanaki et al., Artificial Intelligence Review 2021.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_medseg.refine.losses.limits import require_settings
from napari_medseg.refine.losses.loss import LEAST, Loss, Seen
from napari_medseg.refine.losses.overlap import Dice, overlaps


@dataclass(frozen=True)
class ExponentialLogarithmic(Loss):
    """dice * E[(-ln Dice)^gamma_dice] + ce * E[w (-ln p)^gamma_ce] (Wong et al., MICCAI 2018, eq. 1-4; review, eq. 12-14).

    The classes' weights w are those of Wong et al., the root of how many times rarer a class is than all voxels together; the review leaves them out. The Dice
    of each class is smoothed by one voxel, as the review says.

    Parameters
    ----------
    dice, ce : float
        Shares of the two terms.
    gamma_dice, gamma_ce : float
        1 as in the review's comparison; below 1 (Wong et al. found 0.3 best) good predictions are pulled at harder.

    Raises
    ------
    InvalidInputError
        When a share is below 0, both are 0, or a gamma is not above 0.
    """

    dice: float = 0.8
    ce: float = 0.2
    gamma_dice: float = 1.0
    gamma_ce: float = 1.0

    def __post_init__(self) -> None:
        require_settings("exponential-logarithmic", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        both, alarm, miss = (values[1:] for values in overlaps(seen))
        surprise = -((2 * both + 1) / (2 * both + alarm + miss + 1)).log()
        sizes = seen.sums(seen.shares)
        rare = (sizes.sum() / sizes.clamp(min=1)).sqrt().view(1, -1, *[1] * (seen.logs.ndim - 2))
        each = (rare * seen.shares * _power(-seen.logs, self.gamma_ce)).sum(1, keepdim=True)
        return self.dice * _power(surprise, self.gamma_dice).mean() + self.ce * seen.mean(each)


def _power(values: Tensor, exponent: float) -> Tensor:
    """Of values of 0 or more, with a gradient that is a number at 0 too."""
    return values if exponent == 1 else values.clamp(min=LEAST) ** exponent - LEAST**exponent


@dataclass(frozen=True)
class Combo(Loss):
    """alpha * weighted cross-entropy of each class against all else + (1 - alpha) * Dice loss (Taghanaki et al., CMIG 2019; review, eq. 31).

    The source subtracts the sum of Dice; 1 - Dice, its mean over the classes, is the same but for constants, and 0 at a perfect prediction.

    Parameters
    ----------
    alpha : float
        Share of the cross-entropy.
    beta : float
        Above 0.5 misses cost more than false alarms, below it less.

    Raises
    ------
    InvalidInputError
        When alpha or beta is not between 0 and 1.
    """

    alpha: float = 0.5
    beta: float = 0.5

    def __post_init__(self) -> None:
        require_settings("combo", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        hit, other = seen.logs[:, 1:], _others(seen.logs)[:, 1:]
        each = -(self.beta * seen.targets * hit + (1 - self.beta) * (1 - seen.targets) * other)
        return self.alpha * seen.mean(each.mean(1, keepdim=True)) + (1 - self.alpha) * Dice().of(seen)


def _others(logs: Tensor) -> Tensor:
    """log(1 - p) of each map (n, k, ...), exact where p is next to 1: the log of the sum of all the others."""
    up, down = logs.logcumsumexp(1), logs.flip(1).logcumsumexp(1).flip(1)
    return torch.cat([down[:, 1:2], torch.logaddexp(up[:, :-2], down[:, 2:]), up[:, -2:-1]], 1)
