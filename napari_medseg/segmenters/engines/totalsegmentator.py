"""TotalSegmentator: whole-body models of CT and MR, through nnU-Net (Wasserthal et al., Radiology: AI 2023).

What a task is called, which models it needs, at what spacing they work and what their labels mean stands in the package `TotalSegmentator`; its models are
nnU-Net folders and run as such. Weights are looked for where that program keeps its own, and fetched there when a person says so.
Tasks that first crop to an organ are left out: that needs another task's answer before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import InvalidInputError, SegmenterError, UnavailableError
from napari_medseg.segmenters.downloads import Download, fetch, unpack
from napari_medseg.segmenters.engines.exclusive import decided
from napari_medseg.segmenters.engines.nnunet import NnunetSegmenter
from napari_medseg.segmenters.protocol import Capabilities, Focus, Prediction
from napari_medseg.volume import FloatArray, Shape, Spacing, Volume, axis_map
from napari_medseg.volume.resample import respaced

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts

REQUIREMENT = "TotalSegmentator>=2.18"
RELEASES = "https://github.com/wasserth/TotalSegmentator/releases/download"
OPEN, CLOSED = "Apache-2.0", "TotalSegmentator: free for non-commercial use, with a licence number"
LARGEST = 4 << 30  # bytes a model may unpack to
SLAB = 8 << 20  # probabilities that come back at once
Answer = tuple[list[int], FloatArray]
"""Places of classes, and their maps with one of all other classes last."""
CLOSED_TODO = "Ask its authors for a licence number, fetch it with the program totalseg_download_weights, and run this again"


@dataclass(frozen=True)
class Part:
    """One model of a task.

    Attributes
    ----------
    folder : Path
        Where its weights lie, or would.
    model : str
        Name of the trained-model folder in it.
    classes : tuple of str
        In the order of its labels.
    download : Download or None
        None for weights that need a licence number.
    """

    folder: Path
    model: str
    classes: tuple[str, ...]
    download: Download | None


class TotalSegmentator:
    """A task of TotalSegmentator as a segmenter.

    Parameters
    ----------
    task : str
        Its name, with " fast" (3 mm; body: 6 mm) or " fastest" (6 mm) where the task has such models: "total fast".
    classes : str
        Names with commas: only these are given back, which saves memory; empty for all.
    download : bool, optional
        Whether missing weights may be fetched.

    Raises
    ------
    InvalidInputError
        When there is no such task or class.
    UnavailableError
        When the package is not installed.
    """

    def __init__(self, task: str = "total fast", classes: str = "", download: bool | None = None) -> None:
        self.task, self._may_fetch = task, bool(download)
        self.spacing, self.parts, self._names, self.licence = task_parts(task)
        wanted = [name.strip() for name in classes.split(",") if name.strip()]
        unknown = sorted(set(wanted) - set(self._names))
        if unknown:
            raise InvalidInputError(f"does not outline {', '.join(unknown)}", where=f"TotalSegmentator {task}", todo=f"It outlines: {', '.join(self._names)}")
        self.classes = tuple(name for name in self._names if not wanted or name in wanted)
        self.title = f"TotalSegmentator: {task}"
        self._models: dict[str, NnunetSegmenter] = {}

    @property
    def capabilities(self) -> Capabilities:
        """From the task."""
        modality = "MR" if self.task.split(" ")[0].endswith("_mr") else "CT"
        return Capabilities(classes=self.classes, licence=self.licence, dims=3, modalities=frozenset({modality}), spacing=self.spacing)

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume; see `protocol.Segmenter`. The models work one after another on their own spacing; then slabs come, the one in view first."""
        if volume.channels != 1:
            found = f"has {volume.channels} channels, {self.title} takes 1"
            raise InvalidInputError(found, where=volume.name or "volume", todo="Choose one channel of the scan")
        yield from self._weights()
        turn = axis_map(volume.geometry, "RAS")
        grid = turn.geometry(volume.geometry)
        work = grid if self.spacing is None else respaced(grid, self.spacing)
        image = np.nan_to_num(turn.apply(volume.channel()).astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        small = Volume(_cubic(image, work.shape), work, modality=volume.modality)
        needed = [part for part in self.parts if set(part.classes) & set(self.classes)]
        answers: list[Answer] = []
        for place, part in enumerate(needed):
            found_last: Prediction | None = None
            for found_last in self._model(part).predict(small, device=device):
                share = (place + (found_last.fraction or 0)) / len(needed)
                told = found_last.message + (f", model {place + 1} of {len(needed)}" if len(needed) > 1 else "")
                yield self._progress(0.9 * share, told)
            if found_last is not None:
                answers.append(self._chosen(part, found_last.probabilities))
        yield from self._slabs(answers, volume, focus)

    def release(self) -> None:
        """Give the networks' memory back; the next scan loads them again."""
        for model in self._models.values():
            model.release()

    def _chosen(self, part: Part, maps: FloatArray) -> Answer:
        """Of one model's maps those that are wanted, then what all others have together, so that the background can still be told."""
        wanted = [label for label, name in enumerate(part.classes) if name in self.classes]
        others = maps.sum(axis=0, keepdims=True) - maps[wanted].sum(axis=0, keepdims=True)
        return [self.classes.index(part.classes[label]) for label in wanted], np.concatenate([maps[wanted], others])

    def _slabs(self, answers: list[Answer], volume: Volume, focus: Focus) -> Iterator[Prediction]:
        """The answers on the scan's grid, a few slices at a time, from the one in view outwards."""
        turn = axis_map(volume.geometry, "RAS")
        whole = turn.geometry(volume.geometry).shape
        z, y, x = volume.geometry.shape
        index = focus() if callable(focus) else focus
        thick = max(1, SLAB // max(1, len(self.classes) * y * x))
        middle = min(max(z // 2 if index is None else index, 0), z - 1)
        starts = sorted(range(0, z, thick), key=lambda start: abs(start + (thick - 1) / 2 - middle))
        axis = turn.order.index(0)  # of the turned grid, along which the file's slices lie
        for done, start in enumerate(starts, start=1):
            stop = min(z, start + thick)
            part = slice(z - stop, z - start) if turn.flipped[axis] else slice(start, stop)
            slab = np.zeros((len(self.classes), *(part.stop - part.start if a == axis else n for a, n in enumerate(whole))), dtype=np.float32)
            for places, maps in answers:
                slab[places] = decided(np.clip(_sampled(maps, axis, part, whole), 0, 1))[:-1]
            yield Prediction((slice(start, stop), slice(0, y), slice(0, x)), turn.undo(slab), 0.9 + 0.1 * done / len(starts), "Outlined")

    def _weights(self) -> Iterator[Prediction]:
        """Fetch what is missing, where a person said so."""
        missing = [part for part in self.parts if not part.folder.is_dir() and set(part.classes) & set(self.classes)]
        for part in missing:
            if part.download is None:
                raise UnavailableError(f"its weights ({part.folder.name}) need a licence number", where=self.title, todo=CLOSED_TODO)
        if missing and not self._may_fetch:
            told = "; ".join(part.download.words() for part in missing if part.download is not None)
            todo = "Agree that they are fetched (in the window, or --set download=yes)"
            raise UnavailableError(f"its weights are not here. {told}", where=self.title, todo=todo)
        for part in missing:
            if part.download is not None:
                yield self._progress(0.0, part.download.words())
                archive = part.folder.with_name(part.folder.name + ".zip")
                for step in fetch(part.download, archive):
                    yield self._progress(0.0, step.message)
                for step in unpack(archive, part.folder, LARGEST):
                    yield self._progress(0.0, step.message)
                archive.unlink(missing_ok=True)

    def _model(self, part: Part) -> NnunetSegmenter:
        if part.folder.name not in self._models:
            named = part.folder / part.model
            model = NnunetSegmenter(named if named.is_dir() else part.folder, folds="all", mirroring="off", licence=self.licence, title=self.title)
            if len(model.folder.classes) != len(part.classes):
                what = f"holds a model of {len(model.folder.classes)} classes, the task has {len(part.classes)}"
                raise SegmenterError(what, where=part.folder, todo="Delete this folder and fetch the weights again")
            self._models[part.folder.name] = model
        return self._models[part.folder.name]

    def _progress(self, fraction: float, message: str) -> Prediction:
        nowhere = slice(0, 0)
        return Prediction((nowhere, nowhere, nowhere), np.zeros((len(self.classes), 0, 0, 0), dtype=np.float32), fraction, message)


def _cubic(image: FloatArray, shape: Shape) -> FloatArray:
    """A scan (z, y, x) at another size by cubic splines, its outer faces kept: TotalSegmentator trains and works on scans sampled so."""
    if image.shape == shape:
        return image
    return np.asarray(ndimage.zoom(image, [new / old for new, old in zip(shape, image.shape, strict=True)], order=3, mode="nearest", grid_mode=True))


def _sampled(maps: FloatArray, along: int, part: slice, shape: Shape) -> FloatArray:
    """Maps (n, z, y, x) at the size `shape`, linearly, only the planes `part` of one axis; axis by axis in one order, so that it is the same to the bit."""
    taps = []
    for axis, size in enumerate(shape):
        count = maps.shape[axis + 1]
        wanted = np.arange(part.start, part.stop) if axis == along else np.arange(size)
        place = np.clip((wanted + 0.5) * count / size - 0.5, 0, count - 1)
        low = np.floor(place).astype(np.intp)
        taps.append((low, np.minimum(low + 1, count - 1), (place - low).astype(np.float32).reshape([-1 if a == axis + 1 else 1 for a in range(4)])))
    first, last = int(taps[along][0][0]), int(taps[along][1][-1])
    maps = maps[(slice(None),) * (along + 1) + (slice(first, last + 1),)]
    for axis, (low, high, share) in enumerate(taps):
        before = first if axis == along else 0
        maps = maps.take(low - before, axis + 1) * (1 - share) + maps.take(high - before, axis + 1) * share
    return maps


def weights_folder() -> Path:
    """Where TotalSegmentator keeps its weights: TOTALSEG_WEIGHTS_PATH, else below TOTALSEG_HOME_DIR or the home folder."""
    if "TOTALSEG_WEIGHTS_PATH" in os.environ:
        return Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    home = Path(os.environ["TOTALSEG_HOME_DIR"]) if "TOTALSEG_HOME_DIR" in os.environ else Path.home() / ".totalsegmentator"
    return home / "nnunet" / "results"


def task_parts(task: str) -> tuple[Spacing | None, tuple[Part, ...], tuple[str, ...], str]:
    """What a task needs: spacing (z, y, x mm) of its models, the models, the names of its classes by label, and the licence of its weights.

    Raises
    ------
    InvalidInputError
        When there is no such task, or it first crops to what another task finds.
    UnavailableError
        When the package is not there.
    """
    tasks, names = _package("map_tasks_config"), _package("map_to_binary")
    name, _, mode = task.strip().partition(" ")
    config = tasks.TASK_CONFIGS.get(name)
    modes = config.get("sub_modes", {"default": config}) if isinstance(config, dict) else {}
    chosen = {**(config or {}), **modes[mode or "default"]} if (mode or "default") in modes else None
    if chosen is None or name not in names.class_map or chosen.get("crop"):
        known = ", ".join(sorted(_known(tasks, names)))
        raise InvalidInputError(f"there is no task '{task}' that runs on its own", where="TotalSegmentator", todo=f"Choose one of: {known}")
    ids = chosen["task_id"] if isinstance(chosen["task_id"], list) else [chosen["task_id"]]
    classes = tuple(label for _, label in sorted(names.class_map[name].items()))
    closed = bool(chosen.get("commercial"))
    model = f"{chosen.get('trainer')}__{chosen.get('plans') or 'nnUNetPlans'}__{chosen.get('model') or '3d_fullres'}"
    parts = tuple(_part(tasks, names, number, model, classes if len(ids) == 1 else None, closed) for number in ids)
    given = chosen.get("resample")
    spacing = None if given is None else (float(given),) * 3 if isinstance(given, (int, float)) else tuple(float(n) for n in given[::-1])
    return spacing, parts, classes, CLOSED if closed else OPEN  # type: ignore[return-value]


def _part(tasks: Any, names: Any, number: int, model: str, classes: tuple[str, ...] | None, closed: bool) -> Part:
    where = tasks.TASK_ID_WEIGHTS_CONFIGS[number]
    title = str(where["foldername"])
    folder = weights_folder() / str(where.get("rel_path") or "") / title
    download = None if closed or not str(where.get("version", "")).startswith("v") else Download(f"{RELEASES}/{where['version']}/{title}.zip", title, OPEN)
    return Part(folder, model, classes or _classes_of_part(names, number), download)


def _classes_of_part(names: Any, number: int) -> tuple[str, ...]:
    """What the labels of one model of several mean."""
    for suffix, maps in (("ct", "5_parts"), ("ct_v3", "5_parts_total_v3"), ("mr", "parts_mr"), ("headneck_muscles", "parts_headneck_muscles")):
        part = getattr(names, f"map_taskid_to_partname_{suffix}", {}).get(number)
        if part is not None:
            return tuple(label for _, label in sorted(getattr(names, f"class_map_{maps}")[part].items()))
    raise SegmenterError(f"model {number} has no list of classes", where="TotalSegmentator", todo=install_hint([REQUIREMENT]))


def _known(tasks: Any, names: Any) -> Iterator[str]:
    for name, config in tasks.TASK_CONFIGS.items():
        for mode, own in config.get("sub_modes", {"default": config}).items():
            if name in names.class_map and not {**config, **own}.get("crop") and name != "test":
                yield name if mode == "default" else f"{name} {mode}"


def _package(name: str) -> Any:
    try:
        return import_module(f"totalsegmentator.{name}")
    except ImportError as error:
        raise UnavailableError(f"needs {REQUIREMENT}", where="TotalSegmentator", todo=install_hint([REQUIREMENT])) from error
