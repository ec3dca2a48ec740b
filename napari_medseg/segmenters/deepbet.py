"""deepbet: a pre-trained network that outlines the brain in T1-weighted head MR (Fisch et al., Human Brain Mapping 2024; MIT).

The optional package `deepbet` carries two TorchScript networks beside its code. They are found without importing the package and
loaded by torch alone. The steps are those of its 1.0.2: axes x, y, z in RAS; a first network finds the head's brain box at 128^3, a second outlines it at
256^3; intensities clipped at 0.5 and 99.5 %, z-scored, times 0.226 plus 0.449; nearest-neighbour between grids; largest piece, holes filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import InvalidInputError, SegmenterError, UnavailableError
from napari_medseg.segmenters.protocol import Box, Capabilities, Focus, Prediction
from napari_medseg.volume import BoolArray, FloatArray, Volume, axis_map

if TYPE_CHECKING:
    from torch import Tensor
    from torch.jit import ScriptModule

    from napari_medseg.annotation.prompts import Prompts

REQUIREMENT = "deepbet==1.0.2"
LOOK = (128, 128, 128)
OUTLINE = (256, 256, 256)
MARGIN = 0.1
PLANE_SHARE = 0.02  # a plane belongs to the box when more than this share of it is brain
THRESHOLD = 0.5


class DeepbetSegmenter:
    """Brain extraction.

    Raises
    ------
    UnavailableError
        When the package is not installed; says the command that brings it.
    """

    title = "deepbet brain extraction"
    capabilities = Capabilities(classes=("brain",), licence="MIT", dims=3, modalities=frozenset({"MR"}), threshold=THRESHOLD)

    def __init__(self) -> None:
        self._folder = _models()
        self._loaded: dict[str, ScriptModule] = {}

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Outline the brain; see `protocol.Segmenter`. The answer comes whole at the end, so `focus` changes nothing; pieces before it are empty."""
        from napari_medseg.segmenters.inference import Inference

        if volume.channels != 1:
            raise InvalidInputError(f"has {volume.channels} channels, deepbet takes 1", where=volume.name or "volume", todo="Choose one channel of the scan")
        turn = axis_map(volume.geometry, "RAS")
        xyz = np.where(np.isfinite(volume.channel()), volume.channel(), 0).astype(np.float32)
        xyz = np.ascontiguousarray(turn.apply(xyz).transpose(2, 1, 0))
        yield _progress(0.0, "Looking for the head")
        look = _nearest(xyz, LOOK)
        low, high = np.quantile(look, [0.005, 0.995])
        brain = np.zeros_like(xyz)
        message = "No brain found"
        if high > low:
            finder = Inference(self._network("bbox_model.pt"), device, self.title)
            box = brain_box(_largest(_brain(finder(_scaled(look, low, high)), LOOK) > THRESHOLD), xyz.shape)
            yield _progress(0.3, "Outlining the brain" + _noted(finder.note))
            if box is not None:
                outliner = Inference(self._network("model.pt"), device, self.title)
                part = xyz[box]
                chance = _nearest(_brain(outliner(_scaled(_nearest(part, OUTLINE), low, high)), OUTLINE), part.shape)
                brain[box] = _one_piece(chance)
                message = "Brain outlined" + _noted(outliner.note)
        answer = turn.undo(np.ascontiguousarray(brain.transpose(2, 1, 0)))
        whole: Box = tuple(slice(0, n) for n in answer.shape)  # type: ignore[assignment]
        yield Prediction(whole, answer[None], 1.0, message)

    def _network(self, name: str) -> ScriptModule:
        import torch

        if name not in self._loaded:
            file = self._folder / name
            try:
                self._loaded[name] = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
            except (RuntimeError, ValueError, OSError) as error:
                todo = f"Install it again: python -m pip install --force-reinstall --no-deps {REQUIREMENT}"
                raise SegmenterError("is no network that torch can load", where=file, todo=todo) from error
        return self._loaded[name]

    def __getstate__(self) -> dict[str, object]:
        return {"_folder": self._folder, "_loaded": {}}  # networks load again where this is sent


def brain_box(brain: BoolArray, shape: tuple[int, ...]) -> Box | None:
    """Where the brain lies in the scan, 10 % wider on each side.

    Parameters
    ----------
    brain : bool (x, y, z), small grid
    shape : of the scan's grid, same axes

    Returns
    -------
    slices on the scan's grid, or None when no plane holds more than 2 % brain.
    """
    box = []
    for axis, n in enumerate(shape):
        planes = np.flatnonzero(brain.mean(axis=tuple(a for a in range(3) if a != axis)) > PLANE_SHARE)
        if not planes.size:
            return None
        scale = n / brain.shape[axis]
        centre = np.rint(scale * (planes[-1] + 1 + planes[0]) / 2)
        size = np.rint((1 + 2 * MARGIN) * scale * (planes[-1] + 1 - planes[0]))
        start, stop = max(0, int(centre - size / 2)), min(n, int(centre + size / 2))
        box.append(slice(start, max(stop, start + 1)))
    return box[0], box[1], box[2]


def _models() -> Path:
    spec = find_spec("deepbet")
    folder = Path(spec.origin).parents[1] / "data" / "models" if spec is not None and spec.origin else None
    if folder is None or not all((folder / name).is_file() for name in ("model.pt", "bbox_model.pt")):
        raise UnavailableError(f"needs {REQUIREMENT}", where=DeepbetSegmenter.title, todo=install_hint([REQUIREMENT]))
    return folder


def _nearest(array: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    import torch
    from torch.nn.functional import interpolate

    tensor: Tensor = torch.from_numpy(np.array(array, order="C"))[None, None]  # a copy: axes of one voxel may run backwards
    return np.asarray(interpolate(tensor, size=shape, mode="nearest-exact")[0, 0].numpy())


def _scaled(array: FloatArray, low: float, high: float) -> FloatArray:
    """Network input (1, 1, x, y, z)."""
    clipped = np.clip((array.astype(np.float64) - low) / (high - low), 0, 1)
    spread = clipped.std(ddof=1)
    scored = (clipped - clipped.mean()) / (spread if spread > 0 else 1.0)
    return np.asarray(0.226 * scored + 0.449, dtype=np.float32)[None, None]


def _brain(answer: FloatArray, size: tuple[int, int, int]) -> FloatArray:
    """Channel 1 of (1, 2, *size)."""
    if answer.shape != (1, 2, *size):
        raise SegmenterError(f"the network answered with an array of {answer.shape}", where=DeepbetSegmenter.title, todo=f"Install {REQUIREMENT}")
    return np.asarray(np.clip(answer[0, 1], 0, 1))


def _largest(mask: BoolArray) -> BoolArray:
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count <= 1:
        return mask
    return np.asarray(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())


def _one_piece(chance: FloatArray) -> FloatArray:
    """Probabilities of one piece without holes: other pieces become 0, enclosed voxels 1."""
    mask = chance > THRESHOLD
    keep = _largest(mask)
    answer = np.where(mask & ~keep, np.float32(0), chance)
    answer[ndimage.binary_fill_holes(keep) & ~keep] = 1
    return np.asarray(answer, dtype=np.float32)


def _progress(fraction: float, message: str) -> Prediction:
    nowhere = slice(0, 0)
    return Prediction((nowhere, nowhere, nowhere), np.zeros((1, 0, 0, 0), dtype=np.float32), fraction, message)


def _noted(note: str) -> str:
    return f" ({note})" if note else ""
