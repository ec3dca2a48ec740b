"""Layers that a tool will need are there before it is used, each made in a turn of its own, so that the first click waits for none of them."""

import numpy as np
import pytest
from qtpy.QtCore import QObject

from napari_medseg.gui import warm_layers
from napari_medseg.gui.turns import Turns, show


@pytest.fixture
def told(viewer):
    """Names of layers that were brought in sight or put away."""
    names = []
    viewer.layers.events.inserted.connect(lambda event: event.value.events.visible.connect(lambda e: names.append(e.source.name)))
    return names


def test_work_that_can_wait_is_done_one_piece_a_turn(qtbot):
    parent, done = QObject(), []
    turns = Turns(parent)
    for number in range(3):
        turns.add(lambda number=number: done.append((number, len(turns))))
    assert done == []
    qtbot.waitUntil(lambda: len(done) == 3)
    assert [number for number, _ in done] == [0, 1, 2]
    turns.add(lambda: done.append("late"))
    turns.close()
    qtbot.wait(30)
    assert len(done) == 3


def test_a_layer_that_is_shown_already_is_not_shown_again(viewer):
    layer, told = viewer.add_labels(np.zeros((2, 3, 4), np.uint8)), []
    layer.events.visible.connect(told.append)
    show(layer, True)
    assert not told
    show(layer, False)
    show(layer, False)
    assert len(told) == 1
    assert not layer.visible


def test_while_a_tool_is_in_hand_the_preview_s_layers_lie_there_empty(viewer, dock, desk, session, open_sample, qtbot, told):
    scan = open_sample()
    assert desk.writer.of(scan).outline is None
    desk.arm("seeds")
    held = desk.writer.of(scan)
    assert held.outline is None, "arming a tool makes none of them at once"
    qtbot.waitUntil(lambda: held.outline is not None and held.preview is not None and held.preview.visible)
    assert held.outline.visible
    assert not held.outline.data.any()
    assert held.outline.data is held.preview.data
    session.set(tool="")
    qtbot.waitUntil(lambda: not held.preview.visible and not held.outline.visible)


def test_a_run_changes_what_the_layers_hold_and_nothing_else(viewer, dock, desk, session, open_sample, qtbot, told):
    scan = open_sample()
    desk.arm("seeds")
    held = desk.writer.of(scan)
    qtbot.waitUntil(lambda: held.preview is not None and held.preview.visible)
    middle = tuple(n // 2 for n in scan.display.geometry.shape)
    desk.seeds.get(scan).add(np.array([middle], float))
    count = len(viewer.layers)
    told.clear()
    desk.run()
    assert held.outline.data is scan.preview.labels
    qtbot.waitUntil(lambda: held.preview.data is scan.preview.labels)
    session.discard()
    qtbot.waitUntil(lambda: held.preview.data is held.empty and held.outline.data is held.empty)
    assert not told, "no layer came in sight or went"
    assert len(viewer.layers) == count


def test_what_napari_loads_for_its_first_layers_can_be_loaded_beside_the_window():
    warm_layers.warm()
