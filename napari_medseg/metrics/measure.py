"""All figures of a label map against the truth, class by class."""

from __future__ import annotations

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics.overlap import dice, iou, precision, recall, require_same_shape
from napari_medseg.metrics.surface import surface_distances
from napari_medseg.volume import Array, Spacing

TOLERANCE_MM = 2.0

Figures = dict[str, float | None]


def measure(pred: Array, truth: Array, spacing: Spacing) -> dict[str, Figures]:
    """Compare two label maps.

    Parameters
    ----------
    pred, truth : integers or bool, (z, y, x) of one shape
        0 is background; every other value is a class.
    spacing : (z, y, x) mm

    Returns
    -------
    dict
        For each class in either map, under its value as a string: dice, iou, precision, recall, hd95_mm, assd_mm, surface_dice_2mm,
        volume_ml_pred, volume_ml_truth. Where a class is in one map only: dice, iou and surface Dice 0, distances None, and None for what is 0/0
        (precision of no prediction, recall of no truth).

    Raises
    ------
    InvalidInputError
        When the shapes differ, a map is not (z, y, x), or it holds anything but whole numbers.
    """
    require_same_shape(pred, truth)
    for name, labels in (("pred", pred), ("truth", truth)):
        if labels.ndim != 3 or labels.dtype.kind not in "biu":
            raise InvalidInputError(f"{labels.dtype} with {labels.ndim} axes is no label map", where=name, todo="Give whole numbers as (z, y, x)")
    voxel_ml = float(np.prod(spacing)) / 1000.0
    classes = sorted({int(v) for labels in (pred, truth) for v in np.unique(labels)} - {0})
    return {str(value): _figures(pred == value, truth == value, spacing, voxel_ml) for value in classes}


def _figures(pred: Array, truth: Array, spacing: Spacing, voxel_ml: float) -> Figures:
    surfaces = surface_distances(pred, truth, spacing)
    return {
        "dice": dice(pred, truth),
        "iou": iou(pred, truth),
        "precision": precision(pred, truth),
        "recall": recall(pred, truth),
        "hd95_mm": surfaces.hd95_mm if surfaces else None,
        "assd_mm": surfaces.assd_mm if surfaces else None,
        "surface_dice_2mm": surfaces.dice_within(TOLERANCE_MM) if surfaces else 0.0,
        "volume_ml_pred": int(np.count_nonzero(pred)) * voxel_ml,
        "volume_ml_truth": int(np.count_nonzero(truth)) * voxel_ml,
    }
