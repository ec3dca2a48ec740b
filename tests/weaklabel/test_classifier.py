import time

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.weaklabel import compiled
from napari_medseg.weaklabel.classifier import MOST_SAMPLES, PixelClassifier


@pytest.fixture
def clouds():
    """Three classes around (0, 0), (4, 0) and (0, 4), and three features of noise."""
    rng = np.random.default_rng(0)
    classes = np.repeat([1, 2, 255], [300, 200, 100])
    centres = {1: (0, 0), 2: (4, 0), 255: (0, 4)}
    values = rng.normal(0, 1, (classes.size, 5)).astype(np.float32)
    values[:, :2] += [centres[c] for c in classes]
    return values, classes


def ask(classifier, values):
    return classifier.probabilities(np.ascontiguousarray(values.T)[:, None, None, :])[:, 0, 0]


def test_it_tells_unseen_voxels_of_three_classes_apart_and_says_how_sure_it_is(clouds):
    values, classes = clouds
    half = np.arange(classes.size) % 2 == 0
    classifier = PixelClassifier().fit(values[half], classes[half])
    chances = ask(classifier, values[~half])
    assert classifier.classes == (1, 2, 255)
    np.testing.assert_allclose(chances.sum(0), 1, atol=1e-5)
    right = np.array(classifier.classes)[chances.argmax(0)] == classes[~half]
    assert right.mean() > 0.93
    sure = chances.max(0) > np.percentile(chances.max(0), 20)
    assert right[sure].mean() > right[~sure].mean()


def test_between_two_strokes_the_answer_turns_midway():
    values = np.concatenate([np.random.default_rng(0).normal(m, 0.1, (200, 1)) for m in (0, 10)]).astype(np.float32)
    classifier = PixelClassifier().fit(values, np.repeat([1, 255], 200))
    chance = ask(classifier, np.arange(11, dtype=np.float32)[:, None])[0]
    assert (np.diff(chance) <= 1e-6).all()
    assert chance[2] > 0.6 > 0.4 > chance[8]


def test_a_long_stroke_does_not_outweigh_a_short_one():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, (1000, 1)), rng.normal(2, 1, (50, 1))]).astype(np.float32)
    chance = ask(PixelClassifier().fit(values, np.repeat([1, 2], [1000, 50])), np.full((1, 1), 1.6, np.float32))
    assert chance[1, 0] > 0.5


def test_it_is_the_same_every_time_on_any_number_of_cores(clouds, monkeypatch):
    expected = ask(PixelClassifier().fit(*clouds), clouds[0])
    np.testing.assert_array_equal(ask(PixelClassifier().fit(*clouds), clouds[0]), expected)
    monkeypatch.setattr(compiled, "threads", lambda: 1)
    np.testing.assert_array_equal(ask(PixelClassifier().fit(*clouds), clouds[0]), expected)


def test_many_strokes_are_thinned_and_it_stays_quick():
    rng = np.random.default_rng(0)
    classes = rng.integers(1, 4, 20 * MOST_SAMPLES)
    values = (rng.normal(0, 1, (classes.size, 13)) + classes[:, None]).astype(np.float32)
    PixelClassifier().fit(values[:50], classes[:50])
    began = time.process_time()
    classifier = PixelClassifier().fit(values, classes)
    assert time.process_time() - began < 2.0
    assert classifier.probabilities(np.zeros((13, 2, 3, 4), np.float32)).shape == (3, 2, 3, 4)


def test_voxels_that_all_look_the_same_are_left_undecided():
    classifier = PixelClassifier().fit(np.zeros((40, 3), np.float32), np.repeat([1, 255], [30, 10]))
    np.testing.assert_allclose(ask(classifier, np.zeros((5, 3), np.float32)), 0.5, atol=1e-6)


def test_asked_for_some_voxels_it_says_what_it_says_of_them_among_all(clouds):
    values, classes = clouds
    classifier = PixelClassifier().fit(values, classes)
    features = np.ascontiguousarray(values.T).reshape(5, 10, 6, 10)
    places = np.random.default_rng(1).permutation(600)[:250].astype(np.int32)
    np.testing.assert_array_equal(classifier.probabilities(features, places), classifier.probabilities(features).reshape(3, -1)[:, places])


def test_what_no_stroke_looks_like_is_judged_by_the_questions_that_were_answered():
    """Of two features the first tells the classes apart; far beyond all strokes in the second, the first still counts."""
    rng = np.random.default_rng(0)
    values = np.stack([np.repeat([0.0, 10.0], 100), rng.normal(0, 1, 200)], 1).astype(np.float32)
    chance = ask(PixelClassifier().fit(values, np.repeat([1, 255], 100)), np.array([[0, 50], [10, -50]], np.float32))
    assert chance[0, 0] > 0.7
    assert chance[1, 1] > 0.7


def test_one_class_alone_cannot_be_learnt():
    with pytest.raises(InvalidInputError, match="one class"):
        PixelClassifier().fit(np.zeros((4, 2), np.float32), np.ones(4, int))
