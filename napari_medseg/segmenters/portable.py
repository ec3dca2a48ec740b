"""Our models for other programs: the network alone as TorchScript or ONNX, and beside it what it wants to see and what its answer means.

The description is the one that `engines.description` reads, so both open here too, with the same answer.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import MedsegError, SegmenterError, UnavailableError, UnwritableFileError
from napari_medseg.io.atomic import replacing
from napari_medseg.segmenters.engines.description import Description, Input, Intensity, Output
from napari_medseg.segmenters.opening import SLICES, family

SAME = 1e-4
"""Most by which an exported network's answers may differ from ours."""
OPSET = 18
NEEDED = {"onnx": "onnx>=1.17", "onnxscript": "onnxscript>=0.5"}


@dataclass(frozen=True, slots=True, eq=False)
class Portable:
    """A network that needs nothing of this package.

    Attributes
    ----------
    network : Module
        Windows (n, channels, *window) to logits (n, maps, *window); in eval mode, on the processor.
    description : Description
    """

    network: nn.Module
    description: Description

    @property
    def example(self) -> Tensor:
        """Two windows (2, channels, *window) that are not all the same."""
        wanted = self.description.input
        return torch.randn((2, wanted.channels, *wanted.size[3 - wanted.dims :]), generator=torch.Generator().manual_seed(0))


def portable(model: Path) -> Portable:
    """A model's network with its description.

    Raises
    ------
    MissingFileError, SegmenterError
        When it is no model.
    """
    return _slices(model) if family(model) == SLICES else _volumetric(model)


def write_torchscript(folder: Path, model: Portable) -> Path:
    """Write `model.pt` and its description; gives the file.

    Raises
    ------
    SegmenterError
        When the network cannot be traced, or answers otherwise afterwards.
    UnwritableFileError
        When the disk refuses.
    """
    example = model.example
    with _unheard(), torch.no_grad():
        try:
            traced = torch.jit.trace(model.network, example, check_trace=False)  # type: ignore[no-untyped-call]
            _require_same(model, lambda windows: traced(windows), "TorchScript")
        except (RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, MedsegError):
                raise
            raise _refused("TorchScript", error) from error
        with replacing(folder / "model.pt") as part:
            torch.jit.save(traced, part)
    _describe(folder, model.description)
    return folder / "model.pt"


def write_onnx(folder: Path, model: Portable) -> Path:
    """Write `model.onnx` and its description; gives the file.

    Raises
    ------
    UnavailableError
        When the packages that torch exports with are missing.
    SegmenterError, UnwritableFileError
        As `write_torchscript` does.
    """
    missing = [requirement for module, requirement in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise UnavailableError("saving as ONNX needs two more packages", where="ONNX", todo=install_hint(missing))
    with replacing(folder / "model.onnx") as part, _unheard(), torch.no_grad():
        try:
            torch.onnx.export(
                model.network, (model.example,), part, dynamo=True, external_data=False, verbose=False, opset_version=OPSET, input_names=["scan"],
                output_names=["maps"], dynamic_shapes=({0: torch.export.Dim("windows", min=1)},),
            )
        except (RuntimeError, TypeError, ValueError) as error:  # torch.onnx's own are RuntimeErrors
            raise _refused("ONNX", error) from error
    _describe(folder, model.description)
    return folder / "model.onnx"


WRITERS: dict[str, Callable[[Path, Portable], Path]] = {"torchscript": write_torchscript, "onnx": write_onnx}


class _WithBackground(nn.Module):
    """Logits against a background of 0, with that background as their first map, as a softmax wants them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: Tensor) -> Tensor:
        maps = self.network(windows)
        return torch.cat([torch.zeros_like(maps[:, :1]), maps], dim=1)


def _slices(model: Path) -> Portable:
    from napari_medseg.segmenters.weights import load_model

    network, plan = load_model(model)
    side = plan["preprocessing"]["size"]
    wanted = Input(
        dims=2, channels=network.in_channels, window=(side, side), fit="resize", slices="thick", batch=16, intensity=Intensity(kind="min-max", per="slice"),
    )
    given = Output(classes=tuple(plan["classes"]), activation="sigmoid", threshold=plan["threshold"], brought_back="logits")
    return Portable(network.eval(), Description(input=wanted, output=given, **_told(plan)))


def _volumetric(model: Path) -> Portable:
    from napari_medseg.segmenters.volumetric.fingerprint import SHARES
    from napari_medseg.segmenters.volumetric.model import OVERLAP, load_volumetric

    loaded = load_volumetric(model, "cpu")
    plan = loaded.described
    facts = plan.fingerprint.channels[0]
    several = len(plan.classes) > 1
    if plan.fingerprint.normalise == "set" and len(plan.fingerprint.channels) > 1:
        raise SegmenterError(
            "is trained on several channels that are each scaled in their own way, which no description says", where=model, todo="Use model.safetensors",
        )
    scaled = Intensity(kind="z-score", within=(SHARES[0] / 5, 100 - SHARES[0] / 5))
    if plan.fingerprint.normalise == "set":
        scaled = Intensity(kind="z-score", low=facts.low, high=facts.high, mean=facts.mean, std=facts.sd)
    wanted = Input(
        dims=3, channels=plan.network.in_channels, window=plan.patch, spacing=plan.spacing, orientation="LPI", intensity=scaled, overlap=OVERLAP,
    )
    given = Output(
        classes=tuple(plan.classes), background=several, activation="softmax" if several else "sigmoid", threshold=plan.threshold, brought_back="logits",
    )
    network = _WithBackground(loaded.network) if several else loaded.network
    return Portable(network.eval(), Description(input=wanted, output=given, **_told(plan.model_dump())))


def _told(plan: dict[str, Any]) -> dict[str, Any]:
    return {"title": plan["title"], "licence": plan["licence"], "modalities": tuple(plan["modalities"])}


def _describe(folder: Path, description: Description) -> None:
    with replacing(folder / "model.json") as part:
        part.write_text(json.dumps(description.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")


def _require_same(model: Portable, answer: Callable[[Tensor], Tensor], what: str) -> None:
    windows = model.example[:1]  # another number of windows than it was traced with
    difference = float((model.network(windows).sigmoid() - answer(windows).sigmoid()).abs().max())
    if not difference <= SAME:
        raise SegmenterError(f"answers otherwise as {what} (by {difference:.2g})", where="export", todo="Use model.safetensors")


def _refused(what: str, error: Exception) -> SegmenterError:
    detail = " ".join(str(error).split())[:200]
    return SegmenterError(f"this network cannot be saved as {what} ({detail})", where="export", todo="Use model.safetensors")


@contextmanager
def _unheard() -> Iterator[None]:
    """Leave out what torch tells its developers while it exports."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OSError as error:
        if isinstance(error, MedsegError):
            raise
        raise UnwritableFileError(f"could not be written ({error.strerror or error})", where="export", todo="Make space on the disk") from error
    finally:
        logger.setLevel(before)
