"""Undo and redo for one label map, whatever tool changed it: brush, fill, polygon, level set, network, clean-up.

One log of differences is the truth; where several maps of a scan have one each, the moments of their steps tell which came last. What napari's own tools
paint is told in `paint` events, whose values hold the voxels, what was there and what came after; they become differences like any other, so undo walks back
through every tool in the order of work, however far.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import Array, BoolArray

Box = tuple[slice, slice, slice]

STEPS = 200
LARGEST_BYTES = 256 * 1024 * 1024
_moments = count(1)
_PIECE = 1 << 16  # voxels counted at a time: they stay in the cache, and most of them are alike


class Step(Protocol):
    """One change that can be taken back and done again."""

    @property
    def nbytes(self) -> int:
        """Memory it holds."""

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Where it changed the map."""

    @property
    def gained(self) -> Counter[int]:
        """By value, how many voxels more the map had after it than before; negative for fewer."""

    def undo(self) -> None:
        """Write what was there before."""

    def redo(self) -> None:
        """Write what came after."""


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """A difference between two states of a label map in one box.

    Attributes
    ----------
    labels : integer (z, y, x)
        The live map; written in place.
    box : (z, y, x) slices
        Around every changed voxel.
    changed : uint8 or None
        Packed bits, one a voxel of the box; None when every voxel of it changed.
    before, after : the map's values at the changed voxels, in C order; a single value where all are alike
    gained : Counter
    """

    labels: Array
    box: Box
    changed: npt.NDArray[np.uint8] | None
    before: Array
    after: Array
    gained: Counter[int]

    @classmethod
    def of(cls, labels: Array, box: Box, mask: BoolArray, before: Array, after: Array) -> Delta:
        """Keep a difference as small as it goes; `before` and `after` are the values under `mask`, or one value for all of them."""
        count = int(np.count_nonzero(mask))
        before, after = _short(np.asarray(before, labels.dtype).ravel()), _short(np.asarray(after, labels.dtype).ravel())
        gained = count_values(after, count)
        gained.subtract(count_values(before, count))
        return cls(labels, box, None if count == mask.size else np.packbits(mask), before, after, gained)

    @property
    def nbytes(self) -> int:
        """Memory it holds."""
        return (0 if self.changed is None else self.changed.nbytes) + self.before.nbytes + self.after.nbytes

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Where it changed the map."""
        return (self.box,)

    def mask(self) -> BoolArray:
        """The changed voxels of the box (z, y, x)."""
        z, y, x = self.box
        shape = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
        if self.changed is None:
            return np.ones(shape, bool)
        return np.unpackbits(self.changed, count=shape[0] * shape[1] * shape[2]).astype(bool).reshape(shape)

    def undo(self) -> None:
        """Write what was there before."""
        self._write(self.before)

    def redo(self) -> None:
        """Write what came after."""
        self._write(self.after)

    def bring_back(self, labels: Array) -> None:
        """Write what was there before into another map of that shape."""
        self._write(self.before, labels)

    def _write(self, values: Array, labels: Array | None = None) -> None:
        part = (self.labels if labels is None else labels)[self.box]
        if self.changed is None:
            part[...] = values if values.size == 1 else values.reshape(part.shape)
        else:
            part[self.mask()] = values


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Several changes that are one step for the person, in the order they were made."""

    steps: tuple[Step, ...]

    @property
    def nbytes(self) -> int:
        """Memory it holds."""
        return sum(step.nbytes for step in self.steps)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Where it changed the map."""
        return tuple(box for step in self.steps for box in step.boxes)

    @property
    def gained(self) -> Counter[int]:
        """By value, how many voxels more the map had after it than before; negative for fewer."""
        total: Counter[int] = Counter()
        for step in self.steps:
            total.update(step.gained)
        return total

    def undo(self) -> None:
        """Write what was there before."""
        for step in reversed(self.steps):
            step.undo()

    def redo(self) -> None:
        """Write what came after."""
        for step in self.steps:
            step.redo()


class Aside:
    """A change beside the labels, in the same log: it takes next to no memory and changes no voxel."""

    nbytes = 512
    boxes: tuple[Box, ...] = ()

    @property
    def gained(self) -> Counter[int]:
        """Nothing."""
        return Counter()


def moment() -> int:
    """A number above all that were given before: when a step was made. Steps of several logs that are one for the person share theirs."""
    return next(_moments)


def change(labels: Array, box: Box, after: Array) -> Delta | None:
    """Write `after` into `labels[box]` and return the difference; None when nothing changes."""
    part = labels[box]
    changed = part != after
    inner = around(changed)
    if inner is None:
        return None
    mask = changed[inner]
    delta = Delta.of(labels, _moved(inner, box), mask, _under(part[inner], mask), _under(after[inner], mask))
    part[...] = after
    return delta


def difference(labels: Array, after: Array) -> Delta | None:
    """What would change if the whole map became another one of its shape; nothing is written, so it can be worked out beside the window. None for nothing."""
    changed = labels != after
    inner = around(changed)
    if inner is None:
        return None
    mask = changed[inner]
    return Delta.of(labels, inner, mask, _under(labels[inner], mask), _under(after[inner], mask))


def of_paint(labels: Array, atoms: Iterable[Any]) -> Step | None:
    """The step that napari tells in a `paint` event, whether or not it has reached the array yet; None when nothing changed.

    Parameters
    ----------
    labels : integer (z, y, x)
        The layer's map.
    atoms : the event's value
        Each one is (box, mask or None for all of it, values before, value after), or (indices, values before, values after).
    """
    steps = tuple(step for step in (_of_atom(labels, atom) for atom in atoms) if step is not None)
    return together(steps)


def together(steps: tuple[Step, ...]) -> Step | None:
    """Several steps as one; None for none."""
    return steps[0] if len(steps) == 1 else Together(steps) if steps else None


def count_values(array: Array, times: int = 0) -> Counter[int]:
    """How many voxels hold each value; a single value stands for `times` of them."""
    if times and array.size == 1:
        return Counter({int(array.flat[0]): times})
    counts: Counter[int] = Counter()
    flat = array.ravel()
    for start in range(0, flat.size, _PIECE):
        piece = flat[start:start + _PIECE]
        low, high = piece.min(), piece.max()
        lowest, highest = int(np.count_nonzero(piece == low)), int(np.count_nonzero(piece == high))
        if low == high:
            counts[int(low)] += piece.size
        elif lowest + highest == piece.size:  # found several times faster than by counting each value
            counts.update({int(low): lowest, int(high): highest})
        elif piece.dtype.itemsize <= 2 and piece.dtype.kind in "ub":
            found = np.bincount(piece)
            counts.update({int(v): int(found[v]) for v in np.flatnonzero(found)})
        else:
            counts.update(dict(zip(*(a.tolist() for a in np.unique(piece, return_counts=True)), strict=True)))
    return counts


def around(array: Array) -> Box | None:
    """The smallest box around what is not zero in a bool or integer (z, y, x) array; None when nothing is."""
    whole = array.view(np.uint8) if array.dtype == bool else array
    if not whole.size:
        return None
    z = _span(whole.max(axis=(1, 2)))
    if z is None:
        return None
    plane = whole[z].max(axis=0)  # over the outermost axis first: several times faster than by each axis
    y, x = _span(plane.max(axis=1)), _span(plane.max(axis=0))
    return None if y is None or x is None else (z, y, x)


def both(first: Box | None, second: Box | None) -> Box | None:
    """The box around two; None where there is none."""
    if first is None or second is None:
        return first or second
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return z, y, x


def _span(line: Array) -> slice | None:
    where = np.flatnonzero(line)
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else None


class History:
    """The log; the oldest steps go when it grows past its count or its bytes."""

    def __init__(self, steps: int = STEPS, largest_bytes: int = LARGEST_BYTES) -> None:
        self._done: deque[tuple[int, Step]] = deque()
        self._undone: list[tuple[int, Step]] = []
        self._open: list[Step] | None = None
        self._steps = steps
        self._largest_bytes = largest_bytes
        self._nbytes = 0

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done) or bool(self._open)

    @property
    def last(self) -> int:
        """The moment of the step that would be taken back; 0 for none."""
        self.release()
        return self._done[-1][0] if self._done else 0

    @property
    def following(self) -> int:
        """The moment of the step that would be done again; 0 for none."""
        return self._undone[-1][0] if self._undone else 0

    @property
    def nbytes(self) -> int:
        """Memory it holds."""
        return self._nbytes

    def push(self, step: Step, at: int = 0) -> None:
        """Remember a change that was just made, or made at a moment; what had been undone is forgotten."""
        self._nbytes -= sum(gone.nbytes for _, gone in self._undone)
        self._undone.clear()
        self._nbytes += step.nbytes
        if self._open is not None:
            self._open.append(step)
            return
        self._done.append((at or moment(), step))
        while len(self._done) > 1 and (len(self._done) > self._steps or self._nbytes > self._largest_bytes):
            self._nbytes -= self._done.popleft()[1].nbytes

    def steps(self) -> tuple[Step, ...]:
        """What was done, the latest first."""
        self.release()
        return tuple(step for _, step in reversed(self._done))

    def press(self) -> None:
        """Until `release`, all changes are one step: a drag, however often it is told."""
        self.release()
        self._open = []

    def release(self) -> None:
        """Close the step `press` opened."""
        steps, self._open = self._open, None
        whole = together(tuple(steps)) if steps else None
        if whole is not None:
            self._nbytes -= whole.nbytes
            self.push(whole)

    def undo(self) -> Step | None:
        """Take the last change back and return it; None when there is none."""
        self.release()
        if not self._done:
            return None
        at, step = self._done.pop()
        self._undone.append((at, step))
        step.undo()
        return step

    def redo(self) -> Step | None:
        """Do the change again that was taken back last, and return it."""
        self.release()
        if not self._undone:
            return None
        at, step = self._undone.pop()
        self._done.append((at, step))
        step.redo()
        return step

    def clear(self) -> None:
        """Forget everything, as after the map was replaced from outside."""
        self._done.clear()
        self._undone.clear()
        self._open, self._nbytes = None, 0


def _of_atom(labels: Array, atom: Any) -> Delta | None:
    if len(atom) == 4:
        key, mask, before, after = atom
        spans = [part.indices(size) for part, size in zip(key, labels.shape, strict=True)]
        box = (slice(*spans[0][:2]), slice(*spans[1][:2]), slice(*spans[2][:2]))
        inside = np.ones([high - low for low, high, _ in spans], bool) if mask is None else np.asarray(mask, bool)
        return Delta.of(labels, box, inside, before, after) if inside.any() else None
    indices, before, after = atom
    where = np.stack(np.broadcast_arrays(*(np.asarray(i) for i in indices))).reshape(labels.ndim, -1)
    if not where.size:
        return None
    low, high = where.min(1), where.max(1) + 1
    box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    mask = np.zeros(high - low, bool)
    old, new = np.zeros(mask.shape, labels.dtype), np.zeros(mask.shape, labels.dtype)
    at = tuple(where - low[:, None])
    mask[at], old[at], new[at] = True, np.ravel(before), np.ravel(after)
    return Delta.of(labels, box, mask, old[mask], new[mask])


def _short(values: Array) -> Array:
    """One value where all are alike."""
    return values[:1].copy() if values.size and bool((values == values[0]).all()) else values.copy()


def _under(values: Array, mask: BoolArray) -> Array:
    """The values under a mask; one of them where all are alike, which is found out much faster than they are picked."""
    first = values.flat[int(mask.argmax())]
    return np.array([first]) if bool(((values == first) | ~mask).all()) else values[mask]


def _moved(inner: Box, outer: Box) -> Box:
    z, y, x = (slice(i.start + (o.start or 0), i.stop + (o.start or 0)) for i, o in zip(inner, outer, strict=True))
    return z, y, x
