"""A recipe from the settings that differ from its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from napari_medseg.errors import InvalidInputError

Kind = TypeVar("Kind")


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
    return kind(**overrides)
