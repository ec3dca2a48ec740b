"""One round: networks that did not see a case judge it, its mask moves to where they find it, and the networks go on learning from that.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_medseg.errors import TrainingError
from napari_medseg.refine.checkpoint import Checkpoints
from napari_medseg.refine.medseg.align import MARGIN, Aligner, Moves, around, can_move
from napari_medseg.refine.medseg.augment import Strength
from napari_medseg.refine.medseg.beside import Beside, side_by_side
from napari_medseg.refine.medseg.calibrate import Judged, offsets
from napari_medseg.refine.medseg.data import Prepared
from napari_medseg.refine.medseg.learner import Learner
from napari_medseg.refine.medseg.recipe import Medseg
from napari_medseg.refine.method import Example, Learned, Learning
from napari_medseg.refine.ranks import Alone, Arrays, Ranks
from napari_medseg.refine.trust import keep_locked
from napari_medseg.segmenters.volumetric.members import Member
from napari_medseg.segmenters.volumetric.model import VolumetricModel, labelled, probabilities, window
from napari_medseg.segmenters.volumetric.plan import VolumetricPlan
from napari_medseg.segmenters.window import Box, slide
from napari_medseg.volume import FloatArray, LabelArray, Volume

SAVE_S = 10.0  # between two checkpoints
AGREE = 0.4  # Dice of unseeing networks and weak labels below which no mask is moved: there is nothing to go by
LEAST = 1e-4  # probability: less is as good as none
SHIFT = 3.0  # units that a scan lies off a patch's middle
LEARNED = (0.02, 0.92)  # of a round's time, about

log = logging.getLogger(__name__)


class Round:
    """A round of `medseg`.

    Parameters
    ----------
    recipe, plan
    examples : sequence of Example
    cases : the same on the network's grid
    networks : one for each fold
    number, seed, device, freeze, checkpoints
        As `refine.method.Method.learn`.
    fresh : names of parameters that the base did not have
    ranks : Ranks
        Processes that learn along: all train, the first one judges, moves masks and keeps what comes out.
    """

    def __init__(
        self, recipe: Medseg, plan: VolumetricPlan, examples: Sequence[Example], cases: Sequence[Prepared], networks: Sequence[Member], *,
        number: int, seed: int, device: str, freeze: str, checkpoints: Checkpoints | None, fresh: Collection[str] = (),
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks: Ranks = ranks or Alone()
        self.recipe, self.plan, self.examples, self.cases = recipe, plan, examples, cases
        self.device, self.checkpoints = device, checkpoints
        self.facts: dict[str, Any] = {
            "recipe": recipe.name, "round": number, "seed": seed, "cases": [case.id for case in cases], "network": plan.network.model_dump(mode="json"),
        }
        self.share = folds([example.patient for example in examples], recipe.folds, seed)
        if any(not self._learns_something(k) for k in set(self.share)):
            self.share = [0] * len(cases)
        count = max(self.share) + 1
        facts = plan.fingerprint
        strength = Strength(recipe.bend * facts.unit_mm, recipe.turn, recipe.stretch, recipe.shear, SHIFT * facts.unit_mm)
        total = recipe.updates_for(len(cases))
        self.learners = [
            Learner(
                network, self._taught(k), plan, recipe, strength, total=max(1, total // count + (k < total % count)), seed=seed * 1000 + number * 10 + k,
                device=device, freeze=freeze, fresh=fresh, ranks=self.ranks,
            )
            for k, network in zip(range(count), networks, strict=False)
        ]
        self.phase, self.losses = 0, [0.0, 0.0]
        self.moves: Moves | None = None
        movable = [i for i, case in enumerate(cases) if count > 1 and can_move(case)]
        self.movable = movable
        self.aligner = Aligner([cases[i] for i in movable], plan.spacing, facts.unit_mm) if movable else None
        margin = [MARGIN * facts.unit_mm / side for side in plan.spacing]
        self.boxes = [around(case, margin) for case in cases]
        if self.aligner is not None:
            for index, box in zip(movable, self.aligner.boxes, strict=True):
                self.boxes[index] = box
        self.notes: list[str] = []
        self.beside = Beside(side_by_side(plan.network, count) if self.ranks.size == 1 else 1, device)
        self._saved = time.monotonic()

    @property
    def updates(self) -> int:
        """Made so far, over every network."""
        return sum(learner.done for learner in self.learners)

    def run(self) -> Iterator[Learning]:
        """Learn to the end; the last tick carries the result."""
        self._restore()
        marks = [*self.recipe.phases, 1.0] if self.aligner else [1.0]
        with self.beside:
            while self.phase < len(marks):
                yield from self._learn(marks[self.phase])
                if self.phase < len(marks) - 1:
                    yield self._tick("Comparing weak masks with what the networks see")
                    yield from self._align()
                self.phase += 1
            if self.ranks.rank == 0:
                yield from self._conclude()

    def _learn(self, mark: float) -> Iterator[Learning]:
        """Every network to a share of its updates, as many side by side as there is room for; whose turn it is depends on the updates made alone."""
        while behind := [learner for learner in self.learners if learner.done < max(1, round(mark * learner.total))]:
            turn = sorted(behind, key=lambda learner: learner.done)[: self.beside.width]
            rate = turn[0].rate
            for value in self.beside([learner.update for learner in turn]):
                self.losses = [0.98 * self.losses[0] + value, 0.98 * self.losses[1] + 1]
            self._save()
            numbers = sorted(self.learners.index(learner) + 1 for learner in turn)
            yield self._tick(f"Network{'s' * (len(turn) > 1)} {' and '.join(map(str, numbers))} of {len(self.learners)}", rate)

    def _tick(self, message: str, rate: float | None = None) -> Learning:
        share = self.updates / sum(learner.total for learner in self.learners)
        loss = self.losses[0] / self.losses[1] if self.losses[1] else None
        return Learning(LEARNED[0] + (LEARNED[1] - LEARNED[0]) * share, message, loss, self.updates, now=self._now, rate=rate)

    def _now(self, image: Volume) -> LabelArray:
        """The networks as they stand, those that have learnt at all; draws nothing and changes nothing."""
        networks = [learner.mean for learner in self.learners if learner.done] or [self.learners[0].mean]
        return VolumetricModel(self.plan, networks, self.device).label(image)

    def _align(self) -> Iterator[Learning]:
        """Move every weak mask to where networks that did not see it find it, and teach that from now on."""
        if self.aligner is None:
            return
        found = (yield from self._moved(self.aligner)) if self.ranks.rank == 0 else None
        arrays, _ = self.ranks.told({} if found is None else _arrays(found), {})
        if arrays:
            self.moves = found or _moves(arrays)
            self._teach()

    def _moved(self, aligner: Aligner) -> Generator[Learning, None, Moves | None]:
        """How the weak masks are to be moved; None to leave them."""
        judged = yield from self._looked()
        cut = offsets(list(judged.values())) or [0.0] * len(self.plan.values)
        agree = float(np.mean([_dice(judged[index], cut) for index in self.movable]))
        if agree < AGREE:
            self.notes.append(f"masks stayed where they are after {self.updates} updates: the networks agree too little with them (Dice {agree:.2f})")
            return None
        return (yield from self._fitted(aligner, judged, cut))

    def _looked(self) -> Generator[Learning, None, dict[int, Judged]]:
        """What the unseeing networks say around each labelled object, by case."""
        judged: dict[int, Judged] = {}
        there = [(index, box) for index, box in enumerate(self.boxes) if box is not None]
        for start in range(0, len(there), self.beside.width):
            some = there[start : start + self.beside.width]
            judged |= zip((index for index, _ in some), self.beside([partial(self._judged, index, box) for index, box in some]), strict=True)
            yield self._tick(f"Judging scan {some[-1][0] + 1} of {len(self.cases)}")
        return judged

    def _fitted(self, aligner: Aligner, judged: Mapping[int, Judged], cut: Sequence[float]) -> Generator[Learning, None, Moves]:
        fitting = aligner.fit(aligner.evidence([judged[index].logits for index in self.movable], cut), self.recipe.patience)
        while True:
            try:
                next(fitting)
            except StopIteration as done:
                moves: Moves = done.value
                return moves
            yield self._tick("Moving weak masks to where the networks see the object")

    def _teach(self) -> None:
        if self.aligner is not None and self.moves is not None:
            for place, index in enumerate(self.movable):
                self.cases[index].teach(self.aligner.moved(self.moves, place), self.aligner.boxes[place])

    def _conclude(self) -> Iterator[Learning]:
        judged = yield from self._looked()
        cut = offsets(list(judged.values())) or [0.0] * len(self.plan.values)
        if self.aligner is not None and self.moves is not None:
            self.moves = yield from self._fitted(self.aligner, judged, cut)
            self.notes.append(_told(self.aligner.shifts_mm(self.moves)))
        proposals, doubt = {}, {}
        for index, example in enumerate(self.examples):
            maps = self._proposed(index, judged.pop(index, None), cut)
            proposals[example.id] = keep_locked(labelled(maps, self.plan.values), example.labels, example.trust)
            doubt[example.id] = undecided(maps)
            share = (index + 1) / (len(self.cases) + 1)
            yield Learning(LEARNED[1] + (1 - LEARNED[1]) * share, f"Proposing for scan {index + 1} of {len(self.cases)}", updates=self.updates)
        plan = self.plan.model_copy(update={"offsets": cut})
        model = VolumetricModel(plan, [learner.mean for learner in self.learners], self.device)
        loss = self.losses[0] / self.losses[1] if self.losses[1] else None
        learned = Learned(model, proposals, doubt, self.updates, loss, "; ".join(self.notes))
        yield Learning(1.0, "Done", loss, self.updates, learned)

    def _proposed(self, index: int, judged: Judged | None, cut: Sequence[float]) -> FloatArray:
        """Probabilities (classes, z, y, x) of a case on its own grid: the unseeing network's, and where its mask was moved the mean of both."""
        case = self.cases[index]
        whole: Box = tuple(slice(0, n) for n in case.shape)  # type: ignore[assignment]
        if judged is None or judged.logits.shape[1:] != case.shape:
            judged = self._judged(index, whole)
        maps = probabilities(judged.logits + np.array(cut, np.float32)[:, None, None, None])
        if self.aligner is not None and self.moves is not None and index in self.movable:
            place = self.movable.index(index)
            inside = (slice(None), *self.aligner.boxes[place])
            maps[inside] = (maps[inside] + self.aligner.moved(self.moves, place).numpy()) / 2
        return probabilities(case.way.back(np.log(np.clip(maps, LEAST, 1) / np.clip(1 - maps.sum(0), LEAST, 1))))

    def _judged(self, index: int, box: Box) -> Judged:
        """What the network that did not learn from this case says of a box of it; its own where there is but one."""
        case = self.cases[index]
        network = self.learners[self.share[index]].mean
        known = case.weight[(0, *box)].numpy() > 0
        given = case.given[(slice(None), *box)].float().numpy()
        return Judged(answer(network, case.image[(slice(None), *box)], self.plan, self.device), given, known, case.settled[box].numpy() & known)

    def _taught(self, k: int) -> list[Prepared]:
        """What network k learns from: all but the cases that it judges."""
        seen = [case for case, share in zip(self.cases, self.share, strict=True) if share != k or max(self.share) == 0]
        return [case for case in seen if bool((case.weight > 0).any())]

    def _learns_something(self, k: int) -> bool:
        return any(bool(len(places)) for case in self._taught(k) for places in case.places)

    def _save(self) -> None:
        if self.checkpoints is None or time.monotonic() - self._saved < SAVE_S:
            return
        tensors: dict[str, Tensor] = {}
        states = []
        for k, learner in enumerate(self.learners):
            part, facts = learner.state()
            tensors |= {f"{k}.{name}": value for name, value in part.items()}
            states.append(facts)
        if self.moves is not None:
            tensors |= {"moves.shift": self.moves.shift, "moves.strain": self.moves.strain, "moves.bend": self.moves.bend}
        self.checkpoints.save(tensors, {**self.facts, "phase": self.phase, "losses": self.losses, "learners": states, "notes": self.notes})
        self._saved = time.monotonic()

    def _restore(self) -> None:
        """Go on from the checkpoint when it is one of this very round, in every process."""
        found = self._found() if self.ranks.rank == 0 else None
        if self.ranks.size > 1:
            held = {} if found is None else {name: value.cpu().numpy() for name, value in found[0].items()}
            arrays, told = self.ranks.told(held, {} if found is None else found[1])
            found = ({name: torch.from_numpy(value) for name, value in arrays.items()}, dict(told)) if told else None
        if found is not None:
            self._go_on(*found)

    def _found(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The checkpoint, when it is one of this very round."""
        try:
            found = self.checkpoints.load() if self.checkpoints is not None else None
        except TrainingError as error:
            log.warning("%s", error)
            return None
        if found is None or {name: found[1].get(name) for name in self.facts} != self.facts or len(found[1]["learners"]) != len(self.learners):
            return None
        return found

    def _go_on(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        for k, (learner, state) in enumerate(zip(self.learners, facts["learners"], strict=True)):
            learner.restore({name.partition(".")[2]: value for name, value in tensors.items() if name.startswith(f"{k}.")}, state)
        self.phase, self.losses, self.notes = int(facts["phase"]), list(facts["losses"]), list(facts["notes"])
        if "moves.shift" in tensors:
            self.moves = Moves(tensors["moves.shift"], tensors["moves.strain"], tensors["moves.bend"])
            self._teach()


def _arrays(moves: Moves) -> dict[str, FloatArray]:
    return {"shift": moves.shift.numpy(), "strain": moves.strain.numpy(), "bend": moves.bend.numpy()}


def _moves(arrays: Arrays) -> Moves:
    return Moves(*(torch.from_numpy(arrays[name]) for name in ("shift", "strain", "bend")))


def folds(patients: Sequence[str], count: int, seed: int) -> list[int]:
    """The fold of each scan: patients whole, dealt out at random, as evenly as they come."""
    known = sorted(set(patients))
    dealt = np.random.default_rng(seed).permutation(len(known))
    fold = {known[place]: index % min(count, len(known)) for index, place in enumerate(dealt)}
    return [fold[patient] for patient in patients]


def answer(network: Member, image: Tensor, plan: VolumetricPlan, device: str) -> FloatArray:
    """Logits (classes, z, y, x) of a network for a prepared scan, float32."""

    def ask(windows: FloatArray) -> FloatArray:
        with torch.inference_mode():
            logits: Tensor = network(torch.from_numpy(windows).to(device))
        return np.asarray(logits.float().cpu().numpy())

    array = image.float().numpy()
    out = np.zeros((plan.network.classes, *array.shape[1:]), np.float32)
    for piece in slide(array, ask, window(array.shape[1:], plan)):
        out[(slice(None), *piece.box)] = piece.values
    return out


def _dice(one: Judged, cut: Sequence[float]) -> float:
    found = (one.logits + np.array(cut, np.float32)[:, None, None, None] > 0) & one.known
    given = (one.labels > 0.5) & one.known
    return float(2 * (found & given).sum() / max(1, found.sum() + given.sum()))


def _told(shifts: FloatArray) -> str:
    """How far masks (n, 3) were shifted, in words."""
    far, all_one_way = np.linalg.norm(shifts, axis=1), float(np.linalg.norm(shifts.mean(axis=0)))
    return f"masks moved by {far.mean():.1f} mm on average, {far.max():.1f} mm at most; {all_one_way:.1f} mm of it common to all"


def undecided(maps: FloatArray) -> FloatArray:
    """1 where the two likeliest answers are equally likely, 0 where one is certain: float32 (z, y, x).

    Maps are probabilities (classes, z, y, x), 0-1; the background is what they leave of 1.
    """
    both = np.sort(np.concatenate([maps, 1 - maps.sum(0, keepdims=True)]), axis=0)
    return np.asarray(np.clip(1 - (both[-1] - both[-2]), 0, 1), np.float32)
