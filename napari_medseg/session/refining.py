"""The refinement of a session: its rounds as they come, which one is in use, and the way to the places worth a look. It trains in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import InvalidInputError
from napari_medseg.session import engines, scan_rounds, study_refinement
from napari_medseg.session.jobs import TRAINING
from napari_medseg.session.making import Making
from napari_medseg.session.round_pictures import Change, changed_most
from napari_medseg.session.segmenting import REFINED, model_hash
from napari_medseg.session.state import Scan
from napari_medseg.session.study_adopting import RUN
from napari_medseg.session.study_refinement import Waiting
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine import Case, RefineRun, RoundFigures, Tick
    from napari_medseg.session.session import Session

UNKNOWN = 255


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was made of a round's labels beside the window.

    Attributes
    ----------
    fraction, message
        As the tick's.
    round : int
    labels : dict of Waiting
        By case.
    changes : tuple of Change
        Against the labels the run began with.
    """

    fraction: float
    message: str
    round: int
    labels: Mapping[str, Waiting]
    changes: tuple[Change, ...]


@dataclass(slots=True, eq=False)
class Row:
    """A round in the table.

    Attributes
    ----------
    figures : RoundFigures
    labels : dict of Waiting
        By case; empty for round 0 and for folders.
    changes : tuple of Change
    """

    figures: RoundFigures
    labels: Mapping[str, Waiting] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


class Refining:
    """Rounds of the session's refinement.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    rows : list of Row
        Of the run shown; the first one is the labels given.
    run : str
        Name of that run: when it began.
    in_use : int
        The round whose labels the cases have now; 0 for the labels given.
    shown : int or None
        The round that is looked at; None is the best so far.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._runs: list[RefineRun] = []
        self._scans: dict[str, Scan] = {}
        self._ids: list[str] = []
        self._before: dict[str, Waiting] = {}
        self._goal: tuple[str, int] | None = None
        self.rows: list[Row] = []
        self.run = ""
        self.in_use = 0
        self.shown: int | None = None
        session.scan_opened.connect(self._on_scan)

    # -- the training ------------------------------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Train round after round; each round's labels become a preview of their scan.

        Raises
        ------
        NoLabelsError, InvalidInputError, NoRoomError
            When there is nothing to learn from, or it does not fit in the memory.
        """
        from napari_medseg.refine import RefineRun

        session, choices = self._session, self._session.refine
        folders, project = bool(choices.images or choices.labels), session.study.project
        runs: list[RefineRun] = []
        ids: list[str] = []
        scans: dict[str, Scan] = {}
        if project is not None and not folders:
            ids = study_refinement.chosen(session)
            session.study.settle()
            count, asked = len(ids), partial(engines.request, session)

            def make() -> Iterator[Tick | Seen]:
                session.study.wait()
                cases, corrected = study_refinement.gathered(project, ids)
                runs.append(RefineRun(asked(cases, corrected)))
                return watched(runs[0], cases)
        else:
            request = engines.request(session)
            runs.append(RefineRun(request))
            scans = {} if folders else {name: scan for scan, name in engines.named(session)}
            count = len(scans)

            def make() -> Iterator[Tick | Seen]:
                return watched(runs[0], request.cases if isinstance(request.cases, tuple) else ())

        self._runs, self._scans, self._ids = runs, scans, ids
        self.rows, self.shown, self.in_use, self._before = [], None, 0, {}
        self.run = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        choices.losses, choices.round_starts, choices.figures, choices.best_round = [], [], [], None
        session.notice = ""
        title = f"Refining {count} scan{'s' if count != 1 else ''}" if count else f"Refining the scans in {choices.images.name if choices.images else ''}"

        def cancel() -> None:
            for run in runs:
                run.cancel()

        session.jobs.start(TRAINING, title, make, apply=self._apply, done=self._done, failed=session.report, own_thread=True, cancel=cancel)

    def _apply(self, tick: Tick | Seen) -> None:
        if isinstance(tick, Seen):
            row = self.row(tick.round)
            if row is not None:
                row.labels, row.changes = tick.labels, tick.changes
            return
        session, choices = self._session, self._session.refine
        self._note(tick)
        settings = {"recipe": choices.recipe, "rounds": choices.rounds, "round": tick.round, RUN: self.run}
        self._scans.update({scan.case: scan for scan in session.scans if scan.case in self._ids})
        if tick.labels:
            self._propose(tick.labels, tick.round, Making("refine", "proposal", settings))
        if tick.result is not None:
            best = Making("refine", "proposal", {**settings, "round": tick.result.best_round}, model=model_hash(tick.result.model))
            if tick.result.best_round:
                self._propose(tick.result.labels, tick.result.best_round, best)
            cases = self._ids or [scan.case for scan in self._scans.values() if scan.case]
            session.refined.emit(tuple(cases), best, study_refinement.figures_of(tick.result))

    def _note(self, tick: Tick) -> None:
        choices = self._session.refine
        if tick.loss is not None:
            if len(choices.round_starts) < tick.round:
                choices.round_starts.append(len(choices.losses))
            choices.losses.append(tick.loss)
        if tick.figures is not None:
            choices.figures.append(tick.figures)
            self.rows.append(Row(tick.figures))
        if tick.result is not None:
            choices.figures, choices.best_round = list(tick.result.rounds), tick.result.best_round
            for figures in tick.result.rounds:
                row = self.row(figures.round)
                if row is not None:
                    row.figures = figures
            if tick.result.model is not None:
                choices.model, self._session.engine = Path(tick.result.model), REFINED

    def _done(self) -> None:
        choices, session = self._session.refine, self._session
        best = f"round {choices.best_round} is the best" if choices.best_round else "your labels stay the best"
        session.notice = f"Refinement finished; {best}"
        if choices.best_round == 0 and choices.figures:
            last = choices.figures[-1]
            for scan in self._scans.values():
                if scan.preview is not None and scan.preview.title.startswith(engines.PROPOSAL):  # it may be looked at, but says why not to take it
                    size = f"Round {last.round} is {last.volume_ratio:.2g} times the size of your label"
                    scan.preview.doubt = size if last.dice_verified is None else f"Round {last.round} is not better than your label"
                    scan.preview.detail = last.reason[:1].upper() + last.reason[1:]

    def _propose(self, proposed: Mapping[str, LabelArray], number: int, made: Making) -> None:
        """A round's labels wait beside the accepted ones, unless the person is busy with another preview of that scan."""
        session, title = self._session, f"{engines.PROPOSAL} {number}"
        for name, labels in proposed.items():
            scan = self._scans.get(name)
            if (scan is None or scan not in session.scans) and session.study.case(name) is not None:
                session.study.propose(name, labels, title, made)
            if scan is None or scan not in session.scans or (scan.preview is not None and not scan.preview.title.startswith(engines.PROPOSAL)):
                continue
            engines.propose(session, scan, labels, title, made)

    # -- the table ---------------------------------------------------------------------------------------------------------------------------------------

    @property
    def is_training(self) -> bool:
        """Whether a training waits or runs."""
        job = self._session.jobs.of(TRAINING)
        return job is not None and job.is_active

    def row(self, number: int | None) -> Row | None:
        """The row of a round."""
        return next((row for row in self.rows if row.figures.round == number), None)

    @property
    def chosen(self) -> Row | None:
        """The row that is looked at: the person's choice, else the adopted one, else the last."""
        if self.shown is not None:
            return self.row(self.shown)
        best = self._session.refine.best_round
        return (self.row(best) if best else None) or (self.rows[-1] if self.rows else None)

    def look_at(self, number: int) -> None:
        """The person looks at a round."""
        if self.shown != number and self.row(number) is not None:
            self.shown = number
            self._session.changed.emit()

    def can_adopt(self, row: Row | None) -> bool:
        """Whether a round's labels can be taken into its cases now."""
        return row is not None and bool(row.labels) and row.figures.round != self.in_use and not self._session.study.busy

    def adopt(self, number: int) -> None:
        """Take a round's labels into all of its cases as new versions; what a person painted or verified stays."""
        row, session = self.row(number), self._session
        if row is None or not row.labels:
            session.report(InvalidInputError("there are no labels of this round to take", where=f"Round {number}", todo="Train on open scans or on a study"))
            return
        settings = {"recipe": session.refine.recipe, "rounds": session.refine.rounds, "round": number, RUN: self.run, "adopted": True}
        model = session.refine.model if number == session.refine.best_round else None
        made = Making("refine", "proposal", settings, model=model_hash(model))
        self._drop_previews()

        def done(count: int) -> None:
            self.in_use = number
            session.notice = f"Round {number} is in use: {count} case{'s' if count != 1 else ''} changed; what you painted or verified stayed"
            session.changed.emit()

        if self._ids:
            session.study.adopt(row.labels, made, done)
        else:
            self._keep_before()
            done(sum(scan_rounds.adopt(session, scan, row.labels[name].labels, made) for name, scan in self._open() if name in row.labels))

    def roll_back(self) -> None:
        """Give all cases the labels they had before this run; what a person settled since stays."""
        session = self._session
        self._drop_previews()

        def done(count: int) -> None:
            self.in_use = 0
            session.notice = f"Rolled back: {count} case{'s have' if count != 1 else ' has'} the labels from before the refinement again"
            session.changed.emit()

        if self._ids:
            session.study.roll_back(self._ids, self.run, done)
        else:
            made = Making("refine", "weak", {"rolled_back": self.run})
            done(sum(scan_rounds.adopt(session, scan, self._before[name].labels, made) for name, scan in self._open() if name in self._before))

    def show(self, change: Change) -> None:
        """Bring the person to a slice that a round changed, in its case."""
        scan = next((scan for name, scan in self._scans.items() if name == change.case and scan in self._session.scans), None)
        self.go(scan.case if scan is not None and scan.case else change.case, change.index)

    def go(self, case: str, index: int) -> None:
        """Bring the person to a display slice of a case or open scan; a case that is not open is opened first."""
        session = self._session
        scan = self._open_scan(case)
        if scan is not None:
            if scan is not session.current:
                session.activate(scan)
            _, rows, columns = scan.display.geometry.shape
            session.place.emit(scan, (index, rows // 2, columns // 2))
            session.changed.emit()
        elif session.study.case(case) is not None:
            self._goal = (case, index)
            session.study.go(case)

    # -- inside ------------------------------------------------------------------------------------------------------------------------------------------

    def _open_scan(self, case: str) -> Scan | None:
        scan = self._scans.get(case)
        if scan is not None and scan in self._session.scans:
            return scan
        return next((each for each in self._session.scans if each.case and each.case == case), None)

    def _on_scan(self, scan: Scan) -> None:
        """A case that was asked for is open; its place is shown once the window has drawn it."""
        self._session.jobs.dispatch(self._reach)

    def _reach(self) -> None:
        if self._goal is not None and self._open_scan(self._goal[0]) is not None:
            goal, self._goal = self._goal, None
            self.go(*goal)

    def _open(self) -> list[tuple[str, Scan]]:
        return [(name, scan) for name, scan in self._scans.items() if scan in self._session.scans]

    def _keep_before(self) -> None:
        for name, scan in self._open():
            if name not in self._before and scan.labels is not None:
                self._before[name] = Waiting.of(engines.case_of(scan, name).labels.channel(), "before", Making("refine"))

    def _drop_previews(self) -> None:
        for _, scan in [*self._open(), *((scan.case, scan) for scan in self._session.scans if scan.case in self._ids)]:
            if scan.preview is not None and scan.preview.title.startswith(engines.PROPOSAL):
                scan.preview = None
                self._session.preview_changed.emit(scan, None)


def watched(ticks: Iterator[Tick] | RefineRun, cases: Sequence[Case]) -> Iterator[Tick | Seen]:
    """The ticks of a run, and after each round what a person is to see of it; runs beside the window, where the scans are at hand."""
    given = {case.id: case.labels.channel() for case in cases}
    for tick in ticks:
        if tick.labels is None:
            yield tick
            continue
        yield tick
        yield seen(tick.round, tick.labels, given, cases, tick)


def seen(number: int, labels: Mapping[str, LabelArray], given: Mapping[str, LabelArray], cases: Sequence[Case], tick: Any) -> Seen:
    """Pack a round's labels and draw what changed most."""
    made = Making("refine", "proposal")
    packed = {name: Waiting.of(array, f"{engines.PROPOSAL} {number}", made) for name, array in labels.items()}
    before = {name: given[name] if not (given[name] == UNKNOWN).any() else _known(given[name], labels[name]) for name in labels if name in given}
    return Seen(tick.fraction, tick.message, number, packed, changed_most(((case.id, case.image) for case in cases), before, labels))


def _known(labels: LabelArray, instead: LabelArray) -> LabelArray:
    known = labels.copy()
    known[labels == UNKNOWN] = instead[labels == UNKNOWN]
    return known
