"""A loss for labels that are sometimes wrong: cross-entropy that gives a hopeless voxel up (Zhang and Sabuncu, NeurIPS 2018, eq. 6)."""

from dataclasses import dataclass

from torch import Tensor

from napari_medseg.refine.losses.limits import require
from napari_medseg.refine.losses.loss import Loss, Seen


@dataclass(frozen=True)
class Forgiving(Loss):
    """Mean of sum of y (1 - p^q) / q: nearly cross-entropy for a small q, the absolute error for 1."""

    q: float = 0.7

    def __post_init__(self) -> None:
        require(0 < self.q <= 1, "q", "above 0 and at most 1")

    def of(self, seen: Seen) -> Tensor:
        """Unknown voxels weigh nothing in `seen.mean`; `seen.logs` and `seen.shares` have the background first."""
        each = seen.shares * (1 - (self.q * seen.logs).exp()) / self.q
        return seen.mean(each.sum(1, keepdim=True))
