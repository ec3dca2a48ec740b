"""What a network that is still training makes of the slice in view: a glimpse, never a label, and saved nowhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.session.state import Scan
from napari_medseg.volume import Array, LabelArray

if TYPE_CHECKING:
    from napari_medseg.session.refining_runs import AnyRun
    from napari_medseg.session.session import Session

EVERY = 4.0
"""Seconds between two looks."""
PATIENCE = 30.0
"""Seconds after which an answer that did not come is asked for again."""
AROUND = 4
"""Slices above and below the one in view that the network sees too."""


class Glimpse:
    """The latest glimpse.

    Parameters
    ----------
    session : Session
    now : callable
        Seconds of a clock that never goes back.

    Attributes
    ----------
    on : bool
        Whether somebody wants to see it.
    scan : Scan or None
    index : int
        Display slice it is of, along the first axis.
    labels : uint8 (y, x) or None
    """

    def __init__(self, session: Session, now: Callable[[], float] = time.monotonic) -> None:
        self._session, self._now = session, now
        self._asked: tuple[Scan, int, int] | None = None
        self._due = 0.0
        self.on = True
        self.scan: Scan | None = None
        self.index = 0
        self.labels: Array | None = None

    def switch(self, on: bool) -> None:
        """Show what is learnt, or do not."""
        if on != self.on:
            self.on = on
            self.forget()
            self._session.changed.emit()

    def forget(self) -> None:
        """The training is over, or nobody looks."""
        self.scan, self.labels, self._asked, self._due = None, None, None, 0.0

    def ask(self, run: AnyRun) -> None:
        """Have the slice in view looked at, if it is time; the scan is cut and sent beside the window."""
        scan, index = self._session.current, self._session.looking_at()
        if not self.on or self._now() < self._due or scan is None or scan.arriving or index is None:
            return
        display = scan.display
        low, high = max(0, index - AROUND), min(len(display.array), index + AROUND + 1)
        self._asked, self._due = (scan, index, low), self._now() + PATIENCE
        whole = slice(0, display.geometry.shape[1]), slice(0, display.geometry.shape[2])
        threading.Thread(target=lambda: run.look(display.cropped((slice(low, high), *whole))), name="medseg glimpse", daemon=True).start()

    def take(self, labels: LabelArray) -> None:
        """The answer came; one about a scan that was closed meanwhile is dropped."""
        asked, self._asked = self._asked, None
        self._due = self._now() + EVERY
        if asked is None or asked[0] not in self._session.scans or not self.on:
            return
        scan, index, low = asked
        if labels.shape[1:] == scan.display.geometry.shape[1:] and index - low < len(labels):
            self.scan, self.index, self.labels = scan, index, labels[index - low]


def outline(labels: Array) -> Array:
    """The rim of every class of a flat label map, uint8 (y, x), 1 there: a look is drawn as a line, labels are filled."""
    rim = np.zeros(labels.shape, bool)
    rim[1:] |= labels[1:] != labels[:-1]
    rim[:-1] |= labels[:-1] != labels[1:]
    rim[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    rim[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return (rim & (labels > 0)).astype(np.uint8)
