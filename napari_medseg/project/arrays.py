"""Label versions on the disk: one OME-Zarr 0.5 group each (zarr v3), whole or not there.

A group holds the labels as array `0` with OME image-label metadata, strokes and other arrays of the tool below `arrays/`, and under the attribute "medseg"
everything the database says of the version, so that it explains itself without one. Chunks are 64 voxels wide, lie in few files (sharding), and each
carries a checksum that is looked at before it is unpacked.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.annotation import LabelClass, classes_to_dicts, classes_to_json
from napari_medseg.errors import InvalidInputError, MedsegError, ProjectError
from napari_medseg.io.atomic import put
from napari_medseg.io.memory import allocate
from napari_medseg.project.durable import flush_tree, read_json
from napari_medseg.project.frames import are_honest
from napari_medseg.project.records import Box
from napari_medseg.volume import Array, Geometry, Shape

if TYPE_CHECKING:
    import zarr

CHUNK = 64
SHARD = 512
LEVEL = 3
LABEL_TYPES = ("uint8", "uint16")
ARRAY_TYPES = ("bool", "uint8", "uint16", "int16", "int32", "float32", "float64")
FAULTS = (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, OverflowError, RecursionError)


def checksum(array: Array, geometry: Geometry, classes: Iterable[LabelClass]) -> str:
    """SHA-256 of a label map (z, y, x): its values in C order, its grid and its classes."""
    grid = [geometry.shape, geometry.spacing, geometry.origin, geometry.direction]
    digest = hashlib.sha256(json.dumps([grid, array.dtype.name], separators=(",", ":")).encode())
    digest.update(classes_to_json(classes).encode())
    return _values(array, digest)


def plain_checksum(array: Array) -> str:
    """SHA-256 of an array's type, shape and values in C order."""
    return _values(array, hashlib.sha256(f"{array.dtype.name}{array.shape}".encode()))


def write_group(path: Path, array: Array, geometry: Geometry, classes: tuple[LabelClass, ...], record: dict[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a version to a path where nothing is, and put it on the disk.

    Parameters
    ----------
    path : Path
        A temporary name; the caller renames it when this returned.
    array : uint8 or uint16 (z, y, x)
    record : dict
        Goes into the attribute "medseg".
    arrays : dict
        Of the tool, (z, y, x) on the same grid.
    """
    import zarr

    attributes = {"ome": _ome(geometry, classes), "medseg": record}
    group = zarr.create_group(path, attributes=attributes)
    _fill(group, "0", array)
    if arrays:
        beside = group.create_group("arrays")
        for name, values in arrays.items():
            _fill(beside, name, values)
    flush_tree(path)


def read_record(path: Path) -> dict[str, Any]:
    """What a version's group says of itself, under "medseg".

    Raises
    ------
    ProjectError
        When the group is missing, damaged or not one of ours.
    """
    require_plain(path)
    found = read_json(path / "zarr.json")
    try:
        record = found["attributes"]["medseg"]
        ours = found["zarr_format"] == 3 and found["node_type"] == "group" and isinstance(record, dict)
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error
    if not ours:
        raise _damaged(path)
    return dict(record)


def read_labels(path: Path, shape: Shape, dtype: str) -> Array:
    """The labels of a version, (z, y, x).

    Raises
    ------
    ProjectError
        When the group is missing or damaged, or holds another shape or type than the database says.
    """
    return _read(path, "0", shape, (dtype,))


class Parts:
    """The labels of a version, read box by box when asked for; looked at once before the first.

    Raises
    ------
    ProjectError
        As `read_labels`, when called.
    """

    def __init__(self, path: Path, shape: Shape, dtype: str) -> None:
        self._path, self._shape, self._dtype = path, shape, dtype
        self._stored: zarr.Array[Any] | None = None

    def __call__(self, box: Box) -> Array:
        """The labels inside a box, (z, y, x)."""
        import zarr

        try:
            if self._stored is None:
                require_plain(self._path)
                _require_honest(self._path, "0", self._shape, (self._dtype,))
                self._stored = zarr.open_array(self._path / "0", mode="r")
            return np.asarray(self._stored[box])
        except MedsegError:
            raise
        except FAULTS as error:
            raise _damaged(self._path) from error


def read_arrays(path: Path, shape: Shape, sums: Mapping[str, str]) -> dict[str, Array]:
    """Strokes and other arrays of a version, each (z, y, x) of this shape, by name.

    Parameters
    ----------
    sums : dict
        Name to `plain_checksum`, as the version's record has it.

    Raises
    ------
    ProjectError
        When one is missing or damaged.
    """
    found = {}
    for name, expected in sums.items():
        array_name(name)
        found[name] = _read(path, f"arrays/{name}", shape, ARRAY_TYPES)
        if plain_checksum(found[name]) != expected:
            raise _damaged(path)
    return found


def array_name(name: str) -> str:
    """The name, if an array of a tool may have it.

    Raises
    ------
    InvalidInputError
        When it may not.
    """
    if not (name.isascii() and name.isidentifier() and len(name) <= 40):
        raise InvalidInputError(f"'{name[:40]}' is no name for an array", where="arrays", todo="Use letters, digits and _")
    return name


def remove_group(path: Path) -> None:
    """Delete a group that never counted: first its name, then what is in it."""
    gone = path.with_name(f".part-{os.getpid()}-{path.name}")
    put(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


def require_plain(path: Path) -> None:
    """Refuse a group that is missing, or in which a link leads elsewhere.

    Raises
    ------
    ProjectError
    """
    if path.is_symlink() or not path.is_dir():
        raise ProjectError("is missing", where=path.name, todo="Restore the folder from a backup")
    for here, folders, names in os.walk(path):
        linked = next((name for name in (*folders, *names) if Path(here, name).is_symlink()), None)
        if linked is not None:
            raise ProjectError(f"holds a link ({linked}) that leads elsewhere", where=path.name, todo="Restore the folder from a backup")


def _fill(group: zarr.Group, name: str, values: Array) -> None:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    chunks = tuple(min(CHUNK, n) for n in values.shape)
    shards = tuple(c * max(1, min(SHARD // c, -(-n // c))) for c, n in zip(chunks, values.shape, strict=True))
    array = group.create_array(
        name, shape=values.shape, dtype=values.dtype, chunks=chunks, shards=shards, fill_value=0, dimension_names=("z", "y", "x"),
        compressors=[ZstdCodec(level=LEVEL), Crc32cCodec()], config={"write_empty_chunks": False},
    )
    for start in range(0, values.shape[0], shards[0]):  # a whole shard at a time
        array[start:start + shards[0]] = np.ascontiguousarray(values[start:start + shards[0]])


def _read(path: Path, name: str, shape: Shape, types: tuple[str, ...]) -> Array:
    import zarr

    require_plain(path)
    dtype = _require_honest(path, name, shape, types)
    result = allocate(shape, dtype)
    try:
        stored = zarr.open_array(path / name, mode="r")
        for start in range(0, shape[0], 2 * CHUNK):
            result[start:start + 2 * CHUNK] = stored[start:start + 2 * CHUNK]
    except FAULTS as error:
        raise _damaged(path) from error
    return result


def _require_honest(path: Path, name: str, shape: Shape, types: tuple[str, ...]) -> str:
    """The type of an array whose metadata says what we would have written; anything else is refused before zarr sees it."""
    try:
        told = read_json(path / name / "zarr.json")
        grid, (sharding,) = told["chunk_grid"], told["codecs"]
        shards, within = grid["configuration"]["chunk_shape"], sharding["configuration"]
        chunks = within["chunk_shape"]
        whole = (
            told["zarr_format"] == 3 and told["node_type"] == "array" and tuple(told["shape"]) == tuple(shape) and told["data_type"] in types
            and told["fill_value"] in (0, False) and not told.get("storage_transformers")
            and (grid["name"], sharding["name"], within["index_location"]) == ("regular", "sharding_indexed", "end")
            and _names(within["codecs"]) == ["bytes", "zstd", "crc32c"] and _names(within["index_codecs"]) == ["bytes", "crc32c"]
            and _sizes(chunks, CHUNK) and _sizes(shards, SHARD) and all(s % c == 0 for s, c in zip(shards, chunks, strict=True))
            and are_honest(path / name / "c", shards, chunks, np.dtype(told["data_type"]).itemsize)
        )
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError, struct.error) as error:
        raise _damaged(path) from error
    if not whole:
        raise _damaged(path)
    return str(told["data_type"])


def _sizes(found: Any, largest: int) -> bool:
    return isinstance(found, list) and len(found) == 3 and all(type(n) is int and 0 < n <= largest for n in found)


def _names(codecs: Any) -> list[Any]:
    return [codec["name"] for codec in codecs]


def _values(array: Array, digest: Any) -> str:
    step = max(1, (1 << 24) // max(1, array[0].nbytes))
    for start in range(0, array.shape[0], step):
        digest.update(np.ascontiguousarray(array[start:start + step]))
    return str(digest.hexdigest())


def _ome(geometry: Geometry, classes: tuple[LabelClass, ...]) -> dict[str, Any]:
    moves = [{"type": "scale", "scale": list(geometry.spacing)}, {"type": "translation", "translation": list(geometry.origin[::-1])}]
    return {
        "version": "0.5",
        "multiscales": [{
            "name": "labels", "axes": [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"],
            "datasets": [{"path": "0", "coordinateTransformations": moves}],
        }],
        "image-label": {
            "colors": [{"label-value": c.value, "rgba": [*(round(255 * part) for part in c.colour), 255]} for c in classes],
            "properties": [{"label-value": c["value"], "name": c["name"]} for c in classes_to_dicts(classes)],
        },
    }


def _damaged(path: Path) -> ProjectError:
    todo = "Restore the folder from a backup; other versions are not affected"
    return ProjectError("is damaged or was changed after it was saved", where=path.name, todo=todo)
