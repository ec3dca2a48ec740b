"""Rulers: distances in mm and angles in degrees between places in the patient.

Places are LPS mm (x, y, z), so a ruler is right whatever the voxels measure, however the scan is turned and whichever plane it was drawn on.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

from napari_medseg.annotation.prompts import PointLPS
from napari_medseg.errors import InvalidInputError

LONGEST_NAME = 80
LEAST_MM = 1e-3  # two places nearer than this are one
HEADER = ("Name", "Kind", "Length (mm)", "Angle (degrees)", *(f"{axis}{place} (mm, LPS)" for place in (1, 2, 3) for axis in "xyz"))


@dataclass(frozen=True, slots=True)
class Ruler:
    """Two places with a distance, or three with an angle at the second.

    Attributes
    ----------
    places : two or three LPS points, mm
    name : str
        What a person calls it; may be empty.

    Raises
    ------
    InvalidInputError
        When there are other than two or three places, a number is not finite, or places that follow each other are the same.
    """

    places: tuple[PointLPS, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.places) not in (2, 3) or any(len(place) != 3 for place in self.places):
            raise InvalidInputError("a ruler has two places and an angle three, each with x, y and z", where="ruler", todo="Draw it anew")
        if not np.isfinite(np.array(self.places, float)).all():
            raise InvalidInputError("a place of a ruler is not a usable number", where="ruler", todo="Draw it anew")
        if min(math.dist(a, b) for a, b in pairwise(self.places)) < LEAST_MM:
            raise InvalidInputError("two places of the ruler are the same", where="ruler", todo="Click on two different places")

    @property
    def is_angle(self) -> bool:
        """Whether it measures an angle."""
        return len(self.places) == 3

    @property
    def mm(self) -> float:
        """The distance between its two places."""
        return math.dist(*self.places[:2])

    @property
    def degrees(self) -> float:
        """The angle at its second place, 0 to 180; NaN of a distance."""
        if not self.is_angle:
            return math.nan
        a, corner, b = (np.array(place, float) for place in self.places)
        one, other = a - corner, b - corner
        return math.degrees(math.atan2(float(np.linalg.norm(np.cross(one, other))), float(one @ other)))

    @property
    def words(self) -> str:
        """What stands beside it: "34.2 mm", "57.3°"."""
        return f"{self.degrees:.1f}°" if self.is_angle else f"{self.mm:.1f} mm"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "places": [[round(float(v), 4) for v in place] for place in self.places]}

    @classmethod
    def from_dict(cls, facts: object) -> Self:
        """From what `as_dict` gave, perhaps changed by hand since.

        Raises
        ------
        InvalidInputError
        """
        places = facts.get("places") if isinstance(facts, dict) else None
        name = facts.get("name", "") if isinstance(facts, dict) else ""
        numbers = isinstance(places, list) and all(isinstance(place, list) and all(_is_number(v) for v in place) for place in places)
        if not isinstance(places, list) or not numbers or not isinstance(name, str):
            raise InvalidInputError("is no ruler: it wants a name and two or three places of x, y and z", where="rulers", todo="Delete that entry")
        if any(len(place) != 3 for place in places):
            raise InvalidInputError("a place of a ruler is x, y and z", where="rulers", todo="Delete that entry")
        return cls(tuple((float(x), float(y), float(z)) for x, y, z in places), name[:LONGEST_NAME])


def rulers_from(facts: object, where: str) -> tuple[Ruler, ...]:
    """Rulers of a JSON list.

    Raises
    ------
    InvalidInputError
        When it is no list, or an entry is no ruler.
    """
    if not isinstance(facts, list):
        raise InvalidInputError("holds no list of rulers", where=where, todo="Choose a file that rulers were saved to")
    return tuple(Ruler.from_dict(each) for each in facts)


def as_csv(rulers: Iterable[Ruler]) -> str:
    """A table with units in its header."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    for ruler in rulers:
        measured = ("angle", "", f"{ruler.degrees:.2f}") if ruler.is_angle else ("distance", f"{ruler.mm:.2f}", "")
        writer.writerow([ruler.name, *measured, *(f"{v:.3f}" for place in ruler.places for v in place)])
    return out.getvalue()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
