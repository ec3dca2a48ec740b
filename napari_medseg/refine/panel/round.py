"""One round: every network learns, one after the other; the best are kept, and what they say together is proposed.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_medseg.errors import InvalidInputError, TrainingError
from napari_medseg.refine.checkpoint import Checkpoints
from napari_medseg.refine.medseg.align import MARGIN, around
from napari_medseg.refine.medseg.augment import Strength
from napari_medseg.refine.medseg.calibrate import Judged, offsets
from napari_medseg.refine.medseg.data import Prepared
from napari_medseg.refine.medseg.round import LEARNED, SAVE_S, SHIFT, answer, folds, undecided
from napari_medseg.refine.method import Example, Learned, Learning
from napari_medseg.refine.panel.learning import Stepped
from napari_medseg.refine.panel.model import PanelModel
from napari_medseg.refine.panel.recipe import Candidate, Panel
from napari_medseg.refine.panel.tidy import tidied
from napari_medseg.refine.trust import keep_locked
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.volumetric.members import Member, carry, made, new_member
from napari_medseg.segmenters.volumetric.model import VolumetricModel, labelled, mean_probability, probabilities
from napari_medseg.segmenters.volumetric.plan import MixedPlan, VolumetricPlan
from napari_medseg.segmenters.window import Box
from napari_medseg.volume import FloatArray, LabelArray, Volume

TRIED = 2  # updates that the time of all is told from
WORTH = 20  # updates of a network that are worth it
LONG_S = 60.0  # the shortest time that is told beforehand

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One network to train: which kind, and the fold that it does not see."""

    kind: int
    fold: int


class PanelRound:
    """A round of `gil2023` or `top-n`.

    Parameters
    ----------
    recipe : Panel
    plan : VolumetricPlan
        Of all kinds together, in the recipe's order.
    examples : sequence of Example
    cases : the same on the networks' grid
    old : VolumetricModel or None
        To go on from, network by network; kinds that it does not have begin from nothing.
    number, seed, device, freeze, checkpoints
        As `refine.method.Method.learn`.

    Raises
    ------
    InvalidInputError
        When some are to be chosen and there is one patient only.
    """

    def __init__(
        self, recipe: Panel, plan: VolumetricPlan, examples: Sequence[Example], cases: Sequence[Prepared], old: VolumetricModel | None, *,
        number: int, seed: int, device: str, freeze: str, checkpoints: Checkpoints | None,
    ) -> None:
        self.recipe, self.plan, self.examples, self.cases, self.old = recipe, plan, examples, cases, old
        self.number, self.seed, self.device, self.freeze, self.checkpoints = number, seed, device, freeze, checkpoints
        self.kinds: tuple[Candidate, ...] = recipe.candidates
        self.trainings = [recipe.training(kind) for kind in self.kinds]
        self.parts: Sequence[ArchitecturePlan] = plan.network.parts  # type: ignore[union-attr]
        self.share = folds([example.patient for example in examples], recipe.folds, seed)
        if any(not self._learns_something(k) for k in set(self.share)):
            self.share = [0] * len(cases)
        self.folds = max(self.share) + 1
        if self.folds == 1 and 0 < recipe.best < len(self.kinds):
            todo = "Label scans of other patients too, or give best=0 to keep all networks"
            what = "the best of several networks are chosen on patients that they did not see, and there is only one"
            raise InvalidInputError(what, where="labels", todo=todo)
        self.jobs = [Job(kind, fold) for kind in range(len(self.kinds)) for fold in range(self.folds)]
        self.total = recipe.updates_for(len(cases))
        settings = json.loads(json.dumps({**asdict(recipe), "kinds": [kind.title for kind in self.kinds]}))
        self.facts: dict[str, Any] = {"settings": settings, "round": number, "seed": seed, "cases": [case.id for case in cases]}
        self.done: list[Member] = []
        self.scores: list[list[float]] = []
        self.losses = [0.0, 0.0]
        self.costs = [1.0] * len(self.kinds)
        self._state: tuple[dict[str, Tensor], dict[str, Any]] | None = None
        self._saved = time.monotonic()

    def run(self) -> Iterator[Learning]:
        """Learn to the end; the last tick carries the result."""
        self._restore()
        yield from self._tried()
        while len(self.done) < len(self.jobs):
            job = self.jobs[len(self.done)]
            yield from self._learn(job)
            if self.folds > 1 and job.fold == self.folds - 1:
                yield self._tick(0, f"Judging {self.kinds[job.kind].title} on the patients it did not see")
                self.scores.append(self._scored(job.kind))
        yield from self._conclude()

    @property
    def updates(self) -> int:
        """Made so far by networks that are done."""
        return len(self.done) * self.total

    def _tried(self) -> Iterator[Learning]:
        """How long each kind takes: a few updates of a network that is thrown away. Says what is ahead."""
        for place, kind in enumerate(self.kinds if self.total >= WORTH else ()):
            yield Learning(LEARNED[0], f"Trying {kind.title}, to tell how long it takes")
            trial, times = self._learner(Job(place, 0), 0), []
            for _ in range(min(TRIED, self.total)):
                begun = time.perf_counter()
                trial.update()
                times.append(time.perf_counter() - begun)
            self.costs[place] = max(min(times), 1e-4)
        left = sum(self.costs[job.kind] for job in self.jobs[len(self.done) :]) * self.total
        told = f", about {left / 60:.0f} minutes" if left > LONG_S else ""
        yield Learning(LEARNED[0], f"{len(self.jobs)} networks of {self.total} updates each{told}", updates=self.updates)

    def _learn(self, job: Job) -> Iterator[Learning]:
        learner = self._learner(job, len(self.done))
        if self._state is not None:
            learner.restore(*self._state)
            self._state = None
        kind = self.kinds[job.kind].title
        which = f"{kind}, fold {job.fold + 1} of {self.folds}" if self.folds > 1 else kind
        while learner.done < learner.total:
            rate = learner.rate
            self.losses = [0.98 * self.losses[0] + learner.update(), 0.98 * self.losses[1] + 1]
            self._save(learner)
            yield self._tick(learner.done, f"Network {len(self.done) + 1} of {len(self.jobs)}: {which}", rate, learner.mean)
        self.done.append(learner.mean.to("cpu"))

    def _learner(self, job: Job, place: int) -> Stepped:
        facts = self.plan.fingerprint
        training = self.trainings[job.kind]
        strength = Strength(training.bend * facts.unit_mm, training.turn, training.stretch, training.shear, SHIFT * facts.unit_mm)
        return Stepped(
            self._fresh(job, place), self._taught(job.fold), self.plan, training, strength, total=self.total, device=self.device, freeze=self.freeze,
            seed=(self.seed * 1000 + self.number) * 1000 + place, fall=self.recipe.fall,
        )

    def _fresh(self, job: Job, place: int) -> Member:
        """A new network, or what the base has of its kind."""
        part = self.parts[job.kind]
        network = new_member(part, self.plan.fingerprint.share, self.seed * 1000 + place)
        before = self._before(job.kind)
        if before is not None and self.old is not None:
            old = self.old.described
            pairs = [(place, old.values.index(value)) for place, value in enumerate(self.plan.values) if value in old.values]
            carry(before[job.fold % len(before)], network, pairs)  # type: ignore[arg-type]
            for mine, known in pairs:
                network.expected[mine] += old.offsets[known]  # type: ignore[index,operator]
        return network

    def _before(self, kind: int) -> list[Member] | None:
        """The base's networks of a kind: of the same network, with each loss its own where it has them in this order."""
        if self.old is None:
            return None
        described = self.old.described.network
        parts = described.parts if isinstance(described, MixedPlan) else [described]
        groups: list[list[Member]] = []
        members = iter(self.old.network.networks)
        for part in parts:
            some = [next(members) for _ in range(part.members)]
            if isinstance(part, ArchitecturePlan) and part.name == self.parts[kind].name:
                groups.append(some)  # type: ignore[arg-type]
        alike = [place for place, part in enumerate(self.parts) if part.name == self.parts[kind].name]
        return groups[alike.index(kind) % len(groups)] if groups else None

    def _scored(self, kind: int) -> list[float]:
        """Dice of a kind, fold by fold, on the patients that the fold's network did not see; cut as the model will be."""
        found: list[list[float]] = [[] for _ in range(self.folds)]
        cut = self._cut([kind])
        for index, case in enumerate(self.cases):
            known = case.weight[0].numpy() > 0
            given = (case.given.float().numpy() > 0.5) & known
            logits = self._together(index, [kind]) + cut
            marked = (logits > 0) & (logits == logits.max(axis=0, keepdims=True)) & known
            each = [2 * float((a & b).sum()) / float(a.sum() + b.sum()) for a, b in zip(marked, given, strict=True) if a.any() or b.any()]
            if each:
                found[self.share[index]].append(float(np.mean(each)))
        return [float(np.mean(some)) if some else 0.0 for some in found]

    def _together(self, index: int, kinds: Sequence[int], box: Box | None = None) -> FloatArray:
        """Logits (classes, *box) of the mean probability of those networks of some kinds that did not see a case; of all where all saw it."""
        case = self.cases[index]
        image = case.image if box is None else case.image[(slice(None), *box)]
        each = []
        for kind in kinds:
            network = self.done[self.jobs.index(Job(kind, self.share[index]))]
            each.append(answer(network.to(self.device), image, self.plan, self.device))
            network.to("cpu")
        return np.asarray(mean_probability(torch.from_numpy(np.stack(each))).numpy())

    def _kept(self) -> list[int]:
        """The kinds that are kept, the best first; all in their order where none is chosen."""
        order = range(len(self.kinds))
        if not self.scores:
            return [*order]
        return sorted(order, key=lambda kind: -float(np.mean(self.scores[kind])))[: self.recipe.best or len(self.kinds)]

    def _conclude(self) -> Iterator[Learning]:
        kept = self._kept()
        yield self._tick(0, "Looking where to cut")
        cut = self._cut(kept)
        network = MixedPlan(parts=[self.parts[kind].model_copy(update={"members": self.folds}) for kind in kept])
        plan = self.plan.model_copy(update={"network": network, "offsets": cut.ravel().tolist(), "cleanup": self.recipe.cleaning})
        members = [self.done[self.jobs.index(Job(kind, fold))] for kind in kept for fold in range(self.folds)]
        proposals, doubt = {}, {}
        for index, example in enumerate(self.examples):
            maps = self._proposed(index, kept, cut)
            labels = labelled(maps, self.plan.values)
            if plan.cleanup is not None:
                labels = tidied(labels, example.image.geometry.spacing, plan.cleanup)
            proposals[example.id] = keep_locked(labels, example.labels, example.trust)
            doubt[example.id] = undecided(maps)
            share = (index + 1) / (len(self.cases) + 1)
            yield Learning(LEARNED[1] + (1 - LEARNED[1]) * share, f"Proposing for scan {index + 1} of {len(self.cases)}", updates=self.updates)
        loss = self.losses[0] / self.losses[1] if self.losses[1] else None
        learned = Learned(PanelModel(plan, members, self.device), proposals, doubt, self.updates, loss, self.table(kept))
        yield Learning(1.0, "Done", loss, self.updates, learned)

    def table(self, kept: Sequence[int]) -> str:
        """The scores in words, the best first; "" where none was held out."""
        if not self.scores:
            return ""
        order = sorted(range(len(self.kinds)), key=lambda kind: -float(np.mean(self.scores[kind])))
        rows = [f"{self.kinds[kind].title} {np.mean(self.scores[kind]):.3f} ({', '.join(f'{one:.3f}' for one in self.scores[kind])})" for kind in order]
        return f"Dice on patients held out, mean (folds): {'; '.join(rows)}; kept: {', '.join(self.kinds[kind].title for kind in kept)}"

    def _cut(self, kept: Sequence[int]) -> FloatArray:
        """What is added to the logits of each class before they are cut at 0, (classes, 1, 1, 1); 0 where the recipe leaves the cut alone."""
        if not self.recipe.calibrate:
            return np.zeros((len(self.plan.values), 1, 1, 1), np.float32)
        margin = [MARGIN * self.plan.fingerprint.unit_mm / side for side in self.plan.spacing]
        judged = []
        for index, case in enumerate(self.cases):
            box = around(case, margin)
            if box is not None:
                part = (slice(None), *box)
                known = case.weight[(0, *box)].numpy() > 0
                judged.append(Judged(self._together(index, kept, box), case.given[part].float().numpy(), known, case.settled[box].numpy() & known))
        return np.array(offsets(judged) or [0.0] * len(self.plan.values), np.float32)[:, None, None, None]

    def _proposed(self, index: int, kept: Sequence[int], cut: FloatArray) -> FloatArray:
        return probabilities(self.cases[index].way.back(self._together(index, kept) + cut))

    def _taught(self, fold: int) -> list[Prepared]:
        """What a network learns from: all but the cases that it judges."""
        seen = [case for case, share in zip(self.cases, self.share, strict=True) if share != fold or max(self.share) == 0]
        return [case for case in seen if bool((case.weight > 0).any())]

    def _learns_something(self, fold: int) -> bool:
        return any(bool(len(places)) for case in self._taught(fold) for places in case.places)

    def _tick(self, done: int, message: str, rate: float | None = None, mean: Member | None = None) -> Learning:
        whole = sum(self.costs[job.kind] for job in self.jobs) * self.total
        made_ = sum(self.costs[job.kind] for job in self.jobs[: len(self.done)]) * self.total
        now = self.costs[self.jobs[len(self.done)].kind] * done if len(self.done) < len(self.jobs) else 0.0
        loss = self.losses[0] / self.losses[1] if self.losses[1] else None
        fraction = LEARNED[0] + (LEARNED[1] - LEARNED[0]) * (made_ + now) / whole
        look = None if mean is None else self._look(mean)
        return Learning(fraction, message, loss, self.updates + done, now=look, rate=rate)

    def _look(self, mean: Member) -> Any:
        """What the network under way makes of a scan; draws nothing and changes nothing."""
        part = self.parts[self.jobs[len(self.done)].kind]

        def now(image: Volume) -> LabelArray:
            plan = self.plan.model_copy(update={"network": MixedPlan(parts=[part])})
            return VolumetricModel(plan, [mean], self.device).label(image)

        return now

    def _save(self, learner: Stepped) -> None:
        if self.checkpoints is None or time.monotonic() - self._saved < SAVE_S:
            return
        tensors = {f"{k}.{name}": value for k, network in enumerate(self.done) for name, value in network.state_dict().items()}
        state, told = learner.state()
        tensors |= {f"now.{name}": value for name, value in state.items()}
        self.checkpoints.save(tensors, {**self.facts, "finished": len(self.done), "scores": self.scores, "losses": self.losses, "learner": told})
        self._saved = time.monotonic()

    def _restore(self) -> None:
        """Go on from the checkpoint when it is one of this very round."""
        try:
            found = self.checkpoints.load() if self.checkpoints is not None else None
        except TrainingError as error:
            log.warning("%s", error)
            return
        if found is None or {name: found[1].get(name) for name in self.facts} != self.facts:
            return
        tensors, facts = found
        for k in range(int(facts["finished"])):
            network = made(self.parts[self.jobs[k].kind])
            network.load_state_dict(_part(tensors, f"{k}."))
            self.done.append(network.eval().requires_grad_(False))
        self.scores, self.losses = [list(row) for row in facts["scores"]], list(facts["losses"])
        self._state = _part(tensors, "now."), facts["learner"]


def _part(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """Those whose names begin so, without it."""
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
