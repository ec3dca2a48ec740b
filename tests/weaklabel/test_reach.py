"""Seeds clicked close together: how far a level set goes from them, and what it says where nothing in the scan held it."""

import numpy as np
import pytest

from napari_medseg.weaklabel import course
from napari_medseg.weaklabel.levelset import LevelSet, LevelSetSettings

SPACING = (3.0, 1.0, 1.0)
SHAPE = (22, 64, 60)
SEEDS = [(11, 32, 30), (11, 29, 28), (11, 34, 32)]


@pytest.fixture
def ball():
    """A ball of 15 mm radius and its truth."""
    z, y, x = np.indices(SHAPE)
    truth = ((z - 11) * 3.0) ** 2 + (y - 32) ** 2 + (x - 30) ** 2 < 225
    return np.random.default_rng(0).normal(100, 8, SHAPE).astype(np.float32) + 100 * truth, truth


@pytest.fixture
def blur():
    """What fades into its surroundings: nowhere an edge."""
    z, y, x = np.indices(SHAPE)
    away = np.sqrt(((z - 11) * 3.0) ** 2 + (y - 32) ** 2 + (x - 30) ** 2)
    return (np.random.default_rng(0).normal(0, 4, SHAPE) + 200 - 1.5 * away).astype(np.float32)


def last_of(front):
    *_, last = front
    return last


def test_a_target_larger_than_its_seeds_span_is_found_whole(ball):
    image, truth = ball
    last = last_of(LevelSet(image, SPACING, seeds=SEEDS))
    assert (last.stopped_because, last.held_mm, last.overran) == ("converged", None, False)
    assert 2 * (last.mask & truth).sum() / (last.mask.sum() + truth.sum()) > 0.95


def test_each_step_says_what_changed_though_the_ground_grows(ball):
    shown = np.zeros(SHAPE, bool)
    for count, step in enumerate(LevelSet(ball[0], SPACING, seeds=SEEDS, finely=True)):
        if count == 0:
            shown[step.box] = step.part
        elif step.patch is not None:
            shown[step.patch[0]] = step.patch[1]
        assert np.array_equal(shown, step.mask)


def test_where_nothing_holds_it_it_says_how_far_it_went(blur):
    last = last_of(LevelSet(blur, SPACING, seeds=SEEDS))
    assert last.stopped_because == "reach"
    assert last.held_mm >= 8
    assert last.overran
    assert f"{last.held_mm:.0f} mm from the seeds" in last.message


def test_a_try_that_will_run_over_ends_as_soon_as_that_is_foretold(blur, monkeypatch):
    early = last_of(LevelSet(blur, SPACING, seeds=SEEDS))
    monkeypatch.setattr(course, "IN_VAIN", 2.0)  # a share that nothing has
    late = last_of(LevelSet(blur, SPACING, seeds=SEEDS))
    assert early.overran
    assert np.array_equal(early.mask, late.mask)
    assert early.iteration < late.iteration - 30


def test_while_it_tries_farther_it_tells_what_it_comes_back_to(blur):
    *steps, last = LevelSet(blur, SPACING, seeds=SEEDS)
    tries = [step for step in steps if step.rested_ml is not None]
    assert steps[0] is not tries[0]
    assert tries[-1].rested_ml == pytest.approx(last.part.sum() * 0.003, rel=0.05)
    assert f"trying farther than the {tries[-1].rested_ml:.3g} ml where it rested" in tries[-1].message
    assert last.rested_ml is None


def test_where_iterations_end_it_first_it_says_that_only_its_reach_held_it(blur):
    last = last_of(LevelSet(blur, SPACING, LevelSetSettings(iterations=6), seeds=SEEDS))
    assert last.stopped_because == "iterations"
    assert "after the 6 iterations it may make" in last.message
    assert f"within its reach, {last.held_mm:.0f} mm from the seeds" in last.message


def test_what_the_scan_holds_names_no_reach_where_iterations_end_it(ball):
    image, truth = ball
    last = last_of(LevelSet(image, SPACING, LevelSetSettings(iterations=3, curvature_mm=0.0), init=truth))
    assert (last.stopped_because, last.held_mm) == ("iterations", None)


def test_a_reach_that_a_person_chose_is_kept(ball):
    last = last_of(LevelSet(ball[0], SPACING, LevelSetSettings(reach_mm=8.0), seeds=SEEDS))
    places = np.argwhere(last.mask)
    away = np.min([np.linalg.norm((places - seed) * SPACING, axis=1) for seed in SEEDS], axis=0)
    assert away.max() <= 8
    assert last.held_mm == 8


def test_what_a_person_did_meanwhile_is_not_taken_back(blur):
    front, cut = LevelSet(blur, SPACING, seeds=SEEDS), False
    for step in front:
        if step.iteration > 80 and not cut:
            front.bubble((11, 20, 30), 4.0, add=True)
            cut = True
    assert cut
    assert step.mask[11, 20, 30]
