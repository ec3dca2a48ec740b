"""A window that a person closes asks before labels are lost, once, and one that a program closes never does."""

import pytest
from qtpy.QtCore import QEvent, QObject

from napari_medseg.gui import closing
from napari_medseg.gui.desk import desk_for
from napari_medseg.session.state import open_scan

pytestmark = pytest.mark.qt


class Closed(QObject):
    """Counts what reaches the window itself, which stays for the fixture to close."""

    def __init__(self, window):
        super().__init__()
        self.count = 0
        window.installEventFilter(self)

    def eventFilter(self, watched, event):
        if event.type() != QEvent.Type.Close:
            return False
        self.count += 1
        event.ignore()
        return True


def docked(window):
    """napari's window with our dock in it."""
    window.window.add_plugin_dock_widget("napari-medseg", "Medseg")
    main = window.window._qt_window
    desk_for(window).closing.attach(main)
    return main


def draw(session, ball):
    scan = session.open(open_scan(ball))
    scan.hold_nothing()[4, 4, 4] = 1
    scan.is_saved, scan.voxels[1] = False, 1  # as after a stroke
    return scan


def test_the_menu_and_its_keys_ask_before_labels_are_lost_and_close_when_they_are_elsewhere(window, ball, tmp_path, monkeypatch, qtbot):
    main = docked(window)
    desk, closed = desk_for(window), Closed(main)
    draw(desk.session, ball)
    monkeypatch.setattr(closing, "somebody_looks", lambda: True)
    main.close(quit_app=False, confirm_need=True)
    question = desk.closing.question
    assert "ball: 1 voxel" in question.words.text()
    assert question.keep.isDefault()
    main.close(quit_app=False, confirm_need=True)
    assert desk.closing.question is question, "one question, however often it is asked"
    question.keep.click()
    assert desk.closing.question is None
    assert closed.count == 0
    main.close(quit_app=False, confirm_need=True)
    question = desk.closing.question
    question.put(tmp_path / "no such folder" / "nor this")
    assert not question.trouble.isHidden()
    assert not question.elsewhere.isHidden()
    question.put(tmp_path)
    assert question.trouble.isHidden()
    assert (tmp_path / "ball_labels.nii.gz").is_file()
    question.lose.click()
    assert closed.count == 1
    assert desk.closing.question is None
    qtbot.wait(20)  # what is deleted later goes before the window does


def test_leaving_the_program_asks_for_what_another_window_holds(window, session, ball, monkeypatch, qtbot):
    main = docked(window)
    closed = Closed(main)
    draw(session, ball)
    monkeypatch.setattr(closing, "somebody_looks", lambda: True)
    main.close(quit_app=True, confirm_need=True)
    question = desk_for(window).closing.question
    assert "ball: 1 voxel" in question.words.text()
    question.reject()
    assert closed.count == 0
    qtbot.wait(20)


def test_a_program_that_closes_the_window_is_not_asked(window, ball, monkeypatch):
    main = docked(window)
    desk, closed = desk_for(window), Closed(main)
    draw(desk.session, ball)
    assert not closing.somebody_looks(), "nobody sees this screen"
    monkeypatch.setattr(closing, "somebody_looks", lambda: True)
    main.close()
    assert closed.count == 1
    assert desk.closing.question is None
