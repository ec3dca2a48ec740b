"""All figures of a label map against the truth, class by class, each on the part of the grid that the class takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics.overlap import Overlap, require_same_shape
from napari_medseg.metrics.pieces import hole_count, pieces_and_strays
from napari_medseg.metrics.regions import around, boxes_of, flat_axes, require_label_map
from napari_medseg.metrics.runs import runs_of
from napari_medseg.metrics.surface import TOLERANCE_MM, surface_distances
from napari_medseg.volume import Array, BoolArray, Spacing

Figures = dict[str, float | None]


def surface_dice_name(tolerance_mm: float) -> str:
    """What surface Dice at a tolerance is called: surface_dice_2mm, surface_dice_0.5mm."""
    return f"surface_dice_{tolerance_mm:g}mm"


def measure(pred: Array, truth: Array, spacing: Spacing, tolerance_mm: float = TOLERANCE_MM) -> dict[str, Figures]:
    """Compare two label maps.

    Parameters
    ----------
    pred, truth : integers or bool, (z, y, x) of one shape
        0 is background; every other value is a class.
    spacing : (z, y, x) mm
    tolerance_mm : float
        Surface Dice at this tolerance is given too where it is not 2 mm, such as `surface_dice_3mm`.

    Returns
    -------
    dict
        For each class in either map, under its value as a string: dice, iou, precision, recall, hd95_mm, assd_mm, surface_dice_2mm, centroid_mm (distance of
        the centres of mass), volume_ml_pred, volume_ml_truth, volume_error_ml (signed), volume_error (signed share of the truth), components_pred,
        components_truth, holes_pred, holes_truth, false_positives (pieces of the prediction that touch no true voxel), missed (true pieces that no predicted
        voxel touches). Where a class is in one map only: dice, iou and surface Dice 0, distances None, and None for what is 0/0 (precision of no prediction,
        recall and volume error of no truth).

    Raises
    ------
    InvalidInputError
        When the shapes differ, a map is not (z, y, x) or holds anything but whole numbers, or the tolerance is no distance.
    """
    require_same_shape(pred, truth)
    if not 0 <= tolerance_mm < math.inf:
        raise InvalidInputError(f"{tolerance_mm:g} mm is no tolerance", where="tolerance", todo="Give a distance of 0 mm or more")
    tolerances = dict.fromkeys((TOLERANCE_MM, float(tolerance_mm)))
    require_label_map(pred, "pred")
    require_label_map(truth, "truth")
    predicted, true, flat = boxes_of(pred), boxes_of(truth), flat_axes(pred.shape)
    figures = {}
    for value in sorted(predicted.keys() | true.keys()):
        box = around([boxes[value] for boxes in (predicted, true) if value in boxes])
        figures[str(value)] = _figures(pred[box] == value, truth[box] == value, spacing, flat, tuple(tolerances))
    return figures


def _figures(pred: BoolArray, truth: BoolArray, spacing: Spacing, flat: tuple[bool, ...], tolerances: Sequence[float]) -> Figures:
    found, real = runs_of(pred), runs_of(truth)
    surfaces = surface_distances(found, real, spacing, flat)
    shared = Overlap(found.overlap(real), found.voxels, real.voxels)
    pieces, strays = pieces_and_strays(found, real)
    true_pieces, missed = pieces_and_strays(real, found)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    ml_pred, ml_truth = shared.pred * voxel_ml, shared.truth * voxel_ml
    return {
        "dice": shared.dice,
        "iou": shared.iou,
        "precision": shared.precision,
        "recall": shared.recall,
        "hd95_mm": surfaces.hd95_mm if surfaces else None,
        "assd_mm": surfaces.assd_mm if surfaces else None,
        **{surface_dice_name(mm): surfaces.dice_within(mm) if surfaces else 0.0 for mm in tolerances},
        "centroid_mm": float(np.linalg.norm((found.centroid - real.centroid) * spacing)) if surfaces else None,
        "volume_ml_pred": ml_pred,
        "volume_ml_truth": ml_truth,
        "volume_error_ml": ml_pred - ml_truth,
        "volume_error": (ml_pred - ml_truth) / ml_truth if ml_truth else None,
        "components_pred": pieces,
        "components_truth": true_pieces,
        "holes_pred": hole_count(found, flat),
        "holes_truth": hole_count(real, flat),
        "false_positives": strays,
        "missed": missed,
    }
