"""A model of ours by its path, whichever family of networks it is of. Loads no torch before it is asked for a segmentation."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.plan import model_file, read_plan
from napari_medseg.segmenters.protocol import Segmenter

if TYPE_CHECKING:
    from napari_medseg.segmenters.volumetric.plan import Cleanup

SLICES, MIXED = "unet2d", "mixed"
CLEANUP = "cleanup"
"""What is answered to a model with a clean-up: "on" or "off"."""
FAMILIES = {
    SLICES: "napari_medseg.segmenters.unet_segmenter:UNetSegmenter",
    "volumetric": "napari_medseg.segmenters.volumetric.segmenter:VolumetricSegmenter",
    "architecture": "napari_medseg.segmenters.volumetric.segmenter:VolumetricSegmenter",
    MIXED: "napari_medseg.refine.panel.segmenter:PanelSegmenter",
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


def cleanup_of(model: str | Path) -> Cleanup | None:
    """The clean-up that is kept with a model and can be switched off; raises as `family` does."""
    if family(model) != MIXED:
        return None
    from napari_medseg.segmenters.volumetric.plan import VolumetricPlan

    return read_plan(model, VolumetricPlan).cleanup


def open_model(model: str | Path | None = None, **options: Any) -> Segmenter:
    """The segmenter that runs a model.

    Parameters
    ----------
    model : path, optional
        A file or folder that a refinement or an export wrote; M0 when not given.
    **options
        Of the family's segmenter; `cleanup` "on" or "off" for a model that `cleanup_of` knows one of.

    Raises
    ------
    UnavailableError, MissingFileError, SegmenterError, InvalidInputError
        As the segmenters do.
    """
    kind = SLICES if model is None else family(model)
    if CLEANUP in options and kind != MIXED:
        raise InvalidInputError("has no clean-up", where=Path(model or "M0"), todo="Leave the answer out")
    module, _, name = FAMILIES[kind].partition(":")
    segmenter: Segmenter = getattr(import_module(module), name)(model=model, **options)
    return segmenter
