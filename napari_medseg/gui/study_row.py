"""The way into a study for somebody who works on a picture of their own and has no Cases dock open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import button, quiet
from napari_medseg.session.study import SUFFIX

CASES = "medsegCases"
"""The Qt name of the Cases dock's widget."""


class StudyRow(QWidget):
    """One line, while a scan is open in no study and nothing else in the window offers one.

    Parameters
    ----------
    desk : Desk
    show_cases : callable
        Opens the Cases dock.
    """

    def __init__(self, desk: Desk, show_cases: Callable[[], None]) -> None:
        super().__init__()
        self._desk, self._show_cases = desk, show_cases
        self._cases: QWidget | None = None
        tip = "A folder that keeps labels, history and settings by itself; cases are verified and exported there"
        self.new = button("New study…", tip, lambda: new_study(desk, self, show_cases))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(quiet("In no study: save labels yourself."), 1)
        row.addWidget(self.new)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        alone = bool(session.scans) and not session.study.is_open and not session.study.busy
        self.setVisible(alone and not self._has_cases())

    def _has_cases(self) -> bool:
        """Whether the Cases dock is in sight; looked for once, since going through a whole window takes as long as drawing all docks."""
        if self._cases is None and self._desk.receivers(self._desk.naming):
            self._cases = self.window().findChild(QWidget, CASES)
            if self._cases is not None:
                self._cases.destroyed.connect(self._forget)
        return self._cases is not None and self._cases.isVisible()

    def _forget(self) -> None:
        self._cases = None


def new_study(desk: Desk, parent: QWidget, show_cases: Callable[[], None]) -> None:
    """Ask where a study shall be, and begin it."""
    proposed = desk.session.choices.studies_folder / f"My study{SUFFIX}"
    path, _ = QFileDialog.getSaveFileName(parent, "New study: name its folder", str(proposed), f"Study (*{SUFFIX})")
    if path:
        show_cases()
        desk.session.study.create(Path(path))
