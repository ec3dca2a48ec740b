"""The pixels of one frame: straight from the file where they lie as numbers, through a decoder where they are compressed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.codecs import RLE, decode, is_known, title_of
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.frames import Frame
from napari_medseg.io.dicom.gdcm import Gdcm
from napari_medseg.io.dicom.headers import BIG_ENDIAN, DEFLATED, NATIVE, Header, inflate, packed_start
from napari_medseg.io.dicom.palette import coloured
from napari_medseg.io.dicom.values import Scale, apply, straight_bits
from napari_medseg.volume import Array

COPY_AGAIN = "Copy it again from the scanner or the archive"
Fragments = list[tuple[int, int]]


def colours_of(frame: Frame) -> int:
    """How many values a pixel has once palettes are applied."""
    return 3 if frame.samples == 3 or frame.data.text(tags.PHOTOMETRIC) == "PALETTE COLOR" else 1


@dataclass(slots=True)
class PixelReader:
    """Reads frames; keeps where those of a file lie. Threads may share it. Close it after use."""

    _places: dict[Path, list[Fragments]] = field(default_factory=dict)
    _inflated: tuple[Path, bytes] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _gdcm: Gdcm = field(default_factory=Gdcm)

    def close(self) -> None:
        """End what it started."""
        self._gdcm.close()

    def prepare(self, frame: Frame) -> None:
        """Look whether the frame can be there and decoded, before anything is allocated for it.

        Raises
        ------
        UnreadableFileError
            When it cannot.
        """
        header = frame.header
        if header.syntax in NATIVE or header.path in self._places:
            return
        if not is_known(header.syntax):
            what = f"is compressed in a way that nothing here can read: {title_of(header.syntax)}"
            raise UnreadableFileError(what, where=header.path, todo="Export it uncompressed (Explicit VR Little Endian), or as JPEG 2000 lossless")
        try:
            self._places[header.path] = _located(header, frame.count)
        except OSError as error:
            raise _lost(header.path, error) from error
        except HeaderFault as error:
            raise UnreadableFileError(str(error), where=header.path, todo=COPY_AGAIN) from error

    def read(self, frame: Frame, scale: Scale, out: Array) -> int:
        """Fill `out`, (rows, columns) or (colours, rows, columns); gives how many values did not fit its type.

        Raises
        ------
        UnreadableFileError
            When the pixels are not there or damaged.
        """
        try:
            if frame.header.syntax in NATIVE and frame.samples == 1 and colours_of(frame) == 1:
                straight = out.flags.c_contiguous and out.dtype.itemsize == scale.stored.itemsize
                plane = out if straight else np.empty((frame.rows, frame.columns), scale.stored)
                self._fill(frame, plane)
                straight_bits(plane, scale)
                return apply(plane.view(scale.stored), scale, out)
            plane = self._decoded(frame, scale)
            if colours_of(frame) > 1:
                out[...] = np.moveaxis(coloured(frame, plane), -1, 0)
                return 0
            return apply(plane, scale, out)
        except HeaderFault as error:
            raise UnreadableFileError(str(error), where=frame.header.path, todo=COPY_AGAIN) from error
        except OSError as error:
            if isinstance(error, UnreadableFileError):
                raise
            raise _lost(frame.header.path, error) from error

    def _decoded(self, frame: Frame, scale: Scale) -> Array:
        """Stored values, (rows, columns) or (rows, columns, samples)."""
        if frame.header.syntax not in NATIVE:
            self.prepare(frame)
            with frame.header.path.open("rb") as file:
                data = b"".join(_exactly(file, start, length) for start, length in self._places[frame.header.path][frame.index])
            plane = decode(frame, data, self._gdcm)
            if frame.header.syntax == RLE and frame.samples == 1:
                straight_bits(plane, scale)
            return plane
        packed = np.empty(frame.size, np.uint8)
        self._fill(frame, packed)
        if frame.data.text(tags.PHOTOMETRIC) == "YBR_FULL_422":
            return decode(frame, packed.tobytes(), self._gdcm)
        shape = (frame.rows, frame.columns, frame.samples)
        if frame.samples == 1:
            plane = packed.view(scale.stored).reshape(shape[:2])
        elif frame.data.whole(tags.PLANAR, 0) == 1:
            plane = np.moveaxis(packed.view(scale.stored).reshape(frame.samples, *shape[:2]), 0, -1)
        else:
            plane = packed.view(scale.stored).reshape(shape)
        plane = np.ascontiguousarray(plane)
        straight_bits(plane, scale)
        return plane

    def _fill(self, frame: Frame, plane: Array) -> None:
        """Read uncompressed bytes into `plane` and put them into the machine's order."""
        header, pixels = frame.header, frame.header.pixels
        if pixels is None:
            raise HeaderFault("holds no pixels")
        view = plane.reshape(-1).view(np.uint8).data
        start = pixels.start + frame.index * frame.size
        if header.syntax == BIG_ENDIAN and frame.bits <= 8 and pixels.words:  # bytes lie in swapped pairs, which a frame may begin or end within
            first = frame.index * frame.size // 2 * 2
            last = -(-(frame.index + 1) * frame.size // 2) * 2  # a value of odd length is padded
            with header.path.open("rb") as file:
                pairs = np.frombuffer(_exactly(file, pixels.start + first, last - first), np.uint16).byteswap().view(np.uint8)
            here = frame.index * frame.size - first
            view[:] = pairs[here : here + len(view)].data
            return
        if header.syntax == DEFLATED:
            data = self._unpacked(header, pixels.start + frame.count * frame.size)[start : start + len(view)]
            if len(data) < len(view):
                raise HeaderFault("is cut short")
            view[:] = data
        else:
            with header.path.open("rb", buffering=0) as file:
                file.seek(start)
                done = 0
                while done < len(view):
                    count = file.readinto(view[done:])
                    if not count:
                        raise HeaderFault("is cut short")
                    done += count
        if header.syntax == BIG_ENDIAN:
            swapped = plane.reshape(-1).view(f"u{frame.bits // 8}" if frame.bits > 8 else np.uint8)
            swapped.byteswap(inplace=True)

    def _unpacked(self, header: Header, needed: int) -> bytes:
        with self._lock:
            if self._inflated is None or self._inflated[0] != header.path:
                with header.path.open("rb") as file:
                    self._inflated = header.path, inflate(file, packed_start(header.path), needed)
            return self._inflated[1]


def _located(header: Header, count: int) -> list[Fragments]:
    """Where the compressed bytes of each frame lie (PS3.5, A.4).

    Raises
    ------
    HeaderFault
        When fragments are cut short, or cannot be told apart.
    """
    if header.pixels is None:
        raise HeaderFault("holds no pixels")
    fragments: Fragments = []
    with header.path.open("rb") as file:
        at, table = header.pixels.start, b""
        while True:
            file.seek(at)
            head = file.read(8)
            if head[:4] != b"\xfe\xff\x00\xe0":
                break
            length = int.from_bytes(head[4:], "little")
            if at + 8 + length > header.size:
                raise HeaderFault("is cut short within its compressed pixels")
            if fragments or table or at > header.pixels.start:
                fragments.append((at + 8, length))
            else:
                table = file.read(length)
            at += 8 + length
    if len(fragments) == count:
        return [[fragment] for fragment in fragments]
    if count == 1 and fragments:
        return [fragments]
    starts = [int(v) for v in np.frombuffer(table[: len(table) // 4 * 4], "<u4")]
    if len(starts) != count or len(fragments) < count:
        raise HeaderFault(f"holds {len(fragments)} compressed parts for {count} pictures, and no table that says which is whose")
    first = fragments[0][0] - 8
    ends = [*starts[1:], 1 << 62]
    found = [[(a, n) for a, n in fragments if start <= a - 8 - first < end] for start, end in zip(starts, ends, strict=True)]
    if not all(found):
        raise HeaderFault("has a table of its compressed pictures that does not fit them")
    return found


def _exactly(file: object, start: int, length: int) -> bytes:
    file.seek(start)  # type: ignore[attr-defined]
    data: bytes = file.read(length)  # type: ignore[attr-defined]
    if len(data) < length:
        raise HeaderFault("is cut short within its compressed pixels")
    return data


def _lost(path: Path, error: OSError) -> UnreadableFileError:
    reason = error.strerror or "no reason given"
    return UnreadableFileError(f"could not be read ({reason})", where=path, todo="Check the disk or network it lies on, and your rights")
