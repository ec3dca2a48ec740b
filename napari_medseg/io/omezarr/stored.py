"""How one Zarr array is stored: checked against a list of what is known to be safe, before the zarr library or a codec sees it.

Objects are never unpickled, and no codec runs that is not named here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.omezarr.groups import AGAIN, read_json

PACKINGS = ("blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma")
FILTERS = ("delta", "fixedscaleoffset", "shuffle")
_V3_CODECS = ("bytes", "transpose", "blosc", "gzip", "zstd", "crc32c", "sharding_indexed")
_V2_TYPE = re.compile(r"[<>|](b1|[iu][1248]|f[248])")
_V3_TYPE = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
ROOM = 1 << 26  # bytes that a chunk may take however small the array is
INNER = 1 << 18  # chunks in a shard


@dataclass(frozen=True, slots=True)
class Stored:
    """What the metadata of an array say.

    Attributes
    ----------
    root, folder : Path
        What a person named, and where the array lies in it.
    zarr_format : int
        2 or 3.
    shape, chunks : tuple of int
        Of the array and of one chunk (one shard where there are shards), in the array's own axes.
    dtype : dtype
    packing : str
        The outermost compression, or "" for none.
    separator : str
        Between the numbers in a chunk's name.
    prefix : str
        What chunk names begin with, "c" or "".
    """

    root: Path
    folder: Path
    zarr_format: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: npt.DTypeLike
    packing: str
    separator: str
    prefix: str

    @property
    def size(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def chunk_size(self) -> int:
        """Bytes of one chunk, unpacked."""
        return math.prod(self.chunks) * np.dtype(self.dtype).itemsize

    @property
    def cells(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True))

    def chunk_file(self, place: tuple[int, ...]) -> Path:
        """Where the chunk at a place of the grid of chunks lies, if it is there."""
        key = self.separator.join([*([self.prefix] if self.prefix else []), *map(str, place)])
        return self.folder.joinpath(*key.split("/"))

    def place(self, file: Path) -> tuple[int, ...] | None:
        """The place of the chunk that a file in the folder holds; None when it is none of the array."""
        parts = "/".join(file.relative_to(self.folder).parts).split(self.separator)
        if self.prefix:
            if parts[0] != self.prefix:
                return None
            parts = parts[1:]
        if len(parts) != len(self.shape) or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            return None
        place = tuple(int(part) for part in parts)
        return place if all(i < n for i, n in zip(place, self.cells, strict=True)) and self.chunk_file(place) == file else None

    def region(self, place: tuple[int, ...]) -> tuple[slice, ...]:
        """The voxels of a chunk."""
        return tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(place, self.chunks, self.shape, strict=True))


def stored(root: Path, folder: Path) -> Stored:
    """Read and check an array's metadata.

    Raises
    ------
    UnreadableFileError
        When there is no array, or its shape, chunks, type or codecs are none that can be read.
    """
    found = read_json(root, folder / "zarr.json")
    told = folder.relative_to(root)
    if found is not None and found.get("node_type") == "array":
        array = _version_3(found, root, folder)
    elif found is None and (found := read_json(root, folder / ".zarray")) is not None:
        array = _version_2(found, root, folder)
    else:
        raise UnreadableFileError(f"there is no array at {told}, though its metadata names one", where=root, todo=AGAIN)
    if array.chunk_size > max(ROOM, 8 * array.size):
        what = f"the array {told} claims chunks of {array.chunk_size / 1e9:.3g} GB for {array.size / 1e9:.3g} GB of voxels"
        raise UnreadableFileError(what, where=root, todo=AGAIN)
    return array


def _version_2(found: dict[str, Any], root: Path, folder: Path) -> Stored:
    where = f"{folder.relative_to(root)}: "
    shape, chunks = _sizes(found.get("shape"), root), _sizes(found.get("chunks"), root)
    kind = found.get("dtype")
    if not isinstance(kind, str) or not _V2_TYPE.fullmatch(kind):
        raise _unknown(f"{where}holds values of type {str(kind)[:40]!r}, no real numbers", root)
    compressor, filters = found.get("compressor"), found.get("filters") or []
    if not isinstance(filters, list) or len(chunks) != len(shape) or found.get("order") not in ("C", "F"):
        raise _unknown(f"{where}its metadata cannot be understood", root)
    packing = "" if compressor is None else _named(compressor, "id", PACKINGS, where, root)
    for one in filters:
        _named(one, "id", FILTERS, where, root)
    separator = found.get("dimension_separator", ".")
    if separator not in (".", "/"):
        raise _unknown(f"{where}its chunks are named in a way that is not known", root)
    return Stored(root, folder, 2, shape, chunks, np.dtype(kind).newbyteorder("="), packing, separator, "")


def _version_3(found: dict[str, Any], root: Path, folder: Path) -> Stored:
    where = f"{folder.relative_to(root)}: "
    shape = _sizes(found.get("shape"), root)
    grid, keys = _parts(found.get("chunk_grid")), _parts(found.get("chunk_key_encoding"))
    kind = found.get("data_type")
    if not isinstance(kind, str) or not _V3_TYPE.fullmatch(kind):
        raise _unknown(f"{where}holds values of type {str(kind)[:40]!r}, no real numbers", root)
    if grid[0] != "regular" or keys[0] not in ("default", "v2"):
        raise _unknown(f"{where}its chunks are laid out in a way that is not known", root)
    if found.get("storage_transformers"):
        raise _unknown(f"{where}is stored through transformers that are not known", root)
    chunks = _sizes(grid[1].get("chunk_shape"), root)
    separator = keys[1].get("separator", "/" if keys[0] == "default" else ".")
    if len(chunks) != len(shape) or separator not in (".", "/"):
        raise _unknown(f"{where}its metadata cannot be understood", root)
    packing = _codecs(found.get("codecs"), chunks, where, root)
    return Stored(root, folder, 3, shape, chunks, np.dtype(kind), packing, separator, "c" if keys[0] == "default" else "")


def _codecs(found: object, chunks: tuple[int, ...], where: str, root: Path, depth: int = 0) -> str:
    """Check a list of codecs and those inside shards; the name of the last that packs."""
    if not isinstance(found, list) or not found or len(found) > 8:
        raise _unknown(f"{where}its codecs cannot be understood", root)
    packing = ""
    for one in found:
        name = _named({"name": one} if isinstance(one, str) else one, "name", _V3_CODECS, where, root)
        if name == "sharding_indexed":
            inside = _parts(one)[1]
            inner = _sizes(inside.get("chunk_shape"), root)
            if len(inner) != len(chunks) or any(c % i for c, i in zip(chunks, inner, strict=True)) or math.prod(chunks) // math.prod(inner) > INNER:
                raise _unknown(f"{where}its shards cannot be cut into the chunks it claims", root)
            for key in ("codecs", "index_codecs"):
                if depth:
                    raise _unknown(f"{where}holds shards within shards", root)
                _codecs(inside.get(key), inner, where, root, depth + 1)
        packing = name if name in PACKINGS else packing
    return packing


def _named(found: object, key: str, known: tuple[str, ...], where: str, root: Path) -> str:
    name = found.get(key) if isinstance(found, dict) else None
    if not isinstance(name, str) or name not in known:
        raise _unknown(f"{where}is packed with {str(name)[:40]!r}, which is not read here", root)
    return name


def _parts(found: object) -> tuple[str, dict[str, Any]]:
    """Name and configuration of a Zarr 3 extension point."""
    if not isinstance(found, dict):
        return str(found), {}
    configuration = found.get("configuration")
    return str(found.get("name")), configuration if isinstance(configuration, dict) else {}


def _sizes(found: object, root: Path) -> tuple[int, ...]:
    if not isinstance(found, list) or not 2 <= len(found) <= 5 or not all(type(n) is int and 1 <= n < 1 << 40 for n in found):
        told = " x ".join(str(n)[:20] for n in found[:6]) if isinstance(found, list) else str(found)[:40]
        raise UnreadableFileError(f"its metadata gives an array size or chunk size of {told}", where=root, todo=AGAIN)
    return tuple(found)


def _unknown(what: str, root: Path) -> UnreadableFileError:
    todo = "Save it again as OME-Zarr with whole or floating-point numbers, packed with blosc, zstd or gzip"
    return UnreadableFileError(what, where=root, todo=todo)
