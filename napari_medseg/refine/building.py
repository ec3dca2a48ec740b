"""A recipe from the settings that differ from its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from napari_medseg.errors import InvalidInputError

Kind = TypeVar("Kind")
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a name", tuple: "numbers in brackets, such as [0.35, 0.7]",
         dict: "names with values in braces, such as {\"width\": 16}"}


def built(kind: type[Kind], overrides: Mapping[str, Any]) -> Kind:
    """A recipe (a dataclass) with these settings in place of its own.

    Raises
    ------
    InvalidInputError
        When there is no such setting, or its value makes no sense.
    """
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    unknown = set(overrides) - set(known)
    if unknown:
        raise InvalidInputError(f"a recipe has no '{min(unknown)}'", where="recipe", todo="Use: " + ", ".join(known))
    hints = get_type_hints(kind)
    return kind(**{name: _fitting(name, value, hints[name]) for name, value in overrides.items()})


def _fitting(name: str, value: Any, hint: Any) -> Any:
    """The value, if it is of the kind that the setting holds; lists become tuples."""
    inside = () if get_origin(hint) is dict else get_args(hint)
    kinds = [get_origin(part) or part for part in (hint, *(part for part in inside if part is not Ellipsis))]
    if isinstance(value, (list, tuple)) and tuple in kinds and all(_is(float, item) for item in value):
        return tuple(value)
    if any(_is(one, value) for one in kinds if one is not tuple and tuple not in kinds):
        return value
    wanted = next(words for one, words in reversed(WORDS.items()) if one in kinds)
    raise InvalidInputError(f"{name} cannot be {value!r}", where="recipe", todo=f"Give {wanted}")


def _is(kind: Any, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(kind, type):
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
