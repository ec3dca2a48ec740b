"""What engines yield, made into patches of a label map: the box that changed and its labels. Runs beside the engine, so the window only copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.session.history import Box, around, both
from napari_medseg.volume import Array, BoolArray, LabelArray

if TYPE_CHECKING:  # the engines load when they first run, not when a dock opens
    from napari_medseg.segmenters.protocol import Prediction
    from napari_medseg.weaklabel.levelset import Evolution
    from napari_medseg.weaklabel.scribble import Growth


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
    """

    box: Box
    labels: LabelArray
    fraction: float | None
    message: str
    leaked: bool = False
    neck: tuple[int, int, int] | None = None
    iterations: int | None = None


def of_evolution(evolutions: Iterator[Evolution], value: int) -> Iterator[Patch]:
    """A front as patches: the first holds all of it, the others only what changed."""
    for count, step in enumerate(evolutions):
        box, part = (step.patch or (NOWHERE, NOTHING)) if count else (step.box, step.part)
        labels = np.multiply(part, np.uint8(value), dtype=np.uint8)
        at = None if step.stopped_because else step.iteration
        yield Patch(box, labels, step.fraction, step.message, leaked=step.stopped_because == "leak", neck=step.neck, iterations=at)


def of_growth(growths: Iterator[Growth]) -> Iterator[Patch]:
    """Grown scribbles as patches."""
    for step in growths:
        yield Patch(step.box, step.labels, step.fraction, step.message)


def of_predictions(predictions: Iterator[Prediction], values: Sequence[int], threshold: float, to_labels: Callable[..., LabelArray]) -> Iterator[Patch]:
    """Probabilities as patches; class k of the engine becomes `values[k - 1]`."""
    table = np.array([0, *values], np.uint8)
    for step in predictions:
        yield Patch(step.box, table[to_labels(step.probabilities, threshold)], step.fraction, step.message)


def merged(
    labels: Array, preview: LabelArray, values: Sequence[int], *, target: int | None, add: bool, over: bool = False,
) -> tuple[Box, Array] | None:
    """What a label map becomes when a preview is accepted.

    Parameters
    ----------
    labels : integer (z, y, x)
        Accepted so far.
    preview : uint8 (z, y, x)
    values : class values the preview may hold
    target : int or None
        The class everything goes into; None keeps the preview's own values.
    add : bool
        Keep what these classes hold already; otherwise the preview takes its place.
    over : bool
        Whether other classes may be overwritten.

    Returns
    -------
    (box, part) or None
        The new values of `labels[box]`; None when there is nothing to change.
    """
    ours = (target,) if target is not None else tuple(values)
    held = None if add else _around_values(labels, ours)
    box = both(around(preview), held)
    if box is None:
        return None
    part, new = labels[box].copy(), preview[box]
    before = _holding(part, ours)
    free = (part == 0) | before
    if not add:
        part[before] = 0
    write = new > 0 if over else free & (new > 0)
    part[write] = target if target is not None else new[write]
    return box, part


def _holding(labels: Array, values: Sequence[int]) -> BoolArray:
    """Where a map holds one of a few values; `numpy.isin` takes ten times as long."""
    found: BoolArray = labels == values[0]
    for value in values[1:]:
        found |= labels == value
    return found


def _around_values(labels: Array, values: Sequence[int]) -> Box | None:
    """The smallest box around some values, slice by slice, so that no mask of a whole scan is made."""
    plane = np.zeros(labels.shape[1:], bool)
    slices = []
    for z, each in enumerate(labels):
        found = _holding(each, values)
        if found.any():
            slices.append(z)
            plane |= found
    inner = around(plane[None])
    return None if inner is None else (slice(slices[0], slices[-1] + 1), *inner[1:])
