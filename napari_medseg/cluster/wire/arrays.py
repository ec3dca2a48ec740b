"""Arrays on the wire: raw bytes in blosc2 chunks of a kind that is looked at before it is unpacked.

A chunk's own header says how much it holds (C-Blosc2, README_CHUNK_FORMAT). It must be what was announced, to the byte, before any memory is written, so that a
few bytes cannot unpack to gigabytes; and it must use the plain filters only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_medseg.errors import InvalidInputError, UnavailableError
from napari_medseg.volume import Array

PART = 8 << 20
"""Bytes of an array in one chunk."""
OVERHEAD = 4096
"""Bytes by which a chunk may be longer than what it holds."""
DTYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")
HEADER, LAZY, PLAIN_FILTERS = 32, 0x08, frozenset({0, 1, 2})
HINT = 'Install it with: python -m pip install "napari-medseg[remote]"'
FASTEST, SMALL = 0, 1
"""Levels: bytes as they are, and LZ4."""


class Packed(BaseModel):
    """An array as a head announces it.

    Attributes
    ----------
    dtype : str
    shape : tuple of int
    parts : tuple of int
        Bytes of each chunk; empty for an array without elements.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str
    shape: tuple[int, ...] = Field(max_length=4)
    parts: tuple[int, ...] = Field(default=(), max_length=65536)

    @property
    def nbytes(self) -> int:
        """What it holds unpacked; refuses what is no array.

        Raises
        ------
        InvalidInputError
        """
        return size_of(self.dtype, self.shape)


def size_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of an array.

    Raises
    ------
    InvalidInputError
        When the type is none of `DTYPES`, or a side is negative.
    """
    if dtype not in DTYPES or any(side < 0 for side in shape):
        raise InvalidInputError("is no array of numbers", where="array", todo=f"Send one of: {', '.join(DTYPES)}")
    total = np.dtype(dtype).itemsize
    for side in shape:  # Python's own numbers do not overflow
        total *= side
    return total


def squeezed(array: Array, level: int = SMALL) -> bytes:
    """One chunk of a contiguous array of at most 1 GB."""
    blosc2 = _blosc2()
    size = array.dtype.itemsize
    chunk: bytes = blosc2.compress2(array, codec=blosc2.Codec.LZ4, clevel=level, typesize=size, filters=[blosc2.Filter.BITSHUFFLE], nthreads=1)
    return chunk


def unsqueezed(chunk: bytes | memoryview, into: Array) -> None:
    """Unpack a chunk into a contiguous array of exactly its size.

    Raises
    ------
    InvalidInputError
        When it is no chunk, holds more or less than announced, or is damaged; nothing was unpacked then, or only into `into`.
    """
    blosc2 = _blosc2()
    if len(chunk) < HEADER:
        raise _refused("is cut short")
    held, length, _ = blosc2.get_cbuffer_sizes(bytes(chunk[:HEADER]))
    if held != into.nbytes or length != len(chunk):
        raise _refused(f"holds {held} bytes where {into.nbytes} were announced")
    if chunk[31] & LAZY or not set(chunk[16:22]) <= PLAIN_FILTERS or chunk[3] not in (1, 2, 4, 8):
        raise _refused("is of a kind that is not taken")
    try:
        blosc2.decompress2(chunk, dst=into, nthreads=1)
    except (ValueError, RuntimeError) as error:
        raise _refused("is damaged") from error


def pack(array: Array, level: int = SMALL) -> tuple[Packed, list[bytes]]:
    """An array's announcement and its chunks."""
    flat = np.ascontiguousarray(array).reshape(-1)
    step = max(1, PART // flat.dtype.itemsize)
    chunks = [squeezed(flat[start : start + step], level) for start in range(0, flat.size, step)]
    return Packed(dtype=flat.dtype.name, shape=array.shape, parts=tuple(map(len, chunks))), chunks


def unpack(told: Packed, payload: bytes | memoryview, most: int) -> Array:
    """The array again.

    Parameters
    ----------
    payload : bytes
        Its chunks, one after the other.
    most : int
        Bytes it may hold.

    Raises
    ------
    InvalidInputError
        When it is larger than allowed, or not what was announced.
    """
    if told.nbytes > most:
        raise InvalidInputError(f"holds {told.nbytes} bytes, more than the {most} that are allowed", where="array", todo="Send less")
    size = np.dtype(told.dtype).itemsize
    step = max(1, PART // size)
    elements = told.nbytes // size
    if len(told.parts) != -(-elements // step) or sum(told.parts) != len(payload) or any(part < 0 for part in told.parts):
        raise _refused("is not what was announced")
    flat: np.ndarray[Any, Any] = np.empty(elements, told.dtype)
    at = 0
    for number, part in enumerate(told.parts):
        unsqueezed(memoryview(payload)[at : at + part], flat[number * step : (number + 1) * step])
        at += part
    return flat.reshape(told.shape)


def _refused(what: str) -> InvalidInputError:
    return InvalidInputError(what, where="a packed array", todo="Use the same version of napari-medseg on both sides")


def _blosc2() -> Any:
    try:
        import blosc2
    except ImportError as error:
        raise UnavailableError("needs blosc2", where="Working with a server", todo=HINT) from error
    blosc2.set_releasegil(True)
    return blosc2
