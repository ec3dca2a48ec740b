import itertools

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve
from skimage.segmentation import random_walker

from napari_medseg.errors import InvalidInputError
from napari_medseg.weaklabel import compiled
from napari_medseg.weaklabel.walker import LEAST_EASE, probabilities, walk

BETA = 60.0


@pytest.fixture
def rooms():
    """Left, middle and right of different grey, each marked; slices five times as thick as pixels."""
    shape = (6, 24, 30)
    room = np.digitize(np.indices(shape)[2] + np.indices(shape)[1] * 0.2, [11, 22])
    contrast = (room + np.random.default_rng(0).normal(0, 0.1, shape)).astype(np.float32)
    marks = np.zeros(shape, np.uint8)
    marks[3, 5:20, 4], marks[2, 5:20, 14], marks[3, 5:20, 27] = 1, 2, 255
    return contrast, marks, (5.0, 1.0, 1.0), room


def direct(contrast, marks, spacing, beta, unary=None, prior=0.0):
    """The same system, assembled in double precision and solved directly."""
    index = np.arange(contrast.size).reshape(contrast.shape)
    laplacian = sparse.csr_array((contrast.size, contrast.size))
    for axis, step in enumerate(spacing):
        a, b = np.delete(index, -1, axis).ravel(), np.delete(index, 0, axis).ravel()
        ease = (np.exp(-beta * np.diff(contrast.astype(float), axis=axis) ** 2).ravel() + LEAST_EASE) * (min(spacing) / step) ** 2
        pairs = sparse.coo_array((ease, (a, b)), shape=laplacian.shape)
        laplacian = laplacian + sparse.diags_array(pairs.sum(0) + pairs.sum(1)) - pairs - pairs.T
    laplacian, free = sparse.csr_array(laplacian), marks.ravel() == 0
    system = laplacian[free][:, free] + prior * sparse.eye_array(int(free.sum()))
    found = []
    for number, value in enumerate(v for v in np.unique(marks) if v):
        fixed = (marks.ravel() == value).astype(float)
        known = -(laplacian[free][:, ~free] @ fixed[~free])
        fixed[free] = spsolve(sparse.csc_array(system), known + (0 if unary is None else prior * unary[number].ravel()[free]))
        found.append(fixed.reshape(marks.shape))
    return np.array(found)


def test_the_probabilities_are_those_of_a_direct_solution(rooms):
    contrast, marks, spacing, room = rooms
    *_, last = walk(contrast, marks, spacing, BETA, tolerance=1e-5)
    np.testing.assert_allclose(last.probabilities, direct(contrast, marks, spacing, BETA), atol=2e-3)
    assert (last.probabilities.argmax(0) == room).mean() > 0.98
    quick = probabilities(contrast, marks, spacing, BETA)
    assert quick.dtype == np.float32
    np.testing.assert_allclose(quick.sum(0), 1, atol=1e-5)
    assert (quick.argmax(0) == last.probabilities.argmax(0)).mean() > 0.995


@pytest.mark.parametrize("prior", [0.01, 1.0])
def test_a_prior_pulls_as_its_equations_say(rooms, prior):
    contrast, marks, spacing, _ = rooms
    unary = np.random.default_rng(1).dirichlet([1, 1, 1], contrast.shape).astype(np.float32).transpose(3, 0, 1, 2)
    *_, last = walk(contrast, marks, spacing, BETA, unary, prior=prior, tolerance=1e-5)
    np.testing.assert_allclose(last.probabilities, direct(contrast, marks, spacing, BETA, unary, prior), atol=2e-3)


def test_a_strong_prior_decides_and_marks_stand_nevertheless(rooms):
    contrast, marks, spacing, _ = rooms
    unary = np.zeros((3, *contrast.shape), np.float32)
    unary[1] = 1
    found = probabilities(contrast, marks, spacing, BETA, unary, prior=1000.0)
    assert (found.argmax(0)[marks == 0] == 1).all()
    assert (found[0][marks == 1] == 1).all()
    assert (found[2][marks == 255] == 1).all()


def test_changes_in_several_channels_add_up(rooms):
    contrast, marks, spacing, _ = rooms
    split = np.stack([0.6 * contrast, 0.8 * contrast])
    np.testing.assert_allclose(probabilities(split, marks, spacing, BETA), probabilities(contrast, marks, spacing, BETA), atol=2e-3)


def test_on_cubes_it_is_scikit_image_s_walker():
    rng = np.random.default_rng(0)
    ball = ((np.indices((15, 24, 24)) - np.array([7, 12, 12])[:, None, None, None]) ** 2).sum(0) < 36
    image = ball + rng.normal(0, 0.15, ball.shape)
    marks = np.zeros(ball.shape, np.uint8)
    marks[7, 10:14, 10:14], marks[7, 2, :], marks[1] = 1, 2, 2
    theirs = random_walker(image, marks, beta=30, mode="cg_j", tol=1e-7, prob_tol=1, return_full_prob=True)
    beta = 30 / (10 * image.std())  # what scikit-image makes of its beta
    *_, ours = walk(image.astype(np.float32), marks, (1.0, 1.0, 1.0), beta, tolerance=1e-5)
    np.testing.assert_allclose(ours.probabilities, theirs, atol=5e-3)


def test_it_starts_from_an_answer_and_is_then_soon_done(rooms):
    contrast, marks, spacing, _ = rooms
    *_, cold = walk(contrast, marks, spacing, BETA, tolerance=1e-4)
    *_, again = walk(contrast, marks, spacing, BETA, start=cold.probabilities, tolerance=1e-3)
    assert again.step <= cold.step // 4
    more = marks.copy()
    more[3, 12, 16:19] = 2
    *_, warm = walk(contrast, more, spacing, BETA, start=cold.probabilities, tolerance=1e-5)
    np.testing.assert_allclose(warm.probabilities, direct(contrast, more, spacing, BETA), atol=2e-3)


def test_each_step_is_a_partial_answer_and_it_can_be_left_at_any(rooms):
    contrast, marks, spacing, _ = rooms
    fractions = []
    for step in itertools.islice(walk(contrast, marks, spacing, BETA), 5):
        fractions.append(step.fraction)
        assert (step.probabilities[0][marks == 1] == 1).all()
        np.testing.assert_allclose(step.probabilities.sum(0), 1, atol=1e-5)
    assert len(fractions) == 5
    assert 0 <= min(fractions) <= max(fractions) <= 1


def test_the_same_answer_on_any_number_of_cores(rooms, monkeypatch):
    contrast, marks, spacing, _ = rooms
    expected = probabilities(contrast, marks, spacing, BETA)
    monkeypatch.setattr(compiled, "threads", lambda: 1)
    np.testing.assert_array_equal(probabilities(contrast, marks, spacing, BETA), expected)


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 5, 1), (2, 1, 1), (1, 40, 40), (60, 1, 3)])
def test_thin_and_tiny_volumes(shape):
    contrast, marks = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    marks.flat[0], marks.flat[-1] = 1, 255
    found = probabilities(contrast, marks, (1.0, 1.0, 1.0), BETA)
    np.testing.assert_allclose(found, direct(contrast, marks, (1.0, 1.0, 1.0), BETA) if (marks == 0).any() else [marks == 1, marks == 255], atol=0.02)


def test_a_single_class_is_everywhere():
    marks = np.zeros((2, 3, 4), np.uint8)
    marks[0, 0, 0] = 7
    assert (probabilities(np.zeros(marks.shape, np.float32), marks, (1.0, 1.0, 1.0), BETA) == 1).all()


@pytest.mark.parametrize("wrong", ["marks", "unary", "start", "nothing"])
def test_what_does_not_fit_is_refused(rooms, wrong):
    contrast, marks, spacing, _ = rooms
    given = {"unary": None, "start": None}
    if wrong == "marks":
        marks = marks[:2]
    elif wrong == "nothing":
        marks = np.zeros_like(marks)
    else:
        given[wrong] = np.zeros((2, *marks.shape), np.float32)
    with pytest.raises(InvalidInputError):
        walk(contrast, marks, spacing, BETA, **given)
