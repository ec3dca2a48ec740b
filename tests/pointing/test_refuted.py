"""A click deep inside an answer, or well beyond it, begins it anew; a click near its outline corrects it; one far away adds a piece."""

import numpy as np
import pytest

from napari_medseg.pointing.refuted import EARLY, refuted
from napari_medseg.segmenters.promptable.answer import Answer
from napari_medseg.segmenters.promptable.pointed import Pointed

SHAPE, EVEN = (80, 80, 80), (1.0, 1.0, 1.0)


def ball(radius, shape=SHAPE, spacing=EVEN):
    """An answer: a ball (mm) in the middle of a scan."""
    places = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) // 2
    return Answer(tuple(slice(0, n) for n in shape), ((((places.T * spacing) ** 2).sum(axis=-1) < radius**2).T * 0.9).astype(np.float16), 1)


def newest(*place):
    """Prompts of which the newest point is this one: z, y, x, sign."""
    return points((40, 40, 40, 1), place)


def points(*places, strokes=()):
    """Prompts."""
    none = np.zeros((0, 3))
    given = np.array(places, float)
    return Pointed(given[:, :3], given[:, 3].astype(int), np.zeros((0, 2, 3)), (), np.array(strokes, float).reshape(-1, 3), none, none)


@pytest.mark.parametrize(("place", "anew"), [
    ((40, 40, 44, -1), True), ((40, 40, 57, -1), False),  # in the middle of a ball of 20 mm; 3 mm below its surface
    ((40, 40, 72, 1), True), ((40, 40, 63, 1), False), ((40, 40, 79, 1), False),  # 12 mm beyond it, 3 mm, 19 mm
], ids=["deep inside", "near the outline", "well beyond", "just beyond", "another piece"])
def test_how_far_from_the_outline_the_newest_click_is_decides(place, anew):
    assert refuted(newest(*place), ball(20.0), SHAPE, EVEN) is anew


def test_a_click_on_what_is_right_refutes_nothing():
    assert not refuted(newest(40, 40, 40, 1), ball(20.0), SHAPE, EVEN)
    assert not refuted(newest(5, 5, 5, -1), ball(20.0), SHAPE, EVEN)


def test_one_thick_slice_is_not_far():
    shape, spacing = (12, 80, 80), (6.5, 1.0, 1.0)
    assert not refuted(newest(8, 40, 40, 1), ball(9.0, shape, spacing), shape, spacing)


def test_small_answers_are_corrected_and_not_begun_anew():
    assert not refuted(newest(40, 40, 40, -1), ball(4.0), SHAPE, EVEN)


def test_nothing_is_refuted_where_there_is_no_answer_or_more_than_points():
    empty = Answer(tuple(slice(0, 80) for _ in range(3)), np.zeros(SHAPE, np.float16), 1)
    assert not refuted(newest(40, 40, 44, -1), empty, SHAPE, EVEN)
    stroked = points((40, 40, 40, 1), (40, 40, 44, -1), strokes=[(40, 40, 30)])
    assert not refuted(stroked, ball(20.0), SHAPE, EVEN)


def test_a_scan_of_one_slice_has_nothing_before_and_behind():
    shape = (1, 80, 80)
    assert refuted(points((0, 40, 40, 1), (0, 40, 42, -1)), ball(20.0, shape), shape, EVEN)


def test_an_answer_that_was_corrected_often_is_kept():
    often = [(40, 40, 40, 1), *[(40, 40, 58 + n, -1) for n in range(EARLY)]]
    assert not refuted(points(*often, (40, 40, 44, -1)), ball(20.0), SHAPE, EVEN)
