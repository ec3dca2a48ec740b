"""Segmenters of the catalogue: what the Segment tab lists, how the chosen one is built, and a run over a whole scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_medseg.annotation import LabelClass
from napari_medseg.asks import Ask, answered
from napari_medseg.catalogue import Catalogue, Entry, install_hint
from napari_medseg.errors import InvalidInputError, MedsegError, UnavailableError
from napari_medseg.session import patches, preferences
from napari_medseg.session.making import Making
from napari_medseg.session.naming import classes_for
from napari_medseg.session.patches import Patch
from napari_medseg.session.servers import name_of
from napari_medseg.session.state import Learned, Preview, Scan
from napari_medseg.volume import Array

if TYPE_CHECKING:
    from napari_medseg.segmenters.found import Finder, Findings, Found
    from napari_medseg.segmenters.protocol import Prediction, Segmenter
    from napari_medseg.session.session import Session

LARGEST_LEARNED = 1 << 29  # bytes of probabilities that are kept
REFINED, FASTER = "refined", "refined-faster"
"""Engine id of the model the last refinement wrote."""
PROMPTABLE = "promptable"
"""Engine id of the one that outlines whatever it is pointed at; the first choice where it is there."""
MIRROR = ("left-right",)
HERE = ("folder", "file", "consent")
"""Kinds of questions whose answers mean something on this machine only; on a server, whoever runs it has settled them."""
KINDS = ("points", "boxes", "lassos", "scribbles", "mask")


@dataclass(frozen=True, slots=True)
class Engine:
    """One row of the Segment tab's list.

    Attributes
    ----------
    id, title, summary, licence : str
    missing : tuple of str
        Pip requirements.
    takes : frozenset of str
        Kinds of prompts.
    interactive : bool
        Whether it outlines what it is pointed at; else it outlines its own classes.
    classes : tuple of str
        Empty where only the built one knows them.
    remote : bool
        Whether the scan leaves this machine.
    """

    id: str
    title: str
    summary: str
    licence: str
    missing: tuple[str, ...] = ()
    takes: frozenset[str] = frozenset()
    interactive: bool = False
    classes: tuple[str, ...] = ()
    remote: bool = False

    def can(self) -> str:
        """What it can do, in a few words."""
        names = {"points": "clicks", "boxes": "boxes", "lassos": "lassos", "scribbles": "strokes", "mask": "a label to start from"}
        if self.interactive:
            what = f"Takes {', '.join(names[kind] for kind in KINDS if kind in self.takes)}"
        else:
            what = f"Outlines {', '.join(self.classes)}" if self.classes else "Outlines what its model was trained for"
        return what + ("; sends the scan to a server" if self.remote else "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be built; equal for what can serve again.

    Attributes
    ----------
    engines : tuple of (id, answers)
        The chosen one first, then those its answer is averaged with; answers to what each asks, as sorted pairs.
    model : Path or None
        A refinement's, in place of the base model.
    mirrored : bool
        Whether the mean with the mirrored scan is taken.
    server : str
        Address of the server that it runs on; "" for this machine.
    cleanup : bool
        False leaves out the clean-up that the refinement's model holds.
    """

    engines: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
    model: Path | None = None
    mirrored: bool = False
    server: str = ""
    cleanup: bool = True

    def build(self, catalogue: Catalogue) -> Segmenter:
        """Make it; loads what is slow.

        Raises
        ------
        UnavailableError, CatalogueError, InvalidInputError, MissingFileError
            When a package, an answer or a model is missing, or the parts do not go together.
        RemoteError
            When the server's token is not known.
        """
        if self.server:
            return self._elsewhere()
        members: list[Segmenter] = []
        for number, (name, answers) in enumerate(self.engines):
            given = dict(answers) | ({"model": self.model, **self._tidy()} if self.model is not None and not number else {})
            members.append(catalogue.find(name, "segmenter").build(**given))
        if self.mirrored:
            from napari_medseg.segmenters.mirrored import mirrored

            members = [mirrored(member, MIRROR) for member in members]
        if len(members) == 1:
            return members[0]
        from napari_medseg.segmenters.ensemble import Ensemble

        return Ensemble(members)

    def _elsewhere(self) -> Segmenter:
        from napari_medseg.cluster.remote.segmenter import remote_segmenter

        members: list[tuple[str | Path, dict[str, Any]]] = [(name, dict(answers)) for name, answers in self.engines]
        if self.model is not None:
            members[0] = self.model, self._tidy()
        return remote_segmenter(self.server, members, MIRROR if self.mirrored else ())

    def recorded(self) -> dict[str, Any]:
        """What a version tells of it besides the engine's id; answers are a person's own files and stay here."""
        told = {"combined": [name for name, _ in self.engines[1:]], "mirrored": self.mirrored} if self.mirrored or len(self.engines) > 1 else {}
        return told if self.cleanup else {**told, "cleanup": False}

    def _tidy(self) -> dict[str, str]:
        return {} if self.cleanup else {"cleanup": "off"}


def takes(entry: Entry | None) -> frozenset[str]:
    """Kinds of prompts a segmenter takes."""
    return frozenset(str(kind) for kind in entry.capabilities.get("prompts") or ()) if entry is not None else frozenset()


def is_interactive(entry: Entry | None) -> bool:
    """Whether a segmenter outlines what it is pointed at."""
    return entry is not None and bool(takes(entry)) and not entry.capabilities.get("classes")


def engine_of(entry: Entry, server: str = "") -> Engine:
    """A catalogue entry as a row of the list; looks for its packages unless it runs on a server, and loads nothing."""
    can = entry.capabilities
    classes = tuple(str(n) for n in can.get("classes") or ())
    remote, missing = bool(server or can.get("remote")), () if server else entry.needs()
    return Engine(entry.id, entry.title, entry.summary, entry.licence, missing, takes(entry), is_interactive(entry), classes, remote)


def engines(session: Session) -> list[Engine]:
    """What the Segment tab lists."""
    rows = [engine_of(entry, session.servers.chosen) for entry in session.catalogue.of_kind("segmenter")]
    rows.sort(key=lambda row: row.id != PROMPTABLE)
    if session.refine.model is not None:
        summary = f"What your last refinement wrote ({session.refine.model.parent.parent.name})."
        rows.insert(0, Engine(REFINED, "Your refined model", summary, "yours", classes=("organ",)))
    if session.faster.kept is not None:
        summary = f"Your refined model at {session.faster.kept.parent.name.split()[0]} % of its work, as you kept it."
        rows.insert(1, Engine(FASTER, "Your faster model", summary, "yours", classes=("organ",)))
    return rows


def first_choice(catalogue: Catalogue) -> str:
    """The engine a fresh window has chosen."""
    entry = catalogue.entries.get(PROMPTABLE)
    return PROMPTABLE if entry is not None and entry.kind == "segmenter" and not entry.needs() else "unet"


def chosen_entry(session: Session) -> Entry:
    """The catalogue entry of the chosen engine; the base model's for one that was refined.

    Raises
    ------
    CatalogueError
        When there is none.
    """
    return session.catalogue.find("unet" if session.engine in (REFINED, FASTER) else session.engine, "segmenter")


def entry_of(session: Session) -> Entry | None:
    """The catalogue entry of the chosen engine; None when the catalogue lost it."""
    entry = session.catalogue.entries.get("unet" if session.engine in (REFINED, FASTER) else session.engine)
    return entry if entry is not None and entry.kind == "segmenter" else None


def answer(session: Session, engine: str, ask: Ask, value: str | None) -> None:
    """A person answered what a segmenter asks; remembered for the next time, but not that they agreed to something."""
    given = {**session.answers.get(engine, {}), ask.name: value}
    if session.answers.get(engine, {}).get(ask.name) == value:
        return
    session.set(answers={**session.answers, engine: given})
    entry = session.catalogue.entries.get(engine)
    agreed = {each.name for each in entry.asks if each.kind == "consent"} if entry is not None else set()
    preferences.remember_answers(engine, {name: each for name, each in given.items() if name not in agreed})


def chosen_engine(session: Session) -> Engine | None:
    """The row of the chosen engine; None when the catalogue lost it."""
    if session.engine in (REFINED, FASTER):
        return next((row for row in engines(session) if row.id == session.engine), None)
    entry = entry_of(session)
    return engine_of(entry, session.servers.chosen) if entry is not None else None


def combinable(session: Session) -> list[Engine]:
    """Engines whose answers can be averaged with the chosen one's: those that are here and outline the same number of things."""
    chosen = chosen_engine(session)
    if chosen is None:
        return []
    rows = [row for row in engines(session) if row.id not in (chosen.id, REFINED, FASTER) and not row.missing and row.interactive == chosen.interactive]
    return [row for row in rows if len(row.classes) == len(chosen.classes) or not row.classes or not chosen.classes]


def own_model(session: Session) -> Path | None:
    """The file of the chosen engine where a refinement wrote it."""
    return {REFINED: session.refine.model, FASTER: session.faster.kept}.get(session.engine)


def cleanup_told(session: Session) -> str:
    """What the clean-up does that the chosen refined model holds, in words; "" where it holds none."""
    model = own_model(session)
    try:
        return "" if model is None else _cleanup_words(model, model.stat().st_mtime_ns)
    except OSError:
        return ""


@lru_cache(maxsize=4)
def _cleanup_words(model: Path, _changed: int) -> str:
    from napari_medseg.segmenters.opening import cleanup_of

    try:
        cleanup = cleanup_of(model)
    except MedsegError:
        return ""
    return cleanup.told if cleanup is not None else ""


def wanted(session: Session) -> Wanted:
    """What the person chose, checked as far as it can be without loading anything.

    Raises
    ------
    UnavailableError
        When a package is missing.
    CatalogueError, InvalidInputError, MissingFileError
        When there is no such engine, or something it asks for was not given.
    """
    entry, choices, server = chosen_entry(session), session.segment, session.servers.chosen
    offered = {row.id for row in combinable(session)}
    entries = [entry, *(session.catalogue.find(name, "segmenter") for name in choices.combined if name in offered)]
    parts = []
    for each in entries:
        missing = () if server else each.needs()
        if missing:
            raise UnavailableError(f"needs {', '.join(missing)}", where=each.title, todo=install_hint(missing))
        asks = tuple(ask for ask in each.asks if not server or ask.kind not in HERE)
        told = session.answers.get(each.id, {})
        given = answered(asks, {ask.name: told[ask.name] for ask in asks if ask.name in told}, each.title)
        parts.append((each.id, tuple(sorted(given.items()))))
    return Wanted(tuple(parts), own_model(session), choices.mirrored, server, choices.cleanup or not cleanup_told(session))


def start(session: Session) -> None:
    """Run the chosen engine over the current scan, from the slice in view outwards.

    Raises
    ------
    MedsegError
        When it cannot be built, or there is no scan.
    """
    scan, device, parts = session.ready(), session.device, wanted(session)
    row = chosen_engine(session)
    title = row.title if row is not None else session.engine
    names = list(row.classes) if row is not None else []
    known, one = list(session.classes), session.label_class
    made = Making(f"segment:{parts.engines[0][0]}", "proposal", {"device": device, **parts.recorded()})
    preview = Preview(scan.fresh_map(), title, tuple(_classes(names or ["organ"], known, one)), made=made)
    focus = session.looking_at if session.segment.live else session.in_view

    def make() -> Iterator[Patch]:
        from napari_medseg.segmenters.protocol import to_labels

        tell_devices(session, device, title)
        segmenter = session.built.get(parts, lambda: parts.build(session.catalogue))
        can = segmenter.capabilities
        if can.interactive:
            raise InvalidInputError("must be pointed at something", where=title, todo="Choose another segmenter; this one's entry does not say what it takes")
        made.model = model_hash(getattr(segmenter, "model", None))
        classes = _classes(can.classes, known, one)
        session.jobs.dispatch(lambda: _tell(session, scan, preview, classes, parts if can.looks else None))
        values = [c.value for c in classes]
        pieces = _remembered(session, scan, segmenter.predict(scan.display, device=device, focus=focus), values, title)
        yield from patches.of_predictions(pieces, values, can.threshold, to_labels)
        if can.objects:
            yield from _objects(session, scan, preview, cast("Finder", segmenter).find(scan.display, device=device), classes)

    def done() -> None:
        preview.finished = True
        session.doubt.follow(scan)
        session.looks.follow(scan)

    scan.found = ()
    session.show_preview(scan, preview, tool=session.tool)
    session.fill(scan, preview, f"Running {title}", make, done, device=device)


def _classes(names: Sequence[str], known: Sequence[LabelClass], one: LabelClass) -> list[LabelClass]:
    """What a segmenter's classes are here: the chosen class where it has one only."""
    return [one] if len(names) == 1 else classes_for(names, known)


def _remembered(session: Session, scan: Scan, pieces: Iterator[Prediction], values: Sequence[int], title: str) -> Iterator[Prediction]:
    """Pass a segmenter's pieces on, and keep the probabilities once all are there: a level set can follow them."""
    kept: list[Array] = []
    apart: Array | None = None
    for piece in pieces:
        if not kept and len(values) * scan.display.array.size * 2 <= LARGEST_LEARNED:
            kept = [np.zeros(scan.display.geometry.shape, np.float16) for _ in values]
        for chance, part in zip(kept, piece.probabilities, strict=False):
            chance[piece.box] = part
        if kept and piece.disagreement is not None:
            apart = np.zeros(scan.display.geometry.shape, np.float16) if apart is None else apart
            apart[piece.box] = piece.disagreement
        yield piece
    learned = {value: Learned(title, chance, apart) for value, chance in zip(values, kept, strict=False)}
    session.jobs.dispatch(lambda: scan.learn(learned))


def _objects(session: Session, scan: Scan, preview: Preview, findings: Iterator[Findings], classes: Sequence[LabelClass]) -> Iterator[Patch]:
    """Look for objects after the labels are there, and hand them to the scan once all are found; patches of nothing tell how far it is."""
    found: list[Found] = []
    for step in findings:
        found += [replace(each, label=classes[each.label - 1].value, name=classes[each.label - 1].name) for each in step.objects]
        yield Patch(patches.NOWHERE, np.zeros((0, 0, 0), np.uint8), step.fraction, step.message)
    session.jobs.dispatch(lambda: _keep(session, scan, preview, tuple(found)))


def _tell(session: Session, scan: Scan, preview: Preview, classes: Sequence[LabelClass], looker: Wanted | None) -> None:
    """What only the built segmenter knew."""
    preview.classes = tuple(classes)
    session.looks.offer(scan, looker)


def _keep(session: Session, scan: Scan, preview: Preview, found: tuple[Found, ...]) -> None:
    if scan.preview is preview:  # it may have been discarded, or the scan turned to another grid, since
        scan.found = preview.found = found
        session.changed.emit()


def tell_devices(session: Session, device: str, title: str) -> None:
    """Let the session know what networks run on, for a segmenter of this title; called beside an engine only, since it loads torch.

    Raises
    ------
    UnavailableError
        When this machine has no such device.
    """
    words = name_of(session.servers.chosen) if session.servers.chosen else device_in_words(device, title)
    session.jobs.dispatch(lambda: session.tell_devices(words))


def device_in_words(name: str, title: str) -> str:
    """What networks run on and how much memory is free; raises as `tell_devices`, and loads torch too."""
    from napari_medseg.segmenters.devices import choose, list_devices

    chosen = choose(name, where=title)
    device = next((d for d in list_devices() if d.name.partition(":")[0] == chosen.partition(":")[0]), None)
    if device is None:
        return chosen
    if device.free_mb is None:
        return device.kind
    free = f"{device.free_mb:,}".replace(",", " ")
    return f"{device.kind}, {free} MB free"


def model_hash(model: Path | str | None) -> str:
    """Checksum of a model's weights, from its plan; "" for an engine that has none of ours."""
    if not model:
        return ""
    from napari_medseg.segmenters.opening import checksum

    try:
        return checksum(model)
    except MedsegError:
        return ""


def replayed(engine: str, parameters: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]) -> Wanted:
    """What a version was made with.

    Raises
    ------
    TypeError, ValueError
        When it does not tell.
    """
    combined = parameters.get("combined", [])
    if not isinstance(combined, list):
        raise TypeError("combined")
    names = [engine, *(str(name) for name in combined)]
    return Wanted(tuple((name, tuple(sorted(answers.get(name, {}).items()))) for name in names), mirrored=bool(parameters.get("mirrored", False)))

