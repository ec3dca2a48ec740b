"""A click is explained by an answer that changes most there."""

import numpy as np
import pytest

from napari_medseg.pointing.explained import explained
from napari_medseg.pointing.refuted import borne_out
from napari_medseg.segmenters.promptable.answer import Answer
from napari_medseg.segmenters.promptable.pointed import Pointed

MM = (1.0, 1.0, 1.0)
SHAPE = (40, 40, 40)


def ball(centre, radius, spacing=MM, shape=SHAPE):
    places = np.indices(shape) - np.reshape(centre, (3, 1, 1, 1))
    return ((places.T * spacing) ** 2).sum(axis=-1).T < radius**2


def clicked(*at):
    none = np.zeros((0, 3))
    return Pointed(np.array([(20.0, 20.0, 8.0), at]), np.array([1, 1]), np.zeros((0, 2, 3)), (), none, none, none)


def answer(found, corner=(0, 0, 0)):
    z, y, x = (slice(c, n) for c, n in zip(corner, found.shape, strict=True))
    return Answer((z, y, x), found[z, y, x].astype(np.float16), 1)


def test_the_middle_of_a_change_explains_it_best():
    change = ball((20, 20, 20), 8)
    middle, nearer, rim = (explained(change, np.array([20, 20, x]), MM) for x in (20, 24, 27))
    assert middle == 1
    assert middle > nearer > rim > 0


def test_what_changes_nothing_there_explains_nothing():
    assert explained(ball((20, 20, 20), 5), np.array([20, 20, 35]), MM) == 0
    assert explained(np.zeros(SHAPE, bool), np.array([20, 20, 20]), MM) == 0


def test_a_larger_change_elsewhere_would_have_been_clicked_first():
    change = ball((20, 20, 8), 4) | ball((20, 20, 28), 10)
    assert explained(change, np.array([20, 20, 8]), MM) == pytest.approx(0.4, abs=0.1)


def test_depth_is_measured_in_mm_and_to_the_edge_of_the_part():
    spacing = (5.0, 1.0, 1.0)
    assert explained(ball((20, 20, 20), 15, spacing), np.array([20, 20, 20]), spacing) == 1
    assert explained(np.ones((3, 9, 9), bool), np.array([1, 4, 4]), MM) == 1


def test_a_new_answer_is_taken_where_the_click_asked_for_it_and_not_where_it_floods_the_scan():
    last, click = ball((20, 20, 10), 6), clicked(20, 20, 24)
    grown, flood = last | ball((20, 20, 24), 8), ball((20, 20, 24), 5) | (np.indices(SHAPE)[0] < 17)
    assert borne_out(click, answer(grown), answer(last), MM)
    assert not borne_out(click, answer(flood), answer(last), MM)


def test_answers_are_compared_beyond_each_others_boxes():
    last, click = ball((20, 20, 10), 6), clicked(20, 20, 28)
    apart = ball((20, 20, 28), 6)
    assert borne_out(click, answer(apart, (12, 12, 20)), answer(last & (np.indices(SHAPE)[2] < 18)), MM)
