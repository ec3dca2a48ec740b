"""A model to keep, to pass on or to run elsewhere: a folder with the weights, their plan, a model card and an entry for a catalogue.

What leaves is about the model alone: names of cases, patients and files of the training stay behind.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError, UnwritableFileError
from napari_medseg.io.atomic import advice, replacing
from napari_medseg.refine.card import model_card
from napari_medseg.segmenters.opening import CLEANUP, SLICES, family
from napari_medseg.segmenters.plan import model_file

FORMATS = ("safetensors", "torchscript", "onnx")
WORDS = frozenset({"recipe", "loss", "title", "sha256", "name", "start", "freeze", "optimiser", "noise", "network", "software"})
"""Facts of a training whose text may leave; numbers always may."""
STAYS = frozenset({"lineage", "labels", "proposals", "worst_case", "volume_worst_case", "seconds_each"})


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes
    ----------
    folder : Path
    files : tuple of Path
    title, licence : str
    """

    folder: Path
    files: tuple[Path, ...]
    title: str
    licence: str


def export_model(
    model: Path | str, folder: Path | str, *, formats: Collection[str] = ("safetensors",), title: str = "", licence: str = "",
    figures: Mapping[str, Any] | None = None,
) -> Exported:
    """Write a model for others.

    Parameters
    ----------
    model : path
        A file, a folder that holds `model.safetensors`, or the folder of a whole run.
    folder : path
        Made when missing; must be empty.
    formats : any of "safetensors", "torchscript", "onnx"
        safetensors with plan, card and catalogue entry are always written.
    title, licence : str
        In place of the model's own.
    figures : mapping, optional
        Further figures for the card, by their name.

    Raises
    ------
    MissingFileError, SegmenterError
        When it is no model.
    InvalidInputError
        When the folder holds something, a format is none of these, or the network finds objects and a format other than safetensors is asked for.
    UnavailableError
        When ONNX is asked for and the packages that write it are missing.
    UnwritableFileError
        When the disk refuses.
    """
    from napari_medseg.segmenters.plan import read_plan
    from napari_medseg.segmenters.portable import WRITERS, portable

    unknown = set(formats) - set(FORMATS)
    if unknown:
        raise InvalidInputError(f"there is no format '{min(unknown)}'", where="format", todo=f"Use {', '.join(FORMATS)}")
    source = model_in_run(Path(model))
    folder = Path(folder)
    kind = plan_kind(source)
    plan = read_plan(source, kind).model_dump(mode="json")
    if set(formats) & {"torchscript", "onnx"}:
        _require_maps(plan, source)
    plan["training"] = shareable(plan["training"])
    plan["title"], plan["licence"] = title or plan["title"], licence or plan["licence"]
    _empty(folder)
    files = [_weights(source, folder, kind, plan)]
    plan = read_plan(files[0], kind).model_dump(mode="json")
    files += [
        _text(folder / "plan.json", json.dumps(plan, indent=2, allow_nan=False) + "\n"),
        _text(folder / "plugins.yaml", _entry(plan)),
    ]
    carried = [name for name in FORMATS if name in formats and name in WRITERS]
    if carried:
        network = portable(files[0])
        files += [WRITERS[name](folder, network) for name in carried]
        files.append(folder / "model.json")
    files.append(_text(folder / "README.md", model_card(plan, [file.name for file in files], figures or {})))
    return Exported(folder, tuple(files), plan["title"], plan["licence"])


def shareable(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What of a training's record may leave: numbers, and words that name no case, patient or file."""
    kept: dict[str, Any] = {}
    for key, value in facts.items():
        if key in STAYS:
            continue
        if isinstance(value, Mapping):
            kept[key] = shareable(value)
        elif isinstance(value, (list, tuple)):
            kept[key] = [shareable(one) if isinstance(one, Mapping) else one for one in value if not isinstance(one, str)]
        elif not isinstance(value, str) or key in WORDS:
            kept[key] = value
    lineage = facts.get("lineage")
    if isinstance(lineage, Mapping) and "voxels" in lineage:
        kept["learnt_from"] = {"cases": len(lineage["labels_sha256"]), "patients": lineage["patients"], "voxels": lineage["voxels"]}
    return kept


def model_in_run(model: Path) -> Path:
    """The model's file; a run's folder holds it in `model`."""
    inside = model / "model"
    return model_file(inside if inside.is_dir() and not model_file(model).is_file() else model)


def plan_kind(source: Path) -> Any:
    """The kind of plan that a model's family has."""
    from napari_medseg.segmenters.plan import Plan

    if family(source) == SLICES:
        return Plan
    from napari_medseg.segmenters.volumetric.plan import VolumetricPlan

    return VolumetricPlan


def _require_maps(plan: Mapping[str, Any], source: Path) -> None:
    """Refuse networks that find objects: a traced one would hold on to the objects of the window it was traced with."""
    entries, network = catalogue.load().entries, plan["network"]
    for part in network.get("parts", [network]):
        entry = entries.get(part.get("name", ""))
        if entry is not None and entry.kind == "network" and entry.capabilities.get("answers") == "objects":
            what = f"holds '{entry.id}', which finds objects and cannot be saved as TorchScript or ONNX"
            raise InvalidInputError(what, where=source, todo="Leave --format out: the folder's model.safetensors is the model")


def _weights(source: Path, folder: Path, kind: Any, plan: dict[str, Any]) -> Path:
    from napari_medseg.segmenters.weights import read_weights, write_weights

    return write_weights(model_file(folder), read_weights(source, plan["sha256"]), kind, plan)


def _entry(plan: Mapping[str, Any]) -> str:
    import yaml

    slug = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in plan["title"].lower()).strip("-") or "model"
    part: dict[str, Any] = {
        "id": f"{slug}-{plan['sha256'][:8]}", "kind": "segmenter", "title": plan["title"], "factory": "napari_medseg.segmenters.opening:open_model",
        "parameters": {"model": "./model.safetensors"}, "capabilities": {"prompts": [], "classes": plan["classes"], "fine_tunable": True},
        "modalities": plan["modalities"], "licence": plan["licence"],
    }
    if plan.get("cleanup") is not None:
        title = "Clean-up that goes with the model"
        part["asks"] = [{"name": CLEANUP, "kind": "choice", "title": title, "choices": ["on", "off"], "default": "on", "required": False}]
    head = "# Set MEDSEG_PLUGINS to this file, or copy the entry into your own plugins.yaml; ./ is the folder of the file that holds it.\n"
    return head + str(yaml.safe_dump({"parts": [part]}, sort_keys=False, allow_unicode=True))


def _empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidInputError("holds something already", where=folder, todo="Give a new or an empty folder")
    except OSError as error:
        raise UnwritableFileError(f"cannot be written ({error.strerror or error})", where=folder, todo=advice(error)) from error


def _text(path: Path, text: str) -> Path:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path
