"""Pause and go on, of whatever works elsewhere: in a process of its own, or on a server."""

from __future__ import annotations


class Pausable:
    """Something that can be told to sleep, from any thread; it keeps all that it holds in memory."""

    _paused = False

    @property
    def paused(self) -> bool:
        """Whether it was told to sleep."""
        return self._paused

    def pause(self) -> None:
        """Let it sleep after the current step, until `go_on`."""
        self._paused = True
        self._tell_paused()

    def go_on(self) -> None:
        """Wake it."""
        self._paused = False
        self._tell_paused()

    def _tell_paused(self) -> None:
        """Let it know, if it has started."""
        raise NotImplementedError
