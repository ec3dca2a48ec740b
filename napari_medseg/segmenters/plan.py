"""What a model file says about itself; readable without torch, so that a window can name a model before it is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_medseg.errors import MissingFileError, SegmenterError
from napari_medseg.segmenters.networks.pruning.record import Prunable
from napari_medseg.segmenters.slices import SIZE

BASE = Path(__file__).parent / "weights" / "m0.safetensors"
"""The base model M0 that ships with the package."""

FILE = "model.safetensors"
FORMAT = 1
KEY = "medseg"
TODO = "Choose a model that napari-medseg wrote (model.safetensors), or copy it again from the source"
LONGEST_HEADER = 16 * 1024 * 1024  # bytes; ours takes 20 thousand, so a longer one is no model of ours


class NetworkPlan(Prunable):
    """Which network the weights belong to; the arguments of `unet.UNet`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["unet2d"] = "unet2d"
    in_channels: int = Field(ge=1)
    classes: int = Field(ge=1, le=254)
    widths: list[int] = Field(min_length=2)
    dropout: float = Field(ge=0, lt=1)


class Preprocessing(BaseModel):
    """How its input is made (`segmenters.slices`)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    normalise: Literal["min-max per slice"] = "min-max per slice"
    size: int = Field(default=SIZE, ge=16)
    slices: Literal["thick axis, display order"] = "thick axis, display order"


class Plan(BaseModel):
    """What a model file says about itself.

    Attributes
    ----------
    format : int
        Of this record; a higher one was written by a newer version.
    title : str
        What the window calls the model.
    classes : list of str
        What it outlines, in the order of its maps.
    modalities : list of str
        "CT", "MR", ...; empty for any.
    threshold : float
        Probability above which a voxel belongs to a class.
    licence : str
        SPDX name.
    training : dict
        The training record: data, seeds, epochs, updates, loss, figures; any JSON.
    sha256 : str
        Of the weights: names, dtypes, shapes and values.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    title: str = "U-Net"
    network: NetworkPlan
    preprocessing: Preprocessing = Preprocessing()
    classes: list[str] = Field(default_factory=lambda: ["organ"], min_length=1)
    modalities: list[str] = Field(default_factory=list)
    threshold: float = Field(default=0.5, ge=0, le=1)
    licence: str = "BSD-3-Clause"
    training: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""

    @model_validator(mode="after")
    def _one_name_a_map(self) -> Plan:
        if len(self.classes) != self.network.classes:
            raise ValueError(f"{len(self.classes)} class names for {self.network.classes} maps")
        return self


Described = TypeVar("Described", bound=BaseModel)


def model_file(folder_or_file: str | Path) -> Path:
    """Where the model lies: a folder holds `model.safetensors`."""
    path = Path(folder_or_file)
    return path if path.is_file() or path.suffix == ".safetensors" else path / FILE


@overload
def read_plan(path: str | Path) -> Plan: ...
@overload
def read_plan(path: str | Path, kind: type[Described]) -> Described: ...
def read_plan(path: str | Path, kind: type[BaseModel] = Plan) -> BaseModel:
    """Read the plan alone.

    Parameters
    ----------
    path : path
        A file, or a folder that holds `model.safetensors`.
    kind : type of plan, optional
        What is expected: `Plan`, or the plan of another family of networks.

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When it is no model file, is cut short, or holds a plan this version cannot use.
    """
    file = model_file(path)
    try:
        with file.open("rb") as stream:  # the format: 8 bytes of length, then JSON, then the tensors
            length = int.from_bytes(stream.read(8), "little")
            text = stream.read(length) if 0 < length <= LONGEST_HEADER else b""
    except FileNotFoundError as error:
        raise MissingFileError("there is no model here", where=file, todo="Choose a folder that a refinement wrote, or a .safetensors file") from error
    except OSError as error:
        raise SegmenterError(f"cannot be read ({error.strerror})", where=file, todo="Check the file's permissions") from error
    return parse_plan(text, file, kind)


def parse_plan(header: bytes, file: Path, kind: type[Described]) -> Described:
    """The plan in a safetensors header; raises as `read_plan` does."""
    try:
        content = json.loads(header)
    except (ValueError, RecursionError):  # neither UTF-8 nor JSON, or made to break a parser
        content = None
    if not isinstance(content, dict):
        raise SegmenterError("is no model file, or is cut short", where=file, todo=TODO)
    metadata = content.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise SegmenterError("holds weights, but not the plan that says how to use them", where=file, todo=TODO)
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise SegmenterError(f"holds a plan this version cannot use ({reason(error)})", where=file, todo="Update napari-medseg or choose another") from error


def reason(error: Exception) -> str:
    """What pydantic or json found fault with, in one line."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'plan'}: {e['msg']}" for e in error.errors())
    return str(error)
