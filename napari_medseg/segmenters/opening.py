"""A model of ours by its path, whichever family of networks it is of. Loads no torch before it is asked for a segmentation."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from napari_medseg.errors import SegmenterError
from napari_medseg.segmenters.plan import model_file, read_plan
from napari_medseg.segmenters.protocol import Segmenter

SLICES = "unet2d"
FAMILIES = {
    SLICES: "napari_medseg.segmenters.unet_segmenter:UNetSegmenter",
    "volumetric": "napari_medseg.segmenters.volumetric.segmenter:VolumetricSegmenter",
    "architecture": "napari_medseg.segmenters.volumetric.segmenter:VolumetricSegmenter",
    "mixed": "napari_medseg.refine.panel.segmenter:PanelSegmenter",
}


class _AnyPlan(BaseModel):
    """As much of a plan as every family has."""

    network: dict[str, Any]
    sha256: str = ""


def family(model: str | Path) -> str:
    """Which family of networks a model is of, from its plan.

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When it is no model of ours, or of a family that this version does not know.
    """
    kind = str(read_plan(model, _AnyPlan).network.get("kind"))
    if kind not in FAMILIES:
        what = f"holds a network of the kind '{kind}', which this version does not know"
        raise SegmenterError(what, where=model_file(model), todo="Update napari-medseg or choose another model")
    return kind


def checksum(model: str | Path) -> str:
    """Of a model's weights, whichever family it is of; raises as `family` does for what is no model."""
    return read_plan(model, _AnyPlan).sha256


def open_model(model: str | Path | None = None, **options: Any) -> Segmenter:
    """The segmenter that runs a model.

    Parameters
    ----------
    model : path, optional
        A file or folder that a refinement or an export wrote; M0 when not given.
    **options
        Of the family's segmenter.

    Raises
    ------
    UnavailableError, MissingFileError, SegmenterError, InvalidInputError
        As the segmenters do.
    """
    module, _, name = FAMILIES[SLICES if model is None else family(model)].partition(":")
    segmenter: Segmenter = getattr(import_module(module), name)(model=model, **options)
    return segmenter
