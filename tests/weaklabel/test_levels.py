import numpy as np
import pytest

from napari_medseg.weaklabel.levels import Levels, any_of, pooled
from napari_medseg.weaklabel.marked import held_by_classes, marked, settle
from napari_medseg.weaklabel.scribble_region import cut_out, typical


def region_of(image, spacing):
    return cut_out(image, tuple(slice(0, n) for n in image.shape), spacing, 10**6, typical(image))


def test_thick_slices_wait_until_pixels_are_as_large():
    levels = Levels(region_of(np.random.default_rng(0).normal(size=(5, 41, 40)), (4.0, 1.0, 1.0)))
    assert [levels[i].times for i in range(4)] == [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
    assert levels[2].shape == (5, 11, 10)
    assert levels[3].spacing == (8.0, 8.0, 8.0)


@pytest.mark.parametrize("times", [(1, 2, 2), (2, 2, 2), (3, 1, 2)])
def test_blocks_hold_means_and_marks_of_their_voxels_also_at_the_end(times):
    values = np.random.default_rng(1).normal(size=(5, 7, 9)).astype(np.float32)
    marks = values > 1.2
    means, some = pooled(values, times), any_of(marks, times)
    for place in np.ndindex(means.shape):
        block = tuple(slice(i * t, (i + 1) * t) for i, t in zip(place, times, strict=True))
        assert means[place] == pytest.approx(values[block].mean(), abs=1e-5)
        assert some[place] == marks[block].any()


def test_what_is_drawn_is_found_in_order():
    labels = np.zeros((3, 4, 50), np.uint8)
    labels[0, 0, 0] = labels[1, 2, 3:9] = labels[2, 3, 49] = 255
    np.testing.assert_array_equal(marked(labels), np.flatnonzero(labels))


def test_classes_and_the_box_around_them_leave_background_out():
    labels = np.full((6, 7, 8), 255, np.uint8)
    labels[:2] = 0
    labels[3, 2, 4], labels[4, 5, 1] = 7, 2
    assert held_by_classes(labels) == ([2, 7], (slice(3, 5), slice(2, 6), slice(1, 5)))
    assert held_by_classes(np.full((2, 3, 4), 255, np.uint8)) == ([], None)


def test_strokes_stand_over_what_was_found_and_what_is_far_is_nothing():
    rng = np.random.default_rng(2)
    before, found, drawn = (rng.choice([0, 0, 1, 2, 255], (4, 6, 9)).astype(np.uint8) for _ in range(3))
    before[before == 255] = 0
    near = rng.random(before.shape) < 0.6
    expected = np.where(drawn > 0, drawn, np.where(near, found, 0))
    expected[expected == 255] = 0
    labels = before.copy()
    count, box = settle(labels, found, near, drawn)
    np.testing.assert_array_equal(labels, expected)
    assert count == np.count_nonzero(expected)
    changed = np.nonzero(before != expected)
    assert box == tuple(slice(int(i.min()), int(i.max()) + 1) for i in changed)
    assert settle(labels, found, near, drawn) == (count, None)
