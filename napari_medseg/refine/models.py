"""Models that a recipe saved, whichever recipe it was. Loads torch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from napari_medseg.errors import InvalidInputError
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
    kind = read_plan(path, _AnyPlan).network.get("kind")
    if kind == "unet2d":
        from napari_medseg.refine.salah.method import SalahModel

        return SalahModel.load(path)
    from napari_medseg.segmenters.volumetric import load_volumetric

    model = load_volumetric(path)
    if kind != "mixed":
        return model
    from napari_medseg.refine.panel.model import PanelModel

    return PanelModel(model.described, model.network.networks, model.device)  # type: ignore[arg-type]


def require_kind(base: Path, kinds: Collection[str], recipe: str) -> None:
    """Refuse a base of another family of networks than a recipe goes on from.

    Raises
    ------
    InvalidInputError
    MissingFileError, SegmenterError
        When there is none, or it is damaged.
    """
    if read_plan(base, _AnyPlan).network.get("kind") not in kinds:
        what = f"is no model that the recipe {recipe} can go on from"
        raise InvalidInputError(what, where=base, todo=f"Choose one that {recipe} wrote, or none")


def require_channels(base: Path, takes: int, given: int | None) -> None:
    """Refuse a base that takes scans of another number of channels; None is not known.

    Raises
    ------
    InvalidInputError
    """
    if given is not None and takes != given:
        what = f"takes {takes} channel{'s' if takes > 1 else ''}, but the scans have {given}"
        raise InvalidInputError(what, where=base, todo="Choose another base model, or a recipe that starts from nothing, such as medseg")
