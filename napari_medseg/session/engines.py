"""A refinement, started from the session: what it is given, and what its proposals become. It runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.session import by_hand, study_refinement
from napari_medseg.session.jobs import TRAINING
from napari_medseg.session.making import Making
from napari_medseg.session.segmenting import REFINED, model_hash
from napari_medseg.session.state import Preview, Scan, source_labels
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine import Case, RefineRequest, RefineRun, Tick
    from napari_medseg.session.session import Session
    from napari_medseg.volume import Volume

PROPOSAL = "proposal round"


def refinable(session: Session) -> list[Scan]:
    """Open scans that have an accepted label."""
    return [scan for scan in session.scans if scan.has_labels]


def request(session: Session, cases: tuple[Case, ...] = (), corrected: Mapping[str, Volume] | None = None) -> RefineRequest:
    """What a refinement would be given now: these cases, else the folders that are named, else the open scans.

    Raises
    ------
    NoLabelsError, InvalidInputError
        When there is nothing to learn from, or only one of the two folders is named.
    """
    from napari_medseg.refine import Folders, RefineRequest

    choices = session.refine
    recipe = session.catalogue.find(choices.recipe, "recipe").build(rounds=choices.rounds)
    given: tuple[Case, ...] | Folders = cases
    if cases:
        pass
    elif choices.images or choices.labels:
        if not (choices.images and choices.labels):
            todo = "Name the folder of scans and the folder of their label maps, or neither"
            raise InvalidInputError("only one of the two folders is given", where="Refine", todo=todo)
        given = Folders(choices.images, choices.labels)
    else:
        given = tuple(case_of(scan, name) for scan, name in _names(session))
        if not given:
            raise NoLabelsError("no open scan has an accepted label", where="Refine", todo="Make a weak label and accept it first")
    out = choices.out or platformdirs.user_data_path("napari-medseg", appauthor=False) / "refinements" / datetime.now().strftime("%Y-%m-%d %H-%M-%S")
    names = {c.value: c.name for c in session.classes}
    return RefineRequest(given, recipe, base=choices.base, out=out, corrected=corrected or None, class_names=names, device=session.device)


def case_of(scan: Scan, name: str) -> Case:
    """A scan and its accepted labels on the grid of its file."""
    from napari_medseg.refine import Case

    return Case(name, scan.source, source_labels(scan))


def start_refinement(session: Session) -> None:
    """Train round after round in a process of its own; each round's labels become a preview of their scan."""
    from napari_medseg.refine import RefineRun

    folders, project = bool(session.refine.images and session.refine.labels), session.study.project
    runs: list[RefineRun] = []
    scans: dict[str, Scan] = {}
    ids: list[str] = []
    if project is not None and not (session.refine.images or session.refine.labels):
        ids = study_refinement.chosen(session)
        session.study.settle()
        settings_now = partial(request, session)
        count = len(ids)

        def make() -> Iterator[Tick]:
            session.study.wait()
            yield from study_refinement.ticks(settings_now, project, ids, runs)
    else:
        asked = request(session)
        runs.append(RefineRun(asked))
        scans = {} if folders else {name: scan for scan, name in _names(session)}
        count = len(asked.cases) if isinstance(asked.cases, tuple) else 0

        def make() -> Iterator[Tick]:
            return iter(runs[0])

    choices = session.refine
    choices.losses, choices.round_starts, choices.figures, choices.best_round = [], [], [], None
    session.notice = ""

    def apply(tick: Tick) -> None:
        _note(session, tick)
        settings = {"recipe": choices.recipe, "rounds": choices.rounds, "round": tick.round}
        scans.update({scan.case: scan for scan in session.scans if scan.case in ids})
        if tick.labels:
            _propose(session, scans, tick.labels, tick.round, Making("refine", "proposal", settings))
        if tick.result is not None:
            model = model_hash(tick.result.model)
            best = Making("refine", "proposal", {**settings, "round": tick.result.best_round}, model=model)
            if tick.result.best_round:
                _propose(session, scans, tick.result.labels, tick.result.best_round, best)
            cases = ids or [scan.case for scan in scans.values() if scan.case]
            session.refined.emit(tuple(cases), best, study_refinement.figures_of(tick.result))

    def done() -> None:
        best = f"round {choices.best_round} is the best" if choices.best_round else "your labels stay the best"
        session.notice = f"Refinement finished; {best}"
        _doubt(session, scans)

    def cancel() -> None:
        for run in runs:
            run.cancel()

    title = f"Refining {count} scan{'s' if count != 1 else ''}" if count else f"Refining the scans in {choices.images.name if choices.images else ''}"
    session.jobs.start(TRAINING, title, make, apply=apply, done=done, failed=session.report, own_thread=True, cancel=cancel)


def _note(session: Session, tick: Tick) -> None:
    choices = session.refine
    if tick.loss is not None:
        if len(choices.round_starts) < tick.round:
            choices.round_starts.append(len(choices.losses))
        choices.losses.append(tick.loss)
    if tick.figures is not None:
        choices.figures.append(tick.figures)
    if tick.result is not None:
        choices.figures, choices.best_round = list(tick.result.rounds), tick.result.best_round
        if tick.result.model is not None:
            choices.model, session.engine = Path(tick.result.model), REFINED


def _doubt(session: Session, scans: dict[str, Scan]) -> None:
    """Where no round was adopted, the last proposal may be looked at, but says why; that it is worse is said only where verified labels showed it."""
    if session.refine.best_round != 0 or not session.refine.figures:
        return
    last = session.refine.figures[-1]
    for scan in scans.values():
        if scan.preview is not None and scan.preview.title.startswith(PROPOSAL):
            size = f"Round {last.round} is {last.volume_ratio:.2g} times the size of your label"
            scan.preview.doubt = size if last.dice_verified is None else f"Round {last.round} is not better than your label"
            scan.preview.detail = last.reason[:1].upper() + last.reason[1:]


def _propose(session: Session, scans: dict[str, Scan], proposed: Mapping[str, LabelArray], number: int, made: Making) -> None:
    """A round's labels wait beside the accepted ones, unless the person is busy with another preview of that scan."""
    for name, labels in proposed.items():
        scan = scans.get(name)
        if (scan is None or scan not in session.scans) and session.study.case(name) is not None:
            session.study.propose(name, labels, f"{PROPOSAL} {number}", made)
        if scan is None or scan not in session.scans or (scan.preview is not None and not scan.preview.title.startswith(PROPOSAL)):
            continue
        propose(session, scan, labels, f"{PROPOSAL} {number}", made)


def propose(session: Session, scan: Scan, labels: LabelArray, title: str, made: Making) -> None:
    """Show labels, in the file's voxel order, as a preview that waits for a yes; what a person settled is shown, and stays, as they left it."""
    display = np.asarray(scan.axes.apply(labels), np.uint8)
    kept = by_hand.settled(scan)
    if kept is not None and scan.labels is not None:
        display = np.where(kept, scan.labels, display).astype(np.uint8)
    present = {int(v) for v in np.unique(display)}
    classes = tuple(c for c in session.classes if c.value in present) or (session.label_class,)
    if len(classes) == 1 and scan is session.current:
        session.choose_class(classes[0].value)
    ml = np.count_nonzero(display) * scan.display.geometry.voxel_ml
    scan.preview = Preview(display, title, classes, f"{ml:.3g} ml", finished=True, made=made, keeps_settled=True)
    session.preview_changed.emit(scan, None)


def _names(session: Session) -> list[tuple[Scan, str]]:
    """Scans that take part and the names of their cases, each its own."""
    named: list[tuple[Scan, str]] = []
    for scan in refinable(session):
        if id(scan) in session.refine.left_out:
            continue
        taken = {name for _, name in named}
        name = next(n for n in (scan.name, *(f"{scan.name} {i}" for i in range(2, 1000))) if n not in taken)
        named.append((scan, name))
    return named


def _scan(session: Session) -> Scan:
    if session.current is None:
        raise InvalidInputError(session.declined or "no scan is open", where="Medseg", todo="Drop a scan on the window, or try a sample")
    if session.current.arriving:
        raise InvalidInputError("is still being read", where=session.current.name, todo="Try again when all of its slices are there")
    return session.current
