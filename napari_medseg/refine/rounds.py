"""The loop: learn from the labels, propose better ones, judge them, and again with those.

Salah et al., MIUA 2023, learn three rounds, each from a fresh copy of the base model, and carry only labels forward; that is the default. Ours: any recipe
can do the learning (`method.Method`), a person's word outranks every proposal (`examples`), a round is taken only on evidence (`gate`), and a round learns
from the best labels so far.

Loads torch only once a run starts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_medseg.errors import TrainingError
from napari_medseg.refine import lineage
from napari_medseg.refine.examples import example, replayed
from napari_medseg.refine.figures import RoundFigures, judged, settled
from napari_medseg.refine.folder import RunFolder
from napari_medseg.refine.forgetting import Forgetting
from napari_medseg.refine.gate import Gate
from napari_medseg.refine.inputs import Inputs, gather
from napari_medseg.refine.kept import going_on
from napari_medseg.refine.request import RefineRequest
from napari_medseg.refine.result import RefineResult, Tick, ZeroShot
from napari_medseg.refine.room import enough
from napari_medseg.refine.scoring import HELD_OUT, Scored, figures_of, model_scores, zero_shot
from napari_medseg.refine.splits import read_splits, write_splits
from napari_medseg.refine.spread import spread
from napari_medseg.refine.tensorboard import recorded
from napari_medseg.refine.trust import Trust
from napari_medseg.refine.versions import Version, given_version, stored_version

if TYPE_CHECKING:
    from napari_medseg.refine.checkpoint import Checkpoints
    from napari_medseg.refine.method import Example, Learned, Method, Model

Answer = TypeVar("Answer")
LEARNING_SHARE = 0.96
"""Of a round; the rest is held-out cases."""


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
    NoRoomError
        When it would not fit in the memory.
    InvalidInputError, GridMismatchError, MissingFileError, UnreadableFileError
        When a case, label or model is not what it should be.
    UnwritableFileError
        When `out` refuses.
    TrainingError
        When training fails.
    """
    from napari_medseg.segmenters.devices import choose

    yield Tick(0.0, "Reading the scans")
    inputs = gather(request, read_splits(Path(request.out)) if request.out else None)
    enough(inputs.cases, request.recipe, len(inputs.values), request.device)
    yield Tick(0.0, "Loading the base model")
    base = request.recipe.method().base_model(request.base, inputs.values, choose(request.device), inputs.cases[0].image.channels)
    with going_on(request), ExitStack() as held:
        run = _Run(request, inputs, base, held)
        yield from recorded(run.rounds(), Path(request.out), going_on=request.resume) if request.out else run.rounds()


class _Run:
    def __init__(self, request: RefineRequest, inputs: Inputs, base: Model | None, held: ExitStack) -> None:
        from napari_medseg.segmenters.devices import choose

        self.request, self.recipe, self.inputs, self.base = request, request.recipe, inputs, base
        self.in_memory = isinstance(request.cases, tuple)
        self.folder = RunFolder(Path(request.out), going_on=request.resume) if request.out else None
        if self.folder:
            write_splits(self.folder.path, inputs.splits)
        self.scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="medseg-"))) if request.start == "continue" and not self.folder else None
        self.device = choose(request.device)
        self.method: Method = held.enter_context(spread(self.recipe, request.processes, self.device))
        spacing = {case.id: case.image.geometry.spacing for case in inputs.cases}
        self.gate = Gate(inputs.given, inputs.check, inputs.values, spacing, inputs.patients, drift=self.recipe.drift)
        self.versions = {0: given_version(inputs)}
        self.figures: tuple[RoundFigures, ...] = (replace(figures_of(0, inputs.given, inputs), adopted=True, reason="the labels given"),)
        self.forgetting, self.shot = Forgetting(), ZeroShot()
        self.started, self.before = time.perf_counter(), 0.0

    def rounds(self) -> Iterator[Tick]:
        finished = yield from self._begun()
        self.started, self.before = time.perf_counter(), finished / self.recipe.rounds
        for number in range(finished + 1, self.recipe.rounds + 1):
            doubt, stop = yield from self._round(number)
            found = any(labels.any() for labels in self.versions[number].bare.values())
            yield self._ended(number, f"Round {number} done" if found else f"Round {number} found nothing, so the rounds end here", doubt)
            if not found or (stop and not self.request.every_round):
                break
        yield self._finish()

    def _begun(self) -> Generator[Tick, None, int]:
        """The labels given and the base model scored, or what an earlier process left; gives how many rounds are finished."""
        record = self.folder.read_record() if self.folder and self.request.resume else {}
        if self.folder and record:
            self.shot, self.forgetting = ZeroShot(**record["zero_shot"]), Forgetting.from_dict(record["forgetting"])
        elif self.base is not None:
            self.shot = yield from self._zero_shot(self.base)
        self.base = None  # its memory is wanted
        yield Tick(0.0, "Scored the labels given", figures=self.figures[0])
        for figures, made in zip(record.get("rounds", [])[1:], record.get("lineage", []), strict=True):
            number = int(figures["round"])
            if self.folder:
                self.versions[number] = stored_version(self.folder, number, self.inputs, made)
            self._judge(RoundFigures(**figures))
            yield self._ended(number, f"Round {number} was done before", {})
        return len(self.figures) - 1

    def _round(self, number: int) -> Generator[Tick, None, tuple[Mapping[str, Any], bool]]:
        """One round: learns, scores, is judged and kept; gives its doubt and whether another one would be a waste."""
        started = time.perf_counter()
        parent = self.gate.best
        examples = self._examples(number, parent)
        learned = yield from self._learn(number, examples)
        answers = {case.id: learned.proposals[case.id] for case in self.inputs.cases}
        scores = yield from self._score(learned.model, number)
        if scores:
            self.forgetting = self.forgetting.scored(f"round {number}", scores)
        made = {"round": number, **lineage.learnt_from(self.request, examples, parent), **lineage.made(answers, learned.model)}
        self.versions[number] = Version(answers, learned.model, lineage=made)
        figures = replace(figures_of(number, answers, self.inputs, scores.get(HELD_OUT)), updates=learned.updates, loss=learned.loss, notes=learned.notes)
        stop = self._judge(replace(figures, seconds=round(time.perf_counter() - started, 2)))
        self._keep(number)
        return {name: doubt.astype(np.float16) for name, doubt in learned.doubt.items()}, stop

    def _examples(self, number: int, parent: int) -> list[Example]:
        labels, level = (self.versions[parent].bare, Trust.PROPOSED) if parent else (self.inputs.given, Trust.WEAK)
        words, patients = self.inputs.words, self.inputs.patients
        examples = [example(case, labels[case.id], level, words[case.id], patients[case.id]) for case in self.inputs.cases]
        if self.request.replay is None:
            return examples
        again = replayed(self.inputs.replay, self.request.replay.share, len(examples), self.request.patients or {}, (self.request.seed, number))
        return [*examples, *again]

    def _learn(self, number: int, examples: list[Example]) -> Generator[Tick, None, Learned]:
        base = self.versions[number - 1].path if self.request.start == "continue" and number > 1 else self.request.base
        checkpoints = yield from self._checkpoints(number)
        steps = self.method.learn(
            examples, self.inputs.values, number=number, base=base, seed=self.request.seed, device=self.device, freeze=self.request.freeze,
            checkpoints=checkpoints,
        )
        for step in steps:
            if step.learned is not None:
                return step.learned
            tick = self._tick(number, LEARNING_SHARE * step.fraction, f"Round {number} of {self.recipe.rounds}: {step.message}")
            yield replace(tick, loss=step.loss, updates=step.updates, rate=step.rate, now=step.now)
        raise TrainingError("the recipe ended without a model", where=self.recipe.name, todo="Choose another recipe")

    def _checkpoints(self, number: int) -> Generator[Tick, None, Checkpoints | None]:
        """Where a round saves itself. What it saved before and cannot be read is given up, and the person told."""
        if self.folder is None:
            return None
        found = self.folder.checkpoints()
        if self.request.resume:
            try:
                found.load()
            except TrainingError:
                found.clear()
                said = f"The checkpoint of round {number} was cut short or damaged, so this round starts anew; finished rounds and your labels are untouched."
                yield replace(self._tick(number, 0.0, f"Round {number} of {self.recipe.rounds}: starts anew, its checkpoint was damaged"), warning=said)
        return found

    def _zero_shot(self, base: Model) -> Generator[Tick, None, ZeroShot]:
        scores = yield from self._score(base, 0)
        if scores:
            self.forgetting = self.forgetting.scored("base", scores)
        steps = zero_shot(base, self.inputs, scores.get(HELD_OUT))
        return (yield from told(steps, lambda step: Tick(0.0, f"Trying the base model on {step.case}")))

    def _score(self, model: Model, number: int) -> Generator[Tick, None, dict[str, float | None]]:
        def tick(step: Scored) -> Tick:
            if not number:
                return Tick(0.0, f"Trying the base model on {step.case}")
            within = LEARNING_SHARE + (1 - LEARNING_SHARE) * 0.9 * step.done / step.total
            return self._tick(number, within, f"Round {number} of {self.recipe.rounds}: segmenting held-out {step.case}")

        return (yield from told(model_scores(model, self.inputs), tick))

    def _judge(self, figures: RoundFigures) -> bool:
        """Let the gate judge the round that has just ended; gives whether another one would be a waste."""
        verdict = self.gate.judge(figures.round, self.versions[figures.round].bare)
        self.figures = settled((*self.figures, judged(figures, verdict)), self.gate.best)
        return verdict.stop

    def _keep(self, number: int) -> None:
        """Write all that a round made; the record comes last, so that a round it names is whole."""
        version = self.versions[number]
        if self.scratch:
            version.path = version.loaded().save(self.scratch / f"round{number}", self._facts(number))
        if self.folder:
            self.folder.write_labels(f"round{number}", self.inputs.cases, self.inputs.written(version.bare))
            version.path = self.folder.write_model(version.loaded(), self._facts(number), number)
            self.folder.write_bare(number, version.bare, self.inputs.words)
            self.folder.write_record({**self._result(number).as_dict(), "finished": False})
            self.folder.checkpoints().clear()

    def _ended(self, number: int, message: str, doubt: Mapping[str, Any]) -> Tick:
        labels = self.inputs.written(self.versions[number].bare) if self.in_memory else None
        figures = self.figures[number]
        tick = self._tick(number, 1.0, message)
        return replace(tick, figures=figures, updates=figures.updates, labels=labels, doubt=doubt if self.in_memory and doubt else None)

    def _tick(self, number: int, within: float, message: str) -> Tick:
        fraction = min((number - 1 + within) / self.recipe.rounds, 1.0)
        elapsed, done = time.perf_counter() - self.started, fraction - self.before
        return Tick(fraction, message, number, eta_s=elapsed / done * (1 - fraction) if done > 0 else None)

    def _finish(self) -> Tick:
        best = self.gate.best
        shown = best or max(self.figures[1:], key=lambda r: (r.dice_verified or 0.0, r.round)).round
        final = self.inputs.written(self.versions[best].bare)
        result = self._result(shown, final if self.in_memory else {})
        if self.folder:
            result = replace(result, model=self.folder.write_model(self.versions[shown].loaded(), self._facts(shown)))
            self.folder.end()
            self.folder.write_record({**result.as_dict(), "finished": True})
            self.folder.write_labels("final", self.inputs.cases, final)
        return Tick(1.0, "Done", self.figures[-1].round, updates=result.updates, eta_s=0.0, result=result)

    def _result(self, shown: int, labels: Mapping[str, Any] | None = None) -> RefineResult:
        models = {number: version.path for number, version in self.versions.items() if version.path is not None and self.folder}
        return RefineResult(
            self.figures, self.gate.best, labels or {}, models.get(shown), self.shot, sum(r.updates for r in self.figures), models,
            tuple(version.lineage for version in self.versions.values() if version.lineage), self.forgetting, shown,
        )

    def _facts(self, number: int) -> dict[str, Any]:
        """What a model's plan says beside what the recipe put there; it names no case, as a model may be passed on."""
        cases, values = self.inputs.cases, self.inputs.values
        rounds = [{name: value for name, value in asdict(r).items() if name not in ("reason", "notes")} for r in self.figures]
        training = {
            "round": number, "adopted": self.gate.best == number, "seed": self.request.seed, "cases": len(cases), "label_values": list(values),
            "rounds": rounds, "lineage": lineage.nameless(self.versions[number].lineage),
        }
        return {
            "classes": [self.request.class_names.get(v, f"class {v}") for v in values],
            "modalities": sorted({c.image.modality for c in cases} - {""}), "training": training,
        }


def told(steps: Generator[Scored, None, Answer], tick: Callable[[Scored], Tick]) -> Generator[Tick, None, Answer]:
    """The steps of a part as ticks of the run; gives what the part gives."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        yield tick(step)
