"""Facts from a file that anybody may have edited: looked at field by field before they are believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
_WORDS = {
    "int_type": "no whole number", "float_type": "no number", "string_type": "no text", "bool_type": "neither true nor false", "tuple_type": "no list",
    "dict_type": "no object", "finite_number": "no finite number",
}


class FaultyFactsError(ValueError):
    """Facts that are not what they claim to be.

    Attributes
    ----------
    faults : tuple of (field, reason)
        In the order of the fields; a reason goes on from the field's name: "is missing".
    """

    def __init__(self, *faults: tuple[str, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"'{field}' {why}" if field else why for field, why in faults))


def parsed(text: str) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    FaultyFactsError
        When it is none.
    """
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FaultyFactsError(("", "is no JSON")) from error
    if not isinstance(facts, dict):
        raise FaultyFactsError(("", "is no JSON object"))
    return facts


def built(kind: type[T], facts: Mapping[str, Any]) -> T:
    """A dataclass of its facts; no type is guessed, no field is passed over.

    Raises
    ------
    FaultyFactsError
        With every fault.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    strange = [(name, "is no field known here") for name in facts if name not in known]
    try:
        made = TypeAdapter(kind).validate_json(json.dumps(facts), strict=True)
    except ValidationError as error:
        raise FaultyFactsError(*((".".join(str(part) for part in one["loc"]), _words(one)) for one in error.errors(include_url=False)), *strange) from error
    if strange:
        raise FaultyFactsError(*strange)
    return made


def _words(error: Any) -> str:
    if error["type"] == "missing":
        return "is missing"
    value = repr(error["input"])
    value = value if len(value) <= 40 else f"{value[:37]}..."
    if error["type"] == "literal_error":
        return f"is {value}, not {error['ctx']['expected']}"
    return f"is {value}, {_WORDS.get(error['type'], 'not what it should be')}"
