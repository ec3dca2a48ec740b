"""From a header's axes to a Geometry, with the file named when they cannot be one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.volume import Geometry, Shape

Matrix = npt.NDArray[np.float64]

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From right-anterior-superior to left-posterior-superior and back."""

LIMITS_MM = (1e-7, 1e6)
SAME_VOXELS = 0.01


def grid(shape: Shape, affine: Matrix, path: Path) -> Geometry:
    """A grid from its affine.

    Parameters
    ----------
    shape : (z, y, x)
    affine : 4x4, from voxel (x, y, z) to LPS mm
    path : Path
        What an error names.

    Raises
    ------
    UnreadableFileError
        When a spacing cannot be, or the axes are sheared.
    """
    with np.errstate(all="ignore"):
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        require_spacing(spacing, path)
        direction = affine[:3, :3] / spacing
    x, y, z = (float(v) + 0.0 for v in affine[:3, 3])
    try:
        return Geometry(shape, tuple(float(s) for s in spacing[::-1]), (x, y, z), tuple(float(v) + 0.0 for v in direction.ravel()))  # type: ignore[arg-type]
    except InvalidInputError as error:
        raise UnreadableFileError(error.what, where=path, todo=error.todo) from error


def require_spacing(spacing: npt.ArrayLike, path: Path) -> None:
    """Refuse a spacing (x, y, z in mm) that no scanner gives: it would have to be guessed.

    Raises
    ------
    UnreadableFileError
        When it is not finite, or beyond `LIMITS_MM`.
    """
    values = np.abs(np.asarray(spacing, float))
    if not np.isfinite(values).all() or (values < LIMITS_MM[0]).any() or (values > LIMITS_MM[1]).any():
        told = " x ".join(f"{s:g}" for s in np.asarray(spacing, float))
        raise UnreadableFileError(f"its header gives a voxel spacing of {told} mm", where=path, todo="Correct the spacing, or export it again")


def is_straight(affine: Matrix) -> bool:
    """Whether the axes of an affine are at right angles, and none is without length."""
    with np.errstate(all="ignore"):
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        return bool(np.isfinite(affine).all() and np.allclose(axes.T @ axes, np.eye(3), atol=1e-3))


def flat(direction: Matrix) -> Matrix:
    """The 3x3 of a 2D image's 2x2: the third axis along z, so that a mirrored image stays what it is."""
    matrix = np.eye(3)
    matrix[:2, :2] = direction
    if np.linalg.det(matrix) < 0:
        matrix[2, 2] = -1.0
    return matrix


def apart_mm(shape: Shape, a: Matrix, b: Matrix) -> float:
    """How far the corners of a grid lie apart under two affines, at most."""
    far = np.array(shape[::-1], float) - 1
    corners = np.array([[(k >> i & 1) * far[i] for i in range(3)] + [1.0] for k in range(8)])
    return float(np.linalg.norm((corners @ (a - b).T)[:, :3], axis=1).max())
