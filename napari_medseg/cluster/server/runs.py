"""Refinements for clients: one at a time, in a process of its own, in a folder that goes when the client has fetched what it wants, or a day later.

What a refinement needs to go on after a crash lies in its folder (`refine.kept`), so a server that is started again finds those of the one before it there. It
goes on with one when its client comes back and asks.
"""

from __future__ import annotations

import logging
import queue
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_medseg import catalogue
from napari_medseg.cluster.server.networks import PLAIN
from napari_medseg.cluster.server.replies import Reply
from napari_medseg.cluster.wire.frames import frame
from napari_medseg.cluster.wire.training import CaseTold, Ordered, case_name, tick_frame
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, NoRoomError
from napari_medseg.project.durable import read_json, write_json
from napari_medseg.refine.cases import Case
from napari_medseg.refine.folder import MODELS
from napari_medseg.refine.kept import FOLDER as KEPT
from napari_medseg.refine.kept import unfinished
from napari_medseg.refine.process import PATIENCE_S, RefineRun
from napari_medseg.refine.request import RefineRequest
from napari_medseg.refine.result import RefineResult, Tick
from napari_medseg.segmenters.named import MODEL
from napari_medseg.segmenters.plan import FILE
from napari_medseg.segmenters.worker import as_segmenter_error
from napari_medseg.volume import Volume

log = logging.getLogger(__name__)

KEPT_S = 24 * 3600.0
ORDER, OUT = "order.json", "run"
LETS_GO_S = 40.0
"""How long the process of a server that was killed may take to see it."""
ALL = 1 << 40
MOST_SERVERS = 100
MOST_OPEN = 4
"""Refinements of one user that wait, run or are not fetched."""


@dataclass(eq=False, slots=True)
class Run:
    """One refinement.

    Attributes
    ----------
    request : RefineRequest or None
        None for one that goes on, or is over.
    cut_off : bool
        Whether it was another server's, and waits for its client.
    """

    user: str
    name: str
    request: RefineRequest | None
    folder: Path
    cut_off: bool = False
    paused: bool = False
    reply: Reply = field(default_factory=lambda: Reply(ALL))
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
    home : Path
        Where their folders lie; those that are there already can go on. Several servers of one machine may share it.
    """

    def __init__(self, device: Callable[[], str], home: Path) -> None:
        self._device, (self._home, self._held) = device, _alone(home)
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {run.name: run for run in _left(self._home)}
        self._queue: queue.Queue[Run | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self, user: str, ordered: Ordered, volume: Callable[[str], Volume], model: Callable[[str, Path], Path]) -> Run:
        """Take a refinement in.

        Parameters
        ----------
        volume : callable
            Gives a scan that was sent by its name.
        model : callable
            Copies a model that was sent, by its name, to a path.

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
            name = secrets.token_hex(16)
            folder = self._home / name
            try:
                folder.mkdir(mode=0o700, parents=True)
                write_json(folder / ORDER, {"user": user})
                base = None if ordered.base is None else model(ordered.base, folder / "base.safetensors")
            except MedsegError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            request = RefineRequest(
                cases, recipe, base=base, out=folder / "run", corrected=_maps(names, "corrected", volume), verified=_maps(names, "verified", volume),
                heldout=heldout or None, class_names=ordered.class_names, seed=ordered.seed, device=self._device(), start=ordered.start, freeze=ordered.freeze,
                patients={name: str(told.patient) for name, told in names.items()}, sides={name: told.side for name, told in names.items()},
                every_round=ordered.every_round,
            )
            run = self._runs[name] = Run(user, name, request, folder)
            self._enqueue(run)
        return run

    def followed(self, user: str, name: str, after: int) -> Run:
        """A refinement that somebody listens to from this frame on; one that was cut off goes on.

        Raises
        ------
        MissingFileError
            As `find`, or when nothing is left to listen to.
        GoneError
            When the frame was let go of.
        """
        run = self.find(user, name)
        with self._lock:
            if run.cut_off:
                run.cut_off, run.reply = False, Reply(ALL, after)
                run.reply.put(tick_frame(after, Tick(0.0, "The server was started again; going on with what it had learnt")))
                self._enqueue(run)
            elif run.reply.ended and run.request is None and run.child is None:
                raise _unknown()
        run.reply.require(after)
        return run

    def pause(self, run: Run, paused: bool) -> None:
        """Let one sleep, or wake it; also one that waits for its turn."""
        run.paused = paused
        if run.child is not None:
            run.child.pause() if paused else run.child.go_on()

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
            raise _unknown()
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
        out = run.folder / OUT
        path = out / MODEL / FILE if number == 0 else out / MODELS / f"round{number}" / FILE
        if not path.is_file():
            raise MissingFileError("has no such model", where="the refinement", todo="Fetch one of another round")
        return path

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
        """Stop everything; what can go on another time stays in its folder."""
        with self._lock:
            runs, self._runs, self._closed = list(self._runs.values()), {}, True
        for run in runs:
            self._stop(run)
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
        for run in runs:
            if run.result is None and not (run.folder / OUT / KEPT).is_dir():
                shutil.rmtree(run.folder, ignore_errors=True)
        self._held.release()

    def _enqueue(self, run: Run) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="medseg-runs", daemon=True)
            self._thread.start()
        self._queue.put(run)

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
            if run.cancelled and not self._closed:
                shutil.rmtree(run.folder, ignore_errors=True)

    def _follow(self, run: Run) -> None:
        if run.cancelled:
            return
        run.child = RefineRun(run.request) if run.request is not None else RefineRun.resume(_free(run))
        for tick in run.child:
            if run.paused and not run.child.paused:
                run.child.pause()  # asked for while it waited
            run.result = tick.result or run.result
            run.reply.put(tick_frame(run.reply.next_number, tick))
        if not run.cancelled:  # one that was cut off with the server has not ended
            run.reply.put(frame({"n": run.reply.next_number, "end": True}))

    def _failed(self, run: Run, error: MedsegError) -> None:
        told = {"type": type(error).__name__, "what": error.what, "where": "the refinement", "todo": error.todo}
        run.reply.put(frame({"n": run.reply.next_number, "error": told}))


def _alone(home: Path) -> tuple[Path, FileLock]:
    """The first folder in there that no other server has in hand."""
    for number in range(1, MOST_SERVERS + 1):
        mine = home / str(number)
        mine.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(mine / "lock", timeout=0, thread_local=False)
        with suppress(Timeout):
            lock.acquire()
            return mine, lock
    raise NoRoomError(f"has {MOST_SERVERS} servers at work", where=home, todo="End one of them, or give another --runs")


def _left(home: Path) -> Iterator[Run]:
    """What another server left here; what is older than a day goes."""
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        try:
            user, age = str(read_json(folder / ORDER)["user"]), time.time() - (folder / ORDER).stat().st_mtime
        except (MedsegError, OSError, KeyError, TypeError):
            continue  # not one of ours
        cut_off, done = (folder / OUT / KEPT).is_dir(), (folder / OUT / MODEL).is_dir()
        if age > KEPT_S or not (cut_off or done):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        run = Run(user, folder.name, None, folder, cut_off=cut_off, began=time.monotonic() - age)
        run.reply.ended = not cut_off
        yield run


def _free(run: Run) -> Path:
    """Its folder, once the process of the server before has let go of it."""
    end = time.monotonic() + LETS_GO_S
    while not unfinished(run.folder / OUT) and not run.cancelled and time.monotonic() < end:
        time.sleep(0.2)
    return run.folder / OUT


def _unknown() -> MissingFileError:
    return MissingFileError("is not known here any more", where="the refinement", todo="Start it again")


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
