"""Refinements for clients: one at a time, in a process of its own, in a folder that goes when the client has fetched what it wants, or a day later."""

from __future__ import annotations

import logging
import queue
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_medseg import catalogue
from napari_medseg.cluster.server.networks import PLAIN
from napari_medseg.cluster.server.replies import Reply
from napari_medseg.cluster.wire.frames import frame
from napari_medseg.cluster.wire.training import CaseTold, Ordered, case_name, tick_frame
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, NoRoomError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.process import RefineRun
from napari_medseg.refine.request import RefineRequest
from napari_medseg.refine.result import RefineResult
from napari_medseg.segmenters.worker import as_segmenter_error
from napari_medseg.volume import Volume

log = logging.getLogger(__name__)

KEPT_S = 24 * 3600.0
MOST_OPEN = 4
"""Refinements of one user that wait, run or are not fetched."""


@dataclass(eq=False, slots=True)
class Run:
    """One refinement."""

    user: str
    name: str
    request: RefineRequest | None
    folder: Path
    reply: Reply = field(default_factory=lambda: Reply(window=1 << 40))
    child: RefineRun | None = None
    result: RefineResult | None = None
    cancelled: bool = False
    began: float = field(default_factory=time.monotonic)


class Runs:
    """The refinements of a server.

    Parameters
    ----------
    device : callable
        What they run on.
    """

    def __init__(self, device: Callable[[], str]) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._queue: queue.Queue[Run | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def start(self, user: str, ordered: Ordered, volume: Callable[[str], Volume]) -> Run:
        """Take a refinement in.

        Parameters
        ----------
        volume : callable
            Gives a scan that was sent by its name.

        Raises
        ------
        CatalogueError, InvalidInputError, UnavailableError
            When there is no such recipe, or a setting of it makes no sense or could name a file.
        NoRoomError
            When this user has too many of them.
        """
        _require_plain(ordered.settings)
        recipe = catalogue.load().find(ordered.recipe, "recipe").build(**ordered.settings)
        cases, heldout = (_cases(some, first, volume) for some, first in ((ordered.cases, 0), (ordered.heldout, len(ordered.cases))))
        names = dict(zip((case.id for case in cases), ordered.cases, strict=True))
        with self._lock:
            if sum(run.user == user for run in self._runs.values()) >= MOST_OPEN:
                raise NoRoomError(f"has {MOST_OPEN} refinements here already", where=user, todo="Fetch or end one of them")
            folder = Path(tempfile.mkdtemp(prefix="medseg-run-"))
            request = RefineRequest(
                cases, recipe, out=folder / "run", corrected=_maps(names, "corrected", volume), verified=_maps(names, "verified", volume),
                heldout=heldout or None, class_names=ordered.class_names, seed=ordered.seed, device=self._device(), start=ordered.start, freeze=ordered.freeze,
                patients={name: str(told.patient) for name, told in names.items()}, sides={name: told.side for name, told in names.items()},
                every_round=ordered.every_round,
            )
            run = Run(user, secrets.token_hex(16), request, folder)
            self._runs[run.name] = run
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="medseg-runs", daemon=True)
                self._thread.start()
        self._queue.put(run)
        return run

    def find(self, user: str, name: str) -> Run:
        """A refinement by its name.

        Raises
        ------
        MissingFileError
            When there is none, or it is another's.
        """
        with self._lock:
            run = self._runs.get(name)
        if run is None or run.user != user:
            raise MissingFileError("is not known here any more", where="the refinement", todo="Start it again")
        return run

    def before(self, run: Run) -> int:
        """How many go before one that waits."""
        with self._lock:
            others = list(self._runs.values())
        return sum(not other.reply.ended for other in others[: others.index(run)]) if run in others and run.child is None else 0

    def model(self, run: Run, number: int) -> Path:
        """The model of a round, 0 for the one that counts.

        Raises
        ------
        MissingFileError
            When there is none.
        """
        result = run.result
        path = None if result is None else result.model if number == 0 else result.models.get(number)
        if path is None or not Path(path).is_file():
            raise MissingFileError("has no such model", where="the refinement", todo="Fetch one of another round")
        return Path(path)

    def end(self, run: Run) -> None:
        """Stop it, and let go of all it has."""
        with self._lock:
            self._runs.pop(run.name, None)
        self._stop(run)
        shutil.rmtree(run.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Let go of those that nobody fetched for a day."""
        with self._lock:
            old = [run for run in self._runs.values() if time.monotonic() - run.began > KEPT_S]
        for run in old:
            self.end(run)

    def close(self) -> None:
        """Stop everything."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            self.end(run)
        self._queue.put(None)

    def _stop(self, run: Run) -> None:
        run.cancelled = True
        if run.child is not None:
            run.child.cancel()

    def _work(self) -> None:
        while (run := self._queue.get()) is not None:
            try:
                self._follow(run)
            except MedsegError as error:
                self._failed(run, error)
            except Exception as error:
                log.exception("a refinement failed")
                self._failed(run, as_segmenter_error(error))
            run.request = None
            run.reply.end()
            if run.cancelled:
                shutil.rmtree(run.folder, ignore_errors=True)

    def _follow(self, run: Run) -> None:
        if run.cancelled or run.request is None:
            return
        run.child = RefineRun(run.request)
        for tick in run.child:
            run.result = tick.result or run.result
            run.reply.put(tick_frame(run.reply.next_number, tick))
        run.reply.put(frame({"n": run.reply.next_number, "end": True}))

    def _failed(self, run: Run, error: MedsegError) -> None:
        told = {"type": type(error).__name__, "what": error.what, "where": "the refinement", "todo": error.todo}
        run.reply.put(frame({"n": run.reply.next_number, "error": told}))


def _cases(told: tuple[CaseTold, ...], first: int, volume: Callable[[str], Volume]) -> tuple[Case, ...]:
    return tuple(Case(case_name(first + number), volume(each.image), volume(each.labels)) for number, each in enumerate(told))


def _maps(names: Mapping[str, CaseTold], which: str, volume: Callable[[str], Volume]) -> dict[str, Volume] | None:
    found = {name: volume(getattr(told, which)) for name, told in names.items() if getattr(told, which) is not None}
    return found or None


def _require_plain(value: Any, where: str = "the recipe") -> None:
    """Refuse settings that could name a file of the server's.

    Raises
    ------
    InvalidInputError
    """
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "start":
                raise InvalidInputError("names a file, which a server does not take", where="start", todo="Leave it out, or refine on this machine")
            _require_plain(each, str(name)[:40])
    elif isinstance(value, list):
        for each in value:
            _require_plain(each, where)
    elif isinstance(value, str) and (".." in value or (value and not PLAIN.fullmatch(value))):
        raise InvalidInputError("looks like a path, which a server does not take", where=where, todo="Leave it out")
    elif not isinstance(value, (str, int, float, bool, type(None))):
        raise InvalidInputError("is no plain value", where=where, todo="Give a number or a word")
