"""The sliding window answers as MONAI's, can be watched and stopped, and begins where a person looks."""

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.cells import Cells
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


@pytest.mark.parametrize("focus", [None, (0, 0, 0), (19, 30, 26), (7, None, None), (None, 11, None), (None, None, 3)])
def test_where_it_begins_does_not_change_the_answer(focus):
    image = np.random.default_rng(1).normal(size=(1, 20, 31, 27)).astype(np.float32)
    expected = finished(slide(image, place, (8, 16, 16)), image.shape[1:])
    np.testing.assert_allclose(finished(slide(image, place, (8, 16, 16), focus=focus, batch=5), image.shape[1:]), expected, atol=1e-4)


def recorded(image, window, **choices):
    """Where windows began, batch by batch, for an image whose values are their own z; and the pieces."""
    batches = []

    def network(windows):
        batches.append([int(w[0, 0, 0, 0]) for w in windows])
        return place(windows)

    return batches, slide(image, network, window, **choices)


@pytest.fixture
def by_slice():
    return np.broadcast_to(np.arange(30, dtype=np.float32)[None, :, None, None], (1, 30, 16, 16)).copy()


def test_windows_run_from_the_focus_outwards(by_slice):
    batches, pieces = recorded(by_slice, (3, 16, 16), overlap=0, batch=2, focus=(13, None, None))
    list(pieces)
    assert batches[0] == [12]
    away = [abs(start + 1 - 13) for batch in batches for start in batch]
    assert away == sorted(away)


def test_without_a_focus_windows_run_from_the_first_slice_to_the_last(by_slice):
    batches, pieces = recorded(by_slice, (3, 16, 16), overlap=0, batch=4)
    list(pieces)
    assert batches == [[0, 3, 6, 9], [12, 15, 18, 21], [24, 27]]


def test_what_is_left_follows_the_scrolling(by_slice):
    looking = [28]
    batches, pieces = recorded(by_slice, (3, 16, 16), overlap=0, batch=2, focus=lambda: (looking[0], None, None))
    for _ in pieces:
        if len(batches) == 2:
            looking[0] = 1
    assert batches[:4] == [[27], [24, 21], [0], [3, 6]]
    assert sorted(start for batch in batches for start in batch) == list(range(0, 30, 3))


def test_the_slice_in_view_is_told_after_one_window_before_it_is_final():
    image = np.random.default_rng(2).normal(size=(1, 32, 48, 48)).astype(np.float32)
    asked = []

    def network(windows):
        asked.append(windows)
        return windows * 2

    first = next(slide(image, network, (16, 16, 16), focus=(9, None, None), batch=4))
    assert [len(windows) for windows in asked] == [1]
    assert first.box[0] == slice(9, 10)
    np.testing.assert_allclose(first.values, 2 * image[(slice(None), *first.box)], rtol=1e-5)
    assert first.values.shape[1:] == (1, *(part.stop - part.start for part in first.box[1:]))


def test_a_slice_that_was_half_done_is_told_when_a_person_comes_to_it():
    looking = [3]
    image = np.zeros((1, 24, 32, 32), np.float32)
    batches, pieces = recorded(image, (16, 16, 16), focus=lambda: (looking[0], None, None), batch=1)
    for _ in pieces:
        if len(batches) == 4:
            looking[0] = 11
        if len(batches) == 5:
            break
    told = np.zeros((32, 32), int)
    for piece in pieces:
        if len(batches) > 5:
            break
        if piece.box[0] == slice(11, 12):
            told[piece.box[1:]] += 1
    assert told.astype(bool).mean() > 0.5


def test_a_focus_along_another_axis_tells_that_plane():
    first = next(slide(np.zeros((1, 20, 40, 30), np.float32), place, (8, 16, 16), focus=(None, None, 22)))
    assert first.box[2] == slice(22, 23)


def test_every_batch_tells_something_and_the_fraction_rises_to_one():
    batches, pieces = recorded(np.zeros((1, 24, 40, 40), np.float32), (16, 16, 16), batch=2)
    told = [(len(batches), piece.fraction) for piece in pieces]
    assert {done for done, _ in told} == set(range(1, len(batches) + 1))
    assert [f for _, f in told] == sorted(f for _, f in told)
    assert told[-1][1] == 1


def test_pieces_hold_only_what_a_window_has_seen():
    image = np.ones((1, 24, 40, 40), np.float32)
    for focus in (None, (5, None, None), (None, 20, 20)):
        told = [piece.values for piece in slide(image, place, (16, 16, 16), focus=focus)]
        assert all(values.size and np.isfinite(values).all() for values in told)


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


@pytest.mark.parametrize(("focus", "most"), [(None, 0.3), ((100, None, None), 0.5), ((0, None, None), 0.3)])
def test_sums_are_held_for_a_few_windows_height_only(focus, most, monkeypatch):
    held = []
    add = Cells.add

    def watched(cells, box, maps):
        add(cells, box, maps)
        held.append(cells.held)

    monkeypatch.setattr(Cells, "add", watched)
    image = np.zeros((1, 200, 64, 64), np.float32)
    for _ in slide(image, lambda w: w, (32, 32, 32), focus=focus, batch=1):
        pass
    assert max(held) < most * image.size


def test_the_answer_belongs_to_the_caller():
    """A piece may be written to; no later piece changes."""
    image = np.random.default_rng(3).normal(size=(1, 20, 31, 27)).astype(np.float32)
    expected = finished(slide(image, place, (8, 16, 16)), image.shape[1:])
    whole = np.zeros_like(expected)
    for piece in slide(image, place, (8, 16, 16)):
        whole[(slice(None), *piece.box)] = piece.values
        piece.values[:] = np.nan
    np.testing.assert_array_equal(whole, expected)


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
