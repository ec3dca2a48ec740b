"""Distances along the cheapest path: as an exact solver finds them, on either kind of processor, at any spacing."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from napari_medseg.segmenters.promptable.geodesic import FAR, _plane_by_plane, geodesic

COST = 0.1


def exact(image, seeds, spacing):
    """Dijkstra's algorithm over the 26-neighbour graph with the same price of a step."""
    number = np.arange(image.size).reshape(image.shape)
    rows, columns, prices = [], [], []
    for offset in itertools.product((-1, 0, 1), repeat=3):
        if offset > (0, 0, 0):
            here = tuple(slice(max(0, -step), length - max(0, step)) for step, length in zip(offset, image.shape, strict=True))
            there = tuple(slice(max(0, step), length - max(0, -step)) for step, length in zip(offset, image.shape, strict=True))
            length = math.hypot(*(step * size / min(spacing) for step, size in zip(offset, spacing, strict=True)))
            rows.append(number[here].ravel())
            columns.append(number[there].ravel())
            prices.append(np.hypot(COST * length, image[there] - image[here]).ravel())
    graph = coo_matrix((np.concatenate(prices), (np.concatenate(rows), np.concatenate(columns))), shape=(image.size, image.size))
    return dijkstra(graph.tocsr(), directed=False, indices=number[seeds], min_only=True).reshape(image.shape)


def planes(image, seeds, spacing, rounds):
    """The card's own way, on the processor."""
    start = torch.full(seeds.shape, FAR).masked_fill_(seeds, 0.0)
    return _plane_by_plane(image, start, [length / min(spacing) for length in spacing], COST, rounds)


def noisy(shape=(8, 10, 9)):
    rng = np.random.default_rng(3)
    image = rng.standard_normal(shape).astype(np.float32)
    seeds = np.zeros((2, *shape), bool)
    seeds[0, 1, 2, 3] = seeds[0, 6, 6, 7] = seeds[1, 4, 9, 0] = True
    return image, seeds


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (1.0, 2.0, 1.5)])
def test_enough_rounds_find_what_an_exact_solver_finds(spacing):
    image, seeds = noisy()
    found = geodesic(torch.from_numpy(image)[None], torch.from_numpy(seeds)[None], spacing, length_cost=COST, rounds=8)[0]
    for each, wanted in zip(found.numpy(), seeds, strict=True):
        np.testing.assert_allclose(each, exact(image, wanted, spacing), atol=1e-4)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (1.0, 2.0, 1.5)])
def test_the_way_that_suits_a_card_finds_the_same(spacing):
    image, seeds = noisy()
    found = planes(torch.from_numpy(image)[None], torch.from_numpy(seeds)[None], spacing, 8)[0]
    for each, wanted in zip(found.numpy(), seeds, strict=True):
        np.testing.assert_allclose(each, exact(image, wanted, spacing), atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_card_and_a_processor_agree():
    image, seeds = (torch.from_numpy(each)[None] for each in noisy((24, 24, 24)))
    here = geodesic(image, seeds, length_cost=COST, rounds=6)
    there = geodesic(image.cuda(), seeds.cuda(), length_cost=COST, rounds=6).cpu()
    torch.testing.assert_close(here, there, atol=1e-3, rtol=0)


def test_two_rounds_come_close_on_a_smooth_image():
    torch.manual_seed(0)
    image = torch.nn.functional.interpolate(torch.randn(1, 1, 5, 5, 5), size=(24, 24, 24), mode="trilinear")[0]
    seeds = torch.zeros(1, 1, 24, 24, 24, dtype=torch.bool)
    seeds[0, 0, 3, 4, 20] = True
    found = geodesic(image, seeds, length_cost=COST, rounds=2)[0, 0].numpy()
    wanted = exact(image[0].numpy(), seeds[0, 0].numpy(), (1, 1, 1))
    assert np.all(found >= wanted - 1e-3)
    assert np.mean(found - wanted) < 0.01 * wanted.mean()


def test_a_flat_image_leaves_the_length_of_the_way():
    seeds = torch.zeros(1, 1, 9, 9, 9, dtype=torch.bool)
    seeds[0, 0, 4, 4, 4] = True
    distance = geodesic(torch.zeros(1, 9, 9, 9), seeds, (2.0, 1.0, 1.0), length_cost=COST)[0, 0]
    assert distance[4, 4, 4] == 0
    assert float(distance[4, 4, 8]) == pytest.approx(4 * COST)
    assert float(distance[8, 4, 4]) == pytest.approx(8 * COST)
    assert float(distance[4, 8, 8]) == pytest.approx(4 * math.sqrt(2) * COST)


def test_a_wall_is_gone_round_where_that_is_cheaper():
    image = torch.zeros(1, 3, 12, 12)
    image[:, :, 6, :11] = 5.0  # a wall with a gap at its end
    seeds = torch.zeros(1, 1, 3, 12, 12, dtype=torch.bool)
    seeds[0, 0, 1, 3, 0] = True
    behind = float(geodesic(image, seeds, length_cost=COST)[0, 0, 1, 9, 0])
    assert 2 * 10 * COST < behind < 25 * COST  # through it: 10 and more


def test_nothing_seeded_is_far_and_does_not_touch_the_other_set():
    image, seeds = noisy()
    seeds[1] = False
    found = geodesic(torch.from_numpy(image)[None], torch.from_numpy(seeds)[None])[0]
    assert bool((found[1] == FAR).all())
    assert float(found[0].max()) < 20


def test_each_image_of_a_batch_is_alone():
    image, seeds = noisy()
    images = torch.from_numpy(np.stack([image, 3 * image]))
    both = geodesic(images, torch.from_numpy(np.stack([seeds, seeds])))
    for index in range(2):
        torch.testing.assert_close(both[index], geodesic(images[index : index + 1], torch.from_numpy(seeds)[None])[0])
