"""One thread for what must be done in order beside the window: every write to a study is made here, and the person never waits for one."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from napari_medseg.errors import MedsegError, ProjectError
from napari_medseg.session.jobs import Dispatch

log = logging.getLogger(__name__)
T = TypeVar("T")


class StoreThread:
    """Runs work in the order it was given, and timed work when it is due.

    Parameters
    ----------
    name : str
    dispatch : callable
        Runs a function on the owner's thread; answers go through it.
    failed : callable
        Told of an error nobody else takes, on the owner's thread.
    """

    def __init__(self, name: str, dispatch: Dispatch, failed: Callable[[MedsegError], None]) -> None:
        self._name, self._dispatch, self._failed = name, dispatch, failed
        self._wake = threading.Condition()
        self._work: deque[Callable[[], None]] = deque()
        self._timed: dict[str, tuple[float, Callable[[], None]]] = {}
        self._busy = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], T], done: Callable[[T], None] | None = None, failed: Callable[[MedsegError], None] | None = None) -> None:
        """Do it after what was submitted before; `done` or `failed` is called on the owner's thread."""

        def run() -> None:
            try:
                answer = work()
            except Exception as error:  # noqa: BLE001 - whatever it is must reach the person, not end the thread that saves their work
                self._fail(error, failed or self._failed)
            else:
                if done is not None:
                    self._dispatch(lambda: done(answer))

        with self._wake:
            self._work.append(run)
            self._start()

    def later(self, key: str, seconds: float, work: Callable[[], Any]) -> None:
        """Do it in so many seconds, unless work of that key is due sooner."""
        due = time.monotonic() + seconds
        with self._wake:
            if key in self._timed and self._timed[key][0] <= due:
                return
            self._timed[key] = (due, work)
            self._start()

    def never(self, key: str) -> None:
        """Forget timed work."""
        with self._wake:
            self._timed.pop(key, None)

    def wait(self, seconds: float) -> bool:
        """Wait until all that was submitted is done; False when it took longer."""
        end = time.monotonic() + seconds
        with self._wake:
            while self._work or self._busy:
                if not self._wake.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    return False
        return True

    def close(self, seconds: float) -> bool:
        """Do what is left, then end; False when it took longer."""
        done = self.wait(seconds)
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        return done

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._closing = False
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._wake.notify_all()

    def _run(self) -> None:
        while True:
            with self._wake:
                work = self._next()
                while work is None:
                    if self._closing:
                        return
                    due = min((when for when, _ in self._timed.values()), default=None)
                    self._wake.wait(None if due is None else max(0.0, due - time.monotonic()))
                    work = self._next()
                self._busy = True
            try:
                work()
            except Exception as error:  # noqa: BLE001 - as above: timed work that fails must not end the thread
                self._fail(error, self._failed)
            finally:
                with self._wake:
                    self._busy = False
                    self._wake.notify_all()

    def _next(self) -> Callable[[], None] | None:
        now = time.monotonic()
        for key, (due, work) in self._timed.items():
            if due <= now:
                del self._timed[key]
                return work
        return self._work.popleft() if self._work else None

    def _fail(self, error: Exception, heard: Callable[[MedsegError], None]) -> None:
        if not isinstance(error, MedsegError):
            log.error("work beside the window failed", exc_info=error)
            todo = "Your work is still in the window: save it with Save…, and report this with the log"
            error = ProjectError(f"something went wrong ({type(error).__name__})", where="Study", todo=todo)
        told = error
        self._dispatch(lambda: heard(told))
