"""The sliding window answers as MONAI's, can be watched and stopped, and begins where a person looks."""

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.window import importance, slide


def place(windows):
    """A network whose answer differs by place within the window, so that blending shows."""
    shape = windows.shape[2:]
    ramp = sum(np.linspace(0, i + 1, n).reshape([-1 if a == i else 1 for a in range(3)]) for i, n in enumerate(shape))
    return np.stack([windows[:, 0] * ramp, windows[:, 0] - ramp], axis=1).astype(np.float32)


def finished(blends, shape, classes=2):
    whole = np.full((classes, *shape), np.nan, np.float32)
    for blend in blends:
        whole[(slice(None), *blend.box)] = blend.values
    return whole


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize(
    ("shape", "window"),
    [((20, 31, 27), (8, 16, 16)), ((5, 40, 40), (1, 16, 16)), ((4, 9, 50), (8, 16, 16)), ((16, 16, 16), (16, 16, 16)), ((3, 7, 5), (1, 16, 16))],
)
def test_it_equals_monai(shape, window, overlap):
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    inferer = SlidingWindowInferer(window, sw_batch_size=3, overlap=overlap, mode="gaussian")
    expected = inferer(torch.from_numpy(image)[None], lambda x: torch.from_numpy(place(x.numpy())))[0].numpy()
    np.testing.assert_allclose(finished(slide(image, place, window, overlap=overlap, batch=3), shape), expected, atol=1e-3)


@pytest.mark.parametrize("focus", [None, (0, 0, 0), (19, 30, 26), (7, 11, 3)])
def test_where_it_begins_does_not_change_the_answer(focus):
    image = np.random.default_rng(1).normal(size=(1, 20, 31, 27)).astype(np.float32)
    expected = finished(slide(image, place, (8, 16, 16)), image.shape[1:])
    np.testing.assert_allclose(finished(slide(image, place, (8, 16, 16), focus=focus, batch=5), image.shape[1:]), expected, atol=1e-4)


def test_windows_run_from_the_focus_outwards():
    image = np.zeros((1, 30, 16, 16), np.float32)
    starts = [blend.box[0].start for blend in slide(image, place, (3, 16, 16), overlap=0, batch=1, focus=(13, 8, 8))]
    assert starts[0] == 12
    assert [abs(s - 12) for s in starts] == sorted(abs(s - 12) for s in starts)


def test_a_step_is_a_batch_and_the_fraction_rises_to_one():
    told = [blend.fraction for blend in slide(np.zeros((1, 8, 16, 16), np.float32), place, (1, 16, 16), batch=3)]
    assert told == pytest.approx([3 / 8, 6 / 8, 1])


def test_nothing_is_asked_of_the_network_after_a_cancel():
    asked = []

    def network(windows):
        asked.append(len(windows))
        return place(windows)

    running = slide(np.zeros((1, 9, 16, 16), np.float32), network, (1, 16, 16), batch=1)
    next(running)
    next(running)
    running.close()
    assert asked == [1, 1]


def test_places_not_seen_yet_hold_the_fill():
    image = np.ones((1, 1, 64, 64), np.float32)
    first = next(slide(image, place, (1, 16, 16), batch=2, focus=(0, 0, 0), fill=-9.0))
    assert first.box[1:] != (slice(0, 64), slice(0, 64))
    diagonal = next(slide(image, place, (1, 16, 16), overlap=0, batch=6, focus=(0, 0, 0), fill=-9.0))
    assert (diagonal.values == -9.0).any()
    assert (diagonal.values[:, 0, :16, :16] != -9.0).all()


def test_the_weight_is_one_in_the_middle_and_never_zero():
    weight = importance((1, 15, 31))
    assert weight[0, 7, 15] == 1
    assert weight.min() == pytest.approx(1e-3)
    np.testing.assert_array_equal(weight, weight[::-1, ::-1, ::-1])


@pytest.mark.parametrize("answer", [lambda w: w[:, :, 0], lambda w: w[:1], lambda w: w[..., :-1]])
def test_an_answer_of_another_shape_is_refused(answer):
    with pytest.raises(SegmenterError, match="answered with an array"):
        list(slide(np.zeros((1, 4, 16, 16), np.float32), answer, (1, 16, 16), batch=2))


@pytest.mark.parametrize("wrong", [{"overlap": 1.0}, {"overlap": -0.1}, {"batch": 0}, {"window": (0, 4, 4)}])
def test_impossible_windows_are_refused(wrong):
    with pytest.raises(InvalidInputError, match="cannot slide"):
        next(slide(np.zeros((1, 4, 16, 16), np.float32), place, **{"window": (1, 16, 16), **wrong}))
