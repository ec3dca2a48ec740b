"""What speaks for or against a version of the labels: scores on slices kept for checking, volumes, pieces and holes. Numbers only; `gate` judges.

Everything is measured once per version and is small, so that versions can be compared later without their label maps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.metrics.pieces import components
from napari_medseg.volume import Array, BoolArray, LabelArray, Spacing

UNKNOWN = 255
RESAMPLES = 2000
LARGE = 0.01
"""Pieces from this share of their class on count as pieces; smaller ones are crumbs."""
NOISE = 0.03
"""How much the Dice of one slice differs between two networks of one recipe, at least; few slices that happen to agree are not believed more than this."""

Floats = npt.NDArray[np.float64]
Labels = Mapping[str, LabelArray]


@dataclass(frozen=True, slots=True)
class CheckSlice:
    """A slice that a person verified and nothing learns from; axis and index in the file's voxel order."""

    case: str
    axis: int
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """How one class of one case looks.

    Attributes
    ----------
    ml : float
    sizes : float (n,) ml
        Of its pieces, the largest first.
    holes : int
    hollow : float
        Volume of the holes against its own.
    """

    ml: float
    sizes: Floats
    holes: int
    hollow: float

    @property
    def pieces(self) -> int:
        """How many pieces are more than crumbs."""
        return int(np.count_nonzero(self.sizes >= LARGE * self.ml))

    def strays(self, usual: int) -> float:
        """Share of its volume that lies outside of its `usual` largest pieces."""
        return float(self.sizes[usual:].sum() / self.ml) if self.ml else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One version of the labels in figures.

    Attributes
    ----------
    counts : float (slices, classes, 3) ml
        On the check slices: answered and true, answered, true.
    answered : bool (slices,)
        Whether the version says something (not 255) of the whole slice.
    shapes : by case id and class value
    ml : foreground by case id
        Where the labels given are known.
    middle : (z, y, x) mm by case id
        The foreground's centre of mass there, along the voxel axes; only of cases that have any.
    """

    counts: Floats
    answered: npt.NDArray[np.bool_]
    shapes: Mapping[str, Mapping[int, Shape]]
    ml: Mapping[str, float]
    middle: Mapping[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Two versions on the same check slices.

    Attributes
    ----------
    dice, dice_old : float
        Mean over patients; a patient's slices are pooled.
    change, error : float
        Mean difference and its standard error.
    chance : float
        That the new one is better, 0-1.
    by_patient, errors : float (patients,)
        Difference of each, and its standard error.
    by_slice : float (slices,)
        Difference of each; NaN where one of the two says nothing.
    slices, patients : int
    """

    dice: float
    dice_old: float
    change: float
    error: float
    chance: float
    by_patient: Floats
    errors: Floats
    by_slice: Floats
    slices: int
    patients: int


@dataclass(eq=False)
class CheckSet:
    """The slices kept for checking.

    Parameters
    ----------
    labels : uint8 (z, y, x) by case id
        What is known to be right; 255 elsewhere.
    values : label values of the classes
    spacing : mm (z, y, x) by case id
    patients : by case id
        A case that is not in it is a patient of its own.
    """

    labels: Labels
    values: Sequence[int]
    spacing: Mapping[str, Spacing]
    patients: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[CheckSlice, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.slices = tuple(CheckSlice(case, axis, i) for case in sorted(self.labels) for axis, i in _planes(self.labels[case], self.spacing[case]))
        self.people = sorted({self._patient(one) for one in self.slices})
        self.of = np.array([self.people.index(self._patient(one)) for one in self.slices], int)

    def counts(self, answers: Labels) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """`Measured.counts` and `Measured.answered` of label maps."""
        counts, answered = np.zeros((len(self.slices), len(self.values), 3)), np.zeros(len(self.slices), bool)
        for row, one in enumerate(self.slices):
            truth, answer = (np.take(maps[one.case], one.index, one.axis) for maps in (self.labels, answers))
            known = truth != UNKNOWN
            answered[row] = bool((answer[known] != UNKNOWN).all())
            ml = float(np.prod(self.spacing[one.case])) / 1000.0
            for column, value in enumerate(self.values):
                said, true = (answer == value) & known, truth == value
                counts[row, column] = [np.count_nonzero(m) * ml for m in (said & true, said, true)]
        return counts, answered

    def compare(self, new: Measured, old: Measured) -> Compared | None:
        """The new version against the old, paired by slice; None when there is no slice of which both say something.

        The standard error is the larger of two: that between patients, and that of drawing each patient's slices again (bootstrap; Efron 1979). Few patients
        may agree by chance, few slices too. It is never below what two networks of one recipe differ by (`NOISE`).
        """
        rows = np.flatnonzero(new.answered & old.answered)
        if not rows.size:
            return None
        of = [rows[self.of[rows] == person] for person in np.unique(self.of[rows])]
        scores = np.array([[_dice(version.counts[mine].sum(0), _used(new, old, mine)) for version in (new, old)] for mine in of])
        difference = scores[:, 0] - scores[:, 1]
        errors = np.array([max(_spread(new, old, mine), NOISE / math.sqrt(mine.size)) for mine in of])
        within = float(np.sqrt((errors ** 2).sum())) / len(of)
        between = float(difference.std(ddof=1)) / math.sqrt(len(of)) if len(of) > 1 else 0.0
        change, error = float(difference.mean()), max(within, between)
        by_slice = np.full(len(self.slices), np.nan)
        for row in rows:
            one = np.array([row])
            by_slice[row] = _dice(new.counts[row], _used(new, old, one)) - _dice(old.counts[row], _used(new, old, one))
        chance = 0.5 * (1 + math.erf(change / error / math.sqrt(2)))
        return Compared(float(scores[:, 0].mean()), float(scores[:, 1].mean()), change, error, chance, difference, errors, by_slice, int(rows.size), len(of))

    def _patient(self, one: CheckSlice) -> str:
        return self.patients.get(one.case, one.case)


def shapes_of(labels: LabelArray, values: Sequence[int], spacing: Spacing) -> dict[int, Shape]:
    """Volume, pieces and holes of each class of a label map (z, y, x)."""
    ml = float(np.prod(spacing)) / 1000.0
    boxes = dict(enumerate(ndimage.find_objects(labels), 1))
    found = {}
    for value in values:
        box = boxes.get(value)
        if box is None:
            found[value] = Shape(0.0, np.zeros(0), 0, 0.0)
            continue
        mask = labels[box] == value
        pieces, _ = components(mask)
        sizes: Floats = np.sort(np.bincount(pieces.ravel())[1:])[::-1].astype(np.float64) * ml
        whole = float(sizes.sum())
        holes, inside = _holes(mask)
        found[value] = Shape(whole, sizes, holes, inside * ml / whole)
    return found


def _holes(mask: BoolArray) -> tuple[int, int]:
    """How many closed holes a (z, y, x) mask has, as `metrics.pieces` counts them, and how many voxels they are."""
    rim = [(int(mask.shape[0] > 1),) * 2, (1, 1), (1, 1)]
    outside, count = ndimage.label(np.pad(~mask, rim, constant_values=True))
    return int(count) - 1, int(np.count_nonzero(outside)) - int(np.count_nonzero(outside == outside.flat[0]))


def moved(new: Measured, old: Measured) -> tuple[Floats, Floats]:
    """How far the foreground lies from another version's on average over the cases, (z, y, x) mm, and the standard error of that.

    The error is infinite below three cases.
    """
    ways = np.array([new.middle[case] - old.middle[case] for case in new.middle if case in old.middle]).reshape(-1, 3)
    if len(ways) < 3:
        return np.zeros(3), np.full(3, np.inf)
    return np.asarray(ways.mean(0)), np.asarray(ways.std(0, ddof=1) / math.sqrt(len(ways)))


def _planes(labels: LabelArray, spacing: Spacing) -> list[tuple[int, int]]:
    """Axis and index of the planes that hold something known: along the axis with most planes known as a whole, of equals the thickest."""
    known = labels != UNKNOWN
    if not known.any():
        return []
    full = [int(np.count_nonzero(known.all(axis=tuple(a for a in range(3) if a != axis)))) for axis in range(3)]
    axis = max(range(3), key=lambda a: (full[a] if full[a] < labels.shape[a] else 0, spacing[a], -a))
    inside = known.any(axis=tuple(a for a in range(3) if a != axis))
    return [(axis, int(index)) for index in np.flatnonzero(inside)]


def _used(new: Measured, old: Measured, rows: Array) -> npt.NDArray[np.bool_]:
    """Classes that somebody sees in these slices."""
    return np.asarray((new.counts[rows].sum((0, 2)) + old.counts[rows].sum((0, 2))) > 0)


def _dice(counts: Floats, used: npt.NDArray[np.bool_]) -> float:
    """Mean Dice over the classes in use; 1 when there is none, since nothing was rightly found."""
    return float(_dices(counts)[used].mean()) if used.any() else 1.0


def _dices(counts: Floats) -> Floats:
    """Dice of (..., 3) counts; 1 where both masks are empty."""
    total = counts[..., 1] + counts[..., 2]
    return np.where(total > 0, 2 * counts[..., 0] / np.where(total > 0, total, 1.0), 1.0)


def _spread(new: Measured, old: Measured, rows: Array) -> float:
    """Standard error of one patient's difference in Dice, from drawing its slices again with replacement; 0 for a single slice."""
    used = _used(new, old, rows)
    if not used.any() or rows.size < 2:
        return 0.0
    draws = np.random.default_rng(0).multinomial(rows.size, np.full(rows.size, 1 / rows.size), size=RESAMPLES)
    mean = [_dices(np.tensordot(draws, version.counts[rows], axes=1))[:, used].mean(1) for version in (new, old)]
    return float((mean[0] - mean[1]).std()) * math.sqrt(rows.size / (rows.size - 1))
