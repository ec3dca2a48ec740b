"""The Weak label tab: seeds and a limit grow into a label; scribbles and clean-up."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, combo, mark
from napari_medseg.gui.weak_cleanup import CleanupPage
from napari_medseg.gui.weak_levelset import LevelSetPage
from napari_medseg.gui.weak_scribbles import ScribblePage
from napari_medseg.session.guide import next_step

MODES = (("levelset", "Level set"), ("scribbles", "Scribbles"), ("cleanup", "Clean up"))


class WeakTab(QWidget):
    """Views of the session's weak-label tools."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        session = desk.session
        self.mode = combo("Level set: grows from a few clicks. Scribbles: grows strokes. Clean up: tidies accepted labels.")
        for key, title in MODES:
            self.mode.addItem(title, key)
        self.mode.activated.connect(lambda i: session.set(mode=self.mode.itemData(i)))
        self.pages = QStackedWidget()
        for page in (LevelSetPage(desk), ScribblePage(desk), CleanupPage(desk)):
            self.pages.addWidget(page)
        head = QHBoxLayout()
        head.addWidget(QLabel("Tool"))
        head.addWidget(self.mode, 1)
        self.run = button("Grow from seeds", "", self._on_run)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        column.addLayout(head)
        column.addWidget(self.pages)
        column.addWidget(self.run)
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        index = [key for key, _ in MODES].index(session.mode)
        self.mode.setCurrentIndex(index)
        self.pages.setCurrentIndex(index)
        job = session.jobs.of("preview")
        running = job is not None and job.is_active
        title = {"levelset": "Grow from seeds", "scribbles": "Grow scribbles", "cleanup": "Clean up labels"}[session.mode]
        self.run.setText("Stop" if running else title)
        self.run.setToolTip("Stop here; the preview so far stays" if running else f"{title} into a preview you can accept or discard (G)")
        self.run.setEnabled(running or session.current is not None)
        mark(self.run, "primary", next_step(session).action in ("run", "stop") and session.tab == "weak")

    def _on_run(self) -> None:
        job = self._desk.session.jobs.of("preview")
        if job is not None and job.is_active:
            self._desk.session.stop()
        else:
            self._desk.session.set(tab="weak")
            self._desk.run()
