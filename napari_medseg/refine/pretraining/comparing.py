"""Whether a pre-training pays, at equal budget: the same updates in all, with and without, judged on patients that neither has seen.

Hammouda et al. (MIUA 2023) compare so: 65 epochs of denoising and 65 of segmentation against 130 of segmentation.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_medseg.errors import NoLabelsError, TrainingError
from napari_medseg.refine.cases import Case, class_values
from napari_medseg.refine.examples import weak_examples
from napari_medseg.refine.figures import dice_known
from napari_medseg.refine.medseg.recipe import Medseg, network
from napari_medseg.refine.pretraining.request import PretrainRequest
from napari_medseg.refine.pretraining.training import pretrain
from napari_medseg.refine.splits import held_back
from napari_medseg.segmenters.devices import choose

HELD_OUT = 0.34
"""Share of the patients with labels that only judge."""
CLEAR = 2.0
"""Standard errors that a mean difference has to lie from 0 before it is called one."""
FEWEST = 5
"""Differences, before their standard error says anything."""


@dataclass(frozen=True, slots=True, eq=False)
class CompareRequest:
    """What is asked for.

    Attributes
    ----------
    pretraining : PretrainRequest
        Its scans beside those of the cases; none of a patient who judges may be among them.
    cases : tuple of Case
        Of two patients or more, with labels that are believed.
    updates : int
        Of the training after a pre-training; without one it has those of the pre-training too.
    seeds : int
        How often everything is done anew, with other weights and other judges.
    patients : by case id
        Each case is a patient of its own where it is not there.
    only_cases : bool
        Whether there are no scans but those of the cases that teach.
    """

    pretraining: PretrainRequest
    cases: tuple[Case, ...]
    updates: int = 200
    seeds: int = 1
    patients: Mapping[str, str] = field(default_factory=dict)
    only_cases: bool = False

    def __post_init__(self) -> None:
        if len({self.patients.get(case.id, case.id) for case in self.cases}) < 2:
            raise NoLabelsError("a comparison needs labels of two patients, one of whom judges", where="--compare", todo="Label another patient's scan")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Mean Dice over the classes of one case that nothing has seen.

    Attributes
    ----------
    case : str
    seed : int
    without : float
        Plain training with all the updates.
    short : float
        Plain training with as many updates as there were after the pre-training.
    after : float
        Pre-trained.
    """

    case: str
    seed: int
    without: float
    short: float
    after: float


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What came of it.

    Attributes
    ----------
    judged : tuple of Judged
    pretrained, trained : int
        Updates without labels, and with them.
    """

    judged: tuple[Judged, ...]
    pretrained: int
    trained: int

    @property
    def gains(self) -> tuple[float, ...]:
        """Dice after pre-training above that without it, at the same updates in all."""
        return tuple(one.after - one.without for one in self.judged)

    @property
    def gain(self) -> float:
        """Their mean."""
        return float(np.mean(self.gains))

    @property
    def error(self) -> float | None:
        """Standard error of the mean gain; None for too few."""
        return float(np.std(self.gains, ddof=1) / np.sqrt(len(self.gains))) if len(self.gains) >= FEWEST else None

    @property
    def verdict(self) -> str:
        """In a sentence, without more confidence than there is ground for."""
        better = sum(gain > 0 for gain in self.gains)
        after, without, short = (float(np.mean([getattr(one, name) for one in self.judged])) for name in ("after", "without", "short"))
        told = (
            f"Dice {after:.3f} after {self.pretrained} updates without labels and {self.trained} with; {without:.3f} with all {self.pretrained + self.trained} "
            f"on labels; {short:.3f} with {self.trained} on labels alone. Better in {better} of {len(self.judged)} held-out cases"
        )
        if self.error is None:
            return f"{told}: too few to tell; compare with more labelled patients, or more seeds"
        if abs(self.gain) < CLEAR * self.error:
            return f"{told}: no clear difference ({self.gain:+.3f}, standard error {self.error:.3f})"
        word = "it pays here" if self.gain > 0 else "it does not pay here"
        return f"{told}: {word} ({self.gain:+.3f}, standard error {self.error:.3f})"


@dataclass(frozen=True, slots=True, eq=False)
class CompareTick:
    """How far it is; the last one carries the result."""

    fraction: float
    message: str
    result: Comparison | None = None


def compare(request: CompareRequest) -> Iterator[CompareTick]:
    """Train with and without; stop iterating to cancel.

    Raises
    ------
    NoLabelsError
        When nothing is labelled in the cases that teach.
    TrainingError, InvalidInputError, MissingFileError, UnreadableFileError
        As `training.pretrain` and the recipe.
    """
    found: list[Judged] = []
    asked = request.pretraining
    total = request.seeds * (2 * asked.updates + 3 * request.updates)
    done = 0
    for seed in range(asked.seed, asked.seed + request.seeds):
        judges, teachers = dealt(request, seed)
        recipe = network(network=asked.network, dims=asked.dims, parameters=dict(asked.parameters), updates=request.updates)
        with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as folder:
            images = [*(() if request.only_cases else asked.images), *(case.image for case in teachers)]
            file: Path | None = None
            for tick in pretrain(replace(asked, images=images, seed=seed, out=Path(folder))):
                yield CompareTick((done + tick.updates) / total, f"Without labels: {tick.message.lower()}")
                file = tick.file
            done += asked.updates
            scores = []
            for chosen, what in (
                (replace(recipe, start=str(file)), "pre-trained"), (recipe, "short"), (replace(recipe, updates=asked.updates + request.updates), "plain"),
            ):
                scores.append((yield from _scored(chosen, what, teachers, judges, seed, asked.device, done, total)))
                done += chosen.updates or 0
        after, short, without = scores
        found += [Judged(case.id, seed, without[case.id], short[case.id], after[case.id]) for case in judges]
    yield CompareTick(1.0, "Done", Comparison(tuple(found), asked.updates, request.updates))


def dealt(request: CompareRequest, seed: int) -> tuple[list[Case], list[Case]]:
    """Who judges and who teaches, by patient; those who teach know every class there is.

    Raises
    ------
    NoLabelsError
        When nothing is labelled in the cases that teach.
    """
    who = {case.id: request.patients.get(case.id, case.id) for case in request.cases}
    back = held_back(who.values(), HELD_OUT, seed)
    judges, teachers = ([case for case in request.cases if back[who[case.id]] is side] for side in (True, False))
    if not class_values(teachers):
        raise NoLabelsError("nothing is labelled in the cases that teach", where="--compare", todo="Label more patients")
    return judges, teachers


def _scored(
    recipe: Medseg, what: str, teachers: Sequence[Case], judges: Sequence[Case], seed: int, device: str, done: int, total: int,
) -> Generator[CompareTick, None, dict[str, float]]:
    """Dice of each judge after a training."""
    values = class_values(teachers)
    learned = None
    for tick in recipe.method().learn(weak_examples(teachers), values, number=1, base=None, seed=seed, device=choose(device)):
        yield CompareTick(min(0.99, (done + tick.updates) / total), f"On labels, {what}: {tick.message.lower()}")
        learned = tick.learned
    if learned is None:
        raise TrainingError("a training of the comparison gave no model", where="--compare")
    found = {case.id: dice_known(learned.model.label(case.image), case.labels.channel(), values) for case in judges}
    return {name: 0.0 if dice is None else dice for name, dice in found.items()}
