"""How an answer is settled: what points stand for, and what a further point may change."""

import numpy as np
import pytest

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.pointing.outlines import Outlines
from napari_medseg.pointing.seeds import INSIDE, drawn, radius_of, widest
from napari_medseg.pointing.settling import BETTER, MOST_VOXELS, Settling
from napari_medseg.segmenters.promptable.answer import Answer
from napari_medseg.segmenters.promptable.pointed import Pointed

NOWHERE = np.zeros((0, 3))
MM = (1.0, 1.0, 1.0)


def pointed(*points, strokes=NOWHERE, background=NOWHERE):
    places = np.array([point[:3] for point in points], float).reshape(-1, 3)
    return Pointed(places, np.array([point[3] for point in points], np.intp), np.zeros((0, 2, 3)), (), strokes, background, NOWHERE)


def answer(settling, prompts, found, before=None):
    """The last word."""
    *_, last = settling.settled(prompts, found, before)
    return last


def whole(*shape):
    return tuple(slice(0, n) for n in shape)


class TestSeeds:
    def test_a_point_is_a_ball_and_the_border_is_background(self):
        marks = drawn(pointed((10, 10, 10, 1)), (2.0,), whole(20, 20, 20), MM)
        assert marks[10, 10, 12] == INSIDE
        assert marks[10, 10, 13] == 0
        assert (marks[0] == BACKGROUND).all()
        assert (marks[:, :, -1] == BACKGROUND).all()

    def test_a_slice_on_its_own_has_no_border_before_and_behind(self):
        marks = drawn(pointed((0, 10, 10, 1)), (2.0,), whole(1, 20, 20), MM)
        assert marks[0, 5, 5] == 0
        assert (marks[0, 0] == BACKGROUND).all()

    def test_the_ball_of_one_point_never_covers_another_point(self):
        marks = drawn(pointed((10, 10, 10, 1), (10, 10, 11, -1)), (2.0, 6.0), whole(24, 24, 24), MM)
        assert marks[10, 10, 10] == INSIDE
        assert marks[10, 10, 11] == BACKGROUND

    def test_a_point_overrules_a_stroke_below_it(self):
        line = np.array([[10, 10, x] for x in range(5, 15)], float)
        marks = drawn(pointed((10, 10, 8, -1), strokes=line), (0.0,), whole(20, 20, 20), MM)
        assert marks[10, 10, 8] == BACKGROUND
        assert marks[10, 10, 9] == INSIDE

    def test_points_beyond_the_part_leave_no_mark(self):
        marks = drawn(pointed((10, 10, 10, 1), (90, 10, 10, 1)), (2.0, 2.0), (slice(0, 20), slice(0, 20), slice(0, 20)), MM)
        assert np.count_nonzero(marks == INSIDE) == 33

    def test_thick_slices_hold_a_ball_each_on_their_own(self):
        marks = drawn(pointed((3, 10, 10, 1)), (2.0,), whole(7, 20, 20), (6.5, 1.0, 1.0))
        assert (marks[3] == INSIDE).any()
        assert not (marks[[2, 4]] == INSIDE).any()

    @pytest.mark.parametrize("outside", [True, False])
    def test_a_further_ball_is_the_smaller_the_nearer_the_outline_is(self, outside):
        found = np.zeros((41, 41, 41), np.float16)
        found[:, :, :20] = 1
        places = [20.0 + away if outside else 19.0 - away for away in (0, 1, 2, 9)]
        radii = [radius_of(np.array([20.0, 20.0, place]), found, whole(41, 41, 41), MM) for place in places]
        assert radii == pytest.approx([0.6, 1.2, 1.8, 2.0])

    def test_a_point_far_from_everything_stands_for_a_ball_of_bounded_size(self):
        assert radius_of(np.array([300.0, 5.0, 5.0]), np.ones((4, 4, 4), np.float16), whole(4, 4, 4), MM) == 2.0

    def test_balls_are_smaller_in_finer_scans(self):
        assert widest((0.2, 0.2, 0.2)) == pytest.approx(0.6)


class TestSettling:
    def test_a_part_of_a_large_object_is_settled_and_the_rest_stays(self):
        """Of what is too large to be looked at as a whole only the newest point's surroundings change."""
        shape = (160, 160, 160)
        truth = sum((np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)]) - 80) ** 2 for axis, n in enumerate(shape)) < 66**2
        scan = np.where(truth, 900, 300) + np.random.default_rng(0).normal(0, 30, shape)
        assert truth.size > MOST_VOXELS
        rough = np.zeros(shape, np.float16)
        rough[truth] = 0.9
        rough[:, :, 140:] = 0
        rough[:20] = 0
        found = Answer(whole(*shape), rough, 4)
        settled = answer(Settling(scan, MM), pointed((80, 80, 136, 1)), found)
        out = np.zeros(shape, np.float32)
        out[settled.box] = settled.values
        assert out[80, 80, 144] > 0.5
        assert out[16, 80, 80] < 0.5

    def test_what_is_settled_depends_on_what_it_is_given_alone(self):
        scan = np.random.default_rng(0).normal(0, 1, (32, 32, 32))
        scan[8:20, 8:20, 8:20] += 5
        found = Answer(whole(32, 32, 32), np.where(scan > 3, 0.8, 0.1).astype(np.float16), 1)
        one, other = Settling(scan, MM), Settling(scan, MM)
        first = answer(one, pointed((14, 14, 14, 1)), found)
        answer(other, pointed((9, 18, 12, 1)), found)
        again = answer(other, pointed((14, 14, 14, 1)), found)
        np.testing.assert_array_equal(first.values, again.values)
        assert first.box == again.box

    def test_what_was_thought_stays_far_from_a_further_point(self):
        """The network changes its mind everywhere, and the scan shows nothing that would say who is right."""
        scan, held = np.random.default_rng(0).normal(0, 1, (16, 24, 64)), np.zeros((16, 24, 64), bool)
        held[4:12, 8:16, 8:56] = True
        sure, other = (Answer(whole(*scan.shape), np.where(held, inside, 0.1).astype(np.float16), 1) for inside in (0.9, 0.3))
        settling = Settling(scan, MM)
        first = answer(settling, pointed((8, 12, 12, 1)), sure)
        second = answer(settling, pointed((8, 12, 12, 1), (8, 12, 3, -1)), other, first)
        alone = answer(settling, pointed((8, 12, 12, 1), (8, 12, 3, -1)), other)
        far = (slice(6, 10), slice(10, 14), slice(40, 52))
        thought, cold = second.thought[far].mean(dtype=float), alone.thought[far].mean(dtype=float)
        assert thought > cold + 0.05

    def test_the_second_click_already_is_no_wider_than_what_it_corrects(self):
        scan, truth = lump()
        sure = Answer(whole(*truth.shape), np.where(truth, 0.95, 0.02).astype(np.float16), 1)
        settling = Settling(scan, MM)
        first = answer(settling, pointed((16, 24, 24, 1)), sure)
        shallow, deep = (answer(settling, pointed((16, 24, 24, 1), (16, 24, x, -1)), sure, first).radii for x in (32, 28))
        assert shallow[0] == deep[0] == deep[1] == 2.0
        assert 0 < shallow[1] < 1.5

    def test_a_click_that_says_what_was_answered_already_counts_for_as_much_as_one_that_corrects(self):
        scan, truth = lump()
        sure = Answer(whole(*truth.shape), np.where(truth, 0.95, 0.02).astype(np.float16), 1)
        settling = Settling(scan, MM)
        first = answer(settling, pointed((16, 24, 24, 1)), sure)
        for x, sign in ((28, 1), (44, -1)):
            assert answer(settling, pointed((16, 24, 24, 1), (16, 24, x, sign)), sure, first).radii[1] == 2.0

    def test_where_the_network_draws_a_crumb_the_outline_that_is_in_the_picture_is_taken(self):
        scan, truth = lump()
        crumb = Answer(whole(*truth.shape), np.where(ball(truth.shape, (16, 24, 24), 3), 0.9, 0.02).astype(np.float16), 1)
        assert overlap(crumb, truth) < 0.15
        assert overlap(answer(Settling(scan, MM), pointed((16, 24, 24, 1)), crumb), truth) > 0.9

    def test_what_has_a_clear_outline_is_kept_when_the_network_changes_its_mind_elsewhere(self):
        scan, truth = lump()
        sure = Answer(whole(*truth.shape), np.where(truth, 0.95, 0.02).astype(np.float16), 1)
        half = sure.values.copy()
        half[:, :, 24:] = 0.02
        settling = Settling(scan, MM)
        first = answer(settling, pointed((16, 24, 20, 1)), sure)
        second = answer(settling, pointed((16, 24, 20, 1), (16, 24, 6, -1)), Answer(sure.box, half, 1), first)
        assert overlap(second, truth) > overlap(first, truth) - 0.02

    def test_every_step_of_the_work_is_a_place_to_stop_and_stopping_does_no_harm(self):
        scan, truth = lump()
        found = Answer(whole(*truth.shape), np.where(truth, 0.8, 0.1).astype(np.float16), 1)
        prompts = pointed((16, 24, 24, 1))
        undisturbed = list(Settling(scan, MM).settled(prompts, found, None))
        assert len(undisturbed) >= 6
        assert [each.finished for each in undisturbed] == [False] * (len(undisturbed) - 1) + [True]
        settling = Settling(scan, MM)
        for count in range(len(undisturbed)):
            stopped = settling.settled(prompts, found, None)
            for _ in range(count):
                next(stopped)
            stopped.close()
        np.testing.assert_array_equal(answer(settling, prompts, found).values, undisturbed[-1].values)


class TestOutlines:
    @pytest.mark.parametrize("spacing", [MM, (5.0, 1.0, 1.0)])
    def test_the_object_itself_fits_better_than_anything_smaller_larger_or_beside_it(self, spacing):
        scan, truth = lump()
        outlines = Outlines(scan.astype(np.float32), spacing)
        fit = outlines.fit(truth)
        for other in (ball(truth.shape, (16, 24, 24), 5), ball(truth.shape, (16, 24, 24), 14), np.roll(truth, 6, axis=2)):
            assert outlines.fit(other) < fit - BETTER

    def test_units_do_not_matter(self):
        scan, truth = lump()
        one, other = Outlines(scan.astype(np.float32), MM), Outlines((-0.01 * scan + 7).astype(np.float32), MM)
        assert one.fit(truth) == pytest.approx(other.fit(truth), abs=1e-3)

    def test_nothing_and_everything_have_no_outline(self):
        scan, truth = lump()
        outlines = Outlines(scan.astype(np.float32), MM)
        assert outlines.fit(np.zeros_like(truth)) == -np.inf
        assert outlines.fit(np.ones_like(truth)) == -np.inf


def ball(shape, centre, radius):
    return sum((place - c) ** 2 for place, c in zip(np.indices(shape), centre, strict=True)) < radius**2


def lump():
    """A ball in noise, and where it is."""
    truth = ball((32, 48, 48), (16, 24, 24), 9)
    return np.where(truth, 900, 300) + np.random.default_rng(1).normal(0, 60, truth.shape), truth


def overlap(found, truth):
    """Dice of an answer."""
    mask = np.zeros(truth.shape, bool)
    mask[found.box] = found.values > 0.5
    return 2 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth))
