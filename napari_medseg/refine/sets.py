"""Several data sets: one after the other, each from the model of the last (sequential), or all in one training (universal).

After Bibars et al., who take a U-Net from LiTS to CHAOS to DLDS and compare it with one universal model. Every model is scored on the held-out patients of
every set, so that what is gained on one and forgotten of another stands side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.cases import Case, checked, load_cases
from napari_medseg.refine.forgetting import Forgetting
from napari_medseg.refine.method import AnyRecipe, Freeze
from napari_medseg.refine.request import Folders, RefineRequest, Replay
from napari_medseg.refine.result import RefineResult, Tick
from napari_medseg.refine.rounds import refine
from napari_medseg.refine.splits import held_back, read_splits, write_splits

UNIVERSAL = "all"


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Cases of one kind.

    Attributes
    ----------
    name : str
        Also of its folder.
    cases : tuple of Case, or Folders
        Their labels are learnt from, and are what held-out patients are scored against.
    patients : by case id
        A case that is not named is a patient of its own.
    """

    name: str
    cases: tuple[Case, ...] | Folders
    patients: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class SetsRequest:
    """What is learnt from several sets.

    Attributes
    ----------
    sets : tuple of DataSet, in the order in which they are learnt
    recipe : AnyRecipe
        Its rounds are run on each set; one round is plain training.
    out : Path
        Each set gets a folder in it.
    order : "sequential" or "universal"
    held_out : float
        Share of each set's patients that is never learnt; drawn once, and kept in `splits.json`.
    replay : float
        Share of what is learnt that comes from the sets before; 0 for none.
    base : Path or None
    freeze : "none", "encoder" or "all but last"
        From the second set on; the first learns whole.
    seed : int
    device : str
    """

    sets: tuple[DataSet, ...]
    recipe: AnyRecipe
    out: Path
    order: Literal["sequential", "universal"] = "sequential"
    held_out: float = 0.25
    replay: float = 0.0
    base: Path | None = None
    freeze: Freeze = "none"
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class SetsTick:
    """How far the sets are.

    Attributes
    ----------
    set : str
        The one that is learnt.
    fraction : float
        Of all, 0-1.
    tick : Tick
        Of the refinement of that set.
    forgetting : Forgetting
        Every model that is made so far on every set.
    model : Path or None
        Of the last set that is done.
    """

    set: str
    fraction: float
    tick: Tick
    forgetting: Forgetting
    model: Path | None = None

    @property
    def message(self) -> str:
        """What is being done, for people."""
        return f"{self.set}: {self.tick.message}"


def learn_sets(request: SetsRequest) -> Iterator[SetsTick]:
    """Learn every set and score every model on all of them.

    Yields
    ------
    SetsTick
        The last one of each set carries its model and the matrix so far.

    Raises
    ------
    InvalidInputError
        When there is no set, or two have one name.
    MedsegError
        Whatever `rounds.refine` raises.
    """
    names = [one.name for one in request.sets]
    if not names or len(set(names)) < len(names):
        raise InvalidInputError("sets need names of their own", where="sets", todo="Give at least one, and each its own name")
    learn, watch = _divided(request)
    stages = [(UNIVERSAL, tuple(case for name in names for case in learn[name]))] if request.order == "universal" else list(learn.items())
    matrix, model = Forgetting(), request.base
    earlier: tuple[Case, ...] = ()
    for index, (name, cases) in enumerate(stages):
        replay = Replay(earlier, request.replay, watched=0.0) if request.replay and earlier else None
        asked = RefineRequest(
            cases, request.recipe, model, request.out / name, seed=request.seed, device=request.device, freeze=request.freeze if index else "none",
            replay=replay, watch=watch,
        )
        for tick in refine(asked):
            if tick.result is not None:
                matrix, model = _with_row(matrix, name, tick.result, first=index == 0), tick.result.model
            yield SetsTick(name, (index + tick.fraction) / len(stages), tick, matrix, model if tick.result else None)
        earlier += cases


def _divided(request: SetsRequest) -> tuple[dict[str, tuple[Case, ...]], dict[str, tuple[Case, ...]]]:
    """Cases to learn and cases to watch, by set; ids get the set's name in front, as sets may use the same names."""
    request.out.mkdir(parents=True, exist_ok=True)
    splits: dict[str, Any] = read_splits(request.out)
    learn, watch = {}, {}
    for one in request.sets:
        cases = load_cases(one.cases.images, one.cases.labels) if isinstance(one.cases, Folders) else checked(one.cases)
        splits[one.name] = held_back((one.patients.get(c.id, c.id) for c in cases), request.held_out, request.seed, splits.get(one.name))
        named = [(replace(c, id=f"{one.name}-{c.id}"), splits[one.name][one.patients.get(c.id, c.id)]) for c in cases]
        learn[one.name] = tuple(c for c, back in named if not back)
        if any(back for _, back in named):
            watch[one.name] = tuple(c for c, back in named if back)
    write_splits(request.out, splits)
    return learn, watch


def _with_row(matrix: Forgetting, name: str, result: RefineResult, *, first: bool) -> Forgetting:
    """The matrix with the model that goes on to the next set, and before the first set the base."""
    found = result.forgetting
    if first and "base" in found.models:
        matrix = matrix.scored("base", found.of("base"))
    shown = f"round {result.model_round}"
    return matrix.scored(name, found.of(shown)) if shown in found.models else matrix
