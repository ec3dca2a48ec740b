"""The open study: its cases, what is saved of them and when, and the way from one to the next. No Qt.

Everything that touches the project runs on one thread, in order; everything here runs on the owner's. Nothing counts as saved before it is on the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from psygnal import Signal

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import InvalidInputError, MedsegError, ProjectLockedError, UnwritableFileError
from napari_medseg.session import pictures, preferences
from napari_medseg.session.cases import Amount, Order, arranged, neighbour
from napari_medseg.session.history import change
from napari_medseg.session.making import Making, brush
from napari_medseg.session.pictures import Found, Picture
from napari_medseg.session.state import Preview, Scan, full_box, labels_for, labels_in_file, open_scan
from napari_medseg.session.store_thread import StoreThread
from napari_medseg.session.study_refinement import Waiting
from napari_medseg.session.work_clock import WorkClock
from napari_medseg.volume import LabelArray, Volume

if TYPE_CHECKING:
    from napari_medseg.project import Case, Project, Version
    from napari_medseg.session.autosave import Autosave
    from napari_medseg.session.session import Session

log = logging.getLogger(__name__)
SUFFIX = ".medseg"
CLOSING = 60.0
"""Seconds the window waits at most for work to reach the disk before it goes; the autosaved draft is there anyhow."""
Saved = Literal["", "changed", "saving", "autosaved", "saved", "failed"]


def is_study(path: Path) -> bool:
    """Whether a path is a study's folder."""
    return path.name.lower().endswith(SUFFIX) and path.is_dir()


@dataclass(frozen=True, slots=True)
class Locked:
    """A study somebody else writes to."""

    folder: Path
    why: str


class Study:
    """The project a session works in, if any.

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
        self.saved: Saved = ""
        self.proposals: dict[str, Waiting] = {}
        self.order = Order()
        self.preferences = preferences.load()
        self.clock = WorkClock()
        self.prepare: Callable[[Volume], Any] = lambda volume: volume
        self.present: Callable[[Any], Scan] = lambda prepared: session.open(open_scan(prepared))
        self.dismiss: Callable[[Scan], None] = session.close
        dispatch = session.jobs.dispatch
        self._store = StoreThread("medseg store", dispatch, session.report)
        self._reader = StoreThread("medseg reader", dispatch, session.report)
        self._project: Project | None = None
        self._autosave: Autosave | None = None
        self._edited: set[str] = set()
        self._asked = 0
        self._attaching = False
        self._wanted_pictures: set[str] = set()
        self._arranged: tuple[list[Case], Order, dict[str, Amount], list[Case]] = ([], self.order, {}, [])
        session.edited.connect(self._on_edited)
        session.accepted.connect(self._on_accepted)
        session.refined.connect(self._on_refined)
        session.scan_opened.connect(self._on_scan_opened)
        session.scan_closed.connect(self._on_scan_closed)
        session.classes_changed.connect(self._on_classes)
        session.changed.connect(self._on_session)

    # -- the study -----------------------------------------------------------------------------------------------------------------------------------

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

    def settle(self) -> None:
        """Let what was drawn up to now become versions."""
        for scan in self.session.scans:
            self._save_edited(scan)

    def wait(self) -> None:
        """Until what was to be saved is on the disk; for other threads than the owner's."""
        self._store.wait(CLOSING)

    def set_user(self, name: str) -> None:
        """Who makes the labels from now on."""
        self.preferences = preferences.set_user(name)
        project = self._project
        if project is not None:
            project.user = self.preferences.user
        self._tell()

    def create(self, folder: Path) -> None:
        """Begin a study in a new folder; scans that are open and have a file become its first cases."""
        folder = folder if folder.name.lower().endswith(SUFFIX) else folder.with_name(folder.name + SUFFIX)
        classes, user = tuple(self.session.classes), self.preferences.user

        def work() -> Project:
            from napari_medseg.project import Project

            return Project.create(folder, title=folder.name[:-len(SUFFIX)], classes=classes, user=user)

        self._begin(folder, work, fresh=True)

    def open(self, folder: Path, *, readonly: bool = False) -> None:
        """Open a study; one that somebody else writes to becomes `locked`."""
        user = self.preferences.user

        def work() -> Project:
            from napari_medseg.project import Project

            return Project.open(folder, user=user, readonly=readonly)

        self._begin(folder, work, fresh=False)

    def open_to_look(self) -> None:
        """Open the locked study without writing to it."""
        if self.locked is not None:
            self.open(self.locked.folder, readonly=True)

    def leave(self) -> None:
        """Save what is worth a version and close the study; its scan goes with it."""
        scan = self.scan
        self._put_away()
        self._release()
        if scan is not None:
            self.dismiss(scan)
        self._tell()

    def shut(self) -> bool:
        """As `leave`, when the window goes; waits for the disk. False when it took too long."""
        if self.is_open:
            self._put_away()
            self._release()
        done = self._store.close(CLOSING)
        self._reader.close(0)
        return done

    def _begin(self, folder: Path, work: Callable[[], Project], *, fresh: bool) -> None:
        if self.is_open:
            self.leave()
        self.busy, self.locked = f"Opening {folder.name}", None
        self._tell()

        def whole() -> tuple[Project, list[Case], tuple[Any, ...]]:
            project = work()
            return project, project.cases(), tuple(project.classes)

        def done(answer: tuple[Project, list[Case], tuple[Any, ...]]) -> None:
            project, cases, classes = answer
            self._enter(project, cases, classes)
            if fresh:
                for scan in list(self.session.scans):
                    self._on_scan_opened(scan)

        def failed(error: MedsegError) -> None:
            self.busy = ""
            if isinstance(error, ProjectLockedError):
                self.locked = Locked(folder, str(error))
            self.session.report(error)
            self._tell()

        self._store.submit(whole, done, failed)

    def _enter(self, project: Project, cases: list[Case], classes: tuple[Any, ...]) -> None:
        from napari_medseg.session.autosave import Autosave

        readonly = project.readonly
        self._project, self.folder, self.title, self.readonly = project, project.folder, project.title, readonly
        self.cases, self.busy, self.saved, self.current, self.versions = cases, "", "", "", []
        self._autosave = None if readonly else Autosave(project, self._store, self._on_written, self._on_unwritten)
        self.preferences = preferences.opened(project.folder)
        if classes:
            self.session.classes = list(classes)
            if all(c.value != self.session.chosen for c in classes):
                self.session.chosen = classes[0].value
            self.session.classes_changed.emit()
        self._weigh([case for case in cases if case.latest is not None])
        if not readonly:
            self._look_for_unsaved()
        self.session.trouble = ""
        self.session.notice = f"Opened {self.title}" + (" to look; what you draw is not kept" if readonly else "")
        if project.notice:
            self.session.report(UnwritableFileError(f"{project.notice}; what you draw is not kept", todo="Copy the study to where you may write"))
        self._tell()

    def _release(self) -> None:
        project, autosave = self._project, self._autosave
        self._project = self._autosave = None
        self.folder, self.title, self.readonly, self.cases, self.current, self.versions = None, "", False, [], "", []
        self.amounts, self.thumbnails, self.found, self.saved, self.proposals = {}, {}, [], "", {}
        self._edited.clear()
        self._wanted_pictures.clear()
        self._asked += 1

        def work() -> None:
            if autosave is not None:
                autosave.write_all()
                autosave.close()
            if project is not None:
                project.close()

        self._store.submit(work)

    # -- cases -------------------------------------------------------------------------------------------------------------------------------------------

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

    def step(self, by: int) -> None:
        """Open the next or the previous case of the table."""
        if not self.is_open:
            self.session.report(InvalidInputError("no study is open", where="Cases", todo="Open a study, or begin one, in the Cases dock"))
            return
        case = neighbour(self.rows(), self.current, by)
        if case is None:
            self.session.notice = "This is the last case of the list" if by > 0 else "This is the first case of the list"
            self.session.changed.emit()
        else:
            self.go(case.id)

    def add(self, paths: Iterable[Path]) -> None:
        """Add scans: files, DICOM folders, folders of files; nothing is opened."""
        project, paths = self._writable(), list(paths)
        if project is None:
            return
        self.busy = f"Adding {len(paths)} scan{'s' if len(paths) != 1 else ''}"
        self._tell()

        def work() -> tuple[int, list[MedsegError]]:
            from napari_medseg.session.gathering import scans_in

            added = 0
            faults: list[MedsegError] = []
            for path, series in scans_in(paths, faults):
                try:
                    before = len(project.cases()) if len(paths) == 1 else -1
                    project.add(path, series=series)
                    added += 1 if before < 0 else len(project.cases()) - before
                except MedsegError as error:
                    faults.append(error)
            return added, faults

        def done(answer: tuple[int, list[MedsegError]]) -> None:
            added, faults = answer
            self.busy = ""
            self.session.notice = f"Added {added} scan{'s' if added != 1 else ''}"
            if faults:
                self.session.report(faults[0])
            self._refresh()

        self._store.submit(work, done, self._gave_up)

    def go(self, case_id: str) -> None:
        """Open a case with its latest labels; the one in work is saved and put away. Unsaved work of it is taken along, nothing of it is lost."""
        project, case = self._project, self.case(case_id)
        if project is None or case is None or (case_id == self.current and self.scan is not None):
            return
        self._put_away()
        self._asked += 1
        asked, self.busy, self.session.trouble = self._asked, f"Opening {case.name}", ""
        self._tell()
        unsaved = case.has_unsaved and not self.readonly

        def fetch() -> tuple[Path, str, LabelMap | None, list[Version], int | None]:
            path, series = project.source(case_id)
            versions = project.versions(case_id)
            parent = versions[-1].number if versions else None
            if unsaved:
                parent = next((each.parent for each in project.unsaved() if each.case == case_id), parent)
            labels = project.recover(case_id) if unsaved else project.labels(case_id) if versions else None
            return path, series, labels, versions, parent

        def fetched(answer: tuple[Path, str, LabelMap | None, list[Version], int | None]) -> None:
            path, series, labels, versions, parent = answer

            def load() -> tuple[Any, Picture]:
                from napari_medseg import io

                volume = io.read(path, series=series or None)
                volume = replace(volume, name=case.name)
                return self.prepare(volume), pictures.thumbnail(volume)

            def loaded(answer: tuple[Any, Picture]) -> None:
                prepared, thumbnail = answer
                self.thumbnails[case_id] = thumbnail
                self.pictured.emit(case_id)
                if asked == self._asked and self._project is project:
                    self._show(case, prepared, labels, versions, parent, unsaved)

            if asked == self._asked:
                self._reader.submit(load, loaded, self._gave_up)

        self._store.submit(fetch, fetched, self._gave_up)

    def _show(self, case: Case, prepared: Any, labels: LabelMap | None, versions: list[Version], parent: int | None, unsaved: bool) -> None:
        before = [scan for scan in self.session.scans if scan.case]
        self._attaching = True
        try:
            scan = self.present(prepared)
            for old in before:
                self.dismiss(old)
        except MedsegError as error:
            self._gave_up(error)
            return
        finally:
            self._attaching = False
        self.session.activate(scan)
        self._attach(scan, case.id, labels, versions, parent, unsaved=unsaved)
        if unsaved:
            self._edited.add(case.id)
            self.saved = "autosaved"
            self.found = [found for found in self.found if found.case != case.id]
            self.session.notice = "Your unsaved work is back"
        else:
            self.session.notice = f"Opened {case.name}"
        self._show_proposal(scan)
        self._tell()

    def _attach(
        self, scan: Scan, case_id: str, labels: LabelMap | None, versions: list[Version], parent: int | None, *, unsaved: bool = False,
    ) -> None:
        """A scan is a case of the study from now on."""
        scan.case, self.current, self.versions, self.busy, self.saved = case_id, case_id, versions, "", "saved" if versions else ""
        autosave = self._autosave
        if autosave is not None:
            self._store.submit(lambda: autosave.begin(case_id, parent, unsaved=unsaved))
        self.clock.leave()
        self.clock.take()
        if labels is not None:
            scan.hold(labels_for(scan, labels))
            self.session.labels_changed.emit(scan, None)
        scan.is_saved = True

    def _put_away(self) -> None:
        """Before the current case is left: what was drawn since its last version becomes one, and the time is noted."""
        case, project, autosave = self.current, self._project, self._autosave
        if project is None or autosave is None:
            return
        for scan in self.session.scans:
            self._save_edited(scan)
            if scan.case and scan.preview is not None and scan.preview.made.tool == "refine" and scan.preview.finished:
                self.propose(scan.case, labels_in_file(scan, scan.preview.labels), scan.preview.title, scan.preview.made, show=False)
                scan.preview = None
        if not case:
            return
        seconds = self.clock.take()
        self.clock.leave()

        def work() -> None:
            if seconds >= 1:
                project.worked(case, seconds)
            autosave.write(case)
            autosave.leave(case)

        self._store.submit(work)

    # -- versions ------------------------------------------------------------------------------------------------------------------------------------------

    def save_version(self, name: str = "") -> None:
        """Save the labels as they are as a version, under a name of the person's own if they like."""
        scan = self._scan()
        if scan is not None:
            self._save(scan, brush(), name=name)

    def verify(self) -> None:
        """The labels are checked and good."""
        scan = self._scan()
        if scan is not None:
            self._save(scan, brush("verified"))

    def view(self, number: int) -> None:
        """Show an earlier version beside the labels; it can be accepted or discarded like any result."""
        scan, project, case = self.scan, self._project, self.current
        if scan is None or project is None:
            return
        version = next(v for v in self.versions if v.number == number)

        def done(labels: LabelMap) -> None:
            if scan not in self.session.scans:
                return
            shown = labels_for(scan, labels)
            present = {int(v) for v in np.unique(shown)} - {0}
            known = {c.value: c for c in (*version.classes, *self.session.classes)}
            classes = tuple(known[v] for v in sorted(present) if v in known) or (self.session.label_class,)
            made = Making("restore", version.kind, {"version": number})
            scan.preview = Preview(shown, f"version {number}", classes, f"{version.kind}, {version.tool}", finished=True, made=made)
            self.session.preview_changed.emit(scan, None)
            self.session.changed.emit()

        self._store.submit(lambda: project.labels(case, number), done, self._gave_up)

    def restore(self, number: int) -> None:
        """Go back to an earlier version: it becomes the latest again, and what is there now stays in the history."""
        scan, project, autosave, case = self._scan(), self._project, self._autosave, self.current
        if scan is None or project is None or autosave is None:
            return
        if case in self._edited:
            self._save(scan, brush())
        self.saved = "saving"

        def work() -> tuple[Version, LabelMap, list[Case], list[Version]]:
            version = project.restore(case, number)
            autosave.saved(case, version)
            return version, project.labels(case, version.number), project.cases(), project.versions(case)

        def done(answer: tuple[Version, LabelMap, list[Case], list[Version]]) -> None:
            version, labels, cases, versions = answer
            if scan in self.session.scans:
                now = scan.labels if scan.labels is not None else scan.hold_nothing()
                step = change(now, full_box(now), labels_for(scan, labels).astype(now.dtype))
                if step is not None:
                    scan.keep(step)
                    autosave.touch(scan, step.boxes)
                self.session.labels_changed.emit(scan, None)
            self.session.notice = f"Version {number} is back, as version {version.number}"
            self._note_saved(version, cases, versions)

        self._store.submit(work, done, self._gave_up)

    def propose(self, case_id: str, labels: LabelArray, title: str, made: Making, *, show: bool = True) -> None:
        """Labels of a case that is not open, in its file's voxel order; they wait until it is, or are shown where it was opened meanwhile."""

        def done(waiting: Waiting) -> None:
            self.proposals[case_id] = waiting
            scan = self.scan
            if show and scan is not None and scan.case == case_id:
                self._show_proposal(scan)
            self.cases = list(self.cases)
            self._tell()

        self._reader.submit(lambda: Waiting.of(labels, title, made), done)

    def _show_proposal(self, scan: Scan) -> None:
        waiting = self.proposals.pop(scan.case, None)
        if waiting is not None and scan.preview is None:
            from napari_medseg.session.engines import propose

            propose(self.session, scan, waiting.labels, waiting.title, waiting.made)
            self.session.notice = ""

    def discard_unsaved(self, case_id: str) -> None:
        """Forget unsaved work for good."""
        project = self._writable()
        if project is None:
            return

        def done(_: None) -> None:
            self.found = [found for found in self.found if found.case != case_id]
            self.session.notice = "Discarded the unsaved work; the last saved version is as it was"
            self._refresh()

        self._store.submit(lambda: project.discard_unsaved(case_id), done, self._gave_up)

    def _save(self, scan: Scan, made: Making, name: str = "") -> None:
        """Save a scan's labels as they are at this moment."""
        project, autosave, case = self._project, self._autosave, scan.case
        if project is None or autosave is None or scan.labels is None:
            return
        self._edited.discard(case)
        frozen, snapshot = copy(scan), scan.labels.copy()
        classes, seconds = tuple(self.session.classes), self.clock.take()
        self.saved = "saving" if case == self.current else self.saved

        def work() -> tuple[Version, list[Case], list[Version]]:
            array = labels_in_file(frozen, snapshot)
            if array.dtype not in (np.uint8, np.uint16):  # somebody's own layer
                array = array.astype(np.uint8 if array.max(initial=0) <= 255 else np.uint16)
            labels = LabelMap(array, frozen.geometry, name=frozen.name, classes=classes)
            arrays = {key: frozen.axes.undo(array) for key, array in made.arrays.items()}
            before = project.case(case).latest
            version = project.save(
                case, labels, kind=made.kind, tool=made.tool, parameters=dict(made.parameters), prompts=dict(made.prompts), arrays=arrays,
                parent=before, model=made.model, seconds=seconds, name=name,
            )
            autosave.saved(case, version)
            if seconds >= 1:
                project.worked(case, seconds)
            return version, project.cases(), project.versions(case)

        def done(answer: tuple[Version, list[Case], list[Version]]) -> None:
            version, cases, versions = answer
            scan.is_saved = case not in self._edited
            what = {"verified": "Verified", "corrected": "Saved your corrections"}.get(version.kind, "Saved")
            if version.kind in ("verified", "corrected"):
                self.session.notice = f"{what} as version {version.number}" + (f", {name}" if name else "")
            self._note_saved(version, cases, versions)

        def failed(error: MedsegError) -> None:
            self._edited.add(case)
            scan.is_saved = False
            self.saved = "failed" if case == self.current else self.saved
            autosave.touch(scan, None)
            self.session.report(error)
            self._tell()

        self._store.submit(work, done, failed)

    def _note_saved(self, version: Version, cases: list[Case], versions: list[Version]) -> None:
        if not self.is_open:
            return
        self.cases = cases
        self.amounts = {**self.amounts, version.case: self._amount(version)}
        if version.case == self.current:
            self.versions = versions
            self.saved = "changed" if self.current in self._edited else "saved"
        self._tell()

    # -- what the session tells ----------------------------------------------------------------------------------------------------------------------------

    def _on_edited(self, scan: Scan, boxes: Any) -> None:
        self.clock.act()
        if not scan.case or self._autosave is None:
            return
        self._autosave.touch(scan, boxes)
        if boxes is None or boxes:
            self._edited.add(scan.case)
            self.saved = "changed" if scan.case == self.current else self.saved
            self._tell()

    def _on_accepted(self, scan: Scan, made: Making) -> None:
        if scan.case:
            self._save(scan, made)

    def _on_refined(self, cases: tuple[str, ...], made: Making, figures: dict[str, Any]) -> None:
        project = self.project
        if project is not None and cases:
            self._store.submit(lambda: project.record_run("refine", parameters=dict(made.parameters), figures=figures, model=made.model, cases=cases))

    def _on_scan_opened(self, scan: Scan) -> None:
        """A scan that was dropped on the window becomes a case of the open study."""
        project, volume = self._project, scan.display
        if project is None or self.readonly or self._attaching or scan.case:
            return
        if volume.source is None:
            self.session.notice = f"{scan.name} has no file of its own and stays out of the study"
            return
        path, series, name = volume.source, volume.series, scan.name
        self._put_away()

        def work() -> tuple[Case, list[Version], LabelMap | None, list[Case]]:
            case = project.add(path, series=series, name=name)
            versions = project.versions(case.id)
            return case, versions, project.labels(case.id) if versions else None, project.cases()

        def done(answer: tuple[Case, list[Version], LabelMap | None, list[Case]]) -> None:
            case, versions, labels, self.cases = answer
            if scan not in self.session.scans or self._project is not project:
                self._tell()
                return
            drawn = scan.has_labels
            self._attach(scan, case.id, None if drawn else labels, versions, versions[-1].number if versions else None)
            if drawn:
                self._save(scan, brush())
            self._tell()

        self._store.submit(work, done, self._gave_up)

    def _on_scan_closed(self, scan: Scan) -> None:
        self._save_edited(scan)
        if scan.case and scan.case == self.current and not self._attaching:
            self.current, self.versions, self.saved = "", [], ""
            self._tell()

    def _save_edited(self, scan: Scan) -> None:
        if scan.case in self._edited and scan.labels is not None:
            self._save(scan, brush())

    def _on_classes(self) -> None:
        project = self._project
        if project is not None and not self.readonly:
            classes = tuple(self.session.classes)
            self._store.submit(lambda: project.set_classes(classes))

    def _on_session(self) -> None:
        current = self.session.current
        if current is not None and current.case and current.case != self.current:
            self.current = current.case
            self._versions_of_current()

    # -- beside the window -----------------------------------------------------------------------------------------------------------------------------------

    def want_picture(self, case_id: str) -> None:
        """A row of the table is in sight; its thumbnail is made when nothing else is to do."""
        project, case = self._project, self.case(case_id)
        if project is None or case is None or not case.is_there or case_id in self.thumbnails or case_id in self._wanted_pictures:
            return
        self._wanted_pictures.add(case_id)

        def load(path: Path, series: str) -> Picture | None:
            from napari_medseg.session.gathering import picture_of

            return picture_of(path, series)

        def loaded(picture: Picture | None) -> None:
            if picture is not None and self._project is project:
                self.thumbnails[case_id] = picture
                self.pictured.emit(case_id)

        self._store.submit(
            lambda: project.source(case_id), lambda source: self._reader.submit(lambda: load(*source), loaded, lambda error: None), lambda error: None,
        )

    def _look_for_unsaved(self) -> None:
        project = self._project
        if project is None:
            return

        def work() -> list[tuple[Any, Path, str, Any, Any]]:
            found = []
            for unsaved in project.unsaved():
                path, series = project.source(unsaved.case)
                after = project.recover(unsaved.case)
                before = project.labels(unsaved.case, unsaved.parent).array if unsaved.parent is not None else np.zeros_like(after.array)
                found.append((unsaved, path, series, before, after.array))
            return found

        def done(answer: list[tuple[Any, Path, str, Any, Any]]) -> None:
            if self._project is not project:
                return
            for unsaved, path, series, before, after in answer:
                case = self.case(unsaved.case)
                if case is None or unsaved.case == self.current:
                    continue
                ml = unsaved.voxels_changed * case.geometry.voxel_ml
                found = Found(unsaved.case, case.name, unsaved.written, unsaved.voxels_changed, ml)
                self.found.append(found)
                self._picture_of(found, path, series, before, after)
            self._tell()

        self._store.submit(work, done)

    def _picture_of(self, found: Found, path: Path, series: str, before: Any, after: Any) -> None:
        def draw() -> Picture:
            from napari_medseg import io

            return pictures.outlined(io.read(path, series=series or None), before, after)

        def drawn(picture: Picture) -> None:
            self.found = [replace(each, picture=picture) if each is found else each for each in self.found]
            self._tell()

        self._reader.submit(draw, drawn, lambda error: None)

    def _weigh(self, cases: list[Case]) -> None:
        """Find out how much the latest versions hold."""
        project = self._project
        if project is None or not cases:
            return

        def work() -> dict[str, Amount]:
            latest = {case.id: project.versions(case.id)[-1] for case in cases}
            return {key: self._amount(version) for key, version in latest.items()}

        def done(amounts: dict[str, Amount]) -> None:
            if self._project is project:
                self.amounts = {**amounts, **self.amounts}
                self._tell()

        self._store.submit(work, done)

    def _amount(self, version: Version) -> Amount:
        case = self.case(version.case)
        voxels = [count for value, count in version.voxels.items() if int(value) and count]
        return Amount(len(voxels), sum(voxels) * (case.geometry.voxel_ml if case is not None else 0.0))

    def _refresh(self) -> None:
        project = self._project
        if project is None:
            self._tell()
            return

        def done(cases: list[Case]) -> None:
            if self._project is project:
                self.cases = cases
                self._weigh([case for case in cases if case.latest is not None and case.id not in self.amounts])
                self._tell()

        self._store.submit(project.cases, done)

    def _versions_of_current(self) -> None:
        project, case = self._project, self.current
        if project is None:
            return

        def done(versions: list[Version]) -> None:
            if self.current == case:
                self.versions = versions
                self._tell()

        self._store.submit(lambda: project.versions(case), done)

    def _on_written(self, case: str) -> None:
        self.session.jobs.dispatch(lambda: self._note_written(case))

    def _note_written(self, case: str) -> None:
        if case == self.current and self.saved in ("changed", "failed"):
            self.saved = "autosaved"
            self._tell()

    def _on_unwritten(self, case: str, error: MedsegError) -> None:
        def tell() -> None:
            if case == self.current and self.saved != "failed":
                self.saved = "failed"
                self.session.report(error)
                self._tell()

        self.session.jobs.dispatch(tell)

    def _gave_up(self, error: MedsegError) -> None:
        self.busy = ""
        self.session.report(error)
        self._tell()

    def _scan(self) -> Scan | None:
        """The current case's scan with labels, in a study that can be written; else says what is missing."""
        if self._writable() is None:
            return None
        scan = self.scan
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

    def _tell(self) -> None:
        self.session.changed.emit()
