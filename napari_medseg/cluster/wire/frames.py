"""Frames: a JSON head and bytes, one after the other in a stream. `MSF1`, length of the head, length of the bytes (little-endian), then both."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from napari_medseg.errors import InvalidInputError

MARK = b"MSF1"
START = struct.Struct("<4sIQ")
LARGEST_HEAD = 1 << 20


def frame(head: dict[str, Any], *payload: bytes) -> bytes:
    """One frame."""
    told = json.dumps(head, allow_nan=False).encode()
    return b"".join((START.pack(MARK, len(told), sum(map(len, payload))), told, *payload))


class Frames:
    """Takes a stream apart.

    Parameters
    ----------
    largest : int
        Bytes that a frame may carry.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], memoryview]]:
        """Frames that are whole now.

        Raises
        ------
        InvalidInputError
            When the stream is something else, or a frame is too large.
        """
        self._held += data
        while (found := self._first()) is not None:
            yield found

    @property
    def pending(self) -> bool:
        """Whether the stream ended within a frame."""
        return bool(self._held)

    def _first(self) -> tuple[dict[str, Any], memoryview] | None:
        if len(self._held) < START.size:
            return None
        mark, head, payload = START.unpack_from(self._held)
        if mark != MARK or head > LARGEST_HEAD or payload > self._largest:
            raise InvalidInputError("is no frame, or too large a one", where="the other side", todo="Use the same version of napari-medseg on both sides")
        end = START.size + head + payload
        if len(self._held) < end:
            return None
        told = loaded(bytes(self._held[START.size : START.size + head]))
        rest = memoryview(bytes(self._held[START.size + head : end]))
        del self._held[:end]
        return told, rest


def only(data: bytes, largest: int) -> tuple[dict[str, Any], memoryview]:
    """The one frame that a body holds.

    Raises
    ------
    InvalidInputError
        When it holds anything else.
    """
    frames = Frames(largest)
    found = list(frames.feed(data))
    if len(found) != 1 or frames.pending:
        raise InvalidInputError("is not one whole frame", where="the body", todo="Use the same version of napari-medseg on both sides")
    return found[0]


def loaded(text: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    InvalidInputError
        When it is none, or too deep.
    """
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("is no JSON", where="the head", todo="Use the same version of napari-medseg on both sides") from error
    if not isinstance(told, dict):
        raise InvalidInputError("is no JSON object", where="the head", todo="Use the same version of napari-medseg on both sides")
    return told
