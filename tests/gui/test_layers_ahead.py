"""Layers that a tool will need are there before it is used, each made in a turn of its own, so that the first click waits for none of them."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_medseg.gui import key_acts, warm_layers
from napari_medseg.gui.still import Still
from napari_medseg.gui.turns import Turns, show
from napari_medseg.session.state import Preview


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


def test_work_for_what_is_gone_waits_no_more_and_nothing_is_held_for_it(qtbot):
    class Thing:
        pass

    parent, done, first, other = QObject(), [], Thing(), Thing()
    turns, gone = Turns(parent), weakref.ref(first)
    for thing in (first, other, first):
        turns.add(partial(done.append, thing), thing)
    turns.forget(first)
    del first, thing
    gc.collect()
    assert gone() is None
    qtbot.waitUntil(lambda: not len(turns) and done == [other])


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
    desk.arm("scribbles")
    held = desk.writer.of(scan)
    assert held.outline is None, "arming a tool makes none of them at once"
    qtbot.waitUntil(lambda: held.outline is not None and held.preview is not None and held.preview.visible)
    assert held.outline.visible
    assert not held.outline.data.any()
    assert held.outline.data is held.preview.data
    session.set(tool="")
    qtbot.waitUntil(lambda: not held.preview.visible and not held.outline.visible)


def test_who_turns_the_tabs_and_comes_back_finds_them_as_they_lay(viewer, dock, desk, session, open_sample, qtbot, told):
    scan = open_sample()
    desk.arm("scribbles")
    held = desk.writer.of(scan)
    qtbot.waitUntil(lambda: held.preview is not None and held.preview.visible)
    told.clear()
    session.set(tab="review")
    session.set(tab="weak", mode="scribbles", tool="scribbles")
    desk.writer._rest.timeout.emit()  # the wait is over
    qtbot.waitUntil(lambda: not len(desk.writer._turns) and not len(desk.writer._ahead))
    assert told == []
    assert held.preview.visible


def test_what_is_pointed_at_has_its_layers_in_sight_while_it_is_pointed_at_and_not_while_labels_are_painted(viewer, dock, desk, session, open_sample, qtbot):
    scan = open_sample()
    session.set(tab="segment", tool="point")
    qtbot.waitUntil(lambda: len(desk.prompts.of(scan)) == 2)
    points, lines = desk.prompts.of(scan)
    desk.paint_labels()
    qtbot.waitUntil(lambda: not points.visible and not lines.visible)
    session.prompting.point(scan.display.geometry.world([5.0, 6.0, 7.0]), 1)
    assert points.visible, "what there is to see is seen at once"
    assert not lines.visible
    desk.arm("point")
    qtbot.waitUntil(lambda: lines.visible)
    lines.visible = False  # by the person, in napari's list
    session.set(tool="")
    desk.arm("point")
    qtbot.wait(200)
    assert not lines.visible
    assert points.visible


def test_h_hides_what_lies_over_the_scan_one_layer_a_turn_and_lets_empty_layers_be(viewer, dock, desk, session, open_sample, qtbot, told):
    scan = open_sample()
    desk.arm("scribbles")
    held = desk.writer.of(scan)
    qtbot.waitUntil(lambda: held.preview is not None and held.preview.visible)
    session.adopt_labels(scan, np.ones(scan.display.geometry.shape, np.uint8))
    over = [held.labels, held.strokes]
    told.clear()
    act = key_acts.hide_while_held(desk)
    next(act)
    assert len(told) == 1
    qtbot.waitUntil(lambda: not any(layer.visible for layer in over))
    assert held.outline.visible
    next(act, None)
    qtbot.waitUntil(lambda: all(layer.visible for layer in over))
    assert sorted(told) == sorted([layer.name for layer in over] * 2)


def test_h_let_go_at_once_leaves_nothing_hidden(viewer, dock, desk, session, open_sample, qtbot):
    scan = open_sample()
    desk.arm("scribbles")
    session.adopt_labels(scan, np.ones(scan.display.geometry.shape, np.uint8))
    over = [desk.writer.of(scan).labels, desk.writer.of(scan).strokes]
    for _ in range(2):
        act = key_acts.hide_while_held(desk)
        next(act)
        next(act, None)
    qtbot.waitUntil(lambda: all(layer.visible for layer in over) and not len(desk.hiding._turns))
    act = key_acts.hide_while_held(desk)
    next(act)
    desk.shut()  # the last dock is closed with the key held
    assert all(layer.visible for layer in over)


def test_a_run_changes_what_the_outline_holds_and_its_fill_comes_when_it_stands_still(viewer, dock, desk, session, open_sample, qtbot, told):
    scan = open_sample()
    desk.arm("seeds")
    held = desk.writer.of(scan)
    qtbot.waitUntil(lambda: held.preview is not None and held.outline.visible)
    assert not held.preview.visible
    middle = tuple(n // 2 for n in scan.display.geometry.shape)
    desk.seeds.get(scan).add(np.array([middle], float))
    count, lay_there = len(viewer.layers), held.outline.data
    told.clear()
    desk.run()
    assert scan.preview.labels is held.outline.data is lay_there
    assert not held.preview.visible
    qtbot.waitUntil(lambda: held.preview.visible, timeout=120_000)  # the whole run
    assert session.front.state == "settled"
    assert held.preview.data is scan.preview.labels
    session.discard()
    qtbot.waitUntil(lambda: held.outline.data is scan.spare and not held.preview.visible)
    assert held.outline.visible
    assert not scan.spare.any()
    assert len(told) == 2, "the fill came in sight and went; nothing else did"
    assert len(viewer.layers) == count


def test_an_outline_is_the_edge_of_the_slice_in_view(viewer, dock, session, open_sample, qtbot):
    scan = open_sample()
    preview = Preview(scan.fresh_map(), "made", tuple(session.classes[:1]))
    box = (slice(4, 9), slice(30, 60), slice(40, 80))
    preview.put(box, np.full((5, 30, 40), session.classes[0].value, np.uint8))
    session.show_preview(scan, preview)
    line = dock.desk.writer.of(scan).outline
    viewer.dims.set_current_step(0, 6)
    shown = np.asarray(line._slice.image.view)
    inside, core = np.zeros(shown.shape, bool), np.zeros(shown.shape, bool)
    inside[box[1:]], core[32:58, 42:78] = True, True
    empty = shown[0, 0]
    assert (shown != empty)[inside & ~core].all()
    assert (shown == empty)[core | ~inside].all()
    preview.put((slice(6, 7), slice(30, 60), slice(40, 80)), np.zeros((1, 30, 40), np.uint8))
    session.preview_changed.emit(scan, box)
    qtbot.waitUntil(lambda: bool((np.asarray(line._slice.image.view) == empty).all()))


def test_a_result_that_grows_is_drawn_together_with_the_docks_and_unheard_by_the_layer_list(viewer, dock, desk, session, open_sample, qtbot):
    scan = open_sample()
    session.show_preview(scan, Preview(scan.fresh_map(), "made", tuple(session.classes[:1])))
    held = desk.writer.of(scan)
    qtbot.waitUntil(lambda: held.preview is not None and held.preview.visible)
    qtbot.waitUntil(lambda: not desk.writer.is_waiting)
    seen, heard = [], []
    desk.refreshed.connect(lambda: seen.append("docks"))
    held.outline.events.set_data.connect(lambda event: seen.append("canvas"))
    viewer.layers.events.connect(lambda event: heard.append(event.type))
    scan.preview.labels[scan.display.geometry.shape[0] // 2] = 1
    session.preview_changed.emit(scan, (slice(None),) * 3)
    assert seen == []
    qtbot.waitUntil(lambda: "canvas" in seen)
    assert seen == ["docks", "canvas"]
    assert "set_data" not in heard


@pytest.mark.parametrize("still", [True, False], ids=["in a still part", "in a plain part"])
def test_a_text_of_another_length_lays_the_window_out_anew_unless_it_stands_in_a_still_part(qtbot, still):
    class Counted(QObject):
        """Counts how often Qt asks for the window to be laid out."""

        def __init__(self):
            super().__init__()
            self.asked = 0

        def eventFilter(self, part, event):
            self.asked += event.type() == QEvent.Type.LayoutRequest
            return False

    window, counted = QWidget(), Counted()
    qtbot.addWidget(window)
    part = Still() if still else QWidget()
    QVBoxLayout(window).addWidget(part)
    text = QLabel("1 s")
    QHBoxLayout(part.inside if still else part).addWidget(text)
    window.resize(400, 100)
    with qtbot.waitExposed(window):
        window.show()
    for _ in range(10):
        QApplication.processEvents()
    window.installEventFilter(counted)
    text.setText("about three minutes left, or four")
    for _ in range(10):
        QApplication.processEvents()
    window.removeEventFilter(counted)
    assert (counted.asked == 0) is still
    assert text.width() > 100


def test_what_napari_loads_for_its_first_layers_can_be_loaded_beside_the_window():
    with ThreadPoolExecutor(1) as beside:
        assert beside.submit(warm_layers.warm).result() is None
