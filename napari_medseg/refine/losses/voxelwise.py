"""Losses that look at each voxel by itself. "Review" is Asgari Taghanaki et al., Artificial Intelligence Review 2021.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.losses.limits import require_settings
from napari_medseg.refine.losses.loss import LEAST, Loss, Seen

SURE = 1e-12  # less doubt than this is none


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Mean of -sum of y log p (review, eq. 3). Smallest at p = y: 0 for labels of 0 and 1, the entropy of the shares otherwise."""

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        return seen.mean(-(seen.shares * seen.logs).sum(1, keepdim=True))


@dataclass(frozen=True)
class WeightedCrossEntropy(Loss):
    """Cross-entropy in which a voxel of a class counts `weight` times one of the background (Long et al., CVPR 2015; review, eq. 4).

    Parameters
    ----------
    weight : float, or one for each class
        Above 1 for fewer misses, below 1 for fewer false alarms.

    Raises
    ------
    InvalidInputError
        When a weight is not above 0; in use, when there are not as many as classes.
    """

    weight: float | Sequence[float] = 2.0

    def __post_init__(self) -> None:
        require_settings("weighted-ce", vars(self))

    def _each(self) -> tuple[float, ...]:
        return (self.weight,) if isinstance(self.weight, (int, float)) else tuple(self.weight)

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        each, classes = self._each(), seen.targets.shape[1]
        if len(each) not in (1, classes):
            what = f"weight holds {len(each)} numbers for {classes} classes"
            raise InvalidInputError(what, where="loss", todo="Give one number, or one for each class")
        scale = seen.logs.new_tensor([1.0, *(each * classes if len(each) == 1 else each)]).view(1, -1, *[1] * (seen.logs.ndim - 2))
        return seen.mean(-(scale * seen.shares * seen.logs).sum(1, keepdim=True))


@dataclass(frozen=True)
class BalancedCrossEntropy(Loss):
    """Cross-entropy in which classes and background count by other shares than those they have (Xie and Tu, ICCV 2015; review, eq. 5).

    Parameters
    ----------
    beta : float, optional
        What a voxel of a class counts, 1 - beta what one of the background does. Without it every class of the batch counts as much as every other and as the
        background: the source's beta (the background's share in the labels) but for a factor, and for any number of classes.

    Raises
    ------
    InvalidInputError
        When beta is not between 0 and 1.
    """

    beta: float | None = None

    def __post_init__(self) -> None:
        require_settings("balanced-ce", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        each = -seen.shares * seen.logs
        if self.beta is not None:
            return seen.mean((1 - self.beta) * each[:, :1] + self.beta * each[:, 1:].sum(1, keepdim=True))
        sizes = seen.sums(seen.shares)
        return (seen.sums(each) / sizes.clamp(min=1)).sum() / sizes.clamp(max=1).sum().clamp(min=LEAST)


@dataclass(frozen=True)
class Focal(Loss):
    """Cross-entropy in which a voxel counts the less, the surer the network is of it already (Lin et al., ICCV 2017; review, eq. 7).

    Of one class it is the equation; of more, its form for exclusive classes: mean of -sum of alpha_c (1 - p_c)^gamma y_c log p_c. 0 where labels of 0 and 1 are
    met; of shares between, its smallest lies nearer the middle than they do.

    Parameters
    ----------
    alpha : float
        What a voxel of a class counts, 1 - alpha what one of the background does.
    gamma : float
        0 for balanced cross-entropy.

    Raises
    ------
    InvalidInputError
        When alpha is not between 0 and 1, or gamma is below 0.
    """

    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        require_settings("focal", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        doubt = (-seen.logs.expm1()).clamp(min=SURE)
        each = -(doubt**self.gamma) * seen.shares * seen.logs
        return seen.mean((1 - self.alpha) * each[:, :1] + self.alpha * each[:, 1:].sum(1, keepdim=True))


@dataclass(frozen=True)
class Conservative(Loss):
    """Flat where a prediction is moderate, steep where it is bad, and without reward for more certainty than enough (Zhu et al., ECCV 2018; review, eq. 19).

    scale (1 + ln p)^2 ln(-ln p) of the probability p that is given to the true class. As printed it falls without bound towards p = 1, although its text says
    that extreme predictions, the good ones too, are discouraged. Here it falls no further from `enough` on, and is moved to be 0 there.

    Parameters
    ----------
    scale : float
        The source's lambda.
    enough : float
        Probability that nothing is gained beyond.

    Raises
    ------
    InvalidInputError
        When scale is not above 0, or enough not between 1/e and 1.
    """

    scale: float = 5.0
    enough: float = 0.99

    def __post_init__(self) -> None:
        require_settings("conservative", vars(self))

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        least = -math.log(self.enough)
        surprise = (-seen.logs).clamp(min=least)
        each = (1 - surprise) ** 2 * surprise.log() - (1 - least) ** 2 * math.log(least)
        return seen.mean(self.scale * (seen.shares * each).sum(1, keepdim=True))
