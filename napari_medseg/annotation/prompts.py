"""Prompts: what a person points at, in the patient's millimetres, and the file that holds it.

The file is JSON:
`{"objects": [{"label": 1, "points": [[x, y, z, 1], ...], "boxes": [[[x, y, z], [x, y, z]], ...], "lassos": [[[x, y, z], ...], ...]}],
"scribbles": PATH, "mask": PATH}`; every key may be missing. Points are LPS mm; a fourth number says inside (1) or outside (-1).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from napari_medseg.annotation.classes import LARGEST_CLASS
from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError
from napari_medseg.volume import Volume

PointLPS = tuple[float, float, float]
SignedPoint = tuple[float, float, float, int]


@dataclass(frozen=True, slots=True)
class ObjectPrompt:
    """What was pointed at for one object; each kind in the order it was given, the newest last.

    Attributes
    ----------
    label : int
        The class it becomes, 1-254.
    points : (x, y, z, sign) each
        LPS mm and +1 inside or -1 outside.
    boxes : two opposite corners each, (x, y, z) LPS mm
    lassos : closed outlines, each at least three (x, y, z) LPS mm in one plane
    """

    label: int
    points: tuple[SignedPoint, ...] = ()
    boxes: tuple[tuple[PointLPS, PointLPS], ...] = ()
    lassos: tuple[tuple[PointLPS, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Prompts:
    """All prompts for one scan.

    Attributes
    ----------
    objects : tuple of ObjectPrompt
    scribbles : Volume, Path or None
        Strokes on the scan's grid: 0 unknown, 255 background, 1-254 classes. Segmenters are given a Volume; a Path is what a file names and
        whoever reads that file opens.
    mask : Volume, Path or None
        A label map to start from, on the scan's grid: 0 background, 1-254 classes.
    """

    objects: tuple[ObjectPrompt, ...] = ()
    scribbles: Volume | Path | None = None
    mask: Volume | Path | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was pointed at."""
        pointed = any(o.points or o.boxes or o.lassos for o in self.objects)
        return not pointed and self.scribbles is None and self.mask is None

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels asked for, ascending: those of the objects, and of strokes and mask where these are volumes."""
        found = {o.label for o in self.objects}
        for drawn in (self.scribbles, self.mask):
            if isinstance(drawn, Volume):
                found |= {int(v) for v in np.unique(drawn.array) if 0 < v <= LARGEST_CLASS}
        return tuple(sorted(found))


_Point = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
_Signed = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _ObjectSchema(BaseModel):
    model_config = ConfigDict(extra="forbid")
    label: int = Field(default=1, ge=1, le=LARGEST_CLASS)
    points: list[_Signed | _Point] = []
    boxes: list[tuple[_Point, _Point]] = []
    lassos: list[list[_Point]] = []


class _PromptsSchema(BaseModel):
    model_config = ConfigDict(extra="forbid")
    objects: list[_ObjectSchema] = []
    scribbles: Path | None = None
    mask: Path | None = None


class _SeedsSchema(BaseModel):
    points: list[_Point]


def read_prompts(path: Path | str) -> Prompts:
    """Read a prompts file.

    Parameters
    ----------
    path : Path
        JSON; relative paths inside it are taken from its own folder.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When the file does not exist, or is not JSON.
    InvalidInputError
        When a field is not what it should be; names the field.
    """
    path = Path(path)
    read: _PromptsSchema = _validated(_PromptsSchema, path, "See docs/cli.md for the prompts file")

    def beside(other: Path | None) -> Path | None:
        return None if other is None else path.parent / other

    return Prompts(tuple(_object(entry, path) for entry in read.objects), beside(read.scribbles), beside(read.mask))


def read_seed_points(path: Path | str) -> npt.NDArray[np.float64]:
    """Read a seeds file, `{"points": [[x, y, z], ...]}`.

    Returns
    -------
    float array, (n, 3) LPS mm as x, y, z
        Empty when the list is.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When the file does not exist, or is not JSON.
    InvalidInputError
        When a point is not three finite numbers; names the field.
    """
    read: _SeedsSchema = _validated(_SeedsSchema, Path(path), 'Write {"points": [[x, y, z], ...]} in LPS mm')
    return np.array(read.points, dtype=float).reshape(-1, 3)


def _object(entry: _ObjectSchema, path: Path) -> ObjectPrompt:
    points = []
    for point in entry.points:
        sign = int(point[3]) if len(point) == 4 and point[3] in (-1, 1) else 1
        if len(point) == 4 and point[3] != sign:
            raise InvalidInputError(f"a point of object {entry.label} ends in {point[3]:g}", where=path, todo="End it with 1 for inside or -1 for outside")
        points.append((point[0], point[1], point[2], sign))
    if any(len(outline) < 3 for outline in entry.lassos):
        raise InvalidInputError(f"a lasso of object {entry.label} has fewer than three points", where=path, todo="Draw round the object")
    return ObjectPrompt(entry.label, tuple(points), tuple(entry.boxes), tuple(tuple(outline) for outline in entry.lassos))


def _validated(schema: type[Any], path: Path, todo: str) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError("there is no such file", where=path, todo="Check the path") from error
    except (OSError, ValueError, RecursionError) as error:  # bad UTF-8 and bad JSON are ValueErrors
        raise UnreadableFileError(f"is not a JSON file ({error})", where=path, todo=todo) from error
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidInputError(f"{field}: {first['msg']}", where=path, todo=todo) from error
