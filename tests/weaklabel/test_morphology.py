"""Distances in mm are exact on voxels of any shape, whatever the radius and however many cores there are."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError
from napari_medseg.weaklabel import compiled
from napari_medseg.weaklabel.ground import box_of
from napari_medseg.weaklabel.morphology import close_mm, drop_islands, grown, open_mm, shrunk, squared_distance
from napari_medseg.weaklabel.scene import box_around

GRIDS = [(1.0, 1.0, 1.0), (5.0, 0.7, 0.9), (0.6, 2.1, 1.3)]
RADII = [0.0, 0.5, 1.0, 2.4, 5.0, 7.3, 60.0]


def scattered(shape=(7, 19, 23), share=0.01):
    return np.random.default_rng(3).random(shape) < share


def by_hand(mask, spacing):
    """The distance to the nearest voxel of the mask, one voxel at a time."""
    places = np.argwhere(mask) * spacing
    voxels = np.argwhere(np.ones(mask.shape)) * spacing
    return np.sqrt(((voxels[:, None] - places[None]) ** 2).sum(-1)).min(1).reshape(mask.shape)


@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("radius", RADII)
def test_distances_are_those_measured_one_by_one(spacing, radius):
    mask = scattered()
    exact = by_hand(mask, spacing)
    found = np.sqrt(squared_distance(mask, radius, spacing))
    within = exact <= radius * (1 + 1e-6)
    np.testing.assert_allclose(found[within], exact[within], rtol=1e-5)
    assert np.isinf(found[~within]).all()


@pytest.mark.parametrize("spacing", GRIDS)
def test_growing_and_shrinking_are_each_others_mirror(spacing):
    mask = scattered(share=0.4)
    np.testing.assert_array_equal(grown(mask, 2.4, spacing), by_hand(mask, spacing) <= 2.4)
    np.testing.assert_array_equal(shrunk(mask, 2.4, spacing), ~grown(~mask, 2.4, spacing))


def test_a_radius_that_reaches_a_voxel_centre_just_takes_it():
    mask = np.zeros((1, 1, 9), bool)
    mask[0, 0, 4] = True
    assert grown(mask, 2.1, (1.0, 1.0, 0.7)).sum() == 7


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_the_number_of_cores_changes_nothing(cores, monkeypatch):
    mask = scattered((40, 12, 12))
    expected = squared_distance(mask, 6.0, (1.0, 1.0, 1.0))
    monkeypatch.setattr(compiled, "threads", lambda: cores)
    np.testing.assert_array_equal(squared_distance(mask, 6.0, (1.0, 1.0, 1.0)), expected)


def test_no_voxel_is_infinitely_far_and_every_voxel_is_near():
    empty, full = np.zeros((2, 3, 4), bool), np.ones((2, 3, 4), bool)
    assert np.isinf(squared_distance(empty, 9, (1.0, 1.0, 1.0))).all()
    assert not squared_distance(full, 9, (1.0, 1.0, 1.0)).any()
    assert shrunk(full, 9, (1.0, 1.0, 1.0)).all(), "the border of the scan is no outside"


@pytest.mark.parametrize("spacing", GRIDS)
def test_closing_and_opening_are_those_of_the_textbook(spacing):
    mask = ndi.gaussian_filter(np.random.default_rng(0).random((9, 24, 24)), 1.5) > 0.5
    wide = np.pad(mask, 9)
    close = (by_hand_fast(~(by_hand_fast(wide, spacing) <= 1.9), spacing) > 1.9)[9:-9, 9:-9, 9:-9]
    np.testing.assert_array_equal(close_mm(mask, 1.9, spacing), close)
    opened = by_hand_fast(by_hand_fast(~mask, spacing) > 1.9, spacing) <= 1.9
    np.testing.assert_array_equal(open_mm(mask, 1.9, spacing), opened)


def by_hand_fast(mask, spacing):
    return ndi.distance_transform_edt(~mask, sampling=spacing)


def test_islands_go_unless_they_hold_a_kept_voxel():
    mask = np.zeros((1, 30, 30), bool)
    mask[0, :20, :20] = mask[0, 25, 25] = mask[0, 27, 5] = True
    kept = np.zeros_like(mask)
    kept[0, 27, 5] = True
    left = drop_islands(mask, kept)
    assert left[0, 27, 5]
    assert not left[0, 25, 25]
    assert left.sum() == 401


@pytest.mark.parametrize("box", [box_around, box_of])
def test_there_is_no_box_around_nothing(box):
    with pytest.raises(InvalidInputError, match="nothing in it"):
        box(np.zeros((3, 4, 5), bool), 1.0, (1.0, 1.0, 1.0))
