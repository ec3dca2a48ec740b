"""The table of cases: which are shown, in what order, and which comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from napari_medseg.project import Case

Column = Literal["added", "name", "status", "ml", "editor", "seconds"]
STATUSES = ("new", "weak", "refined", "corrected", "verified")
SIGNS = {"new": "○", "weak": "◔", "refined": "◑", "corrected": "◕", "verified": "✔"}
"""A status is told by a sign and a word, never by colour alone."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What a case's latest version holds.

    Attributes
    ----------
    labels : int
        Classes that are there.
    ml : float
        Of all of them.
    values : frozenset of int
        Their values.
    """

    labels: int = 0
    ml: float = 0.0
    values: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Order:
    """Filter and sort.

    Attributes
    ----------
    text : str
        Part of a name or of an editor's.
    status : str
        Only this one; "" for all, "open" for all that are not verified.
    by : Column
    descending : bool
    """

    text: str = ""
    status: str = ""
    by: Column = "added"
    descending: bool = False


def arranged(cases: Iterable[Case], order: Order, amounts: Mapping[str, Amount]) -> list[Case]:
    """The cases that pass the filter, sorted; equal ones stay in the order they were added."""
    words = order.text.casefold().split()
    shown = [
        case for case in cases
        if (not order.status or case.status == order.status or (order.status == "open" and case.status != "verified"))
        and all(word in f"{case.name} {case.last_editor}".casefold() for word in words)
    ]
    keys: dict[str, Any] = {
        "added": lambda case: case.id, "name": lambda case: natural(case.name), "status": lambda case: STATUSES.index(case.status),
        "ml": lambda case: amounts.get(case.id, Amount()).ml, "editor": lambda case: case.last_editor.casefold(), "seconds": lambda case: case.seconds,
    }
    return sorted(shown, key=keys[order.by], reverse=order.descending)


def neighbour(rows: Sequence[Case], current: str, by: int) -> Case | None:
    """The case `by` rows further; the first or the last when the current one is not among them; None at the end."""
    if not rows:
        return None
    ids = [case.id for case in rows]
    if current not in ids:
        return rows[0] if by > 0 else rows[-1]
    index = ids.index(current) + by
    return rows[index] if 0 <= index < len(rows) else None


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which "case 10" comes after "case 9"."""
    parts, digits = [], ""
    for sign in f"{name.casefold()} ":
        if sign.isdecimal() and sign.isascii():
            digits += sign
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, sign))
    return parts
