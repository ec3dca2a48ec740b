"""Every control of every page: what it says to a screen reader, whether Tab reaches it, whether its text has room."""

import pytest
from every_page import pages, propose

pytestmark = pytest.mark.qt
HEIGHT = 700  # of a dock on a screen of 768


@pytest.fixture(params=["dark", "light"])
def window(request, viewer, dock, desk, qtbot):
    """The dock at its width in a small window, in napari's style."""
    from napari.qt import get_stylesheet
    from qtpy.QtWidgets import QMainWindow

    from napari_medseg.gui.style import WIDTH

    made = QMainWindow()
    qtbot.addWidget(made)
    made.setStyleSheet(get_stylesheet(request.param))
    viewer.theme = request.param
    made.setCentralWidget(dock)
    made.setFixedSize(WIDTH, HEIGHT)
    made.show()
    yield made
    made.takeCentralWidget()


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


def test_every_control_has_a_name_a_tooltip_and_is_reached_by_tab(walk, window):
    from qtpy.QtCore import Qt

    faults = set()
    for page in walk():
        for each in controls(window):
            what = f"{page}: {described(each)}"
            if not any(letter.isalpha() for letter in named(each, window)):
                faults.add(f"{what} has no name")
            if len(each.toolTip()) < 4:
                faults.add(f"{what} has no tooltip")
            if not each.focusPolicy() & Qt.FocusPolicy.TabFocus:
                faults.add(f"{what} is not reached by Tab")
    assert not faults, "\n".join(sorted(faults))


def too_wide(widget):
    """By how many pixels the text of a label or button is wider than its place."""
    from qtpy import QtWidgets as w

    if isinstance(widget, w.QLabel):
        if not widget.text() or widget.pixmap() is not None and not widget.pixmap().isNull():
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


def test_no_text_is_wider_than_its_place(walk, dock):
    from qtpy import QtWidgets as w

    faults = set()
    for page in walk():
        for kind in (w.QLabel, w.QPushButton, w.QCheckBox, w.QToolButton):
            for each in dock.findChildren(kind):
                if each.isVisible() and not each.objectName().startswith("qt_") and too_wide(each) > 1 and type(each).__name__ != "QElidingLabel":
                    faults.add(f"{page}: {described(each)} lacks {too_wide(each)} pixels of {each.width()}")
    assert not faults, "\n".join(sorted(faults))


def test_the_dock_fits_its_height_on_every_page(walk, window, dock):
    for page in walk():
        assert dock.minimumSizeHint().height() <= HEIGHT, page
        assert dock.minimumSizeHint().width() <= window.width(), page
