"""Files that are there whole or not at all: written under another name, flushed to the disk, then put in place."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_medseg.errors import MedsegError, UnwritableFileError
from napari_medseg.io.formats import suffix_of

log = logging.getLogger(__name__)
BUSY = {5, 32, 33}  # what Windows answers while a virus scanner, an indexer or a cloud folder has a file open
WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0)  # s between two tries: such programs let go within a second or two
LONGEST = 259  # letters of a path on Windows, unless long paths are allowed there
FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows knows no quota error


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on leaving, it takes the place of `path`.

    Parameters
    ----------
    path : Path
        What to write or replace. Its folder must exist.

    Yields
    ------
    Path
        In the same folder and with the same suffix, since writers choose the format by it. Nothing is there yet.

    Raises
    ------
    UnwritableFileError
        When the folder does not exist or refuses, the disk is full, or nothing was written. What was at `path` is unchanged then, as it is
        after any error or Ctrl-C inside the block.
    """
    path = Path(path)
    if path.is_dir():
        raise UnwritableFileError("is a folder", where=path, todo="Give the name of a file")
    if not path.parent.is_dir():
        raise UnwritableFileError(f"the folder {path.parent} does not exist", where=path, todo="Create it, or choose another place")
    temporary = path.parent / f".{secrets.token_hex(6)}.part{suffix_of(path) or path.suffix}"
    try:
        yield temporary
        flush(temporary)
        put(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        if isinstance(error, MedsegError):
            raise
        raise UnwritableFileError(f"could not be written ({error.strerror or error})", where=path, todo=advice(error, temporary)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def put(source: Path, target: Path) -> None:
    """Rename a file or folder; what is at the target is replaced as `os.replace` does.

    Windows refuses while any program has one of the two open, if only to look at what is new. Those let go soon, so it is tried again for about 2.6 s; what is
    still refused then is open in a program that keeps it.

    Raises
    ------
    OSError
    """
    for wait in WAITS:
        try:
            os.replace(source, target)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in BUSY:
                raise
            log.info("%s is open elsewhere; tried again", target.name)
            time.sleep(wait)
        else:
            return
    os.replace(source, target)


def flush(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb+") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name == "nt":  # a folder cannot be opened there; its entries are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network folders refuse; the file itself is safe
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def advice(error: OSError, path: Path | None = None) -> str:
    """What to do about a file that could not be written."""
    if path is not None and os.name == "nt" and len(str(path.absolute())) > LONGEST:
        return f"Its path has more than {LONGEST} letters: use a folder nearer to the top of the drive, or allow long paths in Windows"
    if error.errno in FULL:
        return "Make space on the disk, or choose another place"
    if isinstance(error, PermissionError):
        return "Close it in other programs, check the folder's permissions, or choose another place"
    return "Check the folder, or choose another place"
