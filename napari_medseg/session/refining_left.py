"""Trainings that were not brought to their end: cut off by a crash or a reboot, stopped by the person, or still waiting for their turn then.

What runs leaves its own traces (`refine.kept`). What waits is written beside the runs of its study whenever the queue changes, and offered when the study is
opened again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import MedsegError
from napari_medseg.io.atomic import replacing
from napari_medseg.session import refining_runs
from napari_medseg.session.jobs import Looked
from napari_medseg.session.network_choices import NetworkChoices
from napari_medseg.session.refining_runs import Training
from napari_medseg.session.settings import RefineChoices

if TYPE_CHECKING:
    from napari_medseg.refine.kept import Unfinished
    from napari_medseg.session.session import Session

log = logging.getLogger(__name__)
FILE, FORMAT = "waiting.json", 1
MOST = 50
"""Waiting trainings that are read from a file."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A training that waits for its turn; made from the labels as they are then.

    Attributes
    ----------
    session : Session
    choices : RefineChoices
        As they were when it was asked for.
    """

    session: Session
    choices: RefineChoices

    def __call__(self) -> Training:
        """What starts now."""
        return refining_runs.prepared(self.session, self.choices)

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.session.catalogue.find(self.choices.recipe, 'recipe').title}, {self.choices.rounds} round{'s' if self.choices.rounds != 1 else ''}"


class Left:
    """What can be gone on with.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    runs : tuple of Unfinished
        Runs of this study that were cut off or stopped, the latest first.
    waiting : tuple of Asked
        What had not begun.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._looked_in: Path | None = None
        self._read_in: Path | None = None
        self._written: list[dict[str, Any]] = []
        self._said: set[str] = set()
        self.runs: tuple[Unfinished, ...] = ()
        self.waiting: tuple[Asked, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.runs or self.waiting)

    def look(self) -> None:
        """Find out beside the window what is left of this study's trainings; once a study, and after each training."""
        session = self._session
        if session.refining.is_training:
            self._looked_in = None
            return
        folder = refining_runs.runs_folder(session)
        if folder == self._looked_in:
            return
        self._looked_in, self.runs = folder, ()
        found: list[tuple[tuple[Unfinished, ...], list[RefineChoices]]] = []
        damaged: list[MedsegError] = []

        def look() -> Iterator[Looked]:
            from napari_medseg.refine.kept import unfinished

            found.append((unfinished(folder, damaged.append), _read(folder / FILE, {entry.id for entry in session.catalogue.of_kind("recipe")})))
            yield Looked()

        def done() -> None:
            if self._looked_in != folder or not found:
                return
            self.runs, waited = found[0]
            for error in damaged:
                if str(error) not in self._said:  # once: it stays until its folder is taken away
                    self._said.add(str(error))
                    session.report(error)
            if self._read_in != folder:
                earlier = [choices for choices in waited if _plain(choices) not in self._written]  # what was asked for since is known
                self._read_in, self._written = folder, [_plain(choices) for choices in waited]
                self.waiting = (*self.waiting, *(Asked(session, choices) for choices in earlier))

        title = "Looking for trainings that were cut off"
        session.jobs.start("unfinished", title, look, apply=_ignore, done=done, failed=_ignore, own_thread=True, quiet=True)

    def look_again(self) -> None:
        """A training's process has ended, and let go of its folder."""
        self._looked_in = None
        self._session.changed.emit()

    def go_on(self) -> None:
        """Go on with the run that was cut off last, and with what waited behind it."""
        session, queue = self._session, self._session.refining.queue
        waiting, self.waiting = self.waiting, ()
        if self.runs:
            run, self.runs = self.runs[0], self.runs[1:]
            queue.add("Refinement", lambda: refining_runs.resumed(session, run.out, run.cases, session.refine))
        for asked in waiting:
            try:
                queue.add(asked.title, asked)
            except MedsegError as error:  # what it was to learn from is not there any more
                session.report(error)

    def forget(self) -> None:
        """Give up the run that was cut off last, whose finished rounds stay in its folder; else what waited."""
        if not self.runs:
            self.waiting = ()
            self.write(())
            self._session.changed.emit()
            return
        run, self.runs = self.runs[0], self.runs[1:]

        def forget() -> Iterator[Looked]:
            from napari_medseg.refine.kept import forget

            forget(run.out)  # with it go copies of the scans, which may be large
            yield Looked()

        self._session.jobs.start("forget", "Giving up a training", forget, apply=_ignore, done=_nothing, failed=_ignore, own_thread=True, quiet=True)

    def put_back(self, waiting: Iterable[Asked]) -> None:
        """The person stopped the trainings: those that had not begun are offered again."""
        self.waiting = (*self.waiting, *waiting)

    def write(self, waiting: Sequence[Asked]) -> None:
        """Keep what waits on disk, beside the runs of the open study; without a study nothing could be learnt from another day."""
        session = self._session
        if not session.study.is_open or session.study.readonly:
            return
        now = [_plain(asked.choices) for asked in (*waiting, *self.waiting)]
        if now == self._written:
            return
        self._written, path = now, refining_runs.runs_folder(session) / FILE
        session.study.beside(lambda _project: _write(path, now), _ignore)

    def left_study(self) -> None:
        """Another study is open, or none; what was found belongs to that one and stays with it."""
        self._looked_in, self._read_in, self._written, self.runs, self.waiting = None, None, [], (), ()


def _ignore(_: object) -> None:
    """Nothing is to be told."""


def _nothing() -> None:
    """Nothing follows."""


def _plain(choices: RefineChoices) -> dict[str, Any]:
    """Choices as JSON holds them."""
    return {
        "recipe": choices.recipe, "rounds": choices.rounds, "base": _text(choices.base), "images": _text(choices.images), "labels": _text(choices.labels),
        "left_out": sorted(key for key in choices.left_out if isinstance(key, str)), "network": choices.network.kept,
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _write(path: Path, waiting: list[dict[str, Any]]) -> None:
    """On the study's thread."""
    try:
        if not waiting:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"format": FORMAT, "waiting": waiting}), encoding="utf-8")
    except OSError as error:
        log.warning("trainings that wait are not kept for another day: %s", error)


def _read(path: Path, recipes: set[str]) -> list[RefineChoices]:
    """What waited; whatever is no such list counts as nothing."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["format"] != FORMAT:
            return []
        return [_choices(each) for each in kept["waiting"][:MOST] if each["recipe"] in recipes]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.info("%s tells of no training that waits: %s", path.name, error)
        return []


def _choices(kept: Mapping[str, Any]) -> RefineChoices:
    rounds, left_out = max(1, min(10, int(kept["rounds"]))), {str(key) for key in kept["left_out"]}
    return RefineChoices(
        recipe=str(kept["recipe"]), rounds=rounds, left_out={*left_out}, base=_path(kept["base"]), images=_path(kept["images"]), labels=_path(kept["labels"]),
        network=NetworkChoices.read(kept.get("network")),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
