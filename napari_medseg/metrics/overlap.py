"""Voxel overlap of two masks.

Conventions: two empty masks agree (Dice and IoU 1.0); when one is empty they share nothing (0.0). Precision of an empty prediction and recall of an
empty truth are 0/0 and stay undefined (None), never 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Array, format_shape


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many voxels two masks share, and how many each has.

    Attributes
    ----------
    both, pred, truth : int
    """

    both: int
    pred: int
    truth: int

    @property
    def dice(self) -> float:
        """2|A and B| / (|A| + |B|)."""
        return 2 * self.both / (self.pred + self.truth) if self.pred + self.truth else 1.0

    @property
    def iou(self) -> float:
        """|A and B| / |A or B| (Jaccard)."""
        union = self.pred + self.truth - self.both
        return self.both / union if union else 1.0

    @property
    def precision(self) -> float | None:
        """Share of the predicted voxels that are true; None when nothing was predicted."""
        return self.both / self.pred if self.pred else None

    @property
    def recall(self) -> float | None:
        """Share of the true voxels that were predicted; None when there is no true voxel."""
        return self.both / self.truth if self.truth else None


def overlap(pred: Array, truth: Array) -> Overlap:
    """Count two masks of one shape; every value but 0 is inside.

    Raises
    ------
    InvalidInputError
        When the shapes differ.
    """
    require_same_shape(pred, truth)
    pred, truth = pred != 0, truth != 0
    return Overlap(int(np.count_nonzero(pred & truth)), int(np.count_nonzero(pred)), int(np.count_nonzero(truth)))


def dice(a: Array, b: Array) -> float:
    """Dice of two masks of one shape; every value but 0 is inside."""
    return overlap(a, b).dice


def iou(a: Array, b: Array) -> float:
    """Intersection over union of two masks of one shape."""
    return overlap(a, b).iou


def precision(pred: Array, truth: Array) -> float | None:
    """Share of the predicted voxels that are true, 0-1; None when nothing was predicted. Masks and errors as for `overlap`."""
    return overlap(pred, truth).precision


def recall(pred: Array, truth: Array) -> float | None:
    """Share of the true voxels that were predicted, 0-1; None when there is no true voxel. Masks and errors as for `overlap`."""
    return overlap(pred, truth).recall


class Shaped(Protocol):
    """An array, or what stands for one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Along each axis."""


def require_same_shape(a: Shaped, b: Shaped) -> None:
    """Refuse masks that cannot lie on one grid.

    Raises
    ------
    InvalidInputError
        When the shapes differ.
    """
    if a.shape != b.shape:
        what = f"{format_shape(a.shape)} voxels cannot be compared with {format_shape(b.shape)}"
        raise InvalidInputError(what, where="masks", todo="Give two masks on one grid")
