"""Classes of an image-label: OME-Zarr's own colours and properties, which any reader understands, and ours, which keep codes and exact colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_medseg.annotation import LabelClass, palette
from napari_medseg.annotation.coding import classes_from_dicts
from napari_medseg.errors import InvalidInputError

_NAMES = ("name", "label", "label-name", "class", "title", "text", "description")


def image_label(classes: Sequence[LabelClass]) -> dict[str, Any]:
    """The "image-label" metadata of classes (OME-Zarr 0.5, section 2.5)."""
    if not classes:
        return {}
    return {
        "colors": [{"label-value": c.value, "rgba": [*_bytes(c.colour), 255]} for c in classes],
        "properties": [{"label-value": c.value, "name": c.name} for c in classes],
    }


def classes_of(found: dict[str, Any], kept: object = None) -> tuple[LabelClass, ...]:
    """Classes of "image-label" metadata.

    Parameters
    ----------
    found : dict
        As in the file; entries that make no sense are passed over, like values that are no class (0, and above 254).
    kept : object
        Our own list, if there is one: it decides where it agrees with `found` in name and colour, to a byte.
    """
    colours = {value: colour for value, entry in _entries(found.get("colors")) if (colour := _colour(entry.get("rgba"))) is not None}
    names = {value: name for value, entry in _entries(found.get("properties")) if (name := _name(entry))}
    usual = palette(max([*colours, *names], default=0))
    told = {v: LabelClass(v, names.get(v, f"Class {v}"), colours.get(v, usual[v - 1])) for v in sorted({*colours, *names})}
    try:
        exact = {c.value: c for c in classes_from_dicts(kept)} if kept is not None else {}
    except InvalidInputError:
        exact = {}
    for value, one in exact.items():
        if value in told and told[value].name == one.name and _bytes(told[value].colour) == _bytes(one.colour):
            told[value] = one
    return tuple(told.values())


def _entries(found: object) -> list[tuple[int, dict[str, Any]]]:
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    values = [entry.get("label-value") for entry in entries]
    return [(value, entry) for value, entry in zip(values, entries, strict=True) if type(value) is int and 1 <= value <= 254]


def _colour(rgba: object) -> tuple[float, float, float] | None:
    if not isinstance(rgba, list) or len(rgba) not in (3, 4) or not all(type(part) is int and 0 <= part <= 255 for part in rgba):
        return None
    return rgba[0] / 255, rgba[1] / 255, rgba[2] / 255


def _name(entry: dict[str, Any]) -> str:
    for key in _NAMES:
        if isinstance(entry.get(key), str) and entry[key].strip():
            return " ".join(str(entry[key]).split())[:200]
    return ""


def _bytes(colour: tuple[float, float, float]) -> list[int]:
    return [round(part * 255) for part in colour]
