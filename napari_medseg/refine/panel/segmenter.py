"""Networks of several architectures as a segmenter, and the clean-up that goes with them as its last word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.panel.tidy import followed, tidied
from napari_medseg.segmenters.protocol import Focus, Prediction, to_labels
from napari_medseg.segmenters.volumetric.segmenter import VolumetricSegmenter
from napari_medseg.volume import Volume

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts


class PanelSegmenter(VolumetricSegmenter):
    """A model that the recipes `gil2023` or `top-n` trained.

    Parameters
    ----------
    model : path
        A file or folder that a round wrote.
    cleanup : "on" or "off"
        Whether the clean-up that is kept with the model is done.

    Raises
    ------
    MissingFileError, SegmenterError
        When it is not there, or is no such model.
    InvalidInputError
        When `cleanup` is neither.
    """

    def __init__(self, model: str | Path, cleanup: str = "on") -> None:
        super().__init__(model)
        if cleanup not in ("on", "off"):
            raise InvalidInputError(f"cannot be '{cleanup}'", where="cleanup", todo="Say on or off")
        self._cleanup = self._plan.cleanup if cleanup == "on" else None

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume; see `protocol.Segmenter`. Where a clean-up goes with the model, the last piece is the whole scan after it."""
        pieces = super().predict(volume, prompts, device=device, focus=focus)
        if self._cleanup is None:
            yield from pieces
            return
        whole = np.zeros((self._plan.network.classes, *volume.geometry.shape), np.float32)
        for piece in pieces:
            whole[(slice(None), *piece.box)] = piece.probabilities
            yield piece
        before = to_labels(whole, self._plan.threshold)
        after = tidied(before, volume.geometry.spacing, self._cleanup)
        everywhere = tuple(slice(0, n) for n in volume.geometry.shape)
        yield Prediction(everywhere, followed(whole, before, after), 1.0, "Tidying the outline")  # type: ignore[arg-type]
