"""DICOM folders: which series are there, and one of them as a volume.

Slices are sorted by their position along the normal of the image plane (PS3.3 C.7.6.2), never by name or instance number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK as sitk
from pydicom.errors import InvalidDicomError

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.images import channels_first, describe_image, finite_values, grid, quiet_itk, read_image
from napari_medseg.io.series import SeriesInfo
from napari_medseg.volume import Geometry, Volume

TAGS = [
    "SeriesInstanceUID", "SeriesDescription", "SeriesNumber", "Modality", "Rows", "Columns", "NumberOfFrames", "PixelSpacing", "SpacingBetweenSlices",
    "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel",
]
GAP = 0.1  # share of the slice distance by which gaps may differ: rounding does, a missing slice does not
SAME_POSITION_MM = 1e-3
TILT_VOXELS = 0.5


@dataclass(frozen=True, slots=True)
class Slice:
    """One DICOM file of a series that holds an image."""

    path: Path
    header: pydicom.Dataset
    orientation: tuple[float, ...]
    position: npt.NDArray[np.float64]

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Of the image plane, in LPS."""
        return np.cross(self.orientation[:3], self.orientation[3:])


def describe(path: Path) -> list[SeriesInfo]:
    """What is in a DICOM file or a folder of them."""
    return describe_series(path) if path.is_dir() else [describe_image(path)]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read a DICOM file, or one series of a folder."""
    return read_series(path, series) if path.is_dir() else read_image(path)


def describe_series(folder: Path) -> list[SeriesInfo]:
    """Every image series in a folder and its subfolders, by series number.

    Raises
    ------
    UnreadableFileError
        When there is none, or the slices of one make no volume.
    """
    return [_info(folder, slices) for slices in _series(folder)]


def read_series(folder: Path, wanted: str | None = None) -> Volume:
    """Read one series of a folder.

    Parameters
    ----------
    wanted : str, optional
        UID, number, description, or an unambiguous beginning of the UID. Needed when the folder holds several.

    Raises
    ------
    UnreadableFileError
        No DICOM image, slices missing, a tilted gantry, several timepoints, or broken pixel data.
    InvalidInputError
        Several series and none or no single one chosen; lists them.
    """
    slices = _choose(folder, _series(folder), wanted)
    if len(slices) == 1:
        return read_image(slices[0].path)
    info = _info(folder, slices)
    if info.timepoints > 1:
        what = f"series '{info.title}' holds {info.timepoints} images at each position"
        raise UnreadableFileError(what, where=folder, todo="Export one timepoint as a series of its own")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(s.path) for s in _sorted(slices)])
    try:
        with quiet_itk():
            image = reader.Execute()
    except RuntimeError as error:
        what = f"series '{info.title}' holds pixel data that cannot be read"
        raise UnreadableFileError(what, where=folder, todo="Export the series again, uncompressed") from error
    array, notes = finite_values(channels_first(image, info.shape_zyx), folder)
    return Volume(array, info.geometry, name=info.title, modality=info.modality, source=folder, notes=notes)


def _series(folder: Path) -> list[list[Slice]]:
    found: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
    for part in _slices(folder):
        # Scouts and reformats may share a series' UID with another plane or size; they are no slices of one volume.
        plane = " ".join(f"{v + 0.0:.3f}" for v in np.round(part.orientation, 3))
        found[str(part.header.get("SeriesInstanceUID", "")), str(part.header.Rows), str(part.header.Columns), plane].append(part)
    if not found:
        raise UnreadableFileError("holds no DICOM image", where=folder, todo="Choose the folder with the scan's DICOM files")
    return sorted(found.values(), key=lambda slices: (int(slices[0].header.get("SeriesNumber") or 0), str(slices[0].header.get("SeriesInstanceUID", ""))))


def _slices(folder: Path) -> Iterator[Slice]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
        except (InvalidDicomError, OSError, EOFError, ValueError, KeyError):
            continue  # anything may lie in a folder: DICOMDIR, reports, other programs' files
        if "Rows" not in header or "Columns" not in header:
            continue
        orientation = tuple(float(v) for v in header.get("ImageOrientationPatient") or (1, 0, 0, 0, 1, 0))
        position = np.array([float(v) for v in header.get("ImagePositionPatient") or (0, 0, 0)])
        yield Slice(path, header, orientation, position)


def _choose(folder: Path, series: list[list[Slice]], wanted: str | None) -> list[Slice]:
    if wanted is None and len(series) == 1:
        return series[0]
    if wanted is not None:
        fits = [s for s in series if wanted in (_uid(s), str(s[0].header.get("SeriesNumber", "")), _title(s))]
        fits = fits or [s for s in series if _uid(s).startswith(wanted)]
        if len(fits) == 1:
            return fits[0]
        what = f"{len(fits)} series fit '{wanted}'" if fits else f"no series fits '{wanted}'"
    else:
        what = f"holds {len(series)} series"
    listed = "; ".join(f"{_title(s) or 'unnamed'} ({s[0].header.get('Modality', '?')}, {len(s)} images, {_uid(s)})" for s in series)
    raise InvalidInputError(f"{what}: {listed}", where=folder, todo="Choose one by its UID, or by a number or description that only it has")


def _sorted(slices: list[Slice]) -> list[Slice]:
    normal = slices[0].normal
    return sorted(slices, key=lambda part: float(part.position @ normal))


def _info(folder: Path, slices: list[Slice]) -> SeriesInfo:
    header = slices[0].header
    if len(slices) == 1:
        single = describe_image(slices[0].path)
        return SeriesInfo(
            single.shape_zyx, single.spacing_mm_zyx, single.origin_lps, single.direction, single.dtype, single.modality, single.channels, single.timepoints,
            series=_uid(slices), title=_title(slices) or folder.name,
        )
    ordered = _sorted(slices)
    places = np.array([float(part.position @ part.normal) for part in ordered])
    new = np.append(True, np.diff(places) > SAME_POSITION_MM)
    timepoints = len(places) // int(new.sum())
    places, ends = places[new], (ordered[0], ordered[-1])
    step = _step(folder, slices, places, ends)
    down, across = (float(v) for v in header.get("PixelSpacing") or (1.0, 1.0))
    first = describe_image(ordered[0].path)
    columns = np.column_stack([ordered[0].orientation[:3], ordered[0].orientation[3:], ordered[0].normal])
    x, y, z = (float(v) for v in ordered[0].position)
    geometry = grid((int(header.Columns), int(header.Rows), len(places)), (across, down, step), (x, y, z), tuple(columns.ravel()), folder)
    return SeriesInfo(
        geometry.shape, geometry.spacing, geometry.origin, geometry.direction, first.dtype,
        modality=str(header.get("Modality", "")), channels=int(header.get("SamplesPerPixel", 1)), timepoints=timepoints,
        series=_uid(slices), title=_title(slices) or folder.name,
    )


def _step(folder: Path, slices: list[Slice], places: npt.NDArray[np.float64], ends: tuple[Slice, Slice]) -> float:
    """Distance of the slices in mm; refuses gaps and a tilted gantry."""
    name = _title(slices) or "series"
    if len(places) == 1:
        return float(slices[0].header.get("SpacingBetweenSlices") or slices[0].header.get("SliceThickness") or 1.0)
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    worst = int(np.abs(gaps - usual).argmax())
    if abs(gaps[worst] - usual) > GAP * usual:
        raise UnreadableFileError(
            f"slices of '{name}' are missing or uneven: {gaps[worst]:.2f} mm after slice {worst + 1}, elsewhere {usual:.2f} mm",
            where=folder, todo="Export the whole series again, or resample it to even slices",
        )
    way = ends[1].position - ends[0].position
    aside = float(np.linalg.norm(way - (way @ ends[0].normal) * ends[0].normal))
    across = float(min(slices[0].header.get("PixelSpacing") or (1.0, 1.0)))
    if aside > TILT_VOXELS * across:
        what = f"the slices of '{name}' are sheared by {aside:.1f} mm (a tilted gantry)"
        raise UnreadableFileError(what, where=folder, todo="Straighten the scan before opening it here")
    return float((places[-1] - places[0]) / (len(places) - 1))


def _uid(slices: list[Slice]) -> str:
    return str(slices[0].header.get("SeriesInstanceUID", ""))


def _title(slices: list[Slice]) -> str:
    return str(slices[0].header.get("SeriesDescription", "")).strip()
