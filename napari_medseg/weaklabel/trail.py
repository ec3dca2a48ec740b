"""The way a front came: what turned over at each update, so that a person can go back."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, Shape
from napari_medseg.weaklabel.compiled import compiled, in_parts
from napari_medseg.weaklabel.scene import Box, IntArray

Flat = npt.NDArray[np.bool_]
CAP = 64 * 1024 * 1024  # bytes


class Trail:
    """Masks as differences: each step is the voxels that turned over, by their place in the scan; the oldest go when they grow too many.

    Parameters
    ----------
    shape : (z, y, x)
        Of the scan.
    cap : int
        Bytes.

    Attributes
    ----------
    position : int
        Steps made, less those taken back.
    """

    def __init__(self, shape: Shape, cap: int = CAP) -> None:
        self._shape, self._cap, self._held = shape, cap, 0
        self._type = np.uint32 if np.prod(shape, dtype=float) < 2**32 else np.uint64
        self.position = 0
        self._steps: deque[npt.NDArray[np.unsignedinteger]] = deque()

    def __len__(self) -> int:
        """How many steps one can go back."""
        return len(self._steps)

    def add(self, turned: IntArray, box: Box) -> None:
        """Remember a step: flat indices in a box of the scan."""
        inside = tuple(part.stop - part.start for part in box)
        places = [place + part.start for place, part in zip(np.unravel_index(turned, inside), box, strict=True)]
        self.position += 1
        self._steps.append(np.ravel_multi_index(places, self._shape).astype(self._type))
        self._held += self._steps[-1].nbytes
        while self._held > self._cap and len(self._steps) > 1:
            self._held -= self._steps.popleft().nbytes

    def net(self, steps: int) -> int:
        """How many voxels differ from what they were some steps ago."""
        last = [self._steps[-k] for k in range(1, min(steps, len(self._steps)) + 1)]
        if not last:
            return 0
        _, times = np.unique(np.concatenate(last), return_counts=True)
        return int(np.count_nonzero(times % 2))

    def back(self, mask: BoolArray, box: Box) -> tuple[Box | None, int]:
        """Take the last step back in a mask, bool (z, y, x), of a box of the scan.

        Returns
        -------
        (three slices of the mask, int)
            Around what turned over, None when nothing did; and how many voxels the mask gained.
        """
        step = self._steps.pop()
        self.position -= 1
        self._held -= step.nbytes
        if not step.size:
            return None, 0
        places = tuple(place - part.start for place, part in zip(np.unravel_index(step.astype(np.intp), self._shape), box, strict=True))
        before = mask[places]
        mask[places] = ~before
        z, y, x = (slice(int(place.min()), int(place.max()) + 1) for place in places)
        return (z, y, x), int(before.size - 2 * np.count_nonzero(before))


def differences(now: BoolArray, before: BoolArray, box: Box) -> IntArray:
    """Where two masks differ within a box of theirs, as flat indices; `before` becomes `now` there.

    Parameters
    ----------
    now, before : bool (z, y, x), C order
    """
    depth, rows = box[0].stop - box[0].start, box[1].stop - box[1].start
    counts = np.zeros(depth * rows + 1, np.intp)
    given = (now.reshape(-1), before.reshape(-1), now.shape[1], now.shape[2], box[0].start, box[1].start, rows, box[2].start, box[2].stop)
    in_parts(_count, depth * rows, *given, counts, least=2048)
    places = np.concatenate([[0], np.cumsum(counts[:-1])])
    found = np.empty(int(places[-1]), np.intp)
    in_parts(_take, depth * rows, *given, places, found, least=2048)
    return found


@compiled
def _count(start: int, stop: int, now: Flat, before: Flat, ny: int, nx: int, z0: int, y0: int, rows: int, x0: int, x1: int, counts: IntArray) -> None:
    for row in range(start, stop):
        first = ((z0 + row // rows) * ny + y0 + row % rows) * nx
        count = 0
        for v in range(first + x0, first + x1):
            count += now[v] != before[v]
        counts[row] = count


@compiled
def _take(
    start: int, stop: int, now: Flat, before: Flat, ny: int, nx: int, z0: int, y0: int, rows: int, x0: int, x1: int, places: IntArray, found: IntArray,
) -> None:
    for row in range(start, stop):
        place = places[row]
        if place == places[row + 1]:
            continue
        first = ((z0 + row // rows) * ny + y0 + row % rows) * nx
        for v in range(first + x0, first + x1):
            if now[v] != before[v]:
                found[place] = v
                place += 1
                before[v] = now[v]
