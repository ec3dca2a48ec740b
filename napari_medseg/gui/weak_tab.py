"""The Weak label tab: level set, scribbles, limit brush, interpolation and clean-up, a page each."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_medseg.gui import warm_layers
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.right_slice import RightSlice
from napari_medseg.gui.style import SPACING, button, combo, mark, quiet
from napari_medseg.gui.tab_order import follow
from napari_medseg.gui.weak_cleanup import CleanupPage
from napari_medseg.gui.weak_interpolate import InterpolatePage
from napari_medseg.gui.weak_levelset import LevelSetPage
from napari_medseg.gui.weak_limit import LimitPage
from napari_medseg.gui.weak_scribbles import ScribblePage
from napari_medseg.gui.work_time import WorkTime
from napari_medseg.session import warming
from napari_medseg.session.guide import next_step

MODES = (
    ("levelset", "Level set", "Grows from a few clicks"),
    ("scribbles", "Scribbles", "Strokes of each class grow into regions, live"),
    ("limit", "Paint limit", "A rough outer bound with a soft brush, for the level set"),
    ("interpolate", "Interpolate", "Fills between slices that were painted"),
    ("cleanup", "Clean up", "Tidies accepted labels"),
)
RUN = {
    "levelset": "Grow from seeds", "scribbles": "Grow strokes", "limit": "Grow inside it", "interpolate": "Fill between slices", "cleanup": "Clean up labels",
}
WARM_AFTER_MS = 1500  # once the window stands
PAGES: dict[str, Callable[[Desk], QWidget]] = {
    "levelset": LevelSetPage, "scribbles": ScribblePage, "limit": LimitPage, "interpolate": InterpolatePage, "cleanup": CleanupPage,
}
SOON = 0.7  # seconds that work may take before the button offers to stop it; a live answer is through by then


class WeakTab(QWidget):
    """Views of the session's weak-label tools."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.mode = combo("; ".join(f"{title}: {what[0].lower()}{what[1:]}" for _, title, what in MODES))
        self.mode.setAccessibleName("Tool")
        for key, title, _ in MODES:
            self.mode.addItem(title, key)
        self.mode.activated.connect(lambda i: desk.enter_mode(self.mode.itemData(i)))
        self._pages: dict[str, QWidget] = {}
        self._place = QVBoxLayout()
        head = QHBoxLayout()
        head.addWidget(QLabel("Tool"))
        head.addWidget(self.mode, 1)
        self.run = button("Grow from seeds", "", self._on_run)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        column.addLayout(head)
        column.addLayout(self._place)
        column.addWidget(self.run)
        self.work_time, self.right = WorkTime(desk), RightSlice(desk)
        self.preparing = quiet()
        column.addWidget(self.preparing)
        column.addStretch(1)
        column.addWidget(self.right)
        column.addWidget(self.work_time)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def page(self, mode: str) -> QWidget:
        """The page of a tool, made when it is first wanted."""
        if mode not in self._pages:
            self._pages[mode] = PAGES[mode](self._desk)
            self._place.addWidget(self._pages[mode])
            follow(self.mode, self._pages[mode])
        return self._pages[mode]

    def showEvent(self, event: QShowEvent) -> None:
        """Somebody will use the tools soon: they are made ready meanwhile."""
        QTimer.singleShot(WARM_AFTER_MS, self._warm)
        super().showEvent(event)

    def _warm(self) -> None:
        warming.begin(self._desk.session, warm_layers.warm)

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        self.mode.setCurrentIndex([key for key, *_ in MODES].index(session.mode))
        shown = self.page(session.mode)
        for page in self._pages.values():
            page.setVisible(page is shown)
        job = session.jobs.of("preview")
        running = job is not None and job.is_active and (session.mode == "levelset" or job.seconds > SOON)
        self.run.setVisible(session.mode != "levelset")  # whose page has a row of its own
        self.preparing.setText(session.preparing)
        self.preparing.setVisible(bool(session.preparing))
        title = RUN[session.mode]
        self.run.setText("Stop" if running else title)
        self.run.setToolTip("Stop here; the preview so far stays" if running else f"{title} into a preview you can accept or discard (G)")
        self.run.setEnabled(running or session.current is not None)
        mark(self.run, "primary", next_step(session).action in ("run", "stop") and session.tab == "weak" and session.mode != "levelset")

    def _on_run(self) -> None:
        job = self._desk.session.jobs.of("preview")
        if job is not None and job.is_active:
            self._desk.session.stop()
        else:
            self._desk.session.set(tab="weak")
            self._desk.run()
