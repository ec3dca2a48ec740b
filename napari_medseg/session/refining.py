"""The refinement of a session: its trainings, their rounds as they come, and the way to the places worth a look."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import MedsegError
from napari_medseg.session import engines, rounds_again, study_refinement
from napari_medseg.session.glimpse import Glimpse
from napari_medseg.session.jobs import TRAINING
from napari_medseg.session.making import Making
from napari_medseg.session.pretraining import Pretraining
from napari_medseg.session.refining_left import Asked, Left
from napari_medseg.session.refining_rounds import Rounds, Row
from napari_medseg.session.refining_runs import Seen, Training, runs_folder
from napari_medseg.session.rounds_again import Again, Redrawn
from napari_medseg.session.run_notes import Spot, Voxel
from napari_medseg.session.segmenting import REFINED, model_hash
from napari_medseg.session.state import Scan
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine import RoundFigures, Tick
    from napari_medseg.refine.queue import Queued, RunQueue
    from napari_medseg.session.session import Session

OURS = "medseg"
"""The recipe that is taken where nobody chose one."""


class Refining(Rounds):
    """The session's refinement: trainings beside the window, and what they bring into it.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    at : int or None
        The place to correct that was gone to last.
    paused : bool
        Whether the training sleeps.
    warning : str
        What went wrong in the training shown without ending it; "" for nothing.
    left : Left
        Trainings that were not brought to their end.
    glimpse : Glimpse
    pretraining : Pretraining
        What scans without labels teach, for a training to start from.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._queue: RunQueue | None = None
        self._goal: tuple[str, Voxel, str] | None = None
        self._folder: Path | None = None
        self.at: int | None = None
        self.paused = False
        self.warning = ""
        self.left = Left(session)
        self.glimpse = Glimpse(session)
        self.pretraining = Pretraining(session)
        if OURS in {entry.id for entry in session.catalogue.of_kind("recipe")}:
            session.refine.recipe, session.refine.rounds = OURS, session.catalogue.find(OURS, "recipe").build().rounds
        session.scan_opened.connect(self._on_scan)
        session.changed.connect(self._on_changed)

    # -- the training ------------------------------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Train on what is ticked now, or after the training that runs.

        Raises
        ------
        NoLabelsError, InvalidInputError, NoRoomError
            When there is nothing to learn from, or it does not fit in the memory.
        """
        if self.is_training:
            self.enqueue()
            return
        self.queue.add("Refinement", Asked(self._session, copy.deepcopy(self._session.refine)))

    def enqueue(self) -> None:
        """Train once more with the present choices, on the labels as they are then, when what runs has ended."""
        asked = Asked(self._session, copy.deepcopy(self._session.refine))
        self.queue.add(asked.title, asked)

    def choose_recipe(self, recipe: str) -> None:
        """Take a recipe, with as many rounds as it is made for."""
        choices = self._session.refine
        choices.recipe, choices.rounds = recipe, self._session.catalogue.find(recipe, "recipe").build().rounds
        self._session.set(refine=choices)

    def choose_network(self, **values: Any) -> None:
        """Take a network, a loss, or how near to the base they stay; fields of `NetworkChoices`. A network in slices or volumes as it comes.

        A pre-trained encoder is no beginning for another network than its own, and is let go of with it.
        """
        choices = self._session.refine
        chosen = replace(choices.network, **values)
        if "start" not in values and (chosen.network, chosen.dims) != (choices.network.network, choices.network.dims):
            chosen = replace(chosen, start="")
        entry = self._session.catalogue.entries.get(chosen.network)
        dims = entry.capabilities.get("dims", [2, 3]) if entry is not None else [3]
        choices.network = chosen if chosen.dims in dims else replace(chosen, dims=dims[0])
        self._session.set(refine=choices)

    def can_start(self) -> bool:
        """Whether there is something to learn from."""
        choices = self._session.refine
        return bool(choices.images and choices.labels) or bool(study_refinement.learners(self._session))

    @property
    def is_training(self) -> bool:
        """Whether a training waits or runs."""
        job = self._session.jobs.of(TRAINING)
        return job is not None and job.is_active

    @property
    def shows_looks(self) -> bool:
        """Whether what it has learnt so far can be seen while it trains; a server shows nothing of it."""
        return self.training is None or not self.training.runs or self.training.runs[-1].looks

    def pause_or_go_on(self) -> None:
        """Let the training sleep, or wake it."""
        if self.training is None or not self.is_training:
            return
        self.paused = not self.paused
        for run in self.training.runs:
            run.pause() if self.paused else run.go_on()
        self._session.changed.emit()

    def stop(self) -> None:
        """Stop the training; finished rounds stay, and the rest of it and what is queued are offered again. Where none runs, what learns without labels."""
        if not self.is_training and self.pretraining.is_learning:
            self.pretraining.stop()
            return
        if self._queue is not None:
            self.left.put_back(item.make for item in self._queue.waiting if isinstance(item.make, Asked))
            self._queue.clear()
        self._session.jobs.stop(TRAINING)
        self._ended()

    @property
    def queue(self) -> RunQueue:
        """Trainings that wait for their turn."""
        if self._queue is None:
            from napari_medseg.refine.queue import RunQueue

            self._queue = RunQueue(self._begin, self._requeued)
        return self._queue

    def _requeued(self) -> None:
        if self._queue is not None:
            self.left.write([item.make for item in self._queue.waiting if isinstance(item.make, Asked)])
        self._session.changed.emit()

    def waiting_words(self) -> str:
        """What is queued; "" for nothing."""
        waiting = self._queue.waiting if self._queue is not None else ()
        return f"Then: {'; '.join(item.title for item in waiting)}" if waiting else ""

    def _begin(self, item: Queued) -> None:
        session, made = self._session, item.make()
        self._clear(made)
        session.notice = session.trouble = ""

        def cancel() -> None:
            for run in made.runs:
                run.cancel()

        def done() -> None:
            self._done()
            self._ended()

        def failed(error: MedsegError) -> None:
            session.report(error)
            self._ended()

        def ticks() -> Iterator[Tick | Seen]:
            try:
                yield from made.ticks()
            finally:  # its process is gone, and lets go of its folder: what is left of it can be offered
                session.jobs.dispatch(self.left.look_again)

        session.jobs.start(TRAINING, made.title, ticks, apply=self._apply, done=done, failed=failed, own_thread=True, cancel=cancel)

    def _clear(self, training: Training | None) -> None:
        """Another run is shown, or none."""
        choices = self._session.refine
        self.training, self.rows, self.shown, self.at, self.in_use, self._before, self.paused = training, [], None, None, 0, {}, False
        self.missed = frozenset()
        self.warning = ""
        choices.losses, choices.round_starts, choices.figures, choices.best_round = [], [], [], None

    def _ended(self) -> None:
        self.paused = False
        self.glimpse.forget()
        if self._queue is not None and self._queue.running is not None:
            try:
                self._queue.ended(self._queue.running)
            except MedsegError as error:  # what came next has nothing to learn from any more
                self._session.report(error)

    def _apply(self, tick: Tick | Seen) -> None:
        if isinstance(tick, Seen):
            row = self.row(tick.round)
            if row is not None:
                row.labels, row.changes, row.spots = tick.labels, tick.changes, tick.spots
                self.at = None
            return
        session, training = self._session, self.training
        if training is None:
            return
        if self.paused and training.runs and not training.runs[-1].paused:
            training.runs[-1].pause()  # asked for before there was anything to pause
        self._note(tick)
        self.warning = tick.warning or self.warning
        if tick.look is not None:
            self.glimpse.take(tick.look)
        elif tick.loss is not None and training.runs and not self.paused:
            self.glimpse.ask(training.runs[0])
        training.scans.update({scan.case: scan for scan in session.scans if scan.case in training.ids})
        if tick.labels:
            self._propose(tick.labels, tick.round, self._making(tick.round), refused=tick.figures is not None and not tick.figures.adopted)
        if tick.result is not None:
            best = self._making(tick.result.best_round, model=model_hash(tick.result.model))
            if tick.result.best_round:
                self._propose(tick.result.labels, tick.result.best_round, best)
            cases = training.ids or [scan.case for scan in training.scans.values() if scan.case]
            session.refined.emit(tuple(cases), best, study_refinement.figures_of(tick.result))

    def _note(self, tick: Tick) -> None:
        choices = self._session.refine
        if tick.loss is not None:
            if len(choices.round_starts) < tick.round:
                choices.round_starts.append(len(choices.losses))
            choices.losses.append(tick.loss)
        if tick.figures is not None:
            choices.figures.append(tick.figures)
            self._settle_on(tick.figures)
        if tick.result is not None:
            choices.figures, choices.best_round = list(tick.result.rounds), tick.result.best_round
            for figures in tick.result.rounds:
                self._settle_on(figures)
            if tick.result.model is not None:
                choices.model, self._session.engine = Path(tick.result.model), REFINED

    def _settle_on(self, figures: RoundFigures) -> None:
        row = self.row(figures.round)
        if row is None:
            self.rows.append(Row(figures))
        else:
            row.figures = figures

    def _done(self) -> None:
        choices, session = self._session.refine, self._session
        best = f"round {choices.best_round} is the best" if choices.best_round else "your labels stay the best"
        session.notice = f"Refinement finished; {best}"
        for scan in self.training.scans.values() if choices.best_round == 0 and self.training is not None else ():
            if scan.preview is not None and engines.is_proposal(scan.preview):  # it may be looked at, but says why not to take it
                scan.preview.doubt, detail = self._doubt(choices.figures[-1].round) if choices.figures else ("", "")
                scan.preview.detail = detail or scan.preview.detail

    def _doubt(self, number: int) -> tuple[str, str]:
        """Why a round's labels should rather not be accepted, and the gate's reason; empty while nothing speaks against them."""
        row, choices = self.row(number), self._session.refine
        if row is None or row.figures.adopted:
            return "", ""
        figures = row.figures
        if self.is_training or choices.best_round != 0:
            return f"Round {number} was not adopted", ""
        size = f"Round {number} is {figures.volume_ratio:.2g} times the size of your label"
        why = size if figures.dice_verified is None else f"Round {number} is not better than your label"
        return why, figures.reason[:1].upper() + figures.reason[1:]

    def _propose(self, proposed: Mapping[str, LabelArray], number: int, made: Making, *, refused: bool = False) -> None:
        """A round's labels wait beside the accepted ones, unless the person is busy with another preview of that scan.

        Those of a refused round are shown where a scan is open, and say so; they wait for nobody else.
        """
        session, title = self._session, f"{engines.PROPOSAL} {number}"
        for name, labels in proposed.items():
            scan = self._open_scan(name)
            if scan is None and session.study.case(name) is not None and not refused:
                session.study.propose(name, labels, title, made)
            if scan is not None and scan.geometry.shape == labels.shape:
                engines.propose(session, scan, partial(_same, labels), title, made, lambda: self._doubt(number))

    # -- another day -------------------------------------------------------------------------------------------------------------------------------------

    def _on_changed(self) -> None:
        """Another study was opened, or this one was closed: rounds belong to their study, and so does what trains on it."""
        study = self._session.study
        folder = study.folder
        if folder == self._folder:
            return
        self._folder = folder
        choices = self._session.refine
        choices.left_out = {key for key in choices.left_out if not isinstance(key, str)}  # cases of that one
        if self.is_training and (self.training is None or not self.training.ids):
            return
        self._queue = None  # what waits stays on the disk
        self.left.left_study()
        self._session.jobs.stop(TRAINING)
        self.glimpse.forget()
        self._clear(None)
        if folder is not None:
            runs = runs_folder(self._session)
            study.beside(lambda project: rounds_again.latest_run(project, runs), lambda again: self._show_again(again, folder))

    def _show_again(self, again: Again | None, folder: Path) -> None:
        """The rounds of an earlier time, as they were left."""
        session = self._session
        if again is None or folder != session.study.folder or self.is_training or self.rows:
            return
        choices = session.refine
        settings = copy.deepcopy(choices)
        settings.recipe, settings.rounds, settings.network = again.notes.recipe, again.notes.rounds, again.notes.network
        if again.notes.network.settings and not choices.network.settings:  # whoever chose a network goes on with it
            choices.recipe, choices.rounds, choices.network = settings.recipe, settings.rounds, settings.network
        self.training, self.in_use = Training("", settings, ids=list(again.ids), began=again.notes.began), again.in_use
        self.missed = again.missed
        if again.missed:
            there = len(again.ids) - len(again.missed)
            reached = f"Round {again.in_use} had reached {there} of {len(again.ids)} cases when the program ended"
            session.notice = f"{reached}; Adopt takes it into the others, Roll back out of all"
        choices.figures, choices.best_round, choices.model = list(again.figures), again.best, again.model or choices.model
        self.rows = [Row(each, again.labels.get(each.round, {}), spots=again.notes.spots.get(each.round, ())) for each in again.figures]
        best = again.labels.get(again.best, {})
        if not again.in_use:
            session.study.proposals = {**{case: best[case] for case in again.untouched if case in best}, **session.study.proposals}
        session.changed.emit()
        self._draw_again(again)

    def _draw_again(self, again: Again) -> None:
        project, shown = self._session.study.project, self.training
        if project is None:
            return

        def apply(drawn: Redrawn) -> None:
            row = self.row(drawn.round)
            if row is not None and self.training is shown:
                row.changes = drawn.changes

        title = "Drawing what the rounds changed"
        self._session.jobs.start(
            "pictures", title, lambda: rounds_again.pictures(project, again), apply=apply, done=_nothing, failed=_ignore, own_thread=True, quiet=True,
        )

    # -- the way to a place ------------------------------------------------------------------------------------------------------------------------------

    @property
    def spots(self) -> tuple[Spot, ...]:
        """What to correct next, from the latest round that told."""
        return next((row.spots for row in reversed(self.rows) if row.spots), ())

    def step(self, by: int) -> None:
        """Go to the next place worth a correction (1), or the one before (-1)."""
        spots = self.spots
        if not spots:
            self._session.notice = "A round tells where to look; train one first"
            self._session.changed.emit()
            return
        self.visit((self.at + by) % len(spots) if self.at is not None else 0 if by > 0 else len(spots) - 1)

    def visit(self, number: int) -> None:
        """Go to a place of the list."""
        spot, self.at = self.spots[number], number
        where = f"Place {number + 1} of {len(self.spots)}, {self.name_of(spot.case)}, slice {spot.voxel[0]}"
        self.go(spot.case, spot.voxel, f"{where}: {spot.reason}")

    def go(self, case: str, voxel: Voxel, said: str = "") -> None:
        """Bring the person to a place of a case or open scan, on its display grid, and say why; a case that is not open is opened first."""
        session, scan = self._session, self._open_scan(case)
        if scan is not None:
            if scan is not session.current:
                session.activate(scan)
            session.notice = said
            session.place.emit(scan, voxel)
            session.changed.emit()
        elif session.study.case(case) is not None:
            self._goal = (case, voxel, said)
            session.study.go(case)

    # -- inside ------------------------------------------------------------------------------------------------------------------------------------------

    def _on_scan(self, scan: Scan) -> None:
        """A case that was asked for is open; its place is shown once the window has drawn it."""
        if self._goal is not None:
            self._session.jobs.dispatch(self._reach)

    def _reach(self) -> None:
        if self._goal is not None and self._open_scan(self._goal[0]) is not None:
            goal, self._goal = self._goal, None
            self.go(*goal)

def _ignore(_: object) -> None:
    """Nothing is to be told."""


def _nothing() -> None:
    """Nothing follows."""


def _same(labels: LabelArray) -> LabelArray:
    return labels
