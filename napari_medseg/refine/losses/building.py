"""A loss from the words it is asked for in.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_medseg import catalogue
from napari_medseg.catalogue import Catalogue
from napari_medseg.errors import CatalogueError, InvalidInputError
from napari_medseg.refine.losses.loss import Loss, Seen
from napari_medseg.refine.losses.spec import Term, terms


@dataclass(frozen=True)
class Sum(Loss):
    """Losses added up, each times a factor; what they share of a batch is worked out once.

    Parameters
    ----------
    parts : (factor, Loss), ...
    """

    parts: tuple[tuple[float, Loss], ...]

    def of(self, seen: Seen) -> Tensor:
        """See `Loss.of`."""
        return torch.stack([factor * loss.of(seen) for factor, loss in self.parts]).sum()


def build(spec: str, spacing: Sequence[float] | None = None) -> Loss:
    """A loss.

    Parameters
    ----------
    spec : str
        Ids of the catalogue's losses with their settings, added up: `ce + 0.5*dice`, `focal(gamma=2) + tversky(alpha=0.3, beta=0.7)`.
    spacing : mm a voxel along each axis of the patches, optional
        For losses that measure; without it voxels count as cubes.

    Returns
    -------
    Loss
        (logits, targets, weights[, images]) -> scalar; see `loss.Seen`.

    Raises
    ------
    InvalidInputError
        When the words cannot be read, a loss has no such setting, or its value makes no sense.
    CatalogueError
        When there is no such loss, or it is made in a way it cannot be.
    UnavailableError
        When a package it needs is missing.
    """
    wanted, found = terms(spec), catalogue.load()
    return Sum(tuple((term.factor, _one(found, term, spacing)) for term in wanted))


def _one(found: Catalogue, term: Term, spacing: Sequence[float] | None) -> Loss:
    entry = found.find(term.name, "loss")
    unknown = set(term.settings) - set(entry.parameters)
    if unknown:
        known = f"It has: {', '.join(entry.parameters)}" if entry.parameters else "Leave it out; this loss has no settings"
        raise InvalidInputError(f"'{term.name}' has no setting '{min(unknown)}'", where="loss", todo=known)
    measured = {"spacing": list(spacing)} if spacing is not None and "spacing" in entry.parameters else {}
    try:
        loss = entry.build(**{**measured, **term.settings})
    except CatalogueError as error:
        if not term.settings or not isinstance(error.__cause__, TypeError):
            raise
        what = f"a setting of '{term.name}' is one number where several belong, or several where one does"
        raise InvalidInputError(what, where="loss", todo="Give weight=[1, 2] or spacing=[3, 1, 1] in brackets, all else as one number") from error
    if not isinstance(loss, Loss):
        raise CatalogueError(f"its factory makes a {type(loss).__name__}, not a Loss", where=entry.id, todo="Derive it from losses.loss.Loss")
    return loss
