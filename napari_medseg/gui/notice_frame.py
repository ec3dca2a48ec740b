"""What this program is for and what it is not, told at the first launch; it stops nobody and goes once it was seen."""

from __future__ import annotations

from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel

from napari_medseg import notice
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import button
from napari_medseg.session import starting


class NoticeFrame(QFrame):
    """Two sentences and a button."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.setObjectName("medsegNotice")
        words = QLabel(f"<b>{notice.RESEARCH}.</b> {notice.CHECK}")
        words.setWordWrap(True)
        self.seen = button("Understood", "Hide this for good", lambda: starting.notice_seen(desk.session))
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 6, 6)
        row.addWidget(words, 1)
        row.addWidget(self.seen)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        self.setVisible(starting.notice_is_due(self._desk.session))
