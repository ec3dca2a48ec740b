"""Clean-up of a label map, in physical units: close, fill, drop small pieces, keep the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Spacing
from napari_medseg.weaklabel.morphology import close_mm
from napari_medseg.weaklabel.scene import box_around, checked_labels, checked_spacing

TOUCHING = np.ones((3, 3, 3))


@dataclass(frozen=True, slots=True)
class CleanupSettings:
    """What a person can turn; done in this order.

    Attributes
    ----------
    close_mm : float
        Gaps up to twice this are closed; 0 closes none.
    fill : bool
        Fill holes, slice by slice, that the class encloses.
    min_ml : float
        Pieces smaller than this go; 0 keeps all.
    largest : bool
        Only the largest piece of each class stays.
    """

    close_mm: float = 0.0
    fill: bool = False
    min_ml: float = 0.0
    largest: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.close_mm < np.inf or not 0 <= self.min_ml < np.inf:
            raise InvalidInputError("sizes are zero or more", where="clean-up", todo="Give millimetres and millilitres, zero or more")


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """What came of it.

    Attributes
    ----------
    labels : uint8 or uint16 (z, y, x)
    removed_components : int
        Pieces that were dropped, all classes together.
    """

    labels: npt.NDArray[Any]
    removed_components: int


def clean(labels: npt.NDArray[Any], spacing: Spacing, settings: CleanupSettings = CleanupSettings()) -> Cleaned:
    """Clean every class on its own; what closing or filling adds never takes a voxel from another class.

    Parameters
    ----------
    labels : unsigned whole numbers (z, y, x); 0 is background
    spacing : mm per voxel (z, y, x)

    Raises
    ------
    InvalidInputError
        When the labels are not a 3D map of whole numbers.
    """
    checked_labels(labels)
    spacing = checked_spacing(spacing)
    voxel_ml = float(np.prod(spacing)) / 1000
    out, removed = labels.copy(), 0
    for value in (v for v in np.unique(labels) if v > 0):
        mask = out == value
        if not mask.any():
            continue
        box = box_around(mask, 2 * settings.close_mm, spacing)
        part, grown = out[box], mask[box]
        grown = close_mm(grown, settings.close_mm, spacing)
        if settings.fill:
            grown = np.stack([ndi.binary_fill_holes(plane) for plane in grown])
        part[grown & (part == 0)] = value
        pieces, count = ndi.label(part == value, TOUCHING)
        sizes = np.bincount(pieces.ravel())[1:]
        stay = sizes * voxel_ml >= settings.min_ml
        if settings.largest:
            stay &= np.arange(count) == sizes.argmax()
        part[(pieces > 0) & ~np.concatenate([[True], stay])[pieces]] = 0
        removed += int((~stay).sum())
    return Cleaned(out, removed)


