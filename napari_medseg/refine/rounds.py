"""The loop of Salah et al., MIUA 2023: copy the base model, fine-tune it on the labels, predict the same scans, and again with those predictions as labels.

Every round restarts from the base with a fresh optimiser; only labels are carried forward. Ours: the choice of a round (`figures.adopt`), corrections that
outrank every prediction, and 255 as "unknown".

Loads torch only once a run starts.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.refine.cases import Case, checked, class_values, corrected, load_cases, load_labels
from napari_medseg.refine.figures import UNKNOWN, RoundFigures, adopt, best_round, mean_dice, volume_ratio
from napari_medseg.refine.recipe import Recipe
from napari_medseg.volume import LabelArray, Volume, require_same_grid

if TYPE_CHECKING:
    from napari_medseg.refine.folder import RunFolder
    from napari_medseg.segmenters.unet import UNet

TRAINING_SHARE = 0.92  # of a round; the rest is prediction
LabelMaps = Mapping[str, Volume] | Path
Labels = Mapping[str, LabelArray]


@dataclass(frozen=True, slots=True)
class Folders:
    """Scans and label maps on disk, under the same file names."""

    images: Path
    labels: Path


@dataclass(frozen=True, slots=True, eq=False)
class RefineRequest:
    """All a run needs; picklable.

    Attributes
    ----------
    cases : tuple of Case, or Folders
        What to refine.
    recipe : Recipe
    base : Path or None
        Model to start every round from (file or folder); None is M0.
    out : Path or None
        Folder for the rounds' labels, the model and the record; None keeps labels in memory only and writes no model.
    corrected : label maps by case id, or a folder
        Taught from: they replace the labels wherever they are not 255, in every round and in what is written.
    verified : label maps by case id, or a folder
        Only checked against, to choose the round; never trained on.
    heldout : tuple of Case, or Folders
        Cases with true labels that are only predicted and scored.
    truth : label maps by case id, or a folder
        True labels of the refined cases where they are known; scored, never used to choose.
    class_names : by label value
        For the model's plan.
    seed : int
        The same seed on the same machine gives the same labels.
    device : str
        "auto", "cpu", "cuda", "mps".
    """

    cases: tuple[Case, ...] | Folders
    recipe: Recipe = field(default_factory=Recipe)
    base: Path | None = None
    out: Path | None = None
    corrected: LabelMaps | None = None
    verified: LabelMaps | None = None
    heldout: tuple[Case, ...] | Folders | None = None
    truth: LabelMaps | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """What the base model makes of these scans before any training; Dice, None where nothing is known."""

    dice_labels: float | None
    dice_refined: float | None
    dice_heldout: float | None


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
    """

    rounds: tuple[RoundFigures, ...]
    best_round: int
    labels: Mapping[str, LabelArray]
    model: Path | None
    zero_shot: ZeroShot
    updates: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rounds = [figures.as_dict() for figures in self.rounds]
        return {"rounds": rounds, "best_round": self.best_round, "model": str(self.model) if self.model else None, "zero_shot": asdict(self.zero_shot)}


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
        When a round has ended (and for round 0); adopted and reason are settled in `result` only.
    labels : uint8 (z, y, x) by case id, or None
        The round's labels when it has ended and the cases were handed over in memory.
    result : RefineResult or None
        In the last tick.
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


def refine(request: RefineRequest) -> Iterator[Tick]:
    """Run every round, in this process.

    Yields
    ------
    Tick
        After each update, each predicted case and each round. Stop iterating to cancel; rounds that are written stay.

    Raises
    ------
    NoLabelsError
        When there is nothing to learn from.
    InvalidInputError, GridMismatchError, MissingFileError, UnreadableFileError
        When a case, label or model is not what it should be.
    UnwritableFileError
        When `out` refuses.
    TrainingError
        When training fails.
    """
    yield Tick(0.0, "Reading the scans")
    run = _Run(request)
    yield Tick(0.0, "Loading the base model")
    yield from run.rounds()


class _Run:
    def __init__(self, request: RefineRequest) -> None:
        self.request, self.recipe = request, request.recipe
        raw = load_cases(request.cases.images, request.cases.labels) if isinstance(request.cases, Folders) else checked(request.cases)
        self.in_memory = not isinstance(request.cases, Folders)
        self.corrections = self._label_maps(request.corrected, raw)
        self.cases = checked(corrected(raw, self.corrections))
        self.verified = {name: v.channel() for name, v in self._label_maps(request.verified, raw).items()}
        self.truth = {name: v.channel() for name, v in self._label_maps(request.truth, raw).items()}
        held = request.heldout
        self.heldout = () if not held else load_cases(held.images, held.labels) if isinstance(held, Folders) else checked(held)
        self.values = class_values(self.cases)
        self.given = {case.id: case.labels.channel() for case in self.cases}
        self.voxel_ml = {case.id: case.image.geometry.voxel_ml for case in self.cases}
        self.folder = self._folder()

    @staticmethod
    def _label_maps(maps: LabelMaps | None, cases: tuple[Case, ...]) -> Mapping[str, Volume]:
        if maps is None:
            return {}
        if isinstance(maps, Path):
            return load_labels(maps, cases)
        known = {case.id: case for case in cases}
        for name, labels in maps.items():
            if name not in known:
                raise InvalidInputError("there is a label map for a case that is not refined", where=name, todo="Give labels of the refined cases only")
            require_same_grid(known[name].image.geometry, labels.geometry, name)
        return maps

    def _folder(self) -> RunFolder | None:
        if self.request.out is None:
            return None
        from napari_medseg.refine.folder import RunFolder

        return RunFolder(Path(self.request.out))

    def rounds(self) -> Iterator[Tick]:
        from napari_medseg.segmenters.devices import choose
        from napari_medseg.segmenters.weights import BASE, load_model

        self.device = choose(self.request.device)
        base, self.base_plan = load_model(self.request.base or BASE)
        self.size = int(self.base_plan["preprocessing"]["size"])
        zero_shot = yield from self._zero_shot(base)
        first = self._figures(0, 0, 0.0, None, self.given, {})
        done = [first]
        yield Tick(0.0, "Scored the labels given", figures=first)
        labels: Labels = self.given
        versions: dict[int, Labels] = {0: {name: np.where(given == UNKNOWN, 0, given).astype(np.uint8) for name, given in self.given.items()}}
        states: dict[int, UNet] = {}
        self.started = time.perf_counter()
        for number in range(1, self.recipe.rounds + 1):
            network, figures, labels = yield from self._round(number, base, labels)
            states[number], versions[number] = network, labels
            done.append(figures)
            if self.folder:
                self.folder.write_labels(f"round{number}", self.cases, labels)
            empty = not any(found.any() for found in labels.values())
            message = f"Round {number} found nothing, so the rounds end here" if empty else f"Round {number} done"
            yield replace(self._tick(number, 1.0, message), figures=figures, updates=figures.updates, labels=labels if self.in_memory else None)
            if empty:
                break  # nothing is left to learn from; the choice below falls back
        settled = adopt(done, self.recipe.drift)
        yield self._finish(settled, versions, states, zero_shot)

    def _round(self, number: int, base: UNet, labels: Labels) -> Generator[Tick, None, tuple[UNet, RoundFigures, Labels]]:
        """One round; returns the network, its figures and the labels it gives."""
        from napari_medseg.refine.training import fine_tune, slice_set, widened

        started = time.perf_counter()
        network = widened(base, len(self.values), self.request.seed)
        data = slice_set((replace(c, labels=c.labels.like(labels[c.id])) for c in self.cases), self.values, self.size)
        last = None
        for last in fine_tune(network, data, self.recipe, seed=self.request.seed + number, device=self.device):
            tick = self._tick(number, TRAINING_SHARE * last.fraction, f"Round {number} of {self.recipe.rounds}: {last.message.lower()}")
            yield replace(tick, loss=last.loss, updates=last.updates)
        answers = yield from self._predict(network, self.cases, number, "Segmenting")
        held = yield from self._predict(network, self.heldout, number, "Segmenting held-out")
        updates, loss = (last.updates, last.loss) if last else (0, None)
        figures = self._figures(number, updates, time.perf_counter() - started, loss, answers, held)
        return network.cpu(), figures, self._with_corrections(answers)

    def _predict(self, network: UNet, cases: tuple[Case, ...], number: int, verb: str) -> Generator[Tick, None, Labels]:
        from napari_medseg.refine.training import predict_labels

        answers: dict[str, LabelArray] = {}
        values = self.values if network.classes == len(self.values) else tuple(range(1, network.classes + 1))
        for index, case in enumerate(cases):
            answers[case.id] = predict_labels(network, case, values, threshold=self.recipe.threshold, size=self.size, device=self.device)
            if number:
                yield self._tick(number, TRAINING_SHARE + (1 - TRAINING_SHARE) * (index + 1) / len(cases) * 0.9, f"{verb} {case.id}")
            else:
                yield Tick(0.0, f"{verb} {case.id}")
        return answers

    def _zero_shot(self, base: UNet) -> Generator[Tick, None, ZeroShot]:
        if not self.truth and not self.heldout:
            return ZeroShot(None, None, None)  # a pass over every scan is only worth it where it can be scored
        answers = yield from self._predict(base, self.cases, 0, "Trying the base model on")
        held = yield from self._predict(base, self.heldout, 0, "Trying the base model on")
        scored = mean_dice(held, {c.id: c.labels.channel() for c in self.heldout}, self.values)
        return ZeroShot(mean_dice(answers, self.given, self.values), mean_dice(answers, self.truth, self.values), scored)

    def _figures(
        self, number: int, updates: int, seconds: float, loss: float | None, answers: Labels, held: Labels
    ) -> RoundFigures:
        truths = {c.id: c.labels.channel() for c in self.heldout if held}
        return RoundFigures(
            number, updates, round(seconds, 2), loss, volume_ratio(answers, self.given, self.voxel_ml),
            dice_verified=mean_dice(answers, self.verified, self.values), dice_heldout=mean_dice(held, truths, self.values),
            dice_refined=mean_dice(answers, self.truth, self.values),
        )

    def _with_corrections(self, answers: Labels) -> Labels:
        """What a person corrected stays as they left it."""
        result = dict(answers)
        for name, fix in self.corrections.items():
            values = fix.channel()
            result[name] = np.where(values == UNKNOWN, answers[name], values).astype(np.uint8)
        return result

    def _tick(self, number: int, within: float, message: str) -> Tick:
        fraction = min((number - 1 + within) / self.recipe.rounds, 1.0)
        elapsed = time.perf_counter() - self.started
        return Tick(fraction, message, number, eta_s=elapsed / fraction * (1 - fraction) if fraction > 0 else None)

    def _finish(
        self, settled: tuple[RoundFigures, ...], versions: Mapping[int, Labels], states: Mapping[int, UNet], zero_shot: ZeroShot
    ) -> Tick:
        best = best_round(settled)
        shown = best or best_round(adopt(settled[1:], self.recipe.drift)) or settled[-1].round
        updates = sum(r.updates for r in settled)
        model = None
        if self.folder:
            model = self.folder.write_model(states[shown], self._plan(settled, shown, best))
            result = RefineResult(settled, best, {}, model, zero_shot, updates)
            self.folder.write_record(result.as_dict())
            self.folder.write_labels("final", self.cases, versions[best])
        labels = versions[best] if self.in_memory else {}
        return Tick(1.0, "Done", settled[-1].round, updates=updates, eta_s=0.0, result=RefineResult(settled, best, labels, model, zero_shot, updates))

    def _plan(self, settled: tuple[RoundFigures, ...], shown: int, best: int) -> dict[str, Any]:
        names = [self.request.class_names.get(v, f"class {v}") for v in self.values]
        training = {
            "recipe": self.recipe.name, "round": shown, "adopted": shown == best, "epochs": self.recipe.epochs, "learning_rate": self.recipe.learning_rate,
            "loss": "Jaccard distance", "seed": self.request.seed, "cases": len(self.cases), "label_values": list(self.values),
            "base": {"title": self.base_plan["title"], "sha256": self.base_plan["sha256"]}, "rounds": [r.as_dict() for r in settled],
        }
        return {
            "title": f"Refined from {self.base_plan['title'].removeprefix('Refined from ')}", "classes": names,
            "modalities": sorted({c.image.modality for c in self.cases} - {""}), "threshold": self.recipe.threshold, "training": training,
            "preprocessing": self.base_plan["preprocessing"],
        }


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
