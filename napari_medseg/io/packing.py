"""Packed bytes in and out, with Intel's ISA-L: twice as fast as zlib at the same size, checksums looked at."""

from __future__ import annotations

import bz2
import io
from typing import IO, Any, Literal, cast

import numpy as np
from isal import isal_zlib

from napari_medseg.volume import Array

Packing = Literal["", "gzip", "zlib", "bzip2", "text", "hex"]

PIECE = 1 << 20
TOGETHER = 1 << 23  # bytes copied at a time while writing
LEVEL = 2  # of ISA-L's 0 to 3: the size of zlib's level 1 in a fifth of its time
MAGIC = b"\x1f\x8b"
_WBITS = {"gzip": 31, "zlib": 15}
LARGEST = {"gzip": 1040, "zlib": 1040, "bzip2": 50_000, "text": 4, "hex": 0.5}
"""Bytes of voxels that one byte of the file can give at most: deflate packs no better than 1032 to 1; a digit and a blank may stand for eight bytes."""


class Inflating(io.RawIOBase):
    """A file's gzip or zlib data, unpacked while they are read.

    Several gzip members in a row, as parallel packers write, are one stream; what follows the last is padding.
    """

    def __init__(self, file: IO[bytes], packing: Literal["gzip", "zlib"]) -> None:
        self.file = file
        self.wbits = _WBITS[packing]
        self.stream: Any = isal_zlib.decompressobj(self.wbits)
        self.packed = b""

    def readable(self) -> bool:
        """As io.RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As io.RawIOBase.

        Raises
        ------
        EOFError
            When the file ends before the stream does.
        isal.isal_zlib.error
            When the data are damaged.
        """
        view = memoryview(buffer).cast("B")
        while not self._ended():
            chunk = self.packed or self.file.read(PIECE)
            if not chunk:
                raise EOFError
            data = self.stream.decompress(chunk, len(view))
            self.packed = self.stream.unconsumed_tail
            if data:
                view[: len(data)] = data
                return len(data)
        return 0

    def _ended(self) -> bool:
        if not self.stream.eof:
            return False
        if self.wbits == _WBITS["zlib"]:
            return True
        following = self.stream.unused_data or self.packed
        if len(following) < len(MAGIC):
            following += self.file.read(PIECE)
        if not following.startswith(MAGIC):
            return True
        self.stream, self.packed = isal_zlib.decompressobj(self.wbits), following
        return False


def unpacking(file: IO[bytes], packing: Packing) -> IO[bytes]:
    """A stream of the unpacked bytes from where `file` stands."""
    if packing == "bzip2":
        return bz2.BZ2File(file)
    return cast(IO[bytes], Inflating(file, packing)) if packing in ("gzip", "zlib") else file


class Deflating:
    """Pack what is written, as gzip or zlib."""

    def __init__(self, file: IO[bytes], packing: Literal["gzip", "zlib"]) -> None:
        self.file = file
        self.stream: Any = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _WBITS[packing])

    def write(self, data: Any) -> None:
        """Pack some more bytes."""
        self.file.write(self.stream.compress(data))

    def finish(self) -> None:
        """Write what is still held back, and the checksum."""
        self.file.write(self.stream.flush())


def put(sink: IO[bytes] | Deflating, array: Array, dtype: str) -> None:
    """Write an array's values in C order, a few megabytes at a time so that no second copy is made.

    Parameters
    ----------
    array : any shape
    dtype : str
        With its byte order.
    """
    if array.ndim > 1 and array.nbytes > TOGETHER:
        for part in array:
            put(sink, part, dtype)
        return
    sink.write(np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8).data)
