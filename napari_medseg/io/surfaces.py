"""The surface of a labelled structure as triangles in LPS millimetres.

Marching cubes on a mask gives a closed surface with steps; Taubin's filter ("A signal processing approach to fair surface design", SIGGRAPH 1995, eq. 14)
takes the steps away and, unlike plain smoothing, does not shrink it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, Geometry

SHRINK, GROW = 0.5, -0.526  # pass band 0.1, as 1 / SHRINK + 1 / GROW
ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Surface:
    """A closed surface.

    Attributes
    ----------
    points : float64 (n, 3)
        x, y, z in LPS mm.
    triangles : int (m, 3)
        Indices of points, counter-clockwise seen from outside.
    """

    points: npt.NDArray[np.float64]
    triangles: npt.NDArray[np.int64]

    @property
    def volume_ml(self) -> float:
        """What it encloses, by the divergence theorem."""
        corners = self.points[self.triangles] - self.points.mean(axis=0)
        return float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6000

    @property
    def normals(self) -> npt.NDArray[np.float64]:
        """Outward unit normals of the triangles, (m, 3); 0 for a triangle without area."""
        corners = self.points[self.triangles]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(across, axis=1, keepdims=True)
        return np.asarray(across / np.where(length > 0, length, 1))


def surface(mask: BoolArray, geometry: Geometry, *, smooth: bool = True) -> Surface:
    """The surface around the voxels of a mask.

    Parameters
    ----------
    mask : bool (z, y, x)
        At least one voxel is set.
    geometry : Geometry
        Of the mask; may be oblique or left-handed.
    smooth : bool
        Whether the steps between voxels are smoothed.
    """
    from skimage.measure import marching_cubes

    box = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(there[0]), int(there[-1]) + 1))
    padded = np.pad(mask[tuple(box)], 1).astype(np.float32)
    voxels, triangles, _, _ = marching_cubes(padded, 0.5, allow_degenerate=False)
    voxels, triangles = voxels.astype(np.float64), _without_films(triangles.astype(np.int64))
    if smooth:
        voxels = _taubin(voxels, triangles)
    points = geometry.world(voxels + [part.start - 1 for part in box])
    found = Surface(points, triangles)
    return found if found.volume_ml > 0 else Surface(points, triangles[:, ::-1])


def _without_films(triangles: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Leave out pairs of triangles that lie on each other, which marching cubes makes in tunnels between voxels; the rest is closed without them."""
    _, which, count = np.unique(np.sort(triangles, axis=1), axis=0, return_inverse=True, return_counts=True)
    return np.asarray(triangles[count[which.ravel()] == 1])


def _taubin(points: npt.NDArray[np.float64], triangles: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Move every point towards the mean of its neighbours and back beyond, in turns."""
    from scipy.sparse import coo_matrix

    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    both = np.concatenate([edges, edges[:, ::-1]])
    weights = coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(len(points), len(points))).tocsr()
    weights.data[:] = 1.0
    count = np.maximum(np.asarray(weights.sum(axis=1)), 1)
    for _ in range(ROUNDS):
        for step in (SHRINK, GROW):
            points = points + step * (weights @ points / count - points)
    return points
