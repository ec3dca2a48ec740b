"""Seed points: from the patient's millimetres to the voxels of a scan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError, NoSeedsError
from napari_medseg.volume import Geometry, format_shape


def seed_voxels(points_lps: npt.ArrayLike, geometry: Geometry) -> npt.NDArray[np.intp]:
    """The voxels that hold the points.

    Parameters
    ----------
    points_lps : (n, 3) LPS mm as x, y, z
    geometry : Geometry
        Of the scan.

    Returns
    -------
    int array, (n, 3) as z, y, x
        In the order given.

    Raises
    ------
    NoSeedsError
        When there is no point.
    InvalidInputError
        When a point is not three finite numbers or lies outside the scan; names the point.
    """
    points = np.asarray(points_lps, dtype=float)
    if points.size == 0:
        raise NoSeedsError("no seed point was given", where="seeds", todo="Click three to five points inside the organ")
    points = np.atleast_2d(points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InvalidInputError("a seed is three numbers: x, y, z in mm", where="seeds", todo='Write {"points": [[x, y, z], ...]}')
    fault = ~np.isfinite(points).all(axis=1)
    if fault.any():
        raise InvalidInputError(f"seed {int(fault.argmax()) + 1} is not a finite number", where="seeds", todo="Place it again")
    voxels = np.rint(geometry.voxel(points))
    outside = ~geometry.contains(voxels)
    if outside.any():
        first = int(outside.argmax())
        where = ", ".join(f"{v:.1f}" for v in points[first])
        raise InvalidInputError(
            f"seed {first + 1} at ({where}) mm lies outside the scan of {format_shape(geometry.shape)} voxels",
            where="seeds",
            todo="Give LPS millimetres (x to the left, y to the back, z to the head) inside the scan",
        )
    return voxels.astype(np.intp)
