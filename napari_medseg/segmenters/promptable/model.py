"""The promptable network on disk: one safetensors file that carries its own plan, as every model of ours (`segmenters.weights`).

Weights are kept in half precision: a third decimal of an answer is not worth twice the size. The plan names the channels the network was trained on, so
that a network of another version is refused rather than fed what it does not know.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.plan import TODO, read_plan
from napari_medseg.segmenters.promptable.encode import CHANNELS, WINDOW
from napari_medseg.segmenters.promptable.network import WIDTHS, PromptableNet
from napari_medseg.segmenters.weights import read_weights, write_weights

SHIPPED = Path(__file__).parents[1] / "weights" / "promptable.safetensors"
"""The weights that come with the package."""


class PromptableNetwork(BaseModel):
    """The arguments of `network.PromptableNet`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["promptable"] = "promptable"
    in_channels: int = Field(ge=1)
    widths: list[int] = Field(default_factory=lambda: list(WIDTHS), min_length=2)


class PromptablePlan(BaseModel):
    """What the file says about itself.

    Attributes
    ----------
    channels : list of str
        What the network was trained to see, in order (`encode.CHANNELS`).
    window : int
        Voxels a side it was trained on.
    training : dict
        The training record; any JSON.
    sha256 : str
        Of the weights as kept: names, dtypes, shapes and values.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    title: str = "Promptable network"
    network: PromptableNetwork
    channels: list[str] = Field(default_factory=lambda: list(CHANNELS))
    window: int = Field(default=WINDOW, ge=8)
    licence: str = "BSD-3-Clause"
    training: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""


def save_promptable(path: str | Path, network: PromptableNet, plan: dict[str, Any] | None = None) -> Path:
    """Write a network and its plan.

    Parameters
    ----------
    path : path
        A name ending in .safetensors.
    network : PromptableNet
    plan : dict, optional
        Any keys of `PromptablePlan`; network and sha256 are filled in.

    Raises
    ------
    InvalidInputError
        When the plan is none, or is no JSON.
    UnwritableFileError
        When the disk refuses.
    """
    tensors = {name: value.detach().cpu().to(torch.float16).contiguous() for name, value in network.state_dict().items()}
    described = PromptableNetwork(in_channels=network.in_channels, widths=list(network.widths))
    return write_weights(Path(path), tensors, PromptablePlan, {**(plan or {}), "network": described.model_dump()})


def load_promptable(path: str | Path = SHIPPED) -> tuple[PromptableNet, dict[str, Any]]:
    """Read a network and its plan, ready to answer (eval mode, single precision, on the processor).

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When the file is something else, is cut short or damaged, was trained on other channels, or its weights do not fit its plan. Nothing in it is ever
        executed.
    """
    file = Path(path)
    plan = read_plan(file, PromptablePlan)
    if tuple(plan.channels) != CHANNELS:
        raise SegmenterError("was trained on other channels than this version makes of an image and its prompts", where=file, todo=TODO)
    tensors = read_weights(file, plan.sha256)
    try:
        network = PromptableNet(plan.network.in_channels, plan.network.widths)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (InvalidInputError, RuntimeError) as error:  # RuntimeError: torch's word for missing, unexpected or misshapen weights
        raise SegmenterError("holds weights that do not fit the network it names", where=file, todo=TODO) from error
    return network.eval(), plan.model_dump()
