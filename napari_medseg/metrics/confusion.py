"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_medseg.metrics.overlap import require_same_shape
from napari_medseg.metrics.regions import around, boxes_of, require_label_map
from napari_medseg.volume import Array

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class ClassErrors:
    """Where one class went wrong. "0" is background; shares are of this class's own false positives or misses and sum to 1.

    Attributes
    ----------
    false_positives : int
        Voxels predicted as this class that are not.
    are_really : dict
        Share of them that is truly each other class: false positives of this class that are the other's misses.
    misses : int
        Voxels of this class that were predicted as something else.
    taken_for : dict
        Share of them that was predicted as each other class: misses of this class that are the other's false positives.
    """

    false_positives: int
    are_really: dict[str, float]
    misses: int
    taken_for: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"false_positives": self.false_positives, "are_really": self.are_really, "misses": self.misses, "taken_for": self.taken_for}


@dataclass(frozen=True, slots=True)
class Confusion:
    """Voxels by true and predicted class.

    Attributes
    ----------
    counts : dict
        `[true][predicted]`, voxels, values as strings, "0" for background; only what occurs, and not background predicted as background.
    classes : dict
        The errors of each class in either map.
    """

    counts: Counts
    classes: dict[str, ClassErrors]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"counts": self.counts, "classes": {value: errors.as_dict() for value, errors in self.classes.items()}}


def confusion(pred: Array, truth: Array) -> Counts:
    """How many voxels of each true class were predicted as which class.

    Parameters
    ----------
    pred, truth : integers or bool, (z, y, x) of one shape

    Returns
    -------
    dict
        As `Confusion.counts`.

    Raises
    ------
    InvalidInputError
        When the shapes differ or one is no label map.
    """
    require_same_shape(pred, truth)
    require_label_map(pred, "pred")
    require_label_map(truth, "truth")
    found = [boxes_of(labels) for labels in (truth, pred)]
    box = around([one for boxes in found for one in boxes.values()])
    values = np.array(sorted({0, *found[0], *found[1]}))
    n = len(values)
    flat = np.zeros(n * n, np.int64)
    for planes in zip(truth[box], pred[box], strict=True):  # a slice at a time: ranks take eight bytes a voxel
        true, predicted = (np.searchsorted(values, plane.astype(values.dtype, copy=False)) for plane in planes)
        flat += np.bincount((true * n + predicted).ravel(), minlength=n * n)
    pairs = flat.reshape(n, n)
    pairs[0, 0] = 0
    counts: Counts = {}
    for row, column in np.argwhere(pairs):
        counts.setdefault(str(values[row]), {})[str(values[column])] = int(pairs[row, column])
    return counts


def class_confusion(pred: Array, truth: Array) -> Confusion:
    """Which share of each class's false positives and misses is another class's. As `confusion`."""
    return told(confusion(pred, truth))


def told(counts: Counts) -> Confusion:
    """The errors of each class, from counts of one case or of several added up."""
    values = sorted({value for true, row in counts.items() for value in (true, *row)} - {"0"}, key=int)
    return Confusion(counts, {value: _errors(counts, value) for value in values})


def added(several: list[Counts]) -> Counts:
    """The counts of several cases together."""
    total: Counts = {}
    for counts in several:
        for true, row in counts.items():
            for predicted, voxels in row.items():
                kept = total.setdefault(true, {})
                kept[predicted] = kept.get(predicted, 0) + voxels
    by_value = sorted(total, key=int)
    return {true: dict(sorted(total[true].items(), key=lambda item: int(item[0]))) for true in by_value}


def _errors(counts: Counts, value: str) -> ClassErrors:
    wrong = {true: row[value] for true, row in counts.items() if true != value and value in row}
    lost = {predicted: voxels for predicted, voxels in counts.get(value, {}).items() if predicted != value}
    return ClassErrors(sum(wrong.values()), _shares(wrong), sum(lost.values()), _shares(lost))


def _shares(voxels: Mapping[str, int]) -> dict[str, float]:
    total = sum(voxels.values())
    return {value: count / total for value, count in sorted(voxels.items(), key=lambda item: int(item[0]))}
