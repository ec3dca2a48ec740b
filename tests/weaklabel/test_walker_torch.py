import numpy as np
import pytest
import torch

from napari_medseg.errors import InvalidInputError
from napari_medseg.weaklabel import walker, walker_torch

BETA = 60.0
HAS_CARD = torch.cuda.is_available()
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not HAS_CARD, reason="no GPU")])]


@pytest.fixture(autouse=True)
def _one_thread():
    """Boxes this small only wait for each other on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[(5.0, 1.0, 1.0), (1.0, 1.0, 1.0)], ids=["thick slices", "cubes"])
def rooms(request):
    shape = (7, 25, 31)
    room = np.digitize(np.indices(shape)[2] + np.indices(shape)[1] * 0.2, [11, 22])
    contrast = (room + np.random.default_rng(0).normal(0, 0.1, shape)).astype(np.float32)
    marks = np.zeros(shape, np.uint8)
    marks[3, 5:20, 4], marks[2, 5:20, 14], marks[3, 5:20, 27] = 1, 2, 255
    return contrast, marks, request.param


def dice(a, b):
    return min(2 * ((a == v) & (b == v)).sum() / ((a == v).sum() + (b == v).sum()) for v in np.unique(b))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("prior", [0.0, 0.02])
def test_it_agrees_with_the_processor_s_walker(rooms, device, prior):
    contrast, marks, spacing = rooms
    unary = np.random.default_rng(1).dirichlet([1, 1, 1], contrast.shape).astype(np.float32).transpose(3, 0, 1, 2)
    *_, theirs = walker.walk(contrast, marks, spacing, BETA, unary, prior=prior, tolerance=1e-4)
    channels = np.stack([0.6 * contrast, 0.8 * contrast])
    *_, ours = walker_torch.walk(channels, marks, spacing, BETA, unary, prior=prior, tolerance=1e-4, device=device)
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-2)
    assert dice(ours.probabilities.argmax(0), theirs.probabilities.argmax(0)) >= 0.99
    quick = walker_torch.probabilities(contrast, marks, spacing, BETA, unary, prior=prior, device=device)
    assert dice(quick.argmax(0), theirs.probabilities.argmax(0)) >= 0.99


@pytest.mark.parametrize("device", DEVICES)
def test_it_starts_from_an_answer_and_yields_partial_ones(rooms, device):
    contrast, marks, spacing = rooms
    steps = list(walker_torch.walk(contrast, marks, spacing, BETA, device=device))
    for step in steps:
        np.testing.assert_allclose(step.probabilities.sum(0), 1, atol=1e-5)
        assert (step.probabilities[0][marks == 1] == 1).all()
    again = list(walker_torch.walk(contrast, marks, spacing, BETA, start=steps[-1].probabilities, tolerance=0.01, device=device))
    assert again[-1].step <= walker_torch.STEPS_PER_LOOK
    assert len(steps) > 2
    assert steps[-1].fraction == 1.0


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 9, 1), (1, 40, 41), (33, 1, 3)])
def test_thin_and_tiny_volumes(shape):
    marks = np.zeros(shape, np.uint8)
    marks.flat[0], marks.flat[-1] = 1, 255
    given = np.zeros(shape, np.float32), marks, (1.0, 1.0, 1.0), BETA
    np.testing.assert_allclose(walker_torch.probabilities(*given, device="cpu"), walker.probabilities(*given), atol=0.02)


def test_a_single_class_is_everywhere_and_no_mark_is_refused():
    marks = np.zeros((2, 3, 4), np.uint8)
    with pytest.raises(InvalidInputError, match="marked"):
        walker_torch.walk(np.zeros(marks.shape, np.float32), marks, (1.0, 1.0, 1.0), BETA, device="cpu")
    marks[0, 0, 0] = 7
    assert (walker_torch.probabilities(np.zeros(marks.shape, np.float32), marks, (1.0, 1.0, 1.0), BETA, device="cpu") == 1).all()
