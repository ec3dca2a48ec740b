"""A front that moves a few iterations at a time: ITK's sparse-field level sets, fed their own output.

Inside is negative, as in ITK. ITK runs to the end in one call; handing the level set back lets a person watch, steer and stop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

from napari_medseg.volume import BoolArray, FloatArray, Spacing

THINNEST = 4


def signed_distance(mask: BoolArray, spacing: Spacing) -> FloatArray:
    """Distance to the mask's surface in mm, negative inside; an empty or full mask is far from any surface."""
    far = float(np.linalg.norm(np.array(mask.shape) * spacing))
    if not mask.any():
        return np.full(mask.shape, far, np.float32)
    if mask.all():
        return np.full(mask.shape, -far, np.float32)
    outside, inside = (ndi.distance_transform_edt(side, sampling=spacing) for side in (~mask, mask))
    half = min(spacing) / 2  # a surface lies between voxels
    return np.asarray(np.where(mask, half - inside, outside - half), np.float32)


def advance_region(front: FloatArray, membership: FloatArray, spacing: Spacing, iterations: int, curvature: float) -> FloatArray:
    """Move the front by membership - 1/2: out where the target is likely, in where it is not (Lefohn et al., 2003).

    Parameters
    ----------
    front : float32 (z, y, x), negative inside
    membership : float32 (z, y, x), 0-1
    curvature : float
        Weight of the surface tension against the speed, in mm.
    """
    flow = sitk.ThresholdSegmentationLevelSetImageFilter()
    flow.SetLowerThreshold(0.5)
    flow.SetUpperThreshold(1.5)  # the speed is min(x - lower, upper - x), so for memberships it is x - 1/2
    flow.SetPropagationScaling(1.0)
    flow.SetCurvatureScaling(curvature)
    flow.SetMaximumRMSError(0.0)
    flow.SetNumberOfIterations(iterations)
    return _run(flow, front, membership, spacing)


def advance_edge(front: FloatArray, stopping: FloatArray, spacing: Spacing, iterations: int, curvature: float, balloon: float) -> FloatArray:
    """Move the front towards edges (geodesic active contours, Caselles et al., 1997).

    Parameters
    ----------
    stopping : float32 (z, y, x)
        1 where the image is flat, 0 on an edge.
    balloon : float
        Pushes out (> 0) or in (< 0) where the image is flat.
    """
    flow = sitk.GeodesicActiveContourLevelSetImageFilter()
    flow.SetPropagationScaling(balloon)
    flow.SetCurvatureScaling(curvature)
    flow.SetAdvectionScaling(1.0)
    flow.SetMaximumRMSError(0.0)
    flow.SetNumberOfIterations(iterations)
    return _run(flow, front, stopping, spacing)


def held(front: FloatArray, allowed: BoolArray, kept: BoolArray, spacing: Spacing) -> FloatArray:
    """The front kept off what is not allowed and on what must stay inside."""
    half = min(spacing) / 2
    bounded = np.where(allowed, front, np.maximum(front, half))
    return np.asarray(np.where(kept, np.minimum(bounded, -half), bounded), np.float32)


def _run(flow: Any, front: FloatArray, feature: FloatArray, spacing: Spacing) -> FloatArray:
    """ITK's filters want four voxels along each axis: a thin slab is continued beyond its faces, where nothing changes."""
    pad = [(0, 0) if n >= THINNEST else (THINNEST, THINNEST) for n in front.shape]
    core = tuple(slice(a, a + n) for (a, _), n in zip(pad, front.shape, strict=True))
    padded = (sitk.GetImageFromArray(np.ascontiguousarray(np.pad(array, pad, mode="edge"), np.float32)) for array in (front, feature))
    images = []
    for image in padded:
        image.SetSpacing(spacing[::-1])
        images.append(image)
    return np.asarray(sitk.GetArrayFromImage(flow.Execute(*images))[core], np.float32)
