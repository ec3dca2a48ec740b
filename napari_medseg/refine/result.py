"""What a refinement tells on its way, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_medseg.errors import NoLabelsError
from napari_medseg.refine.figures import RoundFigures
from napari_medseg.refine.forgetting import Forgetting
from napari_medseg.volume import Array, LabelArray, Volume


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """What the base model makes of these scans before any training; Dice, None where nothing is known."""

    dice_labels: float | None = None
    dice_refined: float | None = None
    dice_heldout: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RefineResult:
    """How a run ended.

    Attributes
    ----------
    rounds : RoundFigures from round 0 on; one is adopted
    best_round : int
        The adopted one; 0 when the labels given were not bettered.
    labels : uint8 (z, y, x) by case id
        The adopted labels; empty when the cases came from folders, as `final` holds them then.
    model : Path or None
        The model of the adopted round, of the best trained one when none was adopted.
    zero_shot : ZeroShot
    updates : int
        Over all rounds.
    models : Path by round
        The model of every round, to go back to; empty without a folder.
    lineage : tuple of dict
        For each round: which labels, base, recipe and seed made it.
    forgetting : Forgetting
        Every model on every set it was scored on.
    model_round : int
        The round that `model` is of.
    """

    rounds: tuple[RoundFigures, ...]
    best_round: int
    labels: Mapping[str, LabelArray]
    model: Path | None
    zero_shot: ZeroShot
    updates: int
    models: Mapping[int, Path] = field(default_factory=dict)
    lineage: tuple[dict[str, Any], ...] = ()
    forgetting: Forgetting = field(default_factory=Forgetting)
    model_round: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rounds": [figures.as_dict() for figures in self.rounds], "best_round": self.best_round, "model": str(self.model) if self.model else None,
            "zero_shot": asdict(self.zero_shot), "lineage": list(self.lineage), "forgetting": self.forgetting.as_dict(),
            "model_round": self.model_round, "updates": self.updates,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """How far a run is.

    Attributes
    ----------
    fraction : float
        Of the whole run, 0-1.
    message : str
    round : int
        0 before the first.
    loss : float or None
        Mean of the epoch so far, while training.
    updates : int
        In this round so far.
    eta_s : float or None
        Seconds left of the whole run at the present pace.
    figures : RoundFigures or None
        When a round has ended (and for round 0), as they stand then; a later round may be adopted in its place.
    labels : uint8 (z, y, x) by case id, or None
        The round's labels when it has ended and the cases were handed over in memory.
    result : RefineResult or None
        In the last tick.
    doubt : float16 (z, y, x), 0-1, by case id, or None
        Where the round's labels are uncertain, with them, where the recipe can say.
    now : callable or None
        As `method.Learning.now`; only in the process that learns.
    rate : float or None
        Learning rate, while training, where the recipe tells.
    paused : bool
        Whether the run sleeps until it is told to go on.
    look : uint8 (z, y, x) or None
        What the network as it stands makes of the scan that `RefineRun.look` asked about last.
    warning : str
        What went wrong without ending the run, for people; "" for nothing.
    """

    fraction: float
    message: str
    round: int = 0
    loss: float | None = None
    updates: int = 0
    eta_s: float | None = None
    figures: RoundFigures | None = None
    labels: Mapping[str, LabelArray] | None = None
    result: RefineResult | None = None
    doubt: Mapping[str, Array] | None = None
    now: Callable[[Volume], LabelArray] | None = None
    rate: float | None = None
    paused: bool = False
    look: LabelArray | None = None
    warning: str = ""


def last_result(ticks: Iterator[Tick]) -> RefineResult:
    """Run to the end and give the result.

    Raises
    ------
    NoLabelsError
        When the run ended without one, which only a cancelled run does.
    """
    result = None
    for tick in ticks:
        result = tick.result or result
    if result is None:
        raise NoLabelsError("the run was stopped before it had a result", where="refine")
    return result
