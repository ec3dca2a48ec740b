"""npe2 reader: scans and label maps, turned to the display grid and placed in millimetres.

Where a Medseg dock is open, folders and large files are read beside the window; elsewhere at once, as napari expects of a reader.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import MedsegError

if TYPE_CHECKING:
    from napari_medseg.gui.opening import Opener

log = logging.getLogger(__name__)
LayerTuple = tuple[Any, dict[str, Any], str]
NOTHING: list[Any] = [(None,)]  # npe2: read, and nothing to show
STUDY = ".medseg"  # read by the Cases dock
LOOKED_AT = 200  # files of a folder that are looked at, to see whether it is one of ours
FOREIGN = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".czi", ".lif", ".nd2", ".lsm", ".avi", ".mp4", ".csv")


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerTuple]] | None:
    """A reader for the formats we know, by name or by what a file begins with, and for folders of DICOM; None leaves the path to others."""
    paths = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    return read_layers if paths and all(map(is_ours, paths)) else None


def read_layers(path: str | Sequence[str]) -> list[LayerTuple]:
    """The layers of each path; a fault is told in the window and that path left out."""
    from napari.utils.notifications import show_error, show_info

    from napari_medseg.gui.opening import layers_of, read_onto

    made: list[LayerTuple] = []
    opener = _opener()
    if opener is not None:
        opener.begin()
    for each in map(Path, [path] if isinstance(path, str) else path):
        if opener is not None and _takes_long(each):
            opener.open(each)
            continue
        try:
            volume = read_onto(each, None, opener.grids() if opener is not None else [])
        except MedsegError as error:
            log.info("%s: %s", type(error).__name__, error.what)
            if opener is not None:
                opener.failed(error)  # the Guide keeps it; napari's own message goes after seconds
            else:
                show_error(str(error))
            continue
        if opener is None:  # a dock's head tells them otherwise
            for note in volume.notes:
                show_info(f"{volume.name}: {note}")
        made += layers_of(each, volume)
    return made or NOTHING


def is_ours(path: Path) -> bool:
    """Whether a path is of a format we read, by its name or by what it begins with."""
    from napari_medseg.io.formats import format_of
    from napari_medseg.session.study import is_study

    if is_study(path):
        return False
    found = format_of(path)
    if path.suffix.lower() == STUDY:
        return False
    if path.is_dir():
        return (found is not None and found.folder and found.reads) or _holds_dicom(path)
    return (found is not None and found.reads) or _begins_as_dicom(path)


def _holds_dicom(folder: Path) -> bool:
    """Whether a folder holds DICOM; one with nothing that is somebody else's is ours too, so that we can say what is missing."""
    foreign = False
    for number, path in enumerate(_files(folder)):
        if number >= LOOKED_AT or _begins_as_dicom(path):
            return number < LOOKED_AT or not foreign
        foreign = foreign or path.suffix.lower() in FOREIGN
    return not foreign


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names))


def _begins_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _takes_long(path: Path) -> bool:
    from napari_medseg.gui.opening import LARGE_FILE

    return path.is_dir() or (path.is_file() and path.stat().st_size >= LARGE_FILE)


def _opener() -> Opener | None:
    """What opens scans beside the window, where the viewer in front has a dock of ours."""
    import napari

    from napari_medseg.gui.desk import find_desk

    viewer = napari.current_viewer()
    desk = find_desk(viewer) if viewer is not None else None
    return desk.opener if desk is not None else None
