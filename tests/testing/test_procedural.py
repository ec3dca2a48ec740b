"""Volumes made by chance: repeatable, varied, and true to what their makers say of them."""

import numpy as np
import pytest
from scipy import ndimage

from napari_medseg.testing.procedural import SIDE, SMALLEST, _slices, procedural_volume
from napari_medseg.testing.procedural_shapes import noise


@pytest.fixture(scope="module")
def many():
    return [procedural_volume((51, seed)) for seed in range(40)]


def test_the_same_seed_gives_the_same_volume():
    first, again, other = procedural_volume(7), procedural_volume(7), procedural_volume(8)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.truth, again.truth)
    assert first.known == again.known
    assert not np.array_equal(first.image, other.image)


def test_a_pair_of_numbers_is_a_seed_too():
    assert not np.array_equal(procedural_volume((1, 2)).image, procedural_volume((2, 1)).image)


def test_every_volume_has_something_to_outline_where_the_scan_was(many):
    for made in many:
        assert made.image.shape == made.truth.shape == (SIDE, SIDE, SIDE)
        assert (made.image.dtype, made.truth.dtype) == (np.float32, bool)
        assert np.isfinite(made.image).all()
        assert np.ptp(made.image) > 0
        beyond = np.ones_like(made.truth)
        beyond[made.known] = False
        assert not made.truth[beyond].any()
        assert made.truth.any()


def test_an_object_the_scan_holds_whole_is_in_one_piece(many):
    whole = [made.truth for made in many if all(part == slice(0, SIDE) for part in made.known)]
    assert len(whole) > 15
    for truth in whole:
        assert ndimage.label(truth)[1] == 1
        assert np.count_nonzero(truth) >= SMALLEST


def test_objects_are_small_and_large_and_some_leave_the_window(many):
    sizes = [np.count_nonzero(made.truth) for made in many]
    assert min(sizes) < 500
    assert max(sizes) > 20000
    leaving = [made for made in many if any(np.take(made.truth, [0, -1], axis).any() for axis in range(3))]
    assert 3 < len(leaving) < 35


def test_objects_are_brighter_and_darker_than_what_lies_around_them(many):
    brighter = []
    for made in many:
        ring = ndimage.binary_dilation(made.truth, iterations=3) & ~ndimage.binary_dilation(made.truth)
        if ring.any():
            brighter.append(np.median(made.image[made.truth]) > np.median(made.image[ring]))
    assert 0.25 < np.mean(brighter) < 0.75


def test_a_scan_that_ends_within_the_window_repeats_its_edge(many):
    ended = [made for made in many if made.known[0].start > 0]
    assert ended
    for made in ended:
        first = made.known[0].start
        assert np.array_equal(made.image[0], made.image[first])


def test_other_sides_can_be_asked_for():
    made = procedural_volume(3, side=64)
    assert made.image.shape == made.truth.shape == (64, 64, 64)


def test_noise_has_mean_0_and_deviation_1_and_is_as_smooth_as_asked():
    rough, smooth = (noise(np.random.default_rng(1), 48, nodes) for nodes in (20, 3))
    for field in (rough, smooth):
        assert abs(field.mean()) < 1e-3
        assert field.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(smooth, axis=2)).mean() < 0.3 * np.abs(np.diff(rough, axis=2)).mean()


@pytest.mark.parametrize("thickness", [1.5, 3.0, 6.0])
def test_thick_slices_keep_what_is_even_and_blur_what_is_thin(thickness):
    slices = _slices(48, thickness, 0.3)
    np.testing.assert_allclose(slices.sum(axis=1), 1, atol=1e-5)
    assert np.all(slices >= 0)
    thin = np.zeros(48)
    thin[20] = 1
    assert (slices @ thin).max() < 1.2 / thickness
