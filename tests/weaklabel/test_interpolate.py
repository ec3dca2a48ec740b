import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.weaklabel.interpolate import interpolate

Y, X = np.indices((40, 40))


def disc(radius, y=20, x=20):
    return (Y - y) ** 2 + (X - x) ** 2 <= radius**2


def test_a_cone_between_two_discs():
    labels = np.zeros((5, 40, 40), np.uint8)
    labels[0][disc(4)], labels[4][disc(12)] = 3, 3
    filled = interpolate(labels)
    for z, radius in enumerate((4, 6, 8, 10, 12)):
        assert np.sqrt((filled[z] == 3).sum() / np.pi) == pytest.approx(radius, abs=0.5)
    np.testing.assert_array_equal(filled[[0, 4]], labels[[0, 4]])


@given(st.integers(2, 7), st.integers(3, 9))
def test_the_same_outline_twice_is_kept_between(gap, radius):
    labels = np.zeros((gap + 1, 40, 40), np.uint8)
    labels[0] = labels[-1] = disc(radius)
    assert (interpolate(labels) == disc(radius)).all()


def test_two_classes_do_not_run_into_each_other():
    labels = np.zeros((3, 40, 40), np.uint8)
    for z in (0, 2):
        labels[z][disc(6, x=12)], labels[z][disc(6, x=28)] = 1, 2
    filled = interpolate(labels)
    np.testing.assert_array_equal(filled[1], labels[0])


def test_listed_slices_replace_what_lies_between_and_an_empty_one_ends_the_shape():
    labels = np.zeros((9, 40, 40), np.uint8)
    labels[0], labels[2] = disc(10), 1
    filled = interpolate(labels, slices=[0, 8])
    assert 0 < filled[2].sum() < disc(10).sum()
    assert not filled[7].any()


def test_slices_beyond_the_annotated_ones_stay_as_they_are():
    labels = np.zeros((7, 40, 40), np.uint16)
    labels[2][disc(5)] = labels[4][disc(5)] = 300
    filled = interpolate(labels)
    assert filled.dtype == np.uint16
    assert not filled[[0, 1, 5, 6]].any()
    assert (filled[3] == 300).any()


@pytest.mark.parametrize(("slices", "kind"), [(None, NoLabelsError), ([0], NoLabelsError), ([0, 99], InvalidInputError)])
def test_what_cannot_be_interpolated_is_refused(slices, kind):
    with pytest.raises(kind):
        interpolate(np.zeros((4, 8, 8), np.uint8), slices)


def test_one_annotated_slice_is_not_enough():
    labels = np.zeros((4, 40, 40), np.uint8)
    labels[1] = disc(4)
    with pytest.raises(InvalidInputError, match="another slice"):
        interpolate(labels)
