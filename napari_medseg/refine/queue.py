"""Trainings that wait for their turn, one at a time. Lives on its owner's thread and has none of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from napari_medseg.errors import InvalidInputError

_NUMBERS = itertools.count(1)


@dataclass(eq=False, slots=True)
class Queued:
    """One training.

    Attributes
    ----------
    title : str
    make : callable
        Makes the run when its turn comes, so that it learns from the labels as they are then; or holds one that is ready.
    number : int
        Tells it from others of the same title.
    """

    title: str
    make: Callable[[], Any]
    number: int = field(default_factory=lambda: next(_NUMBERS))


class RunQueue:
    """A row of trainings: what runs, and what follows by itself.

    Parameters
    ----------
    start : callable
        Given what is to start now; it must call `ended` when that has ended, in whatever way.
    changed : callable
        Called after anything changed.
    """

    def __init__(self, start: Callable[[Queued], None], changed: Callable[[], None] = lambda: None) -> None:
        self._start, self._changed = start, changed
        self._waiting: list[Queued] = []
        self._running: Queued | None = None
        self._held = False

    @property
    def running(self) -> Queued | None:
        """What runs."""
        return self._running

    @property
    def waiting(self) -> tuple[Queued, ...]:
        """What follows, in its order."""
        return tuple(self._waiting)

    @property
    def held(self) -> bool:
        """Whether nothing new is started."""
        return self._held

    def add(self, title: str, make: Callable[[], Any]) -> Queued:
        """Put one at the end; it starts at once when nothing runs and nothing waits."""
        item = Queued(title, make)
        self._waiting.append(item)
        self._advance()
        return item

    def move(self, item: Queued, place: int) -> None:
        """Give a waiting one another place, counted from 0; beyond the end is the end.

        Raises
        ------
        InvalidInputError
            When it does not wait (any more).
        """
        self._take(item)
        self._waiting.insert(max(0, place), item)
        self._changed()

    def remove(self, item: Queued) -> None:
        """Take a waiting one out; raises as `move` does."""
        self._take(item)
        self._changed()

    def clear(self) -> None:
        """Take out all that wait."""
        self._waiting.clear()
        self._changed()

    def hold(self, held: bool = True) -> None:
        """Start nothing new until told again; what runs goes on."""
        self._held = held
        self._advance()

    def ended(self, item: Queued) -> None:
        """What ran has ended; the next one starts. Told twice, or of one that does not run, nothing happens."""
        if item is self._running:
            self._running = None
            self._advance()

    def _take(self, item: Queued) -> None:
        if item not in self._waiting:
            raise InvalidInputError("does not wait any more", where=item.title, todo="Stop it instead, if it runs")
        self._waiting.remove(item)

    def _advance(self) -> None:
        if self._running is None and self._waiting and not self._held:
            self._running = self._waiting.pop(0)
            try:
                self._start(self._running)
            except Exception:
                self._running = None  # the next one is not to wait for one that never began
                raise
            finally:
                self._changed()
        else:
            self._changed()
