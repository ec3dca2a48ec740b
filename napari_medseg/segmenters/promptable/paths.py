"""A second opinion that listens to every prompt: which voxels are nearer to what says inside than to what says outside, along even tissue.

Geodesic distances as in geodesic scribbles (Criminisi et al., GeoS, ECCV 2008), the faces of the window, or of the scan where that ends first, counting as
outside: what was clicked on lies well within them. It needs no training, and is at its best where the network is not: in even objects with clear outlines.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import numpy as np
import torch

from napari_medseg.segmenters.promptable.encode import Marks
from napari_medseg.segmenters.promptable.geodesic import geodesic, smooth
from napari_medseg.segmenters.promptable.grid import Grid
from napari_medseg.volume import BoolArray, FloatArray

LENGTH = 0.01  # what a voxel of even tissue costs; a change of one standard deviation of the window costs 1
SMOOTH = 0.5  # standard deviation of the smoothing before, voxels
SEEDED = 0.5  # a mark at least this strong is where paths begin
WEIGHT = 2.0  # logit where one is e times nearer than the other
THIN = 3  # slices below which a scan has no border along them
MOST = 4.0  # logit at most


def nearest(image: FloatArray, drawn: Marks, grid: Grid, shape: tuple[int, ...]) -> FloatArray:
    """How much nearer inside is than outside, as a logit.

    Parameters
    ----------
    image : float32 (side, side, side)
        On the working grid.
    shape : (z, y, x)
        Of the scan.
    """
    values = torch.from_numpy(image)[None]
    values = smooth((values - values.mean()) / values.std().clamp_min(1e-12), SMOOTH)
    inside = torch.maximum(drawn.positive_points, drawn.positive_strokes) >= SEEDED
    outside = (torch.maximum(drawn.negative_points, drawn.negative_strokes) >= SEEDED) | (torch.from_numpy(_beyond(grid, shape)) & ~inside)
    if not inside.any():
        return np.zeros_like(image)
    near, far = geodesic(values, torch.stack([inside, outside])[None], length_cost=LENGTH)[0]
    return np.asarray((WEIGHT * torch.log((far + LENGTH) / (near + LENGTH))).clamp(-MOST, MOST).numpy())


def _beyond(grid: Grid, shape: tuple[int, ...]) -> BoolArray:
    """The faces of the window, or of the scan and what lies beyond; a scan of a few slices has no border before and behind."""
    beyond = np.zeros((grid.side,) * 3, bool)
    for axis, length in enumerate(shape):
        if length < THIN:
            continue
        at = grid.outside(np.arange(grid.side)[:, None] * np.eye(3)[axis])[:, axis]
        step = grid.spacing / grid.scan[axis]
        edge = (at <= max(0.0, at[0]) + step / 2) | (at >= min(length - 1.0, at[-1]) - step / 2)
        beyond |= edge.reshape([-1 if a == axis else 1 for a in range(3)])
    return beyond
