import itertools
import pickle

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError, NoSeedsError
from napari_medseg.testing import annotator
from napari_medseg.weaklabel.levelset import LevelSetSettings, evolve

SPACING = (3.0, 1.0, 1.0)
SHAPE = (13, 48, 48)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def ellipsoid(centre=(6, 24, 24), radius=9.0):
    z, y, x = np.indices(SHAPE)
    return ((z - centre[0]) * 3.0) ** 2 + (y - centre[1]) ** 2 + ((x - centre[2]) * 1.2) ** 2 < radius**2


def painted(truth, inside=100.0, outside=40.0, noise=8.0):
    return (np.where(truth, inside, outside) + np.random.default_rng(1).normal(0, noise, SHAPE)).astype(np.float32)


def finish(*arguments, **keywords):
    *_, last = evolve(*arguments, **keywords)
    return last


TRUTH = ellipsoid()
SEEDS = annotator.seeds(TRUTH, SPACING)
HAND = annotator.hand_mask(TRUTH, SPACING)


@pytest.mark.parametrize(("inside", "outside"), [(100.0, 40.0), (40.0, 100.0)], ids=["brighter", "darker"])
@pytest.mark.parametrize("limit", [HAND, None], ids=["painted", "seeds only"])
def test_finds_a_target_brighter_or_darker_than_its_surroundings(inside, outside, limit):
    last = finish(painted(TRUTH, inside, outside), SEEDS, SPACING, limit=limit)
    assert dice(last.mask, TRUTH) > 0.9
    if limit is not None:  # from seeds alone the reach is a guess, and a compact target may end at it
        assert last.stopped_because == "converged"


def test_finds_a_target_between_dark_and_bright_surroundings():
    half = np.indices(SHAPE)[2] < 24
    last = finish(painted(TRUTH, 100.0, np.where(half, 40.0, 160.0)), SEEDS, SPACING, limit=HAND)
    assert dice(last.mask, TRUTH) > 0.9
    assert "from" in last.message
    assert "to" in last.message


def test_every_step_is_bounded_by_the_limit_even_after_closing():
    narrow = ndi.binary_erosion(TRUTH, iterations=2)
    for step in evolve(painted(TRUTH), SEEDS, SPACING, LevelSetSettings(close_mm=6.0), limit=narrow):
        assert not (step.mask & ~narrow).any()


def test_it_can_be_watched():
    steps = list(evolve(painted(TRUTH), SEEDS, SPACING, LevelSetSettings(iterations_per_update=1), limit=HAND))
    assert len(steps) >= 10
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(step.message for step in steps)
    assert [bool(step.stopped_because) for step in steps] == [False] * (len(steps) - 1) + [True]


def test_it_stops_at_the_most_iterations():
    last = finish(painted(TRUTH), SEEDS, SPACING, LevelSetSettings(iterations=5), limit=HAND)
    assert (last.stopped_because, last.iteration) == ("iterations", 5)


def test_a_leak_is_said_and_held_at_the_reach():
    z, y, _ = np.indices((13, 120, 120))
    vessel = ((z - 6) * 3.0) ** 2 + (y - 60) ** 2 < 36  # goes on far beyond the reach
    image = np.where(vessel, 100.0, 40.0) + np.random.default_rng(0).normal(0, 5, vessel.shape)
    seeds = [[6, 60, 60], [6, 62, 62]]
    last = finish(image, seeds, SPACING, LevelSetSettings(reach_mm=15))
    marks = np.ones(vessel.shape, bool)
    marks[tuple(np.transpose(seeds))] = False
    away = ndi.distance_transform_edt(marks, sampling=SPACING)
    assert away[last.mask].max() <= 15
    assert "leak" in last.message


def test_a_barrier_is_never_entered_nor_crossed():
    both = ellipsoid((6, 24, 14), 9) | ellipsoid((6, 24, 34), 9)
    wall = np.zeros(SHAPE, bool)
    wall[:, :, 24] = True
    image = painted(both | (np.abs(np.indices(SHAPE)[1] - 24) < 3))
    for limit in (None, np.ones(SHAPE, bool)):
        for step in evolve(image, [[6, 24, 14], [6, 20, 12]], SPACING, LevelSetSettings(reach_mm=40), limit=limit, barrier=wall):
            assert not step.mask[:, :, 24:].any()
    assert step.mask[:, :, :24].any()


def test_it_starts_from_any_mask_without_seeds():
    rough = ndi.shift(TRUTH.astype(float), (0, 3, -2), order=0) > 0.5
    last = finish(painted(TRUTH), [], SPACING, init=rough)
    assert dice(last.mask, TRUTH) > max(0.9, dice(rough, TRUTH))


def test_a_probability_map_drives_it_whatever_the_scan_shows():
    other = ellipsoid((6, 26, 22), 8)
    chance = ndi.gaussian_filter(other.astype(np.float32), 1)
    last = finish(painted(TRUTH), annotator.seeds(other, SPACING), SPACING, limit=annotator.hand_mask(other, SPACING), probability=chance)
    assert last.method == "probability"
    assert dice(last.mask, other) > 0.9


def test_edges_are_followed_where_values_say_nothing():
    rim = ndi.binary_dilation(TRUTH) & ~ndi.binary_erosion(TRUTH)
    image = painted(rim, 100.0, 40.0, 4.0)
    last = finish(image, SEEDS, SPACING, LevelSetSettings(method="edge"), limit=HAND)
    assert last.method == "edge"
    assert dice(last.mask, TRUTH) > dice(HAND, TRUTH)


def test_auto_says_which_method_it_took():
    assert finish(painted(TRUTH), SEEDS, SPACING, limit=HAND).method == "region and edge"
    flat = np.random.default_rng(2).normal(0, 1, SHAPE).astype(np.float32)
    assert next(iter(evolve(flat, SEEDS, SPACING, limit=HAND))).method == "edge"


def test_two_pieces_inside_one_limit_are_both_found_from_seeds_in_one():
    both = ellipsoid((6, 24, 14), 8) | ellipsoid((6, 24, 35), 8)
    last = finish(painted(both), annotator.seeds(ellipsoid((6, 24, 14), 8), SPACING), SPACING, limit=annotator.hand_mask(both, SPACING))
    assert dice(last.mask, both) > 0.9


def test_only_the_part_around_the_limit_is_worked_on():
    big = np.zeros((60, 300, 300), np.float32)
    big[20:33, 100:148, 120:168] = painted(TRUTH)
    limit = np.zeros(big.shape, bool)
    limit[20:33, 100:148, 120:168] = HAND
    step = next(iter(evolve(big, np.add(SEEDS, [20, 100, 120]), SPACING, limit=limit)))
    assert step.part.size < 0.02 * big.size
    assert step.mask.shape == big.shape


def test_seeds_outside_the_limit_are_left_out_unless_all_are():
    stray = [0, 0, 0]
    last = finish(painted(TRUTH), [*SEEDS.tolist(), stray], SPACING, limit=HAND)
    assert dice(last.mask, TRUTH) > 0.9
    with pytest.raises(NoSeedsError, match="limit"):
        evolve(painted(TRUTH), [stray], SPACING, limit=HAND)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"seeds": []}, NoSeedsError, "Click"),
        ({"seeds": [[6, 24, 480]]}, NoSeedsError, "seed 1"),
        ({"seeds": [[6, 24, -1]]}, NoSeedsError, "seed 1"),
        ({"seeds": [[6, 24]]}, InvalidInputError, "three"),
        ({"limit": np.zeros(SHAPE, bool)}, InvalidInputError, "nothing is painted"),
        ({"limit": np.ones((2, 2, 2), bool)}, InvalidInputError, "limit"),
        ({"barrier": np.ones(SHAPE, bool)}, InvalidInputError, "barrier"),
        ({"probability": np.ones((2, 2, 2))}, InvalidInputError, "probability"),
        ({"spacing": (1.0, 0.0, 1.0)}, InvalidInputError, "spacing"),
        ({"image": np.zeros(SHAPE, complex)}, InvalidInputError, "grey"),
    ],
)
def test_what_cannot_be_is_refused_in_words(changes, kind, said):
    given = {"image": painted(TRUTH), "seeds": SEEDS, "spacing": SPACING, **changes}
    with pytest.raises(kind, match=said):
        finish(**given)


@pytest.mark.parametrize("wrong", [{"smooth_mm": -1}, {"reach_mm": 0}, {"iterations": 0}, {"method": "magic"}, {"curvature_mm": float("nan")}])
def test_a_setting_out_of_range_is_refused(wrong):
    with pytest.raises(InvalidInputError):
        LevelSetSettings(**wrong)


def test_settings_and_steps_can_be_sent_to_another_process():
    step = next(itertools.islice(evolve(painted(TRUTH), SEEDS, SPACING, limit=HAND), 2, None))
    copy = pickle.loads(pickle.dumps(step))
    np.testing.assert_array_equal(copy.mask, step.mask)
    assert pickle.loads(pickle.dumps(LevelSetSettings())) == LevelSetSettings()
