"""The window goes when the command that opened it is gone: one that was ended by force can tell nobody."""

from __future__ import annotations

import psutil
from qtpy.QtCore import QCoreApplication, QObject, QTimer
from qtpy.QtWidgets import QApplication

LOOK_MS = 1000


class Starter(QObject):
    """Looks after the process that started this one, and closes all windows without a question once it has ended; what was painted is saved as always.

    Parameters
    ----------
    pid : int
        Its process number.
    parent : QObject
        It looks while this lives.
    """

    def __init__(self, pid: int, parent: QObject) -> None:
        super().__init__(parent)
        self._process = psutil.Process(pid) if psutil.pid_exists(pid) else None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(LOOK_MS)

    def _look(self) -> None:
        if not _lives(self._process):
            self._timer.stop()
            for window in QApplication.topLevelWidgets():  # with Qt 5, closeAllWindows would have napari ask
                if window.isVisible():
                    window.close()
            QTimer.singleShot(0, lambda: leave())  # where a window stays open


def leave() -> None:
    """End the program, whatever is still on the screen."""
    QCoreApplication.exit(0)


def _lives(process: psutil.Process | None) -> bool:
    try:
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
