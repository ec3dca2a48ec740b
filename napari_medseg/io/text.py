"""Voxels written as text: numbers with blanks between them, or hexadecimal digits, as NRRD and MetaImage allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.faults import SEND_AGAIN

if TYPE_CHECKING:
    from pathlib import Path

    from napari_medseg.io.voxels import Stored
    from napari_medseg.volume import Array

PIECE = 1 << 18
LONGEST = 1 << 10  # characters of one number


def read_text(stored: Stored, target: Array, path: Path) -> None:
    """Fill `target`, (n,) of the type that is wanted, from text files.

    Raises
    ------
    UnreadableFileError
        When it is no number, too large for its type, or too few.
    """
    filled = 0
    for file in stored.files:
        with file.open("rb") as opened:
            opened.seek(max(stored.offset, 0) + stored.skip)
            for values in _hex(opened, stored, path) if stored.packing == "hex" else _numbers(opened, target.dtype, path):
                count = min(len(values), target.size - filled)
                target[filled : filled + count] = values[:count]
                filled += count
                if filled == target.size:
                    return
    raise UnreadableFileError(f"is cut short (read {filled} of {target.size} numbers)", where=path, todo=SEND_AGAIN)


def _numbers(file: IO[bytes], dtype: np.dtype[np.generic], path: Path) -> Iterator[Array]:
    rest = b""
    while True:
        chunk = file.read(PIECE)
        text = rest + chunk.replace(b",", b" ")
        cut = max(text.rfind(b" "), text.rfind(b"\n")) + 1 if chunk else len(text)
        text, rest = text[:cut], text[cut:]
        if len(rest) > LONGEST:
            raise UnreadableFileError("holds text where numbers should stand", where=path, todo=SEND_AGAIN)
        words = text.split()
        try:
            numbers = [float(word) for word in words] if dtype.kind == "f" else [int(word) for word in words]
            with np.errstate(over="ignore"):
                yield np.array(numbers, dtype)
        except (ValueError, OverflowError) as error:
            raise UnreadableFileError("holds text where numbers should stand", where=path, todo=SEND_AGAIN) from error
        if not chunk:
            return


def _hex(file: IO[bytes], stored: Stored, path: Path) -> Iterator[Array]:
    rest, step = b"", 2 * stored.dtype.itemsize
    while chunk := file.read(PIECE):
        digits = rest + b"".join(chunk.split())
        cut = len(digits) // step * step
        try:
            data = bytes.fromhex(digits[:cut].decode("ascii"))
        except ValueError as error:
            raise UnreadableFileError("holds text where hexadecimal digits should stand", where=path, todo=SEND_AGAIN) from error
        yield np.frombuffer(data, stored.dtype)
        rest = digits[cut:]
