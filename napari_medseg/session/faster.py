"""A trained model made faster: the curve of work against time and quality, measured beside the window, and the point of it that a person keeps."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.errors import InvalidInputError, MedsegError, UnwritableFileError
from napari_medseg.session import engines, study_refinement

if TYPE_CHECKING:
    from napari_medseg.refine import Case, Folders, RefineRequest
    from napari_medseg.refine.process import ChildRun
    from napari_medseg.refine.pruning.curve import Point, PruneRequest, PruneTick
    from napari_medseg.session.jobs import Job
    from napari_medseg.session.session import Session

LANE = "faster"
FOLDER, MEASURED = "faster", ".measured"
"""Beside a run's own models: those a person kept, and those of the curve that is shown."""
MODEL = "model.safetensors"
CURVE = (0.9, 0.75, 0.6, 0.5, 0.4, 0.3)
MOST = 24
"""Cases that a curve is measured with, the best labelled ones; more take longer and tell little more."""
WINDOWS = 48
"""That filters are weighed by."""
BEST = ("verified", "corrected", "weak", "new")


@dataclass(slots=True, eq=False)
class Curve:
    """What was measured of one model.

    Attributes
    ----------
    model : Path
        The whole one.
    points : list of Point
        The whole model first, then falling shares of its work.
    judged : int
        Cases that Dice was measured on; 0 until it is over.
    unseen : bool
        Whether nothing was learnt from their labels.
    """

    model: Path
    points: list[Point] = field(default_factory=list)
    judged: int = 0
    unseen: bool = False


class Faster:
    """The curve that is shown, and the models that were kept.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    curve : Curve or None
    at : int
        The point that is looked at, a place in `curve.points`.
    kept : Path or None
        The faster model that was kept last of the model the session has now.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._run: ChildRun[PruneTick] | None = None
        self._of: Path | None = None
        self.curve: Curve | None = None
        self.at = 0
        self.kept: Path | None = None
        session.changed.connect(self._on_changed)

    @property
    def job(self) -> Job | None:
        """The measuring, or the last one."""
        return self._session.jobs.of(LANE)

    @property
    def is_measuring(self) -> bool:
        """Whether a curve is on its way."""
        return self.job is not None and self.job.is_active

    def can_measure(self) -> bool:
        """Whether there is a model, and cases to measure it with."""
        return self._session.refine.model is not None and self._session.refining.can_start()

    def measure(self) -> None:
        """Measure the curve of the trained model with what is ticked, in a process of its own."""
        session, model = self._session, self._session.refine.model
        if model is None:
            session.report(InvalidInputError("there is no trained model yet", where="Make it faster", todo="Train a round first"))
            return
        try:
            asked = self._asked(model)
        except MedsegError as error:
            session.report(error)
            return
        curve = self.curve = Curve(model)
        self.at, session.notice, session.trouble = 0, "", ""

        def ticks() -> Iterator[PruneTick]:
            from napari_medseg.refine.process import ChildRun
            from napari_medseg.refine.pruning.curve import PruneTick

            request = asked()
            curve.unseen = bool(request.judges)
            if request.points is not None:
                shutil.rmtree(request.points, ignore_errors=True)
            self._run = ChildRun(request, PruneTick(0.0, "Reading the cases"), session.choices.threads)
            yield from self._run

        def done() -> None:
            session.notice = "Measured: move the slider to see what less work costs and brings, and keep the model you like"

        def cancel() -> None:
            if self._run is not None:
                self._run.cancel()

        title = "Measuring faster models"  # quiet: its own box shows how far it is, and the Guide goes on with what the person does
        session.jobs.start(LANE, title, ticks, apply=self._apply, done=done, failed=session.report, own_thread=True, cancel=cancel, quiet=True)

    def stop(self) -> None:
        """Stop measuring; points that are measured stay."""
        self._session.jobs.stop(LANE)

    def look_at(self, place: int) -> None:
        """The person looks at a point."""
        if self.curve is not None and place != self.at and 0 <= place < len(self.curve.points):
            self.at = place
            self._session.changed.emit()

    @property
    def point(self) -> Point | None:
        """What is looked at."""
        return self.curve.points[self.at] if self.curve is not None and self.at < len(self.curve.points) else None

    def can_keep(self) -> bool:
        """Whether the point that is looked at is a model that can be kept."""
        return self.point is not None and self.point.file is not None and self.point.file.is_file()

    def keep(self) -> None:
        """Keep the model that is looked at, beside the round's own; nothing is replaced, and Segment offers both."""
        session, point, curve = self._session, self.point, self.curve
        if point is None or point.file is None or curve is None:
            session.report(InvalidInputError("is the whole model, which you have already", where="Make it faster", todo="Choose a point with less work"))
            return
        from napari_medseg.io.atomic import advice, put

        target = _free(_home(curve.model) / f"{100 * point.share:.0f}")
        try:
            put(point.file.parent, target)
        except OSError as error:
            session.report(UnwritableFileError("could not be kept", where=target, todo=advice(error)))
            return
        curve.points[self.at] = replace(point, file=target / MODEL)
        self.kept = target / MODEL
        session.notice = f"Kept the model at {100 * point.share:.0f} % of the work beside the round's own; choose it in Segment, or as Base of a refinement"
        session.changed.emit()

    def is_kept(self) -> bool:
        """Whether the point that is looked at was kept."""
        point = self.point
        return point is not None and point.file is not None and point.file.parent.parent.name != MEASURED

    def words(self) -> str:
        """The point that is looked at in a sentence; "" for none."""
        point, curve = self.point, self.curve
        if point is None or curve is None:
            return ""
        if point.file is None:
            said = f"The whole model: {point.ms:.0f} ms a window" + (f", Dice {point.dice:.3f}." if point.dice is not None else ".")
            return f"{said} Move the slider for less work." if len(curve.points) > 1 else said
        whole = curve.points[0]
        time = f"{100 * point.share:.0f} % of the work: {point.ms:.0f} ms a window instead of {point.whole_ms:.0f}, {point.faster:.1f} times as fast"
        dice = f"; Dice {point.dice:.3f} instead of {whole.dice:.3f}" if point.dice is not None and whole.dice is not None else ""
        return f"{time}{dice}." + (" Kept." if self.is_kept() else "")

    def judged_words(self) -> str:
        """What Dice was measured on; "" until that is known."""
        curve = self.curve
        if curve is None or not curve.judged:
            return ""
        cases = f"{curve.judged} case{'s' if curve.judged != 1 else ''}"
        if curve.unseen:
            return f"Dice on verified slices of {cases} that nothing learns from."
        return f"Dice on {cases} that did not say what goes; the model may have learnt from them."

    # -- inside --------------------------------------------------------------------------------------------------------------------------------------

    def _apply(self, tick: PruneTick) -> None:
        curve = self.curve
        if curve is None:
            return
        if tick.point is not None:
            curve.points.append(tick.point)
        if tick.result is not None:
            curve.judged = len(tick.result.judged_by)

    def _asked(self, model: Path) -> Callable[[], PruneRequest]:
        """What is measured with; the rest of it is gathered beside the window.

        Raises
        ------
        NoLabelsError, InvalidInputError, NoRoomError
        """
        session = self._session
        choices, project = copy.copy(session.refine), session.study.project
        in_study = project is not None and not (choices.images or choices.labels)
        status = {str(row.key): row.status for row in study_refinement.learners(session)}
        ids = sorted(study_refinement.chosen(session, choices), key=lambda case: BEST.index(status[case]))[:MOST] if in_study else []
        if in_study:
            session.study.settle()
        else:
            engines.require(session, choices)

        def request() -> PruneRequest:
            if project is None or not in_study:
                return _request(model, engines.request(session, choices))
            session.study.wait()
            known = study_refinement.checks(project, ids)
            cases, taught = study_refinement.gathered(project, ids, known)
            return _request(model, engines.request(session, choices, cases, taught, known))

        return request

    def _on_changed(self) -> None:
        """Another model: its curve has yet to be measured, and others of it may have been kept."""
        model = self._session.refine.model
        if model == self._of:
            return
        self._of = model
        if self.curve is not None and self.curve.model != model:
            self.stop()
            self.curve, self.at = None, 0
        self.kept = last_kept(model) if model is not None else None


def _request(model: Path, asked: RefineRequest) -> PruneRequest:
    """The same cases, to prune with; where there is a person's word that nothing learns from, that judges."""
    from napari_medseg.refine.pruning.curve import PruneRequest

    patients = asked.patients or {}
    sides = asked.sides or {}
    verified = asked.verified if isinstance(asked.verified, Mapping) else {}
    cases: tuple[Case, ...] | Folders = asked.cases
    judges: frozenset[str] = frozenset()
    if isinstance(cases, tuple):
        judges = frozenset(case.id for case in cases if case.id in verified and sides.get(case.id, "check") == "check")
        checked = {patients.get(case, case) for case in judges}
        if all(patients.get(case.id, case.id) in checked for case in cases):
            judges = frozenset()  # somebody has to say what can go
        cases = tuple(replace(case, labels=verified[case.id]) if case.id in judges else case for case in cases)
    return PruneRequest(model, cases, 1.0, CURVE, patients=dict(patients), judges=judges, samples=WINDOWS, points=_home(model) / MEASURED)


def last_kept(model: Path) -> Path | None:
    """The faster model that was kept last of a model; None for none."""
    found = []
    with suppress(OSError):
        found = [(file.stat().st_mtime, file) for file in _home(model).glob(f"*/{MODEL}") if file.parent.name != MEASURED]
    return max(found)[1] if found else None


def _home(model: Path) -> Path:
    """Where a run keeps the faster models of its own."""
    return model.parent.parent / FOLDER


def _free(folder: Path) -> Path:
    """The folder, or one with a number behind its name where it is there already."""
    names = (folder.name, *(f"{folder.name} {number}" for number in range(2, 1000)))
    return next(folder.parent / name for name in names if not (folder.parent / name).exists())
