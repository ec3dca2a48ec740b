"""Work on the window that can wait, one piece a turn of the event loop, so that no turn takes longer than its longest piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer

PAUSE_MS = 5  # before each piece: what the person did, and what that brought about, comes first
AHEAD_MS = 60  # between layers that are laid out ahead or put out of sight: the docks draw themselves in between


class Turns(QObject):
    """Pieces of work that wait; they go with their parent, so none runs in a window that is gone.

    Parameters
    ----------
    parent : QObject
    pause : int
        Milliseconds before each piece.
    """

    def __init__(self, parent: QObject, pause: int = PAUSE_MS) -> None:
        super().__init__(parent)
        self._pause = pause
        self._waiting: deque[tuple[Callable[[], None], object]] = deque()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._next)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, piece: Callable[[], None], about: object = None) -> None:
        """Do this in a turn of its own, after what waits already; `about`: what it is done for, such as a scan."""
        self._waiting.append((piece, about))
        if not self._timer.isActive():
            self._timer.start(self._pause)

    def forget(self, about: object) -> None:
        """What was to be done for this waits no more: a machine with no time between two turns would keep a scan, with its layers, long after it was closed."""
        self._waiting = deque(each for each in self._waiting if each[1] is not about)

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._timer.stop()

    def _next(self) -> None:
        if self._waiting:
            piece, _ = self._waiting.popleft()
            if self._waiting:
                self._timer.start(self._pause)
            piece()


def show(layer: Layer, visible: bool) -> None:
    """Show or hide a layer; napari builds its whole scene anew even for one that is as it was."""
    if layer.visible != visible:
        layer.visible = visible
