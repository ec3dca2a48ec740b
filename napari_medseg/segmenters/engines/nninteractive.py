"""nnInteractive on this machine (Isensee et al., arXiv:2503.08373), through the `nninteractive` package and a trained-model folder.

The package would unpickle the checkpoint of such a folder; here it is read as weights only (`safe_load`), the plans may name nothing but nnU-Net's own
parts, and the finished network is handed to the package's session. Code is Apache-2.0; the authors' weights are CC BY-NC-SA 4.0: not for commercial use.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from pathlib import Path
from typing import Any

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import MedsegError, MissingFileError, SegmenterError, UnavailableError, UnreadableFileError
from napari_medseg.segmenters.engines.dialogue import PROMPTS, DialogueSegmenter, Session
from napari_medseg.segmenters.engines.nnunet_folder import check_parts
from napari_medseg.segmenters.protocol import Capabilities

log = logging.getLogger(__name__)

REQUIREMENT = "nninteractive>=2.6,<2.7"
WEIGHTS_LICENCE = "CC-BY-NC-SA-4.0 (weights), Apache-2.0 (code)"
TODO = "Choose the folder with dataset.json, plans.json and fold_0 (or fold_all) in it; `nninteractive-download-model` brings the authors' own"
CHECKPOINT = "checkpoint_final.pth"
FULL = "the graphics card ran out of memory, going on with the processor"
LARGEST = 64 << 20  # bytes of a JSON file


class NnInteractiveSegmenter(DialogueSegmenter):
    """nnInteractive with a model folder.

    Parameters
    ----------
    folder : path
        With dataset.json, plans.json, inference_info.json (or inference_session_class.json) and one fold.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When the folder is no such model.
    SegmenterError
        When its plans name code that is not nnU-Net's own.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._plans, self._dataset, self._checkpoint = _checked(self.folder)
        self.title = f"nnInteractive: {self.folder.name}"
        self._full = False

    @property
    def capabilities(self) -> Capabilities:
        """Anything it is pointed at, in 3D."""
        return Capabilities(classes=(), licence=_licence(self.folder), prompts=PROMPTS, dims=3)

    @property
    def note(self) -> str:
        """That the card was full, where it was."""
        return FULL if self._full else ""

    def open(self, device: str) -> Session:
        """The package's session with our network in it."""
        from napari_medseg.segmenters.devices import choose

        where = "cpu" if self._full else choose(device)
        self._may_move = device == "auto" and where != "cpu"
        return _session(self.folder, self._plans, self._dataset, self._checkpoint, where)

    def recover(self, error: Exception) -> bool:
        """On a full card, go on with the processor."""
        import torch

        if not (isinstance(error, torch.OutOfMemoryError) and self._may_move):
            return False
        log.warning("%s: %s", self.title, FULL)
        self._full = True
        torch.cuda.empty_cache()
        return True

    def fault(self, error: Exception) -> MedsegError:
        """What torch and the package raise."""
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if "OutOfMemory" in type(error).__name__ or isinstance(error, MemoryError):
            return SegmenterError("there is not enough memory for this scan", where=self.title, todo="Choose the device auto or cpu, or crop the scan")
        return SegmenterError(f"nnInteractive failed ({told})", where=self.title, todo="Use another model, or report it with the log")


def _session(folder: Path, plans: dict[str, Any], dataset: dict[str, Any], file: Path, device: str) -> Session:
    """As the package's own loading, but for how the checkpoint is read and which classes the plans may name."""
    import torch

    from napari_medseg.segmenters.safe_load import load_checkpoint, load_into, weights_in

    package = _package()
    checkpoint = load_checkpoint(file)
    named = checkpoint.get("init_args", {}).get("configuration") if isinstance(checkpoint, dict) else None
    if named not in plans["configurations"]:
        raise SegmenterError(f"names a configuration that plans.json does not hold ({named})", where=file, todo="Copy the whole model again")
    weights = weights_in(checkpoint, file)
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise SegmenterError("holds values that are no numbers (NaN)", where=file, todo="Use another model; this one is damaged")
    session = package.session(device=torch.device(device), torch_n_threads=torch.get_num_threads())
    content, radius, thickness, decay, padding = session._load_capability_and_runtime_defaults(str(folder))
    session._apply_capability(content)
    manager = package.plans(plans)
    configuration = manager.get_configuration(named)
    channels = package.channels(manager, configuration, dataset) + session.num_interaction_channels
    network = package.trainer.build_network_architecture(manager, configuration, channels, 2, enable_deep_supervision=False)
    load_into(network, weights, file)
    session.initialize_from_loaded_artifacts({
        "capability_content": content, "point_interaction": package.point(radius, True), "preferred_scribble_thickness": thickness,
        "interaction_decay": decay, "pad_mode_data": padding, "network": network.eval().to(device), "plans_manager": manager,
        "configuration_manager": configuration, "dataset_json": dataset, "trainer_name": str(checkpoint.get("trainer_name", "")),
        "label_manager": manager.get_label_manager(dataset), "license": _licence(folder),
    })
    session.warmup()
    return session  # type: ignore[no-any-return]


class _Package:
    """What is used of the package; it talks on standard output, which is ours, so its words go to the log."""

    def __init__(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            from nnInteractive.inference import inference_session
            from nnInteractive.interaction.point import PointInteraction_stub
            from nnInteractive.trainer.nnInteractiveTrainer import nnInteractiveTrainer_stub
            from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
            from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
        inference_session.print = _logged
        self.session = inference_session.nnInteractiveInferenceSession
        self.point, self.trainer, self.channels, self.plans = PointInteraction_stub, nnInteractiveTrainer_stub, determine_num_input_channels, PlansManager


def _package() -> _Package:
    try:
        return _Package()
    except ImportError as error:
        raise UnavailableError(f"needs {REQUIREMENT} ({error})", where="nnInteractive", todo=install_hint([REQUIREMENT])) from error


def _logged(*words: object, **_: object) -> None:
    log.debug(" ".join(map(str, words)))


def _checked(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """Plans, data set and checkpoint of a folder, without opening the checkpoint."""
    if not folder.is_dir():
        raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
    plans, dataset = _json(folder / "plans.json"), _json(folder / "dataset.json")
    if not isinstance(plans.get("configurations"), dict):
        raise UnreadableFileError("holds no configurations", where=folder / "plans.json", todo=TODO)
    check_parts(plans, folder)
    if not any((folder / name).is_file() for name in ("inference_info.json", "inference_session_class.json")):
        raise MissingFileError("is no nnInteractive model: it holds no inference_info.json and no inference_session_class.json", where=folder, todo=TODO)
    files = sorted(folder.glob(f"fold_*/{CHECKPOINT}"))
    if len(files) != 1:
        raise MissingFileError(f"holds {len(files)} folds with a {CHECKPOINT}, not one", where=folder, todo=TODO)
    return plans, dataset, files[0]


def _json(file: Path) -> dict[str, Any]:
    try:
        with file.open(encoding="utf-8") as stream:
            content = json.loads(stream.read(LARGEST))
    except FileNotFoundError as error:
        raise MissingFileError("is missing from the model", where=file, todo=TODO) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableFileError("cannot be read as JSON", where=file, todo="Copy the model again") from error
    if not isinstance(content, dict):
        raise UnreadableFileError("holds no named fields", where=file, todo="Copy the model again")
    return content


def _licence(folder: Path) -> str:
    """The first line of its LICENSE file, as the package reads it."""
    try:
        lines = (folder / "LICENSE").read_text(encoding="utf-8", errors="replace")[:2000].splitlines()
    except OSError:
        return WEIGHTS_LICENCE
    return next((line.strip() for line in lines if line.strip()), WEIGHTS_LICENCE)
