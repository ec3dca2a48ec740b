"""What each round of a run left: its labels, its model, and from what they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.refine.cases import UNKNOWN
from napari_medseg.refine.inputs import Inputs, Labels

if TYPE_CHECKING:
    from napari_medseg.refine.folder import RunFolder
    from napari_medseg.refine.method import Model


@dataclass(slots=True)
class Version:
    """One round.

    Attributes
    ----------
    bare : label maps by case id
        As the model made them; the next round learns from these, with what teaches laid over them, and never from what only checks.
    model : Model or None
    path : Path or None
        Where the model lies.
    lineage : dict
    """

    bare: Labels
    model: Model | None = None
    path: Path | None = None
    lineage: dict[str, Any] = field(default_factory=dict)

    def loaded(self) -> Model:
        """The model, from disk where this run did not make it itself.

        Raises
        ------
        MissingFileError, SegmenterError
        """
        from napari_medseg.refine.models import load

        if self.model is None:
            self.model = load(self.path or Path())
        return self.model


def given_version(inputs: Inputs) -> Version:
    """Round 0: the labels given, background where nothing is known."""
    return Version({name: np.where(labels == UNKNOWN, 0, labels).astype(np.uint8) for name, labels in inputs.given.items()})


def stored_version(folder: RunFolder, number: int, inputs: Inputs, lineage: Mapping[str, Any]) -> Version:
    """A round that an earlier process finished."""
    return Version(folder.read_bare(number, inputs), path=folder.model_of(number), lineage=dict(lineage))
