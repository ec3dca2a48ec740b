"""The docks are where they were left when the window is opened again."""

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QWidget

from napari_medseg.gui import dock_layout
from napari_medseg.gui.dock_layout import DockLayout
from napari_medseg.session import preferences

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea


@pytest.fixture
def opened(qtbot, tmp_path, monkeypatch):
    """Opens a window with two docks; `ours` stands for those of ours."""
    monkeypatch.setenv(preferences.VARIABLE, str(tmp_path / "preferences.json"))
    monkeypatch.setattr(dock_layout, "Dock", QWidget)

    def make():
        window = QMainWindow()
        qtbot.addWidget(window)
        window.setCentralWidget(QWidget())
        docks = []
        for name in ("Medseg", "Cases"):
            dock = QDockWidget(name, window)
            dock.setObjectName(name)
            dock.setWidget(QWidget())
            window.addDockWidget(RIGHT, dock)
            docks.append(dock)
        window.show()
        return window, docks, DockLayout(window)

    return make


def close(window):
    QApplication.sendEvent(window, QEvent(QEvent.Type.Close))


def test_docks_come_back_where_they_were_left(opened):
    window, (_, cases), layout = opened()
    assert not layout.restore(), "nothing was kept yet"
    window.addDockWidget(LEFT, cases)
    close(window)
    again, (medseg, cases), layout = opened()
    assert again.dockWidgetArea(cases) == RIGHT
    assert layout.restore()
    assert (again.dockWidgetArea(medseg), again.dockWidgetArea(cases)) == (RIGHT, LEFT)


def test_a_dock_that_was_out_of_sight_is_in_sight_at_the_next_launch(opened):
    window, (medseg, _), _ = opened()
    medseg.hide()
    close(window)
    _, (medseg, _), layout = opened()
    assert layout.restore()
    assert not medseg.isHidden()


@pytest.mark.parametrize("kept", [{"docks": "not a layout"}, {"docks": 7}, {"screen": [320, 200]}])
def test_what_does_not_fit_leaves_the_docks_as_they_are(opened, kept):
    window, (_, cases), _ = opened()
    window.addDockWidget(LEFT, cases)
    close(window)
    preferences.remember_last(kept)
    again, (_, cases), layout = opened()
    assert not layout.restore()
    assert again.dockWidgetArea(cases) == RIGHT
