"""Autosave: a file to which only changed chunks are added, and which is whole up to its last commit wherever the power went.

The file is a header (magic, length, JSON, CRC) and records. A chunk record holds the chunk's number, its packed values, a CRC of them unpacked and a CRC of the
record; a commit record ends what was written together. On reading, everything up to the last whole commit counts and what is torn behind it does not.
"""

from __future__ import annotations

import json
import math
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_medseg.errors import InvalidInputError, ProjectError
from napari_medseg.io import replacing
from napari_medseg.project.arrays import CHUNK
from napari_medseg.project.durable import writing
from napari_medseg.project.records import Box
from napari_medseg.volume import Array, Shape, format_shape

MAGIC = b"MSDRAFT1"
LARGEST_HEADER = 1 << 16
EDGES = (8, CHUNK, CHUNK)
"""Of the journal's own chunks, z, y, x: flat, since a stroke lies on one slice."""
SPARE = 4 << 20  # bytes of outdated records that are not worth a new file
FEW = 12  # chunks of the parent that are read one by one; more are read in slabs
_RECORD = struct.Struct("<BBHIIII")  # type, bytes a value, 0, chunk or count, packed bytes, CRC of the values, CRC of the record
_CHUNK, _COMMIT = 1, 2

NEVER = datetime.fromtimestamp(0, UTC)

Base = Callable[[Box], Array]
Sum = tuple[int, int]


@dataclass(slots=True)
class Journal:
    """What a journal file holds.

    Attributes
    ----------
    case : str
    parent : int or None
    shape : (z, y, x)
    chunks : dict
        Chunk number to (offset, packed bytes, bytes a value, CRC of the values), as of the last commit.
    end : int
        Where the last whole commit ends.
    written : datetime
        Of the last commit; UTC.
    """

    case: str
    parent: int | None
    shape: Shape
    chunks: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    end: int = 0
    written: datetime = NEVER

    def values(self, file: IO[bytes], index: int) -> Array:
        """One chunk's values, (z, y, x)."""
        offset, length, size, crc = self.chunks[index]
        shape = tuple(s.stop - s.start for s in chunk_box(self.shape, index))
        wanted = math.prod(shape) * size
        file.seek(offset)
        unpacker = zlib.decompressobj()
        try:
            raw = unpacker.decompress(file.read(length), wanted + 1)
        except zlib.error as error:
            raise damaged(Path(file.name)) from error
        if len(raw) != wanted or zlib.crc32(raw) != crc:
            raise damaged(Path(file.name))
        return np.frombuffer(raw, np.uint8 if size == 1 else "<u2").reshape(shape)


def read_journal(path: Path) -> Journal:
    """Read a journal up to its last whole commit.

    Raises
    ------
    ProjectError
        When its header is damaged.
    """
    try:
        with path.open("rb") as file:
            journal = _header(file, path)
            journal.end = file.tell()
            pending: dict[int, tuple[int, int, int, int]] = {}
            for kind, size, number, length, crc, offset, payload in _records(file, math.prod(_chunks(journal.shape))):
                if kind == _CHUNK:
                    pending[number] = (offset, length, size, crc)
                elif number == len(pending):
                    journal.chunks |= pending
                    journal.end, pending = file.tell(), {}
                    journal.written = datetime.fromtimestamp(struct.unpack("<d", payload)[0], UTC)
                else:
                    break
    except ProjectError:
        raise
    except (OSError, ValueError, OverflowError) as error:
        raise damaged(path) from error
    return journal


def replay(path: Path, journal: Journal, labels: Array) -> Array:
    """Labels with the journal's chunks put in; wider when a value needs it. `labels` itself is changed where it can be.

    They are uint8 or uint16 (z, y, x), the journal's shape.

    Raises
    ------
    ProjectError
        When a chunk is damaged.
    """
    if any(size == 2 for _, _, size, _ in journal.chunks.values()) and labels.dtype == np.uint8:
        labels = labels.astype(np.uint16)
    with path.open("rb") as file:
        for index in journal.chunks:
            labels[chunk_box(journal.shape, index)] = journal.values(file, index)
    return labels


def difference(path: Path, journal: Journal, base: Base) -> tuple[int, Box | None]:
    """How many voxels differ from the parent, and the box around them; None when none does."""
    count, low, high = 0, np.full(3, np.iinfo(np.int64).max), np.zeros(3, np.int64)
    with path.open("rb") as file:
        for index, before in _parent(journal.shape, journal.chunks, base):
            where = np.argwhere(journal.values(file, index) != before)
            if len(where):
                start = [s.start for s in chunk_box(journal.shape, index)]
                count += len(where)
                low, high = np.minimum(low, where.min(0) + start), np.maximum(high, where.max(0) + start + 1)
    if not count:
        return 0, None
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return count, (z, y, x)


class Draft:
    """Autosave of one case, on top of one of its versions.

    `write` may be called from a worker thread while the labels are painted on: what changes during it is found by the next.

    Parameters
    ----------
    path : Path
        The journal; made when there is something to write. One that is there is gone on with.
    case, parent, shape
        What it is a draft of.
    base : callable
        The parent's labels inside a box, (z, y, x).
    gone : callable
        Called once when the draft is discarded or closed.
    """

    def __init__(self, path: Path, case: str, parent: int | None, shape: Shape, base: Base, gone: Callable[[Draft, bool], None]) -> None:
        self.case = case
        self.parent = parent
        self._path, self._shape, self._base, self._gone = path, shape, base, gone
        self._lock = threading.RLock()
        self._file: IO[bytes] | None = None
        self._is_open = True
        self._sums: dict[int, Sum] = {}
        self._journal = read_journal(path) if path.is_file() else Journal(case, parent, shape)

    @property
    def written(self) -> datetime | None:
        """When the last change was put on the disk, UTC; None when nothing is."""
        return self._journal.written if self._journal.chunks else None

    def write(self, labels: Array, boxes: Iterable[Box] | None = None) -> int:
        """Put what changed since the last call on the disk.

        Parameters
        ----------
        labels : integer (z, y, x)
            The whole map in the source's voxel order, 0-65535; any strides.
        boxes : (z, y, x) slices each, optional
            Where it may have changed; looked for everywhere when not given.

        Returns
        -------
        int
            Bytes written; 0 when nothing changed.

        Raises
        ------
        InvalidInputError
            When the labels have another shape.
        UnwritableFileError
            When the disk is full or the folder refuses; what was written before still counts, and the next call tries again.
        ProjectError
            When the draft was closed.
        """
        if labels.shape != self._shape:
            raise InvalidInputError(f"a draft of {format_shape(labels.shape)} voxels", where=self.case, todo=f"Give {format_shape(self._shape)}")
        with self._lock:
            if not self._is_open:
                raise ProjectError("its draft was closed", where=self.case, todo="Open the case again")
            indices = list(range(math.prod(_chunks(self._shape)))) if boxes is None else _touched(self._shape, boxes)
            self._learn(indices)
            records: dict[int, tuple[bytes, bytes, Sum]] = {}
            for index in indices:
                raw, found = _summed(labels[chunk_box(self._shape, index)])
                if found != self._sums[index]:
                    packed = zlib.compress(raw, 1)
                    records[index] = (_head(_CHUNK, found[0], index, packed, found[1]), packed, found)
            return self._append(records) if records else 0

    def rebase(self, parent: int, base: Base) -> None:
        """Go on from a version that was just saved: what it holds is no draft any more, what was autosaved since still is.

        Raises
        ------
        UnwritableFileError
        """
        with self._lock:
            kept = self._different(base)
            self.parent, self._base, self._sums = parent, base, {}
            self._journal.parent = parent
            self._rewrite(kept) if kept else self._remove()

    def discard(self) -> None:
        """Forget the unsaved work for good; the draft is closed."""
        with self._lock:
            had = bool(self._journal.chunks)
            self._remove()
            self._shut(had)

    def close(self) -> None:
        """Stop autosaving; what is unsaved stays on the disk."""
        with self._lock:
            if self._is_open and self._journal.chunks and not self._different(self._base):
                self._remove()
            self._shut(False)

    # -- the file ------------------------------------------------------------------------------------------------------------------------------------------

    def _append(self, records: dict[int, tuple[bytes, bytes, Sum]]) -> int:
        now = time.time()
        stamp = struct.pack("<d", now)
        data = b"".join(head + packed for head, packed, _ in records.values()) + _head(_COMMIT, 0, len(records), stamp, 0) + stamp
        with writing(self._path.name):
            file, before = self._opened()
            start = self._journal.end
            file.seek(start)
            file.truncate()
            rest = memoryview(data)
            while rest:  # a disk that fills up takes a part first
                rest = rest[file.write(rest):]
            os.fsync(file.fileno())
        for index, (head, packed, found) in records.items():
            start += len(head)
            self._journal.chunks[index] = (start, len(packed), *found)
            self._sums[index] = found
            start += len(packed)
        self._journal.end += len(data)
        self._journal.written = datetime.fromtimestamp(now, UTC)
        if self._journal.end > SPARE + 4 * sum(length for _, length, _, _ in self._journal.chunks.values()):
            self._rewrite(list(self._journal.chunks))
        return len(data) + before

    def _opened(self) -> tuple[IO[bytes], int]:
        """The file, made when missing, and how many bytes that took."""
        made = 0
        if self._file is None:
            if not self._path.is_file():
                self._journal = Journal(self.case, self.parent, self._shape)
                header = self._header()
                self._path.parent.mkdir(exist_ok=True)
                with replacing(self._path) as temporary:
                    temporary.write_bytes(header)
                self._journal.end = made = len(header)
            self._file = self._path.open("r+b", buffering=0)
        return self._file, made

    def _header(self) -> bytes:
        told = json.dumps({"case": self.case, "parent": self.parent, "shape": self._shape, "chunk": EDGES}).encode()
        return MAGIC + struct.pack("<I", len(told)) + told + struct.pack("<I", zlib.crc32(told))

    def _rewrite(self, indices: list[int]) -> None:
        """A new file with the latest state of some chunks only."""
        data, chunks = bytearray(self._header()), {}
        with self._path.open("rb") as file:
            for index in indices:
                offset, length, size, crc = self._journal.chunks[index]
                file.seek(offset)
                packed = file.read(length)
                data += _head(_CHUNK, size, index, packed, crc)
                chunks[index] = (len(data), length, size, crc)
                data += packed
        stamp = struct.pack("<d", self._journal.written.timestamp())
        data += _head(_COMMIT, 0, len(indices), stamp, 0) + stamp
        self._shut_file()
        with replacing(self._path) as temporary:
            temporary.write_bytes(data)
        self._journal.chunks, self._journal.end = chunks, len(data)

    def _remove(self) -> None:
        self._shut_file()
        with writing(self._path.name):
            self._path.unlink(missing_ok=True)
        self._journal, self._sums = Journal(self.case, self.parent, self._shape), {}

    def _shut_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _shut(self, discarded: bool) -> None:
        self._shut_file()
        if self._is_open:
            self._is_open = False
            self._gone(self, discarded)

    # -- what is known of the chunks ---------------------------------------------------------------------------------------------------------------------

    def _learn(self, indices: list[int]) -> None:
        """Checksums of chunks as they are on the disk: the journal's, else the parent's."""
        for index in indices:
            if index not in self._sums and index in self._journal.chunks:
                self._sums[index] = self._journal.chunks[index][2:]
        unknown = {other for index in indices if index not in self._sums for other in _neighbours(self._shape, index)}
        for index, values in _parent(self._shape, unknown - self._sums.keys() - self._journal.chunks.keys(), self._base):
            self._sums[index] = _summed(values)[1]

    def _different(self, base: Base) -> list[int]:
        chunks = self._journal.chunks
        return [index for index, values in _parent(self._shape, chunks, base) if chunks[index][2:] != _summed(values)[1]]


def chunk_box(shape: Shape, index: int) -> Box:
    """Where a chunk lies."""
    places = np.unravel_index(index, _chunks(shape))
    z, y, x = (slice(int(i) * edge, min((int(i) + 1) * edge, n)) for i, edge, n in zip(places, EDGES, shape, strict=True))
    return z, y, x


def damaged(path: Path) -> ProjectError:
    """The error of a draft that cannot be believed."""
    return ProjectError("is damaged", where=path.name, todo="Move it away, or let `medseg project check --repair` do it; saved versions are not affected")


def _chunks(shape: Shape) -> Shape:
    z, y, x = (-(-n // edge) for n, edge in zip(shape, EDGES, strict=True))
    return z, y, x


def _neighbours(shape: Shape, index: int) -> range:
    """The chunks that the parent keeps together with this one: the next strokes will want them."""
    counts, many = _chunks(shape), CHUNK // EDGES[0]
    plane = counts[1] * counts[2]
    first = index // plane // many * many
    return range(first * plane + index % plane, min(first + many, counts[0]) * plane, plane)


def _parent(shape: Shape, indices: Iterable[int], base: Base) -> Iterator[tuple[int, Array]]:
    """The parent's values of some chunks, in any order; what the parent keeps together is read once, and in whole slabs where there is much of it."""
    firsts = {index: tuple(side.start // CHUNK * CHUNK for side in chunk_box(shape, index)) for index in indices}
    slabs = len(set(firsts.values())) > FEW
    size = (CHUNK, *shape[1:]) if slabs else (CHUNK,) * 3
    together: dict[tuple[int, ...], list[int]] = {}
    for index, first in firsts.items():
        together.setdefault((first[0], 0, 0) if slabs else first, []).append(index)
    for first, chunks in together.items():
        z, y, x = (slice(start, min(start + length, n)) for start, length, n in zip(first, size, shape, strict=True))
        values = base((z, y, x))
        for index in chunks:
            inside = tuple(slice(side.start - start, side.stop - start) for side, start in zip(chunk_box(shape, index), first, strict=True))
            yield index, values[inside]


def _touched(shape: Shape, boxes: Iterable[Box]) -> list[int]:
    counts, found = _chunks(shape), set()
    for box in boxes:
        ranges = []
        for part, edge, n in zip(box, EDGES, shape, strict=True):
            start, stop, _ = part.indices(n)
            ranges.append(range(start // edge, -(-stop // edge)) if stop > start else range(0))
        found |= {int(np.ravel_multi_index(place, counts)) for place in product(*ranges)}
    return sorted(found)


def _summed(values: Array) -> tuple[bytes, Sum]:
    """A chunk as bytes of its narrowest type, and what tells it from others."""
    if values.dtype == np.uint8:
        raw = np.ascontiguousarray(values).tobytes()
        return raw, (1, zlib.crc32(raw))
    low, high = int(values.min()), int(values.max())
    if values.dtype.kind not in "iub" or low < 0 or high > 65535:
        raise InvalidInputError(f"holds values from {low} to {high}", where="labels", todo="Labels are whole numbers from 0 to 65535")
    raw = np.ascontiguousarray(values, dtype=np.uint8 if high <= 255 else "<u2").tobytes()
    return raw, (1 if high <= 255 else 2, zlib.crc32(raw))


def _head(kind: int, size: int, number: int, payload: bytes, crc: int) -> bytes:
    bare = _RECORD.pack(kind, size, 0, number, len(payload), crc, 0)
    return _RECORD.pack(kind, size, 0, number, len(payload), crc, zlib.crc32(payload, zlib.crc32(bare)))


def _records(file: IO[bytes], chunks: int) -> Iterator[tuple[int, int, int, int, int, int, bytes]]:
    """Whole records, up to the first that is not: (type, bytes a value, number, length, CRC of values, offset, payload)."""
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        kind, size, zero, number, length, crc, own = _RECORD.unpack(head)
        chunk = kind == _CHUNK and size in (1, 2) and number < chunks and length <= 4 * math.prod(EDGES)
        if zero or not (chunk or (kind == _COMMIT and length == 8)):
            return
        offset, payload = file.tell(), file.read(length)
        if len(payload) != length or zlib.crc32(payload, zlib.crc32(_RECORD.pack(kind, size, 0, number, length, crc, 0))) != own:
            return
        yield kind, size, number, length, crc, offset, payload


def _header(file: IO[bytes], path: Path) -> Journal:
    if file.read(len(MAGIC)) != MAGIC:
        raise damaged(path)
    length = int.from_bytes(file.read(4), "little")
    told = file.read(min(length, LARGEST_HEADER))
    if len(told) != length or int.from_bytes(file.read(4), "little") != zlib.crc32(told):
        raise damaged(path)
    facts: Any = json.loads(told)
    try:
        case, parent, shape, chunk = (facts[key] for key in ("case", "parent", "shape", "chunk"))
        whole = isinstance(case, str) and (parent is None or type(parent) is int) and len(shape) == 3 and all(type(n) is int and n > 0 for n in shape)
    except (KeyError, TypeError) as error:
        raise damaged(path) from error
    if not whole or chunk != list(EDGES):
        raise damaged(path)
    return Journal(case, parent, (shape[0], shape[1], shape[2]))
