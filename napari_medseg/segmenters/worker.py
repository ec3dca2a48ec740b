"""One thread for model work, kept for as long as the window lives.

A warm thread answers in a tenth of the time of a fresh one (cuDNN keeps its plans per thread), and one thread means one network at a time on a device.
The newest request of a key wins: it cancels the older one at its next yield. An urgent request (the slice under the cursor, the region round a click)
overtakes: it runs at the next yield of what runs now, which is left where it stands and goes on afterwards. Knows neither Qt nor torch.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from napari_medseg.errors import MedsegError, SegmenterError

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Ticket:
    """One request.

    Attributes
    ----------
    key : str
        Requests of one key supersede each other.
    generation : int
        Higher is newer, over all keys of a worker.
    """

    key: str
    generation: int
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled or superseded; what it still gives is stale."""
        return self._cancelled.is_set()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come, for whatever reason."""
        return self._ended.is_set()

    def cancel(self) -> None:
        """Stop at the next yield; no callback starts after this, though one that has already started may still finish."""
        self._cancelled.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it has ended; False when `timeout` (s) passed first. Not for a window's thread."""
        return self._ended.wait(timeout)


@dataclass(eq=False, slots=True)
class _Job:
    ticket: Ticket
    make: Callable[[], Iterator[Any]]
    on_tick: Callable[[Any], None]
    on_done: Callable[[Any], None]
    on_error: Callable[[MedsegError], None]
    urgent: bool
    steps: Iterator[Any] | None = None
    last: Any = None


class Worker:
    """One persistent daemon thread; it starts with the first request.

    Callbacks run on that thread: they should hand the value over and return. Between two yields of one generator another may run, so a generator
    leaves nothing set for the whole thread (such as torch's grad mode) when it yields.
    """

    def __init__(self, name: str = "medseg-model") -> None:
        self._name = name
        self._wake = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._urgent: deque[_Job] = deque()
        self._begun: list[_Job] = []
        """At most an ordinary one and an urgent one; the last is the one that runs."""
        self._thread: threading.Thread | None = None
        self._generations = count(1)
        self._closed = False

    def submit(
        self, make: Callable[[], Iterator[T]], *, key: str,
        on_tick: Callable[[T], None], on_done: Callable[[T | None], None], on_error: Callable[[MedsegError], None], urgent: bool = False,
    ) -> Ticket:
        """Run a generator after what already waits, or before it.

        Parameters
        ----------
        make : callable
            Returns the generator; called on the worker thread, so it may load what is slow.
        key : str
            An older request of the same key is cancelled, or dropped if it has not begun.
        on_tick : callable
            Given every value yielded.
        on_done : callable
            Given the last value (None when there was none), once, unless the request failed or was cancelled.
        on_error : callable
            Given the error, once: a MedsegError as it was raised, anything else inside a SegmenterError. Not after a cancel.
        urgent : bool
            Runs at the next yield of an ordinary request, which goes on afterwards. Urgent ones wait for each other.

        Raises
        ------
        RuntimeError
            When the worker has been closed: a fault in the caller.
        """
        with self._wake:
            if self._closed:
                raise RuntimeError("the worker has been closed")
            ticket = Ticket(key, next(self._generations))
            self._cancel(key)
            (self._urgent if urgent else self._waiting).append(_Job(ticket, make, on_tick, on_done, on_error, urgent))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._wake.notify()
        return ticket

    def cancel(self, key: str) -> None:
        """Cancel what waits or runs under a key."""
        with self._wake:
            self._cancel(key)

    def close(self, timeout: float = 5.0) -> bool:
        """Cancel everything and let the thread go.

        Returns
        -------
        bool
            Whether the thread has gone within `timeout` (s); a step that takes longer ends with the program, since the thread is a daemon.
        """
        with self._wake:
            self._closed = True
            for key in {job.ticket.key for job in (*self._waiting, *self._urgent, *self._begun)}:
                self._cancel(key)
            self._wake.notify()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return thread is None
        thread.join(timeout)
        return not thread.is_alive()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cancel(self, key: str) -> None:
        """Call with the lock held."""
        for job in self._begun:
            if job.ticket.key == key:
                job.ticket.cancel()
        for queue in (self._waiting, self._urgent):
            for job in [job for job in queue if job.ticket.key == key]:
                queue.remove(job)
                job.ticket.cancel()
                job.ticket._ended.set()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._begun or self._urgent or self._waiting or self._closed)
                job = self._next()
            if job is None:
                return
            if not _step(job):
                with self._wake:
                    self._begun.remove(job)
                job.ticket._ended.set()
            del job  # a generator and its arrays must not live until the next request

    def _next(self) -> _Job | None:
        """Whose step comes now; call with the lock held."""
        for job in self._begun:
            if job.ticket.cancelled:  # also one that was overtaken: what it holds goes at once
                return job
        if self._urgent and not any(job.urgent for job in self._begun):
            self._begun.append(self._urgent.popleft())
        elif self._waiting and not self._begun:
            self._begun.append(self._waiting.popleft())
        return self._begun[-1] if self._begun else None


_END = object()


def _step(job: _Job) -> bool:
    """Ask a job for its next value; whether there may be more."""
    stale = job.ticket._cancelled.is_set
    try:
        if not stale():
            if job.steps is None:
                job.steps = iter(job.make())
            value = next(job.steps, _END)
            if value is not _END:
                job.last = value
                if not stale():
                    job.on_tick(value)
                if not stale():  # which the callback itself may have changed
                    return True
            elif not stale():
                job.on_done(job.last)
    except BaseException as error:  # noqa: BLE001 - the edge of a thread: whatever a network raises (sys.exit too) must reach the person, not kill the thread
        _report(job, error)
    _close(job.steps)
    return False


def _report(job: _Job, error: BaseException) -> None:
    if not isinstance(error, MedsegError):
        log.error("model work '%s' failed", job.ticket.key, exc_info=error)
    if job.ticket.cancelled:
        return
    try:
        job.on_error(as_segmenter_error(error))
    except Exception:
        log.exception("the answer to a failure of '%s' failed itself", job.ticket.key)


def as_segmenter_error(error: BaseException) -> MedsegError:
    """A MedsegError as it is; anything else as the cause of a SegmenterError that a person can read."""
    if isinstance(error, MedsegError):
        return error
    if isinstance(error, MemoryError):
        wrapped = SegmenterError("there is not enough memory for this scan", todo="Close other programs, or crop the scan")
    else:
        wrapped = SegmenterError(f"the work stopped at an unexpected fault ({type(error).__name__})", todo="Try again; if it returns, report it with the log")
    wrapped.__cause__ = error
    return wrapped


def _close(steps: Iterator[Any] | None) -> None:
    close = getattr(steps, "close", None)
    if close is None:
        return
    try:
        close()
    except Exception:
        log.exception("model work did not stop cleanly")
