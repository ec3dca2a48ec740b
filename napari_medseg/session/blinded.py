"""Blinded choice in the window: what is compared, who answers, which pictures are up, and the result once that rater is done. No Qt."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError
from napari_medseg.io import replacing
from napari_medseg.session.blinded_choices import BlindedChoices, new_source
from napari_medseg.session.blinded_found import FoundReview, found_review
from napari_medseg.session.blinded_pictures import DEVICE, LANE, Pictures

if TYPE_CHECKING:
    from napari_medseg.review.blinded import Plan, Sitting, Summary
    from napari_medseg.review.blinded.planning import Planning
    from napari_medseg.session.session import Session


class Blinded:
    """The blinded reviews of a session.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    choices : BlindedChoices
    rater : str
        Who answers.
    reviews : list of FoundReview
        Those of the open study, and those that were opened.
    chosen : FoundReview or None
        The one that is looked at; None for a new one.
    sitting : Sitting or None
        While somebody answers.
    pictures : Pictures
    summary : Summary or None
        Of the chosen review, once the rater has answered all of it and asked for it.
    trouble : str
        What went wrong while answering; "" for nothing.
    turned : signal
        Another question, picture or mark is up; the window to answer in draws itself from it, while docks wait for `Session.changed`.
    """

    turned = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.choices = BlindedChoices()
        self.rater = session.study.preferences.user
        self.reviews: list[FoundReview] = []
        self.chosen: FoundReview | None = None
        self.sitting: Sitting | None = None
        self.pictures = Pictures(session, self.turned.emit, self._on_failed)
        self.summary: Summary | None = None
        self.trouble = ""
        self._opened: list[Path] = []
        self._study: Path | None = None
        self._begins = False
        session.changed.connect(self._on_session)

    # -- which review ----------------------------------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See which reviews there are, and how far their raters have come; a damaged one becomes `Session.trouble`."""
        from napari_medseg.review.blinded import find_plans

        project = self._session.study.project
        homes = [path for path in self._opened if path.is_dir()]
        if project is not None and project.reviews_folder.is_dir():
            homes.append(project.reviews_folder)
        found: list[FoundReview] = []
        for path in dict.fromkeys(plan for home in homes for plan in find_plans(home)):
            try:
                found.append(found_review(path))
            except MedsegError as error:
                self._session.report(error)
        self.reviews = found
        if self.chosen is not None:
            folder = self.chosen.folder
            self.chosen = next((one for one in found if one.folder == folder), None)
        self._session.changed.emit()

    def open_folder(self, folder: Path) -> None:
        """Add the reviews of a folder to the list, and choose the last of them."""
        from napari_medseg.review.blinded import find_plans

        try:
            plans = find_plans(folder)
            if not plans:
                raise MissingFileError("holds no plan of a blinded review", where=folder, todo="Choose the folder that was named when it was planned")
        except MedsegError as error:
            self._session.report(error)
            return
        if folder not in self._opened:
            self._opened.append(folder)
        self.look()
        self.choose(next((one for one in reversed(self.reviews) if one.folder == plans[-1].parent), None))

    def choose(self, review: FoundReview | None) -> None:
        """Look at a review, or at none to plan a new one."""
        self.leave()
        self.chosen, self.summary = review, None
        self._session.set(tab="review")

    def name_rater(self, name: str) -> None:
        """Say who answers; what another rater saw of the result goes."""
        if name != self.rater:
            self.rater, self.summary = name, None
            self._session.changed.emit()

    def change(self, **values: object) -> None:
        """Set fields of the choices."""
        for name, value in values.items():
            setattr(self.choices, name, value)
        self._session.changed.emit()

    def run(self) -> None:
        """What the page is for now: plan, answer, or show the result."""
        if self.chosen is None:
            self.plan()
        elif self.can_show:
            self.finish()
        else:
            self.start()

    # -- planning ----------------------------------------------------------------------------------------------------------------------------------------

    @property
    def is_planning(self) -> bool:
        """Whether a plan is being made."""
        job = self._session.jobs.of(LANE)
        return job is not None and job.is_active and self.sitting is None

    def plan(self) -> None:
        """Draw the questions of a new review; reads every scan once.

        Raises
        ------
        InvalidInputError
            When something is still to be chosen.
        """
        from napari_medseg.review.blinded import PlanOptions, make_plan, write_plan

        choices, project = self.choices, self._session.study.project
        if lacking := choices.lacks():
            raise InvalidInputError(f"{lacking} must be chosen first", where="Blinded choice", todo="Name it on the Review tab")
        keep = choices.keep
        options = PlanOptions(choices.kind, choices.slices, repeats=choices.repeats, seed=secrets.randbelow(1 << 31))
        source = new_source(choices, project)
        made: list[Plan] = []

        def apply(tick: Planning) -> None:
            if tick.plan is not None:
                made.append(tick.plan)

        def done() -> None:
            try:
                folder = project.new_review_folder() if choices.source == "study" and project is not None else keep
                if folder is None or not made:
                    return
                write_plan(made[0], folder)
            except MedsegError as error:
                self._session.report(error)
                return
            if choices.source == "folders" and folder not in self._opened:
                self._opened.append(folder)
            self.look()
            self.choose(next((one for one in self.reviews if one.folder == folder), None))
            self._session.notice = "; ".join(made[0].notes)
            self._session.changed.emit()

        self._session.jobs.start(
            LANE, "Planning the review", lambda: make_plan(source(), options), apply=apply, done=done, failed=self._session.report, device=DEVICE,
        )

    # -- answering ---------------------------------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to answer the chosen review, or go on where the rater left it; a fault becomes `Session.trouble`."""
        from napari_medseg.review.blinded import RaterFile
        from napari_medseg.review.blinded.sitting import Sitting

        if self.chosen is None:
            return
        self.leave()
        try:
            if self.chosen.plan.source == "study" and self._session.study.project is None:
                raise InvalidInputError("was made from the versions of a study", where=self.chosen.folder, todo="Open the study, then begin here")
            self.sitting = Sitting(RaterFile(self.chosen.plan, self.chosen.folder, self.rater))
        except MedsegError as error:
            self._session.report(error)
            return
        self.rater, self.summary, self.trouble = self.sitting.rater, None, ""
        self.pictures.forget()
        if self.sitting.is_done:
            self.finish()
            return
        self._turn()
        self._session.changed.emit()

    def start_when_ready(self, folder: Path, rater: str) -> None:
        """Open a review and answer it under a name, as soon as the study that it is of is open."""
        self.rater = rater
        self._session.reviewing.turn("blinded")
        self.open_folder(folder)
        self._begins = self.chosen is not None
        self._on_session()

    def answer(self, choice: str) -> None:
        """Answer the question that is up; an answer before its picture is there does nothing."""
        if self.sitting is None or self.sitting.is_done or self.pictures.up is None:
            return
        try:
            self.sitting.answer(choice)
        except MedsegError as error:
            self.trouble = str(error)
            self.turned.emit()
            return
        self.trouble = ""
        self._turn()

    def back(self) -> None:
        """Go to the question before."""
        if self.sitting is not None and self.sitting.back():
            self._turn()

    def forward(self) -> None:
        """Leave the answer one went back to as it is."""
        if self.sitting is not None:
            self.sitting.forward()
            self._turn()

    def mark_unusable(self, on: bool) -> None:
        """Neither mask is good enough, or one is after all."""
        if self.sitting is not None and not self.sitting.is_done:
            self.sitting.unusable = on
            self.turned.emit()

    def note(self, text: str) -> None:
        """What is to be remembered of the question."""
        if self.sitting is not None:
            self.sitting.note = text

    def seen(self) -> None:
        """The pictures are on the screen."""
        if self.sitting is not None and self.pictures.up is not None:
            self.sitting.show()

    def pause(self, away: bool) -> None:
        """The window to answer in went behind others, or came back."""
        if self.sitting is not None:
            (self.sitting.pause if away else self.sitting.go_on)()

    def leave(self) -> None:
        """Stop answering; all that was answered is on the disk."""
        if self.sitting is not None:
            self._put_away()
            self.turned.emit()

    def shut(self) -> None:
        """The session goes: let another window answer."""
        if self.sitting is not None:
            self.sitting.close()
            self.sitting = None

    def finish(self) -> None:
        """Show the result; only when this rater has answered everything."""
        from napari_medseg.review.blinded import summary_of

        if self.chosen is None or (self.sitting is not None and not self.sitting.is_done):
            return
        self._put_away()
        if self.can_show and self.chosen is not None:
            try:
                self.summary = summary_of(self.chosen.folder)
                self._record(self.chosen, self.summary)
            except MedsegError as error:
                self._session.report(error)
        self._session.changed.emit()
        self.turned.emit()

    @property
    def can_show(self) -> bool:
        """Whether the rater who is named may see the result."""
        return self.chosen is not None and self.sitting is None and self.chosen.answered(self.rater) == len(self.chosen.plan.questions)

    def save(self, path: Path) -> None:
        """Write the result: every answer as CSV, or all figures as JSON, by the ending."""
        import json

        from napari_medseg.review.blinded.words import table

        if self.summary is None:
            return
        text = json.dumps(self.summary.as_dict(), indent=1, ensure_ascii=False) if path.suffix.lower() == ".json" else table(self.summary)
        try:
            with replacing(path) as new:
                new.write_text(text, encoding="utf-8", newline="")
        except MedsegError as error:
            self._session.report(error)
            return
        self._session.notice = f"Saved {path.name}"
        self._session.changed.emit()

    # -- inside ------------------------------------------------------------------------------------------------------------------------------------------

    def _put_away(self) -> None:
        if self.sitting is None:
            return
        self._session.jobs.stop(LANE)
        self.sitting.close()
        self.sitting = None
        self.pictures.forget()
        self.look()

    def _record(self, review: FoundReview, summary: Summary) -> None:
        """A study keeps the verdicts in its database too."""
        if review.plan.source != "study" or self._session.study.project is None:
            return
        from napari_medseg.review.blinded import in_study, read_all_answers

        mine = next(one for one in read_all_answers(review.plan, review.folder) if one.rater.casefold() == self.rater.casefold())
        self._session.study.beside(lambda project: in_study.record(project, review.plan, mine, summary), lambda _: None)

    def _turn(self) -> None:
        """Put the question's pictures up, or read them first."""
        if self.sitting is None:
            return
        if self.chosen is not None:
            self.pictures.turn(self.chosen, self.sitting)
        self.turned.emit()

    def _on_failed(self, error: MedsegError) -> None:
        self.trouble = str(error)
        self._session.report(error)
        self.turned.emit()

    def _on_session(self) -> None:
        study = self._session.study
        if study.folder != self._study and not study.busy:
            self._study = study.folder
            self.choices.source = "study" if study.is_open else "folders"
            if self._session.reviewing.is_on("blinded") or self._begins:
                self.look()
        if self._begins and self.chosen is not None and (self.chosen.plan.source == "folders" or study.project is not None):
            self._begins = False
            self.start()
