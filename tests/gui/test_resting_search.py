"""The full search for what may go comes while the person rests, and is Python's own again afterwards."""

import gc
import weakref

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_medseg.gui import resting


class Ring:
    """What only a search finds: it holds itself."""

    def __init__(self):
        self.me = self


@pytest.fixture
def search(dock, monkeypatch):
    monkeypatch.setattr(resting, "EVERY_MS", 20)
    monkeypatch.setattr(resting, "PAUSE", 0)
    monkeypatch.setattr(resting, "DUE", 2)
    before = gc.get_threshold()
    made = resting.RestingSearch(dock)
    yield made
    made.close()
    assert gc.get_threshold() == before


def due() -> None:
    """As after many objects came and stayed."""
    for _ in range(resting.DUE + 1):
        gc.collect(1)


def old_ring() -> weakref.ref:
    ring = Ring()
    gc.collect(1)  # it is old: the smaller searches pass it by
    gc.collect(1)
    return weakref.ref(ring)


def test_what_holds_itself_goes_while_nothing_is_touched_and_waits_while_keys_are(dock, search, qtbot, monkeypatch):
    gone = old_ring()
    for _ in range(3):
        due()
        QTest.keyClick(dock, Qt.Key.Key_F20)
        search._look()
        assert gone() is not None
    due()
    qtbot.waitUntil(lambda: gone() is None)
    monkeypatch.setattr(resting, "LONGEST", 3)
    gone = old_ring()
    for _ in range(3):
        due()
        QTest.keyClick(dock, Qt.Key.Key_F20)
        search._look()
    assert gone() is None, "who never rests would keep all that was closed"
