"""The line that says how long a person has worked on the scan in view."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QLabel

from napari_medseg.gui.desk import Desk

TIP = (
    "Time in which you did something on this scan; pauses longer than 30 s do not count.\n"
    "The paper's mark (Salah et al., MIUA 2023): 2.9 min a scan on average for a weak label, against up to 90 min by hand."
)


class WorkTime(QLabel):
    """Looks at the clock once a second while it is on screen."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.setProperty("quiet", True)
        self.setToolTip(TIP)
        self._tick = QTimer(self)
        self._tick.setInterval(1000)
        self._tick.timeout.connect(self.refresh)

    def showEvent(self, event: QShowEvent) -> None:
        """Begin to look."""
        self._tick.start()
        self.refresh()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody reads it."""
        self._tick.stop()
        super().hideEvent(event)

    def refresh(self) -> None:
        """Show the current scan's clock."""
        scan = self._desk.session.current
        minutes, seconds = divmod(int(scan.clock.seconds), 60) if scan is not None else (0, 0)
        said = f"{minutes}:{seconds:02d} of work on this scan" if scan is not None else ""
        if said != self.text():
            self.setText(said)
