"""Finding DICOM files and reading their headers, each once and only up to the pixels."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, time_ns
from typing import BinaryIO

from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import LONG, SHORT, DataSet, HeaderFault, MoreNeeded, Parser, Pixels

FIRST_READ = 1 << 13  # bytes; most headers of single slices are shorter
TRIAL, SLOW, THREADS = 8, 2e-3, 8  # files tried first; seconds a file from which on others are asked for meanwhile, as on a network
SETTLED_NS = 2_000_000_000
INFLATED_HEADER = 1 << 26  # bytes
IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN, "")
DIRECTORY = "1.2.840.10008.1.3.10"  # DICOMDIR


State = tuple[int, int]  # when a file was written, and its size


@dataclass(slots=True)
class Header:
    """What one file says.

    Attributes
    ----------
    path : Path
    data : DataSet
    syntax : str
        The transfer syntax' UID; "" in files from before there was one.
    size : int
        Bytes of the file; of a deflated one, once it is inflated up to its pixels and as far as it can go.
    pixels : Pixels or None
    fault : str
        Why the header could be read in part only; else "".
    """

    path: Path
    data: DataSet
    syntax: str
    size: int
    pixels: Pixels | None
    fault: str = ""

    @property
    def sop_class(self) -> str:
        """What kind of object it is."""
        return self.data.text(tags.SOP_CLASS)

    @property
    def is_image(self) -> bool:
        """Whether it holds, or held, a picture."""
        return tags.ROWS in self.data or self.pixels is not None


_last: dict[Path, tuple[State, Header | None]] = {}


def find_headers(folder: Path) -> list[Header]:
    """The headers of all DICOM files in a folder and its subfolders, by path; other files are passed over.

    Those of the last folder are kept: a list of its series, their small pictures and the reading ask one after the other.
    """
    global _last
    states = dict(sorted(_files(folder)))
    kept = {path: _last[path] for path, state in states.items() if path in _last and _last[path][0] == state}
    paths = [path for path in states if path not in kept]
    began = perf_counter()
    found = [_header_or_none(path) for path in paths[:TRIAL]]
    if perf_counter() - began > SLOW * TRIAL:
        with ThreadPoolExecutor(THREADS) as pool:
            found += pool.map(_header_or_none, paths[TRIAL:])
    else:
        found += map(_header_or_none, paths[TRIAL:])
    new = {path: (states[path], header) for path, header in zip(paths, found, strict=True)}
    settled = time_ns() - SETTLED_NS  # what was written just now may be written again within a tick of the disk's clock
    _last = kept | {path: entry for path, entry in new.items() if entry[0][0] < settled and not (entry[1] and entry[1].fault)}
    every = kept | new
    return [header for path in states if (header := every[path][1]) is not None]


def read_header(path: Path) -> Header:
    """The header of one file.

    Raises
    ------
    HeaderFault
        When it is no DICOM file.
    OSError
        When it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(FIRST_READ)
        syntax, start = _preamble(data)
        if syntax == DEFLATED:
            return _inflated(path, file, start, size)
        while True:
            try:
                return _parsed(path, data, len(data) >= size, syntax, start, size)
            except MoreNeeded as more:
                wanted = min(size, max(more.size + FIRST_READ, 4 * len(data)))  # a read takes memory for what it asks
                data += file.read(wanted - len(data)) or _nothing()


def inflate(file: BinaryIO, start: int, needed: int) -> bytes:
    """The first `needed` bytes of a deflated file as it would be unpacked, the part before `start` included; fewer when it ends before.

    Raises
    ------
    HeaderFault
        When it is damaged.
    """
    file.seek(0)
    head = file.read(start)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    parts, there = [head], len(head)
    try:
        while there < needed and not stream.eof:
            packed = stream.unconsumed_tail or file.read(1 << 16)
            if not packed:
                break
            parts.append(stream.decompress(packed, min(needed - there, 1 << 22)))
            there += len(parts[-1])
    except zlib.error as error:
        raise HeaderFault("its packed part is damaged") from error
    return b"".join(parts)


def packed_start(path: Path) -> int:
    """Bytes before the packed part of a deflated file."""
    with path.open("rb") as file:
        return _preamble(file.read(FIRST_READ))[1]


def _files(folder: Path) -> Iterator[tuple[Path, State]]:
    """The files in a folder and its subfolders, and when they were written."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                state = path.stat()
            except OSError:
                continue  # a link to nowhere
            if stat.S_ISREG(state.st_mode):  # a pipe would wait for ever
                yield path, (state.st_mtime_ns, state.st_size)


def _header_or_none(path: Path) -> Header | None:
    try:
        return read_header(path)
    except HeaderFault:
        return None  # anything may lie in a folder: pictures, reports, other programs' files
    except OSError as error:
        return Header(path, DataSet({}), "", 0, None, f"could not be read ({error.strerror or 'no reason given'})")


def _preamble(data: bytes) -> tuple[str, int]:
    """The transfer syntax, and where the data set begins."""
    if data[128:132] == b"DICM":
        at, syntax = 132, IMPLICIT
    elif len(data) >= 16 and data[0] in (2, 8) and data[1] == data[3] == 0 and data[2] <= 0x18:  # from before there were preambles
        at, syntax = 0, ""
    else:
        raise HeaderFault("is no DICOM file")
    while data[at : at + 2] == b"\x02\x00" and at + 12 <= len(data):
        kind = data[at + 4 : at + 6]
        if kind in LONG:
            length, start = int.from_bytes(data[at + 8 : at + 12], "little"), at + 12
        else:
            length, start = int.from_bytes(data[at + 6 : at + 8], "little"), at + 8
        if data[at + 2 : at + 4] == b"\x10\x00":
            syntax = data[start : start + length].strip(b" \0").decode("ascii", "replace")
        at = start + length
    return syntax, at


def _parsed(path: Path, data: bytes, whole: bool, syntax: str, start: int, size: int) -> Header:
    little = syntax != BIG_ENDIAN
    # Some writers name one encoding and use the other; the first attribute shows which.
    kind = data[start + 4 : start + 6]
    explicit = kind in SHORT or kind in LONG
    parser = Parser(data, whole, explicit, little)
    fault = ""
    try:
        parser.parse(start)
    except HeaderFault as error:
        fault = str(error)
        if not parser.found.values and data[128:132] != b"DICM":
            raise  # it only looked like a file from before there were preambles
    return Header(path, parser.found, syntax, size, parser.pixels, fault)


def _inflated(path: Path, file: BinaryIO, start: int, size: int) -> Header:
    needed = max(1 << 16, start + 4096)
    while True:
        data = inflate(file, start, needed)
        try:
            return _parsed(path, data, len(data) < needed, DEFLATED, start, start + 1032 * (size - start))
        except MoreNeeded as more:
            if more.size > INFLATED_HEADER:
                raise HeaderFault("has a header that unpacks to more than a header can be") from None
            needed = max(more.size + FIRST_READ, 4 * needed)


def _nothing() -> bytes:
    raise HeaderFault("is cut short")
