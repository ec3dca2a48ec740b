"""What a label holds: surface against spheres, pieces against flood fill, grey values against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics.area import surface_cm2
from napari_medseg.metrics.runs import piece_count
from napari_medseg.metrics.statistics import PERCENTILES, Values, label_statistics


def ball(radius, spacing, shift=0.0):
    axes = [(np.arange(n) - (n - 1) / 2) * s - shift * s for s in spacing for n in (int(2 * radius / s) + 5,)]
    z, y, x = np.ix_(*axes)
    return z**2 + y**2 + x**2 <= radius**2


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1), (5, 0.7, 0.7), (1, 0.5, 2)])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_surface_of_a_ball_is_right_to_three_percent(spacing, shift):
    assert surface_cm2(ball(20, spacing, shift), spacing) == pytest.approx(4 * np.pi * 4, rel=0.03)


def test_the_surface_of_a_small_ball_is_right_to_five_percent():
    assert surface_cm2(ball(4, (1, 1, 1)), (1, 1, 1)) == pytest.approx(4 * np.pi * 0.16, rel=0.05)


def test_an_empty_mask_has_no_surface_and_a_cut_has_one():
    assert surface_cm2(np.zeros((4, 4, 4), bool), (1, 1, 1)) == 0
    half = ball(20, (1, 1, 1))[: 22]
    assert surface_cm2(half, (1, 1, 1)) > 0.7 * 4 * np.pi * 4  # half a ball and its cut: three quarters


def test_the_surface_does_not_depend_on_how_large_the_grid_around_it_is():
    mask = ball(9, (2, 1, 1))
    assert surface_cm2(np.pad(mask, 20), (2, 1, 1)) == pytest.approx(surface_cm2(mask, (2, 1, 1)))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 0.3, 0.7]))
def test_pieces_are_counted_as_a_flood_fill_counts_them(seed, share):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 12, 3)) < share
    assert piece_count(mask) == ndimage.label(mask, np.ones((3, 3, 3)))[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([np.int16, np.uint8, np.int32, np.float32]))
def test_grey_values_are_those_numpy_finds(seed, kind):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 200, (4, 5, 6)).astype(kind)
    mask = rng.random(image.shape) < 0.5
    mask[0, 0, 0] = True
    found, inside = Values.of(image, mask), image[mask].astype(float)
    assert (found.mean, found.sd, found.minimum, found.maximum) == pytest.approx((inside.mean(), inside.std(), inside.min(), inside.max()))
    assert found.percentiles == pytest.approx(np.percentile(inside, PERCENTILES))
    assert found.counted == inside.size


def test_negative_values_keep_their_sign():
    image = np.array([[[-1024, -1000, 3071]]], np.int16)
    found = Values.of(image, np.ones(image.shape, bool))
    assert (found.minimum, found.maximum, found.percentiles[2]) == (-1024, 3071, -1000)


def test_what_is_no_number_does_not_count():
    image = np.array([[[1.0, np.nan, 3.0, np.inf]]])
    found = Values.of(image, np.ones(image.shape, bool))
    assert (found.mean, found.counted) == (2.0, 2)
    none = Values.of(np.full((1, 1, 2), np.nan), np.ones((1, 1, 2), bool))
    assert none.counted == 0
    assert np.isnan(none.mean)


def test_each_label_is_measured_where_it_lies():
    labels = np.zeros((10, 20, 20), np.uint8)
    labels[2:5, 3:9, 4:8] = 3
    labels[7:9, 10:12, 15:18] = 7
    labels[0, 0, 0] = 7
    image = labels.astype(np.int16) * 10
    first, second = label_statistics(labels, image, (2.0, 1.0, 0.5))
    assert (first.value, first.voxels, first.ml, first.pieces, first.values.mean) == (3, 72, pytest.approx(0.072), 1, 30.0)
    assert first.diameters.slice in (2, 3, 4)
    assert first.centre == (3.0, 5.5, 5.5)
    assert (second.value, second.pieces, second.voxels) == (7, 2, 13)
    assert second.diameters.slice in (7, 8)  # of the larger piece alone
    assert second.diameters.feret_mm < 6


def test_only_wanted_labels_are_measured():
    labels = np.array([[[1, 2, 3]]], np.uint8)
    assert [row.value for row in label_statistics(labels, labels, (1, 1, 1), wanted=[2, 9])] == [2]


def test_a_label_map_of_another_size_is_refused():
    with pytest.raises(InvalidInputError):
        list(label_statistics(np.zeros((2, 2, 2), np.uint8), np.zeros((3, 2, 2)), (1, 1, 1)))
    with pytest.raises(InvalidInputError):
        list(label_statistics(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), (1, 1, 1)))
