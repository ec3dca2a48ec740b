"""What a model and its labels are worth: on the refined cases, on those held out, and on every other set that is watched."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_medseg.refine.cases import Case
from napari_medseg.refine.figures import RoundFigures, mean_dice, volume_ratio
from napari_medseg.refine.inputs import Inputs, Labels
from napari_medseg.refine.result import ZeroShot

if TYPE_CHECKING:
    from napari_medseg.refine.method import Model

HELD_OUT = "held out"


@dataclass(frozen=True, slots=True)
class Scored:
    """One scan labelled on the way.

    Attributes
    ----------
    done, total : int
    case : str
    """

    done: int
    total: int
    case: str


def model_scores(model: Model, inputs: Inputs) -> Generator[Scored, None, dict[str, float | None]]:
    """Mean Dice of a model on every set it does not learn from, by name; a tick a scan."""
    sets = {**({HELD_OUT: inputs.heldout} if inputs.heldout else {}), **inputs.watch}
    total, done, scores = sum(map(len, sets.values())), 0, {}
    for name, cases in sets.items():
        answers = {}
        for case in cases:
            answers[case.id] = model.label(case.image)
            done += 1
            yield Scored(done, total, case.id)
        scores[name] = dice_of(answers, cases, inputs.values)
    return scores


def zero_shot(base: Model, inputs: Inputs, held_out: float | None) -> Generator[Scored, None, ZeroShot]:
    """The base model on the cases that are to be refined, a tick a scan; a pass over them is only worth it where their truth is known."""
    if not inputs.truth and held_out is None:
        return ZeroShot()
    answers = {}
    for case in inputs.cases:
        answers[case.id] = base.label(case.image)
        yield Scored(len(answers), len(inputs.cases), case.id)
    return ZeroShot(mean_dice(answers, inputs.given, inputs.values), mean_dice(answers, inputs.truth, inputs.values), held_out)


def figures_of(number: int, answers: Labels, inputs: Inputs, held_out: float | None = None) -> RoundFigures:
    """Figures of bare labels, before anything that a person settled is laid over them."""
    return RoundFigures(
        number, 0, 0.0, None, volume_ratio(answers, inputs.given, inputs.voxel_ml), dice_verified=mean_dice(answers, inputs.check, inputs.values),
        dice_heldout=held_out, dice_refined=mean_dice(answers, inputs.truth, inputs.values),
    )


def dice_of(answers: Labels, cases: Sequence[Case], values: Sequence[int]) -> float | None:
    """Mean Dice against the labels of the cases themselves."""
    return mean_dice(answers, {case.id: case.labels.channel() for case in cases}, values)
