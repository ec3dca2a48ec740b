"""The DICOM images that labels were drawn on: which files they are, and which of their planes is which slice of the labels.

DICOM SEG and RTSTRUCT name the images they belong to. The labels' own grid decides which they are, since a series may run against its instance
numbers, share its folder with others, or hold several images at each place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt
import pydicom

from napari_medseg.errors import GridMismatchError, InvalidInputError, MissingFileError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.headers import read_header
from napari_medseg.io.dicomplanes import TAGS, Header, Plane, planes_of, sound
from napari_medseg.io.formats import Scan
from napari_medseg.volume import Array, Geometry

SECONDS = 2.0  # that the series of a structure set is looked for; some thousand files
OFF, OFF_SLICE = 0.5, 0.25  # voxels that an image may lie beside its slice, and before or behind it: series that are read as even need not be quite so
EXACT = 0.005  # voxels up to which that is nothing


@dataclass(frozen=True, slots=True)
class Reference:
    """The images under the slices of a label map.

    Attributes
    ----------
    planes : tuple of Plane or None
        One a slice, along `axes[0]`, by its index; None where the series has no image.
    axes : which array axis runs through the slices, down the rows, along the columns
    flipped : whether rows and columns run against the array
    """

    planes: tuple[Plane | None, ...]
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool]

    @property
    def header(self) -> Header:
        """Of the first image."""
        return next(plane.header for plane in self.planes if plane is not None)

    def stack(self, array: Array) -> Array:
        """An array (z, y, x) as (slice, row, column) of the images; a view."""
        turned = array.transpose(self.axes)
        return turned[:, :: -1 if self.flipped[0] else 1, :: -1 if self.flipped[1] else 1]

    def drawn(self, stack: Array, where: Path) -> list[int]:
        """The slices that have an image, of labels (slice, row, column) as `stack` turns them.

        Raises
        ------
        GridMismatchError
            When a slice with labels has none.
        """
        missing = [k for k, plane in enumerate(self.planes) if plane is None]
        lost = [k for k in missing if stack[k].any()]
        if lost:
            raise GridMismatchError(
                f"{len(lost)} slices with labels have no image in the scan's series, the first is slice {lost[0] + 1}", where=where,
                todo="Give the whole series, or save as .nii.gz or .nrrd",
            )
        return [k for k in range(len(self.planes)) if k not in set(missing)]


def reference(scan: Scan, geometry: Geometry, where: Path) -> Reference:
    """Find the images that labels on `geometry` lie on.

    Parameters
    ----------
    scan : Scan
    geometry : Geometry
        Of the labels.
    where : Path
        What is being written, for errors.

    Raises
    ------
    MissingFileError, UnwritableFileError
        When there is no scan, or it is not DICOM.
    GridMismatchError
        When the labels lie on no series of it.
    InvalidInputError
        When several series fit.
    """
    if not scan.path.exists():
        raise MissingFileError("the scan that the labels were drawn on is no longer there", where=scan.path, todo="Name the scan's DICOM folder (--like SCAN)")
    series: dict[str, list[Plane]] = defaultdict(list)
    for header in _headers(scan.path, geometry):
        for plane in planes_of(header):
            series[str(header.get("SeriesInstanceUID", ""))].append(plane)
    if not series:
        raise UnwritableFileError(
            f"refers to the DICOM images of the scan, and {scan.path.name} holds none", where=where,
            todo="Give the DICOM series that the labels were drawn on (--like FOLDER), or save as .nii.gz or .nrrd",
        )
    wanted = _chosen(series, scan)
    fits = [found for planes in wanted for found in [_fit(planes, geometry)] if found is not None]
    if not fits:
        raise GridMismatchError(
            f"the labels ({geometry}) lie on none of the {len(wanted)} DICOM series of {scan.path.name}", where=where,
            todo="Resample them with `medseg convert SRC DST --like SCAN`, or name the series they were drawn on",
        )
    if len(fits) > 1:
        listed = "; ".join(_told(found.header) for found in fits)
        raise InvalidInputError(f"the labels lie on {len(fits)} series: {listed}", where=scan.path, todo="Choose one with --series, by its UID or number")
    return fits[0]


def series_near(uid: str, path: Path) -> Path | None:
    """The folder that holds a series: a file's own, one in it, or one beside it; None when it is in none of them.

    Parameters
    ----------
    uid : str
        Of the series.
    path : Path
        A file that refers to it.
    """
    home = path.resolve().parent
    places = [home, *(p for parent in (home, home.parent) for p in _entries(parent) if p.is_dir() and p != home)]
    until = monotonic() + SECONDS
    for folder in dict.fromkeys(places):
        for file in _entries(folder):
            if monotonic() > until:
                return None
            if file.is_file() and _is_of(file, uid):
                return folder
    return None


def _is_of(path: Path, uid: str) -> bool:
    """Whether a file is an image of a series."""
    try:
        header = read_header(path)
    except (HeaderFault, OSError):
        return False
    return header.is_image and header.data.text(tags.SERIES_UID) == uid


def _headers(path: Path, geometry: Geometry) -> Iterator[Header]:
    """Of every DICOM file; a single image of several is looked for among its neighbours."""
    if path.is_dir():
        paths: Sequence[Path] = sorted(p for p in path.rglob("*") if p.is_file())
        yield from (header for p in paths if (header := _header(p)) is not None)
        return
    named = _header(path)
    if named is None:
        return
    if "PerFrameFunctionalGroupsSequence" in named or min(geometry.shape) == 1:
        yield named
        return
    beside = (header for p in sorted(path.parent.iterdir()) if p.is_file() and (header := _header(p)) is not None)
    yield from (header for header in beside if header.get("SeriesInstanceUID") == named.get("SeriesInstanceUID"))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # a folder that others may not look into
        return []


def _header(path: Path) -> Header | None:
    try:
        with sound(path):
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
    except UnreadableFileError:
        return None  # anything may lie in a folder: reports, notes, other programs' files


def _chosen(series: dict[str, list[Plane]], scan: Scan) -> list[list[Plane]]:
    if not scan.series:
        return list(series.values())
    if scan.series in series:  # a scanner counts: one UID is another's beginning
        return [series[scan.series]]
    headers = {uid: planes[0].header for uid, planes in series.items()}
    found = [
        uid for uid, h in headers.items()
        if scan.series in (uid, str(h.get("SeriesNumber", "")), str(h.get("SeriesDescription", "")).strip()) or (uid and scan.series.startswith(uid))
    ] or [uid for uid in headers if uid.startswith(scan.series)]
    if not found:
        listed = "; ".join(_told(h) for h in headers.values())
        raise InvalidInputError(f"no series fits '{scan.series}': {listed}", where=scan.path, todo="Choose one by its UID, number or description")
    return [series[uid] for uid in found]


def _told(header: Header) -> str:
    return f"{str(header.get('SeriesDescription', '')).strip() or 'unnamed'} ({header.get('Modality', '?')}, {header.get('SeriesInstanceUID', '')})"


def _fit(planes: list[Plane], geometry: Geometry) -> Reference | None:
    """The images by the slices they lie on; None when fewer than half of the slices have one."""
    best: Reference | None = None
    groups: dict[tuple[tuple[int, int, int], tuple[bool, bool]], dict[int, Plane]] = defaultdict(dict)
    for plane in sorted(planes, key=lambda p: p.order):
        placed = _placed(plane, geometry)
        if placed is not None:
            axes, flipped, index, position = placed
            groups[axes, flipped].setdefault(index, plane if position is None else replace(plane, position=position, moved=True))
    for (axes, flipped), found in groups.items():
        slices = tuple(found.get(k) for k in range(geometry.shape[axes[0]]))
        if 2 * len(found) >= len(slices) and (best is None or len(found) > sum(p is not None for p in best.planes)):
            best = Reference(slices, axes, flipped)
    return best


def _placed(plane: Plane, geometry: Geometry) -> tuple[tuple[int, int, int], tuple[bool, bool], int, npt.NDArray[np.float64] | None] | None:
    """Which slice an image is, how its rows and columns run, and where the slice has it when that is elsewhere; None when it is no slice."""
    first, last_column, last_row = geometry.voxel(plane.corners())
    rows, columns = int(plane.header.Rows), int(plane.header.Columns)
    matrix = geometry.matrix[:, ::-1]
    along = int(np.abs(np.array(plane.orientation[:3]) @ matrix).argmax())
    down = int(np.abs(np.array(plane.orientation[3:]) @ matrix).argmax())
    if along == down or geometry.shape[along] != columns or geometry.shape[down] != rows:
        return None
    through = 3 - along - down
    index = round(float(first[through]))
    across = float(np.array(plane.orientation[:3]) @ matrix[:, along]) < 0
    up = float(np.array(plane.orientation[3:]) @ matrix[:, down]) < 0
    wanted = np.empty((3, 3))
    wanted[:, through] = index
    wanted[:, along] = [columns - 1, 0, columns - 1] if across else [0, columns - 1, 0]
    wanted[:, down] = [rows - 1, rows - 1, 0] if up else [0, 0, rows - 1]
    off = np.abs(np.stack([first, last_column, last_row]) - wanted)
    if not 0 <= index < geometry.shape[through] or off.max() > OFF or off[:, through].max() > OFF_SLICE:
        return None
    return (through, down, along), (up, across), index, geometry.world(wanted[0]) if off.max() > EXACT else None
