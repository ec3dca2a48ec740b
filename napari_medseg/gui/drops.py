"""Scans dropped on the window open beside it, without napari asking which plugin shall read them; with Shift or Alt held, napari does as ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QLineEdit, QMainWindow, QWidget

KEYS = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier


class Drops(QObject):
    """Listens to what is dropped on the canvas of a window.

    Parameters
    ----------
    takes : callable
        Whether a path is one of ours.
    opens : callable
        Opens it.
    """

    def __init__(self, takes: Callable[[Path], bool], opens: Callable[[Path], None], parent: QObject) -> None:
        super().__init__(parent)
        self._takes, self._opens = takes, opens
        self._on: list[QWidget] = []

    def attach(self, window: Any) -> None:
        """Listen to a window, once."""
        if self._on or not isinstance(window, QMainWindow) or window.centralWidget() is None:
            return
        parts = (window.centralWidget(), *window.centralWidget().findChildren(QWidget))
        self._on = [part for part in parts if part.acceptDrops() and not isinstance(part, QLineEdit)]
        for part in self._on:
            part.installEventFilter(self)

    def close(self) -> None:
        """Leave drops to napari again."""
        for part in self._on:
            try:
                part.removeEventFilter(self)
            except RuntimeError:  # the window went first
                continue
        self._on = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take a drop of files that are all ours."""
        if event.type() != QEvent.Type.Drop or bool(QGuiApplication.keyboardModifiers() & KEYS):
            return False
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if not paths or len(paths) != len(event.mimeData().urls()) or not all(map(self._takes, paths)):
            return False
        event.acceptProposedAction()
        for path in paths:
            self._opens(path)
        return True
