import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.weaklabel.cleanup import CleanupSettings, clean

SPACING = (5.0, 1.0, 1.0)  # a voxel is 0.005 ml


@pytest.fixture
def labels():
    out = np.zeros((5, 30, 30), np.uint8)
    out[1:4, 5:15, 5:15] = 1
    out[2, 9:11, 9:11] = 0  # a hole
    out[2, 25, 25] = 1  # a crumb
    out[2, 20:24, 5:9] = 2
    return out


def test_small_pieces_go_and_are_counted(labels):
    cleaned = clean(labels, SPACING, CleanupSettings(min_ml=0.01))
    assert cleaned.removed_components == 1
    assert cleaned.labels[2, 25, 25] == 0
    assert (cleaned.labels == 2).sum() == 16
    assert labels[2, 25, 25] == 1


def test_only_the_largest_piece_of_each_class_stays(labels):
    labels[4, 0:2, 0:2] = 2
    cleaned = clean(labels, SPACING, CleanupSettings(largest=True))
    assert cleaned.removed_components == 2
    assert set(np.unique(cleaned.labels)) == {0, 1, 2}


@pytest.mark.parametrize("settings", [CleanupSettings(fill=True), CleanupSettings(close_mm=2.5)])
def test_holes_are_filled_or_closed(labels, settings):
    assert (clean(labels, SPACING, settings).labels[2, 9:11, 9:11] == 1).all()


def test_another_class_in_the_hole_is_not_taken(labels):
    labels[2, 9:11, 9:11] = 2
    assert (clean(labels, SPACING, CleanupSettings(fill=True, close_mm=3)).labels[2, 9:11, 9:11] == 2).all()


def test_nothing_asked_changes_nothing(labels):
    cleaned = clean(labels, SPACING)
    np.testing.assert_array_equal(cleaned.labels, labels)
    assert cleaned.removed_components == 0
    assert not clean(np.zeros_like(labels), SPACING, CleanupSettings(fill=True, largest=True)).labels.any()


def test_fractions_and_negative_sizes_are_refused(labels):
    with pytest.raises(InvalidInputError, match="label map"):
        clean(labels.astype(float), SPACING)
    with pytest.raises(InvalidInputError, match="zero or more"):
        CleanupSettings(min_ml=-1)
