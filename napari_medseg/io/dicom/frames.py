"""The pictures in DICOM files: one a file, or many with what they share and what each says for itself (PS3.3, C.7.6.16).

However a file keeps it, a frame tells its position, orientation and attributes in one way, so what follows knows one kind of image only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import DataSet, HeaderFault
from napari_medseg.io.dicom.headers import NATIVE, Header
from napari_medseg.volume import Array

BYTES = 4000  # an honest compressed picture unpacks to fewer than this many bytes a byte, or is small
SMALL = 1 << 22
SQUARE = 1e-3  # how far direction cosines may be from unit vectors at right angles
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"

Six = tuple[float, ...]


@dataclass(slots=True)
class Frame:
    """One picture.

    Attributes
    ----------
    header : Header
        Of its file.
    index : int
        Which of the file's pictures it is, from 0.
    data : DataSet
        What holds for it.
    rows, columns, samples : int
    bits : int
        Allocated a sample.
    position : (x, y, z) LPS mm of its first pixel, or ()
    orientation : six direction cosines, along a row and down a column, or ()
    spacing : (down, across) mm, or ()
    count : int
        How many pictures the file holds.
    fault : str
        Why it cannot be used; else "".
    """

    header: Header
    index: int
    data: DataSet
    rows: int = 0
    columns: int = 0
    samples: int = 1
    bits: int = 0
    position: tuple[float, ...] = ()
    orientation: Six = ()
    spacing: tuple[float, ...] = ()
    count: int = 1
    fault: str = ""

    @property
    def size(self) -> int:
        """Bytes it takes unpacked."""
        if self.data.text(tags.PHOTOMETRIC) == "YBR_FULL_422" and self.header.syntax in NATIVE:
            return self.rows * self.columns * 2 * self.bits // 8
        return self.rows * self.columns * self.samples * self.bits // 8

    @property
    def image_type(self) -> tuple[str, ...]:
        """ORIGINAL or DERIVED, PRIMARY or SECONDARY, and what kind of picture."""
        return self.data.texts(tags.FRAME_TYPE) or self.data.texts(tags.IMAGE_TYPE)


def normal_of(orientation: Six) -> Array:
    """Of the image plane, (x, y, z) in LPS."""
    return np.cross(orientation[:3], orientation[3:])


def frames_of(header: Header) -> list[Frame]:
    """The pictures of a file; one with a fault when there is something wrong with it."""
    try:
        return list(_frames(header))
    except HeaderFault as error:
        return [Frame(header, 0, header.data, fault=str(error))]


def _frames(header: Header) -> Iterator[Frame]:
    data = header.data
    first = Frame(
        header, 0, data, rows=data.whole(tags.ROWS, 0), columns=data.whole(tags.COLUMNS, 0), samples=data.whole(tags.SAMPLES, 1),
        bits=data.whole(tags.BITS_ALLOCATED, 0), count=data.whole(tags.FRAMES, 1),
    )
    _possible(first)
    own = data.items(tags.FRAME_GROUPS)
    if own and len(own) < first.count:
        raise HeaderFault(f"describes {len(own)} of its {first.count} pictures")
    shared = [group for item in data.items(tags.SHARED_GROUPS)[:1] for group in _flat(item)]
    common = data.below(*shared) if shared else data
    for index in range(first.count):
        frame = first if first.count == 1 else Frame(header, index, common, first.rows, first.columns, first.samples, first.bits, count=first.count)
        frame.data = common.below(*_flat(own[index])) if own else common
        try:
            _place(frame)
        except HeaderFault as error:
            frame.fault = str(error)
        yield frame


def _flat(item: DataSet, depth: int = 0) -> Iterator[DataSet]:
    """The functional groups of an item, one after the other."""
    for tag in item.values.keys() & tags.GROUPS:
        for group in item.items(tag)[:1]:
            yield group
            if depth < 2:
                yield from _flat(group, depth + 1)


def _possible(frame: Frame) -> None:
    """Compare what the header promises with what the file can hold."""
    header = frame.header
    if header.fault:
        raise HeaderFault(header.fault)
    if header.sop_class == WHOLE_SLIDE:
        raise HeaderFault("is a whole slide in tiles, which is not read here")
    if frame.rows < 1 or frame.columns < 1 or frame.count < 1 or frame.samples not in (1, 3):
        raise HeaderFault(f"gives a size of {frame.columns} x {frame.rows} pixels, {frame.samples} samples, {frame.count} pictures")
    pixels = header.pixels
    if pixels is None:
        raise HeaderFault("holds no pixels, or is cut short before them")
    wanted = {tags.FLOAT_PIXELS: (32,), tags.DOUBLE_PIXELS: (64,)}.get(pixels.tag, (8, 16, 32))
    if frame.bits not in wanted:
        raise HeaderFault(f"keeps {frame.bits} bits a value, which is not read here")
    needed, there = frame.size * frame.count, header.size - pixels.start
    if header.syntax in NATIVE:
        if pixels.length is None:
            raise HeaderFault("keeps its pixels in a way that its transfer syntax does not know")
        if min(pixels.length, there) < needed:
            raise HeaderFault(f"is cut short (pixels of {_mb(max(0, min(pixels.length, there)))} instead of {_mb(needed)} MB)")
    elif pixels.length is not None:
        raise HeaderFault("keeps its pixels in a way that its transfer syntax does not know")
    elif there < 16 * frame.count or needed > max(SMALL * frame.count, BYTES * there):
        raise HeaderFault(f"promises pixels of {_mb(needed)} MB, more than the file of {_mb(header.size)} MB can hold")


def _place(frame: Frame) -> None:
    """Find where a picture lies."""
    data = frame.data
    spacing = data.numbers(tags.PIXEL_SPACING, 2) or data.numbers(tags.IMAGER_PIXEL_SPACING, 2)
    if spacing and min(spacing) <= 0:
        raise HeaderFault(f"gives a pixel spacing of {spacing[0]:g} x {spacing[1]:g} mm")
    frame.spacing = spacing
    where = next(iter(data.items(tags.DETECTORS)), data) if tags.POSITION not in data else data
    position, orientation = where.numbers(tags.POSITION, 3), where.numbers(tags.ORIENTATION, 6)
    if not position or not orientation:
        return
    if not _square(orientation):
        raise HeaderFault("gives directions that are not at right angles (ImageOrientationPatient)")
    frame.orientation = orientation
    if data.items(tags.FRAME_GROUPS) or frame.count == 1:
        frame.position = position
    elif (offset := _offset(frame)) is not None:
        frame.position = tuple(float(v) for v in np.array(position) + offset * normal_of(orientation))


def _offset(frame: Frame) -> float | None:
    """Along the normal, in mm, where a file gives steps instead of positions: dose grids and reconstructed SPECT."""
    offsets = frame.data.numbers(tags.FRAME_OFFSETS)
    if offsets:
        if len(offsets) != frame.count:
            raise HeaderFault(f"gives {len(offsets)} offsets for {frame.count} pictures")
        return offsets[frame.index] - offsets[0]
    step = frame.data.number(tags.SPACING_BETWEEN_SLICES)
    return frame.index * step if step and "RECON TOMO" in frame.image_type else None


@lru_cache(256)
def _square(orientation: Six) -> bool:
    axes = np.array(orientation).reshape(2, 3)
    return bool(np.allclose(axes @ axes.T, np.eye(2), atol=SQUARE))


def _mb(size: int) -> str:
    return f"{size / 1e6:.3g}"
