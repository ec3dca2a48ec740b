"""Volumes on other grids keep their millimetres, and labels their values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.errors import GridMismatchError, InvalidInputError
from napari_medseg.volume import Geometry, Volume, require_same_grid
from napari_medseg.volume.resample import resample, respaced

spacings = st.tuples(*[st.floats(0.4, 6.0)] * 3)


def faces(grid: Geometry) -> np.ndarray:
    """The outermost points of the outermost voxels."""
    return grid.world([[-0.5] * 3, [n - 0.5 for n in grid.shape]])


@given(spacings, spacings, st.tuples(*[st.integers(1, 40)] * 3))
def test_another_spacing_covers_the_same_box_to_half_a_voxel(old, new, shape):
    grid = Geometry(shape, old, (3.0, -4.0, 5.0))
    other = respaced(grid, new)
    np.testing.assert_allclose(faces(other)[0], faces(grid)[0], atol=1e-6)
    loss = np.abs(faces(other)[1] - faces(grid)[1])[::-1]
    least_one = np.maximum(np.array(shape) * old, new) - np.array(shape) * old  # a grid has at least one voxel
    assert (loss <= np.maximum(np.array(new) / 2, least_one) + 1e-6).all()


def test_a_linear_ramp_stays_a_linear_ramp():
    grid = Geometry((10, 12, 14), (4.0, 1.0, 1.5), (1.0, 2.0, 3.0))
    x = grid.world(np.stack(np.indices(grid.shape), -1))[..., 0]
    finer = respaced(grid, (2.0, 1.0, 0.75))
    shown = resample(Volume(x.astype(np.float32), grid), finer).array
    expected = finer.world(np.stack(np.indices(finer.shape), -1))[..., 0]
    np.testing.assert_allclose(shown[1:-1, 1:-1, 1:-1], expected[1:-1, 1:-1, 1:-1], atol=1e-4)


def test_labels_get_no_new_values_and_go_there_and_back():
    rng = np.random.default_rng(1)
    labels = Volume(rng.choice(np.array([0, 3, 200], np.uint8), (6, 8, 9)), Geometry((6, 8, 9), (3.0, 1.0, 1.0)))
    finer = resample(labels, respaced(labels.geometry, (1.0, 0.5, 0.5)), labels=True)
    assert finer.array.dtype == np.uint8
    assert set(np.unique(finer.array)) <= {0, 3, 200}
    np.testing.assert_array_equal(resample(finer, labels.geometry, labels=True).array, labels.array)


def test_channels_are_resampled_each_by_itself():
    array = np.stack([np.full((4, 4, 4), 1.0), np.full((4, 4, 4), 7.0)]).astype(np.float32)
    volume = resample(Volume(array, Geometry((4, 4, 4))), Geometry((2, 2, 2), (1.5, 1.5, 1.5), (0.5, 0.5, 0.5)))
    assert volume.array.shape == (2, 2, 2, 2)
    assert np.ptp(volume.array[0]) == 0
    assert volume.array[1].mean() == 7.0


def test_a_mask_of_another_size_says_both_sizes_and_what_to_do():
    with pytest.raises(GridMismatchError, match=r"liver.nii.gz: lies on another grid.*9 x 8 x 6.*9 x 8 x 12.*convert"):
        require_same_grid(Geometry((12, 8, 9)), Geometry((6, 8, 9)), "liver.nii.gz")


def test_a_mask_that_lies_elsewhere_says_how_far():
    with pytest.raises(GridMismatchError, match=r"same size, but 3\.0 mm away"):
        require_same_grid(Geometry((5, 5, 5)), Geometry((5, 5, 5), origin=(0.0, 3.0, 0.0)), "m")


def test_an_array_must_fill_its_grid():
    with pytest.raises(InvalidInputError, match="does not fill a grid"):
        Volume(np.zeros((2, 3, 4)), Geometry((2, 3, 5)))


def test_a_crop_is_a_view_on_its_own_grid():
    volume = Volume(np.arange(60).reshape(3, 4, 5), Geometry((3, 4, 5), (2.0, 1.0, 1.0)))
    part = volume.cropped((slice(1, 3), slice(0, 2), slice(2, 5)))
    assert np.shares_memory(part.array, volume.array)
    assert part.geometry.origin == (2.0, 0.0, 2.0)
