"""The rulers of the open scans: drawn click by click, moved, named, taken back with everything else, and kept with the case in a study."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

from napari_medseg.annotation.prompts import PointLPS
from napari_medseg.annotation.rulers import Ruler, as_csv
from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.session.history import Box
from napari_medseg.session.state import Scan

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

Kind = Literal["ruler", "angle"]
KINDS: tuple[Kind, ...] = ("ruler", "angle")
CLICKS: dict[Kind, int] = {"ruler": 2, "angle": 3}


@dataclass(frozen=True, slots=True, eq=False)
class RulerStep:
    """A change of a scan's rulers, for its undo log."""

    scan: Scan
    before: tuple[Ruler, ...]
    after: tuple[Ruler, ...]

    @property
    def nbytes(self) -> int:
        """Memory it holds; next to nothing."""
        return 0

    @property
    def boxes(self) -> tuple[Box, ...]:
        """It changes no label."""
        return ()

    @property
    def gained(self) -> Counter[int]:
        """It changes no label."""
        return Counter()

    def undo(self) -> None:
        """The rulers of before."""
        self.scan.rulers = self.before

    def redo(self) -> None:
        """The rulers of after."""
        self.scan.rulers = self.after


class Rulers:
    """The rulers of a session.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    places : tuple of LPS points
        Clicked so far of the one that is being drawn.
    chosen : int
        Index of the one that is chosen in the list; -1 for none.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.places: tuple[PointLPS, ...] = ()
        self.chosen = -1
        self._kept: WeakKeyDictionary[Scan, tuple[Ruler, ...]] = WeakKeyDictionary()
        self._asked: WeakKeyDictionary[Scan, str] = WeakKeyDictionary()
        self._armed = ""
        self._of: Scan | None = None
        session.changed.connect(self._follow)

    @property
    def kind(self) -> Kind | None:
        """What is being drawn; None while neither tool is in the hand."""
        return next((kind for kind in KINDS if kind == self._session.tool), None)

    def of(self, scan: Scan | None) -> tuple[Ruler, ...]:
        """The rulers of a scan."""
        return () if scan is None else scan.rulers

    def arm(self, kind: Kind) -> None:
        """Take the ruler or the angle in the hand, or put it down.

        Raises
        ------
        InvalidInputError
            When no scan is open.
        """
        self._session.ready()
        self.places = ()
        self._session.set(tool="" if self._session.tool == kind else kind)

    def click(self, place: PointLPS) -> None:
        """The next place of what is being drawn; with the last one it is a ruler.

        Raises
        ------
        InvalidInputError
            When two clicks are at the same place.
        """
        kind, scan = self.kind, self._session.ready()
        if kind is None:
            return
        places = (*self.places, place)
        if len(places) < CLICKS[kind]:
            self.places = places
            self._session.changed.emit()
            return
        made = Ruler(places)
        self.places = ()
        self._session.act()
        self._change(scan, (*scan.rulers, made))
        self.chosen = len(scan.rulers) - 1
        self._session.changed.emit()

    def move(self, scan: Scan, index: int, end: int, place: PointLPS) -> None:
        """Move one of a ruler's places; one step to take back.

        Raises
        ------
        InvalidInputError
            When it would lie on another one.
        """
        ruler = scan.rulers[index]
        places = tuple(place if at == end else old for at, old in enumerate(ruler.places))
        self._replace(scan, index, replace(ruler, places=places))

    def rename(self, scan: Scan, index: int, name: str) -> None:
        """Call a ruler something."""
        if 0 <= index < len(scan.rulers) and scan.rulers[index].name != name.strip():
            self._replace(scan, index, replace(scan.rulers[index], name=name.strip()))

    def remove(self, scan: Scan, index: int) -> None:
        """Delete a ruler; Ctrl+Z brings it back."""
        if 0 <= index < len(scan.rulers):
            self._change(scan, scan.rulers[:index] + scan.rulers[index + 1:])
            self.chosen = min(self.chosen, len(scan.rulers) - 1)
            self._session.changed.emit()

    def choose(self, index: int) -> None:
        """Choose one in the list, or none with -1."""
        if index != self.chosen:
            self.chosen = index
            self._session.changed.emit()

    def save(self, path: Path) -> None:
        """Write the current scan's rulers as CSV, or as JSON by the name's ending; a fault becomes `problem`."""
        from napari_medseg.io.atomic import replacing

        session, scan = self._session, self._session.current
        rulers = self.of(scan)
        try:
            if not rulers:
                raise InvalidInputError("there is no ruler to save", where="Rulers", todo="Draw one first")
            text = as_csv(rulers) if path.suffix.lower() != ".json" else json.dumps([each.as_dict() for each in rulers], indent=1)
            with replacing(path) as new:
                new.write_text(text, "utf-8", newline="")
        except MedsegError as error:
            session.report(error)
            return
        session.notice = f"Saved {path.name}"
        session.changed.emit()

    def _replace(self, scan: Scan, index: int, ruler: Ruler) -> None:
        if scan.rulers[index] != ruler:
            self._session.act()
            self._change(scan, (*scan.rulers[:index], ruler, *scan.rulers[index + 1:]))
            self._session.changed.emit()

    def _change(self, scan: Scan, after: tuple[Ruler, ...]) -> None:
        step = RulerStep(scan, scan.rulers, after)
        scan.rulers = after
        scan.keep(step)

    def _follow(self) -> None:
        """What was begun with another tool or on another scan is dropped; what changed is kept in the study, what it kept comes back."""
        scan = self._session.current
        if self.places and (self.kind is None or self._armed != self._session.tool or scan is not self._of):
            self.places = ()
        if scan is not self._of:
            self.chosen = -1
        self.chosen = min(self.chosen, len(self.of(scan)) - 1)
        self._armed, self._of = self._session.tool, scan
        if scan is not None and scan.case:
            self._keep(scan)

    def _keep(self, scan: Scan) -> None:
        study, place = self._session.study, f"{self._session.study.folder} {scan.case}"
        if self._asked.get(scan) != place:
            self._asked[scan] = place
            self._kept.pop(scan, None)
            study.fetch_rulers(scan.case, lambda found: self._fetched(scan, found))
        elif scan in self._kept and self._kept[scan] != scan.rulers:
            self._kept[scan] = scan.rulers
            study.keep_rulers(scan.case, scan.rulers)

    def _fetched(self, scan: Scan, found: tuple[Ruler, ...]) -> None:
        """What the study kept; what was drawn meanwhile stands behind it."""
        self._kept[scan] = found
        scan.rulers = found + tuple(each for each in scan.rulers if each not in found)
        self._session.changed.emit()
