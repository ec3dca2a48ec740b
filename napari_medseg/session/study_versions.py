"""Label versions of the open study: saved, looked at, brought back; and proposals that wait for a yes."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import MedsegError
from napari_medseg.session import by_hand as marks
from napari_medseg.session.history import change
from napari_medseg.session.making import Making, brush
from napari_medseg.session.state import Preview, Scan, full_box, labels_for, labels_in_file
from napari_medseg.session.study_refinement import BY_HAND, Waiting, by_hand
from napari_medseg.session.study_state import StudyState
from napari_medseg.volume import BoolArray, LabelArray

if TYPE_CHECKING:
    from napari_medseg.project import Case, Version


class StudyVersions(StudyState):
    """What is saved of the cases."""

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
        self._save_edited(scan)
        self.saved = "saving"

        def work() -> tuple[Version, LabelMap, BoolArray | None, list[Case], list[Version]]:
            version = project.restore(case, number)
            autosave.saved(case, version)
            return version, project.labels(case, version.number), by_hand(project, case), project.cases(), project.versions(case)

        def done(answer: tuple[Version, LabelMap, BoolArray | None, list[Case], list[Version]]) -> None:
            version, labels, painted, cases, versions = answer
            if scan in self.session.scans:
                now = scan.labels if scan.labels is not None else scan.hold_nothing()
                step = change(now, full_box(now), labels_for(scan, labels).astype(now.dtype))
                if step is not None:
                    scan.keep(marks.as_it_was(scan, step, None if painted is None else scan.axes.apply(painted)))
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

    def settle(self) -> None:
        """Let what was drawn up to now become versions."""
        for scan in self.session.scans:
            self._save_edited(scan)

    def _show_proposal(self, scan: Scan) -> None:
        waiting = self.proposals.pop(scan.case, None)
        if waiting is not None and scan.preview is None:
            from napari_medseg.session.engines import propose

            propose(self.session, scan, lambda: waiting.labels, waiting.title, waiting.made)
            self.session.notice = ""

    def _save(self, scan: Scan, made: Making, name: str = "") -> None:
        """Save a scan's labels as they are at this moment."""
        project, autosave, case = self._project, self._autosave, scan.case
        if project is None or autosave is None or scan.labels is None or self._is_taken(case):
            return
        self._edited.pop(case, None)
        snapshots = self._snapshots
        frozen, snapshot, hand = copy(scan), snapshots.take(scan.labels), None if scan.by_hand is None else snapshots.take(scan.by_hand)
        classes, seconds = tuple(self.session.classes), self.clock.take()
        self.saved = "saving" if case == self.current else self.saved

        def work() -> tuple[Version, list[Case], list[Version]]:
            array = labels_in_file(frozen, snapshot)
            if array.dtype not in (np.uint8, np.uint16):  # somebody's own layer
                array = array.astype(np.uint8 if array.max(initial=0) <= 255 else np.uint16)
            labels = LabelMap(array, frozen.geometry, name=frozen.name, classes=classes)
            arrays = {key: frozen.axes.undo(array) for key, array in made.arrays.items()}
            if hand is not None and hand.any():
                arrays[BY_HAND] = frozen.axes.undo(hand)
            snapshots.give_back(snapshot, hand)
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
            self._unwritten.discard(case)
            scan.is_saved = case not in self._edited
            what = {"verified": "Verified", "corrected": "Saved your corrections"}.get(version.kind, "Saved")
            if version.kind in ("verified", "corrected"):
                self.session.notice = f"{what} as version {version.number}" + (f", {name}" if name else "")
            self._note_saved(version, cases, versions)

        def failed(error: MedsegError) -> None:
            self._edited.setdefault(case, made)
            self._unwritten.add(case)
            scan.is_saved = False
            self.saved = "failed" if case == self.current else self.saved
            autosave.touch(scan, None)
            self.session.report(error)
            self._tell()

        self._store.submit(work, done, failed)

    def _save_edited(self, scan: Scan) -> None:
        """Work by hand since the last version, or a map that came from a file, becomes a version."""
        made = self._edited.get(scan.case)
        if made is not None and scan.labels is not None:
            self._save(scan, made)

    def _note_saved(self, version: Version, cases: list[Case], versions: list[Version]) -> None:
        if not self.is_open:
            return
        self.cases = cases
        self.amounts = {**self.amounts, version.case: self._amount(version)}
        if version.case == self.current:
            self.versions = versions
            self.saved = "changed" if self.current in self._edited else "saved"
        self._tell()
