"""The label map a clean-up works on: where each class lies, which voxels may change, and what did."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import BoolArray, Spacing
from napari_medseg.weaklabel.cleanup_steps import EditMask, Step
from napari_medseg.weaklabel.compiled import compiled, in_parts
from napari_medseg.weaklabel.scene import Box, joined

IntArray = npt.NDArray[np.intp]

LOW = np.array([True, False] * 3)  # which of a box's six ends are its lower ones


class Bench:
    """Labels at work.

    Attributes
    ----------
    labels : uint8 or uint16 (z, y, x)
        As they are now.
    spacing : mm per voxel (z, y, x)
    beside : whole numbers (z, y, x) or None
        A second label map.
    ground : int
        What classes grow onto and leave behind: 0, or the class the edit mask names.
    touched : three slices or None
        Holds what changed since `begin`.
    changed : int
        How many voxels did.
    """

    def __init__(
        self, labels: npt.NDArray[Any], spacing: Spacing, edit: EditMask, *,
        image: npt.NDArray[Any] | None, beside: npt.NDArray[Any] | None, values: tuple[int, ...] | None,
    ) -> None:
        if edit.window is not None and image is None:
            raise InvalidInputError("a range of grey values needs the scan", where="edit mask", todo="Give the scan too, or leave the range out")
        self.labels, self.spacing, self.beside = labels, spacing, beside
        self.ground = edit.inside if edit.inside is not None and beside is None else 0
        self.touched: Box | None = None
        self.changed = 0
        self._edit, self._image, self._values = edit, image, values
        self._boxes = boxes(labels)

    def begin(self) -> None:
        """A new step begins: find the classes again where the last one changed them."""
        if self.touched is not None:
            self._boxes = boxes(self.labels)
        self.touched, self.changed = None, 0

    def classes(self, step: Step) -> list[int]:
        """Classes that are there and that the step is done to."""
        locked = {self.ground, *self._edit.keep}
        return [v for v in sorted(self._boxes) if v not in locked and all(some is None or v in some for some in (step.classes, self._values))]

    def box(self, value: int, margin_mm: float = 0.0, margin_voxels: int = 0) -> Box:
        """Around a class, wider by a margin, within the scan."""
        widths = [int(np.ceil(margin_mm / s)) + margin_voxels for s in self.spacing]
        around = zip(self._boxes[value], widths, self.labels.shape, strict=True)
        z, y, x = (slice(max(0, s.start - width), min(size, s.stop + width)) for s, width, size in around)
        return z, y, x

    def allowed(self, box: Box) -> BoolArray | None:
        """Where the edit mask lets voxels change, bool, the box's (z, y, x); None for everywhere."""
        inside: BoolArray | None = None
        if self._edit.inside is not None and self.beside is not None:
            inside = self.beside[box] == self._edit.inside
        if self._edit.window is None or self._image is None:
            return inside
        low, high = self._edit.window
        part = self._image[box]
        within = np.asarray((part >= low) & (part <= high))
        return within if inside is None else inside & within

    def locked(self, value: int) -> bool:
        """Whether no step may change a class."""
        return value in self._edit.keep

    def put(self, value: int, box: Box, wanted: BoolArray, over: int | None = None) -> None:
        """Make a class what is wanted in a box, as far as other classes and the edit mask let it.

        Parameters
        ----------
        wanted : bool, the box's (z, y, x)
        over : int, optional
            A class whose voxels it may take; otherwise only the ground's.
        """
        part = self.labels[box]
        held = part == value
        free = (part == self.ground) if over is None else (part == self.ground) | (part == over)
        gained, lost = wanted & free, held & ~wanted
        allowed = self.allowed(box)
        if allowed is not None:
            gained &= allowed
            lost &= allowed
        self._change(part, gained, value)
        self._change(part, lost, self.ground)
        if gained.any() or lost.any():
            self.touched = box if self.touched is None else joined(self.touched, box)

    def replace(self, box: Box, part: npt.NDArray[Any]) -> None:
        """Take a part, the box's (z, y, x), as it is given."""
        count = int(np.count_nonzero(self.labels[box] != part))
        if count:
            self.labels[box] = part
            self.changed += count
            self.touched = box if self.touched is None else joined(self.touched, box)

    def _change(self, part: npt.NDArray[Any], where: BoolArray, value: int) -> None:
        self.changed += int(np.count_nonzero(where))
        part[where] = value


def boxes(labels: npt.NDArray[Any]) -> dict[int, Box]:
    """The smallest box around each class of a uint8 or uint16 map (z, y, x); background has none."""
    found: dict[int, IntArray] = {}
    most = int(np.iinfo(labels.dtype).max) + 1
    for part in in_parts(_bounds, len(labels), labels, most, least=8):
        for value in np.flatnonzero(part[:, 1]).tolist():
            before = found.get(value)
            found[value] = part[value] if before is None else np.where(LOW, np.minimum(part[value], before), np.maximum(part[value], before))
    return {value: (slice(a, b), slice(c, d), slice(e, f)) for value, (a, b, c, d, e, f) in ((v, row.tolist()) for v, row in found.items())}


@compiled
def _bounds(start: int, stop: int, labels: npt.NDArray[Any], most: int) -> IntArray:
    """First and one past the last index of every value along z, y, x; zeros for one that is not there."""
    out = np.zeros((most, 6), np.intp)
    for z in range(start, stop):
        for y in range(labels.shape[1]):
            line = labels[z, y]
            x = 0
            while x < len(line):
                value, begin = line[x], x
                x += 1
                while x < len(line) and line[x] == value:
                    x += 1
                if value:
                    row = out[value]
                    if row[1] == 0:
                        row[:] = (z, z + 1, y, y + 1, begin, x)
                    row[1], row[2], row[3] = z + 1, min(row[2], y), max(row[3], y + 1)
                    row[4], row[5] = min(row[4], begin), max(row[5], x)
    return out
