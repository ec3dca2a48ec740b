import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.metrics import dice
from napari_medseg.weaklabel.interpolate import interpolate, interpolating

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


SPACING = (4.0, 1.0, 1.0)


def organ(slices=13):
    """A bright disc that moves along a bend and breathes, on grey noise: image and truth."""
    truth = np.stack([disc(7 + 3 * np.sin(z / 3), 20 + 9 * np.sin(z / 4), 14 + z) for z in range(slices)])
    noise = np.random.default_rng(0).normal(0, 40, truth.shape)
    return (np.where(truth, 700, 300) + noise).astype(np.int16), truth.astype(np.uint8)


def some_slices(truth, every):
    labels = np.zeros_like(truth)
    labels[::every] = truth[::every]
    return labels


def test_a_disc_that_moves_straight_is_found_on_its_way():
    labels = np.zeros((5, 40, 40), np.uint8)
    labels[0], labels[4] = disc(4, 8, 8), disc(4, 28, 24)
    filled = interpolate(labels)
    for z in range(5):
        np.testing.assert_array_equal(filled[z] > 0, disc(4, 8 + 5 * z, 8 + 4 * z))


def test_slices_farther_off_bend_the_way():
    _, truth = organ()
    through = interpolate(some_slices(truth, 4), spacing=SPACING)
    apart = np.concatenate([interpolate(some_slices(truth, 4)[a : a + 5], spacing=SPACING)[: 5 if a == 8 else 4] for a in (0, 4, 8)])
    assert dice(through, truth) > dice(apart, truth) + 0.005


@pytest.mark.parametrize("every", [2, 3, 4])
def test_the_image_shows_where_the_outline_runs(every):
    image, truth = organ()
    labels = some_slices(truth, every)
    left = [z for z in range(12) if z % every]
    shape, seen = interpolate(labels, spacing=SPACING), interpolate(labels, spacing=SPACING, image=image)
    assert dice(seen[left], truth[left]) > max(0.95, dice(shape[left], truth[left]))
    np.testing.assert_array_equal(seen[::every], labels[::every])


def test_several_classes_follow_the_image_each_to_its_own_edge():
    image, truth = organ()
    right = np.indices(truth.shape)[2] > 18 + np.arange(13)[:, None, None] * 0.5
    truth = np.where(truth & right, 4, truth * 2).astype(np.uint8)
    image = np.where(truth == 4, image + 250, image)
    seen = interpolate(some_slices(truth, 3), spacing=SPACING, image=image)
    for value in (2, 4):
        assert dice(seen[:12] == value, truth[:12] == value) > 0.93


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_may_be_counted_along_any_axis(axis):
    image, truth = organ()
    labels = some_slices(truth, 3)
    turned = [np.ascontiguousarray(np.moveaxis(a, 0, axis)) for a in (labels, image)]
    spacing = np.insert([1.0, 1.0], axis, 4.0)
    for scan, beside in ((None, None), (image, turned[1])):
        along = interpolate(turned[0], spacing=tuple(spacing), image=beside, axis=axis)
        np.testing.assert_array_equal(np.moveaxis(along, axis, 0), interpolate(labels, spacing=SPACING, image=scan))


def test_a_slice_left_empty_on_purpose_ends_the_organ_with_the_image_too():
    image, truth = organ()
    labels = np.zeros_like(truth)
    labels[4] = truth[4]
    image[7:] = 300
    seen = interpolate(labels, [4, 8], spacing=SPACING, image=image)
    assert seen[5].any()
    assert not seen[7].any()


def test_every_gap_is_shown_as_it_is_filled_and_can_be_the_last():
    _, truth = organ()
    labels = some_slices(truth, 4)
    seen = list(interpolating(labels, SPACING))
    assert [each.fraction for each in seen] == pytest.approx([1 / 3, 2 / 3, 1])
    before = labels
    for each in seen:
        different = each.labels != before
        assert different.any()
        different[each.box] = False
        assert not different.any()
        before = each.labels
    for count in range(3):
        running = interpolating(labels, SPACING)
        for _ in range(count):
            next(running)
        running.close()
    np.testing.assert_array_equal(interpolate(labels, spacing=SPACING), seen[-1].labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_scans_of_every_type_give_the_same(dtype):
    image, truth = organ()
    typed = (image / 8).astype(dtype) if dtype is np.uint8 else image.astype(dtype)
    before = typed.copy()
    seen = interpolate(some_slices(truth, 4), spacing=SPACING, image=typed)
    assert dice(seen, interpolate(some_slices(truth, 4), spacing=SPACING, image=image)) > 0.98
    np.testing.assert_array_equal(typed, before)


def test_a_scan_with_holes_or_of_one_value_serves_as_far_as_it_goes():
    image, truth = organ()
    labels = some_slices(truth, 4)
    holes = image.astype(np.float32)
    holes[:, :4] = np.nan
    assert dice(interpolate(labels, spacing=SPACING, image=holes), truth) > 0.95
    assert dice(interpolate(labels, spacing=SPACING, image=np.full_like(image, 7)), interpolate(labels, spacing=SPACING)) > 0.95


@pytest.mark.parametrize(("given", "said"), [
    ({"image": np.zeros((2, 40, 40))}, "do not fit"), ({"image": np.full((13, 40, 40), np.nan)}, "no number"),
    ({"image": np.zeros((13, 40, 40, 3))}, "no volume"), ({"axis": 3}, "no axis"),
])
def test_a_scan_that_cannot_help_is_refused_in_words(given, said):
    with pytest.raises(InvalidInputError, match=said):
        interpolate(some_slices(organ()[1], 4), spacing=SPACING, **given)


def test_nothing_between_is_nothing_to_do():
    _, truth = organ()
    np.testing.assert_array_equal(interpolate(truth, spacing=SPACING), truth)
