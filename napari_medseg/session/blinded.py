"""Blinded choice in the window: what is compared, who answers, which pictures are up, and the result once that rater is done. No Qt."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from psygnal import Signal

from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError
from napari_medseg.io import replacing

if TYPE_CHECKING:
    from napari_medseg.project import Project
    from napari_medseg.review.blinded import Plan, Sitting, Summary
    from napari_medseg.review.blinded.loading import Loaded
    from napari_medseg.review.blinded.pictures import Shown
    from napari_medseg.review.blinded.planning import Planning
    from napari_medseg.review.blinded.sources import Source
    from napari_medseg.session.session import Session

LANE = "review blinded"
DEVICE = "review"
AHEAD = 2  # whole volumes that are read ahead; slices are small and all read at once


@dataclass
class BlindedChoices:
    """What a person chose for a new review.

    Attributes
    ----------
    source : str
        "folders", or "study" for two versions of the open study's cases.
    images, a, b : Path or None
        Folders of scans and of the two sets of masks, with the same file names.
    keep : Path or None
        Folder for plan and answers; a study keeps them itself.
    version_a, version_b : str
        As `StudySource`.
    kind : str
        "slices" or "volumes".
    slices : int
    repeats : float
        Share of the questions that is asked again.
    """

    source: Literal["folders", "study"] = "folders"
    images: Path | None = None
    a: Path | None = None
    b: Path | None = None
    keep: Path | None = None
    version_a: str = "proposal"
    version_b: str = "verified"
    kind: Literal["slices", "volumes"] = "slices"
    slices: int = 40
    repeats: float = 0.0

    def lacks(self) -> str:
        """What is still to be said; "" for nothing."""
        if self.source == "study":
            return "" if self.version_a != self.version_b else "two different versions"
        folders = {"the scans": self.images, "the first masks": self.a, "the second masks": self.b, "a folder to keep the answers in": self.keep}
        return next((name for name, path in folders.items() if path is None), "")


@dataclass(frozen=True, slots=True)
class FoundReview:
    """A review that is there.

    Attributes
    ----------
    folder : Path
    plan : Plan
    raters : tuple of (name, answered)
    """

    folder: Path
    plan: Plan
    raters: tuple[tuple[str, int], ...]

    def answered(self, rater: str) -> int:
        """How many questions somebody has answered."""
        wanted = " ".join(rater.split()).casefold()
        return next((count for name, count in self.raters if name.casefold() == wanted), 0)

    @property
    def title(self) -> str:
        """What the list calls it: nothing of what is compared."""
        thing = "slices" if self.plan.kind == "slices" else "volumes"
        return f"{self.folder.name}: {len(self.plan.questions)} {thing}"


@dataclass
class Pictures:
    """Pictures that were read, and those that are up.

    Attributes
    ----------
    read : question number to Shown
    up : Shown or None
        Of the question that is asked.
    """

    read: dict[int, Shown] = field(default_factory=dict)
    up: Shown | None = None


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
        self.pictures = Pictures()
        self.summary: Summary | None = None
        self.trouble = ""
        self._opened: list[Path] = []
        self._study: Path | None = None
        self._begins = False
        self._reading: set[int] = set()
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
                found.append(_found(path))
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
        source = self._new_source(project)
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

    def _new_source(self, project: Project | None) -> Callable[[], Source]:
        choices = self.choices
        if choices.source == "study":
            if project is None:
                raise InvalidInputError("no study is open that can be written to", where="Blinded choice", todo="Open one, or compare two folders")
            a, b = choices.version_a, choices.version_b

            def of_study() -> Source:
                from napari_medseg.review.blinded import StudySource

                return StudySource(project, a, b)

            return of_study
        images, first, second, keep = choices.images, choices.a, choices.b, choices.keep

        def of_folders() -> Source:
            from napari_medseg.review.blinded import FolderSource
            from napari_medseg.review.blinded.folder import require_free

            if images is None or first is None or second is None or keep is None:
                raise InvalidInputError("a folder is missing", where="Blinded choice", todo="Name it on the Review tab")
            require_free(keep)
            return FolderSource(images, first, second, beside=keep)

        return of_folders

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
        self.rater, self.pictures, self.summary, self.trouble = self.sitting.rater, Pictures(), None, ""
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
        self.sitting, self.pictures = None, Pictures()
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
        sitting = self.sitting
        if sitting is None:
            return
        question = sitting.question
        self.pictures.up = self.pictures.read.get(question.number) if question is not None else None
        self._read()
        self.turned.emit()

    def _read(self) -> None:
        """Read what is not there yet: all slices that are still to be answered, or the next volumes."""
        sitting, review = self.sitting, self.chosen
        if sitting is None or sitting.question is None or review is None:
            return
        plan, read = review.plan, self.pictures.read
        if plan.kind == "volumes":
            near = sitting.upcoming(AHEAD)
            for number in [number for number in read if number not in {one.number for one in near}]:
                del read[number]
        else:
            near = [sitting.question, *(one for one in plan.questions if not sitting.has(one.number))]
        job = self._session.jobs.of(LANE)
        wanted = [one for one in dict.fromkeys(near) if one.number not in read]
        numbers = {one.number for one in wanted}
        if not wanted or (job is not None and job.is_active and numbers <= self._reading):
            return
        self._reading = numbers
        source = self._source(review)

        def make() -> Iterator[Loaded]:
            from napari_medseg.review.blinded.loading import load

            return load(plan, source, wanted)

        self._session.jobs.start(LANE, "Reading the scans", make, apply=self._on_loaded, done=lambda: None, failed=self._on_failed, device=DEVICE, quiet=True)

    def _source(self, review: FoundReview) -> Callable[[], Source]:
        project = self._session.study.project

        def source() -> Source:
            from napari_medseg.review.blinded.sources import source_of

            return source_of(review.plan, review.folder, project)

        return source

    def _on_loaded(self, tick: Loaded) -> None:
        self.pictures.read[tick.number] = tick.shown
        sitting = self.sitting
        if sitting is not None and sitting.question is not None and sitting.question.number == tick.number:
            self.pictures.up = tick.shown
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


def _found(path: Path) -> FoundReview:
    from napari_medseg.review.blinded import read_all_answers, read_plan

    plan = read_plan(path)
    return FoundReview(path.parent, plan, tuple((one.rater, len(one.by_question)) for one in read_all_answers(plan, path.parent)))
