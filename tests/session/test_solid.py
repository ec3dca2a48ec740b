"""Labels in 3D: where their surfaces lie, that nothing is mirrored, and what a click on them hits."""

import numpy as np
import pytest

from napari_medseg.session.solid import draw, mesh_of, solid_of
from napari_medseg.session.views import Turn
from napari_medseg.volume import Geometry

COLOURS = {1: (1.0, 0.0, 0.0), 2: (0.0, 0.0, 1.0)}
TOWARDS_FEET = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # as scans are displayed


@pytest.fixture
def grid():
    return Geometry((24, 40, 48), (5.0, 1.5, 1.5), (-36.0, -30.0, 60.0), TOWARDS_FEET)


def ball(grid, centre, radius):
    z, y, x = np.indices(grid.shape)
    points = grid.world(np.stack([z, y, x], axis=-1))
    return np.linalg.norm(points - np.array(centre), axis=-1) <= radius


def middle(grid):
    return tuple(float(v) for v in grid.world((np.array(grid.shape) - 1) / 2))


def centre_of(picture, colour):
    rows, columns = np.nonzero((picture.colours[..., 3] > 0) & (picture.colours[..., :3].argmax(-1) == colour))
    return rows.mean(), columns.mean()


def test_surfaces_lie_where_the_labels_are_in_millimetres_of_thick_slices_too(grid):
    labels = ball(grid, (10.0, 5.0, 0.0), 18.0).astype(np.uint8)
    solid = solid_of(labels, grid, COLOURS)
    distance = np.linalg.norm(solid.places - np.array((10.0, 5.0, 0.0)), axis=1)
    assert distance.mean() == pytest.approx(18.0, abs=1.5)
    assert distance.max() < 18.0 + 5.0


def test_normals_point_outwards_whichever_way_the_grid_s_axes_run():
    for direction in (TOWARDS_FEET, (1, 0, 0, 0, 1, 0, 0, 0, 1), (-1, 0, 0, 0, 1, 0, 0, 0, 1)):
        grid = Geometry((30, 30, 30), (1.0, 1.0, 1.0), (-14.5, -14.5, -14.5), tuple(float(v) for v in direction))
        centre = middle(grid)
        solid = solid_of(ball(grid, centre, 9.0).astype(np.uint8), grid, COLOURS)
        assert (np.einsum("ij,ij->i", solid.normals, solid.places - np.array(centre)) > 0).mean() > 0.99


def test_from_the_front_what_is_left_in_the_patient_is_on_the_right_and_the_head_is_up(grid):
    left_and_high = ball(grid, (20.0, 0.0, 30.0), 9.0)
    right_and_low = ball(grid, (-20.0, 0.0, -30.0), 9.0)
    labels = (left_and_high + 2 * right_and_low).astype(np.uint8)
    picture = draw([solid_of(labels, grid, COLOURS)], Turn(0.0, 0.0), middle(grid), 200, 200, 1.0)
    red, blue = centre_of(picture, 0), centre_of(picture, 2)
    assert red[1] > 100 > blue[1]
    assert red[0] < 100 < blue[0]


def test_what_is_nearer_covers_what_lies_behind_it(grid):
    front, back = ball(grid, (0.0, -20.0, 0.0), 8.0), ball(grid, (0.0, 20.0, 0.0), 8.0)
    solids = [solid_of((2 * back).astype(np.uint8), grid, COLOURS), solid_of(front.astype(np.uint8), grid, COLOURS)]
    for order in (solids, solids[::-1]):
        seen = draw(order, Turn(0.0, 0.0), middle(grid), 100, 100, 1.0)
        assert seen.colours[50, 50, 0] > 0 == seen.colours[50, 50, 2]
        behind = draw(order, Turn(180.0, 0.0), middle(grid), 100, 100, 1.0)
        assert behind.colours[50, 50, 2] > 0 == behind.colours[50, 50, 0]


def test_a_click_on_a_surface_is_its_point_in_the_patient_and_beside_it_nothing(grid):
    labels = ball(grid, (0.0, 0.0, 0.0), 20.0).astype(np.uint8)
    for turn in (Turn(0.0, 0.0), Turn(70.0, 30.0), Turn(200.0, -40.0)):
        picture = draw([solid_of(labels, grid, COLOURS)], turn, (0.0, 0.0, 0.0), 120, 160, 2.0)
        point = picture.pick(0.5, 0.5)
        assert point == pytest.approx(tuple(turn.matrix[2] * 20.0), abs=4.0)
        assert picture.pick(0.01, 0.01) is None
        assert picture.pick(2.0, 0.5) is None


def test_a_preview_is_lighter_and_a_class_without_a_name_is_left_out(grid):
    labels = ball(grid, (0.0, 0.0, 0.0), 15.0).astype(np.uint8)
    plain, lighter = solid_of(labels, grid, COLOURS), solid_of(labels, grid, COLOURS, lighter=True)
    assert (lighter.colours[0] >= plain.colours[0]).all()
    assert lighter.colours.sum() > plain.colours.sum()
    assert solid_of(labels, grid, {2: (0.0, 0.0, 1.0)}) is None
    assert solid_of(np.zeros(grid.shape, np.uint8), grid, COLOURS) is None


def test_a_large_picture_is_drawn_smaller_without_gaps(grid):
    solid = solid_of(ball(grid, (0.0, 0.0, 0.0), 20.0).astype(np.uint8), grid, COLOURS)
    picture = draw([solid], Turn(), (0.0, 0.0, 0.0), 2000, 2000, 30.0)
    rows, columns = picture.depth.shape
    assert rows < 2000
    near = np.isfinite(picture.depth)[rows // 2 - rows // 5:rows // 2 + rows // 5, columns // 2 - columns // 5:columns // 2 + columns // 5]
    assert near.mean() > 0.999


def test_a_mesh_of_a_large_map_is_made_of_blocks_and_stays_within_its_label():
    labels = np.zeros((40, 400, 400), np.uint8)
    labels[5:30, 100:350, 50:300] = 3
    corners, _, values = mesh_of(labels, (2.0, 0.5, 0.5), (0.0, 0.0, 0.0))
    assert set(values) == {3.0}
    assert corners.min(0) == pytest.approx([9.0, 49.75, 24.75], abs=2.5)
    assert corners.max(0) == pytest.approx([59.0, 174.75, 149.75], abs=2.5)
    assert len(corners) < 60_000
