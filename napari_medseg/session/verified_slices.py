"""Slices that a person marks as right: in a study for good, for other open scans while they are open.

A slice that is marked is a fact: it teaches, or it checks what was learnt, by the side its patient was put on once. No proposal changes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.annotation import Side
from napari_medseg.annotation import sides as dealt
from napari_medseg.errors import InvalidInputError
from napari_medseg.session import by_hand
from napari_medseg.session.state import Scan, source_labels
from napari_medseg.session.study_refinement import Checks
from napari_medseg.session.undoing import SliceMarked
from napari_medseg.volume import Array, AxisMap, BoolArray, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from napari_medseg.project import Project, VerifiedSlice
    from napari_medseg.session.session import Session
    from napari_medseg.session.study import Study

UNKNOWN = 255
Place = tuple[int, int]
"""Axis and index in the file's voxel order."""


@dataclass(frozen=True, slots=True)
class _Marks:
    """What the study knows: places by case, sides by case, and how many patients they are of."""

    places: dict[str, frozenset[Place]]
    sides: dict[str, Side]
    patients: int


class VerifiedSlices:
    """The marks of a session's scans.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._loose: WeakKeyDictionary[Scan, dict[Place, Array]] = WeakKeyDictionary()
        self._dealt: WeakKeyDictionary[Scan, Side] = WeakKeyDictionary()
        self._stored = _Marks({}, {}, 0)
        self._folder: Path | None = None
        self._cases: object = None
        session.changed.connect(self._look)

    # -- marking ---------------------------------------------------------------------------------------------------------------------------------------

    def toggle(self, index: int | None = None, axis: int = 0) -> None:
        """Mark a slice of the current scan as right, or take its mark back.

        Parameters
        ----------
        index : int, optional
            On the display grid; the slice in view when not given.
        axis : int
            Of the display grid.

        Raises
        ------
        InvalidInputError
            When no scan is open, it holds no labels, no slice is in view, or the scan is shown resampled.
        """
        scan = self._session.ready()
        index = self._session.in_view if index is None else index
        on = self._place(scan, axis, index) not in self._places(scan)
        self.put(scan, axis, index, on=on)
        scan.history.push(SliceMarked(self._session, scan, axis, int(index or 0), on))

    def put(self, scan: Scan, axis: int, index: int | None, *, on: bool) -> None:
        """Mark a slice of a scan as right, or take its mark away, without a step of the scan's log; raises as `toggle` does."""
        place = self._place(scan, axis, index)
        if on is (place in self._places(scan)):
            return
        if on:
            self._mark(scan, place, axis, int(index or 0))
        else:
            self._unmark(scan, place)

    def _mark(self, scan: Scan, place: Place, axis: int, index: int) -> None:
        if scan.labels is None:
            raise InvalidInputError("there is no label yet", where=scan.name, todo="Make a label first; a slice can be right without any, but a scan cannot")
        shown = scan.labels.take([index], axis)
        plane = scan.axes.undo(shown)
        if not scan.case:
            self._loose.setdefault(scan, {})[place] = plane.copy()
            self._dealt[scan] = self._dealt.get(scan) or self._next_side(scan)
            self._say(f"Slice {index} is right; it {self._purpose(self._dealt[scan])}")
            return
        study, case = self._writable(), scan.case
        study.settle()

        def work(project: Project) -> _Marks:
            saved = project.labels(case).array.take([place[1]], place[0])
            if not np.array_equal(saved, plane):
                raise InvalidInputError(f"slice {index} could not be saved, so it is not marked", where=scan.name, todo="Save the labels, then mark it again")
            project.mark_slice(case, *place)
            return _stored(project)

        def done(marks: _Marks) -> None:
            self._stored = marks
            self._say(f"Slice {index} is right; it {self._purpose(marks.sides.get(case, 'check'))}")

        study.beside(work, done)

    def _unmark(self, scan: Scan, place: Place) -> None:
        if not scan.case:
            self._loose[scan].pop(place, None)
            self._say("The slice is not marked any more")
            return
        study, case = self._writable(), scan.case

        def work(project: Project) -> _Marks:
            project.unmark_slice(case, *place)
            return _stored(project)

        def done(marks: _Marks) -> None:
            self._stored = marks
            self._say("The slice is not marked any more")

        study.beside(work, done)

    # -- what is marked --------------------------------------------------------------------------------------------------------------------------------

    def of(self, scan: Scan, axis: int = 0) -> tuple[int, ...]:
        """Marked slices along an axis of the display grid, rising; none while the scan is shown resampled."""
        axes = scan.axes
        if not isinstance(axes, AxisMap):
            return ()
        length, along = scan.display.geometry.shape[axis], axes.order[axis]
        found = [index for stored, index in self._places(scan) if stored == along]
        return tuple(sorted(length - 1 - index if axes.flipped[axis] else index for index in found))

    def locked(self, scan: Scan) -> BoolArray | None:
        """Voxels (z, y, x) on the display grid that no proposal may change: marked slices, and what a person painted; None for none."""
        kept = by_hand.settled(scan, self.of(scan))
        for axis in (1, 2):
            for index in self.of(scan, axis) if scan.labels is not None else ():
                kept = np.zeros(scan.display.geometry.shape, bool) if kept is None else kept
                kept[(slice(None),) * axis + (index,)] = True
        return kept

    def side(self, scan: Scan) -> Side | None:
        """Whether what is verified of this scan's patient teaches or checks; None while nothing is."""
        if not self._places(scan):
            return None
        return self._stored.sides.get(scan.case) if scan.case else self._dealt.get(scan)

    def by_case(self) -> dict[str, int]:
        """How many slices of each case of the study are marked."""
        return {case: len(places) for case, places in self._stored.places.items()}

    def count(self) -> tuple[int, int]:
        """Marked slices and the patients they are of: of the study, or of the open scans when there is none."""
        if self._session.study.is_open:
            return sum(self.by_case().values()), self._stored.patients
        marked = Counter({scan: len(self._loose.get(scan, {})) for scan in self._session.scans})
        return marked.total(), len(+marked)

    def checks(self, scans: Iterable[tuple[Scan, str]]) -> Checks:
        """What is verified of open scans that are in no study, under the names of their cases."""
        verified: dict[str, Volume] = {}
        sides: dict[str, Side] = {}
        for scan, name in scans:
            marks = self._loose.get(scan)
            if marks:
                known = np.full(scan.geometry.shape, UNKNOWN, np.uint8)
                for (axis, index), plane in marks.items():
                    known[(slice(None),) * axis + (slice(index, index + 1),)] = plane
                verified[name], sides[name] = Volume(known, scan.geometry, name=name), self._dealt[scan]
        return Checks(verified, {name: name for name in verified}, sides)

    def untouched(self, scan: Scan) -> Volume:
        """A scan's accepted labels on its file's grid, without what a person painted in slices that check: 255 there, since a check must not be learnt from."""
        labels = source_labels(scan)
        painted = scan.by_hand
        if scan.case or painted is None or self._dealt.get(scan) != "check":
            return labels
        known = self.checks([(scan, scan.name)]).verified.get(scan.name)
        hidden = np.zeros(scan.geometry.shape, bool) if known is None else (known.array != UNKNOWN) & (scan.axes.undo(painted) > 0)
        return labels.like(np.where(hidden, UNKNOWN, labels.channel()).astype(labels.array.dtype))

    # -- inside ----------------------------------------------------------------------------------------------------------------------------------------

    def _places(self, scan: Scan) -> frozenset[Place]:
        return self._stored.places.get(scan.case, frozenset()) if scan.case else frozenset(self._loose.get(scan, ()))

    def _place(self, scan: Scan, axis: int, index: int | None) -> Place:
        """A slice of the display grid in the file's voxel order."""
        if not isinstance(scan.axes, AxisMap):
            todo = "Show it as it is stored, then mark the slice"
            raise InvalidInputError("is shown on the patient's axes, so that no slice on screen is one of the file", where=scan.name, todo=todo)
        length = scan.display.geometry.shape[axis]
        if index is None or not 0 <= index < length:
            raise InvalidInputError("no slice is in view", where=scan.name, todo="Look at the slice in 2D, then mark it")
        return scan.axes.order[axis], length - 1 - index if scan.axes.flipped[axis] else index

    def _writable(self) -> Study:
        study = self._session.study
        if study.project is None:
            raise InvalidInputError("was opened only to look", where=study.title, todo="Close it where it is worked on, then open it again")
        return study

    def _next_side(self, scan: Scan) -> Side:
        """The side of a scan that is in no study: the first one checks, then they are dealt as in a study."""
        taken: dict[str, Side] = {f"{number}": side for number, side in enumerate(self._dealt.values())}
        new = f"{len(taken)} {scan.name}"
        return dealt([new], taken)[new]

    def _look(self) -> None:
        """The study is another one, or its versions changed, by which later corrections take the place of what was marked."""
        study = self._session.study
        if study.folder == self._folder and study.cases is self._cases:
            return
        if study.folder != self._folder:
            self._stored = _Marks({}, {}, 0)
        self._folder, self._cases = study.folder, study.cases
        folder = study.folder

        def done(marks: _Marks) -> None:
            if folder == self._session.study.folder and marks != self._stored:
                self._stored = marks
                self._session.changed.emit()

        study.beside(_stored, done)

    def _say(self, notice: str) -> None:
        self._session.trouble, self._session.notice = "", notice
        self._session.changed.emit()

    @staticmethod
    def _purpose(side: Side) -> str:
        return "teaches the next round" if side == "teach" else "checks every round, and none learns from it"


def _stored(project: Project) -> _Marks:
    """Marks and sides of a study; called on its thread."""
    marks: list[VerifiedSlice] = project.verified_slices()
    places: dict[str, frozenset[Place]] = {}
    for mark in marks:
        places[mark.case] = places.get(mark.case, frozenset()) | {(mark.axis, mark.index)}
    return _Marks(places, project.sides(), len(set(project.patients(places).values())))
