"""What is put before a rater: a slice, or a whole volume, with a mask for either side. Nothing in it tells whose mask it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.review.blinded.plan import VIEWS, Plan, Question, View
from napari_medseg.review.blinded.sources import Trio
from napari_medseg.volume import Array
from napari_medseg.volume.windows import Window, presets

MARGIN_MM = 25.0
"""Around the masks when they are brought into view."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One question's pictures.

    Attributes
    ----------
    image : (slices, rows, columns)
        Grey values along the view, as the display lies; one slice, or all of a volume.
    left, right : (slices, rows, columns), integers
        The masks, 0 background.
    spacing : (row, column) in mm
    start : int
        The slice shown first: for a volume the one where both masks together are largest.
    window : Window
        The usual one for such scans.
    view : str
    held : (first, last)
        Slices between which either mask holds something.
    """

    image: Array
    left: Array
    right: Array
    spacing: tuple[float, float]
    start: int
    window: Window
    view: View
    held: tuple[int, int]

    def frame(self) -> tuple[float, float, float, float]:
        """Around both masks of all slices, with a margin: top, left, height, width in mm from the corner of the first pixel; the whole slice without masks."""
        there = np.asarray((self.left > 0) | (self.right > 0))
        rows, columns = np.flatnonzero(there.any((0, 2))), np.flatnonzero(there.any((0, 1)))
        height, width = (n * mm for n, mm in zip(self.image.shape[1:], self.spacing, strict=True))
        if not rows.size:
            return 0.0, 0.0, height, width
        top, left = (max(0.0, found[0] * mm - MARGIN_MM) for found, mm in zip((rows, columns), self.spacing, strict=True))
        bottom = min(height, (rows[-1] + 1) * self.spacing[0] + MARGIN_MM)
        right = min(width, (columns[-1] + 1) * self.spacing[1] + MARGIN_MM)
        return float(top), float(left), float(bottom - top), float(right - left)


def shown(plan: Plan, question: Question, found: Trio) -> Shown:
    """The pictures of a question; copies, so that the scan itself can go.

    Raises
    ------
    InvalidInputError
        When the scan has no such slice.
    """
    axis = VIEWS.index(question.view)
    count = found.image.geometry.shape[axis]
    if question.slice is not None and question.slice >= count:
        raise InvalidInputError(f"has no slice {question.slice}", where=question.case, todo="Make a new plan")
    part = slice(None) if question.slice is None else slice(question.slice, question.slice + 1)
    sides = ("a", "b") if question.left == "a" else ("b", "a")
    image, left, right = (_along(array, axis, part) for array in (found.image.channel(), *(found.mask(side, plan.label) for side in sides)))  # type: ignore[arg-type]
    area = ((left > 0).sum((1, 2)) + (right > 0).sum((1, 2))) if len(image) else np.zeros(1)
    filled = np.flatnonzero(area)
    spacing = [mm for i, mm in enumerate(found.image.geometry.spacing) if i != axis]
    usual = presets(found.image.modality, found.image.units)[0]
    return Shown(
        image, left, right, (float(spacing[0]), float(spacing[1])), int(area.argmax()), usual.of(found.image.channel()), question.view,
        (int(filled[0]), int(filled[-1])) if filled.size else (0, len(image) - 1),
    )


def _along(array: Array, axis: int, part: slice) -> Array:
    """Slices along an axis, first; contiguous and their own."""
    box = [slice(None)] * 3
    box[axis] = part
    return np.array(np.moveaxis(array[tuple(box)], axis, 0), order="C")
