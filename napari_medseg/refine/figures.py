"""What a round is worth, and which one to adopt.

Rounds do not improve without fail: in pilots the third was often worse than the first, and the agreement of successive labels says nothing about it.
So every version is kept and one is chosen by a stated rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from napari_medseg.metrics import dice
from napari_medseg.volume import LabelArray

UNKNOWN = 255


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """One round; round 0 is the labels given.

    Attributes
    ----------
    round : int
    updates : int
        Steps of the optimiser.
    seconds : float
    loss : float or None
        Mean of the last epoch; None for round 0.
    volume_ratio : float
        Foreground of all cases against that of the labels given, where those are known.
    dice_verified : float or None
        Mean Dice on verified labels, which are never trained on; None without any.
    dice_heldout : float or None
        Mean Dice on cases the training never saw; None without any, and for round 0.
    dice_refined : float or None
        Mean Dice against the truth of the refined cases themselves (transductive); None where no truth is known. Never used to choose.
    adopted : bool
        Whether this is the version in `final`.
    reason : str
        Why, or why not.
    """

    round: int
    updates: int
    seconds: float
    loss: float | None
    volume_ratio: float
    dice_verified: float | None = None
    dice_heldout: float | None = None
    dice_refined: float | None = None
    adopted: bool = False
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: no NaN, None where nothing is known."""
        return asdict(self)


def adopt(rounds: Sequence[RoundFigures], drift: float) -> tuple[RoundFigures, ...]:
    """The same rounds with one marked as adopted.

    With verified labels: the best by Dice on them, of equals the later; round 0 takes part, so that a refinement that made things worse is
    not adopted. Without: the last round whose volume is within a factor of `drift` of the labels given, else round 0.

    Parameters
    ----------
    rounds : from round 0 on, in order
    """
    scores = {r.round: r.dice_verified for r in rounds if r.dice_verified is not None}
    steady = [r.round for r in rounds if 1 / drift <= r.volume_ratio <= drift]
    if scores:
        best = max(scores, key=lambda number: (scores[number], number))
        return tuple(replace(r, adopted=r.round == best, reason=_by_score(r, best, scores)) for r in rounds)
    best = max(steady, default=0)
    return tuple(replace(r, adopted=r.round == best, reason=_by_volume(r, best, r.round in steady)) for r in rounds)


def best_round(rounds: Sequence[RoundFigures]) -> int:
    """The number of the adopted round."""
    return next((r.round for r in rounds if r.adopted), 0)


def mean_dice(answers: Mapping[str, LabelArray], truths: Mapping[str, LabelArray], values: Sequence[int]) -> float | None:
    """Mean over cases of the mean Dice over classes, where the truth is known; None without a truth."""
    each = [dice_known(answers[name], truth, values) for name, truth in truths.items()]
    return float(np.mean(each)) if each else None


def dice_known(answer: LabelArray, truth: LabelArray, values: Sequence[int]) -> float:
    """Mean Dice over the classes of two label maps (z, y, x), leaving out voxels where the truth is 255."""
    known = truth != UNKNOWN
    return float(np.mean([dice((answer == v) & known, (truth == v) & known) for v in values]))


def volume_ratio(answers: Mapping[str, LabelArray], given: Mapping[str, LabelArray], voxel_ml: Mapping[str, float]) -> float:
    """Foreground in `answers` against `given`, over all cases, where the given labels are known."""
    new = old = 0.0
    for name, labels in given.items():
        known = labels != UNKNOWN
        new += float(np.count_nonzero((answers[name] > 0) & known)) * voxel_ml[name]
        old += float(np.count_nonzero((labels > 0) & known)) * voxel_ml[name]
    return new / old if old else 1.0


def _by_score(figures: RoundFigures, best: int, scores: Mapping[int, float]) -> str:
    mine = scores.get(figures.round)
    if mine is None:
        return "not scored on the verified labels"
    if figures.round == best:
        what = "the labels given are still the best" if best == 0 else "best"
        return f"{what} on the verified labels (Dice {mine:.3f})"
    return f"Dice {mine:.3f} on the verified labels, against {scores[best]:.3f} in round {best}"


def _by_volume(figures: RoundFigures, best: int, steady: bool) -> str:
    if figures.round == best:
        if best == 0:
            return "no round kept a plausible volume, so the labels given stay"
        return "last round with a plausible volume; nothing was verified to choose by"
    if figures.round == 0:
        return "the labels given"
    return "a later round was adopted; nothing was verified to choose by" if steady else f"volume {figures.volume_ratio:.2f} times that of the labels given"
