"""Letters at the edges of the canvas, the line under the cursor, and the head of the dock."""

import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_medseg.gui.layers import volume_layers
from napari_medseg.session import showing
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt


def show(viewer, volume):
    for data, keywords, kind in volume_layers(volume):
        getattr(viewer, f"add_{kind}")(data, **keywords)


@pytest.fixture
def chest(viewer, dock, session):
    grid = Geometry((10, 20, 16), (3.0, 1.0, 1.0), (-8.0, -10.0, 100.0))
    show(viewer, Volume(np.full(grid.shape, -75, np.int16), grid, name="chest", modality="CT", notes=("12 voxels held no number and count as air",)))
    return session.current


def letters(desk):
    return "".join(desk.letters.texts()[edge] for edge in ("left", "right", "top", "bottom"))


def test_the_letters_come_one_a_turn_so_that_opening_a_scan_waits_for_none_of_them(viewer, desk, qtbot):
    counts = []
    for edge in ("left", "right", "top", "bottom"):
        viewer.canvas.overlays[f"medseg_{edge}"].events.visible.connect(lambda event: counts.append(len(letters(desk))))
    show(viewer, Volume(np.zeros((4, 6, 5), np.int16) + np.arange(5, dtype=np.int16), Geometry((4, 6, 5), (1.0, 1.0, 1.0)), name="small", modality="MR"))
    assert counts == []
    qtbot.waitUntil(lambda: letters(desk) == "RLAP")
    assert counts == [1, 2, 3, 4]


def test_the_letters_follow_the_axes_on_screen_in_3d_too_and_can_be_turned_off(viewer, desk, session, chest, qtbot):
    qtbot.waitUntil(lambda: letters(desk) == "RLAP")
    viewer.dims.order = (1, 0, 2)
    assert letters(desk) == "RLSI"
    viewer.dims.order = (2, 0, 1)
    assert letters(desk) == "APSI"
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3  # napari looks from the feet then: nothing is mirrored
    assert letters(desk) == "RLAP"
    viewer.scene.camera.set_view_direction((0, 1, 0), (-1, 0, 0))  # towards the back, head up
    assert letters(desk) == "RLSI"
    viewer.scene.camera.set_view_direction((0, 1, -1), (-1, 0, 0))
    assert [desk.letters.texts()[edge] for edge in ("top", "bottom")] == ["S", "I"]
    assert sorted(desk.letters.texts()["left"]) == ["A", "R"]
    session.set(letters=False)
    assert letters(desk) == ""


def test_layers_go_in_3d_as_when_the_window_is_closed(viewer, desk, chest, qtbot):
    qtbot.waitUntil(lambda: letters(desk) == "RLAP")
    viewer.dims.ndisplay = 3
    viewer.layers.clear()
    assert letters(desk) == ""


def test_a_camera_that_looks_the_other_way_turns_the_letters(viewer, desk, chest, qtbot):
    qtbot.waitUntil(lambda: letters(desk) == "RLAP")
    viewer.scene.camera.orientation2d = ("up", "left")
    assert letters(desk) == "LRPA"


def test_an_oblique_scan_has_two_letters_an_edge_until_it_is_straightened(viewer, desk, session, qtbot):
    matrix = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    grid = Geometry((6, 20, 20), (3.0, 1.0, 1.0), direction=tuple(float(v) for v in matrix.ravel()))
    show(viewer, Volume(np.random.default_rng(0).random(grid.shape).astype(np.float32), grid, name="tilted", modality="MR"))
    qtbot.waitUntil(lambda: desk.letters.texts() == {"left": "RA", "right": "LP", "top": "AL", "bottom": "PR"})
    showing.straighten(session, session.current, True)
    qtbot.waitUntil(lambda: session.current.aside is not None, timeout=20_000)
    assert letters(desk) == "RLAP"


def test_the_letters_leave_the_canvas_with_the_last_dock(viewer, desk, chest):
    before = [name for name in viewer.canvas.overlays if name.startswith("medseg")]
    desk.shut()
    assert before
    assert not [name for name in viewer.canvas.overlays if name.startswith("medseg")]


def test_the_line_tells_place_value_and_label_and_can_be_turned_off(viewer, desk, session, chest, qtbot):
    session.adopt_labels(chest, np.ones(chest.display.geometry.shape, np.uint8))
    session.rename_class(1, "Lung")
    at = desk.image(chest).data_to_world((4, 10, 8))
    viewer.cursor.position = tuple(at)
    expected = chest.display.geometry.world((4, 10, 8))
    qtbot.waitUntil(lambda: "Lung" in desk.cursor_line.label.text(), timeout=2000)
    assert desk.cursor_line.label.text() == f"L {expected[0]:.1f}  P {expected[1]:.1f}  S {expected[2]:.1f} mm   -75 HU   Lung"
    viewer.cursor.position = (9999.0, 0.0, 0.0)
    qtbot.waitUntil(lambda: desk.cursor_line.label.text() == "", timeout=2000)
    session.set(readout=False)
    viewer.cursor.position = tuple(at)
    qtbot.wait(80)
    assert desk.cursor_line.label.text() == ""


def test_moving_the_mouse_costs_next_to_nothing(viewer, desk, chest):
    points = [tuple(desk.image(chest).data_to_world((4, i % 20, i % 16))) for i in range(200)]
    began = time.thread_time()
    for point in points:
        viewer.cursor.position = point
        desk.cursor_line.refresh()
    assert (time.thread_time() - began) / len(points) < 0.005


def test_the_head_names_the_grid_and_what_the_reader_had_to_decide(dock, desk, chest, notifications):
    dock.refresh()
    header = dock.header
    assert header.facts.text() == "CT. 16 × 20 × 10, 1 × 1 × 3 mm"
    assert "LPS" in header.facts.toolTip()
    assert "12 voxels held no number" in header.notes.toolTip()
    assert not [message for _, message in notifications() if "no number" in message], "said quietly, once"
    assert header.window_row.presets.currentText() == "Soft tissue"
    assert header.window_row.reading.text() == "L 40, W 400 HU"
    assert not header.channel_row.isVisibleTo(dock)
    assert not header.straight.isVisibleTo(dock)


def test_presets_and_own_windows_show_in_the_head(viewer, dock, desk, session, chest):
    row = dock.header.window_row
    dock.refresh()
    row.presets.setCurrentIndex(row.presets.findData("lung"))
    row.presets.activated.emit(row.presets.currentIndex())
    assert tuple(viewer.layers[0].contrast_limits) == (-1350, 150)
    viewer.layers[0].contrast_limits = (0, 50)
    dock.refresh()
    assert row.presets.currentText() == "Own window"
    assert row.reading.text() == "L 25, W 50 HU"


def test_the_head_offers_the_channels(viewer, dock, session):
    grid = Geometry((6, 20, 20), (3.0, 1.0, 1.0))
    array = np.random.default_rng(0).random((3, *grid.shape)).astype(np.float32)
    show(viewer, Volume(array, grid, name="head", modality="MR", channel_names=("T1", "T2", "FLAIR")))
    dock.refresh()
    row = dock.header.channel_row
    assert [row.channel.itemText(i) for i in range(3)] == ["T1", "T2", "FLAIR"]
    assert row.over.currentText() == "nothing"
    row.channel.activated.emit(2)
    assert session.current.display.name == "head FLAIR"
    assert [layer.visible for layer in viewer.layers] == [False, False, True]
    dock.refresh()
    row.over.activated.emit(row.over.findData(0))
    row.blend.setValue(30)
    assert viewer.layers[0].visible
    assert viewer.layers[0].opacity == pytest.approx(0.3)
