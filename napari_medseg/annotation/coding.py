"""Classes as JSON, the one form in which files and the project store keep them.

A class is `{"value": 1, "name": "Liver", "colour": [0.9, 0.6, 0.0], "code": {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}}`;
a class without a code has no "code".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_medseg.annotation.classes import Code, LabelClass
from napari_medseg.errors import InvalidInputError

CORRECT_IT = "Correct it, or write it again from the label map"


def classes_to_dicts(classes: Iterable[LabelClass]) -> list[dict[str, Any]]:
    """Classes as plain lists, numbers and texts, in their order."""
    return [_to_dict(c) for c in classes]


def classes_from_dicts(found: object, where: str | Path = "classes") -> tuple[LabelClass, ...]:
    """Classes of what `classes_to_dicts` gave, or what somebody edited.

    Parameters
    ----------
    found : object
        Anything; it is looked at before it is believed.
    where : str or Path
        What an error names.

    Raises
    ------
    InvalidInputError
        When it is no list of classes, or two of them have one value.
    """
    if not isinstance(found, list):
        raise InvalidInputError("holds no list of classes", where=where, todo=CORRECT_IT)
    classes = tuple(_from_dict(entry, where) for entry in found)
    values = [c.value for c in classes]
    twice = next((v for v in values if values.count(v) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"gives class {twice} twice", where=where, todo=CORRECT_IT)
    return classes


def classes_to_json(classes: Iterable[LabelClass]) -> str:
    """Classes as one line of JSON, ASCII only."""
    return json.dumps(classes_to_dicts(classes), separators=(",", ":"))


def classes_from_json(text: str | bytes, where: str | Path = "classes") -> tuple[LabelClass, ...]:
    """Classes of what `classes_to_json` gave.

    Raises
    ------
    InvalidInputError
        When it is no JSON, or no list of classes.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("holds classes that are no JSON", where=where, todo=CORRECT_IT) from error
    return classes_from_dicts(found, where)


def _to_dict(one: LabelClass) -> dict[str, Any]:
    plain: dict[str, Any] = {"value": one.value, "name": one.name, "colour": list(one.colour)}
    if one.code is not None:
        plain["code"] = {"value": one.code.value, "scheme": one.code.scheme, "meaning": one.code.meaning}
    return plain


def _from_dict(entry: object, where: str | Path) -> LabelClass:
    if not isinstance(entry, dict):
        raise InvalidInputError("holds a class that is no object", where=where, todo=CORRECT_IT)
    value, name, colour, code = (entry.get(key) for key in ("value", "name", "colour", "code"))
    if type(value) is not int or not isinstance(name, str):
        raise InvalidInputError("holds a class without a whole number as value, or without a name", where=where, todo=CORRECT_IT)
    if not isinstance(colour, list) or len(colour) != 3 or not all(type(part) in (int, float) for part in colour):
        raise InvalidInputError(f"class {value} has no colour", where=where, todo="Give red, green and blue between 0 and 1")
    try:
        return LabelClass(value, name, (float(colour[0]), float(colour[1]), float(colour[2])), _code(code, value, where))
    except (InvalidInputError, OverflowError) as error:
        raise InvalidInputError(getattr(error, "what", "holds a colour that is none"), where=where, todo=getattr(error, "todo", CORRECT_IT)) from error


def _code(found: object, value: int, where: str | Path) -> Code | None:
    if found is None:
        return None
    parts = [found.get(key) for key in ("value", "scheme", "meaning")] if isinstance(found, dict) else []
    if len(parts) != 3 or not all(isinstance(part, str) for part in parts):
        raise InvalidInputError(f"class {value} has a code that is none", where=where, todo="Give value, scheme and meaning, or leave it out")
    return Code(str(parts[0]), str(parts[1]), str(parts[2]))
