"""The words a loss is asked for in: `ce + 0.5*dice`, `focal(gamma=2) + tversky(alpha=0.3, beta=0.7)`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from napari_medseg.errors import InvalidInputError

Setting = float | list[float]
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
TERM = re.compile(rf"\s*(?:({NUMBER})\s*\*\s*)?([a-z][a-z0-9._-]*)\s*(?:\(([^()]*)\))?\s*")
SETTING = re.compile(rf"\s*([a-z_]+)\s*=\s*({NUMBER}|\[[^\[\]]*\])\s*")
TODO = "Write for example: ce + 0.5*dice, or focal(gamma=2) + tversky(alpha=0.3, beta=0.7)"


@dataclass(frozen=True, slots=True)
class Term:
    """One loss of a sum.

    Attributes
    ----------
    name : str
        Of its entry in the catalogue.
    factor : float
        Above 0.
    settings : mapping of str to a number or several
    """

    name: str
    factor: float = 1.0
    settings: Mapping[str, Setting] = field(default_factory=dict)


def terms(text: str) -> list[Term]:
    """What a person wrote, as the losses that are to be added up.

    Raises
    ------
    InvalidInputError
        When it cannot be read; says at which place.
    """
    found, at = [], 0
    while True:
        match = TERM.match(text, at)
        if match is None:
            _unread(text, at)
        factor, name, settings = match.groups()
        found.append(Term(name, 1.0 if factor is None else float(factor), _settings(text, match.start(3), settings)))
        if not 0 < found[-1].factor < float("inf"):
            raise InvalidInputError(f"'{name}' cannot count {factor} times", where="loss", todo="Give a number above 0")
        at = match.end()
        if at == len(text):
            return found
        if text[at] != "+":
            _unread(text, at)
        at += 1


def _settings(text: str, start: int, inside: str | None) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    at, end = start, start + len(inside or "")
    while inside and inside.strip():
        match = SETTING.match(text, at, end)
        if match is None:
            _unread(text, at)
        name, value = match.groups()
        if name in found:
            raise InvalidInputError(f"'{name}' is given twice", where="loss", todo="Give it once")
        several = value.startswith("[")
        numbers = _numbers(text, match.start(2), value) if several else [float(value)]
        if not all(map(math.isfinite, numbers)):
            raise InvalidInputError(f"'{name}' is too large a number", where="loss", todo="Give a smaller one")
        found[name] = numbers if several else numbers[0]
        at = match.end()
        if at == end:
            break
        if text[at] != ",":
            _unread(text, at)
        at += 1
    return found


def _numbers(text: str, at: int, value: str) -> list[float]:
    parts = value[1:-1].split(",")
    if not all(re.fullmatch(rf"\s*{NUMBER}\s*", part) for part in parts):
        _unread(text, at)
    return [float(part) for part in parts]


def _unread(text: str, at: int) -> NoReturn:
    what = f"'{text}' cannot be read from '{text[at:].strip()}' on" if text[at:].strip() else f"'{text}' ends where a loss should follow"
    raise InvalidInputError(what, where="loss", todo=TODO)
