"""Which scans or masks a folder holds."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.errors import MissingFileError, UnreadableFileError
from napari_medseg.io.formats import READABLE, is_omezarr, stem_of, suffix_of


def files_in(folder: Path) -> dict[str, Path]:
    """The scans or masks of a folder, by their names without suffix, in order; hidden files are left out, and of an Analyze pair the header stands for both.

    Raises
    ------
    MissingFileError
        When the folder is not there.
    UnreadableFileError
        When two files have one name, so that nobody knows which is meant.
    """
    if not folder.is_dir():
        raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not (is_omezarr(path) or (path.is_file() and suffix_of(path) in READABLE)):
            continue
        first = found.setdefault(stem_of(path), path)
        if first != path and (suffix_of(first), suffix_of(path)) != (".hdr", ".img"):
            raise UnreadableFileError(f"has the same name as {first.name}", where=path, todo="Keep one of the two")
    return found


def masks_in(folder: Path) -> dict[str, Path]:
    """The masks of a folder that has some, as `files_in`.

    Raises
    ------
    MissingFileError, UnreadableFileError
        As `files_in`, and when it holds none.
    """
    masks = files_in(folder)
    if not masks:
        raise UnreadableFileError("holds no mask", where=folder, todo="Give a folder of .nii.gz, .nrrd or .mha masks")
    return masks
