"""One thread for model work, kept for as long as the window lives.

A warm thread answers in a tenth of the time of a fresh one (cuDNN keeps its plans per thread), and one thread means one network at a time on a device.
The newest request of a key wins: it cancels the older one at its next yield. Knows neither Qt nor torch.
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


class Worker:
    """One persistent daemon thread; it starts with the first request.

    Callbacks run on that thread: they should hand the value over and return.
    """

    def __init__(self, name: str = "medseg-model") -> None:
        self._name = name
        self._wake = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._running: Ticket | None = None
        self._thread: threading.Thread | None = None
        self._generations = count(1)
        self._closed = False

    def submit(
        self, make: Callable[[], Iterator[T]], *, key: str,
        on_tick: Callable[[T], None], on_done: Callable[[T | None], None], on_error: Callable[[MedsegError], None],
    ) -> Ticket:
        """Run a generator after what already waits.

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
            self._waiting.append(_Job(ticket, make, on_tick, on_done, on_error))
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
            for key in {job.ticket.key for job in self._waiting} | ({self._running.key} if self._running else set()):
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
        if self._running is not None and self._running.key == key:
            self._running.cancel()
        for job in [job for job in self._waiting if job.ticket.key == key]:
            self._waiting.remove(job)
            job.ticket.cancel()
            job.ticket._ended.set()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                job = self._waiting.popleft()
                self._running = job.ticket
            try:
                _work(job)
            finally:
                with self._wake:
                    self._running = None
                job.ticket._ended.set()
            del job  # a generator and its arrays must not live until the next request


def _work(job: _Job) -> None:
    stale = job.ticket._cancelled.is_set
    steps: Iterator[Any] = iter(())
    last = None
    try:
        if stale():
            return
        steps = job.make()
        for last in steps:
            if not stale():
                job.on_tick(last)
            if stale():  # possibly by the callback itself
                return
        if not stale():
            job.on_done(last)
    except Exception as error:  # noqa: BLE001 - the edge of a thread: whatever a network raises must reach the person, not kill the thread
        _report(job, error)
    finally:
        _close(steps)


def _report(job: _Job, error: Exception) -> None:
    if not isinstance(error, MedsegError):
        log.error("model work '%s' failed", job.ticket.key, exc_info=error)
    if job.ticket.cancelled:
        return
    try:
        job.on_error(as_segmenter_error(error))
    except Exception:
        log.exception("the answer to a failure of '%s' failed itself", job.ticket.key)


def as_segmenter_error(error: Exception) -> MedsegError:
    """A MedsegError as it is; anything else as the cause of a SegmenterError that a person can read."""
    if isinstance(error, MedsegError):
        return error
    if isinstance(error, MemoryError):
        wrapped = SegmenterError("there is not enough memory for this scan", todo="Close other programs, or crop the scan")
    else:
        wrapped = SegmenterError(f"the work stopped at an unexpected fault ({type(error).__name__})", todo="Try again; if it returns, report it with the log")
    wrapped.__cause__ = error
    return wrapped


def _close(steps: Iterator[Any]) -> None:
    close = getattr(steps, "close", None)
    if close is None:
        return
    try:
        close()
    except Exception:
        log.exception("model work did not stop cleanly")
