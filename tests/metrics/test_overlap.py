"""Overlap of two masks, with conventions for what is empty."""

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics import dice, iou, precision, recall

SOME = np.array([[[1, 1, 0, 0]]])
OTHER = np.array([[[0, 1, 1, 1]]])
NONE = np.zeros((1, 1, 4), int)


def test_overlap_of_masks_that_share_a_voxel():
    assert dice(SOME, OTHER) == pytest.approx(2 / 5)
    assert iou(SOME, OTHER) == pytest.approx(1 / 4)
    assert precision(SOME, OTHER) == pytest.approx(1 / 2)
    assert recall(SOME, OTHER) == pytest.approx(1 / 3)


def test_two_empty_masks_agree():
    assert dice(NONE, NONE) == iou(NONE, NONE) == 1.0
    assert precision(NONE, NONE) is None
    assert recall(NONE, NONE) is None


def test_an_empty_mask_shares_nothing_and_what_is_0_by_0_stays_undefined():
    assert dice(NONE, SOME) == iou(NONE, SOME) == 0.0
    assert precision(NONE, SOME) is None
    assert recall(NONE, SOME) == 0.0
    assert precision(SOME, NONE) == 0.0
    assert recall(SOME, NONE) is None


def test_any_value_but_0_is_inside():
    assert dice(SOME * 7, SOME.astype(bool)) == 1.0


def test_masks_of_different_shapes_are_refused_rather_than_broadcast():
    with pytest.raises(InvalidInputError, match="cannot be compared"):
        dice(SOME, SOME[..., :1])
