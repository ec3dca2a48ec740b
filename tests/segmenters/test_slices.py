"""A network sees the same picture whatever order a file stores, and its answer comes back to the file's grid."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_medseg.segmenters.slices import box_in_file, normalise, prepare, prepare_labels, restore, slice_order, thick_axis
from napari_medseg.volume import Geometry, Volume, orient

ORDERS = ["LPI", "LPS", "LAS", "RAS", "RAI", "PSL", "IRA", "SAR", "ALS"]


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((5.0, 0.7, 0.7), 0), ((0.7, 5.0, 0.7), 1), ((0.7, 0.7, 5.0), 2), ((1.0, 1.0, 1.0), 0), ((1.0, 1.000001, 1.0), 0), ((0.9, 1.0, 0.9), 1)],
)
def test_slices_run_along_the_largest_spacing(spacing, axis):
    assert thick_axis(spacing) == axis


@pytest.mark.parametrize("spacing", [(5.0, 0.7, 0.8), (0.8, 5.0, 0.7), (0.7, 0.8, 5.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("order", ORDERS)
def test_a_file_stored_otherwise_gives_the_same_stack(spacing, order):
    values = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    volume = orient(Volume(values, Geometry((4, 5, 6), spacing, (3.0, -2.0, 7.0))), "LPI")
    turned = orient(volume, order)
    np.testing.assert_array_equal(slice_order(turned.geometry).apply(turned.array), slice_order(volume.geometry).apply(volume.array))


@pytest.mark.parametrize("order", ORDERS)
def test_a_box_of_the_stack_is_found_in_the_file(order):
    values = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    volume = orient(Volume(values, Geometry((4, 5, 6), (0.7, 0.8, 5.0))), order)
    turn = slice_order(volume.geometry)
    stack = turn.apply(volume.array)
    box = slice(1, 3), slice(0, 2), slice(2, 4)
    np.testing.assert_array_equal(volume.array[box_in_file(turn, box, stack.shape)], turn.undo(stack[box]))


@example(np.array([[[5e-324, 0.0]]]))  # the smallest number there is, halved, is 0
@given(arrays.arrays(np.float64, (2, 3, 4), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_normalised_slices_lie_between_0_and_1_whatever_they_hold(values):
    scaled = normalise(values)
    assert scaled.dtype == np.float32
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert (scaled[~np.isfinite(values)] == 0).all()
    for before, after in zip(values, scaled, strict=True):
        some = before[np.isfinite(before)]
        if some.size and some.max() / 2 > some.min() / 2:
            assert after.max() == 1


def test_each_slice_is_normalised_by_itself():
    scaled = normalise(np.array([[[0, 5], [10, 5]], [[100, 100], [300, 200]], [[7, 7], [7, 7]]], dtype=np.int16))
    np.testing.assert_array_equal(scaled, [[[0, 0.5], [1, 0.5]], [[0, 0], [1, 0.5]], [[0, 0], [0, 0]]])


def test_whole_numbers_at_both_ends_of_their_type_do_not_wrap():
    np.testing.assert_array_equal(normalise(np.array([[-32768, 32767]], dtype=np.int16)), [[0, 1]])


def test_channels_stay_channels():
    stack = np.random.default_rng(0).normal(size=(2, 3, 20, 30))
    assert prepare(stack).shape == (3, 2, 128, 128)
    np.testing.assert_array_equal(prepare(stack)[:, 1:], prepare(stack[1]))


def test_there_and_back_keeps_a_smooth_picture():
    y, x = np.mgrid[:60, :90] / 30.0
    picture = np.sin(y) * np.cos(x)
    back = restore(prepare(picture[None]), (60, 90))[0, 0]
    np.testing.assert_allclose(back, normalise(picture[None])[0], atol=0.01)


def test_resampling_keeps_the_place_of_things():
    """Half a pixel of drift each way would show here: the centre of mass of a disc stays within 0.05 pixel."""
    y, x = np.mgrid[:45, :45]
    disc = ((y - 17) ** 2 + (x - 25) ** 2 < 64).astype(np.float32)
    back = restore(prepare(disc[None]), (45, 45))[0, 0]
    assert (back * y).sum() / back.sum() == pytest.approx(17, abs=0.05)
    assert (back * x).sum() / back.sum() == pytest.approx(25, abs=0.05)


def test_targets_are_one_map_a_class_and_unknown_voxels_are_left_out():
    labels = np.zeros((1, 128, 128), np.uint8)
    labels[0, :32], labels[0, 32:64], labels[0, 100:] = 1, 2, 255
    targets, known = prepare_labels(labels, classes=2)
    assert targets.shape == (1, 2, 128, 128)
    assert known.shape == (1, 1, 128, 128)
    assert targets[0, 0, :32].min() == 1
    assert targets[0, 0, 32:].max() == 0
    assert targets[0, 1, 32:64].min() == 1
    assert known[0, 0, :100].min() == 1
    assert known[0, 0, 100:].max() == 0


def test_a_pixel_that_touches_the_unknown_is_not_known():
    labels = np.zeros((1, 50, 50), np.uint8)
    labels[0, 20:30] = 255
    _, known = prepare_labels(labels)
    back = torch.nn.functional.interpolate(1 - known, size=(50, 50), mode="nearest")[0, 0]
    assert back[20:30].min() == 1


def test_a_flat_volume_of_one_slice_turned_round_can_be_prepared():
    """An axis of one voxel may run backwards in memory, which torch refuses."""
    volume = orient(Volume(np.ones((1, 1, 1), np.uint8), Geometry((1, 1, 1))), "RAS")
    stack = slice_order(volume.geometry).apply(volume.array)
    assert prepare(stack).shape == (1, 1, 128, 128)
    assert prepare_labels(stack)[0].shape == (1, 1, 128, 128)
