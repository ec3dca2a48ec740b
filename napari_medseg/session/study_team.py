"""A study that a team shares: a case is claimed when it is opened, kept while it is, and free again when it is left. Who else has one is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_medseg.errors import CaseClaimedError, MedsegError
from napari_medseg.session.study_adopting import StudyAdopting
from napari_medseg.session.study_state import Latest, latest

if TYPE_CHECKING:
    from napari_medseg.project import Case, Project

EVERY = 30.0
"""Seconds between two looks at what the others do; far below the two minutes after which a claim ends that nobody renews."""


def claimed(project: Project, case_id: str) -> Latest:
    """How a case was left, with the right to work on it where nobody else has it; called on the store thread."""
    if not project.shared or project.readonly:
        return latest(project, case_id)
    try:
        project.claim(case_id)
    except CaseClaimedError:
        return replace(latest(project, case_id, saved_only=True), taken=project.case(case_id).claimed or "somebody else")
    return latest(project, case_id)


class StudyTeam(StudyAdopting):
    """What the others do."""

    def again(self) -> None:
        """Open the current case anew, as when the one who had it has let go."""
        case, scan = self.current, self.scan
        if case:
            if scan is not None:
                self.dismiss(scan)
            self.go(case)

    def go(self, case_id: str) -> None:
        """Open a case; see `Study`."""
        raise NotImplementedError

    def _watch(self) -> None:
        """Look at the others from now on, and keep one's own claims, until the study is left."""
        project = self._project
        if project is not None and project.shared:
            self._store.later("team", EVERY, lambda: self._look(project))

    def _look(self, project: Project) -> None:
        """On the store thread."""
        if self._project is not project:
            return
        try:
            lost, cases, why = ([] if project.readonly else project.keep()), project.cases(), None
        except MedsegError as error:  # the server is away for a moment
            lost, cases, why = [], None, error
        self.session.jobs.dispatch(lambda: self._seen(project, lost, cases, why))
        self._store.later("team", EVERY, lambda: self._look(project))

    def _seen(self, project: Project, lost: list[str], cases: list[Case] | None, why: MedsegError | None) -> None:
        if self._project is not project:
            return
        if why is not None:
            if not self._away:
                self.session.report(why)
            self._away = True
            return
        self._away = False
        if cases is not None and cases != self.cases:
            self.cases = cases
            self._weigh([case for case in cases if case.latest is not None])
        if self.current in lost:
            case = self.case(self.current)
            self.taken = (case.claimed if case is not None else "") or "somebody else"
            self.session.report(CaseClaimedError(
                f"was taken over by {self.taken} while this computer did not answer", where=case.name if case is not None else self.current,
                todo="What you drew since the last version is kept as unsaved work of yours; open the case again when it is free",
            ))
        self._tell()
