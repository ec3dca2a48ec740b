import time

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.weaklabel.soft_brush import hard, reach, stamp

GRID = (5.0, 0.7, 0.9)
SHAPE = (7, 60, 60)
CENTRE = (3.2, 28.6, 31.1)


def blank():
    return np.zeros(SHAPE, np.uint8)


def away(point, end=None, spacing=GRID):
    """Distance to a point, or to the way between two, in mm."""
    offsets = (np.stack(np.indices(SHAPE), -1) - point) * spacing
    way = np.zeros(3) if end is None else (np.subtract(end, point)) * spacing
    share = np.clip(offsets @ way / max(way @ way, 1e-12), 0, 1)
    return np.sqrt(((offsets - share[..., None] * way) ** 2).sum(-1))


@pytest.mark.parametrize("softness", [0.0, 0.3, 1.0])
def test_the_hard_limit_is_the_ball_whatever_its_softness(softness):
    weight = blank()
    box = stamp(weight, CENTRE, 11.0, GRID, softness)
    np.testing.assert_array_equal(hard(weight), away(CENTRE) <= 11.0)
    outside = np.ones(SHAPE, bool)
    outside[box] = False
    assert not weight[outside].any()


def test_the_rim_falls_from_full_to_nothing_around_the_radius():
    weight = blank()
    stamp(weight, CENTRE, 10.0, GRID, 0.4)
    distance = away(CENTRE)
    assert (weight[distance <= 6.0] == 255).all()
    assert (weight[distance > 14.0] == 0).all()
    rim = (distance > 6.5) & (distance < 13.5)
    np.testing.assert_allclose(weight[rim], 255 * (14 - distance[rim]) / 8, atol=1)


def test_painting_twice_changes_nothing_and_erasing_takes_the_ball_away():
    weight = blank()
    stamp(weight, CENTRE, 10.0, GRID)
    once = weight.copy()
    stamp(weight, CENTRE, 10.0, GRID)
    np.testing.assert_array_equal(weight, once)
    stamp(weight, (3, 30, 40), 5.0, GRID, erase=True)
    assert (weight <= once).all()
    np.testing.assert_array_equal(hard(weight), hard(once) & ~(away((3, 30, 40)) <= 5.0))


def test_a_fast_stroke_leaves_no_gaps():
    weight = blank()
    box = stamp(weight, (4, 50, 52), 4.0, GRID, 0.5, since=(2, 8, 6))
    np.testing.assert_array_equal(hard(weight), away((2, 8, 6), (4, 50, 52)) <= 4.0)
    assert box == reach(SHAPE, (4, 50, 52), 4.0, GRID, 0.5, since=(2, 8, 6))


def test_a_brush_smaller_than_a_voxel_paints_the_voxel_it_is_in():
    weight = blank()
    stamp(weight, (2.4, 10.4, 10.0), 0.1, GRID)
    assert weight[2, 10, 10] == 255
    assert np.count_nonzero(weight) == 1
    stamp(weight, (2.4, 10.4, 10.0), 0.1, GRID, erase=True)
    assert not weight.any()


def test_a_flat_brush_stays_in_its_slice():
    weight = blank()
    stamp(weight, (3.4, 30.0, 30.0), 12.0, GRID, flat=0)
    assert set(np.flatnonzero(weight.any((1, 2)))) == {3}
    np.testing.assert_array_equal(hard(weight)[3], away((3, 30.0, 30.0))[3] <= 12.0)


@pytest.mark.parametrize("point", [(-9.0, 30.0, 30.0), (3.0, 400.0, 30.0)])
def test_a_brush_off_the_scan_does_nothing(point):
    weight = blank()
    assert stamp(weight, point, 5.0, GRID) is None
    assert not weight.any()


def test_a_brush_at_the_border_is_cut():
    weight = blank()
    assert stamp(weight, (0.0, 0.0, 59.0), 6.0, GRID) is not None
    np.testing.assert_array_equal(hard(weight), away((0, 0, 59)) <= 6.0)


def test_a_stamp_keeps_up_with_sixty_a_second():
    weight = np.zeros((300, 300, 300), np.uint8)
    stamp(weight, (150, 150, 150), 15.0, (1.0, 0.7, 0.7))
    taken = []
    for step in range(20):
        started = time.process_time()
        stamp(weight, (150, 150 + step, 150), 15.0, (1.0, 0.7, 0.7), since=(150, 149 + step, 150))
        taken.append(time.process_time() - started)
    assert np.median(taken) < 1 / 60


@pytest.mark.parametrize(("fault", "said"), [
    (lambda: stamp(blank().astype(float), CENTRE, 5.0, GRID), "one byte"), (lambda: stamp(blank(), CENTRE, 0.0, GRID), "radius"),
    (lambda: stamp(blank(), CENTRE, 5.0, GRID, 1.5), "softness"), (lambda: stamp(blank(), CENTRE, 5.0, (1.0, 0.0, 1.0)), "spacing"),
])
def test_what_cannot_be_painted_is_said(fault, said):
    with pytest.raises(InvalidInputError, match=said):
        fault()
