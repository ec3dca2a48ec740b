"""Scribbles, limit brush, interpolation and clean-up in their real widgets and layers."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt

from napari_medseg.gui.weak_tab import WeakTab
from napari_medseg.io import read_labels
from napari_medseg.session import next_step
from napari_medseg.volume import orient

pytestmark = pytest.mark.qt


@pytest.fixture
def truth(samples):
    return orient(read_labels(samples / "brain1_tumour.nii.gz")).array > 0


@pytest.fixture
def page(dock):
    tab = dock.findChild(WeakTab)

    def turn_to(mode):
        index = tab.mode.findData(mode)
        tab.mode.setCurrentIndex(index)
        tab.mode.activated.emit(index)
        return tab.page(mode)

    return turn_to


def drag(layer, places):
    """A press, moves and a release over the layer's own callbacks, as napari sends them."""
    at = layer.data_to_world
    event = SimpleNamespace(
        type="mouse_press", position=at(places[0]), button=1, dims_displayed=[1, 2], view_direction=None, modifiers=(), pos=np.zeros(2), handled=False,
    )
    running = [each for each in (callback(layer, event) for callback in list(layer.mouse_drag_callbacks)) if each is not None]
    for each in running:
        next(each, None)
    for place in places[1:]:
        event.type, event.position = "mouse_move", at(place)
        for each in running:
            next(each, None)
    event.type = "mouse_release"
    for each in running:
        next(each, None)


def done(session):
    return lambda: session.job is not None and not session.job.is_active


def test_a_drag_is_answered_before_the_button_is_released(page, desk, session, open_sample, qtbot):
    scan = open_sample()
    page("scribbles")
    layer = desk.writer.of(scan).strokes
    assert layer.mode == "paint"
    seen = []
    session.preview_changed.connect(lambda scan, box: seen.append(bool(scan.stroke_log.can_undo)))
    at = layer.data_to_world
    event = SimpleNamespace(
        type="mouse_press", position=at((12, 100, 100)), button=1, dims_displayed=[1, 2], view_direction=None, modifiers=(), pos=np.zeros(2), handled=False,
    )
    running = [each for each in (callback(layer, event) for callback in list(layer.mouse_drag_callbacks)) if each is not None]
    for each in running:
        next(each, None)
    event.type, event.position = "mouse_move", at((12, 100, 120))
    for each in running:
        next(each, None)
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview.labels[12, 100, 110] == 1, timeout=60_000)
    assert not scan.drawn[0], "napari tells the stroke at its end"
    event.type = "mouse_release"
    for each in running:
        next(each, None)
    qtbot.waitUntil(lambda: scan.drawn[0] and scan.preview.finished, timeout=60_000)


def test_strokes_of_two_classes_and_background_on_two_planes(viewer, page, desk, session, open_sample, qtbot):
    scan = open_sample()
    session.add_class("Second")
    scribbles = page("scribbles")
    layer = desk.writer.of(scan).strokes
    assert layer.selected_label == 2
    drag(layer, [(12, 100, 100), (12, 100, 110)])
    session.choose_class(1)
    assert layer.selected_label == 1
    drag(layer, [(12, 150, 100), (12, 150, 110)])
    qtbot.waitUntil(scribbles.side.isEnabled)
    qtbot.mouseClick(scribbles.side, Qt.MouseButton.LeftButton)
    assert layer.selected_label == 255
    viewer.dims.order = (1, 0, 2)
    drag(layer, [(10, 60, 60), (14, 60, 60)])
    qtbot.waitUntil(lambda: scan.stroked[255] > 0)
    assert scan.stroked[1] > 0
    assert scan.stroked[2] > 0
    qtbot.waitUntil(done(session), timeout=60_000)
    qtbot.waitUntil(lambda: scan.preview.finished, timeout=60_000)
    assert {c.value for c in scan.preview.classes} == {1, 2}
    assert scribbles.words.text().startswith("Auto: ")
    layer.undo()
    assert scan.stroked[255] == 0


def test_a_stroke_reaches_to_where_the_button_was_released(page, desk, session, open_sample, qtbot):
    scan = open_sample()
    page("scribbles")
    layer = desk.writer.of(scan).strokes
    at = layer.data_to_world
    event = SimpleNamespace(
        type="mouse_press", position=at((12, 100, 100)), button=1, dims_displayed=[1, 2], view_direction=None, modifiers=(), pos=np.zeros(2), handled=False,
    )
    running = [each for each in (callback(layer, event) for callback in list(layer.mouse_drag_callbacks)) if each is not None]
    for each in running:
        next(each, None)
    event.type, event.position = "mouse_release", at((12, 100, 130))
    for each in running:
        next(each, None)
    assert scan.strokes[12, 100, 100:131].all(), "napari gathers moves, and had not told one"
    qtbot.waitUntil(lambda: scan.drawn[0])
    layer.undo()
    assert not scan.strokes.any(), "it is one step"


def test_the_eraser_takes_strokes_away_and_the_rest_answers_anew(page, desk, session, open_sample, qtbot):
    scan = open_sample()
    page("scribbles")
    layer = desk.writer.of(scan).strokes
    drag(layer, [(12, 100, 100), (12, 100, 130)])
    drag(layer, [(12, 180, 100), (12, 180, 130)])
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview.finished and scan.preview.labels[12, 180, 110] == 1, timeout=60_000)
    layer.mode, layer.brush_size = "erase", 12
    drag(layer, [(12, 180, 95), (12, 180, 135)])
    qtbot.waitUntil(lambda: not scan.strokes[12, 170:190].any() and done(session)() and scan.preview.finished, timeout=60_000)
    assert scan.drawn == (True, False)
    assert scan.stroked[1] == int((scan.strokes == 1).sum())
    drag(layer, [(12, 100, 95), (12, 100, 135)])
    qtbot.waitUntil(lambda: scan.preview is None)


def test_the_preview_layers_never_blink_between_strokes(viewer, page, desk, session, open_sample, qtbot):
    scan = open_sample()
    page("scribbles")
    layer = desk.writer.of(scan).strokes
    drag(layer, [(12, 100, 100), (12, 100, 110)])
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview.finished, timeout=60_000)
    outline = desk.writer.of(scan).outline
    array, count, seen = outline.data, len(viewer.layers), []
    outline.events.set_data.connect(lambda: seen.append(bool(outline.data.any())))
    drag(layer, [(12, 120, 100), (12, 120, 110)])
    qtbot.waitUntil(lambda: scan.drawn[0] and done(session)(), timeout=60_000)
    qtbot.wait(100)
    assert outline.data is array
    assert seen
    assert all(seen)
    assert len(viewer.layers) == count
    assert viewer.layers.selection.active is layer


def test_the_limit_is_painted_by_our_ball_with_napari_s_cursor(page, desk, session, open_sample, qtbot):
    scan = open_sample()
    limit_page = page("limit")
    layer = desk.writer.of(scan).limit
    assert layer.mode == "paint"
    assert not [each for each in layer.mouse_drag_callbacks if each.__name__ == "draw"], "napari's own drawing is out"
    drag(layer, [(12, 100, 100), (12, 100, 140)])
    assert scan.limit[12, 100, 120]
    assert scan.limit[13, 100, 120], "a ball"
    drag(layer, [(12, 140, 100), (12, 140, 120)])
    qtbot.wait(20)
    layer.undo()
    assert scan.limit[12, 100, 120], "one drag is one step"
    layer.undo()
    assert not scan.limit.any()
    layer.brush_size = 20
    assert session.limit_brush.radius_mm == pytest.approx(10 * min(scan.display.geometry.spacing))
    limit_page.radius.setValue(25)
    assert layer.brush_size == round(50 / min(scan.display.geometry.spacing))
    session.flip()
    assert layer.mode == "erase"
    layer.mode = "paint"
    assert not session.limit_brush.erase, "napari's own keys for brush and eraser count too"


def test_the_limit_has_its_line_and_both_layers_follow_the_brush(viewer, page, desk, open_sample, qtbot):
    scan = open_sample()
    page("limit")
    held = desk.writer.of(scan)
    assert held.limit_edge.contour == 2
    assert held.limit_edge.data is scan.limit
    drawn = []
    held.limit_edge.events.set_data.connect(lambda: drawn.append(1))
    drag(held.limit, [(12, 100, 100), (12, 100, 140)])
    qtbot.waitUntil(lambda: bool(drawn))
    viewer.layers.remove(held.limit)
    assert scan.limit is None
    assert not held.limit_edge.visible


def test_slices_are_listed_gone_to_and_left_out(viewer, page, desk, session, open_sample, truth, qtbot):
    scan = open_sample()
    labels = np.zeros(truth.shape, np.uint8)
    slices = np.flatnonzero(truth.any((1, 2)))[::3]
    labels[slices] = truth[slices]
    session.adopt_labels(scan, labels)
    between = page("interpolate")
    qtbot.waitUntil(lambda: between.slices.count() == len(slices))
    item = between.slices.item(1)
    between.slices.itemClicked.emit(item)
    assert desk.slice_in_view(0) == slices[1]
    item.setCheckState(Qt.CheckState.Unchecked)
    qtbot.waitUntil(lambda: session.between.used() == [int(z) for i, z in enumerate(slices) if i != 1])
    desk.show_slice(0, int(slices[-1]) + 2)
    qtbot.mouseClick(between.empty, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: between.slices.count() == len(slices) + 1)
    assert between.empty.text() == "Not empty"
    desk.run()
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview.finished, timeout=60_000)
    assert scan.preview.labels[slices[0] + 1].any()


def test_slices_can_be_painted_from_nothing(viewer, page, desk, session, open_sample, qtbot):
    scan = open_sample()
    between = page("interpolate")
    assert next_step(session).action == "paint"
    qtbot.waitUntil(between.paint.isEnabled)
    qtbot.mouseClick(between.paint, Qt.MouseButton.LeftButton)
    layer = viewer.layers.selection.active
    assert layer is desk.writer.of(scan).labels
    assert (layer.mode, layer.selected_label) == ("paint", 1)
    for z in (8, 12):
        layer.paint((z, 100, 100), 1)
    qtbot.waitUntil(lambda: session.between.used() == [8, 12])
    assert scan.history.can_undo


def test_clean_up_shows_each_change_at_once(page, desk, session, open_sample, truth, qtbot):
    scan = open_sample()
    labels = truth.astype(np.uint8)
    labels[2, 10:12, 10:12] = 1
    session.adopt_labels(scan, labels)
    cleanup = page("cleanup")
    assert "tidy" in next_step(session).sentence
    cleanup.smallest.setValue(0.2)
    assert session.cleanup.dropping
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview.finished, timeout=60_000)
    assert not scan.preview.labels[2, 10:12, 10:12].any()
    before = int((scan.preview.labels > 0).sum())
    cleanup.margin.setValue(3.0)
    qtbot.waitUntil(lambda: scan.preview.finished and int((scan.preview.labels > 0).sum()) > before, timeout=60_000)
    assert next_step(session).action == "accept"


def test_a_click_on_the_canvas_keeps_a_piece(viewer, page, desk, session, open_sample, qtbot):
    scan = open_sample()
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[10:14, 50:70, 50:70], labels[10:14, 150:170, 150:170] = 1, 1
    session.adopt_labels(scan, labels)
    cleanup = page("cleanup")
    qtbot.waitUntil(cleanup.pick.isEnabled)
    qtbot.mouseClick(cleanup.pick, Qt.MouseButton.LeftButton)
    assert session.tool == "pick"
    event = SimpleNamespace(type="mouse_press", position=desk.image(scan).data_to_world((12, 60, 60)), pos=np.zeros(2), button=1)
    running = [each for each in (callback(viewer, event) for callback in list(viewer.mouse_drag_callbacks) if callback.__qualname__.startswith("Pick")) if each]
    for each in running:
        next(each)
        event.type = "mouse_release"
        next(each, None)
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview.finished, timeout=60_000)
    assert scan.preview.labels[12, 60, 60] == 1
    assert not scan.preview.labels[12, 150:170].any()
    assert session.tool == "pick", "the next piece can be clicked at once"


def test_labels_become_strokes_at_a_button(viewer, page, desk, session, open_sample, truth, qtbot):
    scan = open_sample()
    session.adopt_labels(scan, truth.astype(np.uint8))
    scribbles = page("scribbles")
    qtbot.waitUntil(scribbles.seed.isEnabled)
    qtbot.mouseClick(scribbles.seed, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: scan.stroked[1] > 0, timeout=60_000)
    assert isinstance(desk.writer.of(scan).strokes, Labels)
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview.finished, timeout=60_000)
    assert scan.preview.labels.any()
    qtbot.waitUntil(scribbles.clear.isEnabled)
    qtbot.mouseClick(scribbles.clear, Qt.MouseButton.LeftButton)
    assert not scan.strokes.any()


@pytest.mark.parametrize("mode", ["scribbles", "limit", "interpolate", "cleanup"])
def test_every_page_fits_the_dock(dock, page, mode, open_sample, qtbot):
    open_sample()
    dock.resize(340, 680)
    shown = page(mode)
    qtbot.wait(50)
    assert shown.isVisibleTo(dock)
    assert shown.minimumSizeHint().width() <= 360, "fonts differ without a window"
    assert shown.minimumSizeHint().height() <= 270
