"""How an answer is settled: what points stand for, and what a further point may change."""

import numpy as np
import pytest

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.pointing.seeds import INSIDE, drawn, radius_of, widest
from napari_medseg.pointing.settling import MOST_VOXELS, Settling
from napari_medseg.segmenters.promptable.answer import Answer
from napari_medseg.segmenters.promptable.pointed import Pointed

NOWHERE = np.zeros((0, 3))
MM = (1.0, 1.0, 1.0)


def pointed(*points, strokes=NOWHERE, background=NOWHERE):
    places = np.array([point[:3] for point in points], float).reshape(-1, 3)
    return Pointed(places, np.array([point[3] for point in points], np.intp), np.zeros((0, 2, 3)), (), strokes, background, NOWHERE)


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

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_later_ball_is_the_smaller_the_nearer_the_outline_is_that_it_corrects(self, sign):
        found = np.zeros((41, 41, 41), np.float16)
        found[:, :, :20] = 1
        places = [20.0 + away if sign > 0 else 19.0 - away for away in (0, 1, 2, 9)]
        radii = [radius_of(np.array([20.0, 20.0, place]), sign, found, whole(41, 41, 41), MM) for place in places]
        assert radii == pytest.approx([0.6, 1.2, 1.8, 2.0])

    def test_a_point_far_from_everything_stands_for_a_ball_of_bounded_size(self):
        assert radius_of(np.array([300.0, 5.0, 5.0]), 1, np.ones((4, 4, 4), np.float16), whole(4, 4, 4), MM) == 2.0

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
        settled = Settling(scan, MM).settled(pointed((80, 80, 136, 1)), found, None)
        out = np.zeros(shape, np.float32)
        out[settled.box] = settled.values
        assert out[80, 80, 144] > 0.5
        assert out[16, 80, 80] < 0.5

    def test_what_is_settled_depends_on_what_it_is_given_alone(self):
        scan = np.random.default_rng(0).normal(0, 1, (32, 32, 32))
        scan[8:20, 8:20, 8:20] += 5
        found = Answer(whole(32, 32, 32), np.where(scan > 3, 0.8, 0.1).astype(np.float16), 1)
        one, other = Settling(scan, MM), Settling(scan, MM)
        first = one.settled(pointed((14, 14, 14, 1)), found, None)
        other.settled(pointed((9, 18, 12, 1)), found, None)
        again = other.settled(pointed((14, 14, 14, 1)), found, None)
        np.testing.assert_array_equal(first.values, again.values)
        assert first.box == again.box

    def test_what_was_thought_stays_far_from_a_further_point(self):
        """The network changes its mind everywhere; beyond the newest point's surroundings most of what was thought before stays."""
        scan = np.random.default_rng(0).normal(0, 1, (16, 24, 64))
        scan[4:12, 8:16, 8:56] += 6
        sure, other = (Answer(whole(*scan.shape), np.where(scan > 3, inside, 0.1).astype(np.float16), 1) for inside in (0.9, 0.3))
        settling = Settling(scan, MM)
        first = settling.settled(pointed((8, 12, 12, 1)), sure, None)
        second = settling.settled(pointed((8, 12, 12, 1), (8, 12, 3, -1)), other, first)
        alone = settling.settled(pointed((8, 12, 12, 1), (8, 12, 3, -1)), other, None)
        far = (slice(6, 10), slice(10, 14), slice(40, 52))
        thought, cold = second.thought[far].mean(dtype=float), alone.thought[far].mean(dtype=float)
        assert thought > cold + 0.05
