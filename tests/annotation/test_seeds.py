import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.annotation import seed_voxels
from napari_medseg.errors import InvalidInputError, NoSeedsError
from napari_medseg.volume import Geometry

TURNED = Geometry((4, 6, 8), (5.0, 0.7, 0.9), (-12.0, 30.0, 7.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))


@given(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 7)), st.floats(-0.49, 0.49))
def test_a_point_anywhere_in_a_voxel_becomes_that_voxel(voxel, offset):
    point = TURNED.world(np.array(voxel) + offset)
    assert seed_voxels([point], TURNED).tolist() == [list(voxel)]


def test_seeds_keep_their_order():
    voxels = [[3, 5, 7], [0, 0, 0], [1, 2, 3]]
    found = seed_voxels(TURNED.world(voxels), TURNED)
    assert found.tolist() == voxels
    assert found.dtype == np.intp


def test_no_seeds_is_an_error_that_says_what_to_do():
    with pytest.raises(NoSeedsError, match="Click"):
        seed_voxels([], TURNED)


@pytest.mark.parametrize("far", [[1000.0, 0.0, 0.0], [1e300, 0.0, 0.0]])
def test_the_point_outside_the_scan_is_named(far):
    with pytest.raises(InvalidInputError, match="seed 2") as caught:
        seed_voxels([TURNED.world([1, 1, 1]), far], TURNED)
    assert "outside" in str(caught.value)


@pytest.mark.parametrize(("points", "said"), [([[1.0, 2.0]], "three numbers"), ([[0.0, np.nan, 0.0]], "seed 1"), ([[[1.0, 2.0, 3.0]]], "three numbers")])
def test_a_point_that_is_no_point_is_refused(points, said):
    with pytest.raises(InvalidInputError, match=said):
        seed_voxels(points, TURNED)
