"""One way out: a Volume to a file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.errors import UnwritableFileError
from napari_medseg.io.atomic import replacing
from napari_medseg.io.formats import WRITABLE, format_of
from napari_medseg.volume import Volume


def write(volume: Volume, path: Path | str) -> None:
    """Write a scan or a label map on its own grid.

    Parameters
    ----------
    volume : Volume
        bool is written as uint8, float16 as float32; channels as a vector image. A LabelMap's names and colours are kept where the format can hold them.
    path : Path
        Its suffix chooses the format; see `formats.FORMATS`.

    Raises
    ------
    UnwritableFileError
        Another suffix, no such folder, no permission, no space, or a grid that the format cannot hold. What was at `path` is unchanged then.
    """
    path = Path(path)
    require_writable(path)
    found = format_of(path)
    assert found is not None  # require_writable looked
    with replacing(path) as temporary:
        try:
            found.family.write(volume, temporary)
        except UnwritableFileError as error:
            raise UnwritableFileError(error.what, where=path, todo=error.todo) from error


def require_writable(path: Path) -> None:
    """Refuse a name that no writer takes, before any work is done.

    Raises
    ------
    UnwritableFileError
        When the suffix is none that can be written, or the folder does not exist.
    """
    found = format_of(path)
    if found is None or not found.writes:
        raise UnwritableFileError("names no format that can be written", where=path, todo=f"End it in {', '.join(WRITABLE)}")
    if path.is_dir() and not found.folder:
        raise UnwritableFileError("is a folder", where=path, todo="Give the name of a file")
    if not path.absolute().parent.is_dir():
        raise UnwritableFileError(f"the folder {path.parent} does not exist", where=path, todo="Create it, or choose another place")
