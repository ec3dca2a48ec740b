"""The Medseg dock, and each of its tabs as a dock of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QStackedWidget, QTabWidget, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.dock import Dock
from napari_medseg.gui.guide_bar import AcceptBar, GuideLine, ProgressRow
from napari_medseg.gui.labels_table import LabelsTable
from napari_medseg.gui.launch import show_cases
from napari_medseg.gui.notice_frame import NoticeFrame
from napari_medseg.gui.refine_tab import RefineTab
from napari_medseg.gui.review_tab import ReviewTab
from napari_medseg.gui.scan_header import ScanHeader
from napari_medseg.gui.segment_tab import SegmentTab
from napari_medseg.gui.start_page import StartPage
from napari_medseg.gui.study_row import StudyRow
from napari_medseg.gui.style import SPACING, WIDTH, dock_width
from napari_medseg.gui.weak_tab import WeakTab

TABS = (("segment", "Segment", SegmentTab), ("weak", "Weak label", WeakTab), ("refine", "Refine", RefineTab), ("review", "Review", ReviewTab))
WANT_A_SCAN = ("segment", "weak")
FIT_MS = 100  # until Qt has laid out docks that became tabs


class MedsegWidget(Dock):
    """The whole dock.

    Parameters
    ----------
    napari_viewer : napari viewer
    tabs : ids of the tabs to show
    """

    def __init__(self, napari_viewer: Any, tabs: tuple[str, ...] = ("segment", "weak", "refine", "review")) -> None:
        super().__init__(napari_viewer, dock_width())
        session = self.desk.session
        self.setObjectName("medseg")
        self._follow_letters()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._keys = [key for key, _, _ in TABS if key in tabs]
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)  # a white line above the tabs, whatever the theme
        self._pages: list[QStackedWidget] = []
        for key, title, kind in TABS:
            if key in tabs:
                self.tabs.addTab(self._page(key, kind), title)
        if len(self._keys) == 1:
            self.tabs.tabBar().hide()
            session.set(tab=self._keys[0])
        self.tabs.currentChanged.connect(lambda i: session.set(tab=self._keys[i]))
        self.notice = NoticeFrame(self.desk)
        self.header = ScanHeader(self.desk)
        self.labels = LabelsTable(self.desk)
        self.accept_bar = AcceptBar(self.desk)
        self.progress = ProgressRow(self.desk)
        self.guide = GuideLine(self.desk)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 6)
        column.setSpacing(SPACING)
        column.addWidget(self.header)
        column.addWidget(StudyRow(self.desk, lambda: show_cases(self.desk.viewer)))
        column.addWidget(self.tabs, 1)
        for part in (self.labels, self.accept_bar, self.progress, self.notice, self.guide):  # above the notice nothing moves when it goes
            column.addWidget(part)
        self._place = QTimer(self)
        self._place.setSingleShot(True)
        self._place.timeout.connect(self._share_place)
        self._fit = QTimer(self)
        self._fit.setSingleShot(True)
        self._fit.setInterval(FIT_MS)
        self._fit.timeout.connect(self._fit_screen)
        self.desk.refreshed.connect(self.refresh)
        self.enter()
        self.refresh()

    def docked(self) -> None:
        """It takes its place once napari has put it somewhere."""
        self._place.start()

    def _share_place(self) -> None:
        """Docks of ours on one side are tabs of one place: one below the other they are higher than a screen."""
        window, dock = self._frame()
        if window is None or dock is None:
            return
        dock.visibilityChanged.connect(self._came)
        area, shared = window.dockWidgetArea(dock), window.tabifiedDockWidgets(dock)
        others = [beside for other in window.findChildren(MedsegWidget) for _, beside in [other._frame()] if beside is not None and beside is not dock]
        beside = next((each for each in others if not each.isHidden() and window.dockWidgetArea(each) == area), None)
        if beside is not None and not any(each in shared for each in others):
            window.tabifyDockWidget(beside, dock)
            dock.raise_()
            self._fit.start()

    def _came(self, seen: bool) -> None:
        """A dock with a single page is in front again: keys and the Guide mean that page."""
        if seen and len(self._keys) == 1 and self.desk.session.tab != self._keys[0]:
            self.desk.session.set(tab=self._keys[0])

    def changeEvent(self, event: QEvent) -> None:
        """Letters of another size were chosen in napari's preferences."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._follow_letters()

    def _follow_letters(self) -> None:
        wanted = dock_width()
        self.setMinimumWidth(wanted if wanted > WIDTH else WIDTH - 20)

    def refresh(self) -> None:
        """Show the session."""
        session = self.desk.session
        if session.tab in self._keys and self.tabs.currentIndex() != self._keys.index(session.tab):
            self.tabs.setCurrentIndex(self._keys.index(session.tab))
        self.header.refresh()
        for part in (self.labels, self.accept_bar):
            part.setVisible(bool(session.scans))
        for page in self._pages:
            page.setCurrentIndex(0 if session.scans else 1)

    def _page(self, key: str, kind: Callable[[Desk], QWidget]) -> QWidget:
        """A tab; one whose tools all want a scan says how to open one until there is one."""
        tools = _scrolling(kind(self.desk))
        if key not in WANT_A_SCAN:
            return tools
        page = QStackedWidget()
        page.addWidget(tools)
        page.addWidget(_scrolling(StartPage(self.desk, key, lambda: show_cases(self.desk.viewer))))
        self._pages.append(page)
        return page


class SegmentDock(MedsegWidget):
    """The Segment tab alone."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, ("segment",))


class WeakLabelDock(MedsegWidget):
    """The Weak label tab alone."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, ("weak",))


class RefineDock(MedsegWidget):
    """The Refine tab alone."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, ("refine",))


class ReviewDock(MedsegWidget):
    """The Review tab alone."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, ("review",))


def _scrolling(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # what is inside scrolls into sight as it gets the keys
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(widget)
    return area
