"""Which voxels of the accepted labels a person painted, so that no proposal ever writes over them.

The map belongs to the undo log: a mark is taken back and set again with the change it was made for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from napari_medseg.session.history import Box, Delta, Step, Together, change, difference, together
from napari_medseg.session.state import Scan
from napari_medseg.volume import Array, BoolArray, LabelArray


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A change of the map of painted voxels; the labels' counts and boxes know nothing of it."""

    change: Delta

    @property
    def nbytes(self) -> int:
        """Memory it holds."""
        return self.change.nbytes

    @property
    def boxes(self) -> tuple[Box, ...]:
        """None: the labels did not change."""
        return ()

    @property
    def gained(self) -> Counter[int]:
        """Nothing: the labels did not change."""
        return Counter()

    def undo(self) -> None:
        """Write what was there before."""
        self.change.undo()

    def redo(self) -> None:
        """Write what came after."""
        self.change.redo()


def painted(scan: Scan, step: Step) -> Step:
    """A change was made by hand: the step with its mark."""
    if scan.labels is None:
        return step
    if scan.by_hand is None:
        scan.by_hand = np.zeros(scan.labels.shape, np.uint8)
    return _marked(scan.by_hand, step, 1)


def replaced(scan: Scan, step: Step) -> Step:
    """A tool wrote there, and the person said yes: what it changed is no work by hand any more."""
    return step if scan.by_hand is None else _marked(scan.by_hand, step, 0)


def as_it_was(scan: Scan, step: Step, painted: BoolArray | None) -> Step:
    """An earlier state came back: the step with the marks of that state (z, y, x), display grid."""
    mark = unmarked(scan, painted)
    if mark is not None:
        mark.redo()
    return with_mark(step, mark)


def unmarked(scan: Scan, painted: BoolArray | None) -> Delta | None:
    """What would change in the map of painted voxels if it became as it was in an earlier state; nothing is written. None for nothing."""
    if scan.labels is None or (scan.by_hand is None and painted is None):
        return None
    if scan.by_hand is None:
        scan.by_hand = np.zeros(scan.labels.shape, np.uint8)
    return difference(scan.by_hand, np.zeros_like(scan.by_hand) if painted is None else painted.astype(np.uint8))


def with_mark(step: Step, mark: Delta | None) -> Step:
    """A step, and the change of the map of painted voxels that goes with it."""
    return step if mark is None else together((step, Mark(mark))) or step


def _marked(by_hand: Array, step: Step, value: int) -> Step:
    marks = []
    for delta in _deltas(step):
        part = by_hand[delta.box]
        mark = change(by_hand, delta.box, np.where(delta.mask(), np.uint8(value), part))
        if mark is not None:
            marks.append(Mark(mark))
    return together((step, *marks)) or step


def _parts(step: Step) -> tuple[Step, ...]:
    return tuple(part for each in step.steps for part in _parts(each)) if isinstance(step, Together) else (step,)


def _deltas(step: Step) -> tuple[Delta, ...]:
    return tuple(part for part in _parts(step) if isinstance(part, Delta))


def strokes(scan: Scan) -> tuple[Step, ...]:
    """What a person painted since a tool last wrote, as far as the undo log reaches; the latest first."""
    found: list[Step] = []
    for step in scan.history.steps():
        if not step.boxes:  # beside the labels: a seed, a mark, a name
            continue
        if not any(isinstance(part, Mark) for part in _parts(step)):
            break
        found.append(step)
    return tuple(found)


def before(labels: LabelArray, painted: tuple[Step, ...]) -> LabelArray:
    """A copy of a label map (z, y, x) as it was before some strokes, given the latest first."""
    made = labels.copy()
    for step in painted:
        for delta in reversed(_deltas(step)):
            delta.bring_back(made)
    return made


def settled(scan: Scan, verified: tuple[int, ...] = ()) -> BoolArray | None:
    """Voxels (z, y, x) on the display grid that a proposal must leave as they are: painted ones, and whole verified slices; None for none."""
    if scan.labels is None or (scan.by_hand is None and not verified):
        return None
    found = np.zeros(scan.labels.shape, bool) if scan.by_hand is None else scan.by_hand > 0
    found[list(verified)] = True
    return found
