"""Which class was taken for which, in voxels and in shares."""

import json

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics import class_confusion, confusion
from napari_medseg.metrics.confusion import added, told


def test_shares_say_whose_misses_the_false_positives_are():
    truth = np.zeros((1, 1, 20), np.uint8)
    truth[..., :8], truth[..., 8:12] = 1, 2
    pred = truth.copy()
    pred[..., 6:8] = 2  # two of class 1's eight voxels are taken for class 2,
    pred[..., 12:18] = 2  # with six of background
    found = class_confusion(pred, truth)
    two = found.classes["2"]
    assert (two.false_positives, two.are_really) == (8, {"0": 0.75, "1": 0.25})
    assert (two.misses, two.taken_for) == (0, {})
    one = found.classes["1"]
    assert (one.misses, one.taken_for, one.false_positives) == (2, {"2": 1.0}, 0)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_values_beyond_a_byte_are_told_apart(dtype):
    truth, pred = np.zeros((2, 3, 4), dtype), np.zeros((2, 3, 4), np.uint16)
    truth[0], pred[0] = 300, 65535
    pred[1, 0] = 300
    assert confusion(pred, truth) == {"0": {"300": 4}, "300": {"65535": 12}}


def test_bool_masks_have_one_class():
    truth, pred = np.zeros((2, 3, 4), bool), np.ones((2, 3, 4), bool)
    truth[0] = True
    assert confusion(pred, truth) == {"0": {"1": 12}, "1": {"1": 12}}


def test_counts_of_cases_add_up_by_value():
    total = added([{"2": {"2": 5}, "0": {"10": 1}}, {"2": {"0": 5, "2": 1}, "1": {"1": 1}}])
    assert total == {"0": {"10": 1}, "1": {"1": 1}, "2": {"0": 5, "2": 6}}
    assert list(total) == ["0", "1", "2"]
    assert told(total).classes["2"].taken_for == {"0": 1.0}


def test_every_voxel_counts_once():
    rng = np.random.default_rng(0)
    pred, truth = (rng.integers(0, 4, (5, 6, 7)) for _ in range(2))
    counts = confusion(pred, truth)
    assert sum(sum(row.values()) for row in counts.values()) == np.count_nonzero(pred | truth)
    for value in (1, 2, 3):
        assert sum(counts[str(value)].values()) == np.count_nonzero(truth == value)


def test_masks_that_cannot_be_compared_are_refused():
    with pytest.raises(InvalidInputError, match="cannot be compared"):
        confusion(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(InvalidInputError, match="is no label map"):
        confusion(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))
