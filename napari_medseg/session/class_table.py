"""The table of classes: names of files, colour, sight, lock, and taking a class out. What is locked or hidden belongs to the study and is kept in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.annotation import LabelClass, palette
from napari_medseg.annotation.classes import Colour
from napari_medseg.errors import InvalidInputError
from napari_medseg.session import by_hand
from napari_medseg.session.history import Step, difference, together
from napari_medseg.session.naming import merged_classes
from napari_medseg.session.state import Scan
from napari_medseg.session.undoing import ClassChanged, Seeded

if TYPE_CHECKING:
    from napari_medseg.session.session import Session


class ClassTable:
    """How the classes of a session are treated.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    locked : frozenset of int
        Classes that no tool changes.
    hidden : frozenset of int
        Classes whose accepted labels are not drawn.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.locked: frozenset[int] = frozenset()
        self.hidden: frozenset[int] = frozenset()
        self._gone: dict[int, LabelClass] = {}
        session.labels_changed.connect(self._on_labels)

    @property
    def removed(self) -> tuple[LabelClass, ...]:
        """Classes that were taken out; their values are given to no other while their voxels may come back."""
        return tuple(self._gone.values())

    def name(self, value: int) -> str:
        """What a class is called."""
        return next((c.name for c in self._session.classes if c.value == value), f"label {value}")

    def rename(self, value: int, name: str) -> None:
        """Give a class another name; an empty one is refused."""
        self._change(value, name=name.strip())
        self._session.classes_changed.emit()
        self._session.changed.emit()

    def add(self, classes: Iterable[LabelClass]) -> None:
        """Put those into the table whose values are not in it."""
        known = {c.value for c in self._session.classes}
        self._session.classes += [c for c in classes if c.value not in known]
        self._session.classes_changed.emit()

    def find(self, scan: Scan) -> None:
        """Put the values into the table that a scan's labels hold and nobody named."""
        known = {c.value for c in self._session.classes}
        fresh = sorted(v for v in scan.voxels if 0 < v < 255 and v not in known)
        if fresh:
            colours = palette(max(fresh))
            self.add(LabelClass(v, f"Class {v}", colours[v - 1]) for v in fresh)

    def learn(self, classes: Sequence[LabelClass]) -> None:
        """Names and colours that a file brings; what is in use here keeps its own."""
        session = self._session
        used = {value for scan in session.scans for value in (*(v for v, count in scan.voxels.items() if v and count > 0), *scan.seeds)}
        merged, notes = merged_classes(session.classes, classes, used)
        if merged != session.classes:
            session.classes = merged
            session.chosen = session.chosen if any(c.value == session.chosen for c in merged) else merged[0].value
            session.classes_changed.emit()
        session.notice = "; ".join(notes) or session.notice

    def lock(self, value: int, on: bool) -> None:
        """No tool changes the class from now on, or tools may again."""
        if (value in self.locked) is not on:
            self.locked = self.locked | {value} if on else self.locked - {value}
            what = "is locked: no tool changes it" if on else "is unlocked"
            self._tell(f"{self.name(value)} {what}")

    def refuse_drawing(self, value: int) -> None:
        """Somebody drew with a locked class, or filled one."""
        self._session.trouble = f"{self.name(value)} is locked; unlock it in the table of labels to change it"
        self._session.changed.emit()

    def show(self, value: int, on: bool) -> None:
        """Draw the accepted labels of a class, or do not."""
        if (value not in self.hidden) is not on:
            self.hidden = self.hidden - {value} if on else self.hidden | {value}
            self._tell(f"{self.name(value)} is {'shown' if on else 'hidden; its voxels stay as they are'}")

    def show_only(self, value: int) -> None:
        """Hide every other class; a second time all are shown again."""
        others = frozenset(c.value for c in self._session.classes if c.value != value)
        alone = self.hidden == others and bool(others)
        self.hidden = frozenset() if alone else others
        self._tell("All labels are shown" if alone else f"Only {self.name(value)} is shown")

    def recolour(self, value: int, colour: Colour) -> None:
        """Give a class another colour."""
        self._change(value, colour=colour)
        self._tell("")

    def refuse(self, value: int) -> str:
        """Why a class cannot be taken out; "" when it can."""
        session = self._session
        if len(session.classes) < 2:
            return "It is the only label; rename it instead"
        if value in self.locked:
            return f"{self.name(value)} is locked; unlock it first"
        cases = [session.study.case(case) for case, amount in session.study.amounts.items() if value in amount.values and case != session.study.current]
        names = [case.name for case in cases if case is not None]
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"{self.name(value)} is in other cases of the study ({names[0]}{more}); rename it instead"
        return ""

    def remove(self, value: int) -> None:
        """Take a class out of the table, and its voxels out of the open scans; Ctrl+Z brings both back.

        Raises
        ------
        InvalidInputError
            When it is locked, the only one, or in other cases of the study.
        """
        session, why = self._session, self.refuse(value)
        if why:
            raise InvalidInputError(why[0].lower() + why[1:], where=f"Delete {self.name(value)}")
        gone = next(c for c in session.classes if c.value == value)
        row = session.classes.index(gone)
        self._take_out(gone)
        self.hidden -= {value}
        for scan in session.scans:
            self._clear(scan, gone, row)
        self._tell(f"Deleted {gone.name}" + ("; Ctrl+Z brings it back" if session.scans else ""))

    def log(self, before: LabelClass | None, after: LabelClass | None) -> None:
        """A label was added or changed: a step of the current scan's log, if there is one."""
        session, one = self._session, after or before
        if session.current is not None and one is not None and before != after:
            session.current.history.push(ClassChanged(session, session.current, before, after, [c.value for c in session.classes].index(one.value)))

    def put(self, scan: Scan, now: LabelClass | None, wanted: LabelClass | None, row: int) -> None:
        """A step of a scan's log: the label is in the table as it was; one that was not there is taken out again, unless others use it meanwhile."""
        session = self._session
        one = wanted or now
        if one is None:
            return
        if wanted is None:
            used = any(other.voxels[one.value] > 0 or one.value in other.seeds for other in session.scans if other is not scan)
            if not used and not self.refuse(one.value) and any(c.value == one.value for c in session.classes):
                self._take_out(one)
        elif any(c.value == wanted.value for c in session.classes):
            session.classes = [wanted if c.value == wanted.value else c for c in session.classes]
        else:
            session.classes = [*session.classes[:row], wanted, *session.classes[row:]]
            self._gone.pop(wanted.value, None)
        self._tell("")

    def as_dict(self) -> dict[str, list[int]]:
        """What a study keeps of it."""
        return {"locked": sorted(self.locked), "hidden": sorted(self.hidden), "gone": sorted(self._gone)}

    def take(self, kept: Mapping[str, Any], classes: Iterable[LabelClass]) -> tuple[LabelClass, ...]:
        """Treat a study's classes as it says, and return those that are in the table; what is no list of class values counts as none."""
        locked, hidden, gone = (_values(kept.get(key)) for key in ("locked", "hidden", "gone"))
        self.locked, self.hidden = locked, hidden
        known = tuple(classes)
        self._gone = {c.value: c for c in known if c.value in gone}
        return tuple(c for c in known if c.value not in gone) or known

    def _change(self, value: int, **values: Any) -> None:
        session = self._session
        before = next((c for c in session.classes if c.value == value), None)
        if before is not None:
            after = replace(before, **values)
            session.classes = [after if c is before else c for c in session.classes]
            self.log(before, after)

    def _take_out(self, one: LabelClass) -> None:
        """Its voxels may come back, so that its value is nobody else's."""
        session = self._session
        self._gone[one.value] = one
        session.classes = [c for c in session.classes if c.value != one.value]
        if session.chosen == one.value:
            session.chosen = session.classes[0].value

    def _clear(self, scan: Scan, gone: LabelClass, row: int) -> None:
        """What a scan holds of a label goes with it, in one step of the scan's log."""
        session, labels, value = self._session, scan.labels, gone.value
        change = ClassChanged(session, scan, gone, None, row)
        steps: list[Step] = []
        if value in scan.seeds:
            left = {other: points for other, points in scan.seeds.items() if other != value}
            steps.append(Seeded(session, scan, scan.seeds, left))
        step = difference(labels, np.where(labels == value, labels.dtype.type(0), labels)) if labels is not None and scan.voxels[value] > 0 else None
        if step is not None:
            steps.append(step)
        for each in steps:
            each.redo()
        if step is not None:
            steps[-1] = by_hand.painted(scan, step)
            scan.is_saved = False
        if steps or scan is session.current:
            scan.keep(together((*steps, change)) or change)
        if step is not None:
            session.labels_changed.emit(scan, step.box)
            session.edited.emit(scan, step.boxes)

    def _on_labels(self, scan: Scan, box: object) -> None:
        """Voxels of a class that had been taken out are back, by undo or in an earlier version: so is the class."""
        back = [value for value in self._gone if scan.voxels[value] > 0]
        if not back:
            return
        session = self._session
        taken = {c.value for c in session.classes}
        session.classes += [self._gone[value] for value in back if value not in taken]
        for value in back:
            del self._gone[value]
        session.classes_changed.emit()

    def _tell(self, notice: str) -> None:
        session = self._session
        session.notice, session.trouble = notice or session.notice, ""
        session.classes_changed.emit()
        session.changed.emit()


def _values(found: object) -> frozenset[int]:
    return frozenset(v for v in found if isinstance(v, int)) if isinstance(found, list) else frozenset()
