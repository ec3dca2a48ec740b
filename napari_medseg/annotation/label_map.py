"""A label map: a volume of class values, and what the values mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_medseg.annotation.classes import LabelClass, palette
from napari_medseg.volume import Array, Volume


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap(Volume):
    """A volume of class values with their names and colours.

    Attributes
    ----------
    array : uint8 or uint16 (z, y, x)
        0 background.
    classes : tuple of LabelClass
        What the values mean; values that are in the array and not here have no name yet.
    """

    classes: tuple[LabelClass, ...] = ()


def named(array: Array, known: Iterable[LabelClass] = ()) -> tuple[LabelClass, ...]:
    """Classes for every value from 1 to 254 in a label map: those known, "Class 7" in its own colour for the others.

    The array may be of any shape: a map, or a list of its values.
    """
    have = {c.value: c for c in known}
    present = [int(v) for v in np.unique(array) if 0 < v < 255]
    colours: Sequence[tuple[float, float, float]] = palette(max(present, default=0))
    found = {v: have.get(v) or LabelClass(v, f"Class {v}", colours[v - 1]) for v in present}
    return tuple({**have, **found}[v] for v in sorted({*have, *found}))
