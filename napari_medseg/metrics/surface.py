"""Distances between the surfaces of two masks, in millimetres.

A surface is the mask's voxels that touch the outside through a face; distances run between voxel centres. The outside begins at the edge of the grid,
so a mask cut off there has a surface there. An axis of one voxel is no axis: a single slice is measured in its plane. Percentiles interpolate linearly.
These are MONAI's conventions (compute_hausdorff_distance, compute_average_surface_distance symmetric, compute_surface_dice), so figures compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from napari_medseg.metrics.overlap import require_same_shape
from napari_medseg.metrics.regions import flat_axes
from napari_medseg.metrics.runs import Runs, runs_of
from napari_medseg.volume import Array, Spacing

TOLERANCE_MM = 2.0
_LEAF = 64  # points a leaf; the quickest of 6 to 100 for neighbours on a surface


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """The surface of one mask, made once however many others it is compared with.

    Attributes
    ----------
    points : float (n, axes) mm
    tree : cKDTree of the points
    """

    points: npt.NDArray[np.float64]
    tree: cKDTree


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


def surface_distances(pred: Array | Runs, truth: Array | Runs, spacing: Spacing, flat: Sequence[bool] | None = None) -> SurfaceDistances | None:
    """Distances between two surfaces.

    Parameters
    ----------
    pred, truth : (z, y, x) of one shape, or their runs
        Every value but 0 is inside.
    spacing : (z, y, x) mm
    flat : (z, y, x), optional
        Which axes of the whole grid have one voxel, where the masks are cut out of it.

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
    found = [surface(mask, spacing, flat) for mask in (pred, truth)]
    return None if found[0] is None or found[1] is None else between(found[0], found[1])


def surface(mask: Array | Runs, spacing: Spacing, flat: Sequence[bool] | None = None) -> Surface | None:
    """The surface of a mask; None of an empty one. As `surface_distances`."""
    runs = mask if isinstance(mask, Runs) else runs_of(mask != 0)
    if not runs.row.size:
        return None
    flat = flat_axes(runs.shape) if flat is None else flat
    kept = [axis for axis in range(3) if not flat[axis]] or [2]
    points = runs.shell([axis not in kept for axis in range(3)]).points()[:, kept] * np.array(spacing)[kept]
    # A tree of the surface's points gives the distances that a distance transform of the whole box would, in a tenth of its time.
    return Surface(points, cKDTree(points, leafsize=_LEAF, balanced_tree=False, compact_nodes=False))


def between(pred: Surface, truth: Surface) -> SurfaceDistances:
    """Distances between two surfaces on one grid."""
    return SurfaceDistances(truth.tree.query(pred.points, workers=-1)[0], pred.tree.query(truth.points, workers=-1)[0])
