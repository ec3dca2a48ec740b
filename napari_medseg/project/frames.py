"""Packed chunks looked at before they are unpacked: a shard's chunks must each unpack to exactly the size of a chunk.

A few bytes can claim to unpack to any size (RFC 8878, 3.1.1), and the library that unpacks believes them.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import IO

MAGIC = b"\x28\xb5\x2f\xfd"
EMPTY = (1 << 64) - 1
_SIZE_BYTES = (0, 2, 4, 8)


def are_honest(folder: Path, shards: list[int], chunks: list[int], itemsize: int) -> bool:
    """Whether every chunk in every shard below a folder says that it unpacks to the size of a chunk.

    Parameters
    ----------
    folder : Path
        `c` of a zarr array, with one file a shard.
    shards, chunks : (z, y, x)
        Their shapes; a shard is a whole number of chunks.
    itemsize : int
        Bytes a voxel.
    """
    count, size = math.prod(s // c for s, c in zip(shards, chunks, strict=True)), math.prod(chunks) * itemsize
    return all(_is_honest(path, count, size) for path in folder.rglob("*") if path.is_file())


def _is_honest(path: Path, count: int, size: int) -> bool:
    length = path.stat().st_size
    index = 16 * count + 4  # offset and length of each chunk, and a checksum
    if length < index:
        return False
    with path.open("rb") as file:
        file.seek(length - index)
        places = struct.unpack(f"<{2 * count}Q", file.read(16 * count))
        for offset, nbytes in zip(places[::2], places[1::2], strict=True):
            if offset == nbytes == EMPTY:
                continue
            if offset + nbytes > length - index or _unpacked(file, offset) != size:
                return False
    return True


def _unpacked(file: IO[bytes], offset: int) -> int:
    """What a zstd frame says it unpacks to; -1 when it does not say, or is none."""
    file.seek(offset)
    head = file.read(18)
    if head[:4] != MAGIC or len(head) < 5:
        return -1
    kind, single, dictionary = head[4] >> 6, head[4] >> 5 & 1, (0, 1, 2, 4)[head[4] & 3]
    width = 1 if single and not kind else _SIZE_BYTES[kind]
    start = 5 + (not single) + dictionary
    if not width or start + width > len(head):
        return -1
    return int.from_bytes(head[start:start + width], "little") + (256 if width == 2 else 0)
