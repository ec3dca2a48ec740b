"""Where voxels lie in the patient.

World points are LPS millimetres as x, y, z (DICOM, ITK). Arrays, shapes, spacings and voxel indices are z, y, x (NumPy).
The two orders meet in this file only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError

Spacing = tuple[float, float, float]
Shape = tuple[int, int, int]

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE_DEGREES = 0.1


@dataclass(frozen=True, slots=True)
class Geometry:
    """The grid a volume or a mask is sampled on.

    Attributes
    ----------
    shape : (z, y, x) voxels
    spacing : (z, y, x) mm
    origin : (x, y, z) LPS mm of the centre of voxel [0, 0, 0]
    direction : nine floats, row-major 3x3; its columns are the world directions of the x, y and z voxel axes

    Raises
    ------
    InvalidInputError
        When a number is not finite, a spacing is not positive, or the direction is not orthonormal (shear cannot be kept).
    """

    shape: Shape
    spacing: Spacing = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY

    def __post_init__(self) -> None:
        numbers = np.array([*self.spacing, *self.origin, *self.direction], dtype=float)
        if len(self.shape) != 3 or len(self.spacing) != 3 or len(self.origin) != 3 or len(self.direction) != 9:
            raise InvalidInputError("a grid has three axes", where="geometry", todo="Give a 3D volume")
        if min(self.shape) < 1:
            raise InvalidInputError(f"a grid of {format_shape(self.shape)} voxels is empty", where="geometry")
        if not np.isfinite(numbers).all() or min(self.spacing) <= 0:
            raise InvalidInputError("spacing, origin or direction is not a usable number", where="geometry", todo="Repair the file's header")
        matrix = self.matrix
        if not np.allclose(matrix.T @ matrix, np.eye(3), atol=1e-3):
            raise InvalidInputError("the axes are sheared, not at right angles", where="geometry", todo="Resample the scan to a straight grid first")

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """Direction cosines, 3x3; columns are the voxel axes x, y, z in LPS."""
        return np.array(self.direction, dtype=float).reshape(3, 3)

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """4x4 from voxel (x, y, z) to LPS mm (x, y, z)."""
        affine = np.eye(4)
        affine[:3, :3] = self.matrix * np.array(self.spacing[::-1])
        affine[:3, 3] = self.origin
        return affine

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def is_oblique(self) -> bool:
        """Whether the grid is turned against the patient's axes by more than a tenth of a degree."""
        return bool(np.abs(self.matrix).max(axis=0).min() < np.cos(np.deg2rad(OBLIQUE_DEGREES)))

    def world(self, voxels: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """LPS mm, (..., 3) as x, y, z, of voxel positions (..., 3) as z, y, x; fractions are allowed."""
        xyz = np.asarray(voxels, dtype=float)[..., ::-1]
        return np.asarray(xyz @ self.affine[:3, :3].T + self.affine[:3, 3])

    def voxel(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Fractional voxel positions, (..., 3) as z, y, x, of LPS mm (..., 3) as x, y, z."""
        offset = np.asarray(points, dtype=float) - self.affine[:3, 3]
        return np.asarray(offset @ np.linalg.inv(self.affine[:3, :3]).T)[..., ::-1]

    def contains(self, voxels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether voxel positions (..., 3) as z, y, x round to a voxel of the grid."""
        nearest = np.rint(np.asarray(voxels, dtype=float))
        return np.asarray(((nearest >= 0) & (nearest < np.array(self.shape))).all(axis=-1))

    def corners(self) -> npt.NDArray[np.float64]:
        """LPS mm of the eight corner voxel centres, (8, 3)."""
        return self.world(np.array(list(product(*((0, n - 1) for n in self.shape)))))

    def matches(self, other: Geometry, tolerance: float = 0.01) -> bool:
        """Whether both grids have the same shape and corners within `tolerance` voxels."""
        if self.shape != other.shape:
            return False
        here = np.array(list(product(*((0, n - 1) for n in self.shape))))
        return bool(np.abs(self.voxel(other.corners()) - here).max() <= tolerance)

    def cropped(self, box: tuple[slice, slice, slice]) -> Self:
        """The grid of `array[box]`; the slices have a start, a stop and no step."""
        start = [part.start or 0 for part in box]
        stop = [n if part.stop is None else part.stop for part, n in zip(box, self.shape, strict=True)]
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        x, y, z = (float(v) for v in self.world(start))
        return type(self)(shape, self.spacing, (x, y, z), self.direction)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Shape and spacing as a person reads them: x by y by z."""
        return f"{format_shape(self.shape)} voxels of {' x '.join(f'{s:.4g}' for s in self.spacing[::-1])} mm"


def format_shape(shape: tuple[int, ...]) -> str:
    """Size as x by y by z, as scanners and viewers write it."""
    return " x ".join(str(n) for n in shape[::-1])
