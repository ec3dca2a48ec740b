import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError, NoStrokesError
from napari_medseg.weaklabel.scribble import ScribbleSettings, grow, whole

SPACING = (5.0, 0.8, 0.8)
SHAPE = (7, 40, 50)


@pytest.fixture
def three_rooms():
    """Left, middle and right of different grey, each holding a stroke; a slice is six times as thick as a pixel."""
    x = np.indices(SHAPE)[2]
    rooms = np.digitize(x, [16, 33])
    image = np.array([100.0, 400.0, 700.0])[rooms] + np.random.default_rng(0).normal(0, 25, SHAPE)
    strokes = np.zeros(SHAPE, np.uint8)
    strokes[3, 10:30, 8], strokes[3, 10:30, 25], strokes[3, 10:30, 41] = 1, 2, 255
    return image, strokes, rooms


DEFAULTS = ScribbleSettings()


def finish(image, strokes, settings=DEFAULTS):
    *_, last = grow(image, strokes, SPACING, settings)
    return whole(last, image.shape), last


def test_each_room_takes_the_class_of_its_stroke_through_all_slices(three_rooms):
    image, strokes, rooms = three_rooms
    labels, _ = finish(image, strokes)
    assert labels.dtype == np.uint8
    for value, room in ((1, 0), (2, 1), (0, 2)):
        assert (labels[rooms == room] == value).mean() > 0.95


def test_strokes_keep_their_class_and_the_partial_answers_too(three_rooms):
    image, strokes, _ = three_rooms
    for step in grow(image, strokes, SPACING):
        labels = whole(step, SHAPE)
        assert (labels[strokes == 1] == 1).all()
        assert (labels[strokes == 2] == 2).all()
        assert not labels[strokes == 255].any()
    assert step.fraction == 1.0


def test_nothing_farther_than_the_reach_is_coloured(three_rooms):
    image, strokes, _ = three_rooms
    labels, last = finish(np.where(image > 0, image, 0), strokes, ScribbleSettings(reach_mm=6.0))
    assert not labels[[0, 1, 5, 6]].any()
    assert last.labels.size < strokes.size


def test_one_class_without_background_takes_the_border_of_its_reach_and_says_so():
    y, x = np.indices((40, 40))
    ball = ((y - 20) ** 2 + (x - 20) ** 2 < 80)[None].repeat(5, 0)
    ball[[0, 4]] = False
    image = np.where(ball, 300.0, 100.0) + np.random.default_rng(1).normal(0, 10, ball.shape)
    strokes = np.zeros(ball.shape, np.uint8)
    strokes[2, 20, 15:25] = 1
    labels, last = finish(image, strokes)
    assert 2 * ((labels > 0) & ball).sum() / (labels.sum() + ball.sum()) > 0.9
    assert "background" in last.message


@pytest.mark.parametrize("painted", [[], [255]])
def test_no_class_is_an_error_that_says_what_to_draw(three_rooms, painted):
    strokes = np.zeros(SHAPE, np.uint8)
    for value in painted:
        strokes[3, 3, 3] = value
    with pytest.raises(NoStrokesError, match="Draw a stroke"):
        grow(three_rooms[0], strokes, SPACING)


def test_one_class_with_nothing_against_it_is_an_error_where_the_border_does_not_count(three_rooms):
    image, strokes, _ = three_rooms
    with pytest.raises(NoStrokesError, match="background"):
        grow(image, (strokes == 1).astype(np.uint8), SPACING, ScribbleSettings(border_is_background=False))


@pytest.mark.parametrize("strokes", [np.zeros((2, 2, 2), np.uint8), np.full(SHAPE, 0.5), np.full(SHAPE, 300, np.int32), np.full(SHAPE, -1)])
def test_strokes_that_are_no_strokes_are_refused(three_rooms, strokes):
    with pytest.raises(InvalidInputError, match="strokes"):
        grow(three_rooms[0], strokes, SPACING)


def test_too_many_voxels_are_walked_on_a_coarser_grid(three_rooms):
    image, strokes, rooms = three_rooms
    labels, _ = finish(image, strokes, ScribbleSettings(most_voxels=3000))
    assert (labels[rooms == 0] == 1).mean() > 0.75
    assert (labels[rooms == 1] == 2).mean() > 0.95
    assert (labels[strokes == 2] == 2).all()


def test_the_unit_of_the_scan_does_not_matter(three_rooms):
    image, strokes, _ = three_rooms
    np.testing.assert_array_equal(finish(image, strokes)[0], finish(image * 1000 - 5000, strokes)[0])
