"""Volumes on another grid, by their millimetres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from napari_medseg.volume.geometry import Geometry, Spacing
from napari_medseg.volume.volume import Array, Volume


def to_sitk(array: Array, geometry: Geometry) -> sitk.Image:
    """A SimpleITK image of one channel (z, y, x) on its grid; bool becomes uint8."""
    image = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    return image


def resample(volume: Volume, target: Geometry, *, labels: bool = False, fill: float = 0.0) -> Volume:
    """Sample a volume on another grid.

    Parameters
    ----------
    labels : bool
        Nearest neighbour, so that no class appears that was not there; else linear.
    fill : float
        Value outside the source.

    Returns
    -------
    Volume
        On `target`, same dtype and channels.
    """
    method = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    dtype = volume.array.dtype

    def one(channel: Array) -> Array:
        source = to_sitk(channel, volume.geometry)
        grid = sitk.Resample(source, target.shape[::-1], sitk.Transform(), method, target.origin, target.spacing[::-1], target.direction, fill)
        return np.asarray(sitk.GetArrayFromImage(grid)).astype(dtype)

    array = one(volume.array) if volume.array.ndim == 3 else np.stack([one(c) for c in volume.array])
    return replace(volume, array=array, geometry=target)


def respaced(geometry: Geometry, spacing: Spacing) -> Geometry:
    """The grid with another spacing (z, y, x in mm) that covers the same box of whole voxels."""
    old = np.array(geometry.spacing)
    new = np.array(spacing, dtype=float)
    shape = np.maximum(1, np.rint(np.array(geometry.shape) * old / new)).astype(int)
    first = (new / old - 1) / 2  # the outer faces stay, so the first centre moves by half the difference
    return Geometry(
        shape=tuple(int(n) for n in shape),  # type: ignore[arg-type]
        spacing=tuple(float(s) for s in new),  # type: ignore[arg-type]
        origin=tuple(float(v) for v in geometry.world(first)),  # type: ignore[arg-type]
        direction=geometry.direction,
    )
