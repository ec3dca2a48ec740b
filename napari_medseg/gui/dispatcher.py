"""The way from a worker's thread to the one Qt runs on."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, Signal


class Dispatcher(QObject):
    """Brings a function from any thread to the one Qt runs on, in order; once it is closed, none."""

    _call = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._call.connect(self._run, Qt.ConnectionType.QueuedConnection)
        self._open = True

    def __call__(self, function: Callable[[], None]) -> None:
        """Call a function in its turn; from any thread."""
        if self._open:
            try:
                self._call.emit(function)
            except RuntimeError:  # the window is gone while a worker still spoke
                self._open = False

    def close(self) -> None:
        """What still waits is not called any more."""
        self._open = False

    def _run(self, function: Callable[[], None]) -> None:
        if self._open:
            function()
