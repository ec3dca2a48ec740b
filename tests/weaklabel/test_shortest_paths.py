import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from napari_medseg.weaklabel.shortest_paths import CLOSED, FAR, UNIT_MM, Paths, Steps

SPACING = (2.0, 0.7, 0.9)


def steps(**changed):
    return Steps(**{"spacing": SPACING, "edge": 20.0, "length": 1.0, "cap": 200.0} | changed)


def finish(paths, most=50):
    while not paths.settled:
        paths.spread(most)
    return paths


def fresh(contrast, closed, marks, rules):
    paths = Paths(contrast, closed, rules)
    paths.follow(marks)
    return finish(paths)


@pytest.fixture
def noise():
    rng = np.random.default_rng(3)
    shape = (5, 12, 13)
    return rng.random(shape, np.float32), rng.random(shape) < 0.1


def cheapest(contrast, closed, source, rules):
    """Costs in mm from one voxel by scipy's Dijkstra."""
    index = np.arange(contrast.size).reshape(contrast.shape)
    rows, columns, costs = [], [], []
    for offset in np.ndindex(3, 3, 3):
        move = np.array(offset) - 1
        if not move.any():
            continue
        here = tuple(slice(max(0, -m), n - max(0, m)) for m, n in zip(move, contrast.shape, strict=True))
        there = tuple(slice(max(0, m), n - max(0, -m)) for m, n in zip(move, contrast.shape, strict=True))
        length = rules.length * np.linalg.norm(move * rules.spacing)
        rise = rules.edge * np.abs(contrast[here] - contrast[there])
        passable = ~closed[here] & ~closed[there]
        rows.append(index[here][passable])
        columns.append(index[there][passable])
        costs.append((length + rise)[passable])
    graph = sparse.coo_array((np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), shape=(contrast.size,) * 2)
    return dijkstra(graph.tocsr(), indices=int(index[source])).reshape(contrast.shape)


@pytest.mark.parametrize("length", [1.0, 0.5, 0.001])
def test_costs_are_those_of_the_cheapest_paths(noise, length):
    contrast, closed = noise
    closed[2, 5, 5] = False
    marks = np.zeros(contrast.shape, np.uint8)
    marks[2, 5, 5] = 7
    rules = steps(length=length)
    paths = fresh(contrast, closed, marks, rules)
    reached = (paths.cost >= 0) & (paths.cost < FAR)
    expected = cheapest(contrast, closed, (2, 5, 5), rules)
    np.testing.assert_array_equal(reached, expected <= rules.cap)
    np.testing.assert_allclose(paths.cost[reached] * UNIT_MM, expected[reached], atol=30 * UNIT_MM)
    assert (paths.label[reached] == 7).all()
    assert (paths.cost[closed] == CLOSED).all()


@pytest.mark.parametrize("seed", range(12))
def test_strokes_that_come_and_go_leave_what_the_last_ones_alone_would_give(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 14, 3))
    rules = steps(length=(0.5, 1.5, 0.001)[seed % 3], cap=40.0)
    contrast = (rng.integers(0, 9, shape) / 8).astype(np.float32)  # few values, so that many paths cost the same
    closed, marks = rng.random(shape) < 0.1, np.zeros(shape, np.uint8)
    paths = Paths(contrast, closed, rules)
    for turn in range(12):
        marks.ravel()[rng.integers(0, marks.size, 4)] = rng.choice([0, 1, 2, 255], 4)
        paths.follow(marks)
        if turn % 4 == 3:
            paths.spread(30)  # left in the middle
            continue
        finish(paths)
        expected = fresh(contrast, closed, marks, rules)
        np.testing.assert_array_equal(paths.cost, expected.cost)
        np.testing.assert_array_equal(paths.label, expected.label)


def test_a_new_stroke_costs_only_where_it_is_nearer(noise):
    contrast, _ = noise
    marks = np.zeros(contrast.shape, np.uint8)
    marks[2, 2:10, 3] = 1
    paths = Paths(contrast, np.zeros(contrast.shape, bool), steps())
    paths.follow(marks)
    everywhere = paths.spread(10**6)
    marks[2, 2, 4] = 1
    before = paths.cost.copy()
    paths.follow(marks)
    again = paths.spread(10**6)
    assert again == np.count_nonzero(paths.cost != before) < everywhere / 4


def test_paths_end_at_their_cap():
    contrast = np.zeros((1, 1, 50), np.float32)
    marks = np.zeros(contrast.shape, np.uint8)
    marks[0, 0, 0] = 1
    paths = fresh(contrast, np.zeros(contrast.shape, bool), marks, steps(cap=9.0))
    np.testing.assert_array_equal(np.flatnonzero(paths.label[0, 0]), np.arange(11))


def test_of_two_paths_of_one_cost_the_lower_class_wins_whichever_came_first():
    contrast = np.zeros((1, 1, 3), np.float32)
    for order in ((0, 2), (2, 0)):
        marks = np.zeros(contrast.shape, np.uint8)
        paths = Paths(contrast, np.zeros(contrast.shape, bool), steps())
        for x in order:
            marks[0, 0, x] = 1 + x
            paths.follow(marks)
            finish(paths)
        assert paths.label[0, 0, 1] == 1


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_larger_box_goes_on_from_the_rim_of_the_old_one(noise, unfinished):
    contrast, closed = noise
    marks = np.zeros(contrast.shape, np.uint8)
    marks[2, 5, 5], marks[3, 8, 8] = 1, 2
    closed[marks > 0] = False
    inner = (slice(1, 4), slice(2, 10), slice(4, 13))
    small = Paths(contrast[inner], closed[inner], steps())
    small.follow(marks[inner])
    if unfinished:
        small.spread(20)
    else:
        finish(small)
    large = small.moved(contrast, closed, (1, 2, 4))
    marks[0, 0, 0] = 3
    large.follow(marks)
    finish(large)
    expected = fresh(contrast, closed, marks, steps())
    np.testing.assert_array_equal(large.cost, expected.cost)
    np.testing.assert_array_equal(large.label, expected.label)


def test_a_smaller_box_forgets_the_paths_that_ran_outside_it(noise):
    contrast, closed = noise
    marks = np.zeros(contrast.shape, np.uint8)
    marks[2, 5, 5], marks[4, 11, 12] = 1, 2
    closed[marks > 0] = False
    large = fresh(contrast, closed, marks, steps())
    inner = (slice(0, 4), slice(3, 10), slice(2, 9))
    small = large.moved(contrast[inner], closed[inner], (0, -3, -2))
    finish(small)
    expected = fresh(contrast[inner], closed[inner], marks[inner], steps())
    np.testing.assert_array_equal(small.cost, expected.cost)
    np.testing.assert_array_equal(small.label, expected.label)
