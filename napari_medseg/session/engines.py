"""Each engine of the catalogue, started from the session: what it is given, and what its answer becomes. Engines load when they first run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from napari_medseg.catalogue import Entry, install_hint
from napari_medseg.errors import InvalidInputError, MedsegError, NoLabelsError, UnavailableError
from napari_medseg.session import patches, study_refinement
from napari_medseg.session.jobs import TRAINING
from napari_medseg.session.making import Making
from napari_medseg.session.patches import Patch
from napari_medseg.session.state import Learned, Preview, Scan, source_labels
from napari_medseg.volume import Array, LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine import Case, RefineRequest, RefineRun, Tick
    from napari_medseg.segmenters.protocol import Prediction
    from napari_medseg.session.session import Session
    from napari_medseg.volume import Volume

PROPOSAL = "proposal round"
LARGEST_LEARNED = 1 << 29  # bytes of probabilities that are kept
REFINED = "refined"
"""Engine id of the model the last refinement wrote."""


def segmenters(session: Session) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """What the Segment tab lists: (id, title, summary and licence, missing pip requirements)."""
    rows = [(e.id, e.title, f"{e.summary} Licence: {e.licence}.", e.needs()) for e in session.catalogue.of_kind("segmenter")]
    if session.refine.model is not None:
        rows.insert(0, (REFINED, "Your refined model", f"What your last refinement wrote ({session.refine.model.parent.parent.name}).", ()))
    return rows


def start_segmenter(session: Session, focus: int | None) -> None:
    """Run a network over the current scan, from the slice in view outwards."""
    scan, device = _scan(session), session.device
    refined = session.engine == REFINED and session.refine.model is not None
    entry: Entry = session.catalogue.find("unet" if refined else session.engine, "segmenter")
    missing = entry.needs()
    if missing:
        raise UnavailableError(f"needs {', '.join(missing)}", where=entry.title, todo=install_hint(missing))
    overrides: dict[str, Any] = {"model": session.refine.model} if refined else {}
    title = "your refined model" if refined else entry.title
    names = [str(n) for n in entry.capabilities.get("classes", ["organ"])]
    classes = [session.label_class] if len(names) == 1 else session.classes_named(names)
    made = Making(f"segment:{entry.id}", "proposal", {"device": device})

    def make() -> Iterator[Patch]:
        from napari_medseg.segmenters.protocol import to_labels

        words = device_in_words(device)
        session.jobs.dispatch(lambda: session.tell_devices(words))
        segmenter = entry.build(**overrides)
        made.model = model_hash(getattr(segmenter, "model", None))
        values = [c.value for c in classes]
        if len(segmenter.capabilities.classes) > len(values):
            values = list(range(1, len(segmenter.capabilities.classes) + 1))
        pieces = _remembered(session, scan, segmenter.predict(scan.display, device=device, focus=focus), values, title)
        yield from patches.of_predictions(pieces, values, segmenter.capabilities.threshold, to_labels)

    session.run_preview(f"Running {title}", title, lambda _: make, classes, made)


def _remembered(session: Session, scan: Scan, pieces: Iterator[Prediction], values: Sequence[int], title: str) -> Iterator[Prediction]:
    """Pass a segmenter's pieces on, and keep the probabilities once all are there: a level set can follow them."""
    kept: list[Array] = []
    for piece in pieces:
        if not kept and len(values) * scan.display.array.size * 2 <= LARGEST_LEARNED:
            kept = [np.zeros(scan.display.geometry.shape, np.float16) for _ in values]
        for chance, part in zip(kept, piece.probabilities, strict=False):
            chance[piece.box] = part
        yield piece
    learned = {value: Learned(title, chance) for value, chance in zip(values, kept, strict=False)}
    session.jobs.dispatch(lambda: scan.learned.update(learned))


def device_in_words(name: str) -> str:
    """What networks run on and how much memory is free; loads torch, so it is asked beside an engine only."""
    from napari_medseg.segmenters.devices import choose, list_devices

    chosen = choose(name)
    device = next((d for d in list_devices() if d.name.partition(":")[0] == chosen.partition(":")[0]), None)
    if device is None:
        return chosen
    return device.kind + (f", {device.free_mb:,} MB free".replace(",", " ", 1) if device.free_mb is not None else "")


def model_hash(model: Path | str | None) -> str:
    """Checksum of a model's weights, from its plan; "" for an engine that has none of ours."""
    if not model:
        return ""
    from napari_medseg.segmenters.plan import read_plan

    try:
        return read_plan(model).sha256
    except MedsegError:
        return ""


# -- refinement ------------------------------------------------------------------------------------------------------------------------------------------


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
    """Show labels, in the file's voxel order, as a preview that waits for a yes."""
    display = scan.axes.apply(labels)
    present = {int(v) for v in np.unique(display)}
    classes = tuple(c for c in session.classes if c.value in present) or (session.label_class,)
    if len(classes) == 1 and scan is session.current:
        session.choose_class(classes[0].value)
    ml = np.count_nonzero(display) * scan.display.geometry.voxel_ml
    scan.preview = Preview(display, title, classes, f"{ml:.3g} ml", finished=True, made=made)
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
