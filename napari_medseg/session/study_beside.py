"""What a study finds out beside the window: pictures, volumes, unsaved work, whether a draft was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.annotation.rulers import Ruler
from napari_medseg.errors import MedsegError
from napari_medseg.session import pictures
from napari_medseg.session.cases import Amount
from napari_medseg.session.pictures import Found, Picture
from napari_medseg.session.study_versions import StudyVersions

if TYPE_CHECKING:
    from napari_medseg.project import Case, Version


class StudyBeside(StudyVersions):
    """What is learnt of the cases while the person works."""

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

    def fetch_rulers(self, case_id: str, done: Callable[[tuple[Ruler, ...]], None]) -> None:
        """Hand over what was measured on a case; nothing is handed over where that cannot be read, and why is said."""
        project = self._project
        if project is not None:
            self._store.submit(lambda: project.rulers(case_id), lambda found: done(found) if self._project is project else None, self._gave_up)

    def keep_rulers(self, case_id: str, rulers: tuple[Ruler, ...]) -> None:
        """Keep what was measured on a case; a study that is only looked at keeps nothing."""
        project = self._project
        if project is not None and not self.readonly and not (self.taken and case_id == self.current):
            self._store.submit(lambda: project.set_rulers(case_id, rulers), lambda _: None, self._gave_up)

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
        self._unwritten.discard(case)
        if case == self.current and self.saved in ("changed", "failed"):
            self.saved = "autosaved"
            self._tell()

    def _on_unwritten(self, case: str, error: MedsegError) -> None:
        def tell() -> None:
            self._unwritten.add(case)
            if case == self.current and self.saved != "failed":
                self.saved = "failed"
                self.session.report(error)
                self._tell()

        self.session.jobs.dispatch(tell)
