"""From a weak label of one scan and a few corrected slices to a proposal for the rest of it.

Three opinions meet at each voxel: what it looks like, as the corrected slices teach it (`looks`); how deep it lies in the weak label, whose errors are read
off the corrected slices (`outline`); and what its neighbours are (`agree`). Every corrected slice is also proposed from the others alone. Where that is no
better than the weak label was there, the weak label stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medseg.refine.single.ground import BEYOND, Ground, depths, filled_in, ground, reach_of, skipped
from napari_medseg.refine.single.inputs import Given, checked, slices_of
from napari_medseg.refine.single.report import ClassReport, Report
from napari_medseg.refine.trust import keep_locked
from napari_medseg.volume import Array, BoolArray, FloatArray, LabelArray, Volume

FOLDS = 4
SHARES = (0.3, 0.45, 0.6, 0.8, 1.0)  # how much looks may count beside the weak label
MARGIN = 1.0  # pixels
FAR = 15.0  # pixels: background farther from the object teaches nothing
DOUBTFUL = 0.5  # of 0-1
LEARNING, SETTLING = 0.65, 0.25  # of the work


@dataclass(frozen=True, slots=True, eq=False)
class SingleTick:
    """How far it is.

    Attributes
    ----------
    fraction : float
        0-1.
    message : str
    labels : uint8 (z, y, x) or None
        The proposal; what a person settled is in it bit for bit.
    doubt : float32 (z, y, x) or None
        0 sure to 1 undecided; 0 where a person settled it.
    report : Report or None
        In the last tick.
    """

    fraction: float
    message: str
    labels: LabelArray | None = None
    doubt: FloatArray | None = None
    report: Report | None = None


def propose_rest(
    image: Volume, labels: LabelArray, trust: Array, *, weak: LabelArray | None = None, base: Path | None = None, seed: int = 0, device: str = "auto",
    seconds: float = 75.0,
) -> Iterator[SingleTick]:
    """Propose what is not settled yet.

    Parameters
    ----------
    image : Volume
        The scan; of several channels the first is looked at.
    labels : uint8 (z, y, x)
        0 background, 1-254 classes, 255 unknown; corrected slices hold what is true.
    trust : uint8 (z, y, x)
        `Trust` levels; what is corrected or verified is learnt from and never changed.
    weak : uint8 (z, y, x), optional
        The label map from before the corrections: it shows how the weak label errs. Without it that is guessed from the slices around.
    base : Path, optional
        A model of ours whose probabilities are looked at too.
    seed : int
        The same seed gives the same answer.
    device : str
        For `base`; as `devices.choose`.
    seconds : float
        After so long no further classifier is trained. A scan needs far less, and its answer then does not depend on the clock.

    Yields
    ------
    SingleTick
        Stop iterating to cancel. The last tick carries labels, doubt and report.

    Raises
    ------
    NoLabelsError
        When nothing is corrected, or nothing says where an object is.
    InvalidInputError
        When arrays do not fit the scan, or a label is none.
    """
    given = checked(image, labels, trust, weak)
    started = time.monotonic()
    yield SingleTick(0.0, "Looking at the corrected slices")
    own = ground(given.image, given.labels, given.weak, given.known, given.locked, image.geometry.spacing)
    extra = None
    if base is not None:
        yield SingleTick(0.02, "Asking the base model")
        extra = own.cut(_seen_by(base, image, device))
    solver = _Solver(own, given, seed, started + seconds)
    for share in solver.learn(extra):
        yield SingleTick(0.05 + LEARNING * share, "Learning what the corrected slices look like")
    for share in solver.settle():
        yield SingleTick(0.05 + LEARNING + SETTLING * share, "Finding the outlines on the other slices")
    found, unsure = solver.answer()
    out = keep_locked(found, labels, trust)
    unsure[given.locked] = 0
    doubtful = np.moveaxis(unsure > DOUBTFUL, own.axis, 0).sum((1, 2))
    worst = int(doubtful.argmax())
    pixel_mm2 = float(np.prod([mm for axis, mm in enumerate(image.geometry.spacing) if axis != own.axis]))
    report = Report(
        tuple(solver.reports), own.axis, tuple(slices_of(given.locked, own.axis)), worst if doubtful[worst] else None, pixel_mm2 * int(doubtful[worst]),
        solver.fits, time.monotonic() - started,
    )
    yield SingleTick(1.0, report.words, out, unsure, report)


class _Solver:
    """The ground, and what is known of each class on it."""

    def __init__(self, own: Ground, given: Given, seed: int, deadline: float) -> None:
        self.own, self.given, self.seed, self.deadline = own, given, seed, deadline
        self.folds = _folds(own)
        self.depth, self.near, self.reach = [], [], []
        for value in given.classes:
            inside = own.weak == value
            silent = ~own.known if given.before else ~own.known | own.locked
            depth = filled_in(depths(inside, own), silent | skipped(inside)[:, None, None])
            reach = reach_of(depth, own.labels == value, own.locked)
            self.depth.append(depth)
            self.reach.append(reach)
            self.near.append(depth > -(reach + BEYOND))
        self.chances = np.zeros((len(given.classes), *own.labels.shape), np.float32)
        self.reports: list[ClassReport] = []
        self.fits = 0

    def learn(self, extra: FloatArray | None) -> Iterator[float]:
        """What the classes look like."""
        from napari_medseg.refine.single.looks import INSIDE, OUTSIDE, Teaching, looking

        own, reach = self.own, max(self.reach)
        outline = depths((own.labels > 0) & own.locked, own)
        taught = own.locked & (outline > -(reach + OUTSIDE)) & (outline < reach + INSIDE)
        teaching = Teaching(self.given.classes, self.folds, taught, np.any(self.near, axis=0) | taught, self._assumed(), extra, self.seed, self.deadline)
        for share, result in looking(own, teaching):
            if result is not None:
                self.seen, self.fits = result, result.fits
            yield share

    def _assumed(self) -> LabelArray:
        """What the weak label holds farther from its outline than it errs on the corrected slices, near the object; as `Teaching.assumed`."""
        own = self.own
        free = ~own.locked & own.known & np.any(own.weak > 0, axis=(1, 2), keepdims=True)
        out = np.zeros(own.labels.shape, np.uint8)
        away = [-depth - reach for depth, reach in zip(self.depth, self.reach, strict=True)]
        out[free & (np.min(away, axis=0) > BEYOND) & (np.min(away, axis=0) < FAR)] = 1
        for rank, (depth, reach) in enumerate(zip(self.depth, self.reach, strict=True), 2):
            out[free & (depth > reach + MARGIN)] = rank
        return out

    def settle(self) -> Iterator[float]:
        """Chances of each class, and what the corrected slices say of them."""
        for k, value in enumerate(self.given.classes):
            for share in self._settle(k, value):
                yield (k + share) / len(self.given.classes)

    def _settle(self, k: int, value: int) -> Iterator[float]:
        from napari_medseg.refine.single.agree import agree
        from napari_medseg.refine.single.outline import choose, learnt, read, shift_of

        own, depth, near, truth = self.own, self.depth[k], self.near[k], self.own.labels == value
        proof = near & own.locked
        curve = learnt(depth[proof], truth[proof])
        blind = np.zeros_like(depth)
        for fold in np.unique(self.folds[own.locked]):
            rest = proof & (self.folds != fold)
            here = own.locked & (self.folds == fold)
            blind[here] = read(learnt(depth[rest], truth[rest]), depth[here])
        share = _best_share(self.seen.unseen[k][proof], blind[proof], truth[proof])
        looks = share * self.seen.odds[k]
        odds = looks + (read(curve, depth) if self.given.before else choose(depth, curve, looks, near & ~own.locked & own.known))
        yield 0.3
        tested = np.where(own.locked, blind + share * self.seen.unseen[k], odds)
        wrong = int(np.count_nonzero(((agree(tested, own.image, own.spacing) > 0.5) != truth) & own.locked))
        before = int(np.count_nonzero(((depth > 0) != truth) & own.locked))
        yield 0.6
        self.chances[k] = agree(odds, own.image, own.spacing)
        self.reports.append(ClassReport(value, wrong < before, before, wrong, shift_of(curve) * own.pixel, share))
        yield 1.0

    def answer(self) -> tuple[LabelArray, FloatArray]:
        """Labels and doubt of the whole scan."""
        own, classes = self.own, self.given.classes
        chances = own.back(self.chances)
        weak = np.moveaxis(self.given.weak, own.axis, 0)[own.box]
        for k, told in enumerate(self.reports):
            if not told.proposed:
                chances[k] = weak == told.value
        total = np.minimum(chances.sum(0), 1)
        found = np.where(total > 0.5, np.array(classes, np.uint8)[chances.argmax(0)], 0)
        if own.thick:  # no slice begins or ends an object on the word of looks alone
            found[~np.any([(depth > 0).any((1, 2)) for depth in self.depth], axis=0)] = 0
        labels = self.given.weak.copy()
        np.moveaxis(labels, own.axis, 0)[own.box] = found
        doubt = np.zeros(labels.shape, np.float32)
        np.moveaxis(doubt, own.axis, 0)[own.box] = 1 - np.abs(2 * total - 1)
        return labels, doubt


def _folds(own: Ground) -> npt.NDArray[np.intp]:
    """Which part each voxel belongs to when what is settled is tested on itself: by slices, or by halves of the only one."""
    slices = np.flatnonzero(own.locked.any((1, 2)))
    out = np.zeros(own.locked.shape, np.intp)
    if len(slices) > 1:
        count = min(FOLDS, len(slices))
        for rank, z in enumerate(slices):
            out[z] = rank * count // len(slices)
        return out
    columns = np.flatnonzero((own.labels[slices[0]] > 0).any(0))
    out[:, :, int(np.median(columns)) if columns.size else own.locked.shape[2] // 2 :] = 1
    return out


def _best_share(looks: FloatArray, outline: FloatArray, truth: BoolArray) -> float:
    """How much looks count, by the likelihood of what was not taught."""
    signed = np.where(truth, 1.0, -1.0)
    return max(SHARES, key=lambda share: -float(np.logaddexp(0, -signed * (outline + share * looks)).sum()))


def _seen_by(base: Path, image: Volume, device: str) -> FloatArray:
    """A model's log-odds (classes, z, y, x)."""
    from napari_medseg.refine.models import load

    chances = np.clip(load(base).predict(image), 1e-3, 1 - 1e-3)
    return np.asarray(np.log(chances / (1 - chances)), np.float32)
