"""What reaches a training while it runs: stop, pause, go on, and a look at a few slices through the network as it stands.

Messages come on standard input, so that all is the same on every system; its end means stop.
"""

from __future__ import annotations

import logging
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import IO

from napari_medseg.errors import MedsegError
from napari_medseg.refine.result import Tick
from napari_medseg.volume import LabelArray, Volume

log = logging.getLogger(__name__)

PAUSE, GO_ON = "pause", "go on"
LEAST_SHARE = 1e-4  # of the run, before its pace says anything


class Controls:
    """The child's ear; `listen` runs on a thread of its own."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stopped = self._paused = False
        self._wanted: Volume | None = None

    def listen(self, inlet: IO[bytes]) -> None:
        """Take messages until there are no more, which is the sign to stop."""
        while True:
            try:
                message = pickle.load(inlet)  # from our own parent process
            except (EOFError, OSError, ValueError, pickle.UnpicklingError):
                message = None
            with self._changed:
                if message is None:
                    self._stopped = True
                elif isinstance(message, Volume):
                    self._wanted = message
                else:
                    self._paused = message == PAUSE
                self._changed.notify_all()
            if message is None:
                return

    def stopped(self) -> bool:
        """Whether the run is to end."""
        return self._stopped

    def wait_while_paused(self) -> bool:
        """Sleep until something is to be done: go on, stop, or look. Whether the run is still paused."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._paused or self._wanted is not None)
            return self._paused and not self._stopped

    @property
    def paused(self) -> bool:
        """Whether the run is to sleep."""
        return self._paused and not self._stopped

    def wanted(self) -> Volume | None:
        """What shall be looked at, once; of several wishes the newest."""
        with self._changed:
            wanted, self._wanted = self._wanted, None
            return wanted


class Pace:
    """Time left of a run, from its pace in this process; time spent asleep does not count."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self._asleep = 0.0

    def left(self, fraction: float) -> float | None:
        """Seconds left, None while there is no ground for a guess."""
        now = time.monotonic() - self._asleep
        if self._began is None:
            self._began = (now, fraction) if fraction > 0 else None
            return None
        started, first = self._began
        done = fraction - first
        return (now - started) / done * max(0.0, 1 - fraction) if done > LEAST_SHARE else None

    def slept(self, seconds: float) -> None:
        """Leave out time spent asleep."""
        self._asleep += seconds


def controlled(ticks: Iterator[Tick], controls: Controls) -> Iterator[Tick]:
    """The ticks of a run that can be paused and looked at between any two steps; ends early when it is told to stop.

    The pace of this process tells the time left, since a run that goes on after a crash has a share of its work behind it that took no time here.
    """
    pace = Pace()
    for tick in ticks:
        if controls.stopped():
            return
        yield replace(tick, now=None, eta_s=pace.left(tick.fraction) if tick.result is None else 0.0)
        yield from _looked(tick, controls)
        if controls.paused:
            began = time.monotonic()
            _give_back()
            yield _quiet(tick, message="Paused", paused=True)
            while controls.wait_while_paused():
                yield from _looked(tick, controls)
            pace.slept(time.monotonic() - began)
            if controls.stopped():
                return
            yield _quiet(tick, message="Going on")


def _quiet(tick: Tick, message: str, *, paused: bool = False, look: LabelArray | None = None) -> Tick:
    """The same place in the run, with nothing that was told before."""
    return Tick(tick.fraction, message, tick.round, updates=tick.updates, paused=paused, look=look)


def _looked(tick: Tick, controls: Controls) -> Iterator[Tick]:
    image = controls.wanted()
    if image is None or tick.now is None:
        return
    try:
        labels = tick.now(image)
    except (MedsegError, RuntimeError, ValueError) as error:  # a look is a convenience: the training goes on
        log.info("no look at %s: %s", image.name, error)
        return
    yield _quiet(tick, tick.message, paused=controls.paused, look=labels)


def _give_back() -> None:
    """Let other programs have the memory a graphics card keeps for later."""
    import torch

    from napari_medseg.segmenters.devices import give_back

    give_back("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
