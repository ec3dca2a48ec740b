"""Copies of label maps, and the memory that is kept for them."""

import numpy as np

from napari_medseg.session.snapshots import MOST, Snapshots


def test_a_copy_stays_as_it_was_while_the_labels_change_and_lies_in_memory_used_before():
    labels, snapshots = np.arange(60, dtype=np.uint8).reshape(3, 4, 5), Snapshots()
    snapshots.prepare(labels)
    first, second = snapshots.take(labels), snapshots.take(labels)
    labels[:] = 7
    assert np.array_equal(first.ravel(), np.arange(60))
    assert not np.shares_memory(first, second)
    snapshots.give_back(first, None)
    third = snapshots.take(labels)
    assert np.shares_memory(third, first)
    assert (third == 7).all()
    assert np.array_equal(second.ravel(), np.arange(60))


def test_labels_of_another_form_are_copied_too():
    snapshots = Snapshots()
    snapshots.prepare(np.zeros((3, 4, 5), np.uint8))
    for labels in (np.ones((2, 2, 2), np.uint8), np.full((3, 4, 5), 70_000, np.int64), np.asfortranarray(np.ones((3, 4, 5), np.uint8))[::-1]):
        assert np.array_equal(snapshots.take(labels), labels)


def test_no_more_memory_is_kept_than_one_save_needs():
    labels, snapshots = np.zeros((3, 4, 5), np.uint8), Snapshots()
    copies = [snapshots.take(labels) for _ in range(MOST + 3)]
    wide = [snapshots.take(labels.astype(np.int64)) for _ in range(2)]
    snapshots.give_back(*copies, *wide)
    again = [snapshots.take(labels) for _ in range(MOST + 3)]
    assert sum(any(np.shares_memory(each, copy) for copy in copies) for each in again) == MOST
    snapshots.give_back(*again)
    snapshots.clear()
    assert not any(np.shares_memory(snapshots.take(labels), copy) for copy in again)
