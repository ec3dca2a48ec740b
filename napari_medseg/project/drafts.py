"""Work between two versions: autosaved, found again after a crash, given back or thrown away."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from napari_medseg.annotation import LabelMap, named
from napari_medseg.errors import InvalidInputError, NoLabelsError, ProjectError
from napari_medseg.project import arrays as groups
from napari_medseg.project import rows
from napari_medseg.project.durable import looking, writing
from napari_medseg.project.journal import Base, Draft, difference, read_journal, replay
from napari_medseg.project.records import Case, Unsaved, Version
from napari_medseg.project.reviews import Reviews
from napari_medseg.project.versions import counts
from napari_medseg.volume import Geometry


class Drafts(Reviews):
    """Autosave and recovery."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._drafts: dict[str, Draft] = {}

    def close(self) -> None:
        """Close drafts and database and let others write; may be called twice."""
        for draft in list(self._drafts.values()):
            draft.close()
        super().close()


    def draft(self, case_id: str, parent: int | None) -> Draft:
        """Autosave for a case, on top of one of its versions (None: of nothing).

        An open draft of the same parent is given again, and unsaved work of it gone on with.

        Raises
        ------
        ProjectError
            When there is unsaved work on another version: recover or discard that first. CaseClaimedError when somebody else works on the case.
        """
        self._require_writer()
        with self._mutex:
            case = self.case(case_id)
            with self._database.reading() as connection:
                self._require_free(connection, case.id)
            base = self._base(case.id, parent, case.geometry)
            open_draft = self._drafts.get(case.id)
            if open_draft is not None:
                if open_draft.parent == parent:
                    return open_draft
                open_draft.close()
            path = self._layout.journal(case.id)
            if path.is_file() and read_journal(path).parent != parent:
                self._drop_settled_draft(case.id)
                if path.is_file():
                    was = read_journal(path).parent
                    of = "no version" if was is None else f"version {was}"
                    raise ProjectError(f"has unsaved work on top of {of}", where=case.id, todo="Recover it or discard it first")
            draft = Draft(path, case.id, parent, case.geometry.shape, base, self._draft_gone)
            self._drafts[case.id] = draft
            return draft

    def rebase(self, draft: Draft, version: Version) -> None:
        """Let a draft go on from a version that was just saved from it; what was autosaved since stays unsaved work.

        Call `draft.write` with the labels of now first, so that the draft is not older than the version.

        Raises
        ------
        UnwritableFileError
        """
        case = self.case(version.case)
        draft.rebase(version.number, self._base(case.id, version.number, case.geometry))

    def unsaved(self) -> list[Unsaved]:
        """Autosaved work that is in no version, by case.

        A draft that cannot be read is left out here; `check` tells of it.
        """
        found = []
        with looking(self.folder):
            journals = list(self._layout.journals())
        for case_id, _ in journals:
            with suppress(ProjectError, NoLabelsError, InvalidInputError):
                one = self._unsaved(case_id)
                if one is not None:
                    found.append(one)
        return found

    def recover(self, case_id: str) -> LabelMap:
        """The labels with their unsaved work: the draft's parent and what was autosaved on top of it.

        Raises
        ------
        ProjectError
            When there is no draft, or it is damaged.
        """
        case = self.case(case_id)
        path = self._layout.journal(case.id)
        if not path.is_file():
            raise ProjectError("has no unsaved work", where=case.id, todo="Open its latest version")
        journal = read_journal(path)
        self._require_fitting(case, journal.case, journal.shape)
        if journal.parent is None:
            start = np.zeros(case.geometry.shape, np.uint8)
        else:
            start = self.labels(case.id, journal.parent).array
        found = replay(path, journal, start)
        return LabelMap(found, case.geometry, name=case.id, modality=case.modality, classes=named(np.array(list(counts(found))), self._classes))

    def discard_unsaved(self, case_id: str) -> None:
        """Throw a case's unsaved work away.

        Raises
        ------
        UnwritableFileError
        """
        self._require_writer()
        with self._mutex:
            case = self.case(case_id)
            open_draft = self._drafts.get(case.id)
            if open_draft is not None:
                open_draft.discard()
            elif (path := self._layout.journal(case.id)).is_file():
                with writing(path.name):
                    path.unlink()
                self._log_discarded(case.id)

    def _base(self, case: str, parent: int | None, geometry: Geometry) -> Base:
        if parent is None:
            empty = np.zeros((1, 1, 1), np.uint8)
            return lambda box: np.broadcast_to(empty, tuple(s.stop - s.start for s in box))
        return groups.Parts(self._layout.group(case, parent), geometry.shape, self.version(case, parent).dtype)

    def _unsaved(self, case_id: str) -> Unsaved | None:
        case = self.case(case_id)
        path = self._layout.journal(case.id)
        journal = read_journal(path)
        self._require_fitting(case, journal.case, journal.shape)
        if not journal.chunks:
            return None
        count, box = difference(path, journal, self._base(case.id, journal.parent, case.geometry))
        if box is None or (case.latest is not None and case.latest != journal.parent and self._is_saved(case, journal.parent)):
            return None
        return Unsaved(case.id, journal.parent, journal.written, count, box)

    def _is_saved(self, case: Case, parent: int | None) -> bool:
        """Whether a later version equals the draft, as after a crash between saving and tidying up."""
        later = [v for v in self.versions(case.id) if v.number > (parent or 0)]
        recovered = self.recover(case.id).array
        voxels = counts(recovered)
        return any(v.voxels == voxels and np.array_equal(self.labels(case.id, v.number).array, recovered) for v in later)

    def _drop_settled_drafts(self) -> None:
        for case_id, _ in self._layout.journals():
            with suppress(ProjectError, NoLabelsError, InvalidInputError):
                with self._database.reading() as connection:
                    self._require_free(connection, case_id)  # another window of the same person may be writing it
                self._drop_settled_draft(case_id)

    def _drop_settled_draft(self, case_id: str) -> None:
        if self._unsaved(case_id) is None:
            with writing(self._layout.journal(case_id).name):
                self._layout.journal(case_id).unlink(missing_ok=True)

    def _draft_gone(self, draft: Draft, discarded: bool) -> None:
        with self._mutex:
            if self._drafts.get(draft.case) is draft:
                del self._drafts[draft.case]
            if discarded:
                self._log_discarded(draft.case)

    def _log_discarded(self, case_id: str) -> None:
        with self._database.writing() as connection:
            rows.log(connection, self.user, "discarded", case_id)

    def _require_fitting(self, case: Case, told: str, shape: tuple[int, ...]) -> None:
        if told != case.id or shape != case.geometry.shape:
            raise ProjectError("is a draft of another case", where=self._layout.journal(case.id).name, todo="Move it away; saved versions are not affected")
