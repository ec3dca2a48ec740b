"""The place that all views share, slices in millimetres, how 3D is turned, and a window that is dragged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medseg.annotation.rulers import Ruler
from napari_medseg.session import showing
from napari_medseg.session.outlines import outlines
from napari_medseg.session.session import Session
from napari_medseg.session.state import open_scan
from napari_medseg.session.views import STEEPEST, Turn, dragged, hit
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.windows import Window


def now(function):
    function()


def scan(shape=(12, 20, 16), spacing=(5.0, 1.0, 0.5), origin=(-4.0, -10.0, 100.0), direction=None, modality="CT", name="scan"):
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    extra = {} if direction is None else {"direction": tuple(float(v) for v in np.ravel(direction))}
    return open_scan(Volume(values, Geometry(shape, spacing, origin, **extra), name=name, modality=modality))


def test_nothing_is_looked_at_before_a_scan_is_open_and_its_middle_when_it_is(session):
    assert session.views.place is None
    assert session.views.slice(0) is None
    opened = session.open(scan())
    middle = opened.display.geometry.world((np.array(opened.display.geometry.shape) - 1) / 2)
    assert session.views.place == pytest.approx(tuple(middle))


def test_the_place_is_kept_in_millimetres_on_another_grid_of_the_same_patient(session):
    session.open(scan())
    session.views.go((-1.0, 2.0, 120.0))
    fine = session.open(scan(shape=(60, 40, 32), spacing=(1.0, 0.5, 0.25), name="fine"))
    assert session.views.place == (-1.0, 2.0, 120.0)
    assert session.views.voxel == tuple(int(v) for v in np.rint(fine.display.geometry.voxel((-1.0, 2.0, 120.0))))


def test_another_patient_is_looked_at_in_the_middle_and_the_first_where_it_was(session):
    first = session.open(scan())
    session.views.go((-1.0, 2.0, 120.0))
    session.open(scan(origin=(500.0, 500.0, 500.0), name="elsewhere"))
    assert np.array(session.views.voxel) == pytest.approx([5, 9, 7], abs=1)
    session.activate(first)
    assert session.views.place == (-1.0, 2.0, 120.0)


def test_a_place_beside_the_scan_is_brought_to_its_nearest_voxel_and_what_is_no_number_is_not_taken(session):
    session.open(scan())
    session.views.go((1e6, -1e6, 1e6))
    assert session.views.voxel == (0, 0, 15)
    session.views.go((float("nan"), 0.0, 0.0))
    assert session.views.voxel == (0, 0, 15)


def test_scrolling_one_plane_keeps_the_place_within_it_and_stops_at_the_ends(session):
    session.open(scan())
    session.views.go_voxel((3, 4, 5))
    session.views.step(0, 2)
    assert session.views.voxel == (5, 4, 5)
    session.views.step(0, 100)
    assert session.views.voxel == (11, 4, 5)
    session.views.step(1, -100)
    assert session.views.voxel == (11, 0, 5)


def test_a_slice_says_its_plane_its_side_its_millimetres_and_its_number(session):
    session.open(scan())  # 12 slices of 5 mm from z = 100 mm upwards; shown from the head down
    session.views.go_voxel((0, 0, 0))
    assert session.views.slice(0).words == "S 155.0 mm, 1/12"
    assert session.views.slice(1).words == "A 10.0 mm, 1/20"
    assert session.views.slice(2).words == "R 4.0 mm, 1/16"
    assert [session.views.slice(axis).plane for axis in range(3)] == ["Axial", "Coronal", "Sagittal"]


def test_millimetres_that_are_typed_are_the_nearest_slice(session):
    session.open(scan())
    session.views.jump(0, 121.0)
    assert session.views.slice(0).mm == pytest.approx(120.0)
    session.views.jump(1, 3.4)
    assert session.views.slice(1).mm == pytest.approx(3.0)
    session.views.jump(0, -1e9)
    assert session.views.slice(0).index == 11


@given(st.integers(0, 2), st.integers(0, 11), st.floats(-80, 80), st.floats(-80, 80))
def test_every_slice_of_a_slanted_scan_is_found_again_by_its_millimetres(axis, index, about, tilt):
    session = Session(now)
    session.open(scan(shape=(12, 12, 12), direction=Rotation.from_euler("zx", (about, tilt), degrees=True).as_matrix()))
    session.views.go_slice(axis, index)
    found = session.views.slice(axis)
    session.views.go_slice(axis, 11 - index)
    session.views.jump(axis, found.mm)
    assert session.views.slice(axis).index == index
    session.shut()


def test_orthogonal_views_need_something_to_cut(session):
    problems = []
    session.problem.connect(problems.append)
    session.views.toggle_ortho()
    assert not session.views.ortho
    assert "three-dimensional" in str(problems[0])
    session.open(scan())
    session.views.toggle_ortho()
    assert session.views.ortho
    session.views.toggle_ortho()
    assert not session.views.ortho


def test_from_the_front_the_patients_left_is_on_the_right_and_the_head_is_up():
    right, up, near = Turn(0.0, 0.0).matrix
    assert right == pytest.approx((1, 0, 0))
    assert up == pytest.approx((0, 0, 1))
    assert near == pytest.approx((0, -1, 0))


def test_from_the_patients_left_the_back_is_on_the_right():
    right, _, near = Turn(90.0, 0.0).matrix
    assert right == pytest.approx((0, 1, 0), abs=1e-12)
    assert near == pytest.approx((1, 0, 0), abs=1e-12)


@given(st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_however_3d_is_turned_it_is_never_mirrored(right, down):
    turn = Turn().dragged(right, down)
    assert np.linalg.det(turn.matrix) == pytest.approx(1.0)
    assert turn.matrix @ turn.matrix.T == pytest.approx(np.eye(3), abs=1e-9)
    assert abs(turn.down) <= STEEPEST


def test_a_drag_moves_what_is_in_front_with_the_mouse():
    front = np.array((0.0, -1.0, 0.0))
    before, after = Turn(0.0, 0.0).matrix @ front, Turn(0.0, 0.0).dragged(30, 20).matrix @ front
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_a_window_gets_wider_to_the_right_and_its_level_falls_downwards_but_it_never_closes():
    began = Window(40.0, 400.0)
    assert dragged(began, 150, 0) == Window(40.0, 600.0)
    assert dragged(began, 0, 75) == Window(-60.0, 400.0)
    assert dragged(began, -1000, 0).width == pytest.approx(4.0)


def test_a_dragged_window_is_that_of_the_scan_is_told_with_its_unit_and_is_remembered_for_the_next_of_its_kind(session):
    opened = session.open(scan())
    showing.choose_window(session, opened, "soft")
    session.views.begin_drag()
    session.views.drag(150, 0)
    assert opened.window == Window(40.0, 600.0)
    assert opened.preset == ""
    assert session.views.window_words == "L 40, W 600 HU"
    session.views.end_drag()
    other = scan(name="next")
    assert session.windows.first(other.display).of(other.display.array) == Window(40.0, 600.0)
    assert session.windows.first(scan(modality="MR").display).key != ""


def test_a_press_without_a_drag_leaves_the_preset(session):
    opened = session.open(scan())
    showing.choose_window(session, opened, "lung")
    session.views.begin_drag()
    session.views.end_drag()
    assert opened.preset == "lung"
    assert session.windows.first(opened.display).key == "lung"


def test_boxes_lassos_and_rulers_are_known_in_every_slice_that_they_meet(session):
    opened = session.open(scan())
    world = opened.display.geometry.world
    session.prompting.box(world((2, 5, 4)), world((4, 9, 8)))
    session.prompting.lasso([world((6, 5, 3)), world((6, 9, 3)), world((9, 9, 3))])
    opened.rulers = (Ruler((tuple(world((1, 10, 2))), tuple(world((11, 10, 2))))),)
    box, = outlines(opened, 0, 3)
    assert box.closed
    assert box.places.min(0).tolist() == [3.0, 4.5, 3.5]
    assert box.places.max(0).tolist() == [3.0, 9.5, 8.5]
    assert [len(each.places) for each in outlines(opened, 2, 3)] == [3]
    ruler, = (each for each in outlines(opened, 1, 10) if not each.closed)
    assert ruler.words == "50.0 mm"
    assert list(outlines(opened, 0, 11)) == []


def test_a_way_through_labels_ends_at_the_first_that_it_meets():
    accepted, preview = np.zeros((10, 10, 10), np.uint8), np.zeros((10, 10, 10), np.uint8)
    accepted[6:, 4:6, 4:6] = 1
    assert hit([accepted, preview], (-5, 4.5, 4.5), (20, 4.5, 4.5))[0] == 6
    preview[2, 4:6, 4:6] = 2
    assert hit([accepted, preview], (-5, 4.5, 4.5), (20, 4.5, 4.5))[0] == 2
    assert hit([accepted, preview], (20, 4.5, 4.5), (-5, 4.5, 4.5))[0] == 9
    assert hit([accepted, preview], (-5, 0, 0), (20, 0, 0)) is None
    assert hit([], (0, 0, 0), (9, 9, 9)) is None
