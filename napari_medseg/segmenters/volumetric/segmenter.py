"""A volumetric model as a segmenter: window by window from the slice in view outwards, then once more as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg import catalogue
from napari_medseg.segmenters.engines.exclusive import decided
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.plan import read_plan
from napari_medseg.segmenters.protocol import Capabilities, Focus, Prediction
from napari_medseg.segmenters.slices import box_in_file, place_in_view
from napari_medseg.segmenters.volumetric.plan import AnyNetworkPlan, VolumetricPlan
from napari_medseg.volume import FloatArray, Volume

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import Prompts
    from napari_medseg.segmenters.found import Findings
    from napari_medseg.segmenters.looking import Look
    from napari_medseg.segmenters.volumetric.model import VolumetricModel

WHOLE = slice(None)


class VolumetricSegmenter:
    """A model that the recipe `medseg` trained; its networks stay on their device from one scan to the next.

    Where the scan is resampled for the network, pieces come on the scan's grid as they are found, and the last prediction is the whole scan anew, resampled
    in one go as in the training.

    Parameters
    ----------
    model : path
        A file or folder that `VolumetricModel.save` wrote.

    Raises
    ------
    MissingFileError, SegmenterError
        When it is not there, or is no such model.
    """

    def __init__(self, model: str | Path) -> None:
        self.model = Path(model)
        self._plan = read_plan(self.model, VolumetricPlan)
        self._running: tuple[str, VolumetricModel] | None = None

    @property
    def title(self) -> str:
        """What the model calls itself."""
        return self._plan.title

    @property
    def capabilities(self) -> Capabilities:
        """From the model's plan."""
        plan = self._plan
        return Capabilities(
            classes=tuple(plan.classes), licence=plan.licence, dims=3, channels=plan.network.in_channels, modalities=frozenset(plan.modalities),
            spacing=plan.spacing, fine_tunable=True, threshold=plan.threshold, objects=_entry_says(plan.network, "answers") == "objects",
            looks=bool(_entry_says(plan.network, "looks")),
        )

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume; see `protocol.Segmenter`. Prompts are not looked at."""
        from napari_medseg.segmenters.engines.working import sampled_back
        from napari_medseg.segmenters.volumetric.grid import Way
        from napari_medseg.segmenters.volumetric.model import probabilities

        model = self._on(device)
        way = Way.of(volume.geometry, self._plan)
        same = way.shape == way.turned
        whole = np.full((self._plan.network.classes, *way.shape), np.nan, np.float32)
        for piece in model.logits(volume, lambda: place_in_view(focus, way.turn, way.turned, way.shape)):
            whole[(WHOLE, *piece.box)] = piece.values
            box, values = (piece.box, piece.values) if same else sampled_back(whole, piece.box, way.turned)
            maps = decided(probabilities(values))
            yield Prediction(box_in_file(way.turn, box, way.turned), way.turn.undo(maps), piece.fraction, "Outlining")
        if not same:
            everywhere = tuple(slice(0, n) for n in volume.geometry.shape)
            yield Prediction(everywhere, decided(probabilities(way.back(np.nan_to_num(whole)))), 1.0, "Outlining")  # type: ignore[arg-type]

    def find(self, volume: Volume, *, device: str = "auto") -> Iterator[Findings]:
        """Find objects on the slices of a volume; see `found.Finder`."""
        from napari_medseg.segmenters.volumetric.finding import find

        yield from find(self._on(device), volume)

    def look(self, volume: Volume, *, device: str = "auto", focus: Focus = None) -> Iterator[Look]:
        """Where the networks look; see `looking.Looker`. Pieces as those of `predict`."""
        from napari_medseg.segmenters.engines.working import sampled_back
        from napari_medseg.segmenters.looking import Look
        from napari_medseg.segmenters.volumetric.grid import Way
        from napari_medseg.segmenters.volumetric.looking import look

        way = Way.of(volume.geometry, self._plan)
        same = way.shape == way.turned
        whole: FloatArray | None = None
        names: tuple[str, ...] = ()
        for names, piece in look(self._on(device), volume, lambda: place_in_view(focus, way.turn, way.turned, way.shape)):
            whole = np.full((len(piece.values), *way.shape), np.nan, np.float32) if whole is None else whole
            whole[(WHOLE, *piece.box)] = piece.values
            box, values = (piece.box, piece.values) if same else sampled_back(whole, piece.box, way.turned)
            yield Look(names, box_in_file(way.turn, box, way.turned), way.turn.undo(values).clip(0, 1), piece.fraction)
        if not same and whole is not None:
            everywhere = tuple(slice(0, n) for n in volume.geometry.shape)
            yield Look(names, everywhere, way.back(np.nan_to_num(whole)).clip(0, 1), 1.0)  # type: ignore[arg-type]

    def release(self) -> None:
        """Give the networks' memory back; the next scan loads them again."""
        running, self._running = self._running, None
        if running is not None:
            running[1].release()

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_running": None}  # the networks load again where this is sent

    def _on(self, device: str) -> VolumetricModel:
        from napari_medseg.segmenters.volumetric.model import load_volumetric

        if self._running is None or self._running[0] != device:
            self.release()
            self._running = device, load_volumetric(self.model, device)
        return self._running[1]


def _entry_says(network: AnyNetworkPlan, of: str) -> object:
    """What the catalogue says of a network; None of one that is not in it."""
    entry = catalogue.load().entries.get(network.name) if isinstance(network, ArchitecturePlan) else None
    return entry.capabilities.get(of) if entry is not None and entry.kind == "network" else None
