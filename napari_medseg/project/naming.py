"""One study, one meaning for each value: how the classes of a label map join the study's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from napari_medseg.annotation import LabelClass, palette


def joined(schema: Iterable[LabelClass], brought: Iterable[LabelClass], present: Iterable[int]) -> tuple[tuple[LabelClass, ...], list[str]]:
    """The study's classes with those a label map brings, and what a person should know of it.

    Parameters
    ----------
    schema : LabelClass each
        The study's; they keep their names.
    brought : LabelClass each
        What the label map says its values mean.
    present : int each
        Values in the label map.

    Returns
    -------
    classes : tuple of LabelClass
        By value.
    notes : list of str
        Sentences: what was added, and which names differ.
    """
    known, told = {c.value: c for c in schema}, {c.value: c for c in brought}
    names = {c.name.casefold(): c.value for c in known.values()}
    notes = []
    for value in sorted(v for v in present if 0 < v < 255):
        mine, theirs = known.get(value), told.get(value)
        if mine is not None:
            if theirs is not None and theirs.name.casefold() != mine.name.casefold():
                notes.append(f"class {value} is '{theirs.name}' in the label map and '{mine.name}' in this study; it stays '{mine.name}'")
            continue
        added = theirs or LabelClass(value, f"Class {value}", palette(value)[value - 1])
        taken = names.get(added.name.casefold())
        if taken is not None:
            notes.append(f"'{added.name}' is class {value} in the label map and class {taken} in this study; class {value} is added as '{added.name} {value}'")
            added = replace(added, name=f"{added.name} {value}")
        else:
            notes.append(f"class {value}, '{added.name}', is added to this study")
        known[value] = added
        names[added.name.casefold()] = value
    return tuple(known[value] for value in sorted(known)), notes
