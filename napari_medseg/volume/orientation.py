"""Voxel axes turned to a known order and back, without touching a value.

The display order is I-P-L for (z, y, x): slices run towards the feet, rows to the back, columns to the patient's left. napari's default camera then
shows an axial slice as radiologists read it (front up, patient's right on the left) and 3D is not mirrored. It equals
SimpleITK's DICOMOrient(image, "LPI").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume.geometry import Geometry
from napari_medseg.volume.volume import Array, Volume

DISPLAY = "LPI"
_TURNED = 0.0872  # sine of 5 degrees
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))  # towards +x, -x; +y, -y; +z, -z in LPS


@dataclass(frozen=True, slots=True)
class AxisMap:
    """How the voxel axes of a file become those of the display, and back.

    Attributes
    ----------
    order : for each target axis (z, y, x), the source axis it comes from
    flipped : for each target axis, whether it runs the other way
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def view(self, array: Array) -> Array:
        """Source (..., z, y, x) to target without a copy: strides may be negative, which torch refuses."""
        lead = array.ndim - 3
        turned = array.transpose(*range(lead), *(lead + axis for axis in self.order))
        return np.flip(turned, tuple(lead + i for i, flip in enumerate(self.flipped) if flip))

    def apply(self, array: Array) -> Array:
        """Source (..., z, y, x) to target, contiguous."""
        return np.array(self.view(array), order="C")  # a copy: a view with one voxel along a flipped axis would keep a negative stride, which torch refuses

    def undo(self, array: Array) -> Array:
        """Target (..., z, y, x) back to source, contiguous."""
        lead = array.ndim - 3
        straight = np.flip(array, tuple(lead + i for i, flip in enumerate(self.flipped) if flip))
        back = np.argsort(self.order)
        return np.array(straight.transpose(*range(lead), *(lead + int(axis) for axis in back)), order="C")

    def geometry(self, source: Geometry) -> Geometry:
        """The grid of `apply(array)`; every voxel stays at its millimetre."""
        columns = source.matrix[:, ::-1]  # by array axis z, y, x
        signs = np.where(self.flipped, -1.0, 1.0)
        first = np.zeros(3)
        for axis, flip in zip(self.order, self.flipped, strict=True):
            first[axis] = source.shape[axis] - 1 if flip else 0
        turned = (columns[:, list(self.order)] * signs)[:, ::-1]
        return Geometry(
            shape=tuple(source.shape[a] for a in self.order),  # type: ignore[arg-type]
            spacing=tuple(source.spacing[a] for a in self.order),  # type: ignore[arg-type]
            origin=tuple(float(v) for v in source.world(first)),  # type: ignore[arg-type]
            direction=tuple(float(v) for v in turned.ravel()),
        )


def axis_map(geometry: Geometry, axes: str = DISPLAY) -> AxisMap:
    """Find the permutation and flips that bring a grid nearest to `axes`.

    Parameters
    ----------
    axes : str
        Where the x, y and z voxel axes shall point, for example "LPI" or "RAS".

    Raises
    ------
    InvalidInputError
        When `axes` does not name each patient axis once.
    """
    wanted = []  # (world axis, sign) for the target's z, y, x
    for letter in reversed(axes.upper()):
        wanted += [(axis, 1.0 if letter == pair[0] else -1.0) for axis, pair in enumerate(_LETTERS) if letter in pair]
    if len(axes) != 3 or sorted(axis for axis, _ in wanted) != [0, 1, 2]:
        raise InvalidInputError(f"'{axes}' is no orientation", where="axes", todo="Use one letter each of L/R, P/A and S/I, for example LPI")
    columns = geometry.matrix[:, ::-1]
    world_axes = [axis for axis, _ in wanted]
    best = max(permutations(range(3)), key=lambda order: sum(abs(columns[w, a]) for w, a in zip(world_axes, order, strict=True)))
    flipped = tuple(bool(columns[axis, a] * sign < 0) for (axis, sign), a in zip(wanted, best, strict=True))
    return AxisMap(best, flipped)  # type: ignore[arg-type]


def orient(volume: Volume, axes: str = DISPLAY) -> Volume:
    """The same volume with its voxel axes turned to `axes`; no value changes."""
    turn = axis_map(volume.geometry, axes)
    return replace(volume, array=turn.apply(volume.array), geometry=turn.geometry(volume.geometry))


def towards(direction: npt.ArrayLike) -> str:
    """Letters of where a direction in the patient points, the strongest first: "L", or "LA" when it is turned by more than 5 degrees.

    Parameters
    ----------
    direction : (x, y, z), LPS
    """
    vector = np.asarray(direction, float)
    length = float(np.linalg.norm(vector))
    if not length:
        return ""
    parts = vector / length
    strongest = sorted(range(3), key=lambda axis: -abs(parts[axis]))
    return "".join(_LETTERS[axis][0 if parts[axis] > 0 else 1] for axis in strongest if abs(parts[axis]) > _TURNED)


def orientation(geometry: Geometry) -> str:
    """Where the x, y, z voxel axes point to, nearest letters, e.g. "LPS"."""
    letters = []
    for column in geometry.matrix.T:
        axis = int(np.abs(column).argmax())
        letters.append(_LETTERS[axis][0 if column[axis] > 0 else 1])
    return "".join(letters)
