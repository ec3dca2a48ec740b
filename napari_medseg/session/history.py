"""Undo and redo for one label map, whatever tool changed it.

One log holds both what this package wrote (as a compact difference) and what napari's own brush painted (as a stroke that napari itself can take back),
so undo walks back through every tool in the order of work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import Array

Box = tuple[slice, slice, slice]

STEPS = 200
LARGEST_BYTES = 256 * 1024 * 1024


class Step(Protocol):
    """One change that can be taken back and done again."""

    @property
    def nbytes(self) -> int:
        """Memory it holds."""

    def undo(self) -> Box | None:
        """Take it back; returns the changed box, None when that is not known."""

    def redo(self) -> Box | None:
        """Do it again."""


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """A difference between two states of a label map.

    Attributes
    ----------
    labels : integer (z, y, x)
        The live map; written in place.
    box : (z, y, x) slices
        Around every changed voxel.
    changed : uint8
        Packed bits, one a voxel of the box.
    before, after : the map's values at the changed voxels, in C order
    """

    labels: Array
    box: Box
    changed: npt.NDArray[np.uint8]
    before: Array
    after: Array

    @property
    def nbytes(self) -> int:
        """Memory it holds."""
        return self.changed.nbytes + self.before.nbytes + self.after.nbytes

    def undo(self) -> Box | None:
        """Write what was there before."""
        return self._write(self.before)

    def redo(self) -> Box | None:
        """Write what came after."""
        return self._write(self.after)

    def _write(self, values: Array) -> Box:
        part = self.labels[self.box]
        part[np.unpackbits(self.changed, count=part.size).astype(bool).reshape(part.shape)] = values
        return self.box


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A change that somebody else keeps: napari's brush, fill or polygon."""

    take_back: Callable[[], None]
    do_again: Callable[[], None]
    nbytes: int = 0

    def undo(self) -> Box | None:
        """Let its keeper take it back."""
        self.take_back()
        return None

    def redo(self) -> Box | None:
        """Let its keeper do it again."""
        self.do_again()
        return None


def change(labels: Array, box: Box, after: Array) -> Delta | None:
    """Write `after` into `labels[box]` and return the difference; None when nothing changes."""
    part = labels[box]
    changed = part != after
    where = np.argwhere(changed)
    if not len(where):
        return None
    low, high = where.min(0), where.max(0) + 1
    inner = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    starts = [b.start or 0 for b in box]
    tight = (_moved(inner[0], starts[0]), _moved(inner[1], starts[1]), _moved(inner[2], starts[2]))
    mask = changed[inner]
    delta = Delta(labels, tight, np.packbits(mask), part[inner][mask].copy(), after[inner][mask].astype(labels.dtype))
    delta.redo()
    return delta


class History:
    """The log; the oldest steps go when it grows past its count or its bytes."""

    def __init__(self, steps: int = STEPS, largest_bytes: int = LARGEST_BYTES) -> None:
        self._done: deque[Step] = deque()
        self._undone: list[Step] = []
        self._steps = steps
        self._largest_bytes = largest_bytes

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._undone)

    def push(self, step: Step) -> None:
        """Remember a change that was just made; what had been undone is forgotten."""
        self._undone.clear()
        self._done.append(step)
        while len(self._done) > 1 and (len(self._done) > self._steps or sum(s.nbytes for s in self._done) > self._largest_bytes):
            self._done.popleft()

    def undo(self) -> tuple[bool, Box | None]:
        """Take the last change back: (whether there was one, the changed box if known)."""
        if not self._done:
            return False, None
        step = self._done.pop()
        self._undone.append(step)
        return True, step.undo()

    def redo(self) -> tuple[bool, Box | None]:
        """Do the change again that was taken back last."""
        if not self._undone:
            return False, None
        step = self._undone.pop()
        self._done.append(step)
        return True, step.redo()

    def clear(self) -> None:
        """Forget everything, as after the map was replaced from outside."""
        self._done.clear()
        self._undone.clear()


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
