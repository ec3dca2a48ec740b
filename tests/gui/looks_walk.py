"""Bring up every screen of the real window, in both themes, and save a picture of each, to be looked at one by one.

    python tests/gui/looks_walk.py OUT_FOLDER [--parts first pages ...] [--themes dark light] [--font 14]

It needs a display; set QT_SCALE_FACTOR for high-DPI screens. A picture is taken when two looks half a second apart are the same.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import looks_more
from every_page import pages, propose
from qtpy.QtCore import QTimer
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QDialog, QFileDialog, QListWidget, QPushButton
from refine_walk import ball, give
from review_walk import Review

from napari_medseg import io
from napari_medseg.catalogue import shipped
from napari_medseg.gui.archive_dialog import show_archive
from napari_medseg.gui.chooser import SeriesChooser
from napari_medseg.session.choosing import Row
from napari_medseg.session.state import Scan

log = logging.getLogger("walkthrough")
LONGEST = 8.0  # s: what moves all the time is taken as it is then
NAMES = ("HCC_011 arterial phase thin slices 0.6 mm reconstructed B30f follow-up 2", "p2", "Liver screening, contrast agent given late, repeated")
SERIES = (
    Row("1", "Abdomen portal venous 3.0 B30f", "CT", "512 × 512 × 211\n360 × 360 × 633 mm", "211", "", True),
    Row("2", "dynamic contrast", "MR", "320 × 260 × 72\n380 × 309 × 216 mm", "360 (5 times)", "one channel a time", True),
    Row("3", "Topogram", "CT", "512 × 512 × 1\n512 × 512 × 1 mm", "1", "localiser", True, True),
    Row("4", "Abdomen arterial", "CT", "512 × 512 × 80\n360 × 360 × 240 mm", "80", "images are missing between 31 and 36; export it again", False),
)
TITLE = "Hepatocellular carcinoma, second reading"


class Looks(Review):
    """A walk whose pictures are of every theme.

    Parameters
    ----------
    out : Path
    themes : of napari, in the order they are shown
    """

    def __init__(self, out: Path, themes: list[str]) -> None:
        super().__init__(out, None)
        self.themes = themes

    def picture(self, name: str) -> None:
        for theme in self._each_theme():
            self._settled().save(str(self.out / f"{name}-{theme}.png"))
        log.info("%s: %s", name, self.dock.guide.sentence.text())

    def menu(self, button: QPushButton, name: str) -> None:
        """The menu of a button, which is closed again."""
        for theme in self._each_theme():
            menu = button.menu()
            menu.popup(button.mapToGlobal(button.rect().bottomLeft()))
            self.wait(0.9)
            self._grab().save(str(self.out / f"{name}-{theme}.png"))
            menu.close()

    def tabs(self, number: int, which: tuple[str, ...] = ("",)) -> None:
        """Every page whose name begins with one of these."""
        for index, name in enumerate(pages(self.dock, lambda: self.wait(0.3))):
            if name.startswith(which):
                self.picture(f"{number}-{index:02}-{name}")

    def dialog(self, name: str, act: Callable[[], object]) -> None:
        """What asks for a file, in every theme; it is closed again."""
        for theme in self._each_theme():
            QTimer.singleShot(1500, lambda theme=theme: self._dialog_now(f"{name}-{theme}"))
            act()

    def need_scan(self, sample: str = "lung2") -> Scan:
        if self.session.current is None or sample != "lung2":
            self.viewer.layers.clear()
            self.until(lambda: self.session.current is None, 60)
            self.dock.desk.open_sample(sample)
            self.until(lambda: self.session.current is not None, 60)
        if self.dock.notice.isVisible():
            self.press("Understood")
        return self.session.current

    def _each_theme(self):
        for theme in self.themes:
            self.viewer.theme = theme
            self.wait(0.3)
            yield theme

    def _settled(self) -> QImage:
        now, end = self._grab(), time.monotonic() + LONGEST
        while time.monotonic() < end:
            before, _ = now, self.wait(0.5)
            now = self._grab()
            if now == before:
                break
        return now

    def _grab(self) -> QImage:
        return self.top.screen().grabWindow(0).toImage()

    def _dialog_now(self, name: str) -> None:
        self._grab().save(str(self.out / f"{name}.png"))
        asked = QApplication.activeModalWidget()
        if isinstance(asked, QFileDialog):
            asked.reject()


def first(walk: Looks) -> None:
    """Without a scan."""
    walk.picture("00-first")
    walk.press("Understood")
    walk.picture("01-understood")
    for tab in ("refine", "review"):
        walk.session.set(tab=tab)
        walk.picture(f"02-empty-{tab}")


def tools(walk: Looks) -> None:
    """Every tab and mode, before and after a label; five labels; the sheet of keys."""
    walk.need_scan()
    session = walk.session
    walk.tabs(10)
    session.set(tab="weak", mode="levelset")
    propose(session)
    walk.picture("20-preview")
    session.accept()
    walk.picture("21-accepted")
    for name in ("Tumour with a name that is long", "Vessel", "Kidney left", "Kidney right"):
        session.add_class(name)
    session.table.lock(1, True)
    session.table.show(2, False)
    walk.picture("22-labels")
    walk.tabs(23, ("review", "refine", "weak-interpolate", "weak-cleanup"))
    walk.dock.desk.keys.sheet.toggle()
    walk.picture("24-keys")
    walk.dock.desk.keys.sheet.toggle()


def views(walk: Looks) -> None:
    """Four views, 3D, and the menu of views."""
    walk.need_scan()
    propose(walk.session)
    walk.session.accept()
    walk.dock.desk.views.toggle_ortho()
    walk.wait(3)
    walk.picture("30-four-views")
    walk.dock.desk.views.toggle_ortho()
    walk.viewer.dims.ndisplay = 3
    walk.wait(3)
    walk.picture("31-3d")
    walk.viewer.dims.ndisplay = 2
    walk.menu(walk.dock.header.window_row.more, "32-view-menu")


def dialogs(walk: Looks) -> None:
    """Forms of server and archive, preferences, and what is said of files that cannot be opened."""
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    walk.need_scan()
    session, desk = walk.session, walk.dock.desk
    session.set(tab="segment")
    session.servers.begin()
    session.servers.tell("The server at https://gpu-room-3.example:8433 did not answer within 5 s. Ask whoever runs it whether it is on.")
    walk.picture("40-server")
    session.servers.choose("")
    show_archive(desk, walk.top)
    walk.picture("41-archive")
    for window in QApplication.topLevelWidgets():
        if isinstance(window, QDialog) and window.isVisible():
            window.close()
    chooser = SeriesChooser(shipped("sample_data"), SERIES, walk.top)
    chooser.show()
    desk.rethemed.connect(chooser.rethemed)
    walk.picture("41-series")
    chooser.close()
    preferences = PreferencesDialog(parent=walk.top)
    preferences.show()
    for pages_of in preferences.findChildren(QListWidget):
        for row in range(pages_of.count()):
            if pages_of.item(row).text() == "Medseg":
                pages_of.setCurrentRow(row)
    walk.picture("42-preferences")
    preferences.close()
    with tempfile.TemporaryDirectory() as folder:
        short, empty = Path(folder) / f"{NAMES[0]}.nii.gz", Path(folder) / "empty"
        short.write_bytes((shipped("sample_data") / "lung2_crop_ct.nii.gz").read_bytes()[:30_000])
        empty.mkdir()
        for path, name in ((short, "43-cut-short"), (empty, "44-no-scan")):
            desk.open_path(path)
            walk.until(lambda: session.trouble, 60)
            walk.picture(name)


def study(walk: Looks) -> None:
    """Twelve cases, some with long names; two are verified."""
    made, session, cases = Path(tempfile.mkdtemp()), walk.session, looks_more.cases(walk)
    walk.viewer.layers.clear()
    walk.wait(1)
    (made / "scans").mkdir()
    truths = {}
    for seed in range(12):
        name = NAMES[seed] if seed < len(NAMES) else f"patient {seed + 1}"
        volume, truths[name] = ball(seed)
        io.write(volume, made / "scans" / f"{name}.nii.gz")
    session.study.set_user("Ann")
    session.study.create(made / TITLE)
    walk.until(lambda: session.study.is_open, 60)
    walk.picture("50-no-case")
    session.study.add(sorted((made / "scans").iterdir()))
    walk.until(lambda: len(session.study.cases) == len(truths), 120)
    for number, case in enumerate(list(session.study.cases)[:4]):
        session.study.go(case.id)
        walk.until(lambda case=case: session.study.current == case.id and session.study.scan is not None and not session.study.busy, 60)
        give(session, session.study.scan, truths[case.name])
        walk.until(lambda: session.study.saved == "saved", 60)
        if number < 2:
            session.study.verify()
            walk.until(lambda case=case: session.study.case(case.id).status == "verified", 60)
    walk.picture("51-cases")
    walk.menu(cases.menu, "52-study-menu")
    cases.history.fold.click()
    walk.picture("53-history")
    cases.history.fold.click()
    walk.tabs(54, ("segment", "refine", "review"))


PARTS: dict[str, Callable[[Looks], None]] = {
    "first": first, "pages": tools, "views": views, "dialogs": dialogs, "work": looks_more.long_work, "said": looks_more.sayings,
    "training": looks_more.training, "review": looks_more.review, "blinded": looks_more.blinded, "study": study, "after": looks_more.after_study,
}
"""In an order in which they can follow each other; "after" wants "study", and "review" closes what was open."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--themes", nargs="+", choices=["dark", "light"], default=["dark", "light"])
    parser.add_argument("--font", type=int, help="size of napari's text in points")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    walk = Looks(options.out, options.themes)
    if options.font:
        from napari.settings import get_settings

        get_settings().appearance.font_size = options.font
    for part in options.parts:
        PARTS[part](walk)
    walk.viewer.close()  # not closeAllWindows: to napari that is a person's hand, and it asks
    QApplication.processEvents()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
