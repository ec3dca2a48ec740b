"""How far several people's labels of the open scan agree: versions of its case in the study, or label files; and the consensus of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.annotation import LabelClass, palette
from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.session.making import Making
from napari_medseg.session.state import Preview, Scan, labels_for
from napari_medseg.volume import Array, Volume

if TYPE_CHECKING:
    from napari_medseg.project import Project
    from napari_medseg.review.agreement import Agreement
    from napari_medseg.review.consensus import Method
    from napari_medseg.session.session import Session

LANE = "review agreement"
DEVICE = "review"
TITLE = "consensus"
WORST = 20
METHODS: tuple[Method, ...] = ("majority", "staple")
Spot = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """One annotator's labels of the scan.

    Attributes
    ----------
    title : str
        Who, and which version: "Ann, version 3".
    number : int
        Of a version in the study; 0 for a file.
    path : Path or None
        Of a label file.
    """

    title: str
    number: int = 0
    path: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """What was found out about one scan.

    Attributes
    ----------
    agreement : Agreement
        Annotators are numbered in the order of `sources`.
    sources : tuple of Source
    heat : float16 (z, y, x) on the display grid
        Share of the annotators that gave another label than most.
    worst : tuple of (slice, voxels, (z, y, x))
        Axial slices with most disagreement, worst first: how many voxels are disputed there, and where most are.
    maps : by title, uint8 (z, y, x) on the display grid
    """

    agreement: Agreement
    sources: tuple[Source, ...]
    heat: Array
    worst: tuple[tuple[int, int, Spot], ...]
    maps: Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """A step of the work; the last one holds the result."""

    fraction: float
    message: str
    found: Agreed | None = None
    consensus: Array | None = None


class Agreeing:
    """Agreement between annotators of a session's scans.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    method : "majority" or "staple"
    heat : bool
        Whether the disagreement glows over the scan.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._files: WeakKeyDictionary[Scan, tuple[Source, ...]] = WeakKeyDictionary()
        self._left_out: WeakKeyDictionary[Scan, frozenset[Source]] = WeakKeyDictionary()
        self._taken: WeakKeyDictionary[Scan, frozenset[Source]] = WeakKeyDictionary()
        self._found: WeakKeyDictionary[Scan, Agreed] = WeakKeyDictionary()
        self._at: WeakKeyDictionary[Scan, int] = WeakKeyDictionary()
        self.method: Method = "majority"
        self.heat = True
        session.grid_changed.connect(self._forget)

    def sources(self, scan: Scan | None) -> tuple[Source, ...]:
        """What can be compared: the versions of the scan's case, the newest first, and label files that were added."""
        if scan is None:
            return ()
        study = self._session.study
        versions = reversed(study.versions) if scan.case and scan.case == study.current else ()
        named = (Source(f"{v.author or 'nobody named'}, version {v.number}{f' ({v.name})' if v.name else ''}", v.number) for v in versions)
        return (*named, *self._files.get(scan, ()))

    def chosen(self, scan: Scan | None) -> tuple[Source, ...]:
        """What is compared: what the person ticked; at first the newest version of each author, and every file."""
        if scan is None:
            return ()
        every, left_out, taken = self.sources(scan), self._left_out.get(scan, frozenset()), self._taken.get(scan, frozenset())
        authors: set[str] = set()
        picked = []
        for source in every:
            author = source.title.rpartition(", version")[0]
            first = not source.number or author not in authors
            authors.add(author)
            if source in taken or (first and source not in left_out):
                picked.append(source)
        return tuple(picked)

    def tick(self, source: Source, on: bool) -> None:
        """Compare it too, or leave it out."""
        scan = self._session.current
        if scan is None or (source in self.chosen(scan)) == on:
            return
        taken, left_out = self._taken.get(scan, frozenset()), self._left_out.get(scan, frozenset())
        self._taken[scan] = taken | {source} if on else taken - {source}
        self._left_out[scan] = left_out - {source} if on else left_out | {source}
        self._session.changed.emit()

    def add(self, paths: list[Path]) -> None:
        """Add label files of the open scan; they are read when they are compared."""
        scan = self._session.current
        if scan is not None:
            known = self._files.get(scan, ())
            for path in paths:
                if all(path != each.path for each in known):
                    taken = {each.title for each in known}
                    title = path.name if path.name not in taken else f"{path.parent.name}/{path.name}"
                    known = (*known, Source(title if title not in taken else str(path), 0, path))
            self._files[scan] = known
            self._session.changed.emit()

    def of(self, scan: Scan | None) -> Agreed | None:
        """What was found out about a scan; None before the first time."""
        return None if scan is None else self._found.get(scan)

    def is_old(self, scan: Scan) -> bool:
        """Whether other labels are ticked than were compared."""
        found = self.of(scan)
        return found is not None and found.sources != self.chosen(scan)

    @property
    def shown(self) -> Array | None:
        """The heat that glows now; None while the person looks at something else."""
        found = self.of(self._session.current)
        return found.heat if found is not None and self.heat and self._session.reviewing.is_on("agreement") else None

    def show_heat(self, on: bool) -> None:
        """Let the disagreement glow, or not."""
        self.heat = on
        self._session.changed.emit()

    def choose(self, method: Method) -> None:
        """How a consensus is found."""
        self.method = method
        self._session.changed.emit()

    def start(self) -> None:
        """Compare what is ticked.

        Raises
        ------
        InvalidInputError
            With fewer than two.
        """
        scan = self._session.ready()
        chosen = self.chosen(scan)
        if len(chosen) < 2:
            todo = "Tick two versions or more, or add label files"
            raise InvalidInputError(f"{len(chosen)} label map{'s' if len(chosen) != 1 else ''} cannot agree or disagree", where="Agreement", todo=todo)

        def apply(tick: Tick) -> None:
            if tick.found is not None and scan in self._session.scans:
                self._found[scan] = tick.found
                self._at.pop(scan, None)

        self._with_maps(scan, chosen, "Comparing annotators", lambda maps: _compared(scan, chosen, maps), apply)

    def propose(self) -> None:
        """Show the consensus of what is ticked as a preview; accepted, it becomes a version.

        Raises
        ------
        InvalidInputError
            With fewer than two.
        """
        session, scan = self._session, self._session.ready()
        chosen, method = self.chosen(scan), self.method
        if len(chosen) < 2:
            raise InvalidInputError("a consensus wants two label maps or more", where="Agreement", todo="Tick two versions or more, or add label files")

        def apply(tick: Tick) -> None:
            if tick.consensus is None or scan is not session.current:
                return
            made = Making("consensus", "corrected", {"method": method, "of": [source.title if source.number else "a file" for source in chosen]})
            classes = _classes(session.classes, tick.consensus)
            words = f"{TITLE} of {len(chosen)} by {'majority' if method == 'majority' else 'STAPLE'}"
            preview = Preview(tick.consensus, words, classes, detail=tick.message, made=made, keeps_values=True, replaces=True, finished=True)
            session.show_preview(scan, preview)
            session.changed.emit()

        self._with_maps(scan, chosen, "Looking for a consensus", lambda maps: _agreed_on(maps, method), apply)

    def step(self, by: int) -> Spot | None:
        """Go to the slice with most disagreement, then to the next worst, or back; a voxel of it, None where there is none."""
        session, scan = self._session, self._session.current
        found = self.of(scan)
        if scan is None or found is None or not found.worst:
            session.notice = "They agree on every slice" if found is not None else "Compare annotators first"
            session.changed.emit()
            return None
        before = self._at.get(scan)
        at = (before + by) % len(found.worst) if before is not None else 0 if by > 0 else len(found.worst) - 1
        self._at[scan] = at
        index, voxels, spot = found.worst[at]
        session.notice = f"Slice {index}, {at + 1} of the {len(found.worst)} with most disagreement: {voxels} voxels are disputed"
        session.place.emit(scan, spot)
        session.changed.emit()
        return spot

    def at(self, scan: Scan) -> int | None:
        """Which of the worst slices was gone to last."""
        return self._at.get(scan)

    def _with_maps(
        self, scan: Scan, chosen: tuple[Source, ...], title: str, work: Callable[[dict[str, Array]], Iterator[Tick]], apply: Callable[[Tick], None],
    ) -> None:
        """Read the label maps, the versions on the study's own thread, and work on them beside the window."""
        session = self._session

        def begin(versions: dict[str, Volume]) -> None:
            def make() -> Iterator[Tick]:
                yield Tick(0.0, "Reading the labels")
                maps = {}
                for source in chosen:
                    volume = versions.get(source.title) if source.path is None else _read(source.path)
                    if volume is not None:
                        maps[source.title] = labels_for(scan, volume)
                yield from work(maps)

            session.jobs.start(LANE, title, make, apply=apply, done=lambda: None, failed=session.report, device=DEVICE)

        numbers = {source.title: source.number for source in chosen if source.number}
        if not numbers:
            begin({})
            return

        def fetch(project: Project) -> dict[str, Volume] | MedsegError:
            try:
                return {title: replace(project.labels(scan.case, number), name=title) for title, number in numbers.items()}
            except MedsegError as error:
                return error

        session.study.beside(fetch, lambda answer: session.report(answer) if isinstance(answer, MedsegError) else begin(answer))

    def _forget(self, scan: Scan) -> None:
        self._found.pop(scan, None)
        self._at.pop(scan, None)


def _read(path: Path) -> Volume:
    from napari_medseg import io

    return io.read_labels(path)


def _compared(scan: Scan, chosen: tuple[Source, ...], maps: dict[str, Array]) -> Iterator[Tick]:
    from napari_medseg.review.agreement import agreeing
    from napari_medseg.review.consensus import disagreement

    for tick in agreeing(maps, scan.display.geometry.spacing):
        yield Tick(0.8 * tick.fraction, tick.message)
        if tick.result is not None:
            heat = disagreement(maps)
            yield Tick(1.0, "Done", Agreed(tick.result, chosen, heat.astype(np.float16), _worst(heat), maps))


def _agreed_on(maps: dict[str, Array], method: Method) -> Iterator[Tick]:
    from napari_medseg.review.consensus import consensus

    found = consensus(maps, method)
    undecided = int(np.count_nonzero(found.undecided))
    words = f"{undecided} voxels were tied and settled by rule." if undecided else "No voxel was tied."
    for quality in found.qualities:
        if quality.sensitivity is not None and quality.specificity is not None:
            words += f" {quality.annotator}, class {quality.value}: sensitivity {quality.sensitivity:.2f}, specificity {quality.specificity:.4f}."
    yield Tick(1.0, words, consensus=found.labels.astype(np.uint8))


def _worst(heat: Array) -> tuple[tuple[int, int, Spot], ...]:
    disputed = np.count_nonzero(heat, axis=(1, 2))
    found = []
    for index in np.argsort(-disputed, kind="stable")[:WORST]:
        if disputed[index]:
            inside = np.argwhere(heat[index])
            y, x = inside[np.abs(inside - inside.mean(0)).sum(1).argmin()]
            found.append((int(index), int(disputed[index]), (int(index), int(y), int(x))))
    return tuple(found)


def _classes(known: list[LabelClass], labels: Array) -> tuple[LabelClass, ...]:
    """The session's classes that occur, and made-up ones for values it does not know."""
    named = {c.value: c for c in known}
    values = [int(value) for value in np.flatnonzero(np.bincount(labels.ravel())) if value]
    return tuple(named.get(value) or LabelClass(value, f"Class {value}", palette(value)[value - 1]) for value in values)
