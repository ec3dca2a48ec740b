"""Turning a scan to the display and back loses nothing, from every orientation there is."""

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Geometry, Volume, axis_map, orient, orientation
from napari_medseg.volume.orientation import DISPLAY, towards
from napari_medseg.volume.resample import to_sitk

ORIENTATIONS = ["".join(letters) for order in permutations(["LR", "PA", "SI"]) for letters in product(*order)]


def scan(direction, shape=(3, 4, 5)) -> Volume:
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    return Volume(array, Geometry(shape, (5.0, 0.8, 1.1), (10.0, -20.0, 30.0), tuple(np.ravel(direction))))


def direction_of(letters: str) -> np.ndarray:
    towards = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    return np.array([towards[letter] for letter in letters], dtype=float).T


def assert_same_as_simpleitk(volume: Volume, axes: str) -> None:
    turned = orient(volume, axes)
    expected = sitk.DICOMOrient(to_sitk(volume.array, volume.geometry), axes)
    np.testing.assert_array_equal(turned.array, sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(turned.geometry.origin, expected.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(turned.geometry.direction, expected.GetDirection(), atol=1e-12)
    np.testing.assert_allclose(turned.geometry.spacing, expected.GetSpacing()[::-1])


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("letters", ORIENTATIONS)
def test_every_orientation_turns_as_simpleitk_turns_it_and_comes_back_bit_for_bit(letters):
    volume = scan(direction_of(letters))
    assert orientation(volume.geometry) == letters
    assert_same_as_simpleitk(volume, DISPLAY)
    assert_same_as_simpleitk(volume, "RAS")
    turn = axis_map(volume.geometry)
    np.testing.assert_array_equal(turn.undo(turn.apply(volume.array)), volume.array)
    assert turn.apply(volume.array).flags.c_contiguous


@given(st.tuples(*[st.floats(-180, 180)] * 3), st.booleans())
def test_oblique_scans_turn_as_simpleitk_turns_them(angles, mirrored):
    matrix = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    if mirrored:
        matrix[:, 0] *= -1
    largest = np.sort(np.abs(matrix), axis=0)
    assume(((largest[2] - largest[1]) > 0.02).all())  # an axis midway between two of the patient's has no nearest one
    assume(len(set(np.abs(matrix).argmax(axis=0))) == 3)
    assert_same_as_simpleitk(scan(matrix), DISPLAY)


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_oblique_scans_come_back_bit_for_bit_and_stay_at_their_millimetres(angles):
    volume = scan(Rotation.from_euler("zyx", angles, degrees=True).as_matrix())
    turn = axis_map(volume.geometry)
    shown = turn.geometry(volume.geometry)
    np.testing.assert_array_equal(turn.undo(turn.apply(volume.array)), volume.array)
    order = np.lexsort(np.round(volume.geometry.corners(), 6).T), np.lexsort(np.round(shown.corners(), 6).T)
    np.testing.assert_allclose(volume.geometry.corners()[order[0]], shown.corners()[order[1]], atol=1e-5)


def test_channels_stay_in_front():
    volume = scan(direction_of("SAL"))
    both = np.stack([volume.array, volume.array + 1000])
    turn = axis_map(volume.geometry)
    np.testing.assert_array_equal(turn.apply(both)[1], turn.apply(volume.array) + 1000)
    np.testing.assert_array_equal(turn.undo(turn.apply(both)), both)


@pytest.mark.parametrize("axes", ["", "LP", "LLI", "LAP", "XYZ", "LPIS"])
def test_an_orientation_that_is_none_is_refused(axes):
    with pytest.raises(InvalidInputError, match="is no orientation"):
        axis_map(Geometry((2, 2, 2)), axes)


@pytest.mark.parametrize(("direction", "letters"), [
    ((1, 0, 0), "L"), ((0, -2, 0), "A"), ((0, 0, -1), "I"), ((-0.9, -0.4, 0), "RA"), ((-0.4, -0.9, 0), "AR"), ((1, 0.05, 0), "L"), ((0, 0, 0), ""),
])
def test_a_direction_has_one_letter_or_two_when_turned(direction, letters):
    assert towards(direction) == letters


def test_a_view_turns_as_a_copy_does_and_takes_no_memory():
    volume = scan(direction_of("SAL"))
    turn = axis_map(volume.geometry)
    np.testing.assert_array_equal(turn.view(volume.array), turn.apply(volume.array))
    assert np.shares_memory(turn.view(volume.array), volume.array)
