"""Folders of label maps that are compared: what they are called, and which group a case belongs to."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError

Groups = dict[str, dict[str, str]]
"""By grouping and case."""


def told_apart(folders: Sequence[Path]) -> dict[str, Path]:
    """Each folder under the shortest end of its path that tells it from the others.

    Raises
    ------
    InvalidInputError
        When one was given twice.
    """
    whole = [folder.resolve() for folder in folders]
    if len(set(whole)) < len(whole):
        raise InvalidInputError("the same folder was given twice", where="models", todo="Give different folders")
    longest = max(len(folder.parts) for folder in whole)
    depth = next(n for n in range(1, longest + 1) if len({folder.parts[-n:] for folder in whole}) == len(whole))
    return {"/".join(folder.parts[-depth:]): folder for folder in whole}


def groups_of(table: Path) -> Groups:
    """The groups of a CSV file with a column `case` (names without suffix) and one a grouping, such as scanner and site.

    Raises
    ------
    MissingFileError
        When there is no such file.
    UnreadableFileError
        When it is no such table.
    """
    if not table.is_file():
        raise MissingFileError("there is no such file", where=table, todo="Check the path")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFileError("is no table of text", where=table, todo="Save it as CSV in UTF-8") from error
    names = [name for name in (rows[0] if rows else {}) if name and name != "case"]
    if not rows or "case" not in rows[0] or not names:
        raise UnreadableFileError("needs a column `case` and one or more others", where=table, todo="Name the columns in the first line: case,scanner,site")
    return {name: {str(row["case"]): str(row[name] or "").strip() for row in rows} for name in names}
