import itertools

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError, MedsegError, NoStrokesError
from napari_medseg.weaklabel import stroke_solvers
from napari_medseg.weaklabel.scribble import Scribbler, ScribbleSettings, grow, whole

SPACING = (2.0, 1.0, 1.0)
SHAPE = (14, 60, 64)
METHODS = ["geodesic", "growcut", "walker"]


@pytest.fixture(scope="module")
def scan():
    """Three bright bodies in noise."""
    rng = np.random.default_rng(5)
    z, y, x = np.indices(SHAPE)
    bodies = sum(((z - a) * 2) ** 2 + (y - b) ** 2 + (x - c) ** 2 < 90 for a, b, c in ((6, 20, 20), (7, 40, 44), (9, 20, 46)))
    return (400 + 300 * (bodies > 0) + ndi.gaussian_filter(rng.normal(0, 90, SHAPE), 0.7)).astype(np.int16)


def settings(method="auto", **more):
    return ScribbleSettings(method=method, **{"reach_mm": 14.0} | more)


def first(strokes):
    strokes[6, 18:24, 20] = 1
    strokes[6, 8:12, 30] = 255
    return strokes


def finish(growths):
    *_, last = growths
    return last


def from_scratch(scan, strokes, chosen):
    return whole(finish(grow(scan, strokes, SPACING, chosen)), SHAPE)


STROKES = [
    (np.s_[7, 36:44, 44], 2),  # a class far from the first: the region grows
    (np.s_[5, 30:34, 10:30], 255),
    (np.s_[9, 20, 40:48], 1),
    (np.s_[6, 20:22, 20], 255),  # over a stroke of a class
    (np.s_[7, 36:44, 44], 0),  # erased: the region shrinks
    (np.s_[3, 20, 16:22], 1),
]


@pytest.mark.parametrize("method", ["auto", "geodesic", "growcut"])
@pytest.mark.parametrize("tell", [True, False])
def test_stroke_by_stroke_gives_what_all_strokes_at_once_would(scan, method, tell):
    strokes = first(np.zeros(SHAPE, np.uint8))
    chosen = settings(method, classifier=False) if method == "geodesic" else settings(method)
    scribbler = Scribbler(scan, SPACING, chosen)
    finish(scribbler.update(strokes))
    for place, value in STROKES:
        strokes[place] = value
        at = tuple(slice(i, i + 1) if isinstance(i, int) else i for i in place)
        finish(scribbler.update(strokes, at if tell else None))
        np.testing.assert_array_equal(scribbler.labels, from_scratch(scan, strokes, chosen))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_yielded_adds_up_to_the_labels(scan, method):
    strokes, seen = first(np.zeros(SHAPE, np.uint8)), np.zeros(SHAPE, np.uint8)
    scribbler = Scribbler(scan, SPACING, settings(method))
    for place, value in [(np.s_[0, 0, 0], 0), *STROKES]:
        strokes[place] = value
        for step in scribbler.update(strokes):
            seen[step.box] = step.labels
            np.testing.assert_array_equal(seen, scribbler.labels)
            assert (seen[(strokes > 0) & (strokes < 255)] == strokes[(strokes > 0) & (strokes < 255)]).all()
            assert not seen[strokes == 255].any()
        assert step.fraction == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_a_further_stroke_does_not_make_the_last_answer_flicker(scan, method):
    strokes = first(np.zeros(SHAPE, np.uint8))
    scribbler = Scribbler(scan, SPACING, settings(method))
    finish(scribbler.update(strokes))
    before = scribbler.labels.copy() > 0
    strokes[7, 18:24, 20] = 1
    for _ in scribbler.update(strokes):
        assert (scribbler.labels > 0)[before].mean() > 0.8


@pytest.mark.parametrize("method", ["auto", "growcut"])
def test_a_newer_stroke_overtakes_at_any_step_and_the_answer_is_right(scan, method):
    chosen = settings(method)
    strokes = first(np.zeros(SHAPE, np.uint8))
    more = strokes.copy()
    more[9, 20, 40:48] = 1
    expected = from_scratch(scan, more, chosen)
    count = len(list(Scribbler(scan, SPACING, chosen).update(strokes)))
    for steps in range(count):
        scribbler = Scribbler(scan, SPACING, chosen)
        running = scribbler.update(strokes)
        list(itertools.islice(running, steps))
        running.close()
        finish(scribbler.update(more, np.s_[9:10, 20:21, 40:48]))
        np.testing.assert_array_equal(scribbler.labels, expected)


def test_strokes_may_be_painted_on_while_the_answer_is_made(scan):
    strokes = first(np.zeros(SHAPE, np.uint8))
    expected = from_scratch(scan, strokes, settings())
    scribbler = Scribbler(scan, SPACING, settings())
    running = scribbler.update(strokes)
    strokes[:] = 2
    finish(running)
    np.testing.assert_array_equal(scribbler.labels, expected)


def test_only_the_changed_box_is_looked_at(scan):
    strokes = first(np.zeros(SHAPE, np.uint8))
    scribbler = Scribbler(scan, SPACING, settings("geodesic"))
    finish(scribbler.update(strokes))
    expected = from_scratch(scan, strokes, settings("geodesic"))
    strokes[9, 20, 40:48] = 1
    finish(scribbler.update(strokes, np.s_[6:7, 8:12, 30:31]))
    np.testing.assert_array_equal(scribbler.labels, expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_large_scan_answers_with_what_a_crop_of_it_answers(scan, method):
    wide = np.full((40, 200, 210), 400, np.int16)
    wide[10:24, 70:130, 80:144] = scan
    strokes = np.zeros(wide.shape, np.uint8)
    first(strokes[10:24, 70:130, 80:144])
    crop = np.s_[2:32, 50:150, 60:164]
    large = Scribbler(wide, SPACING, settings(method))
    finish(large.update(strokes))
    # the scan's own span sets the unit of contrast, so the crop is compared by overlap
    small = from_scratch_in(wide[crop], strokes[crop], settings(method))
    ours = large.labels[crop] > 0
    assert ours.any()
    assert 2 * (ours & (small > 0)).sum() / (ours.sum() + (small > 0).sum()) > 0.97
    assert not np.delete(large.labels, range(2, 32), axis=0).any()


def from_scratch_in(image, strokes, chosen):
    return whole(finish(grow(image, strokes, SPACING, chosen)), image.shape)


def test_automatic_says_what_it_took_and_why(scan):
    strokes = first(np.zeros(SHAPE, np.uint8))
    last = finish(grow(scan, strokes, SPACING, settings()))
    assert last.method == "geodesic paths with a classifier, which learns from the strokes of both sides"
    alone = np.where(strokes == 255, 0, strokes)
    last = finish(grow(scan, alone, SPACING, settings()))
    assert last.method == "geodesic paths without a classifier, as there is one class only"
    assert "background" in last.message


@pytest.mark.parametrize(("method", "words"), [("growcut", "GrowCut"), ("walker", "the random walker with a classifier")])
def test_a_chosen_method_is_the_one_that_runs(scan, method, words):
    assert finish(grow(scan, first(np.zeros(SHAPE, np.uint8)), SPACING, settings(method))).method == words


def test_a_long_walk_shows_a_quick_answer_meanwhile_and_ends_where_a_short_one_does(scan, monkeypatch):
    strokes = first(np.zeros(SHAPE, np.uint8))
    strokes[6, 20, 14:26], strokes[6, 34:36, 10:40] = 1, 255
    short = list(grow(scan, strokes, SPACING, settings("walker")))
    monkeypatch.setattr(stroke_solvers, "LONG_WALK", 0)
    long = list(grow(scan, strokes, SPACING, settings("walker")))
    assert any(step.message.startswith("A quick answer") for step in long)
    assert not any(step.message.startswith("A quick answer") for step in short)
    assert len({whole(step, SHAPE).tobytes() for step in long}) > len({whole(step, SHAPE).tobytes() for step in short})
    ends = [whole(steps[-1], SHAPE) > 0 for steps in (short, long)]
    assert (ends[0] != ends[1]).sum() < 0.05 * ends[0].sum()


def test_background_beyond_the_reach_is_no_background(scan):
    strokes = first(np.zeros(SHAPE, np.uint8))
    strokes[strokes == 255] = 0
    strokes[13, 50:60, 40:60] = 255
    last = finish(grow(scan, strokes, SPACING, settings()))
    assert last.method == "geodesic paths without a classifier, as there is one class only"
    assert "border" in last.message


def test_growcut_gives_back_to_background_what_runs_on_beyond_the_reach():
    image = np.random.default_rng(1).normal(100, 4, (9, 60, 64))
    image[3:6, 28:32] += 400  # a vessel from end to end
    strokes = np.zeros(image.shape, np.uint8)
    strokes[4, 29:31, 32], strokes[4, 40, 20:44] = 1, 255
    vessel = whole(finish(grow(image, strokes, SPACING, settings("growcut"))), image.shape)[3:6, 28:32]
    assert (vessel[..., 30:35] == 1).mean() > 0.9
    assert not vessel[..., :20].any()
    assert not vessel[..., 45:].any()


def test_reset_forgets_all_strokes(scan):
    scribbler = Scribbler(scan, SPACING, settings("geodesic"))
    finish(scribbler.update(first(np.zeros(SHAPE, np.uint8))))
    scribbler.reset()
    assert not scribbler.labels.any()
    with pytest.raises(NoStrokesError):
        scribbler.update(np.zeros(SHAPE, np.uint8))


def test_strokes_erased_down_to_none_are_an_error_and_drawing_again_works(scan):
    scribbler = Scribbler(scan, SPACING, settings("geodesic"))
    strokes = first(np.zeros(SHAPE, np.uint8))
    finish(scribbler.update(strokes))
    with pytest.raises(NoStrokesError):
        scribbler.update(np.zeros(SHAPE, np.uint8))
    finish(scribbler.update(strokes))
    np.testing.assert_array_equal(scribbler.labels, from_scratch(scan, strokes, settings("geodesic")))


def test_a_networks_features_can_tell_what_grey_values_cannot():
    rng = np.random.default_rng(0)
    image = rng.normal(100, 1, (5, 40, 40)).astype(np.float32)
    image[:, :2] = 200  # something else to see
    truth = np.zeros(image.shape, bool)
    truth[:, 2:, 20:] = True
    strokes = np.zeros(image.shape, np.uint8)
    strokes[2, 10:14, 36], strokes[2, 10:14, 14] = 1, 255  # the border lies far from the middle between them
    blind, told = (Scribbler(image, (1.0, 1.0, 1.0), settings(reach_mm=40.0), features=extra) for extra in (None, truth[None].astype(np.float32).repeat(40, 0)))
    finish(blind.update(strokes))
    finish(told.update(strokes))
    assert (told.labels > 0)[truth].mean() > 0.9 > 0.8 > (blind.labels > 0)[truth].mean()
    assert (told.labels > 0)[:, 2:][~truth[:, 2:]].mean() < 0.05


def test_features_on_another_grid_are_refused(scan):
    with pytest.raises(InvalidInputError, match="features"):
        Scribbler(scan, SPACING, features=np.zeros((2, 3, 4, 5), np.float32))


def test_a_method_that_does_not_exist_is_refused():
    with pytest.raises(MedsegError, match="geodesic"):
        ScribbleSettings(method="magic")
