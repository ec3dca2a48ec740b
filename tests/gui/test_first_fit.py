"""The first scan fills the canvas, however late the canvas takes its size."""

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QWidget

from napari_medseg.gui import first_fit
from napari_medseg.gui.first_fit import FirstFit

pytestmark = pytest.mark.qt


@pytest.fixture
def canvas(qtbot):
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.resize(390, 350)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


@pytest.fixture
def fitted(canvas):
    """The sizes that the scan was fitted to."""
    sizes = []
    FirstFit(canvas, lambda: sizes.append((canvas.width(), canvas.height())))
    return sizes


def test_a_canvas_that_takes_its_size_late_is_filled_then(canvas, fitted, qtbot):
    qtbot.waitUntil(lambda: fitted == [(390, 350)])
    canvas.resize(670, 680)
    qtbot.waitUntil(lambda: fitted[-1] == (670, 680))


@pytest.mark.parametrize("act", ["press", "key"])
def test_the_view_of_a_person_who_began_to_look_around_stays(canvas, fitted, qtbot, act):
    qtbot.waitUntil(lambda: len(fitted) == 1)
    if act == "press":
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(9, 9))
    else:
        qtbot.keyClick(canvas, Qt.Key.Key_PageUp)
    canvas.resize(670, 680)
    qtbot.wait(3 * first_fit.SOON_MS)
    assert fitted == [(390, 350)]


def test_a_window_made_smaller_by_hand_keeps_its_view(canvas, qtbot, monkeypatch):
    monkeypatch.setattr(first_fit, "SETTLED_MS", 120)
    sizes = []
    FirstFit(canvas, lambda: sizes.append(canvas.width()))
    qtbot.waitUntil(lambda: sizes == [390])
    qtbot.wait(200)
    canvas.resize(300, 300)
    qtbot.wait(3 * first_fit.SOON_MS)
    assert sizes == [390]
