import numpy as np
import pytest

pytestmark = pytest.mark.qt


@pytest.fixture
def scan(viewer, dock, session, ball):
    from napari_medseg.gui.layers import layer_data

    array, keywords, _ = layer_data(ball)
    viewer.add_image(array, **keywords)
    session.adopt_labels(session.current, np.zeros(session.current.display.geometry.shape, np.uint8))
    return session.current


@pytest.fixture
def layer(desk, scan):
    return desk.writer.of(scan).labels


class Shelf:
    """Copies of the map after every act."""

    def __init__(self, layer, scan):
        self.layer, self.scan, self.copies = layer, scan, [layer.data.copy()]

    def did(self):
        assert not np.array_equal(self.layer.data, self.copies[-1])
        self.copies.append(self.layer.data.copy())
        assert self.scan.ml(1) == pytest.approx(np.count_nonzero(self.scan.labels == 1) * self.scan.display.geometry.voxel_ml)

    def walk(self):
        for before in reversed(self.copies[:-1]):
            self.layer.undo()
            assert np.array_equal(self.layer.data, before)
        for after in self.copies[1:]:
            self.layer.redo()
            assert np.array_equal(self.layer.data, after)


def test_every_tool_of_napari_and_ours_is_taken_back_in_the_order_of_work(scan, layer, session):
    from napari_medseg.session import Preview

    shelf = Shelf(layer, scan)
    layer.brush_size = 6
    layer.paint((11, 30, 30), 1)
    shelf.did()
    layer.n_edit_dimensions = 3
    layer.paint((9, 20, 20), 1)
    shelf.did()
    layer.n_edit_dimensions = 2
    layer.fill((11, 30, 30), 2)
    shelf.did()
    layer.paint_polygon([(5, 5, 5), (5, 5, 40), (5, 40, 40)], 1)
    shelf.did()
    session.set(add=True)
    scan.preview = Preview(np.zeros_like(scan.labels), "level set", (session.label_class,), finished=True)
    scan.preview.labels[12:14, 40:50, 40:50] = 1
    session.accept()
    shelf.did()
    layer.paint((11, 31, 31), 0)
    shelf.did()
    layer.fill((5, 6, 20), 0)
    shelf.did()
    with layer.block_history():
        for y in range(10, 50):
            layer.paint((13, y, 12), 1)
    shelf.did()
    layer.data_setitem((np.array([0, 1]), np.array([0, 1]), np.array([0, 1])), [1, 2])
    shelf.did()
    shelf.walk()


def test_undo_goes_past_the_hundred_steps_that_napari_keeps(scan, layer):
    layer.brush_size = 1
    for i in range(130):
        layer.paint((i % 20, 10 + i // 20, 10), 1)
    for _ in range(130):
        layer.undo()
    assert not layer.data.any()
    assert not scan.has_labels


def test_data_that_somebody_replaced_is_one_step(viewer, scan, layer):
    layer.paint((11, 30, 30), 1)
    painted = layer.data.copy()
    other = painted.copy()
    other[2:4, 2:8, 2:8] = 2
    layer.data = other
    assert layer.data is scan.labels
    assert np.array_equal(scan.labels, other)
    assert scan.ml(2) > 0
    layer.undo()
    assert np.array_equal(layer.data, painted)
    layer.undo()
    assert not layer.data.any()


def test_a_drag_told_in_pieces_is_one_step(scan, layer, qtbot):
    from types import SimpleNamespace

    event = SimpleNamespace(type="mouse_press", position=(11, 20, 20))
    drags = [callback(layer, event) for callback in layer.mouse_drag_callbacks if callback.__name__ == "_on_drag"]
    assert len(drags) == 1
    next(drags[0])
    layer.paint((11, 20, 20), 1)
    event.type = "mouse_move"
    next(drags[0])
    layer.paint((11, 40, 40), 1)
    event.type = "mouse_release"
    next(drags[0], None)
    qtbot.wait(20)
    layer.paint((3, 40, 40), 1)
    layer.undo()
    layer.undo()
    assert not layer.data.any()


def test_scribbles_have_a_log_of_their_own(viewer, desk, scan, session):
    session.set(mode="scribbles")
    desk.arm("scribbles")
    strokes = desk.writer.of(scan).strokes
    strokes.paint((8, 30, 30), 1)
    session.stroked(scan)
    assert scan.drawn == (True, False)
    strokes.undo()
    assert not scan.strokes.any()
    assert scan.drawn == (False, False)
    strokes.redo()
    assert scan.drawn == (True, False)


def test_what_napari_keeps_beside_our_log_is_dropped_when_it_grows(scan, layer, qtbot, monkeypatch):
    from napari.layers import Labels

    from napari_medseg.gui import paint_log

    monkeypatch.setattr(paint_log, "LARGEST_BYTES", 2000)
    layer.mode = "paint"
    layer.brush_size = 30
    for z in range(10):
        layer.paint((z, 30, 30), 1)
    qtbot.wait(30)
    assert layer.mode == "paint"
    assert layer.editable
    painted = layer.data.copy()
    Labels.undo(layer)  # napari's own way
    assert np.array_equal(layer.data, painted)
    layer.undo()
    assert layer.data[8].any()
    assert not layer.data[9].any()


def test_a_layer_whose_scan_is_closed_is_napari_s_again(viewer, desk, scan, layer):
    layer.paint((11, 30, 30), 1)
    viewer.layers.remove(desk.image(scan))
    layer.undo()
    assert not layer.data.any()
    assert not [callback for callback in layer.mouse_drag_callbacks if callback.__name__ == "_on_drag"]
