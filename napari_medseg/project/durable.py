"""Making sure that what was written is on the disk, and saying in words why it is not."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_medseg.errors import MedsegError, ProjectError, UnwritableFileError
from napari_medseg.io import replacing
from napari_medseg.io.atomic import FULL, flush, flush_folder

LARGEST_JSON = 64 << 20
ELSEWHERE = "save a copy elsewhere; earlier versions are unchanged"


@contextmanager
def writing(where: str | Path) -> Iterator[None]:
    """Turn what the system says when it cannot write into an UnwritableFileError."""
    try:
        yield
    except OSError as error:
        if isinstance(error, MedsegError):
            raise
        raise unwritable(error, where) from error


@contextmanager
def looking(where: Path) -> Iterator[None]:
    """Turn what the system says when something cannot be looked at into a ProjectError."""
    try:
        yield
    except OSError as error:
        if isinstance(error, MedsegError):
            raise
        raise ProjectError(f"cannot be read ({error.strerror or error})", where=where, todo="Check the folder and its permissions") from error


def unwritable(error: OSError, where: str | Path) -> UnwritableFileError:
    """What the system said, in words."""
    if error.errno in FULL:
        return UnwritableFileError("the disk is full", where=where, todo=f"Make space, or {ELSEWHERE}")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return UnwritableFileError("may not be written", where=where, todo=f"Check the folder's permissions, or {ELSEWHERE}")
    return UnwritableFileError(f"could not be written ({error.strerror or error})", where=where, todo=f"Check the folder, or {ELSEWHERE}")


def flush_tree(folder: Path) -> None:
    """Put every file below a folder, and the folders, on the disk."""
    for here, _, names in os.walk(folder):
        for name in names:
            flush(Path(here, name))
        flush_folder(Path(here))


def write_json(path: Path, facts: Any) -> None:
    """Replace a JSON file, whole or not at all.

    Raises
    ------
    UnwritableFileError
    """
    with replacing(path) as temporary, writing(path):
        temporary.write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that anybody may have written.

    Raises
    ------
    ProjectError
        When it cannot be read, is huge or is no JSON.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ProjectError("is far larger than this program writes it", where=path, todo="Restore it from a backup")
        return json.loads(path.read_text(encoding="utf-8"))
    except MedsegError:
        raise
    except OSError as error:
        raise ProjectError(f"cannot be read ({error.strerror or error})", where=path, todo="Check the folder and its permissions") from error
    except (ValueError, RecursionError) as error:
        raise ProjectError("is damaged: it holds no JSON", where=path, todo="Restore it from a backup") from error
