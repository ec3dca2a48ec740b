"""Pieces put together, and probabilities made into labels."""

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters import Prediction, collect, to_labels


def piece(z, value, classes=1):
    return Prediction((slice(z, z + 2), slice(0, 3), slice(0, 3)), np.full((classes, 2, 3, 3), value, np.float32), None, "working")


def test_a_later_piece_replaces_an_earlier_one():
    whole = collect([piece(0, 0.2), piece(1, 0.8)], (4, 3, 3))
    np.testing.assert_allclose(whole[0, :, 0, 0], [0.2, 0.8, 0.8, 0])


def test_no_piece_is_no_answer():
    with pytest.raises(SegmenterError, match="no answer"):
        collect([], (1, 1, 1))


def test_one_class_lies_above_the_threshold():
    np.testing.assert_array_equal(to_labels(np.array([[[[0.3, 0.5, 0.7]]]], np.float32)), [[[0, 0, 1]]])
    np.testing.assert_array_equal(to_labels(np.array([[[[0.3, 0.5, 0.7]]]], np.float32), 0.4), [[[0, 1, 1]]])


def test_the_most_probable_class_wins_and_the_first_of_equals():
    maps = np.array([[0.6, 0.1, 0.4, 0.7], [0.7, 0.2, 0.6, 0.7]], np.float32)[:, None, None]
    labels = to_labels(maps)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, [[[2, 0, 2, 1]]])


def test_more_classes_than_label_values_are_refused():
    with pytest.raises(InvalidInputError, match="255 probability maps"):
        to_labels(np.zeros((255, 1, 1, 1), np.float32))
