"""Whether probabilities mean what they say, and what another threshold would give, per class.

Probability maps are read a few slices at a time and only counts are kept, so that whole volumes cost little memory. A class is predicted **from** its
threshold on (p >= threshold), whatever the other classes' probabilities are. Counts are in steps of 0.01.

Raising the threshold of a class is how Bullock et al. (XNet, SPIE Medical Imaging 2019) keep false positives down; `best_threshold` finds the one that does.
Choose it on other cases than those you report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics.overlap import require_same_shape
from napari_medseg.metrics.regions import require_label_map
from napari_medseg.metrics.summary import mean
from napari_medseg.volume import Array, BoolArray, Spacing

Criterion = Literal["dice", "false_positives"]
Counts = npt.NDArray[np.int64]

STEPS = 100
BINS = 10
SLAB = 1 << 21
"""Voxels looked at in one go."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Voxels with probabilities from `low` to below `high`.

    Attributes
    ----------
    voxels : int
    predicted : float or None
        Their mean probability.
    observed : float or None
        Share of them that is true.
    """

    low: float
    high: float
    voxels: int
    predicted: float | None
    observed: float | None


@dataclass(frozen=True, slots=True)
class ThresholdPoint:
    """What a threshold gives.

    Attributes
    ----------
    threshold : float
    dice : float or None
        Mean over the cases where the class is true or predicted.
    cases : int
        How many those are.
    precision, recall : float or None
        Of all cases' voxels together.
    false_positive_share : float or None
        Of the voxels predicted, those that are not true: 1 - precision.
    false_positive_ml : float
        Per case.
    volume_ratio : float or None
        Predicted against true volume, of all cases together.
    """

    threshold: float
    dice: float | None
    cases: int
    precision: float | None
    recall: float | None
    false_positive_share: float | None
    false_positive_ml: float
    volume_ratio: float | None


@dataclass(frozen=True, slots=True)
class ClassCalibration:
    """Probabilities of one class against the truth.

    Attributes
    ----------
    value : int
    bins : tuple of ReliabilityBin
        Ten, of all voxels of all cases.
    ece : float or None
        Expected calibration error: the gap between predicted and observed, each bin weighted by its voxels (Naeini et al., AAAI 2015; of one class).
    ece_in_doubt : float or None
        The same over the voxels with a probability of 0.01 or more only. Background that nobody doubts makes every `ece` look small.
    brier : float or None
        Mean squared gap between probability and truth.
    curve : tuple of ThresholdPoint
        For thresholds 0.01, 0.02, ... 0.99: `curve[49]` is 0.50.
    """

    value: int
    bins: tuple[ReliabilityBin, ...]
    ece: float | None
    ece_in_doubt: float | None
    brier: float | None
    curve: tuple[ThresholdPoint, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of every class, over the cases counted.

    Attributes
    ----------
    cases : tuple of str
    classes : tuple of ClassCalibration
    """

    cases: tuple[str, ...]
    classes: tuple[ClassCalibration, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; classes under their value."""
        return {"cases": list(self.cases), "classes": {str(one.value): asdict(one) for one in self.classes}}


@dataclass(frozen=True, slots=True)
class BestThreshold:
    """A threshold and why it was chosen.

    Attributes
    ----------
    threshold : float or None
    criterion : str
        In words.
    point : ThresholdPoint or None
        What it gives on the cases it was chosen on.
    note : str
        Why there is none; "" else.
    """

    threshold: float | None
    criterion: str
    point: ThresholdPoint | None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class CalibrationCounter:
    """Counts case after case.

    Parameters
    ----------
    values : sequence of int
        The class of each channel of the probability maps, in their order.
    """

    def __init__(self, values: Sequence[int]) -> None:
        self.values = tuple(values)
        self._cases: list[str] = []
        self._voxel_ml: list[float] = []
        self._found: list[Counts] = []  # a case: (classes, false or true, steps)
        self._sums = np.zeros((len(values), STEPS))
        self._squares = np.zeros(len(values))

    def add(self, case: str, probabilities: Array, truth: Array, spacing: Spacing) -> None:
        """Count one case; arrays, units and errors as in `adding`, without waiting in between."""
        for _ in self.adding(case, probabilities, truth, spacing):
            pass

    def adding(self, case: str, probabilities: Array, truth: Array, spacing: Spacing) -> Iterator[float]:
        """Count one case, yielding the share done; a case that is not counted to its end does not count.

        Parameters
        ----------
        case : str
        probabilities : float, (c, z, y, x), or (z, y, x) for one class
            0 to 1; may be mapped from a file.
        truth : whole numbers, (z, y, x)
        spacing : (z, y, x) mm

        Raises
        ------
        InvalidInputError
            When shapes or the number of channels do not fit, or a value is no probability.
        """
        maps = probabilities if probabilities.ndim == 4 else probabilities[None]
        require_label_map(truth, "truth")
        if len(maps) != len(self.values):
            raise InvalidInputError(
                f"{len(maps)} channels are not the {len(self.values)} classes", where=case or "probabilities", todo="Give one probability map a class"
            )
        if maps.dtype.kind != "f":
            raise InvalidInputError(f"{maps.dtype} is no probability", where=case or "probabilities", todo="Give floats from 0 to 1")
        require_same_shape(maps[0], truth)
        found = np.zeros((len(self.values), 2, STEPS), np.int64)
        sums, squares = np.zeros_like(self._sums), np.zeros_like(self._squares)
        thick = max(1, SLAB // max(1, truth[0].size))
        starts = range(0, len(truth), thick)
        for rank, value in enumerate(self.values):
            for done, start in enumerate(starts):
                part = np.asarray(maps[rank, start : start + thick]).ravel()
                is_true: BoolArray = truth[start : start + thick].ravel() == value
                if not (part.min() >= 0 and part.max() <= 1):  # NaN is neither
                    raise InvalidInputError("holds values that are no probabilities", where=case or "probabilities", todo="Give values from 0 to 1 everywhere")
                steps = np.minimum(part * STEPS, STEPS - 1).astype(np.int16)
                both = np.bincount(steps + STEPS * is_true, minlength=2 * STEPS)
                found[rank] += both.reshape(2, STEPS)
                sums[rank] += np.bincount(steps, part, minlength=STEPS)
                squares[rank] += float(((part - is_true) ** 2).sum(dtype=np.float64))
                yield (rank + (done + 1) / len(starts)) / len(self.values)
        self._cases.append(case)
        self._voxel_ml.append(float(np.prod(spacing)) / 1000)
        self._found.append(found)
        self._sums += sums
        self._squares += squares

    def result(self) -> Calibration:
        """What was counted so far."""
        return Calibration(tuple(self._cases), tuple(self._one(rank) for rank in range(len(self.values))))

    def _one(self, rank: int) -> ClassCalibration:
        by_case = np.array([found[rank] for found in self._found], np.int64).reshape(-1, 2, STEPS)
        false, true = by_case.sum(axis=0)
        total = int((false + true).sum())
        bins = tuple(_bin(index, false, true, self._sums[rank]) for index in range(BINS))
        curve = tuple(_point(step, by_case, np.array(self._voxel_ml)) for step in range(1, STEPS))
        doubtful = _gap(false[1:], true[1:], self._sums[rank][1:], first=1)
        brier = float(self._squares[rank]) / total if total else None
        return ClassCalibration(self.values[rank], bins, _gap(false, true, self._sums[rank]), doubtful, brier, curve)


def best_threshold(of: ClassCalibration, criterion: Criterion = "dice", limit: float = 0.03) -> BestThreshold:
    """Choose a class's threshold.

    Parameters
    ----------
    of : ClassCalibration
    criterion : str
        "dice": the highest mean Dice over cases. "false_positives": the highest mean Dice among the thresholds where at most `limit` of the predicted voxels
        are false. Between equals the one nearest to 0.5, then the lower.
    limit : float
        Share, 0 to 1.
    """
    words = "the highest mean Dice"
    points = [point for point in of.curve if point.dice is not None]
    if criterion == "false_positives":
        words += f" where at most {limit:.3g} of what is predicted is false"
        points = [point for point in points if point.false_positive_share is not None and point.false_positive_share <= limit]
    if not points:
        why = "no case holds the class" if not any(point.dice is not None for point in of.curve) else "no threshold keeps to this limit"
        return BestThreshold(None, words, None, f"not enough data: {why}" if why.startswith("no case") else why)
    best = max(points, key=lambda point: (point.dice or 0.0, -abs(point.threshold - 0.5), -point.threshold))
    return BestThreshold(best.threshold, words, best)


def _bin(index: int, false: Counts, true: Counts, sums: npt.NDArray[np.float64]) -> ReliabilityBin:
    wide = STEPS // BINS
    part = slice(index * wide, (index + 1) * wide)
    positives, voxels = int(true[part].sum()), int((false[part] + true[part]).sum())
    return ReliabilityBin(
        index / BINS, (index + 1) / BINS, voxels, float(sums[part].sum()) / voxels if voxels else None, positives / voxels if voxels else None,
    )


def _gap(false: Counts, true: Counts, sums: npt.NDArray[np.float64], first: int = 0) -> float | None:
    """Expected calibration error over ten bins of equal width; the first may begin later."""
    edges = np.maximum(np.arange(0, STEPS, STEPS // BINS) - first, 0)
    positives, voxels, expected = (np.add.reduceat(a, edges) for a in (true, false + true, sums))
    total = int(voxels.sum())
    return float(np.abs(expected - positives).sum()) / total if total else None


def _point(step: int, by_case: Counts, voxel_ml: npt.NDArray[np.float64]) -> ThresholdPoint:
    hit, extra = by_case[:, 1, step:].sum(axis=1), by_case[:, 0, step:].sum(axis=1)
    real = by_case[:, 1].sum(axis=1)
    sizes = hit + extra + real
    dices = [2 * int(h) / int(size) if size else None for h, size in zip(hit, sizes, strict=True)]
    found_ml, extra_ml, real_ml = (float(a @ voxel_ml) if len(a) else 0.0 for a in (hit + extra, extra, real))
    found, true = int((hit + extra).sum()), int(real.sum())
    return ThresholdPoint(
        step / STEPS, mean(dices), int(np.count_nonzero(sizes)), int(hit.sum()) / found if found else None, int(hit.sum()) / true if true else None,
        int(extra.sum()) / found if found else None, extra_ml / max(len(by_case), 1), found_ml / real_ml if real_ml else None,
    )
