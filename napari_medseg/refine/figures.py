"""What a round is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from napari_medseg.metrics.overlap import overlap
from napari_medseg.metrics.summary import mean
from napari_medseg.refine.gate import Verdict
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
    dice_change : float or None
        On verified labels, against the version that was adopted before; None without any.
    verified_slices, verified_patients : int
        How much was verified and only checked against.
    pieces : str
        What became of the labels' pieces and holes, in words.
    notes : str
        What the recipe found out on the way.
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
    dice_change: float | None = None
    verified_slices: int = 0
    verified_patients: int = 0
    pieces: str = ""
    notes: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: no NaN, None where nothing is known."""
        return asdict(self)


def judged(figures: RoundFigures, verdict: Verdict) -> RoundFigures:
    """A round's figures with what the gate made of them."""
    seen = verdict.evidence
    return replace(
        figures, adopted=verdict.adopted, reason=verdict.reason, dice_change=seen.change, verified_slices=seen.slices, verified_patients=seen.patients,
        pieces=seen.topology,
    )


def settled(rounds: Sequence[RoundFigures], best: int) -> tuple[RoundFigures, ...]:
    """The same rounds with the best one marked as adopted."""
    return tuple(replace(r, adopted=r.round == best) for r in rounds)


def mean_dice(answers: Mapping[str, LabelArray], truths: Mapping[str, LabelArray], values: Sequence[int]) -> float | None:
    """Mean over cases of the mean Dice over classes, by the conventions of `metrics.summary`; None where nothing of a class is known.

    Label maps are uint8 (z, y, x) under their case; voxels whose truth is 255 are left out.
    """
    return mean(dice_known(answers[name], truth, values) for name, truth in truths.items())


def dice_known(answer: LabelArray, truth: LabelArray, values: Sequence[int]) -> float | None:
    """Mean Dice over the classes that are in either of two label maps (z, y, x), leaving out voxels where the truth is 255; None where no class is."""
    known = truth != UNKNOWN
    shared = [overlap((answer == value) & known, (truth == value) & known) for value in values]
    return mean(each.dice for each in shared if each.pred or each.truth)


def volume_ratio(answers: Mapping[str, LabelArray], given: Mapping[str, LabelArray], voxel_ml: Mapping[str, float]) -> float:
    """Foreground in `answers` against `given`, over all cases, where the given labels are known.

    Label maps are uint8 (z, y, x) under their case, 255 unknown, and `voxel_ml` is what a voxel of each case holds in millilitres. 1 where nothing was given.
    """
    new = old = 0.0
    for name, labels in given.items():
        known = labels != UNKNOWN
        new += float(np.count_nonzero((answers[name] > 0) & known)) * voxel_ml[name]
        old += float(np.count_nonzero((labels > 0) & known)) * voxel_ml[name]
    return new / old if old else 1.0
