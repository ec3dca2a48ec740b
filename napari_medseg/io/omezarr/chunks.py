"""The chunks of a Zarr array: which are there, whether they can be what they claim, and their voxels."""

from __future__ import annotations

import bz2
import lzma
import math
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from isal import isal_zlib
from zarr.storage import LocalStore

from napari_medseg.errors import MedsegError, UnreadableFileError
from napari_medseg.io.faults import DAMAGED
from napari_medseg.io.memory import allocate, fits
from napari_medseg.io.omezarr.groups import AGAIN
from napari_medseg.io.omezarr.stored import Stored
from napari_medseg.volume import Array

WORKERS = 4  # the codecs let other threads run
PIECE = 1 << 20
AT_ONCE = 100_000  # chunks in one look at a lazy array
UNASKED, SPARSE = 1 << 28, 10_000  # bytes of voxels that may be there anyway, and for each stored byte: label maps are often nearly empty
_FAULTS = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError, lzma.LZMAError, zlib.error,
)


class Chunked:
    """An array on the disk; `chunked[region]` reads the chunks of a region and no others.

    Parameters
    ----------
    stored : Stored

    Raises
    ------
    UnreadableFileError
        When the zarr library refuses it.
    """

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.shape = stored.shape
        self.dtype = np.dtype(stored.dtype)
        self.ndim = len(stored.shape)
        with _faults(stored):
            array = zarr.open_array(LocalStore(stored.folder, read_only=True), mode="r", zarr_format=2 if stored.zarr_format == 2 else 3)
            if array.shape != stored.shape or array.dtype.newbyteorder("=") != self.dtype:
                raise ValueError
            self.fill = np.asarray(array.fill_value if array.fill_value is not None else 0).astype(self.dtype)[()]
        self._array: Any = array

    def __getitem__(self, region: tuple[slice, ...]) -> Array:
        """The voxels of slices with a start and a stop, in the machine's byte order."""
        where = [range(s.start // c, -(-s.stop // c)) for s, c in zip(region, self.stored.chunks, strict=True)]
        if math.prod(map(len, where)) > AT_ONCE:
            raise UnreadableFileError("is cut into too many chunks to look at", where=self.stored.root, todo="Save it again with larger chunks")
        for place in product(*where):
            check_chunk(self.stored, self.stored.chunk_file(place))
        return self._read(region)

    def _read(self, region: tuple[slice, ...]) -> Array:
        with _faults(self.stored):
            return np.asarray(self._array[region]).astype(self.dtype, copy=False)


def chunks_there(stored: Stored) -> Iterator[tuple[int, ...]]:
    """The places of the chunks that were written; what is missing holds the fill value.

    Raises
    ------
    UnreadableFileError
        When there is a link among them.
    """
    for folder, folders, files in os.walk(stored.folder):
        for name in (*folders, *files):
            if Path(folder, name).is_symlink():
                raise _link(stored, _name(stored, Path(folder, name)))
        for name in files:
            place = stored.place(Path(folder, name))
            if place is not None:
                yield place


def read_whole(stored: Stored) -> Array:
    """All voxels, of `stored.shape`, in memory or in a scratch file; only chunks that were written are looked at.

    Raises
    ------
    UnreadableFileError
        When no chunk is there, one is damaged, or the metadata promise more than what is stored can be meant to fill.
    NoRoomError
        When neither memory nor disk can hold it.
    """
    chunked = Chunked(stored)
    places = list(chunks_there(stored))
    if not places:
        what = f"{stored.folder.relative_to(stored.root)} holds no voxels: not one of its {math.prod(stored.cells)} chunks is there"
        raise UnreadableFileError(what, where=stored.root, todo=AGAIN)
    array = _empty(chunked, places)

    def fill(place: tuple[int, ...]) -> None:
        region = stored.region(place)
        check_chunk(stored, stored.chunk_file(place))
        array[region] = chunked._read(region)

    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(fill, places):
            pass
    return array


def _empty(chunked: Chunked, places: list[tuple[int, ...]]) -> Array:
    """An array that holds the fill value where chunks are missing."""
    stored, whole = chunked.stored, len(places) == math.prod(chunked.stored.cells)
    bytes_there = sum(stored.chunk_file(place).stat().st_size for place in places)
    if stored.size > UNASKED + SPARSE * bytes_there:
        what = f"{stored.folder.relative_to(stored.root)} claims {stored.size / 1e9:.3g} GB of voxels, but stores {bytes_there / 1e3:.3g} kB"
        raise UnreadableFileError(what, where=stored.root, todo=AGAIN)
    if chunked.fill == 0 and not whole and fits(stored.size):
        return np.zeros(stored.shape, chunked.dtype)  # memory that nobody writes to is not taken
    array = allocate(stored.shape, chunked.dtype)
    if not whole:
        array[...] = chunked.fill
    return array


def check_chunk(stored: Stored, file: Path) -> None:
    """Refuse a chunk that would unpack to far more than a chunk, or that is a link.

    Raises
    ------
    UnreadableFileError
        When it would.
    """
    try:
        if file.is_symlink() or not file.resolve().is_relative_to(stored.root.resolve()):
            raise _link(stored, _name(stored, file))
        size = file.stat().st_size
        limit = 4 * stored.chunk_size + (1 << 16)
        if size > limit:
            raise _damaged(stored, file)
        with file.open("rb") as data:
            unpacked = _unpacked_size(stored.packing, data.read(18), file, limit)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (*DAMAGED, struct.error, lzma.LZMAError, ValueError) as error:
        raise _damaged(stored, file) from error
    except MedsegError:
        raise
    except OSError as error:
        raise _damaged(stored, file) from error
    if unpacked > limit:
        raise _damaged(stored, file)


def _unpacked_size(packing: str, head: bytes, file: Path, limit: int) -> int:
    """Bytes that a chunk unpacks to, by its own header, or counted where the header does not say; counting stops past `limit`."""
    if packing == "blosc":  # README_CHUNK_FORMAT of c-blosc: versions, flags, type size, then three sizes
        unpacked, _, packed = struct.unpack("<3I", head[4:16])
        return int(unpacked) if packed == file.stat().st_size else limit + 1
    if packing == "lz4":  # numcodecs puts the size in front
        return int(struct.unpack("<I", head[:4])[0])
    if packing == "zstd":
        return _zstd_size(head)
    if packing in ("gzip", "zlib") and file.stat().st_size * 1040 > limit:  # deflate cannot pack better than 1032 to 1
        return _counted(isal_zlib.decompressobj(wbits=31 if packing == "gzip" else 15), file, limit)
    if packing in ("bz2", "lzma"):
        return _counted(bz2.BZ2Decompressor() if packing == "bz2" else lzma.LZMADecompressor(), file, limit)
    return 0


def _zstd_size(head: bytes) -> int:
    """The size in the header of a zstd frame (RFC 8878, 3.1.1.1); 0 when it does not say."""
    if head[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError
    flags = head[4]
    single, long = flags >> 5 & 1, flags >> 6
    start = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    width = (1 if single else 0, 2, 4, 8)[long]
    return int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0)


def _counted(stream: Any, file: Path, limit: int) -> int:
    count = 0
    with file.open("rb") as data:
        while not stream.eof and count <= limit:
            waiting = getattr(stream, "unconsumed_tail", b"")
            piece = waiting or (b"" if not getattr(stream, "needs_input", True) else data.read(PIECE))
            out = stream.decompress(piece, PIECE)
            if not out and not piece:
                raise EOFError
            count += len(out)
    return count


@contextmanager
def _faults(stored: Stored) -> Iterator[None]:
    """Turn whatever the zarr library and the codecs raise for damaged bytes into one error that names the folder."""
    try:
        yield
    except MedsegError:
        raise
    except _FAULTS as error:
        what = f"{stored.folder.relative_to(stored.root)} is damaged: its voxels cannot be unpacked"
        raise UnreadableFileError(what, where=stored.root, todo=AGAIN) from error


def _name(stored: Stored, file: Path) -> str:
    return file.relative_to(stored.root).as_posix()


def _link(stored: Stored, name: str) -> UnreadableFileError:
    return UnreadableFileError(f"{name} is a link, which is not followed", where=stored.root, todo="Copy what it points to into the folder")


def _damaged(stored: Stored, file: Path) -> UnreadableFileError:
    return UnreadableFileError(f"its chunk {_name(stored, file)} is damaged", where=stored.root, todo=AGAIN)
