"""Every control of every page: what it says to a screen reader, whether Tab reaches it, whether its text has room."""

import pytest
from every_page import pages, propose

pytestmark = pytest.mark.qt
HEIGHT = 700  # of a dock on a screen of 768
LARGE = 12  # points; napari's own are 9


@pytest.fixture(params=["dark", "light", "large letters"])
def window(request, monkeypatch, viewer, qtbot):
    """The dock at its width in a small window, in napari's style."""
    from napari.qt import get_stylesheet
    from napari.settings import get_settings
    from qtpy.QtWidgets import QMainWindow

    from napari_medseg.gui.style import dock_width
    from napari_medseg.gui.window import MedsegWidget

    large, theme = request.param == "large letters", request.param if request.param != "large letters" else "dark"
    if large:
        monkeypatch.setattr(get_settings().appearance, "font_size", LARGE)
    made = QMainWindow()
    qtbot.addWidget(made)
    made.setStyleSheet(get_stylesheet(theme, extra_variables={"font_size": f"{LARGE}pt"} if large else None))
    viewer.theme = theme
    dock = MedsegWidget(viewer)
    made.setCentralWidget(dock)
    made.setFixedSize(dock_width(), HEIGHT)
    made.show()
    yield made
    dock.desk.shut()


@pytest.fixture
def dock(window):
    return window.centralWidget()


@pytest.fixture
def walk(window, dock, desk, session):
    """The names of all pages, without a scan and with one, each settled."""
    from qtpy.QtWidgets import QApplication

    def settle():
        for _ in range(3):
            desk.refreshed.emit()
            QApplication.processEvents()

    def steps():
        dock.notice.hide()
        yield from (f"empty {name}" for name in pages(dock, settle))
        desk.open_sample("brain1")
        yield from pages(dock, settle)
        session.set(tab="weak", mode="levelset")
        propose(session)
        settle()
        yield "preview"
        session.accept()
        session.table.lock(1, True)
        settle()
        yield "accepted"

    return steps


def controls(window):
    from qtpy import QtWidgets as w

    kinds = (w.QAbstractButton, w.QComboBox, w.QAbstractSpinBox, w.QAbstractSlider, w.QLineEdit, w.QAbstractItemView)
    inner = (w.QAbstractSpinBox, w.QComboBox, w.QScrollArea, w.QAbstractItemView, w.QHeaderView, w.QTabBar)
    for kind in kinds:
        for each in window.findChildren(kind):
            if not each.isVisible() or isinstance(each, w.QScrollBar | w.QHeaderView) or each.objectName().startswith("qt_"):
                continue
            parents, parent = [], each.parentWidget()
            while parent is not None:
                parents.append(parent)
                parent = parent.parentWidget()
            if any(isinstance(p, inner) and not isinstance(p, w.QScrollArea) for p in parents):
                continue
            yield each


def described(widget):
    text = widget.text() if hasattr(widget, "text") else widget.currentText() if hasattr(widget, "currentText") else ""
    return f"{type(widget).__name__} {widget.accessibleName() or text!r}"


def named(widget, window):
    """What a screen reader calls it, as Qt works it out: its accessible name, its text, or the label that stands for it."""
    from qtpy.QtWidgets import QAbstractButton, QLabel

    buddy = next((label.text() for label in window.findChildren(QLabel) if label.buddy() is widget), "")
    return widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "") or buddy


def too_wide(widget):
    """By how many pixels the text of a label or button is wider than its place."""
    from qtpy import QtWidgets as w

    if isinstance(widget, w.QLabel):
        if not widget.text() or (widget.pixmap() is not None and not widget.pixmap().isNull()):
            return 0
        if widget.wordWrap():
            return max(0, widget.heightForWidth(widget.width()) - widget.height())
        return max(0, widget.sizeHint().width() - widget.width())
    if isinstance(widget, w.QToolButton | w.QPushButton | w.QCheckBox | w.QRadioButton):
        rim = 2 * 8 if isinstance(widget, w.QPushButton) else 4
        icon = widget.iconSize().width() + 4 if not widget.icon().isNull() else 0
        box = 20 if isinstance(widget, w.QCheckBox | w.QRadioButton) else 0
        text = widget.fontMetrics().boundingRect(0, 0, 2000, 2000, 0, widget.text().replace("&", "")).width()
        return max(0, text + icon + box + rim - 12 - widget.width())
    return 0


def unclear(window):
    """What is missing at the controls in view, for somebody who does not see them or has no mouse."""
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QAbstractItemView

    for each in controls(window):
        if not any(letter.isalpha() for letter in named(each, window)):
            yield f"{described(each)} has no name"
        if len(each.toolTip()) < 4:
            yield f"{described(each)} has no tooltip"
        if not each.focusPolicy() & Qt.FocusPolicy.TabFocus:
            yield f"{described(each)} is not reached by Tab"
        if isinstance(each, QAbstractItemView) and each.tabKeyNavigation():
            yield f"{described(each)} keeps the Tab key for its cells"


def clipped(dock):
    """Texts of the dock that are wider than their place."""
    from qtpy import QtWidgets as w

    for kind in (w.QLabel, w.QPushButton, w.QCheckBox, w.QToolButton):
        for each in dock.findChildren(kind):
            if each.isVisible() and not each.objectName().startswith("qt_") and too_wide(each) > 1 and type(each).__name__ != "QElidingLabel":
                yield f"{described(each)} lacks {too_wide(each)} pixels of {each.width()}"


@pytest.mark.slow  # opens every page twice, without a scan and with one
def test_every_page_fits_and_each_of_its_controls_has_a_name_a_tooltip_and_a_way_to_it_by_tab(walk, window, dock):
    faults = set()
    for page in walk():
        faults |= {f"{page}: {fault}" for fault in (*unclear(window), *clipped(dock))}
        least = dock.minimumSizeHint()
        if least.height() > HEIGHT or least.width() > window.width():
            faults.add(f"{page}: needs {least.width()} x {least.height()} pixels")
    assert not faults, "\n".join(sorted(faults))
