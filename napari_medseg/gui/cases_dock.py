"""The Cases dock: the study's scans, how far each one is, its history, and work that was found unsaved."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QFont, QFontMetrics, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDockWidget,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_medseg.gui.archive_dialog import show_archive
from napari_medseg.gui.case_frames import LockedFrame, NameFrame, TakenFrame, UnsavedFrame
from napari_medseg.gui.cases_model import COLUMNS, ICON, NARROW, CasesModel
from napari_medseg.gui.dock import Dock
from napari_medseg.gui.export_menu import add_export
from napari_medseg.gui.history_list import HistoryList
from napari_medseg.gui.style import SPACING, button, combo, is_low, mark, middle, quiet
from napari_medseg.session.cases import SIGNS, STATUSES
from napari_medseg.session.guide import next_step
from napari_medseg.session.guide_study import SEVERAL
from napari_medseg.session.study import ENDS, SUFFIX

WIDTH = 280
WIDE = 430
ROOMY = 460
"""Height in pixels from which the filter stays while the history or a question needs room too, and pictures are large."""
LEAST = 220
"""Height in pixels: with napari's controls of a picture in 3D above it, a screen of 768 has no more."""
LONGEST_TITLE = 28
"""Letters of a study's name on a button: more would make the dock wider."""
BESIDE = 26
"""Pixels of a status beside its words: its colour, and the margins of a cell."""
SMALL, GAP = QSize(30, 30), 6
"""Of a case's picture where there is little room, and between two of them."""
TALL = 1000
"""Height in pixels from which a screen has room for cases below the list of layers."""
LAYER_LIST, LAYER_CONTROLS = "layer list", "layer controls"
"""The Qt names of napari's own docks."""
FILTERS = (
    ("", "All cases"), ("open", "To do"), *((status, f"{SIGNS[status]} {status}") for status in STATUSES),
)
SORTS = (("added", "Order of adding"), ("name", "Name"), ("status", "Status"), ("ml", "Volume of the labels"), ("editor", "Last editor"), ("seconds", "Time"))
SCANS = "Scans (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm *.gipl *.gipl.gz *.hdr *.img *.tif *.tiff);;All files (*)"
STATES = {
    "": "", "changed": "Not saved yet …", "saving": "Saving …", "autosaved": "Autosaved", "saved": "All saved",
    "failed": "Not saved: your work is in memory only; use Save… to put it elsewhere",
}


class CasesDock(Dock):
    """Views of the session's study.

    Parameters
    ----------
    napari_viewer : napari viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, WIDTH)
        self._followed = ""
        self.study = self.desk.session.study
        self.setObjectName("medsegCases")
        self.setMinimumSize(WIDTH - 30, LEAST)  # said here, so that no part that comes and goes makes napari's window grow beyond the screen
        self.setAcceptDrops(True)
        self._room, self._place, self._follow = QTimer(self), QTimer(self), QTimer(self)
        acts = ((self._place, 0, self._go_left), (self._room, 200, self._make_room), (self._follow, 0, self._show_current))
        for timer, wait, act in acts:  # Qt raises no tab that was not laid out yet
            timer.setSingleShot(True)
            timer.setInterval(wait)
            timer.timeout.connect(act)
        self.title = QElidingLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.menu = QPushButton("Study ▾")
        self.menu.setToolTip("Begin, open or close a study; sort the table")
        self.menu.setMenu(QMenu(self))
        self.menu.menu().aboutToShow.connect(self._fill_menu)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.menu)
        self.name = NameFrame(self.study)
        self.unsaved = UnsavedFrame(self.study)
        self.locked = LockedFrame(self.study)
        self.taken = TakenFrame(self.study)
        self.pages = QStackedWidget()
        self.pages.addWidget(self._empty_page())
        self.pages.addWidget(self._table_page())
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 6)
        column.setSpacing(SPACING)
        column.addLayout(head)
        for part in (self.name, self.locked, self.taken, self.unsaved):
            column.addWidget(part)
        column.addWidget(self.pages, 1)
        self.desk.refreshed.connect(self.refresh)
        self.desk.naming.connect(self._on_naming)
        self.enter()
        self.refresh()

    def _empty_page(self) -> QWidget:
        page = QWidget()
        self.teach = quiet("Drop a DICOM folder or NIfTI file here, or try a sample.\n\nIn a study all your work is saved by itself, with its history.")
        self.new = button("New study…", "Begin a study: a folder that keeps labels, history and settings; scans stay where they are", self._on_new)
        self.open = button("Open study…", "Open a study you or somebody else began", self._on_open)
        self.sample = button("Try a sample", "Open the sample head MR", lambda: self.desk.open_sample("brain1"))
        self.recent = QVBoxLayout()
        self.recent.setSpacing(2)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        for part in (self.teach, self.new, self.open, self.sample):
            column.addWidget(part)
        column.addLayout(self.recent)
        column.addStretch(1)
        self._shown_recent: tuple[str, ...] | None = None
        return page

    def _table_page(self) -> QWidget:
        page = QWidget()
        self.filter = QLineEdit()
        self.filter.setAccessibleName("Search cases")
        self.filter.setPlaceholderText("Filter")
        self.filter.setClearButtonEnabled(True)
        self.filter.setToolTip("Show only cases whose name or last editor holds these words")
        self.filter.textChanged.connect(lambda text: self.study.arrange(text=text))
        self.status = combo("Show only cases of this status")
        self.status.setAccessibleName("Status")
        for key, title in FILTERS:
            self.status.addItem(title, key)
        self.status.activated.connect(lambda i: self.study.arrange(status=self.status.itemData(i)))
        top = QHBoxLayout()
        top.setSpacing(SPACING)
        top.addWidget(self.filter, 3)
        top.addWidget(self.status, 2)
        self.model = CasesModel(self.study, self)
        self.table = QTableView()
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Cases")
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setShowGrid(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of one study differ at their ends
        self.table.setMinimumHeight(60)
        self.table.setAcceptDrops(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(40)
        bold = QFont(self.table.font())
        bold.setBold(True)  # as the open case is written
        widest = max(QFontMetrics(bold).horizontalAdvance(f"{SIGNS[status]} {status}") for status in STATUSES)
        self.table.setColumnWidth(1, max(94, widest + BESIDE))
        for column in range(NARROW, len(COLUMNS)):
            self.table.setColumnWidth(column, 56)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.sectionClicked.connect(self._on_header)
        self.table.doubleClicked.connect(self._on_double_click)
        self.table.setToolTip("Double-click opens a case (N: the next one, Shift+N: the one before)")
        self.before = button("‹", "Open the case before this one (Shift+N)", lambda: self.study.step(-1))
        self.next = button("Next ›", "Open the next case of the table (N)", lambda: self.study.step(1))
        self.verify = button("✔ Verify", "The labels of this case are checked and good; they are saved as a version (Ctrl+Shift+K)", self.study.verify)
        self.add = QPushButton("+ Add ▾")
        self.add.setToolTip("Add scans to the study; they stay where they are and are not copied")
        menu = QMenu(self.add)
        menu.addAction("Files…", self._on_add_files)
        menu.addAction("Folder…", self._on_add_folder)
        self.add.setMenu(menu)
        acts = QHBoxLayout()
        acts.setSpacing(SPACING)
        for part, share in ((self.before, 2), (self.next, 5), (self.add, 6), (self.verify, 7)):
            part.setMinimumWidth(26)
            acts.addWidget(part, share)
        self.nothing = quiet()
        self.state = quiet()
        self.history = HistoryList(self.study)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(top)
        column.addWidget(self.nothing)
        column.addWidget(self.table, 1)
        column.addLayout(acts)
        column.addWidget(self.state)
        column.addWidget(self.history)
        self.history.fold.toggled.connect(lambda _: self.refresh())
        self.history.fold.toggled.connect(lambda _: self._follow.start())
        return page

    # -- showing -------------------------------------------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the session."""
        study = self.study
        step = next_step(self.desk.session)
        count = len(study.cases)
        verified = sum(case.status == "verified" for case in study.cases)
        facts = "only to look" if study.readonly else f"{verified} of {count} verified"
        self.title.setText(f"{facts} · {study.title}" if study.is_open else study.busy or "No study")  # of a long name the end is cut off, not what it is for
        self.title.setToolTip(f"{study.title}\n{study.folder}" if study.folder is not None else "")
        for part in (self.name, self.locked, self.taken, self.unsaved, self.history):
            part.refresh()
        self.pages.setCurrentIndex(1 if study.is_open else 0)
        self.teach.setVisible(not (study.found or study.locked))  # what is asked above wants the room
        if not study.is_open:
            self._show_recent()
            return
        self.model.refresh()
        filtered, crowded = study.order.text or study.order.status, study.found or self.history.fold.isChecked() or count < SEVERAL
        for part in (self.filter, self.status):
            part.setVisible(bool(self.height() >= ROOMY or filtered or not crowded))
        self.status.setCurrentIndex([key for key, _ in FILTERS].index(study.order.status))
        keys, direction = [key for _, key in COLUMNS], Qt.SortOrder.DescendingOrder if study.order.descending else Qt.SortOrder.AscendingOrder
        self.table.horizontalHeader().setSortIndicator(keys.index(study.order.by) if study.order.by in keys else -1, direction)
        if study.current != self._followed:
            self._followed = study.current
            row = self.model.row_of(study.current)
            if row >= 0:
                self.table.selectRow(row)
                self.table.scrollTo(self.model.index(row, 0))
        self.nothing.setText("No case passes the filter." if count else "Drop a DICOM folder or NIfTI files here, or press + Add.")
        self.nothing.setVisible(not self.model.rowCount())
        mark(self.add, "primary", step.action == "add")
        scan = study.scan
        for part in (self.before, self.next):
            part.setEnabled(count > 0)
        self.verify.setEnabled(scan is not None and scan.has_labels and not study.readonly and not study.taken)
        self.add.setEnabled(not study.readonly)
        mark(self.next, "primary", step.action == "next")
        mark(self.verify, "primary", step.action == "verify")
        mark(self.menu, "primary", step.action == "export")
        mark(self.taken.again, "primary", step.action == "again")
        notice = self.desk.session.notice
        long = study.busy or (STATES["failed"] if study.saved == "failed" else notice if notice in ENDS else "")
        failed = study.saved == "failed" and not study.busy
        self.state.setText(f"⚠ {long}" if failed else long)
        mark(self.state, "quiet", not failed)
        self.state.setVisible(bool(long))
        self.history.say("" if long else STATES[study.saved])

    def _show_current(self) -> None:
        """The case in work stays in sight where the table has less room than before."""
        row = self.model.row_of(self.study.current)
        if row >= 0:
            self.table.scrollTo(self.model.index(row, 0))

    def _show_recent(self) -> None:
        recent = tuple(folder for folder in self.study.preferences.recent if Path(folder).is_dir())[:4]
        if recent == self._shown_recent:
            return
        self._shown_recent = recent
        while self.recent.count():
            self.recent.takeAt(0).widget().deleteLater()
        if recent:
            self.recent.addWidget(QLabel("Recent studies"))
        for folder in recent:
            self.recent.addWidget(button(middle(_title(folder), LONGEST_TITLE), folder, partial(self.study.open, Path(folder))))

    # -- what the person does ------------------------------------------------------------------------------------------------------------------------------

    def _fill_menu(self) -> None:
        menu = self.menu.menu()
        menu.clear()
        menu.addAction("New study…", self._on_new)
        menu.addAction("Open study…", self._on_open)
        menu.addAction("From an archive…", lambda: show_archive(self.desk, self.window()))
        recent = menu.addMenu("Recent studies")
        for folder in self.study.preferences.recent:
            recent.addAction(_title(folder), partial(self.study.open, Path(folder))).setToolTip(folder)
        recent.setEnabled(bool(self.study.preferences.recent))
        menu.addSeparator()
        sort = menu.addMenu("Sort by")
        for key, title in SORTS:
            action = sort.addAction(title, partial(self._sort, key))
            action.setCheckable(True)
            action.setChecked(self.study.order.by == key)
        sort.setEnabled(self.study.is_open)
        menu.addSeparator()
        add_export(menu, self.desk.session, self)
        menu.addAction("Make a report", self._on_report).setEnabled(bool(self.study.cases))
        menu.addSeparator()
        menu.addAction("Change my name…", self.name.ask)
        menu.addAction("Close the study", self.study.leave).setEnabled(self.study.is_open)

    def _on_new(self) -> None:
        proposed = self.desk.session.choices.studies_folder / f"My study{SUFFIX}"
        path, _ = QFileDialog.getSaveFileName(self, "New study: name its folder", str(proposed), f"Study (*{SUFFIX})")
        if path:
            self.study.create(Path(path))

    def _on_open(self) -> None:
        start = Path(self.study.preferences.last_study).parent if self.study.preferences.last_study else self.desk.session.choices.studies_folder
        path = QFileDialog.getExistingDirectory(self, f"Open a study: its folder ends in {SUFFIX}", str(start))
        if path:
            self.study.open(Path(path))

    def _on_add_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Add scans", str(self.desk.session.choices.scans_folder), SCANS)
        if paths:
            self.study.add([Path(path) for path in paths])

    def _on_add_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Add a folder of scans, or a DICOM folder", str(self.desk.session.choices.scans_folder))
        if path:
            self.study.add([Path(path)])

    def _on_report(self) -> None:
        session = self.desk.session
        session.set(tab="review")
        session.reviewing.turn("report")
        session.reviewing.run()

    def _on_header(self, section: int) -> None:
        self._sort(COLUMNS[section][1])

    def _sort(self, key: str) -> None:
        order = self.study.order
        self.study.arrange(by=key, descending=not order.descending if order.by == key else False)

    def _on_double_click(self, index: Any) -> None:
        case = self.model.case(index.row())
        if case is not None:
            self.study.go(case.id)

    def _on_naming(self) -> None:
        if self.isVisible() and self.study.scan is not None and not self.study.readonly:
            self.history.name_one()
        else:
            self.study.save_version()

    # -- Qt ------------------------------------------------------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files and folders may be dropped."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """A study is opened; scans join the open study, or are opened where there is none."""
        self.take([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])
        event.acceptProposedAction()

    def take(self, paths: list[Path]) -> None:
        """What was dropped."""
        studies = [path for path in paths if path.name.lower().endswith(SUFFIX)]
        scans = [path for path in paths if path not in studies]
        if studies:
            self.study.open(studies[0])
        elif self.study.is_open and scans:
            self.study.add(scans)
        elif scans:
            self.desk.viewer.open([str(path) for path in scans], plugin="napari-medseg", stack=False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """More columns where there is room, and smaller pictures where there is little."""
        wide = event.size().width() >= WIDE
        icon = ICON if event.size().height() >= ROOMY else SMALL
        self.table.setIconSize(icon)
        self.table.verticalHeader().setDefaultSectionSize(icon.height() + GAP)
        self._follow.start()
        for column in range(NARROW, len(COLUMNS)):
            self.table.setColumnHidden(column, not wide)
        self.model.set_wide(wide)
        super().resizeEvent(event)

    def docked(self) -> None:
        """It goes to the left once napari has put it somewhere."""
        self._place.start()

    def _go_left(self) -> None:
        """Docks of plugins go to the right, cases to the left: on a small screen into the room of napari's list of layers, on a low one with its controls."""
        window, dock = self._frame()
        if window is None or dock is None:
            return
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        layer_list, controls = (window.findChild(QDockWidget, name) for name in (LAYER_LIST, LAYER_CONTROLS))
        if layer_list is not None and window.screen() is not None and window.screen().availableGeometry().height() < TALL:
            if controls is not None and is_low(window):
                window.tabifyDockWidget(layer_list, controls)
            window.tabifyDockWidget(layer_list, dock)
            self._room.start()
        window.resizeDocks([dock], [WIDTH], Qt.Orientation.Horizontal)

    def _make_room(self) -> None:
        """Once it is laid out: in front, and as high as napari's controls of a layer allow."""
        window, dock = self._frame()
        controls = window.findChild(QDockWidget, LAYER_CONTROLS) if window is not None else None
        if window is not None and dock is not None:
            dock.raise_()
        if window is not None and controls is not None:
            window.resizeDocks([controls, dock], [1, window.height()], Qt.Orientation.Vertical)


def _title(folder: str) -> str:
    name = Path(folder).name
    return name[:-len(SUFFIX)] if name.lower().endswith(SUFFIX) else name
