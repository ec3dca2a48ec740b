"""What a refinement is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.method import AnyRecipe, Freeze
from napari_medseg.refine.salah.recipe import Recipe
from napari_medseg.volume import Volume

LabelMaps = Mapping[str, Volume] | Path
Start = Literal["base", "continue"]
Side = Literal["teach", "check"]


@dataclass(frozen=True, slots=True)
class Folders:
    """Scans and label maps on disk, under the same file names."""

    images: Path
    labels: Path


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Cases of an earlier set that are learnt again beside the new ones, so that they are not forgotten.

    Attributes
    ----------
    cases : tuple of Case, or Folders
        With the labels that the earlier model learnt from.
    share : float
        Of the cases a round learns from, 0-1; drawn anew each round, and never more than there are.
    watched : float
        Share of its patients that are never learnt, so that what is forgotten shows; 0 for none.
    """

    cases: tuple[Case, ...] | Folders
    share: float = 0.25
    watched: float = 0.25

    def __post_init__(self) -> None:
        if not (0 < self.share < 1 and 0 <= self.watched < 1):
            what = f"a share of {self.share:g} cannot be replayed, with {self.watched:g} of its patients watched"
            raise InvalidInputError(what, where="replay", todo="Give shares between 0 and 1")


@dataclass(frozen=True, slots=True, eq=False)
class RefineRequest:
    """All a run needs; picklable.

    Attributes
    ----------
    cases : tuple of Case, or Folders
        What to refine.
    recipe : AnyRecipe
    base : Path or None
        Model to start from (file or folder); None is the recipe's own beginning, for salah2023 the shipped M0.
    out : Path or None
        Folder for the rounds' labels, their models and the record; None keeps labels in memory only and writes no model.
    corrected : label maps by case id, or a folder
        Taught from: they replace the labels wherever they are not 255, in every round and in what is written.
    verified : label maps by case id, or a folder
        What a person found right, 255 elsewhere. On the side "check" it is only scored against, to choose the round, and never trained on; on the side
        "teach" it is trained on. What is written keeps both.
    heldout : tuple of Case, or Folders
        Cases with true labels that are only predicted and scored; of other patients than `cases`.
    truth : label maps by case id, or a folder
        True labels of the refined cases where they are known; scored, never used to choose.
    class_names : by label value
        For the model's plan.
    seed : int
        The same seed on the same machine gives the same labels.
    device : str
        "auto", "cpu", "cuda", "mps".
    patients : by case id, or None
        Who was scanned; a case that is not named is a patient of its own. Nothing is ever split within a patient.
    sides : "teach" or "check" by case id, or None
        What each case's verified labels are for; None, and a case that is not named, is "check".
    start : "base" or "continue"
        Whether every round starts from the base again, as published, or from the model of the round before.
    freeze : "none", "encoder" or "all but last"
        What of the network stays as the base has it; the last block and what comes after it always learn.
    replay : Replay or None
        Cases of an earlier set that are learnt beside these.
    watch : by name
        Other sets of cases with their labels that every model is scored on and never learns from: the columns of the forgetting matrix.
    every_round : bool
        Run all rounds; otherwise the run ends where the gate sees that another one would be a waste.
    processes : int
        That learn together, each a part of every batch; recipes that learn in one take 1.
    resume : bool
        Go on with the run that was cut off in `out`; set by `kept.kept`.
    """

    cases: tuple[Case, ...] | Folders
    recipe: AnyRecipe = field(default_factory=Recipe)
    base: Path | None = None
    out: Path | None = None
    corrected: LabelMaps | None = None
    verified: LabelMaps | None = None
    heldout: tuple[Case, ...] | Folders | None = None
    truth: LabelMaps | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    patients: Mapping[str, str] | None = None
    sides: Mapping[str, Side] | None = None
    start: Start = "base"
    freeze: Freeze = "none"
    replay: Replay | None = None
    every_round: bool = True
    watch: Mapping[str, tuple[Case, ...] | Folders] = field(default_factory=dict)
    resume: bool = False
    processes: int = 1
