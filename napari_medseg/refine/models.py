"""Models that a recipe saved, whichever recipe it was. Loads torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from napari_medseg.segmenters.plan import read_plan

if TYPE_CHECKING:
    from napari_medseg.refine.method import Model


class _AnyPlan(BaseModel):
    """As much of a plan as tells one family of networks from another."""

    network: dict[str, Any]


def load(path: Path) -> Model:
    """A model file, or a folder that holds one, ready to label scans.

    Raises
    ------
    MissingFileError
        When nothing is there.
    SegmenterError
        When it is damaged, or of a kind that this version does not know.
    """
    if read_plan(path, _AnyPlan).network.get("kind") == "unet2d":
        from napari_medseg.refine.salah.method import SalahModel

        return SalahModel.load(path)
    from napari_medseg.segmenters.volumetric import load_volumetric

    return load_volumetric(path)
