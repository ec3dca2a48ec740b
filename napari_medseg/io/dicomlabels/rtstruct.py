"""RTSTRUCT: outlines of structures in mm, filled on the grid of the scan they belong to (PS3.3, A.19 and C.8.8.6)."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.annotation import LabelClass, LabelMap, palette
from napari_medseg.annotation.classes import LARGEST_CLASS
from napari_medseg.errors import GridMismatchError, MedsegError, UnreadableFileError
from napari_medseg.io.dicomlabels.contours import Points, filled
from napari_medseg.io.dicomlabels.reference import series_near
from napari_medseg.io.dicomlabels.seg import NAMED, opened
from napari_medseg.io.dicomlabels.terms import TISSUE, code_of
from napari_medseg.io.dicomplanes import FAULTS
from napari_medseg.io.formats import DICOM, Scan, stem_of
from napari_medseg.io.memory import allocate
from napari_medseg.io.series import SeriesInfo
from napari_medseg.volume import Array, Geometry, Volume

SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.481.3",)
CONTOUR_DATA = 0x30060050
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
IN_PLANE = 0.1  # of the slice distance that an outline may lie beside its slice
BENT = 0.25  # of the slice distance that the points of an outline may differ
AGAIN = "Export it again"

Rings = dict[int, list[tuple[float, Points]]]
"""Outlines by the slice they are nearest to: how far from it in slices, and their rows and columns."""


def describe(path: Path) -> list[SeriesInfo]:
    """Its structures, on the grid of its series where that lies beside it.

    Raises
    ------
    UnreadableFileError
        When it is no structure set, or damaged.
    """
    with opened(path, SOP_CLASSES, "structure set") as data:
        classes = list(_classes(data, path).values())
        names = ", ".join(c.name for c in classes[:NAMED]) + (", ..." if len(classes) > NAMED else "")
        notes = [f"{len(classes)} structure{'s' * (len(classes) != 1)}: {names}"]
        title = _title(data, path)
        try:
            grid, _ = _own_grid(data, path)
        except MedsegError as error:
            notes.append(f"{error.what}. {error.todo}")
            return [SeriesInfo((1, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), Geometry((1, 1, 1)).direction, "uint8", "RTSTRUCT", series=_uid(data), title=title,
                               notes=tuple(notes), readable=False)]
        return [SeriesInfo(grid.shape, grid.spacing, grid.origin, grid.direction, "uint8", "RTSTRUCT", series=_uid(data), title=title, notes=tuple(notes))]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Fill the outlines of a structure set.

    Parameters
    ----------
    series : str, optional
        Not needed: a file holds one structure set.
    like : Geometry, optional
        The grid of its scan. Without it, the series it names is looked for in the file's folder, and in the folders beside it.

    Returns
    -------
    LabelMap
        Values are the structures' numbers where they can be; a voxel belongs to a structure when its centre lies within an odd number of its outlines in
        that slice. Where structures overlap, the later has the voxel.

    Raises
    ------
    UnreadableFileError
        When it is no structure set, or damaged; or when no grid is given and its series is not found.
    GridMismatchError
        When it has outlines and none lies in a slice of the scan.
    """
    with opened(path, SOP_CLASSES, "structure set") as data:
        classes = _classes(data, path)
        grid, source = (like, "") if like is not None else _own_grid(data, path)
        notes = [f"filled on the grid of the series in {source}"] if source else []
        array = _array(data, classes, grid, notes, path)
        return LabelMap(
            array, grid, name=_title(data, path), modality="RTSTRUCT", source=path, notes=tuple(notes), series=_uid(data),
            classes=tuple(sorted(classes.values(), key=lambda c: c.value)),
        )


def write_for(volume: Volume, path: Path, scan: Scan) -> None:
    """Write a label map for the scan it was drawn on; see `rtwriting`."""
    from napari_medseg.io.dicomlabels.rtwriting import write_structures

    write_structures(volume, path, scan)


def _array(data: Any, classes: dict[int, LabelClass], grid: Geometry, notes: list[str], path: Path) -> Array:
    told: Counter[str] = Counter()
    structures = []
    for item in data.get("ROIContourSequence") or ():
        contours = [(kind, grid.voxel(points)) for kind, points in _contours(item, told, path)]
        if contours:
            structures.append((classes.get(int(item.ReferencedROINumber)), contours))
    through = _through([points for _, contours in structures for _, points in contours])
    array = allocate(grid.shape, np.uint8)
    array[...] = 0
    planes = np.moveaxis(array, through, 0)
    drawn = 0
    for label, contours in structures:
        if label is None:
            told["outlines of structures that have no number or name"] += len(contours)
            continue
        rings = _by_slice([points for _, points in contours], through, grid, told)
        drawn += len(rings)
        for index, found in rings.items():
            nearest = min(abs(off) for off, _ in found)
            mask = filled([ring for off, ring in found if abs(abs(off) - nearest) < IN_PLANE / 10], (planes.shape[1], planes.shape[2]))
            told["voxels that belong to several structures; the later one has them"] += int(np.count_nonzero(planes[index][mask]))
            planes[index][mask] = label.value
        gaps = np.diff(sorted(rings))
        if gaps.size and gaps.min() > 1:
            told["structures whose outlines lie farther apart than the slices; the slices between are left empty"] += 1
    if structures and not drawn:
        raise GridMismatchError("has no outline in a slice of its scan", where=path, todo="Name the series it was drawn on with --like")
    notes.extend(f"{count} {what}" for what, count in told.items() if count)
    return array


def _by_slice(contours: list[Points], through: int, grid: Geometry, told: Counter[str]) -> Rings:
    rings: Rings = defaultdict(list)
    for points in contours:
        heights = points[:, through]
        height, index = float(np.median(heights)), round(float(np.median(heights)))
        if np.ptp(heights) > BENT:
            told["outlines that do not lie in the plane of the slices; left out"] += 1
        elif not 0 <= index < grid.shape[through]:
            told["outlines outside of the scan; left out"] += 1
        else:
            if abs(height - index) > IN_PLANE:
                told["outlines between the slices; taken to the nearest"] += 1
            rings[index].append((height - index, np.delete(points, through, axis=1)))
    return rings


def _through(contours: list[Points]) -> int:
    """The axis across which the outlines are flattest."""
    if not contours:
        return 0
    return int(np.argmin(np.sum([np.ptp(points, axis=0) for points in contours], axis=0)))


def _contours(item: Any, told: Counter[str], path: Path) -> list[tuple[str, Points]]:
    """The closed outlines of a structure, LPS mm (n, 3)."""
    found = []
    for contour in item.get("ContourSequence") or ():
        kind = str(contour.get("ContourGeometricType") or "CLOSED_PLANAR").strip().upper()
        points = _points(contour, path)
        if kind not in CLOSED:
            told["points and open lines; only closed outlines are filled"] += 1
        elif len(points) < 3:
            told["outlines of fewer than three points; left out"] += 1
        else:
            found.append((kind, points))
    return found


def _points(contour: Any, path: Path) -> Points:
    raw = contour.get_item(CONTOUR_DATA)
    value = None if raw is None else raw.value
    if isinstance(value, bytes):  # not yet made into a list of objects, which takes ten times longer
        text = value.strip(b" \0")
        numbers = np.array(text.split(b"\\") if text else [], float)
    else:
        numbers = np.array([] if value is None else value, float).reshape(-1)
    if numbers.size % 3 or not np.isfinite(numbers).all():
        what = "an outline is no list of points" if numbers.size % 3 else "an outline holds points that are no numbers"
        raise UnreadableFileError(what, where=path, todo=AGAIN)
    return np.asarray(numbers.reshape(-1, 3))


def _classes(data: Any, path: Path) -> dict[int, LabelClass]:
    """Classes by structure number."""
    structures = list(data.get("StructureSetROISequence") or ())
    if not structures:
        raise UnreadableFileError("holds no structure", where=path, todo=AGAIN)
    if len(structures) > LARGEST_CLASS:
        raise UnreadableFileError(f"holds {len(structures)} structures", where=path, todo=f"Export at most {LARGEST_CLASS} of them")
    colours = {int(item.ReferencedROINumber): _colour(item) for item in data.get("ROIContourSequence") or ()}
    codes = {int(item.ReferencedROINumber): code_of(item, "RTROIIdentificationCodeSequence") for item in data.get("RTROIObservationsSequence") or ()}
    numbers = [int(item.ROINumber) for item in structures]
    free = (v for v in range(1, LARGEST_CLASS + 1) if v not in numbers)
    spare = palette(len(structures))
    classes: dict[int, LabelClass] = {}
    for k, (item, number) in enumerate(zip(structures, numbers, strict=True)):
        if number in classes:
            raise UnreadableFileError(f"gives the number {number} to two structures", where=path, todo=AGAIN)
        value = number if 1 <= number <= LARGEST_CLASS else next(free)
        code = codes.get(number)
        name = str(item.get("ROIName") or "").strip() or f"Class {value}"
        classes[number] = LabelClass(value, name, colours.get(number) or spare[k], None if code == TISSUE else code)
    return classes


def _colour(item: Any) -> tuple[float, float, float] | None:
    given = item.get("ROIDisplayColor")
    if given is None or len(given) != 3:
        return None
    red, green, blue = (min(255, max(0, int(v))) / 255 for v in given)
    return red, green, blue


def _own_grid(data: Any, path: Path) -> tuple[Geometry, str]:
    """The grid of the series that a structure set names, and the folder it is in."""
    uid = _referenced(data)
    folder = series_near(uid, path) if uid else None
    if folder is None:
        raise UnreadableFileError(
            "holds outlines without a grid, and the series they were drawn on is not beside it", where=path,
            todo="Name that series with --like SERIES, or put its folder beside the file",
        )
    for info in DICOM.family.describe(folder):
        if info.series == uid and info.readable:
            return info.geometry, folder.name
    raise UnreadableFileError(f"its series in {folder.name} cannot be read as a volume", where=path, todo="Name a scan on its grid with --like SERIES")


def _referenced(data: Any) -> str:
    try:
        study = data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        return str(study.RTReferencedSeriesSequence[0].SeriesInstanceUID)
    except FAULTS:
        return ""


def _uid(data: Any) -> str:
    return str(data.get("SeriesInstanceUID", ""))


def _title(data: Any, path: Path) -> str:
    return str(data.get("StructureSetLabel") or "").strip() or stem_of(path)
