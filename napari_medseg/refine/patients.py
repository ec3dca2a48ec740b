"""Who was scanned, from a file: case names and patients."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError

TODO = 'Give JSON ({"a.nii.gz": "patient 1", ...}) or CSV with one "file name,patient" a line'


def read_patients(path: Path) -> dict[str, str]:
    """Patients by case name, from JSON or CSV.

    Raises
    ------
    MissingFileError, UnreadableFileError
    InvalidInputError
        When it is not a table of two columns, or names a case twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MissingFileError("there is no such file", where=path, todo="Check the path") from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError("is no text", where=path, todo=TODO) from error
    pairs = _json(text, path) if text.lstrip().startswith(("{", "[")) else [tuple(row) for row in csv.reader(text.splitlines()) if any(row)]
    found: dict[str, str] = {}
    for pair in pairs:
        names = [part.strip() for part in pair]
        if len(names) != 2 or not all(names):
            raise InvalidInputError(f"has a line that is not a case and its patient: {', '.join(pair)[:80]}", where=path, todo=TODO)
        if names[0] in found:
            raise InvalidInputError(f"names {names[0]} twice", where=path, todo="Give each case one patient")
        found[names[0]] = names[1]
    return found


def _json(text: str, path: Path) -> list[tuple[str, ...]]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError("is no JSON", where=path, todo=TODO) from error
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise InvalidInputError("is no table of cases and patients", where=path, todo=TODO)
    return list(table.items())
