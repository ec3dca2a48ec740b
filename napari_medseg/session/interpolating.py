"""Interpolation between annotated slices: which slices count, and the preview of what lies between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.session.history import Box, around
from napari_medseg.session.making import Making
from napari_medseg.session.patches import Patch
from napari_medseg.session.state import Preview, Scan
from napari_medseg.volume import Array

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

TITLE = "interpolation"
LOOK = "slices"
"""The lane that looks for annotated slices."""
PLANES = ("axial", "coronal", "sagittal")
AROUND_MM = 10.0
"""How far outside the annotated outlines the shape between them may go."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """Slices of one class.

    Attributes
    ----------
    value : int
        The class.
    voxels : tuple of integer arrays
        Per axis (z, y, x), how many voxels of the class each slice holds.
    """

    value: int
    voxels: tuple[Array, Array, Array]
    fraction: float | None = 1.0
    message: str = ""

    def slices(self, axis: int) -> list[int]:
        """Those that hold the class."""
        return [int(i) for i in np.flatnonzero(self.voxels[axis])]

    @property
    def axis(self) -> int:
        """The axis whose annotated slices leave the most between them."""
        gaps = [(found[-1] - found[0] + 1) / len(found) if found else 0.0 for found in map(self.slices, range(3))]
        return int(np.argmax(gaps))


def annotated(labels: Array, value: int) -> Iterator[Annotated]:
    """Count slice by slice; only the last one yielded is whole."""
    z, y, x = (np.zeros(size, np.int64) for size in labels.shape)
    for index, plane in enumerate(labels):
        found = plane == value
        count = int(np.count_nonzero(found))
        if count:
            z[index] = count
            y += found.sum(axis=1)
            x += found.sum(axis=0)
        if index % 32 == 31:
            yield Annotated(value, (z, y, x), index / len(labels))
    yield Annotated(value, (z, y, x))


class Interpolating:
    """The interpolation page of a session.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: tuple[Scan, Annotated] | None = None
        session.edited.connect(lambda scan, boxes: self._stale(scan, boxes))
        session.classes_changed.connect(self.look)
        session.scan_closed.connect(self._on_closed)

    @property
    def found(self) -> Annotated | None:
        """The annotated slices of the chosen class, once they were looked for."""
        if self._found is None or self._found[0] is not self._session.current or self._found[1].value != self._session.chosen:
            return None
        return self._found[1]

    @property
    def axis(self) -> int:
        """Along which slices are taken."""
        chosen = self._session.interpolation.axis
        return chosen if chosen is not None else self.found.axis if self.found is not None else 0

    def slices(self) -> list[tuple[int, int, bool]]:
        """Every slice that could count: (index, voxels, whether it does)."""
        found, choices, axis = self.found, self._session.interpolation, self.axis
        held = set(found.slices(axis)) if found is not None else set()
        empty = {index for where, index in choices.empty if where == axis} - held
        voxels = found.voxels[axis] if found is not None else np.zeros(0, np.int64)
        return [(i, int(voxels[i]) if i in held else 0, (axis, i) not in choices.left_out) for i in sorted(held | empty)]

    def used(self) -> list[int]:
        """Those that count."""
        return [index for index, _, counts in self.slices() if counts]

    def gaps(self) -> int:
        """How many slices would be filled."""
        return sum(high - low - 1 for low, high in pairwise(self.used()))

    def use(self, index: int, on: bool) -> None:
        """Let a slice count or not."""
        choices, key = self._session.interpolation, (self.axis, index)
        self._session.set(interpolation=replace(choices, left_out=choices.left_out - {key} if on else choices.left_out | {key}))

    def mark_empty(self, index: int) -> None:
        """Say that a slice holds nothing of the class on purpose; a second time takes it back."""
        choices, key = self._session.interpolation, (self.axis, index)
        self._session.set(interpolation=replace(choices, empty=choices.empty ^ {key}, left_out=choices.left_out - {key}))

    def look(self) -> None:
        """Find the annotated slices of the chosen class, beside everything else."""
        session, scan = self._session, self._session.current
        if scan is None or scan.labels is None or session.mode != "interpolate" or session.tab != "weak":
            return
        labels, value = scan.labels, session.chosen

        def apply(found: Annotated) -> None:
            if found.fraction == 1.0:
                self._found = (scan, found)

        session.jobs.start(
            LOOK, "Looking for annotated slices", lambda: annotated(labels, value), apply=apply, done=lambda: None, failed=session.report,
            own_thread=True, quiet=True,
        )

    def start(self) -> None:
        """Fill between the slices that count, into a preview.

        Raises
        ------
        NoLabelsError, InvalidInputError
            When too few slices are annotated.
        """
        session = self._session
        scan = session.ready()
        name = session.label_class.name
        if scan.labels is None or not scan.voxels[session.chosen] > 0:
            raise NoLabelsError(f"no slice of {name} is annotated", where=scan.name, todo="Paint it on two slices at least, some slices apart")
        if self.found is None:
            self.look()
            raise InvalidInputError("the annotated slices are still being looked for", where=scan.name, todo="Try again in a moment")
        used, axis = self.used(), self.axis
        if len(used) < 2 or not self.gaps():
            todo = "Paint it on another slice, some slices away, or choose another plane"
            raise InvalidInputError(f"there is nothing between the annotated {PLANES[axis]} slices of {name}", where=scan.name, todo=todo)
        follow, value, labels = session.interpolation.follow, session.chosen, scan.labels
        parameters = {"slices": used, "axis": axis, "image": follow, "value": value}
        preview = Preview(
            scan.fresh_map(), TITLE, (session.label_class,), made=Making("interpolate", parameters=parameters),
            keeps_values=True, replaces=True,
        )
        session.show_preview(scan, preview, tool=session.tool)

        def done() -> None:
            preview.finished = True

        image, spacing = scan.display.array, scan.display.geometry.spacing
        session.fill(scan, preview, f"Filling {self.gaps()} slices", lambda: filled(labels, image, spacing, value, used, axis, follow), done)

    def _on_closed(self, scan: Scan) -> None:
        if self._found is not None and self._found[0] is scan:
            self._found = None

    def _stale(self, scan: Scan, boxes: object) -> None:
        if scan is self._session.current and boxes != ():
            self._session.jobs.dispatch(self.look)  # later: some of napari's tools tell before they write


def filled(
    labels: Array, image: Array, spacing: tuple[float, float, float], value: int, slices: list[int], axis: int, follow: bool,
) -> Iterator[Patch]:
    """One class interpolated between slices along an axis, on a crop around it, gap by gap; each patch is all that the class then holds."""
    from napari_medseg.weaklabel.interpolate import interpolating

    mask = (labels == value).view(np.uint8)
    inner = around(mask)
    if inner is None:
        raise NoLabelsError("no slice is annotated", where="interpolation", todo="Paint the organ on two slices at least")
    box = _crop(inner, labels.shape, spacing, slices, axis)
    here = [index - box[axis].start for index in slices]
    had, voxel_ml = int(np.count_nonzero(mask[box])), float(np.prod(spacing)) / 1000
    for step in interpolating(mask[box], spacing, here, image=image[box] if follow else None, axis=axis):
        between = int(np.count_nonzero(step.labels)) - had
        found = np.asarray(step.labels > 0, np.uint8) * np.uint8(value)
        yield Patch(box, found, step.fraction, f"{between * voxel_ml:.3g} ml between {len(slices)} slices")


def _crop(inner: Box, shape: tuple[int, ...], spacing: tuple[float, float, float], slices: list[int], axis: int) -> Box:
    sides = []
    for each, (side, size, step) in enumerate(zip(inner, shape, spacing, strict=True)):
        far = int(np.ceil(AROUND_MM / step))
        if each == axis:
            sides.append(slice(min(side.start, slices[0]), max(side.stop, slices[-1] + 1)))
        else:
            sides.append(slice(max(0, side.start - far), min(size, side.stop + far)))
    return sides[0], sides[1], sides[2]
