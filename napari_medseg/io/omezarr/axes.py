"""The axes of an OME-Zarr image: which are time, channel and space, and how long their units are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medseg.errors import UnreadableFileError

IMPLIED = ("t", "c", "z", "y", "x")  # OME-Zarr 0.1 and 0.2 name no axes
_PREFIXES = {
    "yocto": -24, "zepto": -21, "atto": -18, "femto": -15, "pico": -12, "nano": -9, "micro": -6, "milli": -3, "centi": -2, "deci": -1, "": 0,
    "deca": 1, "hecto": 2, "kilo": 3, "mega": 6, "giga": 9, "tera": 12, "peta": 15, "exa": 18, "zetta": 21, "yotta": 24,
}
MILLIMETRES = {f"{prefix}met{end}": 10.0 ** (power + 3) for prefix, power in _PREFIXES.items() for end in ("er", "re")} | {
    "angstrom": 1e-7, "nm": 1e-6, "um": 1e-3, "µm": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3, "inch": 25.4, "foot": 304.8, "yard": 914.4, "mile": 1609344.0,
}
# RFC-4 of OME-Zarr: where an axis runs from and to; the world direction is LPS.
_RUNS = {
    "right-to-left": (1, 0, 0), "left-to-right": (-1, 0, 0), "anterior-to-posterior": (0, 1, 0), "posterior-to-anterior": (0, -1, 0),
    "inferior-to-superior": (0, 0, 1), "superior-to-inferior": (0, 0, -1),
}


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes in the order of the array.

    Attributes
    ----------
    letters : tuple of "t", "c", "z", "y", "x"
    millimetres : one a letter; how long a unit of it is, 1 for time and channels
    orientation : nine numbers, row-major, or None
        World directions (LPS) of the x, y and z axes, when the metadata say them.
    notes : tuple of str
    """

    letters: tuple[str, ...]
    millimetres: tuple[float, ...]
    orientation: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()


def parse_axes(found: object, where: Path) -> Axes:
    """Understand the "axes" of a multiscale image.

    Raises
    ------
    UnreadableFileError
        When they are not time, channel and two or three space axes, each once.
    """
    if found is None:
        return Axes(IMPLIED, (1.0,) * 5, notes=("names no axes: taken as time, channel, z, y, x in mm",))
    entries: list[Any] = [{"name": entry} if isinstance(entry, str) else entry for entry in found] if isinstance(found, list) else []
    if not 2 <= len(entries) <= 5 or not all(isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in entries):
        raise _refused("its axes cannot be understood", where)
    kinds = [_kind(entry) for entry in entries]
    space = [i for i, kind in enumerate(kinds) if kind == "space"]
    names = [entries[i]["name"].lower() for i in space]
    usual = ["z", "y", "x"][3 - len(space) :] if 2 <= len(space) <= 3 else []
    letters = [kind[0] for kind in kinds]
    for i, name, place in zip(space, names, usual, strict=False):
        letters[i] = name if sorted(names) == sorted(usual) else place
    if not usual or "?" in letters or len(set(letters)) != len(letters):
        told = ", ".join(str(entry["name"])[:20] for entry in entries)
        raise _refused(f"its axes ({told}) are not time, channel and two or three of space, each once at most", where)
    units, notes = _units(entries, space)
    return Axes(tuple(letters), units, _orientation(entries, letters), notes)


def _kind(entry: dict[str, object]) -> str:
    name, kind = str(entry["name"]).lower(), entry.get("type")
    if kind in ("time", "channel", "space"):
        return str(kind)
    return {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}.get(name, "?") if kind is None else "?"


def _units(entries: list[dict[str, object]], space: list[int]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    lengths, notes = [1.0] * len(entries), []
    unknown = []
    for i in space:
        unit = entries[i].get("unit")
        lengths[i] = MILLIMETRES.get(unit, 1.0) if isinstance(unit, str) else 1.0
        if not isinstance(unit, str) or unit not in MILLIMETRES:
            unknown.append(str(entries[i]["name"])[:20] + (f" in {unit[:20]!r}" if isinstance(unit, str) else ""))
    if unknown:
        notes.append(f"says no unit of length that is known ({', '.join(unknown)}): taken as mm")
    return tuple(lengths), tuple(notes)


def _orientation(entries: list[dict[str, object]], letters: list[str]) -> tuple[float, ...] | None:
    columns = []
    for letter in "xyz":
        told = entries[letters.index(letter)].get("orientation") if letter in letters else None
        value = told.get("value") if isinstance(told, dict) else None
        if not isinstance(value, str) or value not in _RUNS:
            return None
        columns.append(_RUNS[value])
    if sorted(max(range(3), key=lambda i, c=column: abs(c[i])) for column in columns) != [0, 1, 2]:  # type: ignore[misc]
        return None
    return tuple(float(columns[j][i]) for i in range(3) for j in range(3))


def _refused(what: str, where: Path) -> UnreadableFileError:
    return UnreadableFileError(what, where=where, todo="Export it as OME-Zarr 0.4 or 0.5 with the axes t, c, z, y, x or some of them")
