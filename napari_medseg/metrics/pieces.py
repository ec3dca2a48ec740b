"""Pieces and holes of a mask, and which pieces of a prediction are false alarms.

Voxels belong together when they share a face, an edge or a corner (26 neighbours); the outside is joined through faces only (6), as it must be for the
two to agree. A hole is outside that reaches no edge of the mask's box.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_medseg.volume import Array, BoolArray

_ALL = np.ones((3, 3, 3), bool)


def components(mask: BoolArray) -> tuple[Array, int]:
    """The pieces of a (z, y, x) mask, numbered from 1, and how many they are."""
    return ndimage.label(mask, _ALL)  # type: ignore[no-any-return]


def hole_count(mask: BoolArray) -> int:
    """How many closed holes a (z, y, x) mask has; on a single slice, holes in its plane."""
    rim = [(int(mask.shape[0] > 1),) * 2, (1, 1), (1, 1)]
    return int(ndimage.label(np.pad(~mask, rim, constant_values=True))[1]) - 1  # the rim joins what is outside


def false_alarms(pieces: Array, count: int, truth: BoolArray) -> int:
    """How many of the numbered pieces of a prediction touch no true voxel."""
    return count - int(np.count_nonzero(np.unique(pieces[truth])))


def centroid(mask: BoolArray) -> Array:
    """Mean voxel position of a mask that is not empty, (z, y, x)."""
    return np.array([np.arange(n) @ mask.sum(tuple(a for a in range(3) if a != axis)) for axis, n in enumerate(mask.shape)]) / np.count_nonzero(mask)
