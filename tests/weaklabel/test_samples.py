"""Where a weak-label tool first looks, and how far it may go."""

import numpy as np
import pytest

from napari_medseg.weaklabel.levelset import evolve
from napari_medseg.weaklabel.samples import LEAST_REACH_MM, LONE_REACH_MM, reach_from, reach_of


def ball(radius, spacing=(2.0, 1.0, 1.0), shape=(60, 110, 110)):
    offsets = [(np.arange(n) - n // 2) * s for n, s in zip(shape, spacing, strict=True)]
    distance = np.sqrt(sum(o**2 for o in np.meshgrid(*offsets, indexing="ij")))
    return np.where(distance < radius, 100.0, 40.0).astype(np.float32) + np.random.default_rng(0).normal(0, 8, shape).astype(np.float32), distance < radius


CLOSE = np.array([(30, 55, 55), (31, 57, 54), (29, 54, 57)])  # clicked within some millimetres of each other


@pytest.mark.parametrize("radius", [15, 22, 30])
def test_seeds_clicked_close_together_find_the_whole_of_a_clear_target(radius):
    image, truth = ball(radius)
    assert reach_of(CLOSE, (2.0, 1.0, 1.0)) < radius - 4
    *_, last = evolve(image, CLOSE, (2.0, 1.0, 1.0))
    assert 2 * (last.mask & truth).sum() / (last.mask.sum() + truth.sum()) > 0.95


def test_the_reach_stays_where_the_surroundings_tell_already():
    image, _ = ball(6)
    assert reach_from(image, CLOSE, (2.0, 1.0, 1.0)) == reach_of(CLOSE, (2.0, 1.0, 1.0)) == LEAST_REACH_MM


def test_the_reach_stays_where_nothing_tells_farther_out_either():
    noise = np.random.default_rng(1).normal(0, 1, (60, 110, 110)).astype(np.float32)
    assert reach_from(noise, CLOSE, (2.0, 1.0, 1.0)) == LEAST_REACH_MM


def test_one_seed_has_a_reach_of_its_own_and_a_ring_outside_the_scan_tells_nothing():
    image, _ = ball(22)
    assert reach_from(image, CLOSE[:1], (2.0, 1.0, 1.0)) == LONE_REACH_MM
    small = np.ascontiguousarray(image[26:36, 48:64, 48:64])
    assert reach_from(small, CLOSE - (26, 48, 48), (2.0, 1.0, 1.0)) == LEAST_REACH_MM
