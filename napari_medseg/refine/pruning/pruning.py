"""A trained model brought to a share of its work, with the curve of what that costs and brings.

Nothing is trained (Sapkota et al., MIUA 2023): some patients say what each filter is worth, the others what Dice is left. The paper weighs filters once; here
they are weighed anew whenever a seventh of the work is gone, since what a filter is worth depends on who is left, and the filters that stay take over what they
can of those that go (`mending`). The smaller model is dense: it opens, runs, exports and learns on like any other.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.refine.cases import Case, load_cases
from napari_medseg.refine.figures import mean_dice
from napari_medseg.refine.method import Model
from napari_medseg.refine.pruning.curve import JUDGED, Point, Pruned, PruneRequest, PruneTick
from napari_medseg.refine.pruning.importance import Importance, Sample
from napari_medseg.refine.pruning.mending import Moments
from napari_medseg.refine.pruning.subject import subject
from napari_medseg.refine.pruning.timing import flops, milliseconds, quicker
from napari_medseg.refine.splits import held_back
from napari_medseg.segmenters.networks.pruning.anatomy import anatomy
from napari_medseg.segmenters.networks.pruning.choosing import chosen
from napari_medseg.segmenters.networks.pruning.cutting import masked, sliced
from napari_medseg.volume import Array

WEIGHED = 0.5
"""Share of the time, about, that weighing the filters takes."""
STEP, STEPS, AGAIN = 0.86, 24, 4
"""Of the work that is left, how much a step leaves; the most steps; one of so many of the windows weighs the filters anew."""
GONE = -1.0
"""What a filter is worth that went at an earlier step: less than any."""


def prune(request: PruneRequest) -> Iterator[PruneTick]:
    """Bring a model to a share of its work, and to those of the curve; stop iterating to cancel.

    Raises
    ------
    MissingFileError, SegmenterError, NoLabelsError, GridMismatchError
        When the model or the cases are not what they should be.
    InvalidInputError
        When there are fewer than two patients, or the network cannot be brought to so little, as a transformer.
    UnwritableFileError
        When the disk refuses.
    """
    yield PruneTick(0.0, "Reading the cases")
    cases = request.cases if isinstance(request.cases, tuple) else load_cases(request.cases.images, request.cases.labels)
    yield PruneTick(0.02, "Following the channels through the network")
    this = _Pruning(request, cases)
    cuts = yield from this.cuts()
    whole = yield from this.measured(this.subject.model, this.subject.networks, 1.0, this.parts.count * len(this.subject.networks), len(cuts))
    points, asked = [whole], whole
    model: Model = this.subject.model
    for share, kept in cuts.items():
        networks, smaller = this.smaller(kept)
        point = yield from this.measured(smaller, networks, share, int(sum(keep.sum() for keep in kept)), len(cuts), whole)
        points.append(point)
        if share == request.share:
            asked, model = point, smaller
    file = this.saved(request.out, model, asked, whole) if request.out is not None else None
    yield PruneTick(1.0, "Done", result=Pruned(tuple(points), asked, file, tuple(case.id for case in this.judges), this.subject.window[2:]))


class _Pruning:
    """A model, its parts, and the cases that judge it."""

    def __init__(self, request: PruneRequest, cases: Sequence[Case]) -> None:
        self.request = request
        self.judges, self.tellers = _dealt(cases, request)
        self.subject = subject(request.model, cases[0].image.channels)
        self.shares = sorted({request.share, *request.curve} - {1.0}, reverse=True)
        first = self.subject.networks[0]
        self.parts = anatomy(first, torch.zeros(*self.subject.window))
        self.rest = max(0, flops(first, self.subject.window) - self.parts.work())  # work that no channel changes, such as attention
        self.moments = [Moments(network, self.parts) for network in self.subject.networks]
        self._done = self._looked = 0
        self.asked = request.share if request.share < 1 else max(self.shares, default=1.0)
        self._cut([np.ones(self.parts.count)] * len(self.subject.networks), self.asked)  # what cannot be is refused before anything takes time

    def cuts(self) -> Generator[PruneTick, None, dict[float, list[Array]]]:
        """What each network keeps at each share that it can be brought to; step by step, and the steps are the same whatever is asked for."""
        this = self.subject
        found: dict[float, list[Array]] = {}
        steps = [STEP**n for n in range(1, STEPS) if STEP**n > min(self.shares, default=1.0)]
        again = -(-self.request.samples // AGAIN)
        total = len(this.networks) * (2 * self.request.samples + len(steps) * again)
        for moments in self.moments:
            yield from self._each(self.request.samples, total, "Looking at the channels", partial(_seen, moments))
        values = yield from self._weighed(this.networks, self.request.samples, total)
        for share in sorted({*steps, *self.shares}, reverse=True):
            try:
                kept = self._cut(values, share)
            except InvalidInputError:
                if not found or (self.request.share < 1 and self.request.share not in found):
                    self._cut(values, self.asked)  # says it of what was asked for
                    raise
                break
            if share in self.shares:
                found[share] = kept
            if share in steps:
                left = [masked(self._mended(n, keep), self.parts, keep) for n, keep in enumerate(kept)]
                worth = yield from self._weighed(left, again, total)
                values = [np.where(keep, one, GONE) for keep, one in zip(kept, worth, strict=True)]
        return found

    def _cut(self, values: Sequence[Array], share: float) -> list[Array]:
        return chosen(self.parts, values, share, rest=self.rest)

    def _mended(self, number: int, keep: Array) -> nn.Module:
        return self.moments[number].mended(self.subject.networks[number], self.parts, keep)

    def _weighed(self, networks: Sequence[nn.Module], samples: int, total: int) -> Generator[PruneTick, None, list[Array]]:
        """What the filters of each network are worth."""
        found: list[Array] = []
        for network in networks:
            weighing = Importance(network, self.parts, self.subject.loss)
            yield from self._each(samples, total, "Weighing filters", weighing.add)
            found.append(weighing.values)
        return found

    def _each(self, samples: int, total: int, what: str, look: Callable[[Sample], None]) -> Iterator[PruneTick]:
        for sample in self.subject.samples(self.tellers, samples, self.request.seed):
            look(sample)
            self._looked += 1
            yield PruneTick(0.03 + (WEIGHED - 0.03) * min(1.0, self._looked / max(1, total)), what)

    def smaller(self, kept: Sequence[Array]) -> tuple[list[nn.Module], Model]:
        """Networks of the units that are kept, and the model of them."""
        networks = [sliced(self._mended(number, keep), self.parts, keep) for number, keep in enumerate(kept)]
        return networks, self.subject.smaller(networks, self.parts.shapes(kept[0]), self.tellers)

    def measured(
        self, model: Model, networks: Sequence[nn.Module], asked: float, channels: int, others: int, whole: Point | None = None,
    ) -> Generator[PruneTick, None, Point]:
        """Dice, time and size of a model."""
        answers = {}
        for done, case in enumerate(self.judges, 1):
            answers[case.id] = model.label(case.image)
            share = (self._done + done / len(self.judges)) / (others + 1)
            yield PruneTick(WEIGHED + (1 - WEIGHED) * share, f"{asked:.0%} of the work: scan {done} of {len(self.judges)}")
        self._done += 1
        this, count = self.subject, len(networks)
        counted = sum(flops(network, this.window) for network in networks)
        before, after = milliseconds([this.networks[0], networks[0]], this.window)
        point = Point(
            asked=asked, flops=counted, share=counted / whole.flops if whole is not None else 1.0,
            parameters=sum(value.numel() for network in networks for value in network.parameters()), channels=channels,
            dice=mean_dice(answers, {case.id: case.labels.channel() for case in self.judges}, list(this.values)),
            ms=count * float(np.median(after)), whole_ms=count * float(np.median(before)), faster=quicker(before, after) if whole is not None else 1.0,
        )
        if self.request.points is not None and whole is not None:
            point = replace(point, file=self.saved(self.request.points / f"{100 * asked:.0f}", model, point, whole))
        yield PruneTick(WEIGHED + (1 - WEIGHED) * self._done / (others + 1), f"{asked:.0%} of the work measured", point)
        return point

    def saved(self, out: Path, model: Model, point: Point, whole: Point) -> Path:
        """Write the smaller model with its record."""
        plan = self.subject.model.plan
        facts: dict[str, Any] = {
            "flops": point.flops, "share_of_work": point.share, "parameters": point.parameters, "dice_before": whole.dice, "dice": point.dice,
            "cases": len(self.tellers), "base": {"title": plan["title"], "sha256": plan["sha256"]},
        }
        title = str(plan["title"]).partition(", at ")[0]
        return model.save(out, {"title": f"{title}, at {point.share:.0%} of its work", "training": {**plan["training"], "pruned": facts}})


def _seen(moments: Moments, sample: Sample) -> None:
    moments.add(sample[0])


def _dealt(cases: Sequence[Case], request: PruneRequest) -> tuple[list[Case], list[Case]]:
    """Cases that judge, and cases that tell what filters are worth; of different patients."""
    patients = {case.id: request.patients.get(case.id, case.id) for case in cases}
    if len(set(patients.values())) < 2:
        what = "these are the scans of one patient: one must say what can go, another what that costs"
        raise NoLabelsError(what, where="cases", todo="Give labelled scans of two patients or more")
    back = held_back(patients.values(), JUDGED, request.seed)
    judges = request.judges & patients.keys() or {case.id for case in cases if back[patients[case.id]]}
    judging = {patients[case] for case in judges}
    tellers = [case for case in cases if patients[case.id] not in judging]
    if not tellers:
        raise NoLabelsError("every case is to judge, and none is left to say what can go", where="cases", todo="Name fewer judges")
    return [case for case in cases if case.id in judges], tellers
