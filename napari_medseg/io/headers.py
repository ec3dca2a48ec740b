"""What a header promises and whether the file can hold it, checked before a voxel is allocated.

ITK reads files that are cut short, or whose compressed bytes are damaged, without a word and fills the rest with anything. So the length is compared
with the header, and compressed data are unpacked once to the end, where their checksum lies (0.2 s per 50 MB).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from napari_medseg.errors import MissingFileError, UnreadableFileError
from napari_medseg.io.formats import suffix_of

NIFTI, NRRD, META = (".nii.gz", ".nii"), (".nrrd", ".nhdr"), (".mha", ".mhd")
CHUNK = 1 << 20
DEFLATE_LIMIT = 1040  # deflate cannot pack better than 1032 to 1
TEXT_LIMIT = 1 << 16
SEND_AGAIN = "Copy or export it again"

_NRRD_BYTES = {
    "signed char": 1, "int8": 1, "int8_t": 1, "uchar": 1, "unsigned char": 1, "uint8": 1, "uint8_t": 1,
    "short": 2, "short int": 2, "signed short": 2, "signed short int": 2, "int16": 2, "int16_t": 2,
    "ushort": 2, "unsigned short": 2, "unsigned short int": 2, "uint16": 2, "uint16_t": 2,
    "int": 4, "signed int": 4, "int32": 4, "int32_t": 4, "uint": 4, "unsigned int": 4, "uint32": 4, "uint32_t": 4,
    "longlong": 8, "long long": 8, "long long int": 8, "signed long long": 8, "signed long long int": 8, "int64": 8, "int64_t": 8,
    "ulonglong": 8, "unsigned long long": 8, "unsigned long long int": 8, "uint64": 8, "uint64_t": 8, "float": 4, "double": 8,
}
_META_BYTES = {
    "CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4, "LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}


@dataclass(frozen=True, slots=True)
class Promise:
    """Where a header says the voxels are.

    Attributes
    ----------
    file : Path
        Which file holds them.
    start : int
        Bytes before them in the file, or in the unpacked stream when the whole file is packed.
    needed : int
        Bytes they take, unpacked.
    packing : str
        "" for none, "gzip" for the whole file or the rest of it, "zlib".
    packed : int or None
        Bytes they take in the file, where the header says so.
    """

    file: Path
    start: int
    needed: int
    packing: str = ""
    packed: int | None = None


def check(path: Path) -> None:
    """Refuse an image file that is not what its name says, or that does not hold what its header promises.

    Raises
    ------
    UnreadableFileError
        Not of this format, an impossible size or spacing, cut short, or damaged.
    MissingFileError
        When the header names a data file that is not there.
    """
    suffix = suffix_of(path)
    try:
        promise: Promise | None
        if suffix in NRRD:
            promise = _nrrd(path)
        elif suffix in META:
            promise = _meta(path)
        else:
            return
        if promise is not None:
            _keep(promise, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFileError("is cut short or damaged: it cannot be unpacked", where=path, todo=SEND_AGAIN) from error
    except (ValueError, struct.error) as error:
        raise UnreadableFileError("has a header that cannot be understood", where=path, todo=SEND_AGAIN) from error


def _nrrd(path: Path) -> Promise | None:
    with path.open("rb") as file:
        if not file.readline(TEXT_LIMIT).startswith(b"NRRD000"):
            raise UnreadableFileError("is not an NRRD file, whatever its name says", where=path, todo="Check what it is, or export it again as NRRD")
        fields = {}
        for line in _lines(file):
            if not line.strip():
                break
            key, colon, value = line.partition(": ")
            if colon and not line.startswith("#"):
                fields[key.strip().lower()] = value.strip()
        start = file.tell()
    shape = [int(n) for n in fields["sizes"].split()] if "sizes" in fields else []
    spacing = [float(s) for s in fields.get("spacings", "").split() if s.lower() != "nan"]
    for vector in fields.get("space directions", "").replace("none", "").replace("(", " ").split(")"):
        if vector.strip():
            spacing.append(math.hypot(*(float(v) for v in vector.split(","))))
    _possible(path, shape, spacing)
    size = _NRRD_BYTES.get(fields.get("type", "").lower())
    encoding = fields.get("encoding", "raw").lower()
    named = fields.get("data file") or fields.get("datafile")
    skips = any(fields.get(key, "0") != "0" for key in ("line skip", "lineskip", "byte skip", "byteskip"))
    if named is not None and named.split()[0] != "LIST" and "%" not in named and not (path.parent / named).exists():
        raise MissingFileError(f"its data file {named} is not beside it", where=path, todo="Copy both files")
    if size is None or encoding not in ("raw", "gzip", "gz") or skips or (named is not None and (named.split()[0] == "LIST" or "%" in named)):
        return None  # rare forms, which ITK itself checks
    return Promise(path.parent / named if named else path, 0 if named else start, math.prod(shape) * size, "" if encoding == "raw" else "gzip")


def _meta(path: Path) -> Promise | None:
    with path.open("rb") as file:
        fields = {}
        for line in _lines(file):
            key, equals, value = line.partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                break
        start = file.tell()
    if not {"NDims", "DimSize", "ElementType", "ElementDataFile"} <= fields.keys():
        raise UnreadableFileError("is not a MetaImage file, whatever its name says", where=path, todo="Check what it is, or export it again")
    shape = [int(n) for n in fields["DimSize"].split()]
    _possible(path, shape, [float(s) for s in fields.get("ElementSpacing", "").split()])
    named = fields["ElementDataFile"]
    local = named.upper() == "LOCAL"
    single = not named.upper().startswith("LIST") and "%" not in named
    if single and not local and not (path.parent / named).exists():
        raise MissingFileError(f"its data file {named} is not beside it", where=path, todo="Copy both files")
    size = _META_BYTES.get(fields.get("ElementType", "").removeprefix("MET_"))
    if size is None or not single or fields.get("BinaryData", "True").lower() != "true" or fields.get("HeaderSize", "0") != "0":
        return None
    packing = "zlib" if fields.get("CompressedData", "False").lower() == "true" else ""
    packed = int(fields["CompressedDataSize"]) if packing and "CompressedDataSize" in fields else None
    needed = math.prod(shape) * size * int(fields.get("ElementNumberOfChannels", "1"))
    return Promise(path if local else path.parent / named, start if local else 0, needed, packing, packed)


def _lines(file: BinaryIO) -> Iterator[str]:
    read = 0
    while read < TEXT_LIMIT and (line := file.readline(TEXT_LIMIT)):
        read += len(line)
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _possible(path: Path, shape: list[int] | tuple[int, ...], spacing: list[float] | tuple[float, ...]) -> None:
    if not shape or min(shape) < 1:
        raise UnreadableFileError(f"its header gives a size of {' x '.join(map(str, shape)) or 'nothing'}", where=path, todo=SEND_AGAIN)
    if any(not math.isfinite(s) or s == 0 for s in spacing):
        told = " x ".join(f"{s:g}" for s in spacing)
        raise UnreadableFileError(f"its header gives a voxel spacing of {told} mm", where=path, todo="Correct the spacing, or export it again")


def _keep(promise: Promise, path: Path) -> None:
    """Compare the promise with the file; `path` is what the user named."""
    size = promise.file.stat().st_size
    if not promise.packing:
        there = size - promise.start
    elif promise.needed > size * DEFLATE_LIMIT:
        raise UnreadableFileError(
            f"its header promises {_mb(promise.needed)} MB, more than the file of {_mb(size)} MB can hold", where=path, todo=SEND_AGAIN
        )
    elif promise.packed is not None and promise.packed > size - promise.start:
        raise UnreadableFileError(f"is cut short ({_mb(size)} of {_mb(promise.start + promise.packed)} MB)", where=path, todo=SEND_AGAIN)
    else:
        there = _unpacked(promise) - (promise.start if _whole(promise) else 0)
    if there < promise.needed:
        raise UnreadableFileError(f"is cut short (read {_mb(max(there, 0))} of {_mb(promise.needed)} MB)", where=path, todo=SEND_AGAIN)


def _whole(promise: Promise) -> bool:
    """Whether the header is packed together with the voxels, as in .nii.gz."""
    return promise.packing == "gzip" and suffix_of(promise.file) in NIFTI


def _unpacked(promise: Promise) -> int:
    """How many bytes come out; what is cut short counts as far as it goes, damage raises zlib.error."""
    count = 0
    with promise.file.open("rb") as file:
        file.seek(0 if _whole(promise) else promise.start)
        wbits = zlib.MAX_WBITS + (16 if promise.packing == "gzip" else 0)
        stream = zlib.decompressobj(wbits)
        while chunk := stream.unused_data or file.read(CHUNK):
            if stream.eof:  # another member follows, as parallel packers write; padding ends it
                if not chunk.startswith(b"\x1f\x8b"):
                    break
                stream = zlib.decompressobj(wbits)
            count += len(stream.decompress(chunk))
    return count


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}" if size >= 1_000_000 else f"{size / 1e6:.3g}"
