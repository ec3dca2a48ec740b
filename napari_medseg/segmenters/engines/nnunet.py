"""nnU-Net v2: a trained-model folder, through the `nnunetv2` package.

Preprocessing, network, window steps, weights of windows, mirroring and the way back to the scan are the library's own (Isensee et al., Nature
Methods 2021). What differs from its predictor: checkpoints are read as weights only, every window is a place to cancel, and scans are shown in one
orientation, whatever order a file stores.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import InvalidInputError, MedsegError, SegmenterError, UnavailableError
from napari_medseg.segmenters.engines.exclusive import decided, overruled
from napari_medseg.segmenters.engines.nnunet_folder import ModelFolder, check_parts, read_folder
from napari_medseg.segmenters.protocol import Capabilities, Focus, Prediction
from napari_medseg.volume import Array, FloatArray, Volume, axis_map

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts
    from napari_medseg.segmenters.inference import Inference

REQUIREMENT = "nnunetv2>=2.5"
STEP = 0.5  # of a window; nnU-Net's default
Mirroring = Literal["as trained", "off"]


class NnunetSegmenter:
    """A trained nnU-Net as a segmenter.

    Parameters
    ----------
    folder : path
        With dataset.json, plans.json and fold_0, fold_1, ...
    folds : str
        "all" averages every fold, "0" or "0,2" those.
    mirroring : "as trained" or "off"
        Averages over mirror images along the axes the training allowed: up to 8 times slower, a little better.
    orientation : str
        Where the x, y and z axes of the training scans pointed: nnU-Net does not turn scans, and its files do not say it. RAS fits most.
    licence, title : str
        Of the model, where it is known.

    Raises
    ------
    MissingFileError, UnreadableFileError, InvalidInputError, SegmenterError
        When the folder is no such model; see `nnunet_folder.read_folder`.
    """

    def __init__(
        self, folder: str | Path, folds: str = "all", mirroring: Mirroring = "as trained", orientation: str = "RAS",
        licence: str = "that of the model", title: str = "",
    ) -> None:
        if not re.fullmatch("[LR][PA][SI]", orientation.upper()):
            raise InvalidInputError(f"'{orientation}' is no orientation", where="orientation", todo="Use three letters such as RAS or LPS")
        self.folder = read_folder(folder, folds)
        self.mirroring, self.orientation = mirroring, orientation.upper()
        self.title = title or f"nnU-Net: {self.folder.plans.get('dataset_name') or self.folder.path.name}"
        self._licence = licence
        self._loaded: _Loaded | None = None

    @property
    def capabilities(self) -> Capabilities:
        """From dataset.json and plans.json."""
        found = self.folder
        return Capabilities(
            classes=found.classes, licence=self._licence, dims=found.dims, channels=found.channels, modalities=found.modalities, spacing=found.spacing,
        )

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume; see `protocol.Segmenter`. The answer comes whole at the end, so `focus` changes nothing; pieces before it are empty."""
        if volume.channels != self.folder.channels:
            found = f"has {volume.channels} channels, {self.title} takes {self.folder.channels}"
            raise InvalidInputError(found, where=volume.name or "volume", todo="Choose or combine the channels the model was trained on")
        yield self._progress(0.0, "Preparing the scan")
        loaded = self._load(device)
        turn = axis_map(volume.geometry, self.orientation)
        array = volume.array if volume.array.ndim == 4 else volume.array[None]
        image = np.nan_to_num(turn.apply(array).astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        if not image.any():
            nothing = np.zeros((len(self.folder.classes), *volume.geometry.shape), dtype=np.float32)
            yield Prediction(_whole(nothing), nothing, 1.0, "The scan is empty")
            return
        image, kept = loaded.thickened(image, turn.geometry(volume.geometry).spacing)
        with self._library():
            data, properties = loaded.prepared(image, turn.geometry(volume.geometry).spacing)
        logits = np.zeros((loaded.heads, *data.shape[1:]), dtype=np.float32)
        for place, fold in enumerate(loaded.weights):
            loaded.use(fold)
            for done, steps in self._windows(loaded, data, logits):
                share = (place + done / steps) / len(loaded.weights)
                told = f"Window {done} of {steps}" + (f", fold {place + 1} of {len(loaded.weights)}" if len(loaded.weights) > 1 else "")
                yield self._progress(0.02 + 0.95 * share, told + (f" ({loaded.infer.note})" if loaded.infer.note else ""))
        logits /= len(loaded.weights)
        with self._library():
            maps = loaded.restored(logits, properties)[(slice(None), *kept)]
        maps = overruled(maps) if self.folder.regions else decided(np.ascontiguousarray(maps[1:]))
        answer = turn.undo(np.clip(maps, 0, 1).astype(np.float32))
        yield Prediction(_whole(answer), answer, 1.0, "Outlined")

    def _windows(self, loaded: _Loaded, data: FloatArray, logits: FloatArray) -> Iterator[tuple[int, int]]:
        """Add one fold's blended windows to the logits; yields (done, steps) after each window."""
        padded, inner, boxes, weight = loaded.layout(data)
        summed = np.zeros((loaded.heads, *padded.shape[1:]), dtype=np.float32)
        total = np.zeros(padded.shape[1:], dtype=np.float32)
        for done, box in enumerate(boxes, start=1):
            summed[(slice(None), *box)] += loaded.mirrored(padded[(slice(None), *box)], self.mirroring == "as trained") * weight
            total[box] += weight
            yield done, len(boxes)
        logits += (summed / total)[(slice(None), *inner)]

    def release(self) -> None:
        """Give the networks' memory back; the next scan loads them again."""
        from napari_medseg.segmenters.devices import give_back

        if self._loaded is not None:
            device = self._loaded.infer.device
            self._loaded = None
            give_back(device)

    def _load(self, device: str) -> _Loaded:
        if self._loaded is None or self._loaded.device != device:
            self.release()
            with self._library():
                self._loaded = _Loaded(self.folder, device, self.title)
        return self._loaded

    @contextmanager
    def _library(self) -> Iterator[None]:
        """Faults of the library, in words."""
        try:
            yield
        except MedsegError:
            raise
        except ImportError as error:
            raise UnavailableError(f"nnunetv2 does not load ({error})", where=self.title, todo=install_hint([REQUIREMENT])) from error
        except Exception as error:  # the library raises anything at what it does not expect
            told = " ".join(str(error).split())[:200] or type(error).__name__
            raise SegmenterError(f"nnU-Net failed ({told})", where=self.title, todo="Check that the model's files belong together") from error

    def _progress(self, fraction: float, message: str) -> Prediction:
        nowhere = slice(0, 0)
        return Prediction((nowhere, nowhere, nowhere), np.zeros((len(self.folder.classes), 0, 0, 0), dtype=np.float32), fraction, message)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_loaded": None}  # networks load again where this is sent


class _Loaded:
    """The library's parts for one model, and its network on a device."""

    def __init__(self, folder: ModelFolder, device: str, title: str) -> None:
        from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        from napari_medseg.segmenters.inference import Inference
        from napari_medseg.segmenters.safe_load import load_checkpoint, load_into, weights_in

        self.device, self._folder, self._load_into = device, folder, load_into
        checkpoints = [(file, load_checkpoint(file)) for file in folder.folds]
        first = checkpoints[0][1]
        self.weights = [(file, weights_in(found, file)) for file, found in checkpoints]
        trainer, name, self._mirrors = _facts(first, folder)
        self._plans = PlansManager(folder.plans)
        self._configuration = self._plans.get_configuration(name)
        check_parts({"configuration": self._configuration.configuration}, folder.path)  # as rebuilt from plans of older versions
        self._labels = self._plans.get_label_manager(folder.dataset)
        self.heads = int(self._labels.num_segmentation_heads)
        self._dims = len(self._configuration.patch_size)
        channels = determine_num_input_channels(self._plans, self._configuration, folder.dataset)
        self._network = _built(_trainer(trainer), self._plans, self._configuration, channels, self.heads)
        self.use(self.weights[0])
        self.infer: Inference = Inference(self._network, device, title, dims=self._dims)

    def use(self, fold: tuple[Path, dict[str, Any]]) -> None:
        """Put a fold's weights into the network."""
        self._load_into(self._network, fold[1], fold[0])

    def thickened(self, image: FloatArray, spacing: tuple[float, float, float]) -> tuple[FloatArray, tuple[slice, ...]]:
        """A scan (c, z, y, x) thinner than one voxel of the model's grid, its last plane repeated; and where the scan lies in it."""
        given, back = self._configuration.spacing, self._plans.transpose_backward
        wanted = [0.0, *given] if self._dims == 2 else list(given)
        least = [int(np.ceil(wanted[axis] / step)) for axis, step in zip(back, spacing, strict=True)]
        kept = tuple(slice(0, n) for n in image.shape[1:])
        more = [(0, max(0, count - n)) for count, n in zip(least, image.shape[1:], strict=True)]
        return (np.pad(image, [(0, 0), *more], mode="edge") if any(after for _, after in more) else image), kept

    def prepared(self, image: FloatArray, spacing: tuple[float, float, float]) -> tuple[FloatArray, dict[str, Any]]:
        """The library's own preprocessing: cropped to what is not 0, scaled, resampled; and what is needed for the way back."""
        preprocessor = self._configuration.preprocessor_class(verbose=False)
        properties: dict[str, Any] = {"spacing": list(spacing)}
        given = preprocessor.run_case_npy(image, None, properties, self._plans, self._configuration, self._folder.dataset)
        return np.nan_to_num(np.asarray(given[0], dtype=np.float32)), given[2] if len(given) > 2 else properties

    def layout(self, data: FloatArray) -> tuple[FloatArray, tuple[slice, ...], list[tuple[slice, ...]], FloatArray]:
        """Padded data (c, z, y, x), where the data lies in it, the boxes of the windows, and a window's weights."""
        import torch
        from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

        patch = [*([1] if self._dims == 2 else []), *map(int, self._configuration.patch_size)]
        short = [max(0, p - n) for p, n in zip(patch, data.shape[1:], strict=True)]
        inner = tuple(slice(s // 2, s // 2 + n) for s, n in zip(short, data.shape[1:], strict=True))
        padded = np.pad(data, [(0, 0), *((s // 2, s - s // 2) for s in short)])
        steps = compute_steps_for_sliding_window(padded.shape[1:], patch, STEP)
        if self._dims == 2:
            steps[0] = list(range(padded.shape[1]))
        boxes = [tuple(slice(int(start), int(start) + p) for start, p in zip(starts, patch, strict=True)) for starts in itertools.product(*steps)]
        gaussian = compute_gaussian(tuple(self._configuration.patch_size), sigma_scale=1.0 / 8, value_scaling_factor=10, device=torch.device("cpu"))
        return padded, inner, boxes, gaussian.float().numpy().reshape(patch)

    def mirrored(self, window: FloatArray, mirror: bool) -> FloatArray:
        """The network's logits for a window (c, z, y, x), averaged over its mirror images."""
        axes = [axis + 4 - self._dims for axis in self._mirrors] if mirror else []  # of an array (maps, z, y, x)
        turns = [turn for count in range(len(axes) + 1) for turn in itertools.combinations(axes, count)]
        summed = np.zeros((self.heads, *window.shape[1:]), dtype=np.float32)
        for turn in turns:
            found = self.infer(np.ascontiguousarray(np.flip(window, turn))[None])[0]
            found = np.flip(found[:, None] if found.ndim == 3 else found, turn)
            if found.shape != (self.heads, *window.shape[1:]):
                raise SegmenterError(f"the network answered with an array of {found.shape}", where=self._folder.path, todo="Copy the model again")
            summed += found
        return np.asarray(summed / np.float32(len(turns)), dtype=np.float32)

    def restored(self, logits: FloatArray, properties: dict[str, Any]) -> FloatArray:
        """Probabilities on the scan's grid, the background's first where there is one; the library's own way back."""
        import torch
        from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape as restore

        threads = torch.get_num_threads()
        _, maps = restore(
            torch.from_numpy(logits), self._plans, self._configuration, self._labels, properties, return_probabilities=True, num_threads_torch=threads,
        )
        return np.asarray(maps, dtype=np.float32)


def _facts(checkpoint: Any, folder: ModelFolder) -> tuple[str, str, tuple[int, ...]]:
    """Trainer, configuration and mirror axes, as the first fold's checkpoint says."""
    said = checkpoint if isinstance(checkpoint, dict) else {}
    trainer, arguments = said.get("trainer_name"), said.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, dict) else None
    mirrors = said.get("inference_allowed_mirroring_axes") or ()
    fine = isinstance(trainer, str) and re.fullmatch(r"\w*Trainer\w*", trainer) and isinstance(name, str) and name in folder.plans["configurations"]
    if not fine or not all(isinstance(axis, int) and 0 <= axis < 3 for axis in mirrors):
        raise SegmenterError("does not say its trainer and configuration as nnU-Net's checkpoints do", where=folder.folds[0], todo="Copy the model again")
    return str(trainer), str(name), tuple(mirrors)


def _trainer(name: str) -> Any:
    """The trainer class of this name, which knows how its networks are built; the library looks through all of its own."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    reason = ""
    try:
        found = recursive_find_trainer_class_by_name(name)
    except Exception as error:  # noqa: BLE001 - a part of the library that does not load here, met on the way
        found, reason = None, f" ({' '.join(str(error).split())[:100]})"
    if found is None:
        todo = "Install the package it was trained with, or set nnUNet_extTrainer to where it is"
        raise UnavailableError(f"the model was trained with {name}, which this nnU-Net does not have{reason}", where="nnU-Net", todo=todo)
    return found


def _built(trainer: Any, plans: Any, configuration: Any, channels: int, heads: int) -> Any:
    """The network, by the trainer's own builder; its arguments changed with version 2.8."""
    import inspect

    build: Callable[..., Any] = trainer.build_network_architecture
    if "plans_manager" in inspect.signature(build).parameters:
        return build(plans, configuration, channels, heads, enable_deep_supervision=False)
    named = (configuration.network_arch_class_name, configuration.network_arch_init_kwargs, configuration.network_arch_init_kwargs_req_import)
    return build(*named, channels, heads, enable_deep_supervision=False)


def _whole(answer: Array) -> tuple[slice, slice, slice]:
    z, y, x = answer.shape[1:]
    return slice(0, z), slice(0, y), slice(0, x)
