"""The open study: its cases, what is saved of them and when, and the way from one to the next. No Qt.

Everything that touches the project runs on one thread, in order; everything here runs on the owner's. Nothing counts as saved before it is on the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import InvalidInputError, MedsegError, ProjectLockedError, UnwritableFileError
from napari_medseg.session import pictures, preferences
from napari_medseg.session.cases import neighbour
from napari_medseg.session.laying import Laid, lay, lay_on
from napari_medseg.session.making import Making, brush
from napari_medseg.session.pictures import Picture
from napari_medseg.session.state import Scan, labels_in_file
from napari_medseg.session.study_keeping import StudyKeeping
from napari_medseg.session.study_state import Latest, Locked
from napari_medseg.session.study_team import claimed

if TYPE_CHECKING:
    from napari_medseg.project import Case, Project
    from napari_medseg.session.session import Session

log = logging.getLogger(__name__)
SUFFIX = ".medseg"
ENDS = ("This is the last case of the list", "This is the first case of the list")
CLOSING = 60.0
"""Seconds the window waits at most for work to reach the disk before it goes; the autosaved draft is there anyhow."""


def is_study(path: Path) -> bool:
    """Whether a path is a study's folder."""
    return path.name.lower().endswith(SUFFIX) and path.is_dir()


class Study(StudyKeeping):
    """The project a session works in, if any; see `StudyState` for what it tells.

    Attributes
    ----------
    patience : float
        Seconds that `shut` waits for the disk at most.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.patience = CLOSING
        session.edited.connect(self._on_edited)
        session.accepted.connect(self._on_accepted)
        session.refined.connect(self._on_refined)
        session.scan_opened.connect(self._on_scan_opened)
        session.scan_closed.connect(self._on_scan_closed)
        session.classes_changed.connect(self._on_classes)
        session.changed.connect(self._on_session)

    # -- the study -------------------------------------------------------------------------------------------------------------------------------------

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
        """Save what is worth a version and close the study; its scan goes with it. Work that cannot be written keeps it open."""
        scan = self.scan
        if self._is_in_memory_only:
            self._save_before(self.leave)
            return
        self._put_away()
        self._release()
        if scan is not None:
            self.dismiss(scan)
        self._tell()

    def shut(self) -> bool:
        """As `leave`, when the window goes; waits for the disk. False when it took too long."""
        autosave = self._autosave
        if self.is_open:
            self._put_away()
            self._release()
        done = self._store.close(self.patience)
        self._reader.close(0)
        left = autosave.unwritten() if autosave is not None else ()
        if left:
            log.error("Closed with work of %d case(s) that could not be written", len(left))
        return done

    def _begin(self, folder: Path, work: Callable[[], Project], *, fresh: bool) -> None:
        if self._is_in_memory_only:
            self._save_before(lambda: self._begin(folder, work, fresh=fresh))
            return
        if self.is_open:
            self.leave()
        self.busy, self.locked = f"Opening {folder.name}", None
        self._tell()

        def whole() -> tuple[Project, list[Case], tuple[Any, ...], dict[str, Any]]:
            project = work()
            return project, project.cases(), tuple(project.classes), project.class_view

        def done(answer: tuple[Project, list[Case], tuple[Any, ...], dict[str, Any]]) -> None:
            project, cases, classes, view = answer
            self._enter(project, cases, classes if fresh else self.session.table.take(view, classes))
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
        title = project.title or project.folder.name[:-len(SUFFIX)]
        self._project, self.folder, self.title, self.readonly = project, project.folder, title, readonly
        self.cases, self.busy, self.saved, self.current, self.versions, self.shared, self.taken = cases, "", "", "", [], project.shared, ""
        self._autosave = None if readonly else Autosave(project, self._store, self._on_written, self._on_unwritten, lambda: self.session.choices.autosave_s)
        self.preferences = preferences.opened(project.folder)
        if classes:
            self.session.classes = list(classes)
            if all(c.value != self.session.chosen for c in classes):
                self.session.chosen = classes[0].value
            self.session.classes_changed.emit()
        self._weigh([case for case in cases if case.latest is not None])
        if not readonly:
            self._look_for_unsaved()
        self._watch()
        self.session.trouble = ""
        self.session.notice = f"Opened {self.title}" + (" to look; what you draw is not kept" if readonly else "")
        if project.notice:
            self.session.report(UnwritableFileError(f"{project.notice}; what you draw is not kept", todo="Copy the study to where you may write"))
        self._tell()

    def _release(self) -> None:
        project, autosave = self._project, self._autosave
        self._project = self._autosave = None
        self.folder, self.title, self.readonly, self.cases, self.current, self.versions = None, "", False, [], "", []
        self.shared, self.taken = False, ""
        self.amounts, self.thumbnails, self.found, self.saved, self.proposals = {}, {}, [], "", {}
        self._edited.clear()
        self._unwritten.clear()
        self._wanted_pictures.clear()
        self._asked, self._heading = self._asked + 1, ""

        self._store.never("team")

        def work() -> None:
            if autosave is not None:
                autosave.write_all()
                autosave.close()
            if project is not None:
                project.close()
            self._snapshots.clear()

        self._store.submit(work)

    # -- cases -----------------------------------------------------------------------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Open the next or the previous case of the table."""
        if not self.is_open:
            self.session.report(InvalidInputError("no study is open", where="Cases", todo="Open a study, or begin one, in the Cases dock"))
            return
        case = neighbour(self.rows(), self._heading or self.current, by)
        if case is None:
            self.session.notice = ENDS[0] if by > 0 else ENDS[1]
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

            before = len(project.cases())
            faults: list[MedsegError] = []
            for path, series, info in scans_in(paths, faults):
                try:
                    project.add(path, series=series, info=info)
                except MedsegError as error:
                    faults.append(error)
            return len(project.cases()) - before, faults

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
        if project is None or case is None:
            return
        if case_id == self.current and self.scan is not None:  # still open: whatever was asked for since is not wanted any more
            self._asked, self.busy, self._heading = self._asked + 1, "", ""
            self._tell()
            return
        if self._is_in_memory_only:
            self._save_before(lambda: self.go(case_id))
            return
        self._put_away()
        self._asked, self._heading = self._asked + 1, case_id
        asked, self.busy, self.session.trouble = self._asked, f"Opening {case.name}", ""
        self._tell()

        def fetched(answer: tuple[Path, str, Latest]) -> None:
            path, series, left = answer

            def load() -> tuple[Any, Picture, Laid | None]:
                from napari_medseg import io

                volume = replace(io.read(path, series=series or None), name=case.name)
                laid = lay(volume.geometry, left)
                if laid is not None and not project.readonly:
                    self._snapshots.prepare(laid.labels)
                return self.prepare(volume), pictures.thumbnail(volume), laid

            def loaded(answer: tuple[Any, Picture, Laid | None]) -> None:
                prepared, thumbnail, laid = answer
                self.thumbnails[case_id] = thumbnail
                self.pictured.emit(case_id)
                if asked == self._asked and self._project is project:
                    self._show(case, prepared, left, laid)

            if asked == self._asked:
                self._reader.submit(load, loaded, self._gave_up)

        autosave = self._autosave

        def fetch() -> tuple[Path, str, Latest]:
            if autosave is not None:
                autosave.flush(case_id)
            return (*project.source(case_id), claimed(project, case_id))

        self._store.submit(fetch, fetched, self._gave_up)

    def _show(self, case: Case, prepared: Any, left: Latest, laid: Laid | None) -> None:
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
        told = f"{case.name} is being worked on by {left.taken}: what you draw is not kept" if left.taken else f"Opened {case.name}"
        self.session.notice = "Your unsaved work is back" if left.unsaved else told
        self._attach(scan, case.id, left, laid)
        self._show_proposal(scan)
        self._tell()

    def _attach(self, scan: Scan, case_id: str, left: Latest, laid: Laid | None) -> None:
        """A scan is a case of the study from now on, with the labels that were laid on its grid."""
        self._heading, self.taken = "", left.taken
        if left.taken:  # since the list was read
            self.cases = [replace(case, claimed=left.taken) if case.id == case_id else case for case in self.cases]
        scan.case, self.current, self.versions, self.busy, self.saved = case_id, case_id, left.versions, "", "saved" if left.versions else ""
        autosave = self._autosave
        if autosave is not None:
            self._store.submit(lambda: autosave.begin(case_id, left.parent, unsaved=left.unsaved))
        if left.unsaved:
            self._edited[case_id], self.saved = brush(), "autosaved"
            self.found = [found for found in self.found if found.case != case_id]
        self.clock.leave()
        self.clock.take()
        case = self.case(case_id)
        scan.clock.seconds = case.seconds if case is not None else 0.0
        if laid is not None:
            scan.hold(laid.labels, laid.voxels)
            scan.by_hand = laid.by_hand
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
            if project.shared:
                project.leave(case)

        self._store.submit(work)

    # -- what the session tells ------------------------------------------------------------------------------------------------------------------------

    def _on_edited(self, scan: Scan, boxes: Any) -> None:
        self.clock.act()
        if not scan.case or self._autosave is None or (self.taken and scan.case == self.current):
            return
        self._autosave.touch(scan, boxes)
        if boxes is None or boxes:
            self._edited[scan.case] = brush() if boxes is not None else Making("import", "imported")
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
        self.busy = f"Taking {name} into the study {self.title}"
        self._tell()

        def work() -> tuple[Case, Latest, list[Case]]:
            case = project.add(path, series=series, name=name)
            return case, claimed(project, case.id), project.cases()

        def done(answer: tuple[Case, Latest, list[Case]]) -> None:
            case, left, self.cases = answer
            self.busy = ""
            if scan not in self.session.scans or self._project is not project:
                self._tell()
                return
            drawn = scan.has_labels
            if drawn and left.unsaved:
                what, todo = "has unsaved work of an earlier time in this study", "Restore or discard that in the Cases dock first, then open the scan again"
                self._gave_up(InvalidInputError(what, where=scan.name, todo=todo))
                return
            self._attach(scan, case.id, left, None if drawn else lay_on(scan, left))
            if drawn:
                self.session.notice = f"Took {scan.name} into the study {self.title}"
                self._save(scan, brush())
            self._tell()

        self._store.submit(work, done, self._gave_up)

    def _on_scan_closed(self, scan: Scan) -> None:
        self._save_edited(scan)
        if scan.case and scan.case == self.current and not self._attaching:
            self.current, self.versions, self.saved, self.taken = "", [], "", ""
            self._tell()

    def _on_classes(self) -> None:
        project = self._project
        if project is not None and not self.readonly:
            classes, view = tuple(self.session.classes), self.session.table.as_dict()

            def work() -> None:
                project.set_classes(classes)
                project.set_class_view(view)

            self._store.submit(work)

    def _on_session(self) -> None:
        current = self.session.current
        if current is not None and current.case and current.case != self.current:
            self.current = current.case
            self._versions_of_current()
