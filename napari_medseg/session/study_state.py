"""What is known of the open study, for views to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from psygnal import Signal

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import CaseClaimedError, InvalidInputError, MedsegError
from napari_medseg.session import preferences
from napari_medseg.session.cases import Amount, Order, arranged
from napari_medseg.session.making import Making
from napari_medseg.session.pictures import Found, Picture
from napari_medseg.session.snapshots import Snapshots
from napari_medseg.session.state import Scan, open_scan
from napari_medseg.session.store_thread import StoreThread
from napari_medseg.session.study_refinement import Proposal, by_hand
from napari_medseg.session.work_clock import WorkClock
from napari_medseg.volume import BoolArray, Volume

if TYPE_CHECKING:
    from napari_medseg.project import Case, Project, Version
    from napari_medseg.session.autosave import Autosave
    from napari_medseg.session.session import Session

T = TypeVar("T")
Saved = Literal["", "changed", "saving", "autosaved", "saved", "failed"]


@dataclass(frozen=True, slots=True)
class Locked:
    """A study somebody else writes to."""

    folder: Path
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Latest:
    """Labels of a case as they were left.

    Attributes
    ----------
    versions : list of Version
    labels : LabelMap or None
        The latest version's, or the unsaved work on top of one; None when there is neither.
    parent : int or None
        The version they go on from.
    unsaved : bool
        Whether they hold work that is in no version.
    by_hand : bool (z, y, x) or None
        Where a person painted on them, in the file's voxel order.
    taken : str
        Who else works on the case; "" for nobody.
    """

    versions: list[Version]
    labels: LabelMap | None
    parent: int | None
    unsaved: bool
    by_hand: BoolArray | None = None
    taken: str = ""


def latest(project: Project, case_id: str, *, saved_only: bool = False) -> Latest:
    """How a case was left, or its latest version only; called on the store thread."""
    versions = project.versions(case_id)
    painted, saved = by_hand(project, case_id), project.labels(case_id) if versions else None
    if not project.readonly and not saved_only and project.case(case_id).has_unsaved:
        for unsaved in project.unsaved():
            if unsaved.case == case_id:
                left = project.recover(case_id)
                before = np.zeros_like(left.array) if saved is None else saved.array
                drawn = np.asarray(left.array != before)  # what is in no version was drawn
                return Latest(versions, left, unsaved.parent, unsaved=True, by_hand=drawn if painted is None else drawn | painted)
    return Latest(versions, saved, versions[-1].number if versions else None, unsaved=False, by_hand=painted)


class StudyState:
    """What is known of the project a session works in.

    Attributes
    ----------
    folder : Path or None
        Of the open study; None when there is none.
    title : str
    readonly : bool
        Opened only to look: what is drawn stays in memory.
    cases : list of Case
        All, as they were last told by the project.
    amounts : dict
        By case id, how many labels its latest version holds and how much of them.
    thumbnails : dict
        By case id; in memory only.
    current : str
        Id of the case in work; "" for none.
    versions : list of Version
        Of the current case, the latest last.
    found : list of Found
        Unsaved work that waits for a decision.
    locked : Locked or None
        A study that could not be opened because somebody else has it.
    busy : str
        What is being done beside the window; "" for nothing.
    proposals : dict
        By case id, a round's labels that wait until the case is opened.
    shared : bool
        Whether a team works in it at once.
    taken : str
        Who else works on the current case, so that what is drawn here is not kept; "" for nobody.
    saved : str
        How far the current case's labels have come: "changed", "saving", "autosaved", "saved", "failed".
    order : Order
        Filter and sort of the table.
    preferences : Preferences
    pictured : signal of str
        The thumbnail of that case is there.
    prepare, present, dismiss : callable
        Turn a volume into what the view needs (beside the window), show it and return its scan, take a scan away. A view replaces them.
    """

    pictured = Signal(str)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.folder: Path | None = None
        self.title = ""
        self.readonly = False
        self.cases: list[Case] = []
        self.amounts: dict[str, Amount] = {}
        self.thumbnails: dict[str, Picture] = {}
        self.current = ""
        self.versions: list[Version] = []
        self.found: list[Found] = []
        self.locked: Locked | None = None
        self.busy = ""
        self.shared = False
        self.taken = ""
        self.saved: Saved = ""
        self.proposals: dict[str, Proposal] = {}
        self.order = Order()
        self.preferences = preferences.load()
        self.clock = WorkClock()
        self.prepare: Callable[[Volume], Any] = lambda volume: volume
        self.present: Callable[[Any], Scan] = lambda prepared: session.open(open_scan(prepared))
        self.dismiss: Callable[[Scan], None] = session.close
        dispatch = session.jobs.dispatch
        self._snapshots = Snapshots()
        self._store = StoreThread("medseg store", dispatch, session.report)
        self._reader = StoreThread("medseg reader", dispatch, session.report)
        self._project: Project | None = None
        self._autosave: Autosave | None = None
        self._edited: dict[str, Making] = {}
        self._unwritten: set[str] = set()
        self._asked = 0
        self._attaching = False
        self._heading = ""
        self._away = False
        self._wanted_pictures: set[str] = set()
        self._arranged: tuple[list[Case], Order, dict[str, Amount], list[Case]] = ([], self.order, {}, [])

    @property
    def is_open(self) -> bool:
        """Whether there is a study."""
        return self.folder is not None

    @property
    def scan(self) -> Scan | None:
        """The open scan of the current case."""
        return next((scan for scan in self.session.scans if self.current and scan.case == self.current), None)

    @property
    def project(self) -> Project | None:
        """What the study is on disk, when it can be written to; its methods may be called from any thread."""
        return None if self.readonly else self._project

    def beside(self, work: Callable[[Project], T], done: Callable[[T], None]) -> None:
        """Ask the project something, or have it do something, on the thread that it has for itself and after all that was asked for before."""
        project = self._project
        if project is not None:
            self._store.submit(lambda: work(project), done, self._gave_up)

    def case(self, case_id: str) -> Case | None:
        """A case by its id."""
        return next((case for case in self.cases if case.id == case_id), None)

    def rows(self) -> list[Case]:
        """The cases the table shows, in its order; the same list until something of it changes."""
        cases, order, amounts, rows = self._arranged
        if cases is not self.cases or order is not self.order or amounts is not self.amounts:
            rows = arranged(self.cases, self.order, self.amounts)
            self._arranged = self.cases, self.order, self.amounts, rows
        return rows

    def arrange(self, **values: Any) -> None:
        """Change the filter or the order of the table."""
        self.order = replace(self.order, **values)
        self._tell()

    def _amount(self, version: Version) -> Amount:
        case = self.case(version.case)
        voxels = {int(value): count for value, count in version.voxels.items() if int(value) and count}
        return Amount(len(voxels), sum(voxels.values()) * (case.geometry.voxel_ml if case is not None else 0.0), frozenset(voxels))

    def _gave_up(self, error: MedsegError) -> None:
        self.busy = self._heading = ""
        self.session.report(error)
        self._tell()

    def _scan(self) -> Scan | None:
        """The current case's scan with labels, in a study that can be written; else says what is missing."""
        if self._writable() is None:
            return None
        if self._is_taken(self.current):
            return None
        scan = self.scan
        if scan is not None and not scan.has_labels and scan.preview is not None and not scan.preview.is_empty:
            self.session.report(InvalidInputError("what is outlined is not accepted yet", where=scan.name, todo="Accept it first (K)"))
            return None
        if scan is None or not scan.has_labels:
            self.session.report(InvalidInputError("there is no label yet", where="Cases", todo="Open a case and make a label first"))
            return None
        return scan

    def _writable(self) -> Project | None:
        if self._project is None or self.readonly:
            what, todo = ("was opened only to look", "Close it where it is worked on, then open it again") if self.readonly else (
                "no study is open", "Open a study, or begin one, in the Cases dock")
            self.session.report(InvalidInputError(what, where=self.title or "Cases", todo=todo))
            return None
        return self._project

    def _is_taken(self, case_id: str) -> bool:
        """Whether somebody else works on a case that is open here; says so."""
        if not self.taken or case_id != self.current:
            return False
        todo = "Wait until it is free, then open it again in the Cases dock"
        self.session.report(CaseClaimedError(f"is being worked on by {self.taken}; what you draw is not kept", where=self.current, todo=todo))
        return True

    def _tell(self) -> None:
        self.session.changed.emit()
