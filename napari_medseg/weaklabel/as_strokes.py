"""Any mask seeds the scribbles: the core of each class as its stroke, a shell around them all as background."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import NoLabelsError
from napari_medseg.volume import BoolArray, LabelArray, Spacing
from napari_medseg.weaklabel.scene import Box, box_around, checked_labels, checked_spacing

CORE = 0.5
AWAY_MM = 6.0


def as_strokes(labels: npt.NDArray[Any], spacing: Spacing, *, core: float = CORE, away_mm: float = AWAY_MM) -> tuple[Box, LabelArray]:
    """Strokes that say where a label map is sure.

    Parameters
    ----------
    labels : unsigned whole numbers (z, y, x); 0 is background
    spacing : mm per voxel (z, y, x)
    core : float
        Of each piece, what lies deeper than this share of its depth is sure to belong to its class.
    away_mm : float
        What lies this far from every class is sure to be background; a shell one voxel thick is enough.

    Returns
    -------
    (box, strokes)
        uint8 strokes of a box around the labels; outside it there are none.

    Raises
    ------
    NoLabelsError
        When the map is empty.
    """
    checked_labels(labels)
    spacing = checked_spacing(spacing)
    if not labels.any():
        raise NoLabelsError("there is no label to take strokes from", where="labels", todo="Accept a preview or paint a label first")
    box = box_around(labels > 0, away_mm + 2 * max(spacing), spacing)
    part = labels[box]
    strokes = np.zeros(part.shape, np.uint8)
    for value in (v for v in np.unique(part) if v):
        strokes[_core(part == value, spacing, core)] = value
    near = np.asarray(ndi.distance_transform_edt(part == 0, sampling=spacing) < away_mm)
    strokes[ndi.binary_dilation(near) & ~near] = BACKGROUND
    return box, strokes


def _core(mask: BoolArray, spacing: Spacing, share: float) -> BoolArray:
    depth = ndi.distance_transform_edt(mask, sampling=spacing)
    pieces, count = ndi.label(mask, np.ones((3, 3, 3)))
    deepest = np.concatenate([[np.inf], np.atleast_1d(ndi.maximum(depth, pieces, np.arange(1, count + 1)))])
    return np.asarray(depth >= share * deepest[pieces], bool)
