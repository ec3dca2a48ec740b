"""Which files an ONNX model wants to read besides itself, found without opening the model in an engine.

Large models keep weights in files of their own and name them in `TensorProto.external_data`. A model from elsewhere could name any file of this machine, so
names are looked at first. Field numbers are those of onnx.proto (version 3); values are skipped, so the cost does not grow with the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from napari_medseg.errors import SegmenterError

# message: field number -> message inside it
SCHEMA: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
DEEPEST = 64  # graphs within graphs


def external_files(path: Path) -> tuple[str, ...]:
    """Names in the order they stand in the file.

    Raises
    ------
    SegmenterError
        When the file is no ONNX model, is cut short, or is nested without end.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            return tuple(dict.fromkeys(_locations(file, max(size, 1), "model", 0)))  # nothing at all is cut short too
    except ValueError as error:  # bad UTF-8 too
        raise SegmenterError("is no ONNX model, or is cut short", where=path, todo="Copy it again from the source") from error


def refuse_outside_files(path: Path) -> None:
    """Every named file must lie in the model's folder and be there.

    Raises
    ------
    SegmenterError
        When one does not; names it by its last part.
    """
    folder = path.parent.resolve()
    for name in external_files(path):
        target = (folder / name.replace("\\", "/")).resolve()
        if not target.is_relative_to(folder) or Path(name).is_absolute():
            what = f"wants to read a file outside its folder ('{Path(name).name}'); it was not opened"
            raise SegmenterError(what, where=path, todo="Take the model from people you trust, with its weights beside it")
        if not target.is_file():
            raise SegmenterError(f"lacks its weights file '{name}'", where=path, todo="Copy that file into the same folder")


def _locations(file: BinaryIO, end: int, kind: str, depth: int) -> Iterator[str]:
    """Names in the message of this kind that begins here and stops at `end`."""
    if depth > DEEPEST:
        raise ValueError("nested without end")
    for number, stop in _fields(file, end):
        inner = SCHEMA[kind].get(number)
        if inner == "entry":
            entry = {n: file.read(s - file.tell()) for n, s in _fields(file, stop)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode()
        elif inner is not None:
            yield from _locations(file, stop, inner, depth + 1)
        file.seek(stop)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Fields of a protobuf message that hold bytes, with where they stop; the file stands at their first byte. Others are stepped over."""
    while file.tell() < end:
        key = _varint(file)
        size = 0
        match key & 7:
            case 0:
                _varint(file)
            case 1:
                size = 8
            case 2:
                size = _varint(file)
            case 5:
                size = 4
            case _:
                raise ValueError("no protobuf")
        stop = file.tell() + size
        if stop > end:
            raise ValueError("cut short")
        if key & 7 == 2:
            yield key >> 3, stop
        file.seek(stop)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut short")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no number")
