"""Brings a part of a scrolled page into view when there is something new in it: at once where the person has just asked for it, else never under their hand."""

from __future__ import annotations

from qtpy.QtCore import QObject, QPoint, QTimer
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QScrollArea, QWidget

SOON_MS = 50
"""Until a part that has just appeared has its place."""
REST_MS = 800
"""A mouse over the page that has not moved for so long is at rest."""
SETTLE_MS = 300
"""After which the place is looked at once more: what lies above may have come or gone with it."""
MARGIN = 6


class IntoView(QObject):
    """Scrolls a page.

    Parameters
    ----------
    page : QWidget
        Inside a QScrollArea; while it is not on screen what is wanted waits until `again`.
    """

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self._page = page
        self._part: QWidget | None = None
        self._seen: tuple[QPoint, int] | None = None
        self._placed: int | None = None
        self._asked = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._look)

    def want(self, part: QWidget, *, asked: bool = False) -> None:
        """Bring a part of the page into view soon; `asked`: the person has just done what brings it, so that a page that moves is the answer to that."""
        self._part, self._seen, self._placed, self._asked = part, None, None, asked
        self._timer.start(SOON_MS)

    def again(self) -> None:
        """The page is on screen; bring what was wanted meanwhile."""
        if self._part is not None:
            self._timer.start(SOON_MS)

    @property
    def waits(self) -> bool:
        """Whether something is still to be brought into view."""
        return self._part is not None

    def _look(self) -> None:
        area, part = self._area(), self._part
        if area is None or part is None or not self._page.isVisible():
            return
        bar = area.verticalScrollBar()
        if part.isHidden() or self._is_in_view(area, part) or self._placed not in (None, bar.value()):
            self._part = None
            return
        now = QCursor.pos(), bar.value()
        if self._placed is None and not self._asked and area.rect().contains(area.mapFromGlobal(now[0])) and now != self._seen:
            self._seen = now
            self._timer.start(REST_MS)
            return
        bar.setValue(self._nearest(area, part))
        if self._placed is None:
            self._placed = bar.value()
            self._timer.start(SETTLE_MS)
        else:
            self._part = None

    def _nearest(self, area: QScrollArea, part: QWidget) -> int:
        """Where to scroll: no farther than it takes, and its beginning first where there is no room for all of it."""
        top, now = part.mapTo(self._page, QPoint(0, 0)).y(), area.verticalScrollBar().value()
        first, last = max(0, top - MARGIN), top + part.height() + MARGIN - area.viewport().height()
        return min(max(now, last), first)

    def _is_in_view(self, area: QScrollArea, part: QWidget) -> bool:
        """All of it, or as much as there is room for."""
        top = part.mapTo(self._page, QPoint(0, 0)).y() - area.verticalScrollBar().value()
        high = area.viewport().height()
        return 0 <= top and top + min(part.height(), high) <= high

    def _area(self) -> QScrollArea | None:
        parent = self._page.parent()
        area = parent.parent() if parent is not None else None
        return area if isinstance(area, QScrollArea) else None
