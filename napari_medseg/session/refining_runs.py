"""Trainings as the session starts them: what one learns from when its turn comes, what of it is watched, and those that were cut off."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from napari_medseg.refine.next_up import Candidate, Place, rank
from napari_medseg.session import engines, study_refinement
from napari_medseg.session.choices import there
from napari_medseg.session.making import Making
from napari_medseg.session.round_pictures import Change, changed_most
from napari_medseg.session.run_notes import RunNotes, Spot, read_notes
from napari_medseg.session.settings import RefineChoices
from napari_medseg.session.state import Scan
from napari_medseg.session.study_refinement import Waiting
from napari_medseg.volume import LabelArray, Volume, axis_map

if TYPE_CHECKING:
    from napari_medseg.cluster.remote.refining import RemoteRun
    from napari_medseg.refine import Case, RefineRequest, RefineRun, Tick
    from napari_medseg.session.session import Session

    AnyRun = RefineRun | RemoteRun

UNKNOWN = 255


@dataclass(eq=False)
class Training:
    """One training that is ready to start.

    Attributes
    ----------
    title : str
    ids : list of str
        Cases of the study it learns from; empty without a study.
    scans : dict of Scan
        Open scans by the names of their cases.
    ticks : callable
        Starts it; called beside the window.
    runs : list of RefineRun or RemoteRun
        The run, once it has begun.
    choices : RefineChoices
        What it was started with.
    began : str
        When; the name of the run in the versions it makes.
    """

    title: str
    choices: RefineChoices
    ids: list[str] = field(default_factory=list)
    scans: dict[str, Scan] = field(default_factory=dict)
    ticks: Callable[[], Iterator[Tick | Seen]] = lambda: iter(())
    runs: list[AnyRun] = field(default_factory=list)
    began: str = field(default_factory=lambda: datetime.now().strftime("%Y-%m-%d %H:%M:%S"))


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
    spots : tuple of Spot
        What to correct next, the most promising first.
    """

    fraction: float
    message: str
    round: int
    labels: Mapping[str, Waiting]
    changes: tuple[Change, ...]
    spots: tuple[Spot, ...]


def runs_folder(session: Session) -> Path:
    """Where the runs of the open study lie, apart from those of others: what they learnt must never be taken into another study's cases."""
    top = there(session.choices.trainings) or platformdirs.user_data_path("napari-medseg", appauthor=False) / "refinements"
    folder = session.study.folder
    if folder is None:
        return top / "open scans"
    return top / f"{folder.stem} {hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"


def prepared(session: Session, choices: RefineChoices) -> Training:
    """A training on what is ticked now, on the server that is chosen or here.

    Raises
    ------
    NoLabelsError, InvalidInputError, NoRoomError
        When there is nothing to learn from, or it does not fit in the memory.
    """
    choices, server = copy.copy(choices), session.servers.chosen
    project = session.study.project
    if project is not None and not (choices.images or choices.labels):
        ids = study_refinement.chosen(session, choices)
        session.study.settle()
        made = Training(_title(len(ids)), choices, ids=ids)

        def ticks() -> Iterator[Tick | Seen]:
            session.study.wait()
            known = study_refinement.checks(project, ids)
            cases, taught = study_refinement.gathered(project, ids, known)
            notes = RunNotes(made.began, choices.recipe, choices.rounds, {case: project.version(case).number for case in ids}, network=choices.network)
            asked = engines.request(session, choices, cases, taught, known)
            made.runs.append(_run(session, asked, server))
            return noted(watched(made.runs[0], cases, engines.settled_slices(taught, known.verified)), notes, asked.out)
    else:
        engines.require(session, choices)
        named = {} if choices.images else {name: scan for scan, name in engines.named(session, choices)}
        title = _title(len(named)) if named else f"Refining the scans in {choices.images.name if choices.images else ''}"
        made = Training(title, choices, scans=named)

        def ticks() -> Iterator[Tick | Seen]:
            request = engines.request(session, choices)  # turns whole scans, so not on the window's thread
            made.runs.append(_run(session, request, server))
            done = engines.settled_slices(*(maps if isinstance(maps, dict) else {} for maps in (request.corrected, request.verified)))
            return watched(made.runs[0], request.cases if isinstance(request.cases, tuple) else (), done)

    made.ticks = ticks
    return made


def _run(session: Session, request: RefineRequest, server: str) -> AnyRun:
    if server:
        from napari_medseg.cluster.remote.address import find
        from napari_medseg.cluster.remote.refining import RemoteRun

        return RemoteRun(find(server), request)
    from napari_medseg.refine import RefineRun

    return RefineRun(request, session.choices.threads)


def resumed(session: Session, out: Path, cases: Sequence[str], choices: RefineChoices) -> Training:
    """A training that goes on where it was cut off."""
    from napari_medseg.refine import RefineRun
    from napari_medseg.refine.kept import kept

    ids = [case for case in cases if session.study.case(case) is not None]
    scans = {scan.name: scan for scan in session.scans if scan.name in cases} if not ids else {}
    made, notes = Training(f"Going on with {_title(len(cases)).lower()}", copy.copy(choices), ids=ids, scans=scans), read_notes(out)
    if notes is not None:  # a round that was taken before belongs to the same run
        made.began, made.choices.recipe, made.choices.rounds = notes.began, notes.recipe, notes.rounds
        made.choices.network = notes.network

    def ticks() -> Iterator[Tick | Seen]:
        made.runs.append(RefineRun.resume(out, session.choices.threads))
        asked = kept(out)
        done = engines.settled_slices(*(maps if isinstance(maps, dict) else {} for maps in (asked.corrected, asked.verified)))
        seen = watched(made.runs[0], asked.cases if isinstance(asked.cases, tuple) else (), done)
        return seen if notes is None else noted(seen, notes, out)

    made.ticks = ticks
    return made


def noted(ticks: Iterator[Tick | Seen], notes: RunNotes, out: Path | None) -> Iterator[Tick | Seen]:
    """The same, and what was seen of each round is kept in the run's folder for another day."""
    if out is not None:
        notes.write(out)
    for tick in ticks:
        if out is not None and isinstance(tick, Seen):
            notes.add(tick.round, [change.where for change in tick.changes], tick.spots)
            notes.write(out)
        yield tick


def watched(ticks: Iterator[Tick] | AnyRun, cases: Sequence[Case], done: Mapping[str, Collection[int]]) -> Iterator[Tick | Seen]:
    """The ticks of a run, and after each round what a person is to see of it; runs beside the window, where the scans are at hand."""
    given = {case.id: case.labels.channel() for case in cases}
    rounds: list[Mapping[str, LabelArray]] = []
    for tick in ticks:
        yield tick
        if tick.labels is not None:
            yield _seen(tick, tick.labels, given, cases, rounds, done)
            rounds.append(tick.labels)


def _seen(
    tick: Tick, labels: Mapping[str, LabelArray], given: Mapping[str, LabelArray], cases: Sequence[Case], rounds: Sequence[Mapping[str, LabelArray]],
    done: Mapping[str, Collection[int]],
) -> Seen:
    """Pack a round's labels, draw what changed most, and rank what to correct next."""
    title, made = f"{engines.PROPOSAL} {tick.round}", Making("refine", "proposal")
    packed = {name: Waiting.of(array, title, made) for name, array in labels.items()}
    before = {name: _known(given[name], labels[name]) for name in labels if name in given}
    changes = changed_most(((case.id, case.image) for case in cases), before, labels)
    return Seen(tick.fraction, tick.message, tick.round, packed, changes, _spots(tick, labels, before, cases, rounds, done))


def _spots(
    tick: Tick, labels: Mapping[str, LabelArray], before: Mapping[str, LabelArray], cases: Sequence[Case], rounds: Sequence[Mapping[str, LabelArray]],
    done: Mapping[str, Collection[int]],
) -> tuple[Spot, ...]:
    """Where a correction would teach most, and one place at random to compare with."""
    doubt = tick.doubt or {}
    candidates = [
        Candidate(
            case.id, labels[case.id], case.image.geometry.spacing, others=tuple(each[case.id] for each in rounds if case.id in each), before=before[case.id],
            doubt=None if case.id not in doubt else np.asarray(doubt[case.id], np.float32), image=case.image.channel(0),
        )
        for case in cases if case.id in labels
    ]
    images = {case.id: case.image for case in cases}
    return tuple(_spot(place, images[place.case], labels[place.case]) for place in rank(candidates, done, seed=tick.round))


def _spot(place: Place, image: Volume, labels: LabelArray) -> Spot:
    """A place in the file's voxel order as a place on the display grid, in the middle of what is labelled there."""
    plane = np.take(labels, place.index, place.axis)
    middle = np.argwhere(plane > 0).mean(0) if plane.any() else (np.array(plane.shape) - 1) / 2
    voxel = np.insert(middle, place.axis, place.index)
    shown = axis_map(image.geometry).geometry(image.geometry)
    at = np.rint(shown.voxel(image.geometry.world(voxel))).astype(int)
    z, y, x = (int(np.clip(v, 0, n - 1)) for v, n in zip(at, shown.shape, strict=True))
    return Spot(place.case, (z, y, x), place.reason, place.control)


def _known(labels: LabelArray, instead: LabelArray) -> LabelArray:
    unknown = labels == UNKNOWN
    if not unknown.any():
        return labels
    known = labels.copy()
    known[unknown] = instead[unknown]
    return known


def _title(count: int) -> str:
    return f"Refining {count} scan{'s' if count != 1 else ''}"
