"""Long work: started, watched, stopped; every callback lands on the thread that owns the session.

Engines run on one persistent worker thread a device, the newest request wins, and urgent ones overtake. Training runs in a process of its own; a
thread here only reads what it tells. Ticks are handed over in bunches: while the owner is busy they gather, and it takes them all at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from napari_medseg.errors import MedsegError
from napari_medseg.segmenters.worker import Worker, as_segmenter_error

log = logging.getLogger(__name__)

PREVIEW, TRAINING = "preview", "training"
"""The lanes."""

Dispatch = Callable[[Callable[[], None]], None]
JobState = Literal["waiting", "running", "done", "stopped", "failed"]


class Tick(Protocol):
    """What every engine yields."""

    @property
    def fraction(self) -> float | None:
        """Share of the work done, 0-1."""

    @property
    def message(self) -> str:
        """What is being done."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A step of small work beside the window."""

    fraction: float | None = None
    message: str = ""


@dataclass(eq=False)
class Job:
    """One piece of long work.

    Attributes
    ----------
    key : str
        Its lane; a newer job of the same lane replaces it.
    title : str
        "Growing from 5 seeds".
    state : str
    fraction : float or None
    message : str
        The engine's last words.
    quiet : bool
        Whether it is a matter of a moment that is not worth a progress bar.
    eta : float or None
        Seconds left as the engine itself tells.
    """

    key: str
    title: str
    state: JobState = "waiting"
    fraction: float | None = None
    message: str = ""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    cancel: Callable[[], None] = lambda: None
    quiet: bool = False
    eta: float | None = None

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def seconds_left(self) -> float | None:
        """What the engine tells, else a guess from the share done; None while there is no ground for one."""
        if self.is_active and self.eta is not None:
            return max(0.0, self.eta)
        if not self.is_active or not self.fraction or self.fraction < 0.02 or self.seconds < 0.5:
            return None
        return self.seconds * (1 - self.fraction) / self.fraction


class Jobs:
    """The running and the last jobs, one a lane.

    Parameters
    ----------
    dispatch : callable
        Runs a function on the owner's thread, later and in order; it may be called from any thread.
    changed : callable
        Called on the owner's thread after anything about a job changed.

    Attributes
    ----------
    over : bool
        Whether the session went.
    """

    def __init__(self, dispatch: Dispatch, changed: Callable[[], None]) -> None:
        self.dispatch = dispatch
        self.over = False
        self._changed = changed
        self._workers: dict[str, Worker] = {}
        self._lanes: dict[str, Job] = {}

    def of(self, key: str) -> Job | None:
        """The running or last job of a lane."""
        return self._lanes.get(key)

    @property
    def active(self) -> tuple[Job, ...]:
        """Jobs that wait or run."""
        return tuple(job for job in self._lanes.values() if job.is_active)

    def start(
        self, key: str, title: str, make: Callable[[], Iterator[Any]], *,
        apply: Callable[[Any], None], done: Callable[[], None], failed: Callable[[MedsegError], None],
        own_thread: bool = False, cancel: Callable[[], None] | None = None, quiet: bool = False, urgent: bool = False, device: str = "",
    ) -> Job:
        """Run an engine.

        Parameters
        ----------
        make : callable
            Returns the generator; called on the working thread, so it may load what is slow.
        apply : callable
            Given each tick, on the owner's thread.
        done, failed : callable
            Called once at most, on the owner's thread; neither after a stop.
        own_thread : bool
            For what waits more than it computes, such as a process that trains.
        cancel : callable, optional
            Called besides at a stop, to reach what does not come to its next tick soon.
        quiet : bool
            As `Job.quiet`.
        urgent : bool
            Runs at the next tick of what runs now on that worker, which goes on afterwards; for answers that are small (the slice under the cursor).
        device : str
            Engines that name the same device ("auto", "cuda:1", ...) share one worker thread and run one at a time; those that name none share another.
        """
        self.stop(key)
        job = Job(key, title, quiet=quiet)
        self._lanes[key] = job
        inbox = _Inbox(lambda box: self.dispatch(lambda: self._drain(job, box, apply)))

        def ended(error: Exception | None = None) -> None:
            self.dispatch(lambda: self._end(job, inbox, apply, done, failed, error))

        if own_thread:
            leave = _pump(make, inbox.put, ended, title)
        else:
            worker = self._workers.setdefault(device, Worker(f"medseg-model {device}".rstrip()))
            ticket = worker.submit(make, key=key, on_tick=inbox.put, on_done=lambda *_: ended(), on_error=ended, urgent=urgent)
            leave = ticket.cancel
        job.cancel = leave if cancel is None else _both(leave, cancel)
        self._changed()
        return job

    def stop(self, key: str) -> None:
        """Stop a lane's job, if one is active; what it has given so far stays."""
        job = self._lanes.get(key)
        if job is not None and job.is_active:
            job.state, job.ended = "stopped", time.monotonic()
            job.cancel()
            self._changed()

    def close(self) -> None:
        """Stop everything; the session goes."""
        self.over = True
        for key in list(self._lanes):
            self.stop(key)
        for worker in self._workers.values():  # all are told before one is waited for
            worker.close(timeout=0)
        while self._workers:
            self._workers.popitem()[1].close(timeout=0.5)

    def _drain(self, job: Job, inbox: _Inbox, apply: Callable[[Any], None]) -> None:
        ticks = inbox.take()
        if not job.is_active or not ticks:
            return
        job.state = "running"
        job.fraction, job.message, job.eta = ticks[-1].fraction, ticks[-1].message, getattr(ticks[-1], "eta_s", None)
        for tick in ticks:
            apply(tick)
        self._changed()

    def _end(
        self, job: Job, inbox: _Inbox, apply: Callable[[Any], None], done: Callable[[], None], failed: Callable[[MedsegError], None], error: Exception | None,
    ) -> None:
        self._drain(job, inbox, apply)
        if not job.is_active:
            return
        job.ended = time.monotonic()
        if error is None:
            job.state, job.fraction = "done", 1.0
            done()
        else:
            job.state = "failed"
            failed(error if isinstance(error, MedsegError) else as_segmenter_error(error))
        self._changed()


class _Inbox:
    """Ticks on their way to the owner; asks to be emptied once, however many come.

    Nothing it holds knows it: what a run fills, a whole label map, would else lie there after it until Python's next full search, which may be a minute.
    """

    def __init__(self, ask: Callable[[_Inbox], None]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._ticks: list[Any] = []

    def put(self, tick: Any) -> None:
        with self._lock:
            first = not self._ticks
            self._ticks.append(tick)
        if first:
            self._ask(self)

    def take(self) -> list[Any]:
        with self._lock:
            ticks, self._ticks = self._ticks, []
        return ticks


def _pump(make: Callable[[], Iterator[Any]], put: Callable[[Any], None], ended: Callable[..., None], title: str) -> Callable[[], None]:
    stopping = threading.Event()

    def run() -> None:
        ticks: Iterator[Any] | None = None
        try:
            ticks = make()
            for tick in ticks:
                if stopping.is_set():
                    break
                put(tick)
        except Exception as error:  # noqa: BLE001 - whatever it is must reach the person, not end the thread unheard
            log.info("%s: %s", title, error)
            ended(error)
        else:
            ended()
        finally:
            if ticks is not None and hasattr(ticks, "close"):
                ticks.close()

    threading.Thread(target=run, name=f"medseg {title}", daemon=True).start()
    return stopping.set


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call
