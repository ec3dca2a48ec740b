"""A slice is right: a button to say so, and a strip of all slices that shows which are marked and which were painted on."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, mark, quiet
from napari_medseg.session.guide import next_step

RIGHT, PAINTED, HERE = "#009e73", "#e69f00", "#8fa3b3"
HEIGHT = 16
TIP = "You looked at this slice and its labels are right: rounds learn from it or are checked on it, none changes it (Alt+K)"


class RightSlice(QWidget):
    """Views of the marks of the current scan."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.act = button("✓ This slice is right", "", desk.mark_right)
        self.said = quiet()
        self.strip = SliceStrip(desk)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.act)
        row.addWidget(self.said, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row)
        column.addWidget(self.strip)
        desk.refreshed.connect(self.refresh)
        desk.moved.connect(self._on_moved)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, scan = self._desk.session, self._desk.session.current
        ready = scan is not None and scan.has_labels and not scan.arriving
        self.setVisible(ready)
        if scan is None or not ready:
            return
        on = self._desk.is_right()
        self.act.setText("Not right after all" if on else "✓ This slice is right")
        self.act.setToolTip("Take the mark back (Alt+K)" if on else TIP)
        slices, patients = session.verified.count()
        words = f"{slices} right in {patients} patient{'s' if patients != 1 else ''}" if slices else "none marked yet"
        self.said.setText(words)
        self.strip.show_slices(session.rest.slices(scan), session.verified.of(scan), len(scan.display.array), self._desk.slice_in_view(0) or 0)
        mark(self.act, "primary", not on and next_step(session).action == "right")

    def _on_moved(self) -> None:
        """Another slice is in view; scrolling must cost nothing while nobody sees this."""
        if self.isVisible():
            self.refresh()


class SliceStrip(QWidget):
    """All slices of the scan in a row: filled and high where marked right, low and hollow where painted on, a line where the person is."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._painted: tuple[int, ...] = ()
        self._right: tuple[int, ...] = ()
        self._count, self._here = 1, 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        """As low as a line of text."""
        return QSize(100, HEIGHT)

    def show_slices(self, touched: tuple[int, ...], right: tuple[int, ...], count: int, here: int) -> None:
        """Draw, if anything changed."""
        now = tuple(index for index in touched if index not in right), right, max(1, count), here
        if now == (self._painted, self._right, self._count, self._here):
            return
        self._painted, self._right, self._count, self._here = now
        marked, painted = f"Right (full, green): {_listed(right)}", f"Painted on (half, orange): {_listed(self._painted)}"
        lines = [f"Slices 0 to {self._count - 1}; click to go there", marked, painted]
        self.setToolTip("\n".join(lines))
        self.setAccessibleName("; ".join(lines))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the row."""
        painter, wide = QPainter(self), self.width() / self._count
        painter.fillRect(QRectF(0, self.height() / 2 - 1, self.width(), 2), QColor(HERE))
        for index in self._painted:
            painter.fillRect(self._bar(index, wide, 0.5), QColor(PAINTED))
        for index in self._right:
            painter.fillRect(self._bar(index, wide, 1.0), QColor(RIGHT))
        painter.setPen(QPen(self.palette().windowText().color(), 2))
        x = (self._here + 0.5) * wide
        painter.drawLine(round(x), 0, round(x), self.height())
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the slice that was clicked; a mark within a few pixels is meant."""
        x, wide = float(self._x(event)), self.width() / self._count
        near = [index for index in (*self._right, *self._painted) if abs((index + 0.5) * wide - x) < max(4.0, wide)]
        index = min(near, key=lambda each: abs((each + 0.5) * wide - x)) if near else int(x / wide)
        self._desk.show_slice(0, min(max(index, 0), self._count - 1))

    def _bar(self, index: int, wide: float, share: float) -> QRectF:
        height = self.height() * share
        width = max(wide - 0.5, 3.0)
        return QRectF((index + 0.5) * wide - width / 2, self.height() - height, width, height)

    @staticmethod
    def _x(event: Any) -> float:
        return event.position().x() if hasattr(event, "position") else event.pos().x()


def _listed(slices: tuple[int, ...]) -> str:
    return ", ".join(str(index) for index in slices) or "none"
