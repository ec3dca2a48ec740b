"""Pictures of a blinded review, read ahead of the rater."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from napari_medseg.errors import MedsegError
from napari_medseg.session.blinded_found import FoundReview

if TYPE_CHECKING:
    from napari_medseg.review.blinded import Sitting
    from napari_medseg.review.blinded.loading import Loaded
    from napari_medseg.review.blinded.pictures import Shown
    from napari_medseg.review.blinded.plan import Question
    from napari_medseg.session.session import Session

LANE = "review blinded"
DEVICE = "review"
AHEAD = 2  # whole volumes that are read ahead; slices are small and all read at once


class Pictures:
    """Those that were read, and the one that is up.

    Parameters
    ----------
    session : Session
    turned : callable
        Called when the picture of the question that is asked has come.
    failed : callable
        Called with what kept it from coming.

    Attributes
    ----------
    read : question number to Shown
    up : Shown or None
        Of the question that is asked.
    """

    def __init__(self, session: Session, turned: Callable[[], None], failed: Callable[[MedsegError], None]) -> None:
        self._session, self._turned, self._failed = session, turned, failed
        self._coming: set[int] = set()
        self.forget()

    def forget(self) -> None:
        """Nobody answers any more, or somebody begins."""
        self.read: dict[int, Shown] = {}
        self.up: Shown | None = None

    def turn(self, review: FoundReview, sitting: Sitting) -> None:
        """Put up what the question that is asked shows, or read it first; what comes next is read beside it."""
        question = sitting.question
        self.up = self.read.get(question.number) if question is not None else None
        if question is None:
            return
        wanted = [one for one in dict.fromkeys(self._near(review, sitting, question)) if one.number not in self.read]
        numbers, job = {one.number for one in wanted}, self._session.jobs.of(LANE)
        if not wanted or (job is not None and job.is_active and numbers <= self._coming):
            return
        self._coming = numbers
        plan, folder, project = review.plan, review.folder, self._session.study.project

        def make() -> Iterator[Loaded]:
            from napari_medseg.review.blinded.loading import load
            from napari_medseg.review.blinded.sources import source_of

            return load(plan, lambda: source_of(plan, folder, project), wanted)

        def apply(tick: Loaded) -> None:
            self.read[tick.number] = tick.shown
            if sitting.question is not None and sitting.question.number == tick.number:
                self.up = tick.shown
                self._turned()

        self._session.jobs.start(LANE, "Reading the scans", make, apply=apply, done=lambda: None, failed=self._failed, device=DEVICE, quiet=True)

    def _near(self, review: FoundReview, sitting: Sitting, question: Question) -> list[Question]:
        """All slices that are still to be answered, or the next volumes, beside which none is kept."""
        if review.plan.kind != "volumes":
            return [question, *(one for one in review.plan.questions if not sitting.has(one.number))]
        near = sitting.upcoming(AHEAD)
        for number in self.read.keys() - {one.number for one in near}:
            del self.read[number]
        return near
