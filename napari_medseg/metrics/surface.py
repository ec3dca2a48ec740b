"""Distances between the surfaces of two masks, in millimetres.

A surface is the mask's voxels that touch the outside through a face; distances run between voxel centres. The outside begins at the edge of the grid,
so a mask cut off there has a surface there. An axis of one voxel is no axis: a single slice is measured in its plane. Percentiles interpolate linearly.
These are MONAI's conventions (compute_hausdorff_distance, compute_average_surface_distance symmetric, compute_surface_dice), so figures compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from napari_medseg.metrics.overlap import require_same_shape
from napari_medseg.volume import Array, BoolArray, Spacing


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceDistances:
    """Every surface voxel's way to the other surface.

    Attributes
    ----------
    to_truth : float (n,) mm
        From each surface voxel of the prediction to the nearest one of the truth.
    to_pred : float (m,) mm
        And back.
    """

    to_truth: npt.NDArray[np.float64]
    to_pred: npt.NDArray[np.float64]

    @property
    def hd95_mm(self) -> float:
        """Hausdorff distance at the 95th percentile: the larger of both directions'."""
        return float(max(np.percentile(self.to_truth, 95), np.percentile(self.to_pred, 95)))

    @property
    def assd_mm(self) -> float:
        """Average symmetric surface distance: the mean over the voxels of both surfaces together."""
        return float(np.concatenate([self.to_truth, self.to_pred]).mean())

    def dice_within(self, tolerance_mm: float) -> float:
        """Surface Dice: the share of both surfaces' voxels that lie within the tolerance of the other (Nikolov et al., JMIR 2021)."""
        near = np.count_nonzero(self.to_truth <= tolerance_mm) + np.count_nonzero(self.to_pred <= tolerance_mm)
        return float(near / (self.to_truth.size + self.to_pred.size))


def surface_distances(pred: Array, truth: Array, spacing: Spacing) -> SurfaceDistances | None:
    """Distances between two surfaces.

    Parameters
    ----------
    pred, truth : (z, y, x) of one shape
        Every value but 0 is inside.
    spacing : (z, y, x) mm

    Returns
    -------
    SurfaceDistances or None
        None when either mask is empty: there is no distance to nothing.

    Raises
    ------
    InvalidInputError
        When the shapes differ.
    """
    require_same_shape(pred, truth)
    pred, truth = pred != 0, truth != 0
    if not pred.any() or not truth.any():
        return None
    step = np.array([s for s, n in zip(spacing, pred.shape, strict=True) if n > 1] or [1.0])
    ends = [np.argwhere(_surface(mask.reshape([n for n in mask.shape if n > 1] or [1]))) * step for mask in (pred, truth)]
    # A tree of the surface's points gives the distances that a distance transform of the whole box would, in a tenth of its time.
    to_pred, to_truth = (cKDTree(points, balanced_tree=False, compact_nodes=False) for points in ends)
    return SurfaceDistances(to_truth.query(ends[0], workers=-1)[0], to_pred.query(ends[1], workers=-1)[0])


def _surface(mask: BoolArray) -> BoolArray:
    """The voxels that touch the outside, or the edge of the array, through a face."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        here, towards = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        here[1:] &= towards[:-1]
        here[:-1] &= towards[1:]
        here[0] = here[-1] = False
    return mask & ~inner
