"""Models on disk: one safetensors file that carries its own plan.

The plan (what network, how its input is prepared, what it outlines, how it was trained) is JSON in the file's metadata, so the two cannot be parted.
Nothing in it can run code, and a checksum over names, shapes and values tells a damaged copy from a good one.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnwritableFileError
from napari_medseg.segmenters.slices import SIZE
from napari_medseg.segmenters.unet import DROPOUT, WIDTHS, UNet

BASE = Path(__file__).parent / "weights" / "m0.safetensors"
"""The base model M0 that ships with the package."""

FILE = "model.safetensors"
FORMAT = 1
KEY = "medseg"
TODO = "Choose a model that napari-medseg wrote (model.safetensors), or copy it again from the source"


class NetworkPlan(BaseModel):
    """Which network the weights belong to."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["unet2d"] = "unet2d"
    in_channels: int = Field(1, ge=1)
    classes: int = Field(1, ge=1, le=254)
    widths: list[int] = Field(default_factory=lambda: list(WIDTHS), min_length=2)
    dropout: float = Field(DROPOUT, ge=0, lt=1)


class Preprocessing(BaseModel):
    """How its input is made (`segmenters.slices`)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    normalise: Literal["min-max per slice"] = "min-max per slice"
    size: int = Field(SIZE, ge=16)
    slices: Literal["thick axis, display order"] = "thick axis, display order"


class Plan(BaseModel):
    """What a model file says about itself.

    Attributes
    ----------
    format : int
        Of this record; a higher one was written by a newer version.
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
        Of the weights.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    title: str = "U-Net"
    network: NetworkPlan = NetworkPlan()
    preprocessing: Preprocessing = Preprocessing()
    classes: list[str] = Field(default_factory=lambda: ["organ"], min_length=1)
    modalities: list[str] = Field(default_factory=list)
    threshold: float = Field(0.5, ge=0, le=1)
    licence: str = "BSD-3-Clause"
    training: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""


def save_model(folder_or_file: str | Path, network: UNet, plan: dict[str, Any] | None = None) -> Path:
    """Write a network and its plan.

    Parameters
    ----------
    folder_or_file : path
        A name ending in .safetensors, else a folder (made when missing) that gets `model.safetensors`.
    plan : dict, optional
        Any keys of `Plan`; format, network and sha256 are filled in from the network.

    Returns
    -------
    Path
        The file written. What was there before is replaced whole or not at all.

    Raises
    ------
    InvalidInputError
        When the plan does not fit the network or is no JSON.
    UnwritableFileError
        When the disk refuses.
    """
    path = model_file(folder_or_file)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    described = NetworkPlan(in_channels=network.in_channels, classes=network.classes, widths=list(network.widths), dropout=network.dropout)
    facts = {"format": FORMAT, "network": described.model_dump(), "sha256": _checksum(tensors)}
    try:
        whole = Plan.model_validate({**(plan or {}), **facts})
        text = json.dumps(whole.model_dump(), allow_nan=False)
    except (ValidationError, ValueError, TypeError) as error:
        raise InvalidInputError(f"the plan cannot be kept with a model ({_reason(error)})", where=path) from error
    if len(whole.classes) != network.classes:
        raise InvalidInputError(f"names {len(whole.classes)} classes for a network of {network.classes}", where=path, todo="Name each class once")
    _write(path, save_tensors(tensors, metadata={KEY: text}))
    return path


def load_model(path: str | Path) -> tuple[UNet, dict[str, Any]]:
    """Read a network and its plan, ready to predict (eval mode, on the processor).

    Parameters
    ----------
    path : path
        A file, or a folder that holds `model.safetensors`.

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When the file is something else, is cut short or damaged, or its weights do not fit its plan. Nothing in it is ever executed.
    """
    file = model_file(path)
    data = _bytes(file)
    plan = _plan(data, file)
    try:
        tensors = load_tensors(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise SegmenterError("is cut short or damaged", where=file, todo=TODO) from error
    if _checksum(tensors) != plan.sha256:
        raise SegmenterError("is damaged: its weights do not match their checksum", where=file, todo=TODO)
    described = plan.network
    network = UNet(described.in_channels, described.classes, described.widths, described.dropout)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:  # torch's word for missing, unexpected or misshapen weights
        raise SegmenterError("holds weights that do not fit the network it names", where=file, todo=TODO) from error
    return network.eval(), plan.model_dump()


def read_plan(path: str | Path) -> dict[str, Any]:
    """The plan alone, without building the network; raises as `load_model` does."""
    file = model_file(path)
    return _plan(_bytes(file), file).model_dump()


def model_file(folder_or_file: str | Path) -> Path:
    """Where the file lies: a folder holds `model.safetensors`."""
    path = Path(folder_or_file)
    return path if path.is_file() or path.suffix == ".safetensors" else path / FILE


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError("there is no model here", where=file, todo="Choose a folder that a refinement wrote, or a .safetensors file") from error
    except OSError as error:
        raise SegmenterError(f"cannot be read ({error.strerror})", where=file, todo="Check the file's permissions") from error


def _plan(data: bytes, file: Path) -> Plan:
    """Read the header as the format lays it down: 8 bytes of length, then JSON."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length]) if 0 < length <= len(data) - 8 else None
    except (ValueError, RecursionError):  # neither UTF-8 nor JSON, or made to break a parser
        header = None
    if not isinstance(header, dict):
        raise SegmenterError("is no model file, or is cut short", where=file, todo=TODO)
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise SegmenterError("holds weights, but not the plan that says how to use them", where=file, todo=TODO)
    try:
        plan = Plan.model_validate_json(text)
    except ValidationError as error:
        raise SegmenterError(f"holds a plan this version cannot use ({_reason(error)})", where=file, todo="Update napari-medseg or choose another") from error
    if len(plan.classes) != plan.network.classes:
        raise SegmenterError(f"names {len(plan.classes)} classes for {plan.network.classes} maps", where=file, todo=TODO)
    return plan


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'plan'}: {e['msg']}" for e in error.errors())
    return str(error)


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.stem}-{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise UnwritableFileError(f"cannot be written ({error.strerror or error})", where=path, todo="Check the folder's permissions and free space") from error
