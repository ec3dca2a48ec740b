"""What label values are called when a file brings names of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from napari_medseg.annotation import LabelClass


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
