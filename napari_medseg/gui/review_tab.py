"""The Review tab: what shows that labels are good, a page each."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.review_agreement import AgreementPage
from napari_medseg.gui.review_blinded import BlindedPage
from napari_medseg.gui.review_compare import ComparePage
from napari_medseg.gui.review_report import ReportPage
from napari_medseg.gui.review_rulers import RulersPage
from napari_medseg.gui.review_statistics import StatisticsPage
from napari_medseg.gui.style import SPACING, combo
from napari_medseg.gui.tab_order import follow
from napari_medseg.session.reviewing import Page

PAGES: dict[Page, tuple[str, str, Callable[[Desk], QWidget]]] = {  # what it is called, what it is for, and its widget
    "statistics": ("Segment statistics", "Volume, surface, diameters and grey values of each label", StatisticsPage),
    "blinded": ("Blinded choice", "Which of two masks is better, asked without telling whose they are", BlindedPage),
    "rulers": ("Rulers", "Distances in mm and angles in degrees, drawn on the slice", RulersPage),
    "agreement": ("Agreement", "How far several people agree, where they do not, and their consensus", AgreementPage),
    "compare": ("Compare", "Which of several rounds, models or people is better, and for whom it is not", ComparePage),
    "report": ("Report", "What was done and how good it is, on one page for colleagues and auditors", ReportPage),
}


class ReviewTab(QWidget):
    """Views of the session's review."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._pages: dict[Page, QWidget] = {}
        self.chooser = combo("; ".join(f"{title}: {what[0].lower()}{what[1:]}" for title, what, _ in PAGES.values()))
        self.chooser.setAccessibleName("Page")
        for key, (title, _, _) in PAGES.items():
            self.chooser.addItem(title, key)
        self.chooser.activated.connect(lambda i: desk.session.reviewing.turn(self.chooser.itemData(i)))
        head = QHBoxLayout()
        head.addWidget(QLabel("Page"))
        head.addWidget(self.chooser, 1)
        self._place = QVBoxLayout()
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        column.addLayout(head)
        column.addLayout(self._place, 1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def page(self, page: Page) -> QWidget:
        """A page's widget, made when it is first wanted."""
        if page not in self._pages:
            self._pages[page] = PAGES[page][2](self._desk)
            self._place.addWidget(self._pages[page])
            follow(self.chooser, self._pages[page])
        return self._pages[page]

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        if session.tab != "review":
            return
        wanted = session.reviewing.page
        self.chooser.setCurrentIndex(self.chooser.findData(wanted))
        shown = self.page(wanted)
        for page in self._pages.values():
            page.setVisible(page is shown)
