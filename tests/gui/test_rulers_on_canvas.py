"""Rulers on the canvas: clicks on any plane, dragged ends, and the diameters of the chosen label."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_medseg.gui.layers import layer_data
from napari_medseg.session import showing
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt


@pytest.fixture
def scan(viewer, dock, session):
    geometry = Geometry((12, 40, 40), (3.0, 1.0, 0.5), (-20.0, -30.0, 5.0))
    data, keywords, _ = layer_data(Volume(np.random.default_rng(0).normal(40, 10, geometry.shape).astype(np.int16), geometry, name="made"))
    viewer.add_image(data, **keywords)
    session.reviewing.turn("rulers")
    return session.current


def mouse(desk, *voxels, displayed=(1, 2)):
    """Press at the first voxel, move over the others and let go."""
    layer = desk.pictures.image(desk.session.current)
    across = next(axis for axis in range(3) if axis not in displayed)
    desk.show_slice(across, round(voxels[0][across]))

    def pos(voxel):
        return np.array([voxel[axis] for axis in displayed], float) * 10

    event = SimpleNamespace(type="mouse_press", button=1, pos=pos(voxels[0]), position=layer.data_to_world(voxels[0]), modifiers=(), dims_displayed=displayed)
    going = [callback(desk.viewer, event) for callback in desk.viewer.mouse_drag_callbacks]
    going = [each for each in going if each is not None]
    for each in going:
        next(each, None)
    for voxel in voxels[1:]:
        event.type, event.pos, event.position = "mouse_move", pos(voxel), layer.data_to_world(voxel)
        for each in going:
            next(each, None)
    event.type = "mouse_release"
    for each in going:
        next(each, None)


def drawn(desk, qtbot):
    """The layers of what is measured, once they are there and show it."""
    layers, scan = desk.rulers.layers, desk.session.current
    qtbot.waitUntil(lambda: layers.of(scan) is not None and not len(layers._turns), timeout=10_000)
    return layers.of(scan)


def bright_ones(lines):
    """Which lines are not the dark ones beside them."""
    return lines.edge_color[:, :3].any(1)


@pytest.mark.parametrize(("displayed", "a", "b", "mm"), [
    ((1, 2), (5, 10, 4), (5, 10, 24), 10.0), ((0, 2), (2, 7, 8), (8, 7, 8), 18.0), ((0, 1), (2, 5, 9), (2, 25, 9), 20.0),
])
def test_two_clicks_measure_mm_on_any_plane(desk, session, scan, displayed, a, b, mm):
    desk.arm("ruler")
    mouse(desk, a, displayed=displayed)
    mouse(desk, b, displayed=displayed)
    assert scan.rulers[0].mm == pytest.approx(mm)


def test_the_line_and_its_words_stand_on_the_canvas(desk, session, scan, qtbot):
    desk.arm("ruler")
    mouse(desk, (5, 10, 4))
    mouse(desk, (5, 10, 24))
    points, lines = drawn(desk, qtbot)
    assert np.allclose(lines.data[bright_ones(lines)], [[[5, 10, 4], [0, 0, 20]]])
    assert list(points.features["words"]) == ["", "", "10.0 mm"]
    assert desk.viewer.layers.selection.active is desk.pictures.image(scan)


def test_lines_are_equally_thick_whichever_way_they_run(desk, session, scan, qtbot):
    desk.arm("ruler")
    desk.viewer.dims.order = (1, 0, 2)
    for a, b in (((2, 7, 8), (8, 7, 8)), ((4, 7, 8), (4, 7, 30))):
        mouse(desk, a, displayed=(0, 2))
        mouse(desk, b, displayed=(0, 2))
    lines = drawn(desk, qtbot)[1]
    bright = lines.data[bright_ones(lines)]
    down, across = (bright[np.abs(bright[:, 1, axis]) > 1] for axis in (0, 2))
    thick_in_mm = [len(down) * lines.edge_width * 0.5, len(across) * lines.edge_width * 3.0]  # a row of voxels is 0.5 mm wide and 3 mm high
    assert thick_in_mm[0] == pytest.approx(thick_in_mm[1], rel=0.1)


def test_a_line_on_another_plane_shows_its_ends_only(desk, session, scan, qtbot):
    desk.arm("ruler")
    mouse(desk, (5, 10, 4))
    mouse(desk, (5, 20, 24))
    points, lines = drawn(desk, qtbot)
    assert (len(lines.data), np.count_nonzero(bright_ones(lines))) == (3, 1), "a dark line on either side"
    desk.viewer.dims.order = (1, 0, 2)
    assert len(lines.data) == 0
    assert len(points.data) == 3


def test_a_drag_of_an_end_moves_it_and_undo_moves_it_back(desk, session, scan, qtbot):
    desk.arm("ruler")
    mouse(desk, (5, 10, 4))
    mouse(desk, (5, 10, 24))
    mouse(desk, (5, 10, 24), (5, 10, 28), (5, 10, 34))
    assert scan.rulers[0].mm == pytest.approx(15.0)
    session.undo()
    assert scan.rulers[0].mm == pytest.approx(10.0)
    session.undo()
    assert scan.rulers == ()
    assert len(drawn(desk, qtbot)[1].data) == 0


def test_a_drag_elsewhere_moves_the_picture_and_draws_nothing(desk, session, scan):
    desk.arm("ruler")
    mouse(desk, (5, 10, 4), (5, 20, 14))
    assert session.reviewing.rulers.places == ()


def test_a_click_beside_the_scan_draws_nothing(desk, session, scan):
    desk.arm("ruler")
    mouse(desk, (5, 10, -9))
    assert session.reviewing.rulers.places == ()


def test_the_list_names_and_deletes(desk, dock, session, scan, qtbot):
    desk.arm("angle")
    for voxel in ((5, 10, 4), (5, 10, 24), (5, 20, 24)):
        mouse(desk, voxel)
    page = dock.tabs.widget(3).widget().page("rulers")
    qtbot.waitUntil(lambda: page.table.rowCount() == 1, timeout=5_000)
    assert page.table.item(0, 1).text() == "90.0°"
    page.table.item(0, 0).setText("hip")
    assert scan.rulers[0].name == "hip"
    page._on_delete()
    assert scan.rulers == ()


def test_a_tool_is_taken_in_the_hand_and_put_down(desk, session, scan):
    desk.arm("ruler")
    assert session.tool == "ruler"
    desk.arm("ruler")
    assert session.tool == ""


def test_diameters_of_the_chosen_row_are_drawn_and_go_with_the_page(desk, session, scan, qtbot):
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[3:6, 5:15, 5:30] = 1
    session.adopt_labels(scan, labels)
    session.reviewing.turn("statistics")
    session.reviewing.statistics.start()
    qtbot.waitUntil(lambda: session.reviewing.statistics.of(scan) is not None, timeout=20_000)
    session.reviewing.statistics.choose(1)
    points, lines = drawn(desk, qtbot)
    row = session.reviewing.statistics.drawn
    assert np.count_nonzero(bright_ones(lines)) == 2
    assert f"{row.diameters.long_mm:.1f} mm" in list(points.features["words"])
    session.set(tab="weak")
    assert len(lines.data) == 0


def test_a_ruler_on_an_oblique_scan_stays_at_its_millimetres_when_the_scan_is_straightened(desk, viewer, dock, session, qtbot):
    c, s = np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))
    oblique = Geometry((14, 40, 40), (3.0, 1.0, 0.5), (-20.0, -30.0, 5.0), (1.0, 0.0, 0.0, 0.0, float(c), float(-s), 0.0, float(s), float(c)))
    data, keywords, _ = layer_data(Volume(np.random.default_rng(0).normal(40, 10, oblique.shape).astype(np.int16), oblique, name="tilted"))
    viewer.add_image(data, **keywords)
    scan = session.current
    session.reviewing.turn("rulers")
    desk.arm("ruler")
    mouse(desk, (6, 10, 8))
    mouse(desk, (6, 30, 8))
    ruler = scan.rulers[0]
    assert ruler.mm == pytest.approx(20.0)
    showing.straighten(session, scan, True)
    qtbot.waitUntil(lambda: scan.aside is not None, timeout=20_000)
    assert scan.rulers == (ruler,)
    drawn(desk, qtbot)

    def ends():
        points = desk.rulers.layers.of(scan)[0]
        return scan.display.geometry.world(points.data[:2])

    qtbot.waitUntil(lambda: np.allclose(ends(), ruler.places, atol=1e-3), timeout=10_000)
