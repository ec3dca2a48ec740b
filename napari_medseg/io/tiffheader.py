"""What a TIFF file says of its voxels' size, and whether its pages form a chain that ends."""

from __future__ import annotations

import html
import re
import struct
from pathlib import Path
from typing import Any

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.faults import SEND_AGAIN

MANY_PAGES = 1 << 17
CENTIMETRE = 3
MM = {
    "m": 1000.0, "cm": 10.0, "mm": 1.0, "millimeter": 1.0, "µm": 1e-3, "um": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "nm": 1e-6,
    "inch": 25.4, "in": 25.4,
}
NO_SIZE = "the file does not say how large its voxels are: 1 mm is assumed"
NO_DEPTH = "the file does not say how far its slices lie apart: 1 mm is assumed"
Steps = tuple[float, float, float]


def require_chain(path: Path) -> None:
    """Refuse a file whose pages point in a circle or out of it, before a library follows them.

    Raises
    ------
    UnreadableFileError
        No TIFF, or a chain of pages that does not end.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        version = struct.unpack(order + "H", head[2:4])[0] if order and len(head) == 16 else 0
        if version not in (42, 43):
            raise UnreadableFileError("is not a TIFF file, whatever its name says", where=path, todo="Check what it is, or export it again")
        count_form, entry, next_form = (("H", 12, "I"), ("Q", 20, "Q"))[version == 43]
        width = struct.calcsize("<" + next_form)
        place = struct.unpack(f"{order}{next_form}", head[4:8] if version == 42 else head[8:16])[0]
        seen: set[int] = set()
        while place:
            if place in seen or len(seen) > MANY_PAGES or place + 2 > size:
                raise UnreadableFileError("holds pages in an order that does not end", where=path, todo=SEND_AGAIN)
            seen.add(place)
            file.seek(place)
            entries = struct.unpack(f"{order}{count_form}", file.read(struct.calcsize("<" + count_form)))[0]
            if entries > 4096:
                raise UnreadableFileError("holds a page with too many fields", where=path, todo=SEND_AGAIN)
            file.seek(entries * entry, 1)
            place = struct.unpack(f"{order}{next_form}", file.read(width))[0]


def spacing(tif: Any) -> tuple[Steps, tuple[str, ...]]:
    """The size of a voxel in mm, x, y, z, and what had to be assumed.

    OME-XML counts, then ImageJ's own fields, then a resolution in centimetres. A resolution in inches is for printing and says nothing about a patient.
    """
    page = tif.pages[0]
    if tif.is_ome and (found := _ome(tif.ome_metadata or "")):
        across, depth = found
    elif tif.is_imagej:
        said = tif.imagej_metadata or {}
        scale = MM.get(str(said.get("unit", "")).replace("\\u00B5", "µ").strip().lower(), 0.0)
        across = (scale * _inverse(page, "XResolution"), scale * _inverse(page, "YResolution"))
        depth = scale * float(said.get("spacing", 0) or 0)
    elif int(page.tags.valueof("ResolutionUnit", default=0) or 0) == CENTIMETRE:
        across, depth = (10 * _inverse(page, "XResolution"), 10 * _inverse(page, "YResolution")), 0.0
    else:
        return (1.0, 1.0, 1.0), (NO_SIZE,)
    if min(across) <= 0:
        return (1.0, 1.0, 1.0), (NO_SIZE,)
    return (*across, depth if depth > 0 else 1.0), (() if depth > 0 else (NO_DEPTH,))


def _ome(xml: str) -> tuple[tuple[float, float], float] | None:
    match = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", xml)
    said = dict(re.findall(r'(PhysicalSize\w+)="([^"]*)"', match[1])) if match else {}

    def size(axis: str) -> float:
        unit = MM.get(html.unescape(said.get(f"PhysicalSize{axis}Unit", "µm")).strip(), 0.0)
        return float(said.get(f"PhysicalSize{axis}", 0)) * unit

    return ((size("X"), size("Y")), size("Z")) if size("X") > 0 and size("Y") > 0 else None


def _inverse(page: Any, tag: str) -> float:
    over, under = page.tags.valueof(tag, default=(0, 1))
    return under / over if over else 0.0
