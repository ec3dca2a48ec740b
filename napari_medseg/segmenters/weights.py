"""Models on disk: one safetensors file that carries its own plan.

The plan (what network, how its input is prepared, what it outlines, how it was trained) is JSON in the file's metadata, so the two cannot be parted.
Nothing in it can run code, and a checksum over names, shapes and values tells a damaged copy from a good one.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from napari_medseg.errors import InvalidInputError, SegmenterError, UnwritableFileError
from napari_medseg.io.atomic import replacing
from napari_medseg.segmenters.networks.pruning.cutting import cut
from napari_medseg.segmenters.plan import BASE, FORMAT, KEY, TODO, NetworkPlan, Plan, model_file, read_plan, reason
from napari_medseg.segmenters.unet import UNet

__all__ = ["BASE", "load_model", "model_file", "read_plan", "save_model"]


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
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    described = NetworkPlan(
        in_channels=network.in_channels, classes=network.classes, widths=list(network.widths), dropout=network.dropout, kept=network.kept,
    )
    return write_weights(model_file(folder_or_file), tensors, Plan, {**(plan or {}), "format": FORMAT, "network": described.model_dump()})


def load_model(path: str | Path) -> tuple[UNet, dict[str, Any]]:
    """Read a network and its plan, ready to predict (eval mode, on the processor).

    Parameters
    ----------
    path : path
        A file, or a folder that holds `model.safetensors`.

    Returns
    -------
    network : UNet
    plan : dict
        The fields of `plan.Plan`.

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When the file is something else, is cut short or damaged, or its weights do not fit its plan. Nothing in it is ever executed.
    """
    file = model_file(path)
    plan = read_plan(file)
    tensors = read_weights(file, plan.sha256)
    described = plan.network
    network = UNet(described.in_channels, described.classes, described.widths, described.dropout)
    try:
        cut(network, described.kept)
        network.load_state_dict(tensors)
    except RuntimeError as error:  # torch's word for missing, unexpected or misshapen weights
        raise SegmenterError("holds weights that do not fit the network it names", where=file, todo=TODO) from error
    return network.eval(), plan.model_dump()


def write_weights(path: Path, tensors: dict[str, Tensor], kind: type[BaseModel], plan: dict[str, Any]) -> Path:
    """Write tensors with a plan of this kind, their checksum filled in.

    Parameters
    ----------
    tensors : by name, of any shape
        Contiguous, on the processor.

    Raises
    ------
    InvalidInputError
        When the plan cannot be kept with the network.
    UnwritableFileError
        When the disk refuses.
    """
    try:
        whole = kind.model_validate({**plan, "sha256": _checksum(tensors)})
        text = json.dumps(whole.model_dump(), allow_nan=False)
    except (ValidationError, ValueError, TypeError) as error:
        raise InvalidInputError(f"the plan cannot be kept with this network ({reason(error)})", where=path) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFileError(f"cannot be written ({error.strerror})", where=path, todo="Choose another folder, or check its permissions") from error
    with replacing(path) as part:
        part.write_bytes(save_tensors(tensors, metadata={KEY: text}))
    return path


def read_weights(file: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a file; raises `SegmenterError` when it is cut short or their checksum is another."""
    try:
        tensors: dict[str, Tensor] = load_tensors(file.read_bytes())
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise SegmenterError("is cut short or damaged", where=file, todo=TODO) from error
    if _checksum(tensors) != sha256:
        raise SegmenterError("is damaged: its weights do not match their checksum", where=file, todo=TODO)
    return tensors


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
