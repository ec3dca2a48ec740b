"""What Accept writes: slice by slice, and yet what the whole maps say."""

import numpy as np
import pytest

from napari_medseg.session.merging import merge


def maps(seed, shape=(7, 19, 23)):
    rng = np.random.default_rng(seed)
    labels, preview = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    labels[1:5, 3:12, 2:17] = rng.choice([0, 1, 2, 3], (4, 9, 15))
    preview[2:6, 5:15, 6:21] = rng.choice([0, 1, 2], (4, 10, 15))
    return labels, preview


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("target", [None, 1])
@pytest.mark.parametrize("add", [True, False])
def test_it_is_what_the_whole_maps_give_and_can_be_taken_back(seed, target, add):
    labels, preview = maps(seed)
    before, expected = labels.copy(), labels.copy()
    values = [1, 2] if target is None else [target]
    mine = np.isin(before, values)
    expected[mine & (not add)] = 0
    write = (preview > 0) & (mine | (before == 0))
    expected[write] = preview[write] if target is None else target
    delta = merge(labels, preview, values, target=target, add=add)
    assert np.array_equal(labels, expected)
    for value in range(4):
        assert delta.gained[value] == np.count_nonzero(expected == value) - np.count_nonzero(before == value)
    delta.undo()
    assert np.array_equal(labels, before)
    delta.redo()
    assert np.array_equal(labels, expected)


def test_other_classes_are_overwritten_only_when_that_is_asked():
    labels, preview = maps(9)
    kept, taken = labels.copy(), labels.copy()
    merge(kept, preview, [1], target=1, add=True)
    merge(taken, preview, [1], target=1, add=True, over=True)
    others = (labels > 1) & (preview > 0)
    assert others.any()
    assert np.array_equal(kept[others], labels[others])
    assert (taken[preview > 0] == 1).all()


def test_a_preview_that_changes_nothing_is_no_step():
    labels, preview = maps(3)
    assert merge(labels, np.zeros_like(preview), [1], target=1, add=True) is None
    first = merge(labels, preview, [1], target=1, add=True)
    assert first is not None
    assert merge(labels, preview, [1], target=1, add=True) is None


def test_a_plain_label_costs_a_bit_a_voxel():
    labels, preview = np.zeros((30, 64, 64), np.uint8), np.zeros((30, 64, 64), np.uint8)
    preview[3:20, 10:50, 9:40] = 1
    delta = merge(labels, preview, [5], target=5, add=True)
    assert (labels[3:20, 10:50, 9:40] == 5).all()
    assert delta.nbytes < preview.size / 8
    assert delta.gained[5] == 17 * 40 * 31
