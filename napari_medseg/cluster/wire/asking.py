"""Questions and answers on the wire: which segmenter, what was pointed at, and the boxes that come back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from napari_medseg.annotation.classes import LARGEST_CLASS
from napari_medseg.annotation.prompts import ObjectPrompt, Prompts
from napari_medseg.cluster.wire.arrays import Packed, pack, unpack
from napari_medseg.cluster.wire.frames import frame
from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.protocol import Box, Capabilities, Prediction
from napari_medseg.volume import Array, LabelArray, Volume

PROTOCOL = 2
LARGEST_ARRAY = 1 << 31
_Point = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
_Span = tuple[int, int]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(_Strict):
    """One segmenter of the server's catalogue and what a person answered to what it asks; or a model of the person's own that was sent, by its name there."""

    id: str = Field(max_length=100)
    answers: dict[str, str | float | bool] = Field(default_factory=dict, max_length=40)
    model: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")


class Spec(_Strict):
    """What is asked: one segmenter, or the mean of several, and over mirror images.

    Attributes
    ----------
    members : tuple of Member
    mirror : of "left-right", "front-back", "head-feet"
    """

    members: tuple[Member, ...] = Field(min_length=1, max_length=8)
    mirror: tuple[Literal["left-right", "front-back", "head-feet"], ...] = Field(default=(), max_length=3)

    @property
    def key(self) -> str:
        """Equal for what is built alike."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


class ObjectTold(_Strict):
    """As `annotation.ObjectPrompt`."""

    label: int = Field(ge=1, le=LARGEST_CLASS)
    points: tuple[tuple[FiniteFloat, FiniteFloat, FiniteFloat, Literal[1, -1]], ...] = Field(default=(), max_length=10000)
    boxes: tuple[tuple[_Point, _Point], ...] = Field(default=(), max_length=10000)
    lassos: tuple[tuple[_Point, ...], ...] = Field(default=(), max_length=10000)


class Drawn(_Strict):
    """The part of a label map on the scan's grid that holds anything."""

    box: tuple[_Span, _Span, _Span]
    array: Packed


class PromptsTold(_Strict):
    """As `annotation.Prompts`."""

    objects: tuple[ObjectTold, ...] = Field(default=(), max_length=1000)
    scribbles: Drawn | None = None
    mask: Drawn | None = None


class Asked(_Strict):
    """A question.

    Attributes
    ----------
    request : str
        Its own name: asked again, it is answered from where the client is and not worked out again.
    after : int
        Frames that the client has.
    spec : Spec
    prompts : PromptsTold or None
    focus : int or None
        Slice in view.
    """

    request: str = Field(pattern=r"^[0-9a-f]{32}$")
    after: int = Field(default=0, ge=0)
    spec: Spec
    prompts: PromptsTold | None = None
    focus: int | None = None


class Piece(_Strict):
    """What a frame tells of a prediction."""

    box: tuple[_Span, _Span, _Span]
    probabilities: Packed
    disagreement: Packed | None = None
    fraction: float | None = None
    message: str = ""


class Can(_Strict):
    """As `protocol.Capabilities`, and the title; what only works with the network at hand is left out."""

    title: str
    classes: tuple[str, ...]
    licence: str
    prompts: frozenset[str]
    dims: int
    channels: int
    modalities: frozenset[str]
    spacing: tuple[float, float, float] | None
    threshold: float

    @classmethod
    def of(cls, title: str, can: Capabilities) -> Can:
        """What a built segmenter says of itself."""
        same = {name: getattr(can, name) for name in cls.model_fields if name != "title"}
        return cls(title=title, **same)

    @property
    def capabilities(self) -> Capabilities:
        """The same for a client: the scan leaves its machine."""
        return Capabilities(**{name: getattr(self, name) for name in type(self).model_fields if name != "title"}, remote=True)


def read(schema: type[Any], head: Mapping[str, Any]) -> Any:
    """A head as its schema.

    Raises
    ------
    InvalidInputError
        Names the field.
    """
    try:
        return schema.model_validate(head)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the head"
        raise InvalidInputError(f"{where}: {first['msg']}", where="the message", todo="Use the same version of napari-medseg on both sides") from error


def told_prompts(prompts: Prompts | None) -> tuple[PromptsTold | None, list[bytes]]:
    """Prompts as a head and bytes. Strokes and mask have to be volumes, not paths."""
    if prompts is None:
        return None, []
    drawn: dict[str, Drawn | None] = {}
    payload: list[bytes] = []
    for name, given in (("scribbles", prompts.scribbles), ("mask", prompts.mask)):
        drawn[name] = None
        if isinstance(given, Volume):
            box = _around(given.channel())
            told, chunks = pack(given.channel()[box].astype(np.uint8))
            drawn[name] = Drawn(box=spans(box), array=told)
            payload += chunks
    objects = tuple(ObjectTold(label=o.label, points=o.points, boxes=o.boxes, lassos=o.lassos) for o in prompts.objects)  # type: ignore[arg-type]
    return PromptsTold(objects=objects, scribbles=drawn["scribbles"], mask=drawn["mask"]), payload


def prompts_of(told: PromptsTold | None, payload: memoryview, scan: Volume) -> Prompts | None:
    """Prompts for a scan.

    Raises
    ------
    InvalidInputError
        When strokes or mask do not fit it.
    """
    if told is None:
        return None
    found: dict[str, Volume | None] = {}
    at = 0
    for name, drawn in (("scribbles", told.scribbles), ("mask", told.mask)):
        found[name] = None
        if drawn is not None:
            length = sum(drawn.array.parts)
            found[name] = scan.like(_whole(drawn, payload[at : at + length], scan))
            at += length
    objects = tuple(ObjectPrompt(o.label, o.points, o.boxes, o.lassos) for o in told.objects)
    return Prompts(objects, found["scribbles"], found["mask"])


def piece_frame(number: int, piece: Prediction, level: int) -> bytes:
    """A prediction as a frame; float32, to the bit."""
    probabilities, chunks = pack(np.asarray(piece.probabilities, np.float32), level)
    apart, more = (None, []) if piece.disagreement is None else pack(np.asarray(piece.disagreement, np.float32), level)
    told = Piece(box=spans(piece.box), probabilities=probabilities, disagreement=apart, fraction=piece.fraction, message=piece.message)
    return frame({"n": number, "piece": told.model_dump()}, *chunks, *more)


def prediction_of(head: Mapping[str, Any], payload: memoryview) -> Prediction:
    """The prediction again.

    Raises
    ------
    InvalidInputError
        When it does not hold together.
    """
    told: Piece = read(Piece, head)
    length = sum(told.probabilities.parts)
    probabilities = unpack(told.probabilities, payload[:length], LARGEST_ARRAY)
    apart = None if told.disagreement is None else unpack(told.disagreement, payload[length:], LARGEST_ARRAY)
    z, y, x = (slice(a, b) for a, b in told.box)
    if probabilities.dtype != np.float32 or probabilities.shape[1:] != tuple(b - a for a, b in told.box):
        raise InvalidInputError("does not fill its box", where="the answer", todo="Use the same version of napari-medseg on both sides")
    return Prediction((z, y, x), probabilities, told.fraction, told.message, apart)


def spans(box: Box) -> tuple[_Span, _Span, _Span]:
    """A box as numbers."""
    z, y, x = ((int(side.start), int(side.stop)) for side in box)
    return z, y, x


def _whole(drawn: Drawn, payload: memoryview, scan: Volume) -> LabelArray:
    shape = scan.geometry.shape
    part: Array = unpack(drawn.array, payload, int(np.prod(shape)))
    fits = all(0 <= a <= b <= side for (a, b), side in zip(drawn.box, shape, strict=True))
    if not fits or part.dtype != np.uint8 or part.shape != tuple(b - a for a, b in drawn.box):
        raise InvalidInputError("does not lie on the scan's grid", where="strokes or mask", todo="Draw it on the scan that is sent")
    whole = np.zeros(shape, np.uint8)
    whole[tuple(slice(a, b) for a, b in drawn.box)] = part
    return whole


def _around(array: Array) -> Box:
    sides: list[slice] = []
    for axis in range(3):  # each looks only at what the one before left
        held = np.flatnonzero(array[tuple(sides)].any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(int(held[0]), int(held[-1]) + 1) if held.size else slice(0, 0))
    return sides[0], sides[1], sides[2]
