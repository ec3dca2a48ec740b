"""One way out: a Volume to a file, whole or not at all."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from napari_medseg.errors import UnwritableFileError
from napari_medseg.io.atomic import replacing
from napari_medseg.io.atomic_folder import replacing_folder
from napari_medseg.io.formats import REFERRING, WRITABLE, WRITE_ONLY, ZARR_METADATA, Kind, Scan, written_as
from napari_medseg.volume import Volume


def write(
    volume: Volume, path: Path | str, *, source: Path | str | Volume | None = None, series: str = "", anonymise: bool = False, kind: Kind = "binary"
) -> list[Path]:
    """Write a scan or a label map on its own grid.

    Parameters
    ----------
    volume : Volume
        bool is written as uint8, float16 as float32; channels as a vector image. A LabelMap's names and colours are kept where the format can hold them.
    path : Path
        Its suffix chooses the format; see `formats.FORMATS`. Plain ".dcm" is a DICOM segmentation.
    source : Path or Volume, optional
        The scan that the labels were drawn on, for the formats that refer to its files (DICOM SEG, RTSTRUCT); by default `volume.source`.
    series : str
        Which series of it: UID, number or description; by default `volume.series`, else the one series that the labels lie on.
    anonymise : bool
        For those formats: leave out who the patient is; see `dicomlabels.identity`. By default the scan's patient and study are copied.
    kind : "binary" or "labelmap"
        How DICOM SEG holds the classes. Every reader knows "binary"; "labelmap" is smaller and new in the standard.

    Returns
    -------
    list of Path
        What was written: `path`, or for STL a file for each of several classes.

    Raises
    ------
    UnwritableFileError
        Another suffix, no such folder, no permission, no space, or a grid that the format cannot hold. What was at `path` is unchanged then.
        A format that refers to its scan also needs one that is DICOM.
    GridMismatchError
        When a format refers to its scan and the labels lie on another grid.
    InvalidInputError
        When several series of the scan's folder fit and none was chosen, or a format for labels is given something else.
    """
    path = Path(path)
    require_writable(path)
    found = written_as(path)
    assert found is not None  # require_writable looked
    parts = found.family.parts(volume, path) if found.parts else [(path, volume)]
    with ExitStack() as together:  # nothing takes its place before everything is written
        for target, part in parts:
            temporary = together.enter_context(replacing_folder(target, marks=ZARR_METADATA) if found.folder else replacing(target))
            try:
                if found.refers:
                    found.family.write_for(part, temporary, _scan(part, path, source, series, anonymise, kind))
                else:
                    found.family.write(part, temporary)
            except UnwritableFileError as error:
                raise UnwritableFileError(error.what, where=path, todo=error.todo) from error
    return [target for target, _ in parts]


def require_writable(path: Path) -> None:
    """Refuse a name that no writer takes, before any work is done.

    Raises
    ------
    UnwritableFileError
        When the suffix is none that can be written, or the folder does not exist.
    """
    found = written_as(path)
    if found is None or not found.writes:
        raise UnwritableFileError("names no format that can be written", where=path, todo=f"End it in {', '.join((*WRITABLE, *REFERRING, *WRITE_ONLY))}")
    if path.is_dir() and not found.folder:
        raise UnwritableFileError("is a folder", where=path, todo="Give the name of a file")
    if not path.absolute().parent.is_dir():
        raise UnwritableFileError(f"the folder {path.parent} does not exist", where=path, todo="Create it, or choose another place")


def _scan(volume: Volume, path: Path, source: Path | str | Volume | None, series: str, anonymise: bool, kind: Kind) -> Scan:
    named = volume if source is None else source
    place, series = (named.source, series or named.series) if isinstance(named, Volume) else (named, series)
    if place is None:
        raise UnwritableFileError(
            "refers to the files of the scan that the labels were drawn on, and none was named", where=path,
            todo="Name the scan's DICOM folder (--like SCAN), or save as .nii.gz or .nrrd",
        )
    return Scan(Path(place), series, anonymise, kind)
