"""What engines yield, made into patches of a label map: the box that changed and its labels. Runs beside the engine, so the window only copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.session.history import Box
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:  # the engines load when they first run, not when a dock opens
    from napari_medseg.segmenters.protocol import Prediction
    from napari_medseg.weaklabel.levelset import Evolution


NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
NOTHING = np.zeros((0, 0, 0), bool)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A changed part of a label map.

    Attributes
    ----------
    box : (z, y, x) slices
    labels : uint8, the box
        Replaces what is there.
    fraction, message
        The engine's.
    leaked : bool
        Whether the engine thinks that the front ran out of the organ.
    neck : (z, y, x) or None
        Voxel of the narrow neck it went through.
    iterations : int or None
        How far a front was; None when it is finished.
    held_mm : float or None
        How far from its seeds a front may go, where nothing else held it.
    rested_ml : float or None
        How large a front is to which it comes back where the farther reach it tries holds it no better.
    """

    box: Box
    labels: LabelArray
    fraction: float | None
    message: str
    leaked: bool = False
    neck: tuple[int, int, int] | None = None
    iterations: int | None = None
    held_mm: float | None = None
    rested_ml: float | None = None


def of_evolution(evolutions: Iterator[Evolution], value: int) -> Iterator[Patch]:
    """A front as patches: the first holds all of it, the others only what changed."""
    for count, step in enumerate(evolutions):
        box, part = (step.patch or (NOWHERE, NOTHING)) if count else (step.box, step.part)
        labels = np.multiply(part, np.uint8(value), dtype=np.uint8)
        at = None if step.stopped_because else step.iteration
        leaked = step.stopped_because == "leak"
        yield Patch(
            box, labels, step.fraction, step.message, leaked=leaked, neck=step.neck, iterations=at, held_mm=step.held_mm, rested_ml=step.rested_ml,
        )


def of_predictions(predictions: Iterator[Prediction], values: Sequence[int], threshold: float, to_labels: Callable[..., LabelArray]) -> Iterator[Patch]:
    """Probabilities as patches; class k of the engine becomes `values[k - 1]`."""
    table = np.array([0, *values], np.uint8)
    for step in predictions:
        yield Patch(step.box, table[to_labels(step.probabilities, threshold)], step.fraction, step.message)
