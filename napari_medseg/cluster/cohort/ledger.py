"""What of a cohort is done: a row a finished case, so that a second start does nothing twice and a case counts once.

On a disk the rows are lines of one file, written at once and flushed to the disk every second: a machine that loses its power does that second again. A line
that was cut off does not count. A store cannot append, so there each row is an object of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from filelock import FileLock, Timeout

from napari_medseg.cluster.cohort.places import Place
from napari_medseg.errors import UnwritableFileError
from napari_medseg.io.atomic import advice

Row = dict[str, Any]
NAME = "cohort.jsonl"
FOLDER = "cohort.rows"
FLUSH_S = 1.0


class Ledger:
    """The rows of one place; `opened` gives it.

    Attributes
    ----------
    rows : Row by case id
        The latest of each that an earlier run left; those of this run are on the disk only, so that it does not grow.
    """

    def __init__(self, place: Place, file: IO[str] | None) -> None:
        self.place, self._file, self._flushed = place, file, 0.0
        self.rows: dict[str, Row] = {row["case"]: row for row in _read(place)}

    def add(self, row: Row) -> None:
        """Keep a row; what ends this program from here on does not lose it.

        Raises
        ------
        UnwritableFileError
            When it could not be kept.
        """
        text = json.dumps(row, allow_nan=False)
        try:
            if self._file is not None:
                self._file.write(text + "\n")
                self._file.flush()
                if time.monotonic() - self._flushed > FLUSH_S:
                    os.fsync(self._file.fileno())
                    self._flushed = time.monotonic()
            else:
                name = hashlib.sha256(row["case"].encode()).hexdigest()[:32]
                with self.place.under(f"{FOLDER}/{name}.json").replaced() as path:
                    path.write_text(text, encoding="utf-8")
        except OSError as error:
            if isinstance(error, UnwritableFileError):
                raise
            raise UnwritableFileError(f"could not be written ({error.strerror})", where=NAME, todo=advice(error)) from error


@contextmanager
def opened(place: Place) -> Iterator[Ledger]:
    """The ledger of a place, for one run at a time where it is a folder.

    Raises
    ------
    UnwritableFileError
        When the folder cannot be made or written, or another run is at work in it.
    """
    if place.path is None:
        yield Ledger(place, None)
        return
    try:
        place.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.path / f".{NAME}.lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UnwritableFileError("another run is at work here", where=place.path, todo="Wait until it is done, or choose another folder") from error
    except OSError as error:
        raise UnwritableFileError(f"cannot be written ({error.strerror})", where=place.path, todo=advice(error)) from error
    try:
        path = place.path / NAME
        torn = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8", newline="\n") as file:
            if torn:
                file.write("\n")
            yield Ledger(place, file)
            file.flush()
            os.fsync(file.fileno())
    finally:
        lock.release()


def _read(place: Place) -> Iterator[Row]:
    if place.path is not None:
        for line in (place.under(NAME).read_bytes() or b"").splitlines():
            yield from _row(line)
        return
    rows = place.under(FOLDER)
    if rows.exists():
        for name in rows.names():
            yield from _row(rows.under(name).read_bytes() or b"")


def _row(text: bytes) -> Iterator[Row]:
    """The row, where it is whole."""
    try:
        found = json.loads(text)
    except ValueError:
        return
    if isinstance(found, dict) and isinstance(found.get("case"), str):
        yield found
