"""A level set while somebody steers it: tumour-like balls in noise on voxels of 2 x 1 x 1 mm."""

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError, NoSeedsError
from napari_medseg.weaklabel import trail
from napari_medseg.weaklabel.levelset import LevelSet, LevelSetSettings

SPACING = (2.0, 1.0, 1.0)
SHAPE = (28, 72, 72)
SETTINGS = LevelSetSettings(device="cpu")


def ball(centre, radius_mm):
    return sum(((g - c) * s) ** 2 for g, c, s in zip(np.ogrid[tuple(slice(n) for n in SHAPE)], centre, SPACING, strict=True)) < radius_mm**2


def scan(target):
    return np.where(target, 100, 40) + np.random.default_rng(0).normal(0, 8, SHAPE).astype(np.float32)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


LEFT, RIGHT = ball((14, 36, 22), 14), ball((14, 36, 54), 10)
ONE = scan(LEFT)
SEEDS = [[14, 36, 22], [14, 45, 20], [10, 30, 18], [18, 33, 29]]
NECK = np.zeros(SHAPE, bool)
NECK[13:16, 34:39, 22:54] = True


def run(**keywords):
    given = {"image": ONE, "spacing": SPACING, "settings": SETTINGS, "seeds": SEEDS, **keywords}
    return LevelSet(given.pop("image"), given.pop("spacing"), given.pop("settings"), **given)


def take(level_set, count):
    return list(itertools.islice(level_set, count))


def finish(level_set):
    *_, last = level_set
    return last


def followed(steps):
    """The mask put together from the first step and what each later one says has changed."""
    steps = iter(steps)
    shown = next(steps).mask
    yield shown.copy()
    for step in steps:
        if step.patch is not None:
            box, part = step.patch
            shown[box] = part
        yield shown.copy()


def test_what_each_step_says_has_changed_makes_up_the_mask():
    steps = list(run())
    for step, shown in zip(steps, followed(steps), strict=True):
        np.testing.assert_array_equal(shown, step.mask)


def test_it_settles_and_says_so():
    last = finish(run())
    assert last.stopped_because == "converged"
    assert dice(last.mask, LEFT) > 0.93


def test_two_runs_give_the_same_voxels():
    for one, other in zip(run(), run(), strict=True):
        assert one.iteration == other.iteration
        np.testing.assert_array_equal(one.mask, other.mask)


def test_closing_the_iteration_leaves_it_where_it_stands_and_it_goes_on_from_there():
    level_set = run()
    running = iter(level_set)
    steps = [next(running) for _ in range(4)]
    running.close()
    again = next(iter(level_set))
    assert again.iteration == steps[-1].iteration
    np.testing.assert_array_equal(again.mask, steps[-1].mask)
    np.testing.assert_array_equal(finish(level_set).mask, finish(run()).mask)


def test_looked_at_finely_it_goes_the_same_way_and_shows_more_of_it():
    coarse, fine = list(run()), list(run(finely=True))
    assert len(fine) > 1.5 * len(coarse)
    for step, shown in zip(fine, followed(fine), strict=True):
        np.testing.assert_array_equal(shown, step.mask)
    whole = [step for step in fine if step.whole]
    for one, other in zip(coarse, whole, strict=True):
        assert (one.iteration, one.message, one.stopped_because) == (other.iteration, other.message, other.stopped_because)
        np.testing.assert_array_equal(one.mask, other.mask)


def test_left_within_an_update_it_ends_that_one_first_and_only_then_is_steered():
    level_set = run(finely=True)
    running = iter(level_set)
    for step in running:
        if not step.whole:
            break
    running.close()
    level_set.rewind()  # of the update that is under way
    again = list(level_set)
    np.testing.assert_array_equal(again[-1].mask, take(run(), 1)[0].mask)
    assert list(followed(again))[-1].tobytes() == again[-1].mask.tobytes()
    other = run(finely=True)
    take(other, 3)  # the start, and two moments of the first update
    np.testing.assert_array_equal(finish(other).mask, finish(run()).mask)


def test_a_bubble_that_widens_the_limit_to_beyond_what_was_looked_at_joins():
    limit = ball((14, 36, 22), 12)
    level_set = run(limit=limit)
    take(level_set, 3)
    limit |= ball((21, 36, 22), 4.01)  # as the window does: a click is meant
    level_set.bubble((21, 36, 22), 4, True)
    last = finish(level_set)
    assert last.mask[21, 36, 22]
    assert not (last.mask & ~limit).any()


def test_paused_it_ends_without_finishing_and_goes_on_when_told():
    level_set, masks = run(), []
    for step in level_set:
        masks.append(step)
        if len(masks) == 4:
            level_set.pause()
    assert len(masks) == 4
    assert masks[-1].stopped_because == ""
    assert level_set.is_paused
    level_set.resume()
    np.testing.assert_array_equal(finish(level_set).mask, finish(run()).mask)


def test_step_by_step_it_goes_the_way_it_runs():
    running, stepping = take(run(), 5), run()
    stepping.pause()
    take(stepping, 9)
    for expected in running[1:]:
        stepping.step()
        _, now = stepping
        np.testing.assert_array_equal(now.mask, expected.mask)
    assert stepping.updates == 4


@pytest.mark.parametrize("back", [1, 3])
def test_rewinding_gives_the_earlier_mask_bit_for_bit_and_stands_still(back):
    level_set = run()
    steps = take(level_set, 7)
    level_set.rewind(back)
    shown = list(level_set)
    np.testing.assert_array_equal(shown[-1].mask, steps[-1 - back].mask)
    assert level_set.updates == 6 - back
    assert list(followed(shown))[-1].tobytes() == steps[-1 - back].mask.tobytes()
    level_set.resume()
    assert dice(finish(level_set).mask, LEFT) > 0.93


def test_rewinding_to_before_the_start_gives_the_start():
    level_set = run()
    first = take(level_set, 5)[0]
    level_set.rewind(100)
    np.testing.assert_array_equal(list(level_set)[-1].mask, first.mask)
    assert level_set.updates == 0


def test_the_way_back_is_bounded_in_memory(monkeypatch):
    monkeypatch.setattr(trail, "CAP", 4096)
    kept = trail.Trail(SHAPE, 4096)
    box = tuple(slice(0, n) for n in SHAPE)
    mask = np.zeros(SHAPE, bool)
    for z in range(10):
        now = mask.copy()
        now[z, :20, :20] = True
        kept.add(trail.differences(now, mask, box), box)
    assert len(kept) == 2
    kept.back(mask, box)
    assert not mask[9].any()
    assert mask[8].any()


def test_a_seed_added_while_it_runs_finds_the_other_piece_even_outside_the_box():
    both = LEFT | RIGHT
    level_set = run(image=scan(both), settings=replace(SETTINGS, reach_mm=18))
    running = iter(level_set)
    for _ in range(5):
        assert not (next(running).mask & RIGHT).any()
    level_set.add_seeds([[14, 36, 54]])
    taken = next(running)
    assert taken.mask[14, 36, 54]
    assert taken.patch is not None
    *_, last = running
    assert dice(last.mask, both) > 0.9


def test_seeds_can_be_taken_back():
    level_set = run(image=scan(LEFT | RIGHT), seeds=[*SEEDS, [14, 36, 54]])
    take(level_set, 3)
    level_set.seeds(SEEDS)
    level_set.bubble((14, 36, 54), 14, False)
    assert not (finish(level_set).mask & RIGHT).any()


def test_with_no_seed_left_it_says_so_keeps_its_mask_and_goes_on_with_the_next():
    level_set = run()
    grown = take(level_set, 6)[-1].mask
    level_set.seeds([])
    with pytest.raises(InvalidInputError, match="none left"):
        finish(level_set)
    level_set.seeds(SEEDS[:1])
    assert (next(iter(level_set)).mask & grown).sum() > 0.9 * grown.sum()
    assert dice(finish(level_set).mask, LEFT) > 0.85


@pytest.mark.parametrize("limit", [None, ball((14, 36, 22), 18)], ids=["no limit", "limit"])
def test_an_added_bubble_is_kept_whatever_the_scan_says_and_wherever_it_lies(limit):
    bubble = ball((14, 12, 60), 5)
    level_set = run(limit=limit)
    take(level_set, 4)
    level_set.bubble((14, 12, 60), 5.0, True)
    _, at_once, *_ = level_set
    assert at_once.mask[bubble].all()
    last = finish(level_set)
    assert last.mask[bubble].all()
    assert not (last.mask & ~ball((14, 12, 60), 8) & ~ball((14, 36, 22), 18)).any()


def test_where_a_bubble_was_taken_nothing_grows_until_one_is_added():
    hole = ball((14, 36, 30), 4)
    level_set = run()
    finish(level_set)
    level_set.bubble((14, 36, 30), 4.0, False)
    assert not (finish(level_set).mask & hole).any()
    level_set.bubble((14, 36, 30), 4.0, True)
    assert finish(level_set).mask[hole].all()


def test_rewinding_takes_a_bubble_back():
    level_set = run()
    without = finish(level_set)
    level_set.bubble((14, 60, 60), 5.0, True)
    level_set.pause()
    assert list(level_set)[-1].mask[14, 60, 60]
    level_set.rewind()
    assert not list(level_set)[-1].mask[14, 60, 60]
    level_set.resume()
    assert dice(finish(level_set).mask, without.mask) > 0.98


def test_a_barrier_cuts_off_what_lies_beyond_and_an_erased_one_lets_it_back():
    both = LEFT | RIGHT | NECK
    level_set = run(image=scan(both), settings=replace(SETTINGS, reach_mm=60))
    take(level_set, 60)
    level_set.pause()
    leaked = list(level_set)[-1].mask
    assert leaked[:, :, 46:].sum() > 200
    wall = (slice(0, 28), slice(20, 52), slice(40, 42))
    level_set.bar(np.ones((28, 32, 2)), wall)
    cut = list(level_set)[-1].mask
    assert not cut[:, :, 40:].any()
    np.testing.assert_array_equal(cut[:, :, :40], leaked[:, :, :40])
    level_set.resume()
    assert not finish(level_set).mask[:, 20:52, 40:42].any()
    level_set.bar(np.zeros((28, 32, 2)), wall)
    assert finish(level_set).mask[:, 30:42, 40:42].any()


def test_a_barrier_leaves_pieces_alone_that_never_hung_together_with_a_seed():
    both = LEFT | RIGHT
    level_set = run(image=scan(both), limit=ball((14, 36, 38), 34))
    finish(level_set)
    level_set.bar(np.ones((28, 72, 1)), (slice(0, 28), slice(0, 72), slice(40, 41)))
    assert dice(finish(level_set).mask, both) > 0.9


def test_other_settings_are_taken_up_while_it_runs_and_after_it_settled():
    level_set = run()
    before = finish(level_set)
    level_set.change(replace(SETTINGS, size=2.0))
    bigger = finish(level_set)
    level_set.change(replace(SETTINGS, size=-2.0))
    smaller = finish(level_set)
    assert smaller.mask.sum() < before.mask.sum() < bigger.mask.sum()


def test_settings_that_cannot_be_leave_it_as_it_was():
    with pytest.raises(InvalidInputError):
        run().change(replace(SETTINGS, smooth_mm=-1))


def test_a_person_can_stop_it_and_gets_a_finished_mask():
    level_set = run()
    running = iter(level_set)
    for _ in range(4):
        next(running)
    level_set.stop()
    *_, last = running
    assert (last.stopped_because, last.fraction) == ("stopped", 1.0)


def test_it_can_be_steered_from_another_thread():
    level_set, centres = run(), [(14, 36, 22 + k) for k in range(8)]
    threads = [threading.Thread(target=level_set.bubble, args=(centre, 3.0, True)) for centre in centres]
    running = iter(level_set)
    next(running)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    *_, last = running
    assert all(last.mask[centre] for centre in centres)


def test_growth_through_a_narrow_neck_stops_it_and_says_where():
    far = ball((14, 36, 54), 14)
    level_set = run(image=scan(LEFT | far | NECK), settings=replace(SETTINGS, reach_mm=60))
    last = finish(level_set)
    assert last.stopped_because == "leak"
    assert "narrow neck near slice" in last.message
    assert 34 < last.neck[2] < 44
    assert finish(level_set).stopped_because != "leak", "a person who runs on means it"


def test_what_cannot_be_is_refused_at_once():
    level_set = run(limit=ball((14, 36, 22), 18))
    with pytest.raises(NoSeedsError):
        level_set.add_seeds([[99, 0, 0]])
    with pytest.raises(NoSeedsError):
        level_set.bubble((99, 0, 0), 3.0, True)
    with pytest.raises(InvalidInputError, match="radius"):
        level_set.bubble((14, 36, 22), 0.0, True)
    with pytest.raises(InvalidInputError, match="barrier"):
        level_set.bar(np.ones((2, 2, 2)), (slice(0, 3), slice(0, 2), slice(0, 2)))
