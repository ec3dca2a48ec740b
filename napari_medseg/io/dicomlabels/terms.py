"""Classes as DICOM tells them: number, name, coded meaning and CIELab colour (PS3.3, C.8.20.4)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_medseg.annotation import Code, LabelClass, LabelMap, named, palette
from napari_medseg.annotation.classes import LARGEST_CLASS, Colour
from napari_medseg.io.dicomplanes import FAULTS
from napari_medseg.volume import Volume

TISSUE = Code("85756007", "SCT", "Tissue")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")
BACKGROUND = ("125040", "DCM")
UNKNOWN, GREY = 255, (0.5, 0.5, 0.5)
VALUE = "Label value {}"
_VALUE = re.compile(r"^Label value (\d{1,5})$")
UTF_8 = "ISO_IR 192"
LONG = 64  # characters of a DICOM name (LO)


@dataclass(frozen=True, slots=True)
class Described:
    """A value of a label map for other systems; other than a class, it may be any.

    Attributes
    ----------
    value : int
    name : str
    colour : red, green, blue, each 0-1
    code : Code or None
    """

    value: int
    name: str
    colour: Colour
    code: Code | None = None


def described(volume: Volume) -> list[Described]:
    """What every value of a label map is, also classes without a voxel."""
    known = named(volume.array, volume.classes if isinstance(volume, LabelMap) else ())
    others = [int(v) for v in np.unique(volume.array) if v > LARGEST_CLASS]
    return [Described(c.value, c.name, c.colour, c.code) for c in known] + [Described(v, "Unknown" if v == UNKNOWN else f"Class {v}", GREY) for v in others]


def character_set(header: Any, told: Sequence[Described]) -> Any:
    """In which a file's texts are written: the scan's, or UTF-8 when a class has a name that may need it."""
    own = header.get("SpecificCharacterSet")
    return UTF_8 if not own or not all(what.name.isascii() and (what.code is None or what.code.meaning.isascii()) for what in told) else own


def long_text(text: str) -> str:
    """A name as DICOM can hold it: 64 characters, no backslash, which parts values there, and no line breaks."""
    return " ".join(text.replace("\\", "/").split())[:LONG]


def category(code: Code | None) -> Code:
    """What kind of thing a coded concept is: a lesion by CID 7159, else anatomy."""
    from pydicom.sr.codedict import codes

    lesions = {(c.value, c.scheme_designator) for c in codes.cid7159.concepts.values()} - {("17621005", "SCT")}  # "Normal" is on that list too
    return LESION if code is not None and (code.value, code.scheme) in lesions else ANATOMY


def segment(number: int, what: Described) -> Any:
    """Describe one segment for highdicom; its value goes into the description when it is not its number."""
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    item = SegmentDescription(
        number, long_text(what.name), concept(category(what.code)), concept(what.code or TISSUE), "MANUAL",
        display_color=CIELabColor.from_rgb(*(round(255 * part) for part in what.colour)),
    )
    if number != what.value:
        item.SegmentDescription = VALUE.format(what.value)
    return item


def classes_of(segments: Sequence[Any], data: Any) -> tuple[dict[int, int], tuple[LabelClass, ...]]:
    """What the segments of a file become.

    Parameters
    ----------
    segments : items of SegmentSequence
    data : Dataset
        The file, whose palette may give the colours.

    Returns
    -------
    values : dict
        From segment number to value; 0 for background.
    classes : tuple of LabelClass
        For the values from 1 to 254.
    """
    values: dict[int, int] = {}
    numbers = [int(item.SegmentNumber) for item in segments]
    told = [_VALUE.match(str(item.get("SegmentDescription") or "")) for item in segments]
    wished = [int(found[1]) if found else number for found, number in zip(told, numbers, strict=True)]
    taken, later = set[int](), set(wished)
    free = (v for v in range(1, 65536) if v not in later)
    for item, number, wish in zip(segments, numbers, wished, strict=True):
        code = code_of(item, "SegmentedPropertyTypeCodeSequence")
        if code is not None and (code.value, code.scheme) == BACKGROUND:
            values[number] = 0
        else:
            values[number] = wish if 0 < wish < 65536 and wish not in taken else next(free)
            taken.add(values[number])
    colours = palette(len(segments))
    classes = []
    for k, item in enumerate(segments):
        value = values[int(item.SegmentNumber)]
        if 1 <= value <= LARGEST_CLASS:
            name = str(item.get("SegmentLabel") or "").strip() or f"Class {value}"
            code = code_of(item, "SegmentedPropertyTypeCodeSequence")
            colour = lab_colour(item) or _palette_colour(data, int(item.SegmentNumber)) or colours[k]
            classes.append(LabelClass(value, name, colour, None if code == TISSUE else code))
    return values, tuple(sorted(classes, key=lambda c: c.value))


def code_of(item: Any, sequence: str) -> Code | None:
    """The first code of a sequence; None when there is none that is whole."""
    for code in item.get(sequence) or ():
        value = str(code.get("CodeValue") or code.get("LongCodeValue") or "")
        scheme, meaning = str(code.get("CodingSchemeDesignator") or ""), str(code.get("CodeMeaning") or "")
        if value and scheme:
            return Code(value, scheme, meaning or value)
    return None


def lab_colour(item: Any) -> Colour | None:
    """The recommended colour of a segment as RGB."""
    from highdicom.color import CIELabColor

    lab = item.get("RecommendedDisplayCIELabValue")
    if lab is None or len(lab) != 3:
        return None
    red, green, blue = (min(255, max(0, part)) / 255 for part in CIELabColor.from_dicom_value([int(v) for v in lab]).to_rgb(clip=True))
    return red, green, blue


def _palette_colour(data: Any, number: int) -> Colour | None:
    try:
        parts = []
        for name in ("Red", "Green", "Blue"):
            count, first, bits = (int(v) for v in data[f"{name}PaletteColorLookupTableDescriptor"].value)
            table = np.frombuffer(data[f"{name}PaletteColorLookupTableData"].value, "<u1" if bits == 8 else "<u2")
            parts.append(float(table[: count or 65536][number - first]) / (255 if bits == 8 else 65535))
    except FAULTS:
        return None
    return (parts[0], parts[1], parts[2]) if number >= first else None


def concept(code: Code) -> Any:
    """A code as an item of a DICOM sequence."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, long_text(code.meaning))
