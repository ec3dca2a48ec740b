"""Weights that travel instead of scans: sites train one base on their own cases, send what changed, and the mean of it is the next base.

A change is a safetensors file of the weights that differ from the base (frozen parts do not travel), each as it is now, so that putting them into the base
gives the trained model back bit by bit. With it go the base's checksum, how many cases were learnt from and the plan without any name (`export.shareable`).
Merging is the mean weighted by cases (FedAvg: McMahan et al., AISTATS 2017); `proximal` of the recipe keeps sites closer together (FedProx).

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError
from napari_medseg.refine.export import model_in_run, plan_kind, shareable
from napari_medseg.segmenters.plan import FORMAT, read_plan
from napari_medseg.segmenters.weights import model_file, read_weights, write_weights

MAY_DIFFER = frozenset({"title", "classes", "modalities", "licence", "threshold", "offsets", "training", "sha256"})
"""What of two plans may differ for the same network that sees scans the same way."""
CHOOSE = "Choose a file that `medseg exchange export` wrote, or ask the site for it again"


class ChangePlan(BaseModel):
    """What the file of a change says about itself.

    Attributes
    ----------
    base : str
        Checksum of the base's weights.
    samples : int
        Cases that were learnt from.
    model : dict
        Plan of the trained model, without names.
    sha256 : str
        Of the weights that changed.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    kind: Literal["change"] = "change"
    base: str = Field(pattern=r"^[0-9a-f]{64}$")
    samples: int = Field(ge=1, le=10**9)
    model: dict[str, Any]
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """What leaves a site.

    Attributes
    ----------
    file : Path
    base : str
        Checksum of the base's weights.
    samples : int
    changed, arrays : int
        Weight arrays in the file, and in the whole model.
    megabytes : float
    """

    file: Path
    base: str
    samples: int
    changed: int
    arrays: int
    megabytes: float


@dataclass(frozen=True, slots=True)
class Merged:
    """The next base.

    Attributes
    ----------
    file : Path
    sha256 : str
        Of its weights; what the next changes must name as their base.
    samples : tuple of int
        Of each change, in the order given.
    """

    file: Path
    sha256: str
    samples: tuple[int, ...]


def export_change(model: Path | str, base: Path | str, file: Path | str, *, samples: int | None = None) -> Exported:
    """Write what a training changed of its base.

    Parameters
    ----------
    model, base : path
        A model file, a folder that holds one, or the folder of a run.
    file : path
        Ending in .safetensors.
    samples : int, optional
        Cases that were learnt from; else as the model's record of its training says.

    Raises
    ------
    InvalidInputError
        When model and base are not the same network, nothing changed, weights are no numbers, or nobody says how many cases were learnt from.
    MissingFileError, SegmenterError
        When one of them is missing, damaged or no model.
    UnwritableFileError
        When the disk refuses.
    """
    file = _writable(Path(file), model, base)
    trained, start = _read(model), _read(base)
    _require_same(trained.plan, start.plan, trained.source)
    _require_fitting(trained.weights, start.weights, trained.source, whole=True)
    changed = {name: value for name, value in trained.weights.items() if not torch.equal(value, start.weights[name])}
    if not changed:
        raise InvalidInputError("is its base itself: nothing was learnt", where=trained.source, todo="Give the model that the training wrote")
    training = shareable(trained.plan["training"])
    count = samples if samples is not None else (training.get("learnt_from") or {}).get("cases")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InvalidInputError("does not say from how many cases it learnt", where=trained.source, todo="Say it with --samples, 1 or more")
    plan = {"base": start.plan["sha256"], "samples": count, "model": {**trained.plan, "training": training}}
    write_weights(file, changed, ChangePlan, plan)
    return Exported(file, start.plan["sha256"], count, len(changed), len(trained.weights), file.stat().st_size / 1e6)


def apply_change(change: Path | str, base: Path | str, model: Path | str) -> Path:
    """The trained model again, bit by bit, from its change and its base; returns its file.

    Raises
    ------
    InvalidInputError
        When the change is of another base or another network, or holds weights that are no numbers.
    MissingFileError, SegmenterError
        When a file is missing, damaged or something else.
    UnwritableFileError
        When the disk refuses.
    """
    file = _writable(model_file(model), change, base)
    start = _read(base)
    plan, weights = _change(Path(change), start)
    return write_weights(file, {**start.weights, **weights}, start.kind, {**plan.model, "format": FORMAT})


def merge_changes(changes: Sequence[Path | str], base: Path | str, model: Path | str) -> Merged:
    """The mean of several sites' models, each as often as it has cases.

    Weights that a site did not change count as the base's for it. Calibration (`offsets`) is averaged with the weights; all else is the base's.

    Parameters
    ----------
    changes : sequence of path
    base : path
        What all of them were trained from.
    model : path
        A file or a folder for the merged model.

    Raises
    ------
    InvalidInputError
        When there is none, one is given twice, is of another base or another network, or holds weights that are no numbers.
    MissingFileError, SegmenterError
        When a file is missing, damaged or something else.
    UnwritableFileError
        When the disk refuses.
    """
    if not changes:
        raise InvalidInputError("there is nothing to merge", where="changes", todo="Give one file for each site")
    file = _writable(model_file(model), base, *changes)
    start = _read(base)
    plans = [_change(Path(change), start)[0] for change in changes]
    for number, plan in enumerate(plans):
        if any(plan.sha256 == other.sha256 for other in plans[:number]):
            raise InvalidInputError("is given twice", where=changes[number], todo="Give each site's change once")
    total = sum(plan.samples for plan in plans)
    means = {name: torch.zeros(value.shape, dtype=torch.float64) for name, value in start.weights.items()}
    for change, plan in zip(changes, plans, strict=True):
        weights = _change(Path(change), start)[1]
        for name, mean in means.items():
            mean += plan.samples / total * weights.get(name, start.weights[name]).double()
    merged = {name: _as(mean, start.weights[name].dtype) for name, mean in means.items()}
    facts = {"merged": {"sites": len(plans), "samples": [plan.samples for plan in plans], "base": start.plan["sha256"]}, "learnt_from": {"cases": total}}
    written = {**start.plan, "training": {**facts, "base": {"title": start.plan["title"]}}, "format": FORMAT}
    if "offsets" in written:
        written["offsets"] = [sum(plan.samples / total * plan.model["offsets"][c] for plan in plans) for c in range(len(written["offsets"]))]
    write_weights(file, merged, start.kind, written)
    return Merged(file, read_plan(file, start.kind).sha256, tuple(plan.samples for plan in plans))


@dataclass(frozen=True, slots=True)
class _Model:
    source: Path
    kind: Any
    plan: dict[str, Any]
    weights: dict[str, Tensor]


def _read(model: Path | str) -> _Model:
    source = model_in_run(Path(model))
    kind = plan_kind(source)
    plan = read_plan(source, kind)
    return _Model(source, kind, plan.model_dump(mode="json"), read_weights(source, plan.sha256))


def _change(file: Path, base: _Model) -> tuple[ChangePlan, dict[str, Tensor]]:
    """A change that fits this base."""
    if not file.is_file():
        raise MissingFileError("there is no such file", where=file, todo=CHOOSE)
    try:
        plan: ChangePlan = read_plan(file, ChangePlan)
        weights = read_weights(file, plan.sha256)
    except SegmenterError as error:
        known = error.what if "damaged" in error.what or "cut short" in error.what else "is no change of weights"
        raise SegmenterError(known, where=file, todo=CHOOSE) from error
    if plan.base != base.plan["sha256"]:
        what = f"was trained from another base ({plan.base[:8]}, not {base.plan['sha256'][:8]})"
        raise InvalidInputError(what, where=file, todo="Give the base that this site began from")
    try:
        described = base.kind.model_validate({**plan.model, "sha256": ""}).model_dump(mode="json")
    except ValueError as error:
        raise InvalidInputError("is of another kind of network than the base", where=file, todo="Give the base that this site began from") from error
    _require_same(described, base.plan, file)
    _require_fitting(weights, base.weights, file, whole=False)
    return plan, weights


def _require_same(plan: Mapping[str, Any], base: Mapping[str, Any], where: Path) -> None:
    other = [name for name in base if name not in MAY_DIFFER and plan.get(name) != base[name]]
    if other == ["network"]:
        mine, theirs = (facts["network"].get("members", 1) for facts in (plan, base))
        if mine != theirs:
            todo = f"Train with --set folds={theirs}, or begin from a base that was"
            raise InvalidInputError(f"holds {mine} networks and the base {theirs}", where=where, todo=todo)
    if other:
        todo = "Train from the base with the same recipe and classes"
        raise InvalidInputError(f"is not the same network as the base (it differs in {', '.join(other)})", where=where, todo=todo)


def _require_fitting(weights: Mapping[str, Tensor], base: Mapping[str, Tensor], where: Path, *, whole: bool) -> None:
    strange = sorted(n for n, value in weights.items() if n not in base or value.shape != base[n].shape or value.dtype != base[n].dtype)
    if strange:
        raise InvalidInputError(f"holds weights that the base does not have ({strange[0]})", where=where, todo="Give the base that this site began from")
    for name, value in weights.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InvalidInputError(f"holds weights that are no numbers ({name})", where=where, todo="Train again; this model is of no use")
    if whole and len(weights) != len(base):
        missing = min(set(base) - set(weights))
        raise InvalidInputError(f"lacks weights that the base has ({missing})", where=where, todo="Give the base that this model began from")


def _as(mean: Tensor, dtype: torch.dtype) -> Tensor:
    return mean.to(dtype) if dtype.is_floating_point else mean.round().to(dtype)


def _writable(file: Path, *sources: Path | str) -> Path:
    if file.suffix != ".safetensors":
        raise InvalidInputError("must end in .safetensors", where=file, todo="Give such a name")
    if file.exists() and any(path.exists() and path.samefile(file) for path in (model_in_run(Path(source)) for source in sources)):
        raise InvalidInputError("would overwrite what it is made from", where=file, todo="Give another name")
    return file
