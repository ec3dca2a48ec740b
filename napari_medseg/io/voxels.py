"""Voxels as files store them: where they lie, whether the file can hold them, and the way into memory.

Every format here keeps voxels as one block of numbers, so they are read by these few lines and never by a library that fills up what is cut short.
Nothing is allocated before the file's size supports it, and no path in a header leads out of its folder.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import MissingFileError, UnreadableFileError
from napari_medseg.io import memory
from napari_medseg.io.faults import SEND_AGAIN, mb
from napari_medseg.io.packing import LARGEST, PIECE, Packing, unpacking
from napari_medseg.io.text import read_text
from napari_medseg.volume import Array

MANY_FILES = 1 << 16
SWAP = 1 << 22  # values turned to the machine's byte order at a time


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a header says the voxels are.

    Attributes
    ----------
    files : tuple of Path
        One after the other they hold the array, each an equal share.
    shape : tuple of int
        As NumPy orders axes: the last runs fastest.
    dtype : dtype
        With its byte order.
    offset : int
        Bytes before them, or before what is packed, in each file; -1: they end where the file ends.
    skip : int
        Bytes before them once unpacked.
    packing : str
    packed : int or None
        Bytes they take in the file, where the header says so.
    """

    files: tuple[Path, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int = 0
    skip: int = 0
    packing: Packing = ""
    packed: int | None = None

    @property
    def size(self) -> int:
        """Bytes they take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def beside(path: Path, name: str) -> Path:
    """The data file that a header names.

    Parameters
    ----------
    path : Path
        The header.
    name : str
        As it stands there.

    Raises
    ------
    UnreadableFileError
        When it is not in the header's folder: nothing a stranger sent may name other files of this computer.
    MissingFileError
        When it is not there.
    """
    folder = path.absolute().parent.resolve()
    found = folder / name
    what = f"names a data file outside its folder ({name[:80]})"
    outside = UnreadableFileError(what, where=path, todo="Put header and data into one folder and correct the name")
    if not name or "\0" in name or "\\" in name or name.startswith("/") or ".." in Path(name).parts or ":" in name:
        raise outside
    if not found.is_file():
        raise MissingFileError(f"its data file {name[:80]} is not beside it", where=path, todo="Copy both files")
    if not found.resolve().is_relative_to(folder):
        raise outside
    return found


def numbered(pattern: str, first: int, last: int, step: int) -> list[str]:
    """Names with a number in them, such as slice%03d.raw.

    Raises
    ------
    ValueError
        When the pattern holds anything but one number, or there are too many.
    """
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if not re.fullmatch(r"[^%]*%0?\d?d[^%]*", pattern, re.ASCII) or len(numbers) > MANY_FILES:
        raise ValueError
    return [pattern % n for n in numbers]


def require_size(shape: tuple[int, ...], path: Path) -> None:
    """Refuse a grid without voxels.

    Raises
    ------
    UnreadableFileError
        When a side is less than 1, or there is none.
    """
    if not shape or min(shape) < 1:
        told = " x ".join(map(str, shape[::-1])) or "nothing"
        raise UnreadableFileError(f"its header gives a size of {told}", where=path, todo=SEND_AGAIN)


def check(stored: Stored, path: Path) -> None:
    """Compare what a header promises with the size of its files; reads no voxel.

    Raises
    ------
    UnreadableFileError
        Cut short, or a promise that no file of this size can keep.
    """
    require_size(stored.shape, path)
    if stored.size % len(stored.files):
        raise UnreadableFileError("its data files do not share its voxels evenly", where=path, todo=SEND_AGAIN)
    share = stored.size // len(stored.files)
    for file in stored.files:
        size = file.stat().st_size
        _check_one(stored, share, size, path)


def _check_one(stored: Stored, share: int, size: int, path: Path) -> None:
    offset = max(stored.offset, 0)
    if offset > size or stored.skip < 0 or stored.offset < -1:
        raise UnreadableFileError(f"is cut short (read 0 of {mb(share)} MB)", where=path, todo=SEND_AGAIN)
    if not stored.packing:
        there = size - offset - stored.skip
        if there < share:
            raise UnreadableFileError(f"is cut short (read {mb(max(there, 0))} of {mb(share)} MB)", where=path, todo=SEND_AGAIN)
    elif share + stored.skip > (size - offset) * LARGEST[stored.packing]:
        what = f"its header promises {mb(share)} MB, more than the file of {mb(size)} MB can hold"
        raise UnreadableFileError(what, where=path, todo=SEND_AGAIN)
    elif stored.packed is not None and stored.packed > size - offset:
        raise UnreadableFileError(f"is cut short ({mb(size)} of {mb(offset + stored.packed)} MB)", where=path, todo=SEND_AGAIN)


def load(stored: Stored, path: Path) -> Array:
    """The voxels, of `stored.shape` and in the machine's byte order, to be written to by nobody else.

    What is not packed and too large for memory stays in its file and is read when it is looked at; changes go to memory, never to the file.

    Raises
    ------
    UnreadableFileError
        Cut short or damaged.
    NoRoomError
        When neither memory nor disk can hold them.
    """
    check(stored, path)
    native = stored.dtype.newbyteorder("=")
    if not stored.packing and len(stored.files) == 1 and stored.dtype.isnative and not memory.fits(stored.size):
        start = stored.skip + stored.offset if stored.offset >= 0 else stored.files[0].stat().st_size - stored.size
        return np.asarray(np.memmap(stored.files[0], native, "c", start, stored.shape))
    array = memory.allocate(stored.shape, native)
    if stored.packing in ("text", "hex"):
        read_text(stored, array.reshape(-1), path)
        return array
    target = array.reshape(-1).view(np.uint8)
    share = target.size // len(stored.files)
    for place, file in enumerate(stored.files):
        _fill(stored, file, target[place * share : (place + 1) * share], path)
    return array if stored.dtype.isnative else _swapped(array)


def _fill(stored: Stored, file: Path, target: npt.NDArray[np.uint8], path: Path) -> None:
    with file.open("rb") as opened:
        opened.seek(stored.offset if stored.offset >= 0 else file.stat().st_size - target.size)
        stream = unpacking(opened, stored.packing)
        filled = 0
        try:
            _skip(stream, stored.skip)
            while filled < target.size and (count := stream.readinto(target[filled : filled + PIECE].data)):  # type: ignore[attr-defined]
                filled += count
            while stored.packing and stream.read(PIECE):  # to the end, where the checksum lies
                pass
        except EOFError:
            if filled == target.size:
                raise UnreadableFileError("is cut short (the end of its packed data is missing)", where=path, todo=SEND_AGAIN) from None
    if filled < target.size:
        raise UnreadableFileError(f"is cut short (read {mb(filled)} of {mb(target.size)} MB)", where=path, todo=SEND_AGAIN)


def _skip(stream: IO[bytes], count: int) -> None:
    while count > 0:
        passed = len(stream.read(min(count, PIECE)))
        if not passed:
            return
        count -= passed


def _swapped(array: Array) -> Array:
    flat = array.reshape(-1)
    for start in range(0, flat.size, SWAP):
        flat[start : start + SWAP].byteswap(inplace=True)
    return array
