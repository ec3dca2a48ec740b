"""Where the voxels of a NIfTI file lie: which of its two orientations counts.

The rule: the sform when its code is set and its axes are at right angles; else the qform when its code is set. Sheared axes in both are refused. When
neither is set, left and right are not known, which is said, and the file is taken as SPM, FSL and nibabel take it.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.grids import RAS, SAME_VOXELS, Matrix, apart_mm, is_straight, require_spacing
from napari_medseg.io.niftiheader import Header
from napari_medseg.volume import Shape

UNORIENTED = "the file does not say how the patient lies: left and right are not known; x is taken to run to the patient's left"
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNITS = {1: "metres", 3: "micrometres"}


def placement(header: Header, shape: Shape, path: Path) -> tuple[Matrix, tuple[str, ...]]:
    """Where the voxels lie.

    Parameters
    ----------
    shape : (z, y, x)

    Returns
    -------
    affine : 4x4, voxel (x, y, z) to LPS mm
    notes : tuple of str
        What had to be decided.

    Raises
    ------
    UnreadableFileError
        Sheared, or numbers that cannot be.
    """
    with np.errstate(all="ignore"):
        return _placement(header, shape, path)


def _placement(header: Header, shape: Shape, path: Path) -> tuple[Matrix, tuple[str, ...]]:
    unit = header.units & 7
    scale = np.diag([_MM.get(unit, 1.0)] * 3 + [1.0])
    notes = [f"its millimetres were made from {_UNITS[unit]}"] if unit in _UNITS else []
    require_spacing([scale[0, 0] * step for step, n in zip(header.pixdim[1:4], shape[::-1], strict=True) if n > 1], path)
    qform = scale @ _qform(header) if header.qcode > 0 else None
    sform = scale @ np.array([*header.srow, 0, 0, 0, 1]).reshape(4, 4) if header.scode > 0 else None
    if sform is not None and is_straight(sform):
        if qform is not None and is_straight(qform):
            far = apart_mm(shape, sform, qform)
            if far > SAME_VOXELS * np.linalg.norm(sform[:3, :3], axis=0).min():
                notes.append(f"its qform and sform place the corners up to {far:.3g} mm apart; the sform counts")
        return RAS @ sform, tuple(notes)
    if qform is not None and is_straight(qform):
        if sform is not None:
            notes.append("its sform is sheared, so the qform counts")
        return RAS @ qform, tuple(notes)
    if sform is not None or qform is not None:
        broken = not all(np.isfinite(form).all() for form in (sform, qform) if form is not None)
        what = "its orientation is no usable number" if broken else "the axes are sheared, not at right angles"
        raise UnreadableFileError(what, where=path, todo="Repair the file's header" if broken else "Resample the scan to a straight grid first")
    centre = None if header.centre is None else np.array(header.centre)
    return unoriented(shape, _steps(header) * scale[0, 0], centre), (*notes, UNORIENTED)


def unoriented(shape: Shape, spacing: Matrix, centre: Matrix | None = None) -> Matrix:
    """The affine that SPM, FSL and nibabel give to files without an orientation: x runs to the patient's left, y forward, z up.

    Parameters
    ----------
    shape : (z, y, x)
    spacing : x, y, z in mm
    centre : voxel (x, y, z) that lies at 0; the middle of the grid when None
    """
    middle = (np.array(shape[::-1]) - 1) / 2 if centre is None else centre
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ middle
    return RAS @ affine


def _qform(header: Header) -> Matrix:
    b, c, d = header.quatern
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:  # a half turn: what rounding left over goes to b, c and d
        norm = math.sqrt(b * b + c * c + d * d)
        b, c, d, a = b / norm, c / norm, d / norm, 0.0
    else:
        a = math.sqrt(rest)
    turn = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])
    steps = _steps(header)
    if header.pixdim[0] < 0:
        steps[2] = -steps[2]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * steps, header.qoffset
    return affine


def _steps(header: Header) -> Matrix:
    steps = np.abs(np.array(header.pixdim[1:4]))
    return np.where(steps > 0, steps, 1.0)
