"""Whether a click lies where one would click who wanted a certain change: in the middle of the largest thing that is wrong.

People correct the worst first. An answer that changes something deeper elsewhere than at the click claims a worse error that was passed over.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

from napari_medseg.segmenters.promptable.pointed import Positions
from napari_medseg.volume import BoolArray, Spacing


def explained(change: BoolArray, at: Positions, spacing: Spacing) -> float:
    """How deep a change is at a click, within a voxel, as a share of its deepest place: 1 where that was clicked, 0 where nothing changes.

    Parameters
    ----------
    change : (z, y, x)
        What becomes inside or outside.
    at : (3,) voxel coordinates in `change`
    spacing : mm per voxel (z, y, x)
    """
    sides = [np.flatnonzero(change.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    if not len(sides[0]):
        return 0.0
    first = np.array([side[0] for side in sides])
    part = change[tuple(slice(int(side[0]), int(side[-1]) + 1) for side in sides)]
    depth = ndi.distance_transform_edt(np.pad(part, 1), sampling=spacing)
    near = depth[tuple(slice(max(0, int(a)), max(0, int(a) + 3)) for a in np.rint(at).astype(int) - first)]
    return float(near.max(initial=0.0) / depth.max())
