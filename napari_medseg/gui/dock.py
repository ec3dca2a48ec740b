"""What every dock of ours shares: the viewer's desk while it is open, its theme and size, and noticing when napari takes it away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_medseg.gui.desk import desk_for
from napari_medseg.gui.style import sheet


class Dock(QWidget):
    """A widget that napari docks. A subclass calls `enter` when it is built.

    Parameters
    ----------
    napari_viewer : napari viewer
    width : int
        Pixels it asks for.
    """

    def __init__(self, napari_viewer: Any, width: int) -> None:
        super().__init__()
        self._docked = self._shown = False
        self._width = width
        self._top: int | None = None
        self.desk = desk_for(napari_viewer)
        self.setStyleSheet(sheet(str(self.desk.viewer.theme)))
        self.desk.rethemed.connect(self.rethemed)

    def enter(self) -> None:
        """Keep the desk until this dock goes."""
        self._leave = _Once(self.desk.leave)
        self.desk.enter()
        self.destroyed.connect(self._leave)

    def rethemed(self, theme: str) -> None:
        """The viewer's theme changed."""
        self.setStyleSheet(sheet(theme))

    def docked(self) -> None:
        """It was put into a dock of the window."""

    def sizeHint(self) -> QSize:
        """As wide as the plan of the window says."""
        return QSize(self._width, 640)

    def _clear_title(self) -> None:
        """Begin below the title of the dock."""
        layout = self.layout()
        if layout is not None:
            left, top, right, bottom = layout.getContentsMargins()
            self._top = top if self._top is None else self._top
            layout.setContentsMargins(left, self._top + _overlap(self), right, bottom)

    def _fit_screen(self) -> None:
        """A dock makes the window larger, on a small screen larger than the screen: then the dock itself would lie outside."""
        window = _main_window(self)
        if not isinstance(window, QMainWindow) or window.screen() is None:
            return
        room = window.screen().availableVirtualGeometry()
        if window.isMaximized():
            if window.height() > room.height() >= window.minimumSizeHint().height():
                window.showNormal()  # the only way to tell it that it is maximised after all
                window.showMaximized()
            return
        if window.width() > room.width() or window.height() > room.height():
            window.resize(min(window.width(), room.width()), min(window.height(), room.height()))
            window.move(room.left() if window.width() == room.width() else window.x(), room.top() if window.height() == room.height() else window.y())

    def _frame(self) -> tuple[QMainWindow | None, QDockWidget | None]:
        """The window and the dock this lies in; None where it floats or lies in neither."""
        dock, window = self.parent(), self.window()
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parent()
        return (window, dock) if isinstance(window, QMainWindow) and dock is not None and not dock.isFloating() else (None, None)

    def event(self, event: QEvent) -> bool:
        """Notice when napari docks the widget, or takes it out of its dock: it only lets go of it, and tells nobody."""
        if event.type() == QEvent.Type.ParentChange:
            before, self._docked = self._docked, self.parent() is not None
            if before and not self._docked:
                self._leave()
                self.deleteLater()
            elif self._docked and not before:
                self.docked()
        elif event.type() == QEvent.Type.Show:
            if not self._shown:
                self._shown = True
                QTimer.singleShot(0, self._fit_screen)
            self.desk.keys.sheet.attach(_main_window(self))
            self.desk.context.attach(_main_window(self))
            self.desk.closing.attach(_main_window(self))
            QTimer.singleShot(0, self._clear_title)
        return bool(super().event(event))


def _main_window(widget: QWidget) -> QWidget:
    """The window a widget belongs to, also while its dock floats."""
    top = widget.window()
    while top.parentWidget() is not None:
        top = top.parentWidget().window()
    return top


def _overlap(widget: QWidget) -> int:
    """Pixels of a docked widget that the dock's title lies over: with Qt 5, napari's title bar is higher than it says."""
    dock = widget.parentWidget()
    title = dock.titleBarWidget() if isinstance(dock, QDockWidget) else None
    return max(0, title.geometry().bottom() + 1 - widget.y()) if title is not None and title.isVisible() else 0


class _Once:
    """A function that is called the first time only. Kept alive until then: Qt may call it while Python already takes the dock apart."""

    _waiting: ClassVar[set[_Once]] = set()

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._waiting.add(self)

    def __call__(self, *_: object) -> None:
        if self in self._waiting:
            self._waiting.discard(self)
            self._function()
