"""The panes beside napari's canvas: one place in all of them, tools that work there, and everything as it was when they go."""

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMainWindow, QSplitter, QWidget

from napari_medseg.annotation import default_classes
from napari_medseg.gui.canvas_mouse import CanvasMouse
from napari_medseg.gui.label_colours import colours
from napari_medseg.gui.layers import volume_layers
from napari_medseg.gui.ortho_frame import Frame, find_canvas
from napari_medseg.gui.ortho_sheets import Sheets, label_table
from napari_medseg.session.planes import cut
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.windows import Window

pytestmark = pytest.mark.qt
LEFT, RIGHT, NONE, SHIFT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


class Shelf:
    """A place for panes without napari's canvas, whose pictures need OpenGL."""

    def __init__(self):
        self.row = QSplitter()
        self.row.resize(900, 320)
        self.shown = ()

    def put(self):
        self.row.show()

    def arrange(self, below, beside, above, others):
        for widget in others:
            widget.hide()
            widget.setParent(None)
        for widget in (below, beside, above):
            self.row.addWidget(widget)
            widget.show()
        self.row.setSizes([300, 300, 300])
        self.shown = (below, beside, above)

    def take(self):
        self.row.hide()
        self.row.deleteLater()


@pytest.fixture
def scan(viewer, dock, session):
    array = np.random.default_rng(0).integers(-200, 200, (12, 60, 50)).astype(np.int16)
    volume = Volume(array, Geometry(array.shape, (5.0, 1.0, 1.0), (-25.0, -30.0, 100.0)), name="chest", modality="CT")
    for data, keywords, kind in volume_layers(volume):
        getattr(viewer, f"add_{kind}")(data, **keywords)
    session.set(tool="")
    return session.current


@pytest.fixture
def quad(desk, session, scan, qtbot):
    shelf = Shelf()
    qtbot.addWidget(shelf.row)
    quad = desk.views.quad
    session.views.ortho = True
    quad.open(shelf)
    qtbot.waitUntil(lambda: all(pane.index is not None for pane in quad.planes[1:]), timeout=30_000)
    yield quad
    quad.close()


def press(pane, voxel, *, modifiers=NONE, button=LEFT, move_to=None):
    """Press at a voxel, move, let go, as a mouse does."""
    start, end = (pane.point(np.array(v, float)) for v in (voxel, move_to if move_to is not None else voxel))
    for kind, at, held in ((QEvent.Type.MouseButtonPress, start, button), (QEvent.Type.MouseMove, end, button), (QEvent.Type.MouseButtonRelease, end, button)):
        if kind == QEvent.Type.MouseMove and move_to is None:
            continue
        one = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else button
        still_held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else held
        QApplication.sendEvent(pane, QMouseEvent(kind, at, QPointF(pane.mapToGlobal(at.toPoint())), one, still_held, modifiers))


def wheel(pane, steps, modifiers=NONE):
    at = QPointF(pane.width() / 2, pane.height() / 2)
    turned = QPoint(0, 120 * steps)
    event = QWheelEvent(at, QPointF(pane.mapToGlobal(at.toPoint())), QPoint(), turned, Qt.MouseButton.NoButton, modifiers, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(pane, event)


def test_a_window_that_goes_before_its_panes_is_left_without_a_word(desk, quad, caplog):
    caplog.set_level("INFO", logger="napari_medseg")
    for part in (*quad.planes, quad.solid):
        part.deleteLater()
        QApplication.sendPostedEvents(part, QEvent.Type.DeferredDelete)
    desk.shut()
    assert "was gone before" not in caplog.text
    assert not quad.is_open


def test_a_click_in_one_plane_takes_the_others_and_napari_s_slice_there(viewer, session, quad, qtbot):
    press(quad.planes[1], (3, 30, 20))
    assert session.views.voxel == (3, 30, 20)
    assert viewer.dims.point[0] == pytest.approx(viewer.layers[0].data_to_world((3, 0, 0))[0])
    qtbot.waitUntil(lambda: quad.planes[2].index == 20, timeout=30_000)
    press(quad.planes[2], (8, 11, 20))
    assert session.views.voxel == (8, 11, 20)
    qtbot.waitUntil(lambda: quad.planes[1].index == 11, timeout=30_000)


def test_napari_s_own_slider_moves_the_place(viewer, session, quad):
    viewer.dims.set_point(0, viewer.layers[0].data_to_world((9, 0, 0))[0])
    assert session.views.voxel[0] == 9


def test_the_wheel_goes_through_the_slices_of_its_own_plane_and_with_ctrl_zooms(session, quad):
    before = session.views.voxel
    wheel(quad.planes[1], 3)
    assert session.views.voxel == (before[0], before[1] + 3, before[2])
    here = quad.planes[1].point(np.array((5, 0, 49)))
    wheel(quad.planes[1], 2, Qt.KeyboardModifier.ControlModifier)
    assert session.views.voxel == (before[0], before[1] + 3, before[2])
    assert (quad.planes[1].point(np.array((5, 0, 49))).x() - 150) > (here.x() - 150)


def test_slices_five_millimetres_apart_have_their_true_proportions(quad):
    pane = quad.planes[1]
    down = pane.point(np.array((1, 0, 0))).y() - pane.point(np.array((0, 0, 0))).y()
    across = pane.point(np.array((0, 0, 1))).x() - pane.point(np.array((0, 0, 0))).x()
    assert down == pytest.approx(5 * across)


def test_what_a_pane_draws_is_the_slice_with_its_labels(session, scan, quad, qtbot):
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[4:8, :, 20:30] = 1
    session.adopt_labels(scan, labels)
    session.views.go_voxel((6, 30, 25))
    pane = quad.planes[1]

    def drawn(voxel):
        at = pane.point(np.array(voxel, float))
        colour = pane.grab().toImage().pixelColor(round(at.x() * pane.devicePixelRatioF()), round(at.y() * pane.devicePixelRatioF()))
        return colour.red(), colour.green(), colour.blue()

    def is_coloured(voxel):
        shown = drawn(voxel)
        return max(shown) - min(shown) > 30

    qtbot.waitUntil(lambda: is_coloured((5, 30, 22)), timeout=30_000)
    assert not is_coloured((5, 30, 40))


def test_the_brush_paints_in_any_plane_and_a_stroke_is_one_step_of_the_undo_log(viewer, desk, session, scan, quad):
    desk.paint_labels()
    layer = viewer.layers.selection.active
    layer.brush_size = 5
    press(quad.planes[1], (3, 30, 15), move_to=(9, 30, 15))
    column = scan.labels[:, 30, 15]
    assert column[3:10].all()
    assert not column[:3].any()
    assert not scan.labels[:, :30].any()
    assert scan.voxels[1] == np.count_nonzero(scan.labels)
    session.undo()
    assert not scan.labels.any()
    session.redo()
    assert scan.labels[3:10, 30, 15].all()
    layer.mode = "erase"
    press(quad.planes[1], (6, 30, 15))
    assert not scan.labels[6, 30, 15]
    assert scan.labels[3, 30, 15]


def test_clicks_seeds_boxes_and_rulers_are_placed_in_any_plane_in_the_patient_s_millimetres(session, scan, quad):
    grid = scan.display.geometry
    session.set(tool="seeds")
    press(quad.planes[2], (4, 22, 25))
    assert scan.seeds[session.chosen] == (pytest.approx(tuple(grid.world((4, 22, quad.index(2)))), abs=0.6),)
    session.set(tab="segment", tool="point")
    press(quad.planes[1], (4, 30, 12), modifiers=SHIFT)
    mark = session.current.board.targets[0].of_kind("point")[0]
    assert mark.sign == -1
    assert mark.places[0] == pytest.approx(tuple(grid.world((4, 30, 12))), abs=0.6)
    session.set(tool="box")
    press(quad.planes[1], (2, 30, 12), move_to=(8, 30, 40))
    box = session.current.board.targets[0].of_kind("box")[0]
    assert sorted(box.places)[0][2] != sorted(box.places)[1][2]
    session.set(tool="ruler")
    press(quad.planes[1], (2, 30, 12))
    press(quad.planes[1], (10, 30, 12))
    assert scan.rulers[0].mm == pytest.approx(40.0, abs=0.5)


def test_the_right_button_drags_the_window_while_that_is_on_and_zooms_while_it_is_off(viewer, session, scan, quad):
    window, pane = scan.window, quad.planes[1]
    press(pane, (2, 30, 10), button=RIGHT, move_to=(2, 30, 30))
    assert scan.window == window
    pane.fit()
    session.views.toggle_levelling()
    press(pane, (2, 30, 10), button=RIGHT, move_to=(2, 30, 30))
    assert scan.window.width > window.width
    assert scan.window.level == window.level
    assert viewer.layers[0].contrast_limits == pytest.approx(scan.window.limits)


def test_another_plane_in_the_canvas_gives_its_place_to_the_one_that_was_there(viewer, session, quad):
    shelf = quad._frame
    assert shelf.shown == (quad.planes[1], quad.planes[2], quad.solid)
    session.views.go_voxel((4, 33, 20))
    QTest.mouseDClick(quad.planes[1], LEFT, NONE, QPoint(150, 5))
    assert viewer.dims.order[0] == 1
    assert shelf.shown == (quad.planes[2], quad.planes[0], quad.solid)
    here = session.views.voxel
    assert viewer.dims.point[1] == pytest.approx(viewer.layers[0].data_to_world((0, here[1], 0))[1])
    viewer.dims.ndisplay = 3
    assert shelf.shown == (quad.planes[1], quad.planes[2], quad.planes[0])
    viewer.dims.ndisplay = 2


def test_a_slice_is_typed_with_its_side_or_as_a_number_and_what_is_no_place_changes_nothing(desk, session, scan, qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    bar = desk.views.bar
    bar.attach(window)
    session.views.go_slice(0, 0)
    assert (bar.plane.text(), bar.place.text(), bar.count.text()) == ("Axial", "S 155.0 mm", "1/12")
    for typed, slice_ in (("S 131", 5), ("120,0 mm", 7), ("nowhere", 7), ("I 9", 11)):
        bar.place.lineEdit().setText(typed)
        QTest.keyClick(bar.place, Qt.Key.Key_Return)
        assert session.views.voxel[0] == slice_


def test_surfaces_follow_labels_and_a_click_on_them_takes_the_place_there(session, scan, quad, qtbot):
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[4:8, 20:40, 15:35] = 1
    session.adopt_labels(scan, labels)
    solid = quad.solid
    middle = QPointF(solid.width() / 2, solid.height() / 2)
    qtbot.waitUntil(lambda: solid.pick(middle) is not None, timeout=30_000)
    session.views.go_voxel((0, 0, 0))
    QTest.mouseClick(solid, LEFT, NONE, middle.toPoint())
    z, y, x = session.views.voxel
    assert 3 <= z <= 8
    assert 18 <= y <= 41
    assert 13 <= x <= 36
    scan.labels[:] = 0
    session.labels_changed.emit(scan, None)
    qtbot.waitUntil(lambda: solid.pick(middle) is None, timeout=30_000)


def test_toggling_leaves_layers_camera_slice_and_signals_as_they_were(viewer, desk, session, scan, qtbot):
    layer = viewer.layers[0]
    state = [each.name for each in viewer.layers], viewer.scene.camera.zoom, viewer.dims.point, viewer.dims.order
    listeners = {name: len(emitter.callbacks) for name, emitter in layer.events.emitters.items()}
    panes = []
    for _ in range(3):
        shelf = Shelf()
        qtbot.addWidget(shelf.row)
        desk.views.quad.open(shelf)
        qtbot.waitUntil(lambda: desk.views.quad.planes[1].index is not None, timeout=30_000)
        panes += [weakref.ref(pane) for pane in desk.views.quad.planes]
        desk.views.quad.close()
    assert state == ([each.name for each in viewer.layers], viewer.scene.camera.zoom, viewer.dims.point, viewer.dims.order)
    assert listeners == {name: len(emitter.callbacks) for name, emitter in layer.events.emitters.items()}
    del shelf
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value if hasattr(QEvent.Type.DeferredDelete, "value") else QEvent.Type.DeferredDelete)
    gc.collect()
    assert [each() for each in panes if each() is not None] == []


def test_pyramids_colours_series_and_turned_layers_are_cut_where_they_can_be():
    from napari.components import ViewerModel

    viewer = ViewerModel()
    viewer.add_layer(Image([np.zeros((64, 64, 64), np.uint8), np.zeros((32, 32, 32), np.uint8)], multiscale=True, scale=(2, 1, 1), name="pyramid"))
    held = Sheets(viewer).read()
    assert held.base.shape == (64, 64, 64)
    viewer.add_layer(Image(np.zeros((4, 16, 16, 3), np.uint8), rgb=True, name="colour"))
    viewer.add_layer(Image(np.zeros((3, 8, 16, 16), np.uint8), name="series"))
    viewer.add_layer(Labels(np.zeros((8, 16, 16), np.uint8), rotate=(0.0, 20.0, 0.0), name="turned"))
    viewer.dims.set_point(0, 2)
    sheets = {sheet.kind: sheet for sheet in Sheets(viewer).read().sheets}
    assert len(Sheets(viewer).read().sheets) == 3
    assert sheets["colour"].shape == (4, 16, 16)


def test_label_colours_are_those_that_napari_draws():
    for colormap in (Labels(np.zeros((2, 2), np.uint8)).colormap, colours(default_classes(["A", "B"]), background=True)):
        assert np.abs(label_table(colormap)[1:] - np.asarray(colormap.map(np.arange(1, 256, dtype=np.uint8))) * 255).max() < 1


def test_a_layer_that_is_shown_mirrored_is_cut_as_it_is_shown(viewer):
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    viewer.add_layer(Image(array, scale=(-2, 1, -1), translate=(10, 0, 5), contrast_limits=(0, 255), name="mirrored"))
    base = Sheets(viewer).read().base
    assert (base.scale, base.translate) == ((2.0, 1.0, 1.0), (8.0, 0.0, 2.0))
    assert np.array_equal(cut([base], base, 0, 0).picture[..., 0], array[1, :, ::-1])
    assert np.array_equal(cut([base], base, 1, 2).picture[..., 0], array[::-1, 2, ::-1])


def test_a_drag_of_somebody_s_own_picture_changes_its_contrast(viewer, desk, session):
    viewer.add_layer(Image(np.zeros((3, 20, 20, 20), np.uint8), contrast_limits=(0, 100), name="series"))
    assert session.current is None
    level = desk.views.level
    level.begin()
    assert level.drag(150, 0) == Window(50, 150).words()
    level.end()
    assert viewer.layers[0].contrast_limits == pytest.approx([-25, 125])


def test_the_panes_stand_round_napari_s_canvas_and_leave_its_window_as_it_was(window, qtbot):
    top = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow) and find_canvas(w) is not None)
    frame = Frame.of(top, window)
    main, layout, camera = find_canvas(top), top.centralWidget().layout(), window.scene.camera.zoom
    splitter = frame._main
    before = layout.count(), splitter.count()
    panes = [QWidget() for _ in range(4)]
    frame.arrange(panes[0], panes[1], panes[2], panes[3:])
    frame.put()
    assert (layout.count(), splitter.count()) == (before[0] + 1, before[1] + 1)
    assert all(top.isAncestorOf(pane) for pane in panes[:3])
    assert main is find_canvas(top)
    frame.take()
    assert (layout.count(), splitter.count()) == before
    assert window.scene.camera.zoom == camera
    assert Frame.of(QMainWindow(), window) is None


def test_on_the_canvas_the_right_button_and_the_wheel_are_ours_only_while_the_views_are_on(session, scan, desk, qtbot):
    canvas, turned, said = QWidget(), [], []
    qtbot.addWidget(canvas)
    window = scan.window
    mouse = CanvasMouse(canvas, session.views, desk.views.level, turned.append, said.append)
    mouse.listen(True)

    def drag():
        for kind, at in ((QEvent.Type.MouseButtonPress, 0), (QEvent.Type.MouseMove, 60), (QEvent.Type.MouseButtonRelease, 60)):
            button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else RIGHT
            held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else RIGHT
            QApplication.sendEvent(canvas, QMouseEvent(kind, QPointF(at, 5), QPointF(at, 5), button, held, NONE))

    drag()
    wheel(canvas, 1)
    assert (scan.window, turned) == (window, [])
    session.views.levelling = session.views.ortho = True
    drag()
    wheel(canvas, -2)
    assert scan.window.width > window.width
    assert said == [scan.window.words("HU"), ""]
    assert turned == [-2]
    mouse.listen(False)
    wheel(canvas, 1)
    assert turned == [-2]
    session.views.ortho = False
