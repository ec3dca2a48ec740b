"""Work whose answer is wanted for the newest question only: a slice to draw, a surface to make."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any

log = logging.getLogger(__name__)
Work = Callable[[], Any]
Done = Callable[[Any], None]


class Latest:
    """One thread that answers; a newer question of the same key takes the place of one that still waits.

    Parameters
    ----------
    dispatch : callable
        Runs a function on the owner's thread, in order.
    name : str
        Of the thread.
    """

    def __init__(self, dispatch: Callable[[Callable[[], None]], object], name: str) -> None:
        self._dispatch, self._name = dispatch, name
        self._waiting: dict[Hashable, tuple[Work, Done]] = {}
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._open = True

    def ask(self, key: Hashable, work: Work, done: Done) -> None:
        """Do the work beside the window, then hand its answer to `done` on the owner's thread; a fault is handed over as the answer."""
        with self._turn:
            if not self._open:
                return
            self._waiting[key] = (work, done)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._turn.notify()

    def close(self) -> None:
        """Answer nothing more; the thread ends with what it is doing."""
        with self._turn:
            self._open = False
            self._waiting.clear()
            self._turn.notify()

    def _run(self) -> None:
        while True:
            with self._turn:
                while self._open and not self._waiting:
                    self._turn.wait()
                if not self._open:
                    return
                work, done = self._waiting.pop(next(iter(self._waiting)))
            answer: Any
            try:
                answer = work()
            except Exception as error:  # noqa: BLE001 - the edge of a thread: whatever the arrays of others raise when they are read
                log.info("not drawn: %s", error)
                answer = error
            if self._open:
                self._dispatch(lambda done=done, answer=answer: done(answer))  # type: ignore[misc]
