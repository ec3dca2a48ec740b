"""The grid that slices lie on, and what keeps them from lying on one (PS3.3, C.7.6.2).

Slices are sorted by their position along the normal of the image plane, never by name or instance number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.frames import Frame, normal_of
from napari_medseg.io.itk import grid
from napari_medseg.volume import Geometry

GAP = 0.1  # share of the slice distance by which gaps may differ: rounding does, a missing slice does not
SAID = 0.01  # share from which on it is said
DRIFT = 0.25  # share of the slice distance by which a slice may lie off its place on the even grid
SAME_MM = 0.01  # slices nearer than this, and than 2 % of the largest gap, lie at one place
TILT_VOXELS = 0.5

Points = npt.NDArray[np.float64]


class ShearedError(UnreadableFileError):
    """Slices that are shifted evenly against each other: a tilted gantry."""


class UnevenError(UnreadableFileError):
    """Slices that are not evenly apart: some are missing, or there are several blocks of them."""


@dataclass(frozen=True, slots=True)
class Straight:
    """Where sheared slices lie on the smallest straight grid that holds them.

    Attributes
    ----------
    geometry : Geometry
    offsets : (slices, 2) voxels down and across
    """

    geometry: Geometry
    offsets: Points


def by_place(frames: list[Frame]) -> list[list[Frame]]:
    """Frames with positions and one orientation, grouped by their place along the normal, lowest first."""
    normal = normal_of(frames[0].orientation)
    places = np.array([frame.position for frame in frames]) @ normal
    order = np.argsort(places, kind="stable")
    gaps = np.diff(places[order])
    near = min(SAME_MM, 0.02 * float(gaps.max(initial=0.0)))
    found = [[frames[order[0]]]]
    for index, gap in zip(order[1:], gaps, strict=True):
        if gap > near:
            found.append([])
        found[-1].append(frames[index])
    return found


def geometry_of(slices: list[Frame], title: str, where: Path) -> tuple[Geometry, tuple[str, ...]]:
    """The grid of sorted slices, one at each place, and what had to be decided.

    Raises
    ------
    ShearedError
        A tilted gantry.
    UnreadableFileError
        Slices missing, uneven, or shifted sideways.
    """
    first = slices[0]
    spacing, notes = _in_plane(first)
    if not first.position:
        return _unplaced(slices, spacing, notes, where)
    points, normal = _points(slices), normal_of(first.orientation)
    step, told = _step(slices, (points - points[0]) @ normal, title, where)
    _upright(points, normal, min(spacing), title, where)
    return _grid(len(slices), first, spacing, step, points[0], where), notes + told


def straightened(slices: list[Frame], title: str, where: Path) -> Straight:
    """The smallest straight grid that holds sheared slices: same plane, same distances.

    Raises
    ------
    UnreadableFileError
        Slices missing, uneven, or not shifted evenly.
    """
    first = slices[0]
    spacing, _ = _in_plane(first)
    points, normal = _points(slices), normal_of(first.orientation)
    step, _ = _step(slices, (points - points[0]) @ normal, title, where)
    axes = np.array(first.orientation).reshape(2, 3)[::-1]  # down a column, along a row
    moved = (points - points[0]) @ axes.T / spacing
    offsets = moved - moved.min(axis=0)
    rows, columns = (int(size) + math.ceil(extra - 1e-6) for size, extra in zip((first.rows, first.columns), offsets.max(axis=0), strict=True))
    origin = points[0] + (moved.min(axis=0) * spacing) @ axes
    return Straight(_grid(len(slices), first, spacing, step, origin, where, (rows, columns)), offsets)


def nominal(frames: list[Frame]) -> Geometry:
    """A grid for telling a size where the slices lie on none."""
    first = next((f for f in frames if not f.fault), frames[0])
    shape = (len(frames), max(1, first.rows), max(1, first.columns))
    try:
        return Geometry(shape, (1.0, *first.spacing) if first.spacing else (1.0, 1.0, 1.0))  # type: ignore[arg-type]
    except InvalidInputError:
        return Geometry(shape)


def _points(slices: list[Frame]) -> Points:
    return np.array([frame.position for frame in slices], dtype=float)


def _in_plane(first: Frame) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Millimetres down and across."""
    if not first.spacing:
        return (1.0, 1.0), ("The file gives no pixel spacing, so pixels are taken to be 1 mm wide: sizes and volumes mean nothing",)
    if tags.PIXEL_SPACING in first.data:
        return first.spacing, ()
    return first.spacing, ("The pixel spacing is that of the detector, not of the patient: things are shown larger than they are",)


def _unplaced(slices: list[Frame], spacing: tuple[float, ...], notes: tuple[str, ...], where: Path) -> tuple[Geometry, tuple[str, ...]]:
    """One picture, or the pictures of one file in their order."""
    first = slices[0]
    axes = first.orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    matrix = np.column_stack([axes[:3], axes[3:], normal_of(axes)])
    step = _thickness(first)
    if len(slices) > 1:
        far = "1 mm apart, which is no measure" if step is None else f"{step:g} mm apart"
        notes += (f"Its {len(slices)} pictures give no positions: they are stacked in their order, {far}",)
    elif not first.orientation:
        notes += ("It gives no position in the patient, so left and right are not known",)
    size = (first.columns, first.rows, len(slices))
    return grid(size, (*spacing[::-1], step or 1.0), (0.0, 0.0, 0.0), tuple(matrix.ravel()), where), notes


def _thickness(frame: Frame) -> float | None:
    """Of a single slice, or the distance of unplaced ones, in mm."""
    try:
        step = frame.data.number(tags.SPACING_BETWEEN_SLICES) or frame.data.number(tags.SLICE_THICKNESS)
    except HeaderFault:
        return None
    return abs(step) if step else None


def _step(slices: list[Frame], places: Points, title: str, where: Path) -> tuple[float, tuple[str, ...]]:
    """Distance of the slices in mm."""
    if len(slices) == 1:
        return _thickness(slices[0]) or 1.0, ()
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    worst = int(np.abs(gaps - usual).argmax())
    step = float((places[-1] - places[0]) / (len(places) - 1))
    drift = float(np.abs(places - places[0] - step * np.arange(len(places))).max())
    if abs(gaps[worst] - usual) > GAP * usual:
        lost = [round(gap / usual) - 1 for gap in gaps]
        whole = np.abs(gaps / usual - np.rint(gaps / usual)).max() <= GAP
        count = sum(lost) if whole else 0
        raise UnevenError(
            f"slices of '{title}' are missing or uneven: {gaps[worst]:.2f} mm after slice {worst + 1}, elsewhere {usual:.2f} mm"
            + (f" ({count} of {len(slices) + count} missing)" if count else ""),
            where=where, todo="Export the whole series again, or resample it to even slices",
        )
    if drift > DRIFT * step:
        raise UnreadableFileError(
            f"slices of '{title}' are uneven: {gaps.min():.2f} to {gaps.max():.2f} mm apart, up to {drift:.2f} mm off an even grid",
            where=where, todo="Resample it to even slices",
        )
    if float(np.ptp(gaps)) <= SAID * usual:
        return step, ()
    return step, (f"Its slices are {gaps.min():.2f} to {gaps.max():.2f} mm apart: they are taken as even, {step:.2f} mm, none more than {drift:.2f} mm off",)


def _upright(points: Points, normal: Points, across: float, title: str, where: Path) -> None:
    """Refuse slices that are shifted against each other in their plane."""
    way = points - points[0]
    heights = way @ normal
    aside = way - np.outer(heights, normal)
    if len(points) < 2 or np.linalg.norm(aside, axis=1).max() <= TILT_VOXELS * across:
        return
    tilt = aside[-1] / heights[-1]
    rest = float(np.linalg.norm(aside - np.outer(heights, tilt), axis=1).max())
    if rest > TILT_VOXELS * across:
        what = f"the slices of '{title}' do not lie above each other: they are shifted sideways by up to {np.linalg.norm(aside, axis=1).max():.1f} mm"
        raise UnreadableFileError(what, where=where, todo="Export the series again, or resample it to a straight grid")
    shift, angle = float(np.linalg.norm(aside[-1])), math.degrees(math.atan(float(np.linalg.norm(tilt))))
    what = f"the slices of '{title}' are sheared by {shift:.1f} mm (a tilted gantry, {angle:.1f} degrees)"
    raise ShearedError(what, where=where, todo="Straighten the scan before opening it here")


def _grid(
    count: int, first: Frame, spacing: tuple[float, ...], step: float, origin: Points, where: Path, size: tuple[int, int] | None = None,
) -> Geometry:
    rows, columns = size or (first.rows, first.columns)
    axes = np.column_stack([first.orientation[:3], first.orientation[3:], normal_of(first.orientation)])
    x, y, z = (float(v) for v in origin)
    return grid((columns, rows, count), (*spacing[::-1], step), (x, y, z), tuple(axes.ravel()), where)
