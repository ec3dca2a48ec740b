"""One label map from several annotators', where they disagree, and how good each of them is held to be.

**Majority.** A voxel takes the class (or background) that most annotators gave it. A tie is undecided and settled by rule: background, where background is
among the tied; else the class that was drawn more over the whole scan; else the lower value. So with two annotators only what both drew stays.

**STAPLE** (Warfield et al., IEEE TMI 2004; several classes: Rohlfing et al., IPMI 2003), by SimpleITK: weighs annotators by how good they turn out to be. One
class: a voxel belongs to it from probability 0.5; exactly 0.5 is undecided and background. Several: the likeliest class; a tie is undecided and settled by
the majority's rule. It is estimated in the box around what anyone drew: further background would only drive everybody's specificity to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.metrics.regions import Box, around, boxes_of
from napari_medseg.review.agreement import require_comparable
from napari_medseg.volume import Array, BoolArray, FloatArray

Method = Literal["majority", "staple"]
Measure = Literal["share", "entropy"]


@dataclass(frozen=True, slots=True)
class AnnotatorQuality:
    """What STAPLE makes of one annotator for one class, in the box around what anyone drew.

    Attributes
    ----------
    annotator : str
    value : int
    sensitivity, specificity : float or None
        Chance of drawing what belongs to the class, and of leaving out what does not; None where it could not be estimated.
    """

    annotator: str
    value: int
    sensitivity: float | None
    specificity: float | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """What several annotators amount to.

    Attributes
    ----------
    labels : uint8 or uint16 (or wider, where values need it), (z, y, x)
    method : str
        "majority" or "staple".
    undecided : bool (z, y, x)
        Where a tie was settled by rule.
    annotators : tuple of str
    qualities : tuple of AnnotatorQuality
        Of STAPLE; () for the majority.
    """

    labels: Array
    method: Method
    undecided: BoolArray
    annotators: tuple[str, ...]
    qualities: tuple[AnnotatorQuality, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON: counts in the place of arrays."""
        values, counts = np.unique(self.labels[self.labels != 0], return_counts=True)
        return {
            "method": self.method, "annotators": list(self.annotators), "voxels": {str(int(v)): int(n) for v, n in zip(values, counts, strict=True)},
            "undecided_voxels": int(np.count_nonzero(self.undecided)), "qualities": [one.as_dict() for one in self.qualities],
        }


def consensus(maps: Mapping[str, Array], method: Method = "majority") -> Consensus:
    """One label map from several.

    Parameters
    ----------
    maps : by annotator
        Whole numbers, (z, y, x), of one shape; 0 is background.
    method : str
        "majority" or "staple".

    Raises
    ------
    InvalidInputError
        With fewer than two annotators, maps of several shapes, or what is no label map.
    NoLabelsError
        When nobody drew anything.
    """
    box, values = _drawn(maps)
    parts = _ranked(maps, box, values)
    undecided = np.zeros(next(iter(maps.values())).shape, bool)
    labels = np.zeros(undecided.shape, np.min_scalar_type(values[-1]))
    qualities: tuple[AnnotatorQuality, ...] = ()
    if method == "majority":
        best, undecided[box] = _majority(parts, len(values))
    else:
        best, undecided[box] = _staple(parts, len(values))
        qualities = tuple(
            AnnotatorQuality(name, value, *each) for rank, value in enumerate(values, 1) for name, each in zip(maps, _binary(parts, rank)[1], strict=True)
        )
    labels[box] = np.array([0, *values], labels.dtype)[best]
    return Consensus(labels, method, undecided, tuple(maps), qualities)


def disagreement(maps: Mapping[str, Array], measure: Measure = "share") -> FloatArray:
    """Where annotators disagree, as a heat map.

    Parameters
    ----------
    maps : by annotator
        Whole numbers, (z, y, x), of one shape.
    measure : str
        "share": of the annotators that did not give the most frequent label. "entropy": of the labels given, against the most that so many annotators could
        reach.

    Returns
    -------
    float32 (z, y, x)
        0 where all agree; a share stays below 1, an entropy reaches 1 where everyone gave another label.

    Raises
    ------
    InvalidInputError, NoLabelsError
        As `consensus`.
    """
    box, values = _drawn(maps)
    parts = _ranked(maps, box, values)
    found = np.zeros(parts[0].shape, np.float32)
    count = len(parts)
    for rank in range(len(values) + 1):
        votes = _votes(parts, rank)
        if measure == "share":
            np.maximum(found, votes / np.float32(count), out=found)
        else:
            terms = np.array([0.0, *(-(v / count) * math.log(v / count) for v in range(1, count + 1))], np.float32)
            found += terms[votes]
    heat = np.zeros(next(iter(maps.values())).shape, np.float32)
    heat[box] = 1 - found if measure == "share" else np.clip(found / math.log(min(count, len(values) + 1)), 0, 1)
    return heat


def _drawn(maps: Mapping[str, Array]) -> tuple[Box, list[int]]:
    require_comparable(maps)
    found = [boxes_of(labels) for labels in maps.values()]
    if not any(found):
        raise NoLabelsError("none of the annotators drew anything", where="label maps", todo="Choose maps with labels")
    values = sorted({value for boxes in found for value in boxes})
    if values[0] < 0:
        raise InvalidInputError(f"{values[0]} is no class", where="label maps", todo="Give label maps of values from 0 on")
    return around([box for boxes in found for box in boxes.values()]), values


def _ranked(maps: Mapping[str, Array], box: Box, values: list[int]) -> list[Array]:
    """Each map's part with its classes numbered 1, 2, ... so that large values cost nothing."""
    kind, known = np.min_scalar_type(len(values)), np.array([0, *values])
    parts = []
    for labels in maps.values():
        part = np.empty(labels[box].shape, kind)
        for into, plane in zip(part, labels[box], strict=True):  # a slice at a time: ranks take eight bytes a voxel
            into[:] = np.searchsorted(known, plane.astype(known.dtype, copy=False))
        parts.append(part)
    return parts


def _votes(parts: list[Array], rank: int) -> Array:
    votes = np.zeros(parts[0].shape, np.min_scalar_type(len(parts)))
    for part in parts:
        votes += part == rank
    return votes


def _majority(parts: list[Array], classes: int) -> tuple[Array, BoolArray]:
    most = _votes(parts, 0)
    best, tied = np.zeros(parts[0].shape, parts[0].dtype), np.zeros(parts[0].shape, bool)
    for rank in _by_size(parts, classes):  # an earlier one keeps what a later one only ties for
        votes = _votes(parts, rank)
        tied = (tied & (votes <= most)) | ((votes == most) & (votes > 0))
        best[votes > most] = rank
        np.maximum(most, votes, out=most)
    return best, tied


def _by_size(parts: list[Array], classes: int) -> list[int]:
    """Ranks of the classes, the most drawn first, then the lowest."""
    drawn = sum(np.bincount(part.ravel(), minlength=classes + 1) for part in parts)
    return sorted(range(1, classes + 1), key=lambda rank: (-int(drawn[rank]), rank))  # type: ignore[index]


def _staple(parts: list[Array], classes: int) -> tuple[Array, BoolArray]:
    if classes == 1:
        likely, _ = _binary(parts, 1)
        return (likely > 0.5).astype(parts[0].dtype), likely == 0.5
    import SimpleITK as sitk

    given = [sitk.GetImageFromArray(part.astype(np.uint16)) for part in parts]
    work = sitk.MultiLabelSTAPLEImageFilter()
    work.SetLabelForUndecidedPixels(classes + 1)
    best = sitk.GetArrayFromImage(work.Execute(given))
    tied = best == classes + 1
    if tied.any():
        best = np.where(tied, _majority(parts, classes)[0], best)
    return best.astype(parts[0].dtype), tied


def _binary(parts: list[Array], rank: int) -> tuple[Array, list[tuple[float | None, float | None]]]:
    """Probability of a class, and each annotator's sensitivity and specificity for it."""
    import SimpleITK as sitk

    work = sitk.STAPLEImageFilter()
    work.SetForegroundValue(1.0)
    work.SetMaximumIterations(200)
    likely = sitk.GetArrayFromImage(work.Execute([sitk.GetImageFromArray((part == rank).astype(np.uint8)) for part in parts]))
    pairs = zip(work.GetSensitivity(), work.GetSpecificity(), strict=True)
    return likely, [tuple(v if math.isfinite(v) else None for v in pair) for pair in pairs]  # type: ignore[misc]
