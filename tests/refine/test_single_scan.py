"""One scan: a few of its slices are put right, and the rest is proposed."""

import numpy as np
import pytest
from scipy import ndimage

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.metrics import dice
from napari_medseg.refine.single import propose_rest
from napari_medseg.refine.trust import Trust
from napari_medseg.volume import Geometry, Volume

SHAPE, SPACING = (12, 48, 52), (3.0, 1.0, 1.0)
SLICES = (3, 5, 8)


def scan(values, spacing=SPACING):
    return Volume(values, Geometry(values.shape, spacing), name="scan")


@pytest.fixture(scope="module")
def ball():
    """A bright ball in noise: image and truth."""
    z, y, x = np.indices(SHAPE)
    truth = np.sqrt(((z - 5.5) * 3.0) ** 2 + (y - 23) ** 2 + (x - 27) ** 2) < 14
    image = 100 + 60 * ndimage.gaussian_filter(truth.astype(float), 0.5) + np.random.default_rng(0).normal(0, 15, SHAPE)
    return image.astype(np.float32), truth


def corrected(truth, weak, slices=SLICES, axis=0):
    labels, trust = weak.astype(np.uint8), np.full(weak.shape, Trust.WEAK, np.uint8)
    for z in slices:
        place = [slice(None)] * 3
        place[axis] = z
        labels[tuple(place)], trust[tuple(place)] = truth[tuple(place)], Trust.CORRECTED
    return labels, trust


def finish(*given, **more):
    *_, last = propose_rest(*given, **more)
    return last


def grown(truth, voxels=4):
    return np.stack([ndimage.binary_dilation(plane, iterations=voxels) if plane.any() else plane for plane in truth])


def lacking(labels, truth, slices=SLICES):
    others = np.setdiff1d(np.arange(len(truth)), slices)
    return 1 - dice(labels[others] > 0, truth[others])


@pytest.mark.parametrize("told", [True, False], ids=["the label before is known", "the label before is lost"])
@pytest.mark.parametrize("make", [grown, lambda truth: np.roll(truth, (3, -3), (1, 2)), lambda truth: ndimage.binary_erosion(truth, np.ones((1, 7, 7)))])
def test_a_label_too_large_shifted_or_too_small_comes_nearer_to_the_truth_on_the_other_slices(ball, make, told):
    image, truth = ball
    weak = make(truth)
    labels, trust = corrected(truth, weak)
    last = finish(scan(image), labels, trust, weak=weak.astype(np.uint8) if told else None)
    assert lacking(last.labels, truth) < 2 / 3 * lacking(weak, truth)


def test_what_a_person_settled_is_kept_bit_for_bit_and_is_not_in_doubt(ball):
    image, truth = ball
    labels, trust = corrected(truth, grown(truth))
    rng = np.random.default_rng(1)
    odd = rng.random(SHAPE) < 0.02
    labels[odd], trust[odd] = rng.integers(0, 4, odd.sum()), Trust.VERIFIED
    last = finish(scan(image), labels, trust)
    settled = trust >= Trust.CORRECTED
    np.testing.assert_array_equal(last.labels[settled], labels[settled])
    assert not last.doubt[settled].any()
    assert last.labels.dtype == np.uint8
    assert last.doubt.dtype == np.float32


def test_a_label_that_is_right_stays_as_it_is(ball):
    image, truth = ball
    labels, trust = corrected(truth, truth)
    last = finish(scan(image), labels, trust, weak=truth.astype(np.uint8))
    np.testing.assert_array_equal(last.labels, truth)
    assert not last.report.classes[0].proposed
    assert "kept" in last.report.words


def test_looks_that_mean_nothing_do_no_harm(ball):
    _, truth = ball
    noise = np.random.default_rng(2).normal(0, 1, SHAPE).astype(np.float32)
    weak = np.roll(truth, 1, 2)
    labels, trust = corrected(truth, weak)
    last = finish(scan(noise), labels, trust, weak=weak.astype(np.uint8))
    assert lacking(last.labels, truth) <= lacking(weak, truth) + 0.02


def test_one_corrected_slice_is_enough_to_undo_a_margin(ball):
    image, truth = ball
    weak = grown(truth)
    labels, trust = corrected(truth, weak, (5,))
    last = finish(scan(image), labels, trust, weak=weak.astype(np.uint8))
    assert lacking(last.labels, truth, (5,)) < 2 / 3 * lacking(weak, truth, (5,))
    assert last.report.classes[0].shift_mm > 1
    assert "too large" in last.report.words


def test_without_a_weak_label_the_corrected_outlines_are_continued(ball):
    image, truth = ball
    labels, trust = corrected(truth, np.zeros(SHAPE, bool), (3, 8))
    last = finish(scan(image), labels, trust)
    assert all(dice(last.labels[z] > 0, truth[z]) > 0.85 for z in range(4, 8))


def test_several_classes_are_told_apart(ball):
    _, truth = ball
    left = np.indices(SHAPE)[2] < 27
    truth = np.where(truth, np.where(left, 1, 7), 0).astype(np.uint8)
    values = np.choose(np.searchsorted([0, 1, 7], truth), [100, 160, 220]) + np.random.default_rng(3).normal(0, 10, SHAPE)
    weak = np.roll(truth, (2, 3), (1, 2))
    labels, trust = weak.copy(), np.full(SHAPE, Trust.WEAK, np.uint8)
    labels[list(SLICES)], trust[list(SLICES)] = truth[list(SLICES)], Trust.CORRECTED
    last = finish(scan(values.astype(np.float32)), labels, trust, weak=weak)
    others = np.setdiff1d(np.arange(len(truth)), SLICES)
    assert set(np.unique(last.labels)) <= {0, 1, 7}
    for value in (1, 7):
        assert dice(last.labels[others] == value, truth[others] == value) > dice(weak[others] == value, truth[others] == value)


def test_unknown_voxels_are_proposed_too(ball):
    image, truth = ball
    labels, trust = corrected(truth, grown(truth))
    labels[6:8], trust[6:8] = 255, Trust.UNKNOWN
    last = finish(scan(image), labels, trust)
    assert last.labels.max() == 1
    assert all(dice(last.labels[z] > 0, truth[z]) > 0.8 for z in (6, 7))


@pytest.mark.parametrize("axis", [1, 2])
def test_slices_may_be_corrected_along_any_axis(ball, axis):
    image, truth = (np.moveaxis(values, 0, axis) for values in ball)
    weak = np.moveaxis(grown(np.moveaxis(truth, axis, 0)), 0, axis)
    labels, trust = corrected(truth, weak, axis=axis)
    spacing = [1.0, 1.0, 1.0]
    spacing[axis] = 3.0
    last = finish(scan(image, tuple(spacing)), labels, trust)
    assert last.report.axis == axis
    assert last.report.corrected == SLICES
    assert lacking(np.moveaxis(last.labels, axis, 0), np.moveaxis(truth, axis, 0)) < 2 / 3 * lacking(np.moveaxis(weak, axis, 0), np.moveaxis(truth, axis, 0))


def test_the_same_seed_gives_the_same_answer_whatever_the_unit_of_the_scan(ball):
    image, truth = ball
    labels, trust = corrected(truth, grown(truth))
    first, again, scaled = (finish(scan(values), labels, trust, seed=4) for values in (image, image, image * 2 + 1000))
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.doubt, again.doubt)
    assert dice(first.labels > 0, scaled.labels > 0) > 0.98


def test_a_large_object_is_looked_at_in_fewer_pixels(ball, monkeypatch):
    from napari_medseg.refine.single import ground

    image, truth = ball
    weak = grown(truth)
    labels, trust = corrected(truth, weak)
    monkeypatch.setattr(ground, "MOST_VOXELS", 6000)
    last = finish(scan(image), labels, trust, weak=weak.astype(np.uint8))
    assert lacking(last.labels, truth) < 2 / 3 * lacking(weak, truth)


def test_time_that_has_run_out_still_gives_an_answer_from_fewer_classifiers(ball):
    image, truth = ball
    labels, trust = corrected(truth, grown(truth))
    hurried, usual = finish(scan(image), labels, trust, seconds=0.0), finish(scan(image), labels, trust)
    assert 0 < hurried.report.fits < usual.report.fits
    assert lacking(hurried.labels, truth) < lacking(grown(truth), truth)


def test_it_says_how_far_it_is_and_what_to_correct_next(ball):
    image, truth = ball
    labels, trust = corrected(truth, grown(truth))
    ticks = list(propose_rest(scan(image), labels, trust))
    assert [tick.fraction for tick in ticks] == sorted(tick.fraction for tick in ticks)
    assert ticks[-1].fraction == 1
    assert len(ticks) > 10
    assert ticks[-1].report.next_slice not in SLICES


def test_holes_in_the_scan_are_borne(ball):
    image, truth = ball
    torn = image.copy()
    torn[2, 10:20, 10:20] = np.nan
    labels, trust = corrected(truth, grown(truth))
    assert lacking(finish(scan(torn), labels, trust).labels, truth) < lacking(grown(truth), truth)


def test_nothing_corrected_is_a_clear_error(ball):
    image, truth = ball
    with pytest.raises(NoLabelsError, match="no slice is corrected"):
        finish(scan(image), truth.astype(np.uint8), np.full(SHAPE, Trust.WEAK, np.uint8))


def test_no_object_anywhere_is_a_clear_error(ball):
    labels, trust = corrected(np.zeros(SHAPE, bool), np.zeros(SHAPE, bool))
    with pytest.raises(NoLabelsError, match="hold an object"):
        finish(scan(ball[0]), labels, trust)


def test_one_slice_and_no_weak_label_is_a_clear_error(ball):
    labels, trust = corrected(ball[1], np.zeros(SHAPE, bool), (5,))
    with pytest.raises(NoLabelsError, match="second slice"):
        finish(scan(ball[0]), labels, trust)


@pytest.mark.parametrize("spoilt", ["labels", "trust", "weak"])
def test_arrays_of_another_grid_are_refused(ball, spoilt):
    labels, trust = corrected(ball[1], ball[1])
    given = {"labels": labels, "trust": trust, "weak": labels}
    given[spoilt] = given[spoilt][1:]
    with pytest.raises(InvalidInputError, match=spoilt):
        finish(scan(ball[0]), **given)
