"""What a person says of a network they bring: what it wants to see and what its answer means.

A model file alone does not tell how its input was prepared. That stands in a small JSON or YAML file beside it (`NAME.json` or `model.json`), or is asked
for by the window's form; both become a `Description`. Everything is z, y, x, in voxels and mm.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, PositiveInt, ValidationError, model_validator

from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError

HELP = "See docs/segmenters.md for the description of a model"
NO_NUMBER = {"int_parsing": "is no whole number", "int_from_float": "is no whole number", "float_parsing": "is no number"}
NEEDED = frozenset({"window", "classes"})  # what has no sensible default
BESIDE = ("model.json", "model.yaml", "model.yml")
LARGEST = 1 << 20  # characters that are read; a description is a page of text

Window = Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=3)]
Spacing = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class Intensity(BaseModel):
    """How values become the network's input.

    Attributes
    ----------
    kind : str
        "none" as stored; "min-max" to `range`; "z-score" by mean and standard deviation; "clip" from `low`..`high` to `range`; "percentiles" as clip, with
        `low` and `high` in percent of the values.
    low, high : float or None
        Needed by "clip" and "percentiles"; "z-score" clips to them first when they are there.
    mean, std : float or None
        For "z-score": those of the training data (in stored units) instead of the scan's own.
    within : (low, high) or None
        For "z-score": percentiles of the scan's values that are clipped to first.
    range : (float, float)
        What low and high become.
    nonzero : bool
        Whether minima, percentiles, means and deviations leave out voxels that are exactly 0; "z-score" then leaves them 0.
    per : "volume" or "slice"
        What they are taken over.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none", "min-max", "z-score", "clip", "percentiles"] = "z-score"
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    mean: FiniteFloat | None = None
    std: PositiveFloat | None = None
    within: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(le=100)]] | None = None
    range: tuple[FiniteFloat, FiniteFloat] = (0.0, 1.0)
    nonzero: bool = False
    per: Literal["volume", "slice"] = "volume"

    @model_validator(mode="after")
    def _whole(self) -> Intensity:
        if (self.low is None) != (self.high is None) or (self.low is not None and self.high is not None and self.low >= self.high):
            raise ValueError("low and high belong together, low below high")
        if self.kind in ("clip", "percentiles") and self.low is None:
            raise ValueError(f"{self.kind} needs low and high")
        if self.kind == "percentiles" and not 0 <= (self.low or 0) < (self.high or 0) <= 100:
            raise ValueError("percentiles lie between 0 and 100")
        if (self.mean is None) != (self.std is None) or (self.mean is not None and self.kind != "z-score"):
            raise ValueError("mean and std belong together, and to z-score")
        if self.within is not None and (self.kind != "z-score" or self.low is not None or not self.within[0] < self.within[1]):
            raise ValueError("within belongs to z-score without low and high, the lower percentile first")
        return self


class Input(BaseModel):
    """What the network sees.

    Attributes
    ----------
    dims : 2 or 3
        2 for a network of single slices.
    channels : int
        Values a voxel has.
    window : (z, y, x) voxels, or (y, x) with dims 2
    fit : "slide" or "resize"
        Slide the window over the scan, or resize each slice (2D) or the whole scan (3D) to it.
    spacing : (z, y, x) mm or None
        What the scan is resampled to; None as it is. With dims 2 only y and x count.
    orientation : str
        Where the x, y and z axes point, such as "LPI" (the display's) or "RAS".
    axes : "zyx" or "xyz"
        The order of the axes in the array that the network is handed. Networks of MONAI and nibabel pipelines want "xyz".
    slices : str
        With dims 2: "thick" (along the largest spacing), "axial", "coronal" or "sagittal".
    intensity : Intensity
    overlap : float
        Share of a window that the next one sees again.
    batch : int
        Windows handed over at once; more pays on a graphics card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dims: Literal[2, 3] = 3
    channels: PositiveInt = 1
    window: Window
    fit: Literal["slide", "resize"] = "slide"
    spacing: Spacing | None = None
    orientation: str = Field(default="LPI", pattern=r"^[LR][PA][SI]$")
    axes: Literal["zyx", "xyz"] = "zyx"
    slices: Literal["thick", "axial", "coronal", "sagittal"] = "thick"
    intensity: Intensity = Intensity()
    overlap: float = Field(default=0.5, ge=0, lt=0.95)
    batch: PositiveInt = 1

    @model_validator(mode="after")
    def _whole(self) -> Input:
        if len(self.window) == 2 and self.dims == 3:
            raise ValueError("a 3D network has a window of three numbers (z, y, x)")
        if len(self.window) == 3 and self.dims == 2 and self.window[0] != 1:
            raise ValueError("a 2D network has a window of two numbers (y, x)")
        if self.fit == "resize" and self.spacing is not None:
            raise ValueError("fit resize leaves no room for a spacing")
        return self

    @property
    def size(self) -> tuple[int, int, int]:
        """The window as (z, y, x); one slice with dims 2."""
        return 1 if self.dims == 2 else self.window[0], self.window[-2], self.window[-1]


class Output(BaseModel):
    """What the network's answer means.

    Attributes
    ----------
    classes : tuple of str
        What its maps are, in their order, without the background.
    background : bool
        Whether a map of the background comes first.
    activation : str
        "none" (the maps are probabilities), "sigmoid", "softmax", or "labels" (one map of label numbers, 0 the background).
    threshold : float
        Probability above which a voxel belongs to a class.
    take : int or str
        Which of several answers counts: its place, or its name.
    brought_back : "probabilities" or "logits"
        What is resampled to the scan's grid where that is another: the probabilities, or what comes before sigmoid or softmax.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: tuple[str, ...] = Field(min_length=1, max_length=254)
    background: bool = False
    activation: Literal["none", "sigmoid", "softmax", "labels"] = "sigmoid"
    threshold: float = Field(default=0.5, ge=0, le=1)
    take: int | str = 0
    brought_back: Literal["probabilities", "logits"] = "probabilities"

    @model_validator(mode="after")
    def _whole(self) -> Output:
        if len(set(self.classes)) < len(self.classes) or not all(name.strip() for name in self.classes):
            raise ValueError("every class needs a name of its own")
        if self.activation == "softmax" and self.maps < 2:
            raise ValueError("softmax over one map is always 1: say background, name more classes, or use sigmoid")
        if self.brought_back == "logits" and self.activation not in ("sigmoid", "softmax"):
            raise ValueError("only answers before a sigmoid or softmax are logits")
        return self

    @property
    def maps(self) -> int:
        """How many maps the network must give."""
        return 1 if self.activation == "labels" else len(self.classes) + self.background


class Description(BaseModel):
    """A network somebody brings.

    Attributes
    ----------
    input : Input
    output : Output
    title : str
        What the window calls it; the file's name when empty.
    licence : str
        Of the model.
    modalities : tuple of str
        "CT", "MR", ...; empty for any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Input
    output: Output
    title: str = ""
    licence: str = Field(default="not stated", min_length=1)
    modalities: tuple[str, ...] = ()


def describe(model: Path, description: Path | None = None, form: dict[str, Any] | None = None) -> Description:
    """The description of a model: the file that was named, or the one beside the model, with the form's answers over it.

    A form that gives window and classes needs no file; the one beside the model is then left aside.

    Parameters
    ----------
    model : Path
        The model's file.
    description : Path, optional
        JSON or YAML with the fields of `Description`.
    form : dict, optional
        Answers to the form (`from_form`).

    Raises
    ------
    MissingFileError, UnreadableFileError
        When there is none, or it is no JSON or YAML.
    InvalidInputError
        When a field is not what it should be; names the field.
    """
    given = {key: value for key, value in (form or {}).items() if value not in (None, "")}
    if description is None and NEEDED <= given.keys():
        return from_form(model.name, given)
    file = beside(model) if description is None else description
    return from_form(file, given, _content(file)) if given else read_description(file)


def beside(model: Path) -> Path:
    """The description in the model's folder: its own name with .json or .yaml, or model.json.

    Raises
    ------
    MissingFileError
        When there is none.
    """
    own = [model.with_suffix(end).name for end in (".json", ".yaml", ".yml")]
    for name in (*own, *BESIDE):
        if (model.parent / name).is_file():
            return model.parent / name
    todo = f"Fill in the form (window and classes at least), or put a {own[0]} beside it. {HELP}"
    raise MissingFileError("nothing says what this model takes and gives", where=model, todo=todo)


def read_description(path: Path) -> Description:
    """Read a description; see `describe`."""
    return _validated(_content(path), path)


def _content(path: Path) -> Any:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST)
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except FileNotFoundError as error:
        raise MissingFileError("there is no such file", where=path, todo="Check the path") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # bad UTF-8 and bad JSON are ValueErrors
        raise UnreadableFileError(f"is neither JSON nor YAML ({' '.join(str(error).split())})", where=path, todo=HELP) from error


def from_form(where: str | Path, form: dict[str, Any], base: Any = None) -> Description:
    """A description from the form's flat answers.

    Parameters
    ----------
    where : str or Path
        Of the model or the file, for errors.
    form : dict
        Any of dims, channels, window, fit, spacing, orientation, axes, slices, overlap; intensity, low, high, mean, std; classes, background, activation,
        threshold. Lists are texts with commas or spaces; yes and no are texts; None is not answered.
    base : dict, optional
        A description's content that the answers change.

    Raises
    ------
    InvalidInputError
        When the window or the classes are missing, there is no such field, or an answer is none of its.
    """
    given = {key: value for key, value in form.items() if value not in (None, "")}
    if base is None and not NEEDED <= given.keys():
        todo = "Give the window in voxels (z, y, x) and the names of the classes"
        raise InvalidInputError("the form lacks the window or the classes", where=where, todo=todo)
    if base is not None:
        _validated(base, where)  # its parts can be changed only when they are there
    content: dict[str, Any] = {"input": {}, "output": {}} if base is None else deepcopy(base)
    for key, value in given.items():
        if key in ("low", "high", "mean", "std", "intensity"):
            content["input"].setdefault("intensity", {})["kind" if key == "intensity" else key] = value
        elif key in Output.model_fields:
            content["output"][key] = value
        elif key in Input.model_fields:
            content["input"][key] = value
        else:
            raise InvalidInputError(f"there is no field '{key}'", where=where, todo=HELP)
    for part, key, number in (("input", "window", True), ("input", "spacing", True), ("output", "classes", False)):
        if isinstance(content[part].get(key), str):
            content[part][key] = _listed(content[part][key], number)
    for part, key in (("input", "dims"), ("input", "channels")):
        if key in content[part]:
            content[part][key] = _whole_number(content[part][key])
    if isinstance(content["input"].get("orientation"), str):
        content["input"]["orientation"] = content["input"]["orientation"].upper()
    return _validated(content, where)


def _whole_number(value: object) -> object:
    """3 of "3" and of 3.0; anything else as it is, so that the check names the field."""
    try:
        number = float(str(value))
    except ValueError:
        return value
    return int(number) if number.is_integer() else value


def _listed(text: str, number: bool) -> list[str]:
    """Numbers may be parted by commas, blanks or x; names by commas only, since they may hold blanks."""
    parts = text.replace("x", " ").replace(",", " ").split() if number else text.split(",")
    return [part.strip() for part in parts if part.strip()]


def _validated(content: object, where: Path | str) -> Description:
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the description"
        what = f"'{first['input']}' {NO_NUMBER[first['type']]}" if first["type"] in NO_NUMBER else first["msg"].removeprefix("Value error, ")
        raise InvalidInputError(f"{field}: {what}", where=where, todo=HELP) from error
