"""Voxel overlap of two masks.

Conventions: two empty masks agree (Dice and IoU 1.0); when one is empty they share nothing (0.0). Precision of an empty prediction and recall of an
empty truth are 0/0 and stay undefined (None), never 0 or 1.
"""

from __future__ import annotations

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Array, format_shape


def dice(a: Array, b: Array) -> float:
    """2|A and B| / (|A| + |B|) of two masks of one shape; every value but 0 is inside."""
    both, only_a, only_b = _counts(a, b)
    total = 2 * both + only_a + only_b
    return 2 * both / total if total else 1.0


def iou(a: Array, b: Array) -> float:
    """|A and B| / |A or B| of two masks of one shape (Jaccard)."""
    both, only_a, only_b = _counts(a, b)
    union = both + only_a + only_b
    return both / union if union else 1.0


def precision(pred: Array, truth: Array) -> float | None:
    """Share of the predicted voxels that are true; None when nothing was predicted."""
    both, only_pred, _ = _counts(pred, truth)
    return both / (both + only_pred) if both + only_pred else None


def recall(pred: Array, truth: Array) -> float | None:
    """Share of the true voxels that were predicted; None when there is no true voxel."""
    both, _, only_truth = _counts(pred, truth)
    return both / (both + only_truth) if both + only_truth else None


def require_same_shape(a: Array, b: Array) -> None:
    """Refuse masks that cannot lie on one grid.

    Raises
    ------
    InvalidInputError
        When the shapes differ.
    """
    if a.shape != b.shape:
        what = f"{format_shape(a.shape)} voxels cannot be compared with {format_shape(b.shape)}"
        raise InvalidInputError(what, where="masks", todo="Give two masks on one grid")


def _counts(a: Array, b: Array) -> tuple[int, int, int]:
    require_same_shape(a, b)
    a, b = a != 0, b != 0
    both = int(np.count_nonzero(a & b))
    return both, int(np.count_nonzero(a)) - both, int(np.count_nonzero(b)) - both
