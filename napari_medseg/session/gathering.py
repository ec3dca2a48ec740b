"""Scans in what a person dropped or chose: files, DICOM folders with their series, folders of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from napari_medseg import io
from napari_medseg.errors import MedsegError
from napari_medseg.io.series import SeriesInfo
from napari_medseg.session import pictures
from napari_medseg.session.pictures import Picture

LABELS = "labels/"
"""Where an OME-Zarr scan keeps its label maps."""

LARGEST_FOR_A_PICTURE = 64 * 1024 * 1024
"""Bytes on disk; a larger scan gets its thumbnail when it is opened."""


class Gathered(NamedTuple):
    """One scan that was found.

    Attributes
    ----------
    path : Path
    series : str
        Which series of it; "" for the only one.
    info : SeriesInfo or None
        What its headers say, where they were read to tell series apart: nobody need look through the folder again for each of them.
    """

    path: Path
    series: str = ""
    info: SeriesInfo | None = None


def scans_in(paths: Iterable[Path], faults: list[MedsegError]) -> Iterator[Gathered]:
    """Every scan; what cannot be read goes to `faults`."""
    for path in paths:
        files = sorted(child for child in path.iterdir() if child.is_file() and not child.name.startswith(".")) if path.is_dir() else []
        kinds = [child for child in files if _is_volume(child)]
        if kinds:
            yield from (Gathered(child) for child in kinds)
            continue
        try:
            found = io.describe(path)
        except MedsegError as error:
            faults.append(error)
            continue
        found = [info for info in found if not info.series.startswith(LABELS)]
        readable = [info for info in found if info.readable] or found
        scans = [info for info in readable if not info.scout] or readable
        yield from (Gathered(path, info.series, info) for info in scans) if scans else [Gathered(path)]


def picture_of(path: Path, series: str) -> Picture | None:
    """A scan's thumbnail, unless reading it would take long."""
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    return pictures.thumbnail(io.read(path, series=series or None)) if size <= LARGEST_FOR_A_PICTURE else None


def _is_volume(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".gipl", ".gipl.gz")) and not name.endswith(".seg.nrrd")
