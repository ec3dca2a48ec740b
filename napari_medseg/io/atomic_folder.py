"""Folders that are there whole or not at all: written under another name, flushed to the disk, then put in place.

No system swaps two folders in one step everywhere, so an old one is moved aside before the new one takes its name. Whoever is killed between the two
steps leaves both beside it, whole; `settle` then finishes the swap.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_medseg.errors import MedsegError, UnwritableFileError
from napari_medseg.io.atomic import advice, flush, flush_folder, put
from napari_medseg.io.formats import suffix_of


@contextmanager
def replacing_folder(path: Path | str, *, marks: tuple[str, ...]) -> Iterator[Path]:
    """Give the path of a folder to make beside `path`; on leaving, it takes the place of `path`.

    Parameters
    ----------
    path : Path
        What to write or replace. The folder that it lies in must exist.
    marks : tuple of str
        Names of files, one of which tells that a folder is of the kind that may be replaced. An empty folder may be, too.

    Yields
    ------
    Path
        In the same folder and with the same suffix. Nothing is there yet.

    Raises
    ------
    UnwritableFileError
        When the folder it lies in does not exist or refuses, the disk is full, or `path` is a file or a folder of another kind. What was at `path` is
        unchanged then, as it is after any error or Ctrl-C inside the block.
    """
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise UnwritableFileError(f"the folder {path.parent} does not exist", where=path, todo="Create it, or choose another place")
    settle(path)
    if path.exists() and not path.is_dir():
        raise UnwritableFileError("is a file", where=path, todo="Give the name of a folder")
    if path.is_dir() and any(path.iterdir()) and not any((path / mark).is_file() for mark in marks):
        raise UnwritableFileError("is a folder that holds something else", where=path, todo="Give another name")
    temporary = path.parent / f".{secrets.token_hex(6)}.part{suffix_of(path) or path.suffix}"
    try:
        yield temporary
        flush_tree(temporary)
        put(temporary, _new(path))
        _swap(path)
    except OSError as error:
        if isinstance(error, MedsegError):
            raise
        raise UnwritableFileError(f"could not be written ({error.strerror or error})", where=path, todo=advice(error, temporary)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def settle(path: Path) -> None:
    """Finish a swap that was cut off, if there is one: the new folder takes the name, or the old one takes it back."""
    if not path.name:
        return
    with suppress(OSError):  # a folder that cannot be written to is left as it is
        if _new(path).is_dir():
            _swap(path)
        elif _old(path).is_dir() and not path.exists():
            put(_old(path), path)
        elif _old(path).is_dir():
            shutil.rmtree(_old(path), ignore_errors=True)


def flush_tree(folder: Path) -> None:
    """Flush every file in a folder to the disk, then the folders."""
    for inside, _, files in os.walk(folder, topdown=False):
        for name in files:
            flush(Path(inside, name))
        flush_folder(Path(inside))


def _swap(path: Path) -> None:
    """Put the new folder, which is whole, in the place of the old one; the old one is back when that fails."""
    new, old = _new(path), _old(path)
    try:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            put(path, old)
        put(new, path)
    except OSError:
        if not new.exists() and path.exists():  # a reader has finished the swap meanwhile
            return
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not path.exists():
            put(old, path)
        raise
    flush_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _new(path: Path) -> Path:
    return path.parent / f".{path.name}.new"


def _old(path: Path) -> Path:
    return path.parent / f".{path.name}.old"
