"""Whose turn it is on the device: one thread, users get equal shares of its time, and clicks go before whole scans.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) over users, with the steps of engines, which are generators, as what is dealt. A click is worked
off in one go; one that takes long counts as a whole scan. A whole scan waits at most `PATIENCE_S` for clicks. Few are under way at one time, since each holds
its network. Who is too slow to take in answers is put aside meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from napari_medseg.cluster.server.replies import Reply
from napari_medseg.errors import MedsegError
from napari_medseg.segmenters.worker import as_segmenter_error

log = logging.getLogger(__name__)

QUICK_S = 10.0
PATIENCE_S = 4.0
AT_ONCE, MOST = 2, 4
"""Whole scans that are under way at one time, with and without clicks that became long."""


@dataclass(eq=False, slots=True)
class Turn:
    """One question that waits or is worked on.

    Attributes
    ----------
    user : str
    make : callable
        Gives the generator; called on the device's thread. Each value is a frame.
    fail : callable
        Makes a frame of an error.
    reply : Reply
    urgent : bool
    """

    user: str
    make: Callable[[], Iterator[bytes]]
    fail: Callable[[MedsegError], bytes]
    reply: Reply
    urgent: bool
    cancelled: bool = False
    steps: Iterator[bytes] | None = None
    seconds: float = 0.0
    last: float = field(default_factory=time.monotonic)


class Turns:
    """The device's thread; it starts with the first question."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._turns: list[Turn] = []
        self._spent: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, turn: Turn) -> None:
        """Take a question in."""
        with self._wake:
            if self._closed:
                raise RuntimeError("the device's thread has been closed")
            active = [self._spent[each.user] for each in self._turns if each.user in self._spent]
            if not any(each.user == turn.user for each in self._turns):  # who was away has saved nothing up
                self._spent[turn.user] = max(self._spent.get(turn.user, 0.0), min(active, default=0.0))
            self._turns.append(turn)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="medseg-device", daemon=True)
                self._thread.start()
            self._wake.notify()

    def cancel(self, turn: Turn) -> None:
        """Stop at the next step."""
        with self._wake:
            turn.cancelled = True
            self._wake.notify()

    def nudge(self) -> None:
        """A client has taken something in."""
        with self._wake:
            self._wake.notify()

    def before(self, turn: Turn) -> int:
        """How many questions go before one that waits; 0 for one under way."""
        with self._wake:
            if turn.steps is not None or turn not in self._turns:
                return 0
            at = self._turns.index(turn)
            others = [(place < at, other.urgent) for place, other in enumerate(self._turns) if other is not turn]
            return sum(urgent >= turn.urgent if earlier else urgent > turn.urgent for earlier, urgent in others)

    @property
    def waiting(self) -> int:
        """Questions that wait or are worked on."""
        return len(self._turns)

    def close(self, timeout: float = 0.5) -> None:
        """Stop everything and let the thread go; a step that takes longer than `timeout` (s) ends with the program."""
        with self._wake:
            self._closed = True
            for turn in self._turns:
                turn.cancelled = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._wake:
                turn = self._pick()
                while turn is None:
                    if self._closed:
                        return
                    self._wake.wait(1.0)
                    turn = self._pick()
            began = time.monotonic()
            more = _step(turn)
            now = time.monotonic()
            with self._wake:
                turn.seconds, turn.last = turn.seconds + now - began, now
                self._spent[turn.user] = self._spent.get(turn.user, 0.0) + now - began
                turn.urgent = turn.urgent and turn.seconds < QUICK_S
                if not more:
                    self._turns.remove(turn)
                    if not self._turns:
                        self._spent.clear()
            del turn

    def _pick(self) -> Turn | None:
        """Whose step comes now; call with the lock held."""
        for turn in self._turns:
            if turn.cancelled:
                return turn
        able = [turn for turn in self._turns if not turn.reply.blocked]
        now = time.monotonic()
        whole = [turn for turn in able if not turn.urgent]
        begun = [turn for turn in whole if turn.steps is not None]
        urgent = [turn for turn in able if turn.urgent and (turn.steps is not None or len(begun) < MOST)]
        whole = begun if len(begun) >= AT_ONCE else whole
        if urgent and not any(now - turn.last > PATIENCE_S for turn in whole):
            return min(urgent, key=lambda turn: (turn.steps is None, self._spent[turn.user]))
        if urgent:
            whole = [turn for turn in whole if now - turn.last > PATIENCE_S]
        return min(whole, key=lambda turn: (self._spent[turn.user], turn.steps is None), default=None)


def _step(turn: Turn) -> bool:
    """Ask for the next frame; whether there may be more."""
    try:
        if not turn.cancelled:
            if turn.steps is None:
                turn.steps = turn.make()
            frame = next(turn.steps, None)
            if frame is not None:
                turn.reply.put(frame)
                return True
    except MedsegError as error:
        turn.reply.put(turn.fail(error))
    except BaseException as error:  # the edge of a thread: whatever a network raises must reach the client, not kill the thread
        log.exception("work on the device failed")
        turn.reply.put(turn.fail(as_segmenter_error(error)))
    close = getattr(turn.steps, "close", None)
    if close is not None:
        try:
            close()
        except Exception:
            log.exception("work on the device did not stop cleanly")
    turn.reply.end()
    return False
