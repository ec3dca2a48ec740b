"""NRRD headers (teem.sourceforge.net/nrrd/format.html): which axes are space, where they lie, and where the voxels are."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.faults import SEND_AGAIN
from napari_medseg.io.grids import Matrix, flat, require_spacing
from napari_medseg.io.packing import Packing
from napari_medseg.io.voxels import MANY_FILES, Stored, beside, numbered

TEXT_LIMIT = 1 << 22
MANY_LINES = 1 << 16
TYPES = {
    "signed char": "i1", "uchar": "u1", "unsigned char": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "longlong": "i8", "ulonglong": "u8",
    "short int": "i2", "signed short": "i2", "signed short int": "i2", "unsigned short": "u2", "unsigned short int": "u2", "signed int": "i4",
    "unsigned int": "u4", "long long": "i8", "long long int": "i8", "signed long long": "i8", "signed long long int": "i8", "unsigned long long": "u8",
    "unsigned long long int": "u8", "float": "f4", "double": "f8",
    **{f"{'u' * (kind == 'u')}int{8 * size}{end}": f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8) for end in ("", "_t")},
}
_ENCODINGS: dict[str, Packing] = {
    "raw": "", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2", "ascii": "text", "text": "text", "txt": "text", "hex": "hex",
}
_SIGNS = {
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1), "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1), "scanner-xyz": (1, 1, 1),
}
_UNITS = {"m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3, "nm": 1e-6}
_SPACE_KINDS = ("domain", "space", "???", "none", "")
UNORIENTED = "the file does not say how the patient lies; its axes are taken as left, posterior, superior"


@dataclass(slots=True)
class Header:
    """Fields in lower case without blanks, key-value pairs as they are, the lines after LIST, and where the header ends."""

    fields: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    start: int = 0


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes are, counted as NRRD does: the first runs fastest.

    Attributes
    ----------
    sizes : tuple of int
    space : x, y, z axes, two or three
    others : tuple of int
        Axes that become channels.
    times : int
        Timepoints among them.
    affine : 4x4, voxel (x, y, z) to LPS mm
    notes : tuple of str
    """

    sizes: tuple[int, ...]
    space: tuple[int, ...]
    others: tuple[int, ...]
    times: int
    affine: Matrix
    notes: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Read a header.

    Raises
    ------
    UnreadableFileError
        When it is no NRRD.
    """
    header = Header()
    with path.open("rb") as file:
        if not re.match(rb"NRRD000\d\s*$", file.readline(80)):
            raise UnreadableFileError("is not an NRRD file, whatever its name says", where=path, todo="Check what it is, or export it again as NRRD")
        listing = False
        for line in _lines(file):
            if listing:
                header.listed += [line] if line.strip() else []
            elif not line.strip():
                break
            elif not line.startswith("#"):
                _take(line, header)
                listing = header.fields.get("datafile", "").split()[:1] == ["LIST"]
        header.start = file.tell()
    return header


def _lines(file: BinaryIO) -> list[str]:
    """Lines up to the blank one, which comes last, or up to the end."""
    lines, room = [], TEXT_LIMIT
    while room > 0 and (line := file.readline(room)):
        room -= len(line)
        lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
        if not lines[-1].strip() and not any(one.lower().replace(" ", "").startswith("datafile:list") for one in lines[:-1]):
            break
    return lines


def _take(line: str, header: Header) -> None:
    key, pair, value = line.partition(":=")
    if pair and ": " not in key:
        header.pairs[key] = re.sub(r"\\([n\\])", lambda m: "\n" if m[1] == "n" else "\\", value)
        return
    key, colon, value = line.partition(":")
    if colon:
        header.fields[key.lower().replace(" ", "")] = value.strip()


def axes_of(header: Header, path: Path) -> Axes:
    """Which axes are space and where they lie.

    Raises
    ------
    UnreadableFileError
        No space in them, or complex numbers.
    """
    fields = header.fields
    sizes = tuple(int(n) for n in fields["sizes"].split()) if "sizes" in fields else ()
    if not sizes or min(sizes) < 1 or int(fields["dimension"]) != len(sizes):
        raise UnreadableFileError(f"its header gives a size of {' x '.join(map(str, sizes)) or 'nothing'}", where=path, todo=SEND_AGAIN)
    kinds = [k.lower() for k in fields.get("kinds", "").split()] or [""] * len(sizes)
    if len(kinds) != len(sizes):
        raise ValueError
    if "complex" in kinds:
        raise UnreadableFileError("holds complex numbers", where=path, todo="Convert it to real numbers first")
    vectors = _vectors(fields.get("spacedirections", ""), len(sizes))
    steps = [float(s) for s in fields["spacings"].split()] if "spacings" in fields else [1.0] * len(sizes)
    if len(steps) != len(sizes):
        raise ValueError
    known = any(v is not None for v in vectors)
    space = [i for i in range(len(sizes)) if (vectors[i] is not None if known else kinds[i] in _SPACE_KINDS)]
    if not known and not fields.get("kinds"):
        space = space[:3]
    more, space = space[3:], space[:3]  # a fourth axis of space is time, as ITK writes it
    if len(space) < 2:
        raise UnreadableFileError("holds no image: fewer than two of its axes are space", where=path, todo=SEND_AGAIN)
    others = tuple(i for i in range(len(sizes)) if i not in space)
    times = math.prod(sizes[i] for i in others if kinds[i] in ("time", "domain", "space") or i in more or (not known and not fields.get("kinds")))
    affine, notes = _affine(header, [vectors[i] for i in space] if known else None, [steps[i] for i in space], path)
    return Axes(sizes, tuple(space), others, times, affine, notes)


def _vectors(text: str, count: int) -> list[list[float] | None]:
    found = re.findall(r"none|\([^()]*\)", text, re.IGNORECASE)
    if not found:
        return [None] * count
    if len(found) != count:
        raise ValueError
    vectors = [None if v.lower() == "none" else [float(n) for n in v.strip("()").split(",")][:3] for v in found]
    return [v if v is not None and any(n != 0 for n in v) else None for v in vectors]


def _affine(header: Header, vectors: list[list[float] | None] | None, steps: list[float], path: Path) -> tuple[Matrix, tuple[str, ...]]:
    fields = header.fields
    name = fields.get("space", "").lower().strip('"')
    signs = _SIGNS.get(name.removesuffix("-time"))
    origin = np.zeros(3)
    if match := re.search(r"\(([^()]*)\)", fields.get("spaceorigin", "")):
        given = [float(n) for n in match[1].split(",")][:3]
        origin[: len(given)] = given
    unit = re.sub(r"[\"']", "", fields.get("spaceunits", "mm")).split()[:1] or ["mm"]
    scale = _UNITS.get(unit[0].lower(), 1.0)
    notes = [UNORIENTED] if signs is None else []
    if scale != 1:
        notes.append(f"its millimetres were made from {unit[0]}")
    if vectors is None:
        require_spacing(steps, path)
        matrix = np.diag([*np.abs(steps), 1.0][:3])
    else:
        columns = np.array(vectors, float).T
        require_spacing(np.linalg.norm(columns, axis=0), path)
        matrix = _whole(columns)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix * scale, origin * scale
    return np.diag([*(signs or (1, 1, 1)), 1.0]) @ affine, tuple(notes)


def _whole(columns: Matrix) -> Matrix:
    """3x3 of two or three column vectors of two or three numbers."""
    if columns.shape == (2, 2):
        lengths = np.linalg.norm(columns, axis=0)
        return np.asarray(flat(columns / lengths) * [*lengths, 1.0])
    if columns.shape == (3, 2):
        across = np.cross(columns[:, 0], columns[:, 1])
        return np.column_stack([columns, across / np.linalg.norm(across)])
    if columns.shape != (3, 3):
        raise ValueError
    return columns


def stored_of(header: Header, axes: Axes, path: Path) -> Stored:
    """Where the voxels are.

    Raises
    ------
    UnreadableFileError
        A kind of number or packing that is not read, or data outside the header's folder.
    MissingFileError
        When a data file is not there.
    """
    fields = header.fields
    kind, encoding = TYPES.get(fields["type"].lower()), _ENCODINGS.get(fields.get("encoding", "raw").lower())
    if kind is None or encoding is None:
        what = f"holds values of type '{fields['type'][:40]}' packed as '{fields.get('encoding', 'raw')[:40]}'"
        raise UnreadableFileError(what, where=path, todo="Save it as raw or gzip with whole or real numbers")
    dtype = np.dtype((">" if fields.get("endian", "little").lower() == "big" else "<") + kind)
    named = fields.get("datafile")
    files = (path,) if named is None else tuple(beside(path, name) for name in _names(named, header))
    lines, skip = (int(fields.get(key, "0")) for key in ("lineskip", "byteskip"))
    if not files or skip < -1 or (skip == -1 and encoding) or not 0 <= lines <= MANY_LINES:
        raise ValueError
    offset = _after(files[0], header.start if named is None else 0, lines)
    inner = skip if encoding in ("gzip", "bzip2") else 0
    return Stored(files, axes.sizes[::-1], dtype, -1 if skip == -1 else offset + skip - inner, inner, encoding)


def _names(named: str, header: Header) -> list[str]:
    words = named.split()
    if words[0] == "LIST":
        return header.listed[:MANY_FILES]
    if "%" not in named:
        return [named]
    return numbered(words[0], int(words[1]), int(words[2]), int(words[3]))


def _after(file: Path, offset: int, lines: int) -> int:
    if not lines:
        return offset
    with file.open("rb") as opened:
        opened.seek(offset)
        for _ in range(lines):
            opened.readline(TEXT_LIMIT)
        return opened.tell()
