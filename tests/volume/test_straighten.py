"""What is painted on the patient's axes lands on the right millimetres of the file, and the rest is left alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.straighten import straightening

SHAPE, SPACING = (9, 14, 12), (2.5, 0.9, 1.1)


def tilted(angles, shape=SHAPE, spacing=SPACING) -> Geometry:
    matrix = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    return Geometry(shape, spacing, (12.0, -30.0, 7.0), tuple(float(v) for v in matrix.ravel()))


angles = st.tuples(*[st.floats(-60, 60)] * 3)


@given(angles, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_a_painted_region_lands_on_its_millimetres_within_half_a_voxel(turns, seed):
    grid = tilted(turns)
    straight = straightening(grid)
    inside = np.argwhere(np.ones(grid.shape, bool))
    centre = straight.target.voxel(grid.world(inside[seed % len(inside)]))
    labels = np.zeros(straight.target.shape, np.uint8)
    low = np.clip(np.rint(centre).astype(int) - 1, 0, np.array(labels.shape) - 1)
    labels[tuple(slice(a, a + 3) for a in low)] = 3
    painted = straight.target.world(np.argwhere(labels))
    back = np.argwhere(straight.undo(labels) == 3)
    assert len(back), "a painted region never vanishes"
    distances = np.linalg.norm(grid.world(back)[:, None] - painted[None], axis=-1)
    assert distances.min(axis=1).max() <= np.linalg.norm(SPACING) / 2 + 1e-6  # half a voxel, measured along its diagonal


@given(angles, st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_one_painted_voxel_is_never_lost(turns, seed):
    grid = tilted(turns)
    straight = straightening(grid)
    rng = np.random.default_rng(seed)
    at = np.rint(straight.target.voxel(grid.world([rng.integers(1, n - 1) for n in grid.shape]))).astype(int)
    labels = np.zeros(straight.target.shape, np.uint8)
    labels[tuple(at)] = 1
    back = np.argwhere(straight.undo(labels))
    assert len(back)
    offsets = np.abs(grid.voxel(straight.target.world(at)) - back)
    assert np.linalg.norm(offsets * SPACING, axis=1).max() <= np.linalg.norm(SPACING) / 2 + 1e-6


@given(angles, st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_what_nobody_touched_comes_back_bit_for_bit(turns, seed):
    grid = tilted(turns)
    straight = straightening(grid)
    stored = np.random.default_rng(seed).integers(0, 4, grid.shape).astype(np.uint8)
    shown = straight.apply(stored)
    np.testing.assert_array_equal(straight.undo_changes(shown, shown, stored), stored)
    drawn = shown.copy()
    drawn[tuple(n // 2 for n in drawn.shape)] = 9
    back = straight.undo_changes(drawn, shown, stored)
    changed = np.argwhere(back != stored)
    spot = straight.target.world([n // 2 for n in drawn.shape])
    assert (back[back != stored] == 9).all()
    assert all(np.linalg.norm(grid.world(voxel) - spot) <= np.linalg.norm(SPACING) for voxel in changed)


def test_erasing_on_the_straight_grid_erases_in_the_file():
    grid = tilted((25, 10, 0))
    straight = straightening(grid)
    stored = np.ones(grid.shape, np.uint8)
    shown = straight.apply(stored)
    assert not straight.undo_changes(np.zeros_like(shown), shown, stored).any()


def test_the_straight_grid_covers_the_scan_and_runs_along_the_patient():
    grid = tilted((30, 20, 10))
    target = straightening(grid).target
    assert target.contains(target.voxel(grid.world(np.argwhere(np.ones(grid.shape))))).all()
    assert not target.is_oblique
    assert target.spacing == SPACING


def test_a_scan_keeps_its_values_at_its_millimetres():
    grid = tilted((20, 0, 0), (20, 30, 30), (1.0, 1.0, 1.0))
    z, y, x = np.indices(grid.shape)
    points = grid.world(np.stack([z, y, x], -1))
    volume = Volume(points[..., 0].astype(np.float32), grid, name="ramp")
    made = straightening(grid).sampled(volume)
    where = np.array([made.geometry.shape]) // 2
    assert made.array[tuple(where[0])] == pytest.approx(made.geometry.world(where[0])[0], abs=0.01)


def test_a_thin_slab_at_a_slant_is_refused():
    with pytest.raises(InvalidInputError, match="at a slant"):
        straightening(tilted((0, 45, 0), (2, 400, 400), (0.5, 0.5, 0.5)))
