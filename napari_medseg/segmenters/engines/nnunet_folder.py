"""What an nnU-Net v2 trained-model folder says of itself, read and checked before the library sees it.

Such a folder holds dataset.json, plans.json and fold_0/checkpoint_final.pth, fold_1/... Its plans name classes that nnU-Net imports and calls, so only
names of nnU-Net's and torch's own parts are let through. (Isensee et al., Nature Methods 2021; the layout is that of nnunetv2 2.0 and newer.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnreadableFileError
from napari_medseg.volume import Spacing

TODO = "Choose the folder with dataset.json, plans.json and fold_0, fold_1, ... in it"
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
LARGEST = 64 << 20  # bytes; plans keep the fingerprint of every training case
OWN_PARTS = {
    "preprocessor_name": r"\w*Preprocessor\w*", "resampling_fn_data": r"(no_)?resampl\w+", "resampling_fn_seg": r"(no_)?resampl\w+",
    "resampling_fn_probabilities": r"(no_)?resampl\w+", "normalization_schemes": r"\w*Normalization\w*", "label_manager": r"\w*LabelManager\w*",
    "network_class_name": r"dynamic_network_architectures\.architectures\.\w+\.[A-Z]\w*", "UNet_class_name": r"[A-Z]\w*UNet",
}
LAYERS = re.compile(r"torch\.nn\.(modules\.\w+\.)?[A-Z]\w*|dynamic_network_architectures\.building_blocks\.\w+\.[A-Z]\w*")
MODALITIES = {"CT": "CT", "MRI": "MR", "MR": "MR", "T1": "MR", "T2": "MR", "FLAIR": "MR", "PET": "PT"}


@dataclass(frozen=True)
class ModelFolder:
    """A trained model.

    Attributes
    ----------
    path : Path
    dataset, plans : dict
        The two JSON files.
    configuration : str
        "3d_fullres", "2d", ...
    folds : tuple of Path
        Checkpoints, one a fold, in order.
    classes : tuple of str
        By label value; for regions in the order in which later ones overrule earlier ones.
    regions : bool
        Whether classes may lie inside each other.
    """

    path: Path
    dataset: dict[str, Any]
    plans: dict[str, Any]
    configuration: str
    folds: tuple[Path, ...]
    classes: tuple[str, ...]
    regions: bool

    @property
    def channels(self) -> int:
        """Values a voxel of its input has."""
        return len(_channel_names(self.dataset))

    @property
    def modalities(self) -> frozenset[str]:
        """From the names of its channels, where all of them say it."""
        names = [str(name).upper().split("_")[0].split(" ")[0] for name in _channel_names(self.dataset).values()]
        return frozenset(MODALITIES[name] for name in names) if all(name in MODALITIES for name in names) else frozenset()

    @property
    def dims(self) -> int:
        """2 for a configuration of slices."""
        return len(_configuration(self.plans, self.configuration).get("patch_size", (0, 0, 0)))

    @property
    def spacing(self) -> Spacing | None:
        """What it resamples to, as z, y, x; None for slices, whose distance it keeps."""
        given, back = _configuration(self.plans, self.configuration).get("spacing", ()), self.plans.get("transpose_backward", [0, 1, 2])
        return (float(given[back[0]]), float(given[back[1]]), float(given[back[2]])) if len(given) == 3 else None


def read_folder(folder: str | Path, folds: str = "all") -> ModelFolder:
    """Read and check a trained-model folder, without its weights.

    Parameters
    ----------
    folder : path
        The folder with plans.json, or one that holds exactly one such folder.
    folds : str
        "all", or numbers with commas: "0" or "0,1".

    Raises
    ------
    MissingFileError, UnreadableFileError
        When it is no such folder, or a fold is not there.
    InvalidInputError, SegmenterError
        When a file says what cannot be used, or names code that is not nnU-Net's own.
    """
    path = _where_plans_are(Path(folder))
    dataset, plans = _json(path / "dataset.json"), _json(path / "plans.json")
    configurations = plans.get("configurations")
    if not isinstance(configurations, dict) or not all(isinstance(inner, dict) for inner in configurations.values()) or not configurations:
        raise UnreadableFileError("holds no configurations", where=path / "plans.json", todo=TODO)
    named = path.name.rpartition("__")[2]
    name = named if named in configurations else "3d_fullres" if "3d_fullres" in configurations else next(iter(configurations))
    check_parts(plans, path)
    classes, regions = _classes(dataset, path)
    found = ModelFolder(path, dataset, plans, name, tuple(_folds(path, folds)), classes, regions)
    if _configuration(plans, name).get("previous_stage"):
        todo = "Choose a 3d_fullres, 3d_lowres or 2d model"
        raise InvalidInputError("is the second stage of a cascade, which needs the first one's answer", where=path, todo=todo)
    if not 1 <= found.channels <= 64 or found.dims not in (2, 3):
        raise UnreadableFileError("does not say its channels or its patch size", where=path, todo=TODO)
    return found


def check_parts(plans: dict[str, Any], where: Path) -> None:
    """Refuse plans that name anything but nnU-Net's own parts and torch's layers.

    Raises
    ------
    SegmenterError
        Names the field and what it asks for.
    """
    for field, value in _named(plans):
        key = field.rpartition(".")[2]
        if key in OWN_PARTS and not re.fullmatch(OWN_PARTS[key], str(value)):
            raise SegmenterError(f"is refused: `{field}` in plans.json names {str(value)[:80]}, which is no part of nnU-Net", where=where, todo=TODO)
        if key == "_kw_requires_import":
            raise SegmenterError(f"is refused: `{field}` in plans.json names {str(value)[:80]}, which is no layer of torch", where=where, todo=TODO)


def _named(content: Any, field: str = "plans") -> Iterator[tuple[str, Any]]:
    """Every field of the plans that names code, with its value; of the layers to import only those that are none."""
    if isinstance(content, list):
        for inner in content:
            yield from _named(inner, field)
    if not isinstance(content, dict):
        return
    for key, inner in content.items():
        if key in OWN_PARTS and inner is not None:
            yield from ((f"{field}.{key}", one) for one in (inner if isinstance(inner, list) else [inner]))
        if key == "_kw_requires_import":
            arguments = content.get("arch_kwargs")
            names = inner if isinstance(inner, list) else [inner]
            values = [arguments.get(name) if isinstance(arguments, dict) else name for name in map(str, names)]
            yield from ((f"{field}.{key}", one) for one in values if one is not None and not (isinstance(one, str) and LAYERS.fullmatch(one)))
        yield from _named(inner, f"{field}.{key}")


def _where_plans_are(folder: Path) -> Path:
    if not folder.is_dir():
        raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
    if (folder / "plans.json").is_file():
        return folder
    inside = sorted(file.parent for file in folder.glob("*/plans.json"))
    if len(inside) == 1:
        return inside[0]
    what = f"holds several models: {', '.join(p.name for p in inside)}" if inside else "is no trained nnU-Net v2 model: it holds no plans.json"
    raise MissingFileError(what, where=folder, todo="Choose one of them" if inside else TODO)


def _json(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError("too long")  # noqa: TRY301 - one place says what is wrong with the file
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError("is missing from the model", where=file, todo=TODO) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableFileError(f"cannot be read ({' '.join(str(error).split())[:100]})", where=file, todo="Copy the model again") from error
    if not isinstance(content, dict):
        raise UnreadableFileError("holds no named fields", where=file, todo="Copy the model again")
    return content


def _configuration(plans: dict[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits."""
    found: dict[str, Any] = {}
    for _ in range(8):
        own = plans["configurations"].get(name, {})
        found = {**own, **found}
        name = own.get("inherits_from", "")
        if not name:
            break
    return found


def _channel_names(dataset: dict[str, Any]) -> dict[str, Any]:
    names = dataset.get("channel_names", dataset.get("modality"))
    return names if isinstance(names, dict) else {}


def _classes(dataset: dict[str, Any], path: Path) -> tuple[tuple[str, ...], bool]:
    labels = dataset.get("labels")
    labels = {name: value for name, value in labels.items() if name != "ignore"} if isinstance(labels, dict) else {}
    if "background" not in labels or len(labels) < 2:
        raise UnreadableFileError("does not say its labels", where=path / "dataset.json", todo=TODO)
    regions = any(isinstance(value, list) and len(value) > 1 for value in labels.values())
    names = [name for name, value in labels.items() if value not in (0, [0]) and name != "background"]
    if not regions:
        values = {name: value[0] if isinstance(value, list) else value for name, value in labels.items()}
        if sorted(values.values()) != list(range(len(values))):
            raise InvalidInputError("has labels that are not 0, 1, 2, ...", where=path / "dataset.json", todo=TODO)
        names = sorted(names, key=lambda name: int(values[name]))
    if len(names) > 254:
        raise InvalidInputError(f"has {len(names)} classes, more than a label map holds (254)", where=path / "dataset.json", todo="Use a model with fewer")
    return tuple(names), regions


def _folds(path: Path, wanted: str) -> Iterator[Path]:
    there = {file.name.removeprefix("fold_"): file for file in sorted(path.glob("fold_*")) if any((file / name).is_file() for name in CHECKPOINTS)}
    if not there:
        raise MissingFileError("holds no fold with a checkpoint_final.pth", where=path, todo=TODO)
    numbered = [name for name in there if name != "all"] or list(there)
    for name in numbered if wanted == "all" else [part.strip() for part in wanted.split(",")]:
        if name not in there:
            raise MissingFileError(f"holds no fold {name}", where=path, todo=f"Choose from: {', '.join(there)}")
        yield next(there[name] / file for file in CHECKPOINTS if (there[name] / file).is_file())
