"""The classes of a label map: value, name and colour."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

from napari_medseg.errors import InvalidInputError

Colour = tuple[float, float, float]

BACKGROUND = 255
"""What a background stroke is painted with; never a class."""

LARGEST_CLASS = 254

# Okabe and Ito, "Color Universal Design" (2008), without black; light and dark alternate, so that neighbours in the list differ for every eye.
OKABE_ITO: tuple[Colour, ...] = (
    (0.902, 0.624, 0.000),  # orange
    (0.337, 0.706, 0.914),  # sky blue
    (0.000, 0.620, 0.451),  # bluish green
    (0.941, 0.894, 0.259),  # yellow
    (0.000, 0.447, 0.698),  # blue
    (0.835, 0.369, 0.000),  # vermilion
    (0.800, 0.475, 0.655),  # reddish purple
)
OKABE_ITO_NAMES = ("Orange", "Sky blue", "Bluish green", "Yellow", "Blue", "Vermilion", "Reddish purple")
_GOLDEN = 0.618033988749895  # of the hue circle: consecutive hues stay far apart however many there are


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept, as DICOM and SNOMED CT name things.

    Attributes
    ----------
    value : str
        Such as "10200004".
    scheme : str
        Such as "SCT" (SNOMED CT).
    meaning : str
        Such as "Liver".
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One class of a label map.

    Attributes
    ----------
    value : int
        The number in the array, 1-254.
    name : str
        What people call it.
    colour : red, green, blue, each 0-1
    code : Code or None
        What it is, for other systems.

    Raises
    ------
    InvalidInputError
        When the value is no class, the name is empty or the colour is out of range.
    """

    value: int
    name: str
    colour: Colour
    code: Code | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.value <= LARGEST_CLASS:
            raise InvalidInputError(f"{self.value} is no class", where="class", todo=f"Use 1 to {LARGEST_CLASS}; 0 and {BACKGROUND} are taken")
        if not self.name.strip():
            raise InvalidInputError(f"class {self.value} has no name", where="class", todo="Type a name")
        if len(self.colour) != 3 or not all(0 <= part <= 1 for part in self.colour):
            raise InvalidInputError(f"{self.colour} is no colour", where=self.name, todo="Give red, green and blue between 0 and 1")


def palette(n: int) -> tuple[Colour, ...]:
    """Colours for `n` classes that people with any colour vision tell apart.

    The first seven are Okabe and Ito's; later ones step round the hue circle by the golden section in three lightnesses, since no
    larger set is safe for every eye (a class is never told by colour alone).
    """
    extra = (colorsys.hls_to_rgb((i * _GOLDEN) % 1, (0.45, 0.65, 0.3)[i % 3], 0.65) for i in range(max(0, n - len(OKABE_ITO))))
    return (*OKABE_ITO[:max(0, n)], *extra)


def default_classes(names: Sequence[str] | int = 1) -> tuple[LabelClass, ...]:
    """Classes numbered from 1.

    Parameters
    ----------
    names : sequence of str, or int
        Their names in order; a number gives "Class 1", "Class 2", ...

    Raises
    ------
    InvalidInputError
        When there are more than 254.
    """
    titles = [f"Class {i}" for i in range(1, names + 1)] if isinstance(names, int) else list(names)
    return tuple(LabelClass(value, name, colour) for value, (name, colour) in enumerate(zip(titles, palette(len(titles)), strict=True), start=1))
