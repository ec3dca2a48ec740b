"""What is counted from the runs of a mask is what counting its voxels gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_medseg.metrics.pieces import hole_count, pieces_and_strays
from napari_medseg.metrics.runs import Runs, runs_of

ALL = np.ones((3, 3, 3))


@st.composite
def masks(draw, count=1):
    shape = draw(st.tuples(*[st.integers(1, 9)] * 3))
    made = [np.random.default_rng(draw(st.integers(0, 10**6))).random(shape) < draw(st.floats(0, 1)) for _ in range(count)]
    return made if count > 1 else made[0]


def shell(mask, flat):
    inner = mask.copy()
    for axis in np.flatnonzero(np.logical_not(flat)):
        around = np.pad(mask, [(int(a == axis),) * 2 for a in range(3)])
        inner &= np.take(around, range(mask.shape[axis]), axis) & np.take(around, range(2, mask.shape[axis] + 2), axis)
    return mask & ~inner


@settings(max_examples=150, deadline=None)
@given(masks())
def test_a_mask_comes_back_from_its_runs(mask):
    runs = runs_of(mask)
    np.testing.assert_array_equal(runs.mask(), mask)
    np.testing.assert_array_equal(runs.points(), np.argwhere(mask))
    assert runs.voxels == mask.sum()
    if mask.any():
        assert runs.centroid == pytest.approx(np.argwhere(mask).mean(0))


@settings(max_examples=150, deadline=None)
@given(masks(count=2))
def test_pieces_strays_and_shared_voxels_are_those_of_labelling(pair):
    one, two = pair
    pieces, count = ndimage.label(one, ALL)
    met = np.unique(pieces[two])
    assert pieces_and_strays(runs_of(one), runs_of(two)) == (count, count - np.count_nonzero(met))
    assert runs_of(one).overlap(runs_of(two)) == np.count_nonzero(one & two)
    np.testing.assert_array_equal(runs_of(one | two).without(runs_of(one & two)).mask(), one ^ two)


@settings(max_examples=150, deadline=None)
@given(masks(), st.tuples(*[st.booleans()] * 3))
def test_shells_and_holes_are_those_of_the_voxels(mask, flat):
    np.testing.assert_array_equal(runs_of(mask).shell(flat).mask(), shell(mask, flat))
    rim = [(0, 0) if one else (1, 1) for one in flat]
    assert hole_count(mask, flat) == max(ndimage.label(np.pad(~mask, rim, constant_values=True))[1] - 1, 0)


@settings(max_examples=150, deadline=None)
@given(masks(), st.booleans())
def test_joining_runs_and_labelling_voxels_find_the_same_pieces(mask, corners):
    pieces, count = ndimage.label(mask, ALL if corners else None)
    for crowded in (0.0, 2.0):  # as noise, and as a mask of few runs
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("napari_medseg.metrics.runs._CROWDED", crowded)
            runs = runs_of(mask)
            found, piece = runs.joined(corners)
        assert found == count
        voxel = pieces.reshape(-1, mask.shape[2])[runs.row, runs.start]
        assert len(set(zip(piece.tolist(), voxel.tolist(), strict=True))) == count


def test_a_mask_without_voxels_has_no_runs():
    nothing = runs_of(np.zeros((3, 4, 5), bool))
    assert isinstance(nothing, Runs)
    assert (nothing.voxels, nothing.joined(corners=True)[0], len(nothing.points())) == (0, 0, 0)
