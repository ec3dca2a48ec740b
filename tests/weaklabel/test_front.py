import numpy as np
import pytest

from napari_medseg.weaklabel import compiled, front
from napari_medseg.weaklabel.front import Front

ISO = (1.0, 1.0, 1.0)
GRIDS = [(ISO, (64, 64, 64)), ((3.0, 1.0, 1.0), (24, 64, 64)), ((6.5, 0.78, 0.78), (14, 90, 90)), (ISO, (1, 90, 90)), ((1.0, 5.0, 1.0), (90, 1, 90))]


class Field:
    """A speed that is the same everywhere, or an array's; remembers which tiles it was asked for."""

    tile, method, version = 16, "region", 0

    def __init__(self, shape, spacing, speed=1.0, curvature_mm=0.0, stopping=None, balloon=0.0):
        self.shape, self.spacing = shape, spacing
        self.speed = np.zeros(shape, np.float32)
        self.values = np.broadcast_to(np.float32(speed), shape)
        self.stopping, self.edge = stopping, float(stopping is not None)
        self.curvature_mm, self.advection, self.balloon = curvature_mm, 1.0, balloon
        self.prepared = np.zeros([-(-n // self.tile) for n in shape], bool)

    def prepare(self, tiles):
        for tile in np.argwhere(tiles & ~self.prepared):
            box = tuple(slice(t * self.tile, (t + 1) * self.tile) for t in tile)
            self.speed[box] = self.values[box]
        self.prepared |= tiles

    def learn(self, inside):
        return False

    def describe(self):
        return ""


def ball(shape, spacing, radius, centre=None):
    centre = [(n - 1) / 2 for n in shape] if centre is None else centre
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return sum(((g - c) * s) ** 2 for g, c, s, n in zip(grid, centre, spacing, shape, strict=True) if n > 1) < radius**2


def radius_of(mask, spacing):
    flat = [s for s, n in zip(spacing, mask.shape, strict=True) if n > 1]
    size = mask.sum() * np.prod(flat)
    return (3 * size / 4 / np.pi) ** (1 / 3) if len(flat) == 3 else (size / np.pi) ** 0.5


def free(mask, spacing):
    return Front(mask.copy(), spacing, np.ones(mask.shape, bool), np.zeros(mask.shape, bool))


@pytest.mark.parametrize(("spacing", "shape"), GRIDS)
@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_a_ball_grows_and_shrinks_by_as_many_mm_as_its_speed_says(spacing, shape, speed):
    start = ball(shape, spacing, 10.0 if speed > 0 else 24.0)
    moving, field = free(start, spacing), Field(shape, spacing, speed)
    moving.advance(field, 20)
    assert moving.time > 8
    expected = radius_of(start, spacing) + speed * moving.time
    assert radius_of(moving.inside, spacing) == pytest.approx(expected, abs=0.12 * moving.time)


@pytest.mark.parametrize(("spacing", "shape"), [(ISO, (64, 64, 64)), ((3.0, 1.0, 1.0), (24, 64, 64)), ((6.5, 0.78, 0.78), (14, 90, 90)), (ISO, (1, 90, 90))])
def test_a_ball_under_tension_alone_shrinks_as_curvature_says(spacing, shape):
    start = ball(shape, spacing, 24.0)
    moving = free(start, spacing)
    field = Field(shape, spacing, 0.0, curvature_mm=1.0)
    moving.advance(field, 400)
    assert moving.time > 50
    bends = 2 if shape[0] == 1 else 4  # R^2 falls by 2 (dimensions - 1) t
    before = radius_of(start, spacing)
    assert before - radius_of(moving.inside, spacing) == pytest.approx(before - (before**2 - bends * moving.time) ** 0.5, rel=0.3)


@pytest.mark.parametrize("slices", [1, 2])
def test_tension_does_not_eat_a_target_that_is_a_slice_or_two_thick(slices):
    spacing, shape = (6.5, 0.78, 0.78), (9, 50, 50)
    target = np.zeros(shape, bool)
    target[4 : 4 + slices] = ball((1, 50, 50), spacing, 9)
    moving = free(target, spacing)
    moving.advance(Field(shape, spacing, np.where(target, 0.5, -0.5), 0.3), 400)
    assert (moving.inside & target).sum() > 0.9 * target.sum()


def test_where_the_way_is_clear_it_moves_about_a_voxel_in_two_iterations():
    moving = free(ball((64, 64, 64), ISO, 8), ISO)
    moving.advance(Field((64, 64, 64), ISO), 20)
    assert radius_of(moving.inside, ISO) - 8 >= 9


def test_it_comes_to_rest_at_the_end_of_what_drives_it():
    target = ball((40, 40, 40), ISO, 12)
    moving = free(ball((40, 40, 40), ISO, 4), ISO)
    field = Field(target.shape, ISO, np.where(target, 0.8, -0.8))
    moving.advance(field, 60)
    np.testing.assert_array_equal(moving.inside, target)
    before = moving.iterations
    assert moving.advance(field, 50) == front.Moved(0, None)
    assert moving.iterations == before + 1  # nothing moves: it says so at once


def test_the_edge_of_a_flat_region_draws_the_front_from_both_sides():
    target = ball((48, 48, 48), ISO, 12)
    away = np.abs(np.sqrt(sum((g - 23.5) ** 2 for g in np.ogrid[:48, :48, :48])) - 12)
    stopping = (1 - np.exp(-((away / 2) ** 2))).astype(np.float32)
    for radius, balloon in ((9, 0.1), (15, -0.1)):
        moving = free(ball(target.shape, ISO, radius), ISO)
        moving.advance(Field(target.shape, ISO, 0.0, 0.05, stopping, balloon), 150)
        assert 2 * (moving.inside & target).sum() / (moving.inside.sum() + target.sum()) > 0.95


def test_what_is_kept_stays_and_what_is_not_allowed_stays_out():
    shape = (20, 40, 40)
    kept, allowed = np.zeros(shape, bool), np.ones(shape, bool)
    kept[10, 20, 20] = True
    allowed[:, :, 25:] = False
    moving = Front(ball(shape, ISO, 8), ISO, allowed, kept)
    assert not moving.inside[:, :, 25:].any()
    moving.advance(Field(shape, ISO, 1.0), 90)
    np.testing.assert_array_equal(moving.inside, allowed)
    moving.advance(Field(shape, ISO, -1.0, 0.1), 90)
    np.testing.assert_array_equal(moving.inside, kept)


def test_a_barrier_one_voxel_thick_is_not_crossed_not_even_when_it_runs_askew():
    shape = (6, 40, 40)
    wall = np.zeros(shape, bool)
    wall[:, np.arange(40), 39 - np.arange(40)] = True  # joined by corners only
    moving = free(ball(shape, ISO, 5, (3, 10, 10)), ISO)
    moving.bar(wall)
    moving.advance(Field(shape, ISO), 120)
    _, y, x = np.indices(shape)
    np.testing.assert_array_equal(moving.inside, y + x < 39)


def test_it_says_what_changed():
    moving = free(ball((40, 40, 40), ISO, 6), ISO)
    before = moving.inside.copy()
    moved = moving.advance(Field((40, 40, 40), ISO), 3)
    z, y, x = np.nonzero(moving.inside != before)
    assert moved.changed == len(z)
    assert moved.box == tuple(slice(a.min(), a.max() + 1) for a in (z, y, x))


def test_going_on_from_another_mask_is_starting_there():
    field = Field((40, 40, 40), ISO)
    start = ball((40, 40, 40), ISO, 9, (18, 20, 22))
    fresh, used = free(start, ISO), free(ball((40, 40, 40), ISO, 5), ISO)
    used.advance(field, 12)
    used.reset(start)
    for moving in (fresh, used):
        moving.advance(field, 12)
    np.testing.assert_array_equal(fresh.inside, used.inside)


def test_one_core_and_many_give_the_same_voxels(monkeypatch):
    shape = (48, 64, 64)
    rough = np.random.default_rng(3).normal(0.2, 0.6, shape)
    found = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(compiled, "threads", lambda cores=cores: cores)
        monkeypatch.setattr(front, "PART", 64)
        moving = free(ball(shape, ISO, 10), ISO)
        field = Field(shape, ISO, rough, 0.2)
        found.append([moving.advance(field, 5) for _ in range(8)] + [moving.inside.tobytes()])
    assert found[0] == found[1] == found[2]


def test_a_front_asks_for_tiles_as_it_comes_to_them():
    shape = (96, 96, 96)
    moving, field = free(ball(shape, ISO, 5, (20, 20, 20)), ISO), Field(shape, ISO)
    moving.advance(field, 1)
    assert field.prepared.sum() <= 8
    moving.advance(field, 25)
    assert 8 < field.prepared.sum() < 0.5 * field.prepared.size


def test_a_larger_box_around_costs_the_front_no_more_voxels():
    sizes = []
    for side in (48, 144):
        shape = (side, side, side)
        moving = free(ball(shape, ISO, 8), ISO)
        moving.advance(Field(shape, ISO), 10)
        sizes.append(moving.band)
    assert sizes[0] == sizes[1] < 48**3 / 2


@pytest.mark.parametrize(("spacing", "shape"), GRIDS)
def test_a_front_that_knows_where_its_mask_lies_moves_as_one_that_looks_everywhere(spacing, shape):
    start = ball(shape, spacing, 5)
    some = [np.flatnonzero(start.any(tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    box = tuple(slice(int(hits[0]), int(hits[-1]) + 1) for hits in some)
    masks = []
    for within in (None, box):
        moving = Front(start.copy(), spacing, np.ones(shape, bool), np.zeros(shape, bool), within)
        moving.advance(Field(shape, spacing), 6)
        masks.append(moving.inside)
    assert masks[0].sum() > start.sum() > 0
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("start", [np.zeros((5, 6, 7), bool), np.ones((5, 6, 7), bool)], ids=["empty", "full"])
def test_a_mask_without_a_surface_rests(start):
    moving = free(start, ISO)
    assert moving.advance(Field((5, 6, 7), ISO), 5).changed == 0
    np.testing.assert_array_equal(moving.inside, start)


def test_what_it_never_wrote_is_never_read(monkeypatch):
    spacing, shape = GRIDS[1]
    values = np.random.default_rng(0).normal(0.5, 1, shape).astype(np.float32)

    def moved(fill):
        """A front that comes under tension after a while."""
        monkeypatch.setattr(front.np, "empty", lambda size, dtype=float: np.full(size, fill if np.dtype(dtype).kind == "f" else 0, dtype))
        here = Front(ball(shape, spacing, 8), spacing, np.ones(shape, bool), np.zeros(shape, bool))
        here.advance(Field(shape, spacing, values), 35)
        here.advance(Field(shape, spacing, values, 0.3), 10)
        return here.inside

    np.testing.assert_array_equal(moved(np.nan), moved(0))
