"""A round's labels become versions of every case it learnt from, and can be taken back: nothing is overwritten either way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import CaseClaimedError
from napari_medseg.session import by_hand as marks
from napari_medseg.session.history import Delta, difference
from napari_medseg.session.locks import respected
from napari_medseg.session.making import Making
from napari_medseg.session.state import Scan, labels_for
from napari_medseg.session.study_beside import StudyBeside
from napari_medseg.session.study_refinement import BY_HAND, Proposal, by_hand, settled
from napari_medseg.volume import BoolArray

if TYPE_CHECKING:
    from napari_medseg.project import Case, Project, Version
    from napari_medseg.session.autosave import Autosave

RUN = "run"
"""Name of the setting of a version by which the versions of one refinement are known."""


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """A version that was written, what it holds, and what would change where its case is open; worked out beside the window."""

    version: Version
    labels: LabelMap
    painted: BoolArray | None
    scan: Scan | None
    at: int
    step: Delta | None = None
    mark: Delta | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of writing into many cases.

    Attributes
    ----------
    changed : int
        Cases that hold something else now.
    others : by case
        Who works on it: such a case was left as it is.
    """

    changed: int
    others: Mapping[str, str]

    def left_out(self, name: Callable[[str], str], act: str) -> str:
        """Which cases were left as they are, and what to do about it, for people; "" for none."""
        if not self.others:
            return ""
        whose = ", ".join(sorted(set(self.others.values())))
        if len(self.others) == 1:
            return f". {name(next(iter(self.others)))} was left as it is, since {whose} works on it: {act} again once it is free"
        return f". {len(self.others)} cases were left as they are, since others work on them ({whose}): {act} again once they are free"


class StudyAdopting(StudyBeside):
    """The rounds of a refinement as versions."""

    def adopt(self, labels: Mapping[str, Proposal], made: Making, done: Callable[[Taken], None]) -> None:
        """Save a round's labels as the latest version of its cases; what a person settled stays, and so do cases that others work on."""
        locked = self.session.table.locked
        self._write_all(list(labels), lambda project, case: adopted(project, case, labels[case], made, locked), done)

    def roll_back(self, ids: Sequence[str], run: str, done: Callable[[Taken], None]) -> None:
        """Go back to the labels before a refinement; what a person settled since stays, and so do cases that others work on."""
        self._write_all(ids, lambda project, case: rolled_back(project, case, run), done)

    def _write_all(self, ids: Sequence[str], write: Callable[[Project, str], Version | None], done: Callable[[Taken], None]) -> None:
        project, autosave = self._writable(), self._autosave
        if project is None or autosave is None:
            return
        self.settle()
        changed: list[str] = []
        others: dict[str, str] = {}
        moments = {scan.case: scan.history.last for scan in self.session.scans if scan.case}

        def work(case: str) -> _Written | None:
            try:
                version = write(project, case)
            except CaseClaimedError as error:
                others[case] = project.case(case).claimed or error.what
                return None
            if version is None:
                return None
            changed.append(case)
            autosave.saved(case, version)
            scan = next((each for each in self.session.scans if each.case == case), None)
            bare = _Written(version, project.labels(case), by_hand(project, case), scan, moments.get(case, 0))
            return bare if scan is None or scan.labels is None or case in self._edited else _compared(scan, bare)

        def written(answer: _Written | None) -> None:
            scan = next((each for each in self.session.scans if answer is not None and each.case == answer.version.case), None)
            if answer is not None and scan is not None:
                self._bring_back(scan, answer, autosave)
            if answer is not None:
                self.amounts = {**self.amounts, answer.version.case: self._amount(answer.version)}

        def all_written(answer: tuple[list[Case], list[Version]]) -> None:
            self.cases, self.versions = answer
            self.proposals = {case: waiting for case, waiting in self.proposals.items() if case not in ids or case in others}
            self.busy = ""
            done(Taken(len(changed), others))
            self._tell()

        self.busy = f"Writing the labels of {len(ids)} case{'s' if len(ids) != 1 else ''}"
        self._tell()
        for case in ids:
            self._store.submit(lambda case=case: work(case), written, self._gave_up)  # type: ignore[misc]
        current = self.current
        self._store.submit(lambda: (project.cases(), project.versions(current) if current else []), all_written, self._gave_up)

    def _bring_back(self, scan: Scan, written: _Written, autosave: Autosave) -> None:
        """Show what was written; strokes painted meanwhile stay."""
        now = scan.labels if scan.labels is not None else scan.hold_nothing()
        painting = scan.case in self._edited
        if painting:
            kept, wanted = marks.settled(scan), labels_for(scan, written.labels).astype(now.dtype)
            written = replace(written, step=difference(now, wanted if kept is None else np.where(kept, now, wanted)), mark=None)
        elif written.scan is not scan or written.at != scan.history.last:
            written = _compared(scan, written)
        if written.step is not None:
            written.step.redo()
            if written.mark is not None:
                written.mark.redo()
            scan.keep(marks.with_mark(written.step, written.mark))
            autosave.touch(scan, written.step.boxes)
        self.session.labels_changed.emit(scan, None)


def _compared(scan: Scan, written: _Written) -> _Written:
    """With what would change in an open scan."""
    now = scan.labels if scan.labels is not None else scan.hold_nothing()
    step = difference(now, labels_for(scan, written.labels).astype(now.dtype, copy=False))
    painted = None if written.painted is None else scan.axes.apply(written.painted)
    return replace(written, scan=scan, at=written.at, step=step, mark=None if step is None else marks.unmarked(scan, painted))


def adopted(project: Project, case_id: str, proposal: Proposal, made: Making, locked: Collection[int] = ()) -> Version | None:
    """Save a round's labels as a case's latest version, what a person settled and locked classes left as they are; None when nothing would change.

    On the store thread.
    """
    labels = wanted(project, case_id, proposal, locked)
    if labels is None:
        return None
    painted = by_hand(project, case_id)
    arrays = {} if painted is None or not painted.any() else {BY_HAND: painted.astype(np.uint8)}
    return project.save(
        case_id, labels, kind=made.kind, tool=made.tool, parameters=dict(made.parameters), arrays=arrays, parent=project.version(case_id).number,
        model=made.model,
    )


def wanted(project: Project, case_id: str, proposal: Proposal, locked: Collection[int] = ()) -> LabelMap | None:
    """What a case holds once a round was taken into it; None when nothing would change. On the store thread."""
    if project.version(case_id).kind == "verified":
        return None
    now = project.labels(case_id)
    labels, proposed, kept = np.asarray(now.array), proposal.labels, settled(project, case_id)
    taken = respected(labels, proposed if kept is None else np.where(kept, labels, proposed), locked)
    return None if np.array_equal(taken, labels) else replace(now, array=taken.astype(np.uint8))


def in_force(versions: Sequence[Version], run: str) -> list[Version]:
    """The versions of a case that rounds of a refinement made, and that were not taken back since."""
    of_run = [version for version in versions if version.tool == "refine" and version.parameters.get(RUN) == run]
    undone = [version for version in versions if version.tool == "refine" and version.parameters.get("rolled_back") == run]
    restored = [version for version in versions if version.tool == "restore" and of_run and version.parameters.get("number") == of_run[0].parent]
    last_undone = max((version.number for version in (*undone, *restored)), default=0)
    return [version for version in of_run if version.number > last_undone]


def rolled_back(project: Project, case_id: str, run: str) -> Version | None:
    """Go back to a case's labels of before a refinement; None when none of its rounds was taken there. On the store thread."""
    versions = project.versions(case_id)
    of_run = in_force(versions, run)
    if not of_run or of_run[0].parent is None:
        return None
    parent = of_run[0].parent
    if versions[-1].number == of_run[-1].number:
        return project.restore(case_id, parent)
    kept, painted = settled(project, case_id), by_hand(project, case_id)
    now, before = project.labels(case_id), project.labels(case_id, parent)
    wanted = np.asarray(before.array) if kept is None else np.where(kept, now.array, before.array)
    arrays = {} if painted is None or not painted.any() else {BY_HAND: painted.astype(np.uint8)}
    facts = {"rolled_back": run, "number": parent}
    return project.save(
        case_id, replace(now, array=wanted), kind="corrected", tool="refine", parameters=facts, arrays=arrays, parent=versions[-1].number,
    )
