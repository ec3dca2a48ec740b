"""Pieces and holes of a mask, and which pieces have nothing to do with another.

Voxels belong together when they share a face, an edge or a corner (26 neighbours); the outside is joined through faces only (6), as it must be for the
two to agree. A hole is outside that cannot be reached from the edge of the grid; on a single slice that is in its plane.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_medseg.metrics.regions import flat_axes
from napari_medseg.metrics.runs import Runs, runs_of
from napari_medseg.volume import Array, BoolArray

_ALL = np.ones((3, 3, 3), bool)


def components(mask: BoolArray) -> tuple[Array, int]:
    """The pieces of a (z, y, x) mask, numbered from 1, and how many they are. To only count them, `runs.piece_count` is many times faster."""
    return ndimage.label(mask, _ALL)  # type: ignore[no-any-return]


def pieces_and_strays(mask: Runs, other: Runs) -> tuple[int, int]:
    """How many pieces a mask has, and how many of them share no voxel with another mask of its shape."""
    count, piece = mask.joined(corners=True)
    return count, count - np.unique(piece[mask.touched_by(other)]).size


def hole_count(mask: BoolArray | Runs, flat: Sequence[bool] | None = None) -> int:
    """How many closed holes a (z, y, x) mask has.

    Parameters
    ----------
    flat : (z, y, x), optional
        Which axes of the whole grid have one voxel, where the mask is cut out of it.
    """
    runs = mask if isinstance(mask, Runs) else runs_of(mask)
    z, y, x = (int(not one) for one in (flat_axes(runs.shape) if flat is None else flat))
    return max(runs.outside((z, y, x)).joined(corners=False)[0] - 1, 0)  # the rim joins what is outside


def centroid(mask: BoolArray) -> Array:
    """Mean voxel position of a mask that is not empty, (z, y, x)."""
    return runs_of(mask).centroid
