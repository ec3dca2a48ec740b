from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError
from napari_medseg.testing import annotator
from napari_medseg.weaklabel import tiles
from napari_medseg.weaklabel.front import Front
from napari_medseg.weaklabel.hand import Hand, squared_distance
from napari_medseg.weaklabel.local_statistics import NOWHERE, cells_of, learned
from napari_medseg.weaklabel.samples import around_points
from napari_medseg.weaklabel.settings import LevelSetSettings
from napari_medseg.weaklabel.speed import FEW, START_MM, Speed

SHAPE = (20, 70, 66)
SPACING = (2.5, 1.0, 1.0)
RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 5, SHAPE).astype(np.float32)
PLAIN = LevelSetSettings()


def ellipsoid(centre=(10, 35, 33), radii=(18.0, 20.0, 17.0)):
    grid = [((g - c) * s / r) ** 2 for g, c, s, r in zip(np.indices(SHAPE), centre, SPACING, radii, strict=True)]
    return sum(grid) < 1


TRUTH = ellipsoid()
SEEDS = annotator.seeds(TRUTH, SPACING)
HAND = annotator.hand_mask(TRUTH, SPACING)
IMAGE = np.where(TRUTH, 100, 40).astype(np.float32) + NOISE


def everything(speed):
    speed.prepare(np.ones(speed.grid, bool))
    return speed


def made(image=IMAGE, settings=PLAIN, points=SEEDS, spacing=SPACING, **given):
    return everything(Speed(image, spacing, settings, points, **given))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def accuracy(speed, truth=TRUTH, within=HAND):
    return dice((speed.speed > 0) & within, truth & within)


def test_it_moves_out_in_the_target_and_in_elsewhere_at_about_full_speed():
    speed = made(settings=LevelSetSettings(method="region"), limit=HAND)
    core = ndi.binary_erosion(TRUTH, iterations=3)
    rind = HAND & ~ndi.binary_dilation(TRUTH, iterations=2)
    assert np.median(speed.speed[core]) > 0.9
    assert np.median(speed.speed[rind]) < -0.9
    assert np.abs(speed.speed).max() <= 1
    assert (speed.speed[~HAND] == -1).all()
    assert (speed.method, speed.edge, speed.stopping) == ("region", 0.0, None)


@pytest.mark.parametrize("settings", [PLAIN, LevelSetSettings(edge=0.5)], ids=["region", "region and edge"])
@pytest.mark.parametrize("limit", [HAND, None], ids=["painted", "seeds only"])
def test_a_tile_is_bit_for_bit_what_the_whole_volume_gives(settings, limit, monkeypatch):
    inside = ndi.binary_erosion(TRUTH)
    small = made(settings=settings, limit=limit)
    assert small.prepared.size > 4
    assert small.learn(inside)
    for module in ("tiles", "speed", "local_statistics"):
        monkeypatch.setattr(f"napari_medseg.weaklabel.{module}.TILE", 128)
    large = made(settings=settings, limit=limit)
    assert large.prepared.size == 1
    assert large.learn(inside)
    np.testing.assert_array_equal(small.speed, large.speed)
    if settings.edge:
        np.testing.assert_array_equal(small.stopping, large.stopping)


def test_only_the_tiles_asked_for_are_made():
    speed = Speed(IMAGE, SPACING, PLAIN, SEEDS, limit=HAND)
    assert not speed.speed.any()
    wanted = np.zeros(speed.grid, bool)
    wanted[0, 1, 1] = True
    speed.prepare(wanted)
    box = tiles.tile_box((0, 1, 1), SHAPE)
    assert speed.speed[box].all()
    assert np.count_nonzero(speed.speed) == speed.speed[box].size
    np.testing.assert_array_equal(speed.prepared, wanted)


def test_the_first_look_at_a_large_scan_touches_little_of_it():
    large = np.zeros((120, 300, 300), np.int16)
    large[50:70, 115:185, 117:183] = IMAGE
    speed = Speed(large, SPACING, PLAIN, np.add(SEEDS, [50, 115, 117]))
    speed.start()
    assert speed.prepared.sum() < 0.15 * speed.prepared.size


def test_a_start_at_the_seeds_is_small_and_of_the_target():
    start, box = Speed(IMAGE, SPACING, PLAIN, SEEDS).start()
    assert start[tuple(SEEDS.T)].all()
    assert 0 < start.sum() < TRUTH.sum()
    assert (start & ~TRUTH).sum() < 0.02 * start.sum()
    assert start[box].sum() == start.sum()


@pytest.mark.parametrize("limit", [None, HAND], ids=["no limit", "limit"])
@pytest.mark.parametrize("edge", [None, 0.5])
def test_what_is_seen_around_a_few_points_is_what_the_tiles_say_afterwards(limit, edge):
    speed = Speed(IMAGE, SPACING, LevelSetSettings(edge=edge), SEEDS, limit=limit)
    like = speed.like_target(SEEDS)
    assert not speed.prepared.any()
    speed.prepare(np.zeros(speed.grid, bool))
    near = around_points(SEEDS, max(START_MM, 2.5 * min(SPACING)), SPACING, SHAPE)
    assert speed.prepared[tuple((near // tiles.TILE).T)].all()
    np.testing.assert_array_equal(like, near[speed.speed[tuple(near.T)] > 0])


def test_many_points_see_what_each_of_them_would():
    speed = Speed(IMAGE, SPACING, PLAIN, SEEDS)
    many = np.argwhere(TRUTH)[::7]
    assert len(many) > FEW
    alone = np.concatenate([Speed(IMAGE, SPACING, PLAIN, SEEDS).like_target(part) for part in np.array_split(many, -(-len(many) // FEW))])
    np.testing.assert_array_equal(speed.like_target(many), np.unique(alone, axis=0))


def shaded():
    """Shading of x 0.6 to 1.4 across the target."""
    across = np.clip((np.arange(SHAPE[2], dtype=np.float32) - 16) / 34, 0, 1)
    return np.where(TRUTH, 100, 65).astype(np.float32) * (0.6 + 0.8 * across) + NOISE


def test_shading_is_followed_with_local_statistics_and_not_with_global_ones():
    scores = {}
    for name, settings in {"local": LevelSetSettings(local_mm=8.0), "global": LevelSetSettings(local_mm=0.0)}.items():
        speed = made(shaded(), replace(settings, hand_trust=0.5), limit=HAND)
        for _ in range(4):
            speed.learn((speed.speed > 0) & HAND)
        scores[name] = accuracy(speed)
    assert scores["local"] > 0.9
    assert scores["local"] > scores["global"] + 0.05


def test_learning_again_from_the_same_front_changes_nothing():
    speed = made(limit=HAND)
    assert not speed.version
    assert speed.learn(TRUTH)
    assert speed.version == 1
    front = speed.speed > 0
    while speed.learn(front):
        assert speed.version < 30
        front = speed.speed > 0
    was = speed.version
    assert not speed.learn(front)
    assert speed.version == was


def test_what_is_learned_in_slices_is_what_is_learned_at_once():
    at_once, sliced = made(limit=HAND), made(limit=HAND)
    before = sliced.speed.copy()
    assert at_once.learn(TRUTH)
    assert sliced.learn(TRUTH, 4)
    assert np.array_equal(sliced.speed, before), "nothing is in force before the first refresh"
    turns = 0
    while sliced.refresh():
        turns += 1
        if turns == 1:
            assert not np.array_equal(sliced.speed, before)
            assert not np.array_equal(sliced.speed, at_once.speed)
    assert 1 < turns <= 4
    assert np.array_equal(sliced.speed, at_once.speed)
    assert not sliced.refresh(whole=True)


def test_learning_again_first_brings_all_that_was_learned_into_force():
    at_once, sliced = made(limit=HAND), made(limit=HAND)
    for front in (TRUTH, ellipsoid(radii=(14.0, 15.0, 13.0))):
        assert at_once.learn(front)
        assert sliced.learn(front, 4)
        sliced.refresh()
    sliced.refresh(whole=True)
    assert np.array_equal(sliced.speed, at_once.speed)


def test_global_statistics_learn_nothing_new():
    assert not made(settings=LevelSetSettings(local_mm=0), limit=HAND).learn(TRUTH)


def test_bigger_and_smaller_are_just_that():
    inside = [made(settings=LevelSetSettings(size=size), limit=HAND).speed > 0 for size in (-3, -1, 0, 1, 3)]
    for smaller, bigger in pairwise(inside):
        assert not (smaller & ~bigger).any()
        assert smaller.sum() < bigger.sum()


def test_whole_numbers_and_real_ones_give_the_same():
    whole = np.rint(IMAGE * 10)
    expected = made(whole.astype(np.float32), limit=HAND).speed
    for kind in (np.int16, np.uint16, np.float64):
        np.testing.assert_array_equal(made(whole.astype(kind), limit=HAND).speed, expected)


def test_the_unit_of_the_scan_does_not_matter():
    speed = made(IMAGE * 64 - 4096, limit=HAND)
    plain = made(limit=HAND)
    for each in (speed, plain):
        each.learn(TRUTH)
    assert ((speed.speed > 0) != (plain.speed > 0)).mean() < 1e-3


def test_thick_slices_are_smoothed_in_millimetres():
    thick = made(spacing=(50.0, 1.0, 1.0), settings=LevelSetSettings(smooth_mm=2.0, reach_mm=900.0))
    alone = Speed(IMAGE, (50.0, 1.0, 1.0), LevelSetSettings(smooth_mm=2.0, reach_mm=900.0), SEEDS)
    lonely = IMAGE.copy()
    lonely[11] = 40
    alone._image = lonely
    everything(alone)
    np.testing.assert_array_equal(thick.speed[10], alone.speed[10])  # the next slice, 5 cm away, does not tell on it


def test_only_values_in_the_window_are_kept():
    three = IMAGE.copy()
    three[:, :, 33:] += np.where(TRUTH[:, :, 33:], 60, 0)
    speed = made(three, LevelSetSettings(window=(130.0, 200.0)), points=[[10, 35, 42]] * np.ones((1, 1), int), limit=HAND)
    assert speed.method == "threshold"
    assert "130 to 200 HU" in speed.describe("HU")
    assert speed.describe().endswith("130 to 200")
    right = TRUTH & (np.indices(SHAPE)[2] >= 33)
    assert accuracy(speed, right) > 0.95


def test_a_window_that_leaves_background_is_mixed_with_what_the_seeds_tell():
    speed = made(settings=LevelSetSettings(window=(0.0, 110.0), edge=0.0), limit=HAND)
    assert speed.method == "region and threshold"
    assert accuracy(speed) > 0.93
    bright = TRUTH & (ndi.maximum_filter(IMAGE, 1) > 113)
    assert (made(limit=HAND).speed[bright] > speed.speed[bright]).all()


def test_a_probability_map_moves_the_front_alone_or_in_its_share():
    other = ellipsoid((10, 38, 30), (15, 16, 15))
    chance = ndi.gaussian_filter(other.astype(np.float32), 1)
    alone = made(limit=HAND, probability=chance)
    assert alone.method == "probability"
    assert accuracy(alone, other) > 0.97
    mixed = made(settings=LevelSetSettings(learned=0.5), limit=HAND, probability=chance)
    assert mixed.method == "probability and region"
    assert "probability" in mixed.describe()
    assert "values" in mixed.describe()
    values = made(settings=LevelSetSettings(learned=0.0), limit=HAND, probability=chance)
    np.testing.assert_array_equal(values.speed, made(limit=HAND).speed)
    assert accuracy(values, other) < accuracy(mixed, other) < accuracy(alone, other)


def test_edges_count_as_much_as_they_are_told_to():
    rim = ndi.binary_dilation(TRUTH) & ~ndi.binary_erosion(TRUTH)
    for share in (0.4, 1.0):
        speed = made(settings=LevelSetSettings(edge=share), limit=HAND)
        assert 0 < speed.edge <= share
        assert speed.method == ("edge" if share == 1 else "region and edge")
        assert np.median(speed.stopping[rim]) < 0.2
        assert np.median(speed.stopping[ndi.binary_erosion(TRUTH, iterations=6)]) > 0.8


@pytest.mark.parametrize(
    ("limit", "noise", "share"), [(HAND, 0, 0.8), (HAND, 60, 0.3), (None, 0, 0.0)], ids=["painted, clear", "painted, noisy", "seeds only"],
)
def test_edges_help_where_there_is_a_limit_to_come_from_and_most_in_a_clear_picture(limit, noise, share):
    noisy = IMAGE + np.random.default_rng(1).normal(0, noise, SHAPE).astype(np.float32)
    assert Speed(noisy, SPACING, PLAIN, SEEDS, limit=limit).edge == share


def test_edges_alone_are_followed_where_values_do_not_tell():
    flat = made(NOISE, limit=HAND)
    assert flat.method == "edge"
    assert flat.describe() == "follows edges"
    depth = Hand(HAND, SPACING).depth(0, SHAPE[0])
    assert np.median(flat.speed[depth > 0.6]) > 0 > np.median(flat.speed[HAND & (depth < 0.1)])


def test_the_balloon_pushes_away_from_where_the_front_starts():
    assert not Speed(IMAGE, SPACING, LevelSetSettings(edge=1.0), SEEDS, limit=HAND, inward=True).balloon  # there the depth in the limit pushes
    assert Speed(IMAGE, SPACING, PLAIN, SEEDS, limit=HAND, inward=True).balloon < 0 < Speed(IMAGE, SPACING, PLAIN, SEEDS).balloon
    assert Speed(IMAGE, SPACING, PLAIN, SEEDS, init=TRUTH).balloon == 0


def test_neither_seed_nor_mask_is_an_error_in_words():
    with pytest.raises(InvalidInputError, match="no seed lies"):
        Speed(IMAGE, SPACING, PLAIN, np.zeros((0, 3), np.intp), init=np.zeros(SHAPE, bool))


def test_it_learns_from_a_mask_where_there_is_no_seed():
    speed = made(points=np.zeros((0, 3), np.intp), init=ndi.binary_erosion(TRUTH, iterations=2))
    assert dice(speed.speed > 0, TRUTH) > 0.9


def test_what_is_not_allowed_is_left_at_full_speed_and_may_change():
    allowed = np.ones(SHAPE, bool)
    speed = made(limit=HAND, allowed=allowed)
    before = speed.speed.copy()
    allowed[:, :, 30] = False
    speed.remake((slice(0, 20), slice(0, 70), slice(30, 31)))
    assert (speed.speed[:, :, 30] == -1).all()
    np.testing.assert_array_equal(speed.speed[:, :, 64:], before[:, :, 64:])


def test_voxels_without_a_number_are_not_the_target():
    holed = IMAGE.copy()
    holed[:, 30:33, 30:33] = np.nan
    speed = made(holed, LevelSetSettings(edge=0.3), limit=HAND)
    assert np.isfinite(speed.speed).all()
    assert np.isfinite(speed.stopping).all()
    assert (speed.speed[:, 31, 31] < 0).all()
    assert speed.learn(TRUTH)
    assert np.isfinite(speed.speed).all()


@pytest.mark.parametrize(
    ("image", "said"),
    [(np.full(SHAPE, 7, np.int16), "one value only"), (np.full(SHAPE, np.nan, np.float32), "only NaN")],
    ids=["constant", "NaN"],
)
@pytest.mark.parametrize("limit", [HAND, None], ids=["painted", "seeds only"])
def test_a_scan_that_shows_nothing_is_refused_in_words(image, said, limit):
    with pytest.raises(InvalidInputError, match=said):
        Speed(image, SPACING, PLAIN, SEEDS, limit=limit)


def test_seeds_on_a_hole_are_refused_in_words():
    holed = IMAGE.copy()
    holed[8:13] = np.nan
    with pytest.raises(InvalidInputError, match="usable voxel"):
        Speed(holed, SPACING, PLAIN, np.array([[10, 35, 33]]), limit=HAND)


def test_other_settings_and_seeds_are_taken_up_at_once():
    speed = made(limit=HAND)
    speed.change(LevelSetSettings(size=2.0))
    np.testing.assert_array_equal(speed.speed, made(settings=LevelSetSettings(size=2.0), limit=HAND).speed)
    speed.change(LevelSetSettings(edge=0.5))
    assert speed.stopping is not None
    assert speed.stopping.min() < 0.5
    speed.change(PLAIN)
    outside = np.array([[10, 10, 10], [10, 60, 60]])
    fresh = made(points=outside)
    turned = made()
    turned.seeds(outside)
    np.testing.assert_array_equal(turned.speed > 0, fresh.speed > 0)
    assert speed.version == 3


def test_depth_in_a_painted_limit_is_averaged_over_slices_that_drift():
    limit = np.zeros((9, 60, 60), bool)
    for z in range(9):
        shift = 6 if z == 4 else 0
        limit[z, 20 + shift : 40 + shift, 20:40] = True
    steady = Hand(limit, (1.0, 1.0, 1.0)).depth(0, 9)
    alone = Hand(limit[4:5], (1.0, 1.0, 1.0)).depth(0, 1)
    assert steady[4].max() == alone[0].max() == 1
    assert steady[4, 44, 30] < alone[0, 44, 30]  # what only this slice holds lies less deep
    assert (steady >= -1).all()


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 2.0)])
def test_distances_in_a_slice_are_exact(spacing):
    blobs = ndi.gaussian_filter(RNG.normal(size=(50, 64)), 3) > 0
    expected = ndi.distance_transform_edt(blobs, sampling=spacing)
    np.testing.assert_allclose(np.sqrt(squared_distance(blobs, *spacing)), expected, atol=1e-4)


def test_cells_divide_a_tile_and_are_about_half_a_neighbourhood():
    assert cells_of(8.0, (6.0, 1.0, 0.5)).tolist() == [1, 4, 8]
    assert cells_of(1e4, (1.0, 1.0, 1.0)).tolist() == [tiles.TILE] * 3


def test_local_means_are_shrunk_to_the_whole_scans_where_nothing_was_seen():
    values = np.full((32, 32, 32), 10.0, np.float32)
    values[:, :, 16:] = 20
    side = np.zeros(values.shape, np.uint8)
    side[:, :8], side[:, 24:] = 1, 2
    found = learned([(values, side, np.zeros(3, np.intp))], (32, 32, 320), (1.0, 1.0, 1.0), 8.0)
    assert found.lattice.shape == (2, 8, 8, 80)
    assert found.lattice[0, 4, 0, 0] < 13 < 17 < found.lattice[0, 4, 0, 7]
    np.testing.assert_allclose(found.lattice[:, :, :, 40:], 15, atol=0.1)
    assert learned([(values, np.minimum(side, 1), np.zeros(3, np.intp))], (32, 32, 320), (1.0, 1.0, 1.0), 8.0) is NOWHERE


def test_the_papers_preset_is_its_pipeline():
    settings = LevelSetSettings.salah2023()
    assert (settings.contrast, settings.start, settings.method, settings.local_mm, settings.hand_trust) == ("sigmoid", "seeds", "region", 0.0, 0.0)
    speed = made(settings=settings, limit=HAND)
    assert accuracy(speed) > 0.95


@pytest.mark.parametrize("wrong", [{"learned": 1.5}, {"contrast": "magic"}, {"window": (5.0, 1.0)}, {"edge": -0.1}, {"local_mm": -1.0}])
def test_a_term_out_of_range_is_refused(wrong):
    with pytest.raises(InvalidInputError):
        LevelSetSettings(**wrong)


@pytest.mark.parametrize("changed", [False, True], ids=["as it was looked at", "changed since"])
def test_the_first_step_from_the_seeds_waits_for_no_tile_and_goes_where_it_would(changed):
    fronts, speeds = [], [Speed(IMAGE, SPACING, PLAIN, SEEDS) for _ in range(2)]
    for speed in speeds:
        start, around = speed.start()
        sighted = speed.sighted if speed is speeds[0] else None
        assert speed.sighted == speed.version
        kept = np.zeros(SHAPE, bool)
        kept[tuple(SEEDS.T)] = True
        fronts.append(Front(start, SPACING, np.ones(SHAPE, bool), kept, around, sighted))
        if changed:
            speed.change(LevelSetSettings(size=2.0, contrast="sigmoid", edge=0.0))
        fronts[-1].advance(speed, 1)
    assert speeds[0].prepared.any() == changed
    assert speeds[1].prepared.any()
    np.testing.assert_array_equal(fronts[0].inside, fronts[1].inside)
    for front, speed in zip(fronts, speeds, strict=True):
        front.advance(speed, 5)
    np.testing.assert_array_equal(fronts[0].inside, fronts[1].inside)
    np.testing.assert_array_equal(speeds[0].prepared, speeds[1].prepared)
