"""Names and colours of classes without voxels: ITK-SNAP label descriptions, and our own JSON.

A description is text, one class a line: IDX, R, G, B (0-255), A (0-1), visibility, mesh visibility, and the name in quotation marks; lines that begin
with "#" are comments (ITK-SNAP, ColorLabelTable::LoadFromFile). Index 0 is the background. JSON holds the codes of classes too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from napari_medseg.annotation import LabelClass, classes_from_dicts, classes_from_json, classes_to_dicts
from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.atomic import replacing

SUFFIXES = (".label", ".txt", ".json")
LARGEST = 1 << 20  # bytes; 254 classes take 20 kB
_LINE = re.compile(r'\s*(\d{1,6})((?:\s+\d{1,3}(?:\.0*)?){3})\s+\d*\.?\d+\s+\d+\s+\d+\s+"(.*)"\s*')
_HEADER = """################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    MSH:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
    0     0    0    0        0  0  0    "Clear Label"
"""


def read_classes(path: Path | str) -> tuple[LabelClass, ...]:
    """Read the classes of an ITK-SNAP label description, or of JSON; what it is is told by what it holds.

    Parameters
    ----------
    path : Path
        JSON is a list of classes, or an object with such a list as its "classes".

    Returns
    -------
    tuple of LabelClass
        By value; the background is left out.

    Raises
    ------
    MissingFileError
        When nothing is there.
    UnreadableFileError
        When it is neither, or no text.
    InvalidInputError
        When a value is no class, stands twice, or has no name.
    """
    path = Path(path)
    text = _text(path)
    if text.lstrip().startswith(("{", "[")):
        found = _json(text, path)
    else:
        found = _itk_snap(text, path)
    if not found:
        raise UnreadableFileError("describes no class", where=path, todo="Give an ITK-SNAP label description, or classes as JSON")
    return tuple(sorted(found, key=lambda c: c.value))


def write_classes(classes: Iterable[LabelClass], path: Path | str) -> None:
    """Write classes, whole or not at all: JSON when the name ends in .json, else an ITK-SNAP label description, which holds no codes.

    Raises
    ------
    UnwritableFileError
        When the name ends in neither .label, .txt nor .json, there is no class, or the folder refuses.
    """
    path, classes = Path(path), sorted(classes, key=lambda c: c.value)
    if path.suffix.lower() not in SUFFIXES:
        raise UnwritableFileError("names no format for classes", where=path, todo=f"End it in {', '.join(SUFFIXES)}")
    if not classes:
        raise UnwritableFileError("would hold no class", where=path, todo="Name a class first")
    if path.suffix.lower() == ".json":
        text = json.dumps({"classes": classes_to_dicts(classes)}, indent=1, ensure_ascii=False) + "\n"
    else:
        text = _HEADER + "".join(_line(one) for one in classes)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise MissingFileError("there is no such file", where=path, todo="Check the path") from error
    except OSError as error:
        raise UnreadableFileError(f"cannot be read ({error.strerror or error})", where=path, todo="Check what it is, and its permissions") from error
    if len(data) > LARGEST or b"\0" in data:
        raise UnreadableFileError("is no description of classes", where=path, todo="Give an ITK-SNAP label description, or classes as JSON")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:  # ITK-SNAP writes in the system's encoding
        return data.decode("latin-1")


def _json(text: str, path: Path) -> tuple[LabelClass, ...]:
    if text.lstrip().startswith("["):
        return classes_from_json(text, path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError("is cut short or no JSON", where=path, todo="Correct it, or write it again") from error
    return classes_from_dicts(found.get("classes"), path)


def _itk_snap(text: str, path: Path) -> tuple[LabelClass, ...]:
    classes: dict[int, LabelClass] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = _LINE.fullmatch(line)
        if fields is None:
            what = f"line {number} is no label description ({line.strip()[:40]!r})"
            raise UnreadableFileError(what, where=path, todo='Each line is IDX R G B A VIS MSH "LABEL", as ITK-SNAP saves it')
        value, colour, name = int(fields[1]), [float(part) / 255 for part in fields[2].split()], fields[3].strip()
        if value == 0:
            continue
        if value in classes:
            raise InvalidInputError(f"line {number} gives class {value} for the second time", where=path, todo="Keep one of them")
        try:
            classes[value] = LabelClass(value, name, (colour[0], colour[1], colour[2]))
        except InvalidInputError as error:
            raise InvalidInputError(f"line {number}: {error.what}", where=path, todo=error.todo) from error
    return tuple(classes.values())


def _line(one: LabelClass) -> str:
    red, green, blue = (round(part * 255) for part in one.colour)
    return f'{one.value:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{" ".join(one.name.split())}"\n'
