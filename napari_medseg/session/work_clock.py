"""How long a person really worked: time between two acts counts, unless it was long enough to be a coffee."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_GAP = 30.0
"""Seconds between two acts beyond which the time between them does not count."""


class WorkClock:
    """Seconds of active work.

    Parameters
    ----------
    now : callable
        Seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last: float | None = None
        self.seconds = 0.0

    def act(self) -> None:
        """The person did something."""
        now = self._now()
        if self._last is not None and now - self._last <= LONGEST_GAP:
            self.seconds += now - self._last
        self._last = now

    def take(self) -> float:
        """Seconds since the last take."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def leave(self) -> None:
        """The person turned to something else; the time until the next act does not count."""
        self._last = None
