"""From an archive: look for a patient's scans in a PACS, open one, give labels back. The window stays usable meanwhile."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.errors import MedsegError
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import unscrolled
from napari_medseg.gui.style import SPACING, button, mark, quiet, sheet
from napari_medseg.session.archives import query_of

STUDIES = ("Date", "Patient", "Number", "Types", "Description")
SERIES = ("Type", "Images", "Description")
ADD = "Add an archive…"
HEIGHT, TITLE = 560, 40  # pixels; a screen of 1920x1080 at a scale of 2 has 540


def show_archive(desk: Desk, window: QWidget) -> ArchiveDialog:
    """The dialog of a window, made when first wanted."""
    found = window.findChild(ArchiveDialog)
    dialog = ArchiveDialog(desk, window, str(desk.viewer.theme)) if found is None else found
    dialog.show()
    dialog.raise_()
    return dialog


class ArchiveDialog(QDialog):
    """What the chosen archive holds.

    Parameters
    ----------
    desk : Desk
    parent : QWidget or None
    theme : str
        Of the viewer.
    """

    def __init__(self, desk: Desk, parent: QWidget | None = None, theme: str = "dark") -> None:
        super().__init__(parent)
        self._desk, self._archives = desk, desk.session.archives
        self._shown: tuple[object, ...] = ()
        self.setWindowTitle("From an archive")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setStyleSheet(sheet(theme))
        self.server = QComboBox()
        self.server.setAccessibleName("Archive")
        self.server.setToolTip("The archive that is asked")
        unscrolled(self.server)
        self.server.activated.connect(self._on_server)
        self.test = button("Test", "Ask the archive whether it is there and lets you in", self._archives.test)
        self.forget = button("Forget", "Take the archive off the list", self._archives.forget)
        self.adding = self._form()
        self.patient = _field("Patient number", "Patient number, *", "The patient's number in the archive; * stands for any letters")
        self.name = _field("Patient name", "Name: Family^Given, *", "The patient's name as the archive has it, Family^Given; * stands for any letters")
        self.since = _field("From", "from 2026-01-01", "Studies since this day")
        self.until = _field("To", "to 2026-01-31", "Studies up to this day")
        self.modality = _field("Type", "Type: CT", "The kind of scan: CT, MR, PT")
        self.find = button("Find", "List the studies that fit", self._on_find)
        self.studies = _table("Studies", STUDIES)
        self.series = _table("Series", SERIES)
        self.studies.itemSelectionChanged.connect(self._on_study)
        self.series.itemSelectionChanged.connect(self.refresh)
        self.series.itemDoubleClicked.connect(lambda _: self._on_open())
        self.told = quiet()
        self.open = button("Open", "Fetch the chosen series and open it", self._on_open)
        self.send = button("Send labels", "Give the labels of the open scan to the archive, as a DICOM SEG beside the scan's series", self._archives.send)
        self.stop = button("Stop", "Ask no more; what came in part is thrown away", self._archives.stop)
        top, ask, foot = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        for part in (self.server, self.test, self.forget):
            top.addWidget(part, int(part is self.server))
        for field in (self.patient, self.name, self.since, self.until, self.modality):
            field.returnPressed.connect(self._on_find)
            ask.addWidget(field, 1 if field in (self.patient, self.name) else 0)
        for field in (self.since, self.until, self.modality):
            field.setMaximumWidth(120)
        ask.addWidget(self.find)
        foot.addWidget(self.told, 1)
        for act in (self.stop, self.send, self.open):
            foot.addWidget(act)
        column = QVBoxLayout(self)
        column.setSpacing(SPACING)
        column.addLayout(top)
        column.addWidget(self.adding)
        column.addLayout(ask)
        column.addWidget(self.studies, 3)
        column.addWidget(self.series, 2)
        column.addLayout(foot)
        room = self.screen().availableGeometry().height() - TITLE if self.screen() is not None else HEIGHT
        self.resize(760, min(HEIGHT, room))
        self._archives.fetched.connect(self._on_fetched)
        desk.refreshed.connect(self.refresh)
        desk.rethemed.connect(self._rethemed)
        self._wants_new = self._is_over = False
        self.refresh()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Nothing of a patient stays in memory."""
        self.done(0)
        super().closeEvent(event)

    def done(self, result: int) -> None:
        """However it ends, and once only."""
        if self._is_over:
            return
        self._is_over = True
        self._desk.refreshed.disconnect(self.refresh)
        self._desk.rethemed.disconnect(self._rethemed)
        self._archives.fetched.disconnect(self._on_fetched)
        self._archives.stop()
        self._archives.studies, self._archives.series = [], []
        super().done(result)

    def refresh(self) -> None:
        """Show the session."""
        archives = self._archives
        names = [one.words for one in archives.known]
        if [self.server.itemText(i) for i in range(self.server.count())] != [*names, ADD]:
            self.server.clear()
            self.server.addItems([*names, ADD])
        new = self._wants_new or archives.chosen is None
        self.server.setCurrentIndex(len(names) if new or archives.chosen not in archives.known else archives.known.index(archives.chosen))
        self.adding.setVisible(new)
        shown = (tuple(archives.studies), tuple(archives.series))
        if shown != self._shown:
            before, self._shown = self._shown, shown
            if not before or before[0] != shown[0]:
                _fill(self.studies, [(s.date, s.patient_name, s.patient_id, ", ".join(s.modalities), s.description) for s in archives.studies])
            _fill(self.series, [(s.modality, "?" if s.images is None else str(s.images), s.description) for s in archives.series])
        self.told.setText(archives.told)
        free = not archives.doing
        for part in (self.test, self.forget, self.find, self.connect):
            part.setEnabled(free and (part is self.connect or archives.chosen is not None))
        scan = self._desk.session.current
        self.send.setEnabled(free and archives.chosen is not None and scan is not None and scan.has_labels and bool(scan.display.series))
        self.open.setEnabled(free and self.series.currentRow() >= 0)
        self.stop.setVisible(not free)
        mark(self.open, "primary", self.open.isEnabled())
        mark(self.find, "primary", self.find.isEnabled() and not self.open.isEnabled())

    def _rethemed(self, theme: str) -> None:
        self.setStyleSheet(sheet(theme))

    def _form(self) -> QWidget:
        where = "Where the archive is, as whoever keeps it told you; dicoms:// is DICOM with TLS"
        self.address = _field("Address", "https://pacs/dicom-web, or dicom://TITLE@pacs:104", where)
        self.called = _field("Name", "what you call it", "What the list calls it")
        self.title = _field("Our AE title", "MEDSEG", "The title by which the archive knows this program; DICOM's own protocol asks for it")
        self.user = _field("User", "empty for a token", "For DICOMweb with a password")
        tip = "A file that only you can read; what is in it is never shown and never kept elsewhere"
        self.secret = _field("Secret file", "file with the token or password", tip)
        self.authority = _field("Certificate", "only if self-signed (.pem)", "The .pem file that the archive must be known by")
        self.connect = button("Connect", "Ask the archive; once it has answered it stands in the list", self._on_connect)
        widget = QWidget()
        form = QFormLayout(widget)
        form.setContentsMargins(0, 0, 0, 0)
        for line in (self.address, self.called, self.title, self.user, self.secret, self.authority):
            form.addRow(line.accessibleName(), line)
            line.returnPressed.connect(self._on_connect)
        form.addRow(self.connect)
        return widget

    def _on_server(self, index: int) -> None:
        self._wants_new = index >= len(self._archives.known)
        if not self._wants_new:
            self._archives.choose(index)
        self.refresh()

    def _on_connect(self) -> None:
        try:
            self._archives.add(
                self.address.text(), name=self.called.text().strip(), title=self.title.text().strip(), user=self.user.text().strip(),
                secret=self.secret.text().strip(), authority=self.authority.text().strip(),
            )
            self._wants_new = False
        except MedsegError as error:
            self.told.setText(str(error))

    def _on_find(self) -> None:
        try:
            self._archives.find(query_of(*(field.text() for field in (self.patient, self.name, self.since, self.until, self.modality))))
        except MedsegError as error:
            self.told.setText(str(error))

    def _on_study(self) -> None:
        row = self.studies.currentRow()
        if 0 <= row < len(self._archives.studies) and self.studies.selectedItems():
            self._archives.look_into(self._archives.studies[row].uid)

    def _on_open(self) -> None:
        row = self.series.currentRow()
        if 0 <= row < len(self._archives.series) and not self._archives.doing:
            self._archives.fetch(self._archives.series[row])

    def _on_fetched(self, folder: Path) -> None:
        self._desk.open_path(folder)


def _field(name: str, hint: str, tip: str) -> QLineEdit:
    line = QLineEdit()
    line.setPlaceholderText(hint)
    line.setToolTip(tip)
    line.setAccessibleName(name)
    return line


def _table(name: str, columns: tuple[str, ...]) -> QTableWidget:
    table = QTableWidget(0, len(columns))
    table.setAccessibleName(name)
    table.setToolTip(f"{name} of the archive")
    table.setHorizontalHeaderLabels(columns)
    table.verticalHeader().hide()
    table.horizontalHeader().setSectionResizeMode(len(columns) - 1, QHeaderView.ResizeMode.Stretch)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setTabKeyNavigation(False)
    return table


def _fill(table: QTableWidget, rows: list[tuple[str, ...]]) -> None:
    table.clearSelection()
    table.setCurrentCell(-1, -1)
    table.setRowCount(len(rows))
    for index, row in enumerate(rows):
        for column, text in enumerate(row):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(index, column, item)
