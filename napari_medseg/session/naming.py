"""What label values are called when a file brings names of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from napari_medseg.annotation import LabelClass, palette

LARGEST = 254


def merged_classes(known: Sequence[LabelClass], coming: Sequence[LabelClass], used: Collection[int]) -> tuple[list[LabelClass], list[str]]:
    """The session's classes once a label map of a file joined.

    Parameters
    ----------
    known : the session's classes, in the order of the table
    coming : the file's
    used : values of `known` that hold voxels, seeds or strokes somewhere

    Returns
    -------
    (classes, notes)
        Values in use keep the name they have here; a note says which of the file's names that hides. Others take the file's, new ones are added.
    """
    notes: list[str] = []
    table = {c.value: c for c in known}
    for each in coming:
        here = table.get(each.value)
        if here is None or each.value not in used:
            table[each.value] = each
        elif here.name.casefold() != each.name.casefold():
            notes.append(f"label {each.value} is {here.name} here, {each.name} in the file")
    if not used and coming:  # nothing was done with the classes the session began with
        table = {c.value: c for c in coming}
    return list(table.values()), notes


def fresh_class(name: str, taken: Sequence[LabelClass]) -> LabelClass:
    """A class with the next free value and its colour."""
    value = next(v for v in range(1, LARGEST + 1) if all(c.value != v for c in taken))
    return LabelClass(value, name.strip() or f"Class {value}", palette(value)[value - 1])


def classes_for(names: Iterable[str], known: Sequence[LabelClass]) -> list[LabelClass]:
    """Classes for an engine's names: those that are known, else fresh ones that are not in the table until accepted."""
    found: list[LabelClass] = []
    for name in names:
        match = next((c for c in known if c.name.casefold() == name.casefold()), None)
        found.append(match or fresh_class(name, [*known, *found]))
    return found
