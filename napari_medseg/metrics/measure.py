"""All figures of a label map against the truth, class by class, each on the part of the grid that the class takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from napari_medseg.metrics.overlap import dice, iou, precision, recall, require_same_shape
from napari_medseg.metrics.pieces import centroid, components, false_alarms, hole_count
from napari_medseg.metrics.regions import around, boxes_of, flat_axes, require_label_map
from napari_medseg.metrics.surface import TOLERANCE_MM, surface_distances
from napari_medseg.volume import Array, BoolArray, Spacing

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
        For each class in either map, under its value as a string: dice, iou, precision, recall, hd95_mm, assd_mm, surface_dice_2mm, centroid_mm (distance of
        the centres of mass), volume_ml_pred, volume_ml_truth, volume_error_ml (signed), volume_error (signed share of the truth), components_pred,
        components_truth, holes_pred, holes_truth, false_positives (pieces of the prediction that touch no true voxel). Where a class is in one map only:
        dice, iou and surface Dice 0, distances None, and None for what is 0/0 (precision of no prediction, recall and volume error of no truth).

    Raises
    ------
    InvalidInputError
        When the shapes differ, a map is not (z, y, x), or it holds anything but whole numbers.
    """
    require_same_shape(pred, truth)
    require_label_map(pred, "pred")
    require_label_map(truth, "truth")
    predicted, true, flat = boxes_of(pred), boxes_of(truth), flat_axes(pred.shape)
    figures = {}
    for value in sorted(predicted.keys() | true.keys()):
        box = around([boxes[value] for boxes in (predicted, true) if value in boxes])
        figures[str(value)] = _figures(pred[box] == value, truth[box] == value, spacing, flat)
    return figures


def confusion(pred: Array, truth: Array) -> dict[str, dict[str, int]]:
    """How many voxels of each true class were predicted as which class.

    Parameters
    ----------
    pred, truth : uint8 (z, y, x) of one shape

    Returns
    -------
    dict
        `[true][predicted]`, voxels, values as strings, "0" for background; only what occurs, and not background predicted as background.
    """
    require_same_shape(pred, truth)
    box = around([b for labels in (pred, truth) for b in boxes_of(labels).values()])
    pairs = np.bincount((truth[box].astype(np.uint16) << 8 | pred[box]).ravel(), minlength=1)
    pairs[0] = 0
    found: dict[str, dict[str, int]] = {}
    for pair in np.flatnonzero(pairs):
        found.setdefault(str(pair >> 8), {})[str(pair & 255)] = int(pairs[pair])
    return found


def _figures(pred: BoolArray, truth: BoolArray, spacing: Spacing, flat: tuple[bool, ...]) -> Figures:
    surfaces = surface_distances(pred, truth, spacing, flat)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    ml_pred, ml_truth = (int(np.count_nonzero(mask)) * voxel_ml for mask in (pred, truth))
    with ThreadPoolExecutor(2) as pool:  # labelling lets go of the interpreter; on large masks it takes most of the time
        whole = [pool.submit(components, mask) for mask in (pred, truth)]
        pierced = [pool.submit(hole_count, mask) for mask in (pred, truth)]
    (pieces, count), (_, count_truth) = (found.result() for found in whole)
    return {
        "dice": dice(pred, truth),
        "iou": iou(pred, truth),
        "precision": precision(pred, truth),
        "recall": recall(pred, truth),
        "hd95_mm": surfaces.hd95_mm if surfaces else None,
        "assd_mm": surfaces.assd_mm if surfaces else None,
        "surface_dice_2mm": surfaces.dice_within(TOLERANCE_MM) if surfaces else 0.0,
        "centroid_mm": float(np.linalg.norm((centroid(pred) - centroid(truth)) * spacing)) if surfaces else None,
        "volume_ml_pred": ml_pred,
        "volume_ml_truth": ml_truth,
        "volume_error_ml": ml_pred - ml_truth,
        "volume_error": (ml_pred - ml_truth) / ml_truth if ml_truth else None,
        "components_pred": count,
        "components_truth": count_truth,
        "holes_pred": pierced[0].result(),
        "holes_truth": pierced[1].result(),
        "false_positives": false_alarms(pieces, count, truth),
    }
