"""What stands in the dock while no scan is open: open a scan, try a sample, go on with a study."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_medseg import notice
from napari_medseg.gui.archive_dialog import show_archive
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.study_row import new_study
from napari_medseg.gui.style import SPACING, button, mark, middle, quiet
from napari_medseg.session import starting
from napari_medseg.session.guide import next_step
from napari_medseg.session.study import SUFFIX

SAMPLES = (("brain1", "Brain MR"), ("lung2", "Lung CT"), ("breast1", "Breast MR"))
LONGEST_TITLE = 30  # letters of a study's name: more would make the page wider than the dock
SCANS = "Scans (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm *.ima *.gipl *.gipl.gz *.hdr *.img *.tif *.tiff);;All files (*)"


class StartPage(QWidget):
    """Three ways to begin.

    Parameters
    ----------
    desk : Desk
    tab : str
        The tab it stands in.
    show_cases : callable
        Opens the Cases dock, where a study is worked in.
    """

    def __init__(self, desk: Desk, tab: str, show_cases: Callable[[], None]) -> None:
        super().__init__()
        self._desk, self._tab, self._show_cases = desk, tab, show_cases
        self._shown: object = None
        self.folder = button("DICOM folder…", "Choose the folder with a scan's DICOM files; of several series you choose one", self._on_folder)
        self.file = button("File…", "Choose a scan: NIfTI, NRRD, MHA, DICOM, TIFF …", self._on_file)
        tip = "Look for a scan in a PACS, over DICOMweb or DICOM, and open it; give labels back to it"
        self.archive = button("From an archive…", tip, self._on_archive)
        self.samples = {key: button(title, f"Open the sample scan {key}", partial(desk.open_sample, key)) for key, title in SAMPLES}
        self.recent: list[QPushButton] = []
        self._recent = QVBoxLayout()
        self._recent.setSpacing(SPACING)
        self.open = button("Open…", f"Open a study you or somebody else began: a folder that ends in {SUFFIX}", self._on_open)
        tip = "Begin a study: a folder that keeps labels, history and settings; scans stay where they are"
        self.new = button("New…", tip, lambda: new_study(desk, self, show_cases))
        self.of_study = quiet("In a study all you draw is saved by itself, with its history, case by case.")
        self.foot = quiet(f"{notice.RESEARCH}.")
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        column.addWidget(_heading("Open a scan"))
        column.addLayout(_row(self.folder, self.file))
        column.addLayout(_row(self.archive))
        column.addWidget(quiet("Or drop it anywhere on this window."))
        column.addWidget(_heading("Try a sample"))
        column.addLayout(_row(*self.samples.values()))
        self.title = _heading("")
        column.addWidget(self.title)
        column.addLayout(self._recent)
        column.addLayout(_row(self.open, self.new))
        column.addWidget(self.of_study)
        column.addStretch(1)
        column.addWidget(self.foot)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        step = next_step(session).action if session.tab == self._tab else ""
        found = () if session.study.is_open else starting.recent(session)
        if found != self._shown:
            self._shown = found
            self._fill(found)
        title = f"Study {middle(session.study.title, LONGEST_TITLE)}" if session.study.is_open else "Resume a study" if found else "Work in a study"
        self.title.setText(f"<b>{escape(title)}</b>")
        self.of_study.setText(
            "Its cases are in the Cases dock; scans opened here join it." if session.study.is_open
            else "In a study all you draw is saved by itself, with its history, case by case."
        )
        self.foot.setVisible(not starting.notice_is_due(session))
        mark(self.folder, "primary", step == "open")
        for each in self.recent[:1]:
            mark(each, "primary", step == "reopen")

    def _fill(self, found: tuple[starting.Recent, ...]) -> None:
        while self._recent.count():
            self._recent.takeAt(0).widget().deleteLater()
        self.recent = [button(middle(each.title, LONGEST_TITLE), f"Go on with this study: {each.folder}", partial(self._resume, each.folder)) for each in found]
        for each in self.recent:
            self._recent.addWidget(each)

    def _resume(self, folder: Path) -> None:
        self._show_cases()
        self._desk.session.study.open(folder)

    def _on_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a scan: the folder with its DICOM files", str(self._desk.session.choices.scans_folder))
        if path:
            self._desk.open_path(Path(path))

    def _on_file(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Open scans", str(self._desk.session.choices.scans_folder), SCANS)
        for path in paths:
            self._desk.open_path(Path(path))

    def _on_archive(self) -> None:
        show_archive(self._desk, self.window())

    def _on_open(self) -> None:
        path = QFileDialog.getExistingDirectory(self, f"Open a study: its folder ends in {SUFFIX}", str(self._desk.session.choices.studies_folder))
        if path:
            self._resume(Path(path))


def _heading(text: str) -> QLabel:
    made = QLabel(f"<b>{text}</b>")
    made.setContentsMargins(0, SPACING, 0, 0)
    return made


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(SPACING)
    for widget in widgets:
        row.addWidget(widget, 1)
    return row
