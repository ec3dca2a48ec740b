"""What a person hands over, checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.refine.trust import UNKNOWN_LABEL, Trust, locked
from napari_medseg.volume import Array, BoolArray, LabelArray, Spacing, Volume, format_shape

CORRECT = "Correct a slice, mark it as right, and try again"


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A scan and its labels; arrays (z, y, x).

    Attributes
    ----------
    image : any real type
    labels, weak : uint8
        Unknown voxels are 0.
    known : bool
        Where the weak label says something.
    locked : bool
    classes : tuple of int
        Label values, rising.
    before : bool
        Whether `weak` is the label map from before the corrections; else the settled voxels of it say nothing about its errors.
    """

    image: Array
    labels: LabelArray
    weak: LabelArray
    known: BoolArray
    locked: BoolArray
    classes: tuple[int, ...]
    before: bool


def checked(image: Volume, labels: LabelArray, trust: Array, weak: LabelArray | None) -> Given:
    """Check and bring into order.

    Parameters
    ----------
    labels, weak : uint8 (z, y, x)
        On the scan's grid; 255 is unknown. `weak` is None where the label map from before the corrections is lost.
    trust : uint8 (z, y, x)
        Levels of `Trust`.

    Raises
    ------
    NoLabelsError
        When nothing is settled, no object is labelled, or only one slice holds one and no weak label says where it goes on.
    InvalidInputError
        When an array is not uint8 or not the scan's shape, a settled voxel is labelled 255, or the scan holds no number.
    """
    name, shape = image.name or "scan", image.geometry.shape
    for what, array in (("labels", labels), ("trust", trust), ("weak", weak)):
        if array is not None and array.shape != shape:
            found = f"{format_shape(array.shape)} voxels do not fit a scan of {format_shape(shape)}"
            raise InvalidInputError(found, where=what, todo="Give arrays of the scan's own grid")
        if array is not None and array.dtype != np.uint8:
            raise InvalidInputError(f"is of type {array.dtype}, not uint8", where=what, todo="Give whole numbers from 0 to 255")
    settled = locked(trust)
    if not settled.any():
        raise NoLabelsError("no slice is corrected or marked as right yet", where=name, todo=CORRECT)
    if (labels[settled] == UNKNOWN_LABEL).any():
        raise InvalidInputError("a corrected voxel is labelled 255, which means unknown", where="labels", todo="Mark it as unknown, or give it a class")
    known = (labels != UNKNOWN_LABEL) & (trust != Trust.UNKNOWN) if weak is None else weak != UNKNOWN_LABEL
    plain = np.where(labels == UNKNOWN_LABEL, 0, labels).astype(np.uint8)
    before = plain if weak is None else np.where(weak == UNKNOWN_LABEL, 0, weak).astype(np.uint8)
    before = np.where(known, before, 0).astype(np.uint8)
    classes = tuple(int(value) for value in np.unique(np.concatenate([np.unique(plain[settled]), np.unique(before)])) if value)
    if not classes:
        raise NoLabelsError("neither the corrected slices nor the weak label hold an object", where=name, todo="Correct a slice that the object crosses")
    if not np.isfinite(image.channel()).any():
        raise InvalidInputError("holds no number, only NaN", where=name, todo="Load the scan again")
    given = Given(image.channel(), plain, before, known, settled, classes, weak is not None)
    return given if (before[~settled] > 0).any() else _between(given, image.geometry.spacing, name)


def _between(given: Given, spacing: Spacing, name: str) -> Given:
    """Where the weak label holds nothing but what was corrected: the corrected outlines, continued from slice to slice."""
    from napari_medseg.refine.single.ground import slices_along
    from napari_medseg.weaklabel.interpolate import interpolate

    axis = slices_along(given.locked, spacing)
    others = tuple(other for other in range(3) if other != axis)
    slices = [int(z) for z in np.flatnonzero(given.locked.any(axis=others))]
    if sum(bool(np.take(given.labels, z, axis).any()) for z in slices) < 2:
        raise NoLabelsError(
            "only one slice holds an object, and no weak label says where it goes on", where=name, todo="Correct a second slice, or begin with a weak label",
        )
    taught = np.where(given.locked, given.labels, 0).astype(np.uint8)
    weak = interpolate(taught, slices, image=given.image, spacing=spacing, axis=axis)
    return Given(given.image, given.labels, weak, np.ones(given.known.shape, bool), given.locked, given.classes, False)


def slices_of(mask: BoolArray, axis: int) -> Iterator[int]:
    """Slices along an axis that hold any of a mask (z, y, x)."""
    others = tuple(other for other in range(3) if other != axis)
    yield from (int(z) for z in np.flatnonzero(mask.any(axis=others)))
