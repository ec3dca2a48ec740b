"""Closing and islands, in millimetres: a ball stays a ball on voxels of 0.7 x 0.7 x 5 mm."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

from napari_medseg.volume import BoolArray, Spacing
from napari_medseg.weaklabel.scene import distance_to

ISLAND_SHARE = 0.02


def close_mm(mask: BoolArray, radius_mm: float, spacing: Spacing) -> BoolArray:
    """Dilate, then erode, by a ball; the border of the array erodes nothing."""
    if radius_mm <= 0 or not mask.any():
        return mask
    pad = [int(np.ceil(radius_mm / s)) + 1 for s in spacing]
    wide = np.pad(mask, [(p, p) for p in pad])
    grown = distance_to(wide, spacing) <= radius_mm
    shrunk = distance_to(~grown, spacing) > radius_mm
    return np.asarray(shrunk[tuple(slice(p, -p) for p in pad)]) | mask


def drop_islands(mask: BoolArray, kept: BoolArray, share: float = ISLAND_SHARE) -> BoolArray:
    """Without pieces smaller than a share of the largest, unless they hold a kept voxel."""
    pieces, count = ndi.label(mask, np.ones((3, 3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    stay = sizes >= share * sizes.max()
    stay[np.unique(pieces[kept])] = True
    stay[0] = False
    return np.asarray(stay[pieces])
