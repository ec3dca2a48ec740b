"""SAM 2's video predictor with a person's checkpoint, fed with slices instead of film.

The checkpoint is read as weights only (`safe_load`), and what they are (tiny to large, 2.0 or 2.1) is seen in their shapes, so that nobody has to say it.
Network definitions are those that the package `sam2` carries.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import SegmenterError, UnavailableError
from napari_medseg.segmenters.safe_load import load_checkpoint, load_into, weights_in
from napari_medseg.volume import Array

log = logging.getLogger(__name__)

REQUIREMENT = "sam2==1.1.0"
TRUNK = "image_encoder.trunk."
SIZES: dict[tuple[int, int], str] = {(96, 12): "t", (96, 16): "s", (112, 24): "b+", (144, 48): "l"}
"""Width and number of blocks of the encoder to the package's name for it."""
CHANGES: dict[str, Any] = {
    "_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor", "binarize_mask_from_pts_for_mem_enc": True,
    "add_all_frames_to_correct_as_cond": True, "compile_image_encoder": False,
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True, "dynamic_multimask_stability_delta": 0.05, "dynamic_multimask_stability_thresh": 0.98,
    },
}
"""As the package's own builder sets them for prediction, but for the filling of holes, which needs a compiled extension. What was corrected stays so."""
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the photographs it was trained on


class Frames:
    """Slices of a scan as the pictures SAM 2 sees, made when it asks for them.

    Parameters
    ----------
    stack : (n, h, w), any real dtype
    limits : (low, high)
        Values shown black and white.
    side : int
        Pixels a side that the network sees.
    """

    def __init__(self, stack: Array, limits: tuple[float, float], side: int) -> None:
        self.stack, self.limits, self.side = stack, limits, side

    def __len__(self) -> int:
        return len(self.stack)

    def __getitem__(self, index: int) -> Tensor:
        """Float32 (3, side, side)."""
        low, high = self.limits
        plane = np.nan_to_num(self.stack[index].astype(np.float32), nan=low, posinf=high, neginf=low)
        grey = torch.from_numpy(np.ascontiguousarray(np.clip((plane - low) / max(high - low, 1e-12), 0, 1)))[None, None]
        seen = interpolate(grey, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False)[0]
        return (seen - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]


def load_predictor(file: Path, side: int, device: str) -> Any:
    """The package's `SAM2VideoPredictor` with the weights of a checkpoint.

    Parameters
    ----------
    side : int
        Pixels a side that the network sees: 1024 as published; finetuned ones (MedSAM2) may want 512.

    Raises
    ------
    UnavailableError
        When the package is not there.
    SegmenterError
        When the file holds no weights of SAM 2.
    """
    weights = weights_in(load_checkpoint(file), file)
    config = _configuration(weights, file)
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise SegmenterError("holds values that are no numbers (NaN)", where=file, todo="Use another model; this one is damaged")
    _prepare()
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    model = OmegaConf.load(str(files("sam2").joinpath("configs", *config.split("/")))).model
    predictor = instantiate(OmegaConf.merge(model, {**CHANGES, **_extras(weights), "image_size": side}), _recursive_=True)
    load_into(predictor, weights, file)
    predictor.memory_attention.register_forward_pre_hook(_whole_precision, with_kwargs=True)
    return predictor.to(device).eval()


def _whole_precision(_: Any, words: tuple[Any, ...], more: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Memories are kept as bfloat16, which the layers take on an NVIDIA card under autocast only."""
    return words, {name: value.float() if isinstance(value, Tensor) else value for name, value in more.items()}


def _extras(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Further changes to a definition; none for what is published."""
    return {}


def _configuration(weights: Mapping[str, Tensor], file: Path) -> str:
    """The definition in the package that these weights belong to."""
    first = weights.get(f"{TRUNK}patch_embed.proj.weight")
    blocks = {name.removeprefix(f"{TRUNK}blocks.").partition(".")[0] for name in weights if name.startswith(f"{TRUNK}blocks.")}
    size = SIZES.get((len(first), len(blocks))) if first is not None else None
    if size is None or "maskmem_tpos_enc" not in weights:
        todo = "Choose a checkpoint of SAM 2 or 2.1 (tiny, small, base_plus, large), or one finetuned from it"
        raise SegmenterError("holds no weights of SAM 2", where=file, todo=todo)
    return f"sam2.1/sam2.1_hiera_{size}.yaml" if "no_obj_embed_spatial" in weights else f"sam2/sam2_hiera_{size}.yaml"


def _prepare() -> None:
    """Teach the package's loader of films to take our slices, and its progress bar to be silent; once."""
    try:
        from sam2 import sam2_video_predictor as module
    except ImportError as error:
        raise UnavailableError(f"needs {REQUIREMENT} ({error})", where="SAM 2", todo=install_hint([REQUIREMENT])) from error
    if getattr(module.load_video_frames, "takes_slices", False):
        return
    films: Callable[..., Any] = module.load_video_frames

    def load(video_path: Any, **rest: Any) -> tuple[Any, int, int]:
        if isinstance(video_path, Frames):
            return video_path, *video_path.stack.shape[1:]
        return films(video_path=video_path, **rest)  # type: ignore[no-any-return]

    load.takes_slices = True  # type: ignore[attr-defined]
    module.load_video_frames = load
    module.tqdm = _silent


def _silent(steps: Iterable[Any], **_: object) -> Iterable[Any]:
    return steps
