"""The window goes with the command that opened it."""

import os
import subprocess
import sys
import time

import psutil
import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QDialog, QMainWindow

from napari_medseg.gui import starter
from napari_medseg.gui.starter import Starter


class Closings(QObject):
    """Notes whether a window was closed by itself or, as its button does it, by the person: napari asks only the person."""

    def __init__(self):
        super().__init__()
        self.by_a_person = []

    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Close:
            self.by_a_person.append(event.spontaneous())
        return False


@pytest.fixture
def other():
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.qt
def test_windows_close_without_a_question_when_the_process_that_opened_them_is_gone(qtbot, other, monkeypatch):
    left = []
    monkeypatch.setattr(starter, "LOOK_MS", 10)
    monkeypatch.setattr(starter, "leave", lambda: left.append("left"))  # Qt would wait for nothing any more, in all the tests that follow
    window, dialog, closings = QMainWindow(), QDialog(), Closings()
    for each in (window, dialog):
        qtbot.addWidget(each)
        each.installEventFilter(closings)
        each.show()
    dialog.setModal(True)
    Starter(other.pid, window)
    qtbot.wait(100)
    assert window.isVisible()
    assert dialog.isVisible()
    other.kill()  # not waited for: on Linux a zombie stays, as under a command that nobody waits for
    qtbot.waitUntil(lambda: not window.isVisible() and not dialog.isVisible())
    assert closings.by_a_person == [False, False]
    qtbot.waitUntil(lambda: left == ["left"])


@pytest.mark.slow  # starts the whole window
def test_a_command_that_is_ended_by_force_leaves_no_window(tmp_path):
    command = [sys.executable, "-c", "from napari_medseg.cli import main; main()", "window"]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    medseg = psutil.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    windows = []
    try:
        while not windows and medseg.poll() is None:
            windows = medseg.children()
            time.sleep(0.05)
        assert windows, "the command ended before its window"
        medseg.kill()
        medseg.wait()
        _, alive = psutil.wait_procs(windows, 240)
        assert not alive
    finally:
        for each in (medseg, *windows):
            if each.is_running():
                each.kill()
