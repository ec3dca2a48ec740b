"""Where a person left the docks of the window, remembered from one launch to the next on a screen of the same size."""

from __future__ import annotations

from qtpy.QtCore import QByteArray, QEvent, QObject
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_medseg.gui.dock import Dock
from napari_medseg.session import preferences

VERSION = 1
"""Of the layout that the window has from the start: what was kept under another is not taken."""
DOCKS, SCREEN = "docks", "screen"  # among what is remembered of the window


class DockLayout(QObject):
    """Keeps the layout when its window closes.

    Parameters
    ----------
    window : QMainWindow
    """

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._window = window
        window.installEventFilter(self)

    def restore(self) -> bool:
        """Put the docks where they were left; none of ours is out of sight for that. False where nothing is kept for this screen."""
        last = preferences.load().last
        kept = last.get(DOCKS)
        if not isinstance(kept, str) or last.get(SCREEN) != self._screen():
            return False
        ours = [dock for dock in self._window.findChildren(QDockWidget) if dock.findChild(Dock) is not None and not dock.isHidden()]
        done = self._window.restoreState(QByteArray.fromBase64(kept.encode("ascii", "replace")), VERSION)
        for dock in ours:
            if dock.isHidden():
                dock.show()
        return bool(done)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep it before napari takes the docks apart."""
        if watched is self._window and event is not None and event.type() == QEvent.Type.Close:
            self._keep()
        return False

    def _keep(self) -> None:
        state = bytes(self._window.saveState(VERSION).toBase64()).decode("ascii")
        preferences.remember_last({DOCKS: state, SCREEN: self._screen()})

    def _screen(self) -> list[int]:
        screen = self._window.screen()
        room = screen.availableGeometry() if screen is not None else self._window.geometry()
        return [room.width(), room.height()]
