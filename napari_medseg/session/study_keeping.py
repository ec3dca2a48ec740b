"""Work of a study that is in memory only, since its disk is full, away or may not be written: it is tried again before anything takes it out of the memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_medseg.errors import MedsegError, UnwritableFileError
from napari_medseg.session.at_stake import AtStake, labelled
from napari_medseg.session.state import labels_in_file
from napari_medseg.session.study_state import latest
from napari_medseg.session.study_team import StudyTeam

if TYPE_CHECKING:
    from napari_medseg.project import Project
    from napari_medseg.session.autosave import Unwritten

T = TypeVar("T")
ANSWERS = 5.0
"""Seconds that a disk is waited for when the window is about to close: one that is away may never answer."""
SILENT = "The disk of the study does not answer"


class StudyKeeping(StudyTeam):
    """What the disk did not take."""

    def in_memory_only(self) -> tuple[AtStake, ...]:
        """Try once more to write what no disk holds, and tell what still is in memory only; waits for the disk, some seconds at most."""
        autosave, project, folder = self._autosave, self._project, self.folder
        if autosave is None or project is None or not (self._edited or autosave.unwritten()):
            return ()
        tried = self._now(autosave.write_all)
        left = autosave.unwritten() if tried is None else tried
        if not left:
            return ()
        before = self._now(lambda: _newest(project, left)) or {}
        for one in left:
            if one.scan in self.session.scans:
                self._save_edited(one.scan)  # where a draft is refused a version may have room
        weighed = self._now(lambda: _weighed(project, left, before))
        why = "" if weighed is not None else SILENT
        voxels = {one.case: labelled(one.scan) for one in left} | dict(weighed or {})
        return tuple(AtStake(one.scan, voxels[one.case], one.since, folder, one.why or why) for one in left if voxels[one.case])

    def _now(self, work: Callable[[], T]) -> T | None:
        """What work on the disk's thread answers; None where that takes too long."""
        done, answer = threading.Event(), list[T]()

        def run() -> None:
            try:
                answer.append(work())
            finally:
                done.set()

        self._store.submit(run)
        done.wait(ANSWERS)
        return answer[0] if answer else None

    @property
    def _is_in_memory_only(self) -> bool:
        """Whether work of the current case could not be written the last time it was tried."""
        return self.current in self._unwritten and self.current in self._edited and self.scan is not None

    def _save_before(self, act: Callable[[], None]) -> None:
        """Try once more to save the current case; what would take its labels out of the memory is done only where that went well."""
        scan, here = self.scan, self.current
        if scan is not None:
            self._save_edited(scan)

        def tried(_: None) -> None:
            if here != self.current:
                return
            if not self._is_in_memory_only:
                act()
                return
            todo = "Make space on its disk, or save a copy elsewhere (Save…), then go on"
            self.session.report(UnwritableFileError("holds work that could not be saved, so it stays open", where=scan.name if scan else here, todo=todo))

        self._store.submit(lambda: None, tried, self._gave_up)


def _newest(project: Project, left: Sequence[Unwritten]) -> dict[str, int | None]:
    """By case, its latest version; without those that cannot be asked for."""
    found: dict[str, int | None] = {}
    for one in left:
        with suppress(MedsegError, OSError):
            found[one.case] = project.case(one.case).latest
    return found


def _weighed(project: Project, left: Sequence[Unwritten], before: Mapping[str, int | None]) -> dict[str, int]:
    """By case, the voxels that differ from what the disk holds: none where a version was saved meanwhile; without those that cannot be read."""
    after, found = _newest(project, left), {}
    for one in left:
        if one.case in before and before[one.case] != after.get(one.case):
            found[one.case] = 0
        elif one.scan.labels is not None:
            with suppress(MedsegError, OSError):
                held = latest(project, one.case).labels
                now = labels_in_file(one.scan, one.scan.labels)
                found[one.case] = int(np.count_nonzero(now if held is None else now != held.array))
    return found
