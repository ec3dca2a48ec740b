"""A real level set on a small scan, steered through the session; only the thread's turn is the test's to take."""

from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError, NoLabelsError, NoSeedsError
from napari_medseg.session import barrier, levelset_live, next_step
from napari_medseg.session.history import change
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.state import Preview
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def scan(session, ball, ball_seeds):
    opened = session.open(ball)
    session.set_seeds(opened, {1: ball_seeds})
    return opened


@pytest.fixture
def settle(session, owner):
    def until_settled():
        owner.run_until(lambda: session.front.state == "settled")
        return session.front

    return until_settled


@pytest.fixture
def pause_early(session, owner, scan):
    """A run that stands after a few updates."""
    levelset_live.step(session)
    owner.run_until(lambda: not session.job.is_active and session.front.updates == 1)
    return session.front


def idle(session):
    return lambda: session.job is not None and not session.job.is_active


def wall(scan, where):
    """A stroke of the barrier as the brush makes it."""
    scan.barrier = np.zeros(scan.display.geometry.shape, np.uint8) if scan.barrier is None else scan.barrier
    painted = scan.barrier.copy()
    painted[where] = 1
    step = change(scan.barrier, tuple(slice(0, n) for n in painted.shape), painted)
    scan.barrier_log.push(step)
    return step


def test_it_grows_in_small_patches_and_settles_by_itself(session, owner, scan, settle, ball):
    boxes = []
    session.preview_changed.connect(lambda _, box: boxes.append(box))
    levelset_live.choose(session, reach_mm=20)
    session.run()
    assert session.front.state == "running"
    front = settle()
    truth = scan.axes.apply(ball.array > 150)
    found = scan.preview.labels > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8
    assert len([box for box in boxes if box is not None]) >= 3
    assert front.reason == "converged"
    assert scan.preview.finished
    assert "came to rest" in next_step(session).sentence


def test_a_front_that_ran_out_of_iterations_is_not_said_to_rest_and_values_have_their_unit(session, ball, ball_seeds, settle):
    scan = session.open(Volume(ball.array, ball.geometry, modality="CT"))
    session.set_seeds(scan, {1: ball_seeds})
    session.run()
    session.front.change(replace(session.front._settings, iterations=3))
    assert settle().reason == "iterations"
    step = next_step(session)
    assert "still moving" in step.sentence
    assert "rest" not in step.sentence + step.why
    assert " HU" in scan.preview.detail


def test_the_same_button_runs_pauses_and_goes_on(session, owner, scan, settle):
    session.run()
    session.run()
    assert session.front.state == "paused"
    owner.run_until(idle(session))
    assert next_step(session).action == "run"
    front, updates = session.front, session.front.updates
    session.run()
    assert front.state == "running"
    assert settle() is front
    assert front.updates > updates


def test_a_paused_run_leaves_the_worker_free(session, owner, scan, pause_early):
    done = []
    session.jobs.start("other", "something else", lambda: iter(()), apply=print, done=lambda: done.append(True), failed=session.report)
    owner.run_until(lambda: done)
    assert session.front.state == "paused"


def test_steps_are_taken_back_one_by_one(session, owner, scan, pause_early):
    states = [scan.preview.labels.copy()]
    for count in (2, 3, 4):
        levelset_live.step(session)
        owner.run_until(lambda count=count: idle(session)() and session.front.updates == count)
        states.append(scan.preview.labels.copy())
    assert not np.array_equal(states[0], states[-1])
    for count, before in ((3, states[2]), (2, states[1]), (1, states[0])):
        levelset_live.rewind(session)
        owner.run_until(lambda count=count: idle(session)() and session.front.updates == count)
        assert np.array_equal(scan.preview.labels, before)
    assert session.front.state == "paused"


def test_a_settled_front_goes_on_when_a_slider_moves(session, owner, scan, settle):
    session.run()
    settle()
    small, preview = int(scan.preview.labels.sum()), scan.preview
    levelset_live.choose(session, size=-8)
    assert session.front.state == "running"
    settle()
    assert scan.preview is preview
    smaller = int(scan.preview.labels.sum())
    assert smaller < small
    levelset_live.choose(session, size=8)
    settle()
    assert scan.preview.labels.sum() > smaller


def test_a_paused_front_stays_paused_when_a_slider_moves(session, owner, scan, pause_early):
    levelset_live.slide(session, "size", 3)
    owner.run_until(idle(session))
    assert (session.front.state, session.front.updates, session.levelset.size) == ("paused", 1, 3)


def test_a_bubble_joins_and_another_is_cut_out(session, owner, scan, settle):
    session.run()
    settle()
    centre = tuple(int(v) for v in np.argwhere(scan.preview.labels > 0).mean(0))
    session.front.pause()
    session.set(levelset=levelset_live.replace(session.levelset, bubble_mm=3.0))
    away = (centre[0], 4, 4)
    levelset_live.step(session)
    owner.run_until(idle(session))
    assert not scan.preview.labels[away]
    levelset_live.bubble(session, away, add=True)
    owner.run_until(idle(session))
    assert scan.preview.labels[away] == 1
    levelset_live.bubble(session, away, add=False)
    owner.run_until(idle(session))
    assert not scan.preview.labels[away]


def test_a_bubble_is_enough_to_start_from(session, owner, scan):
    session.set_seeds(scan, {})
    centre = (scan.display.geometry.shape[0] // 2,) * 3
    levelset_live.bubble(session, centre, add=True)
    owner.run_until(idle(session))
    assert session.front.state == "paused"
    assert scan.preview.labels[centre] == 1
    session.run()
    assert session.front.state == "running"


def test_a_bubble_outside_the_painted_limit_widens_it(session, owner, scan, settle):
    scan.limit = np.zeros(scan.display.geometry.shape, np.uint8)
    centre = tuple(int(v) for v in np.rint(scan.display.geometry.voxel(np.array([scan.seeds[1][0]]))[0]))
    scan.limit[centre[0] - 3:centre[0] + 4, centre[1] - 10:centre[1] + 11, centre[2] - 10:centre[2] + 11] = 1
    scan.limit_weight = scan.limit * np.uint8(255)
    session.run()
    settle()
    away = (centre[0], centre[1] + 20, centre[2])
    session.set(levelset=levelset_live.replace(session.levelset, bubble_mm=4.0))
    levelset_live.bubble(session, away, add=True)
    settle()
    assert scan.limit[away] == 1
    assert session.front.record().arrays["limit"][away]
    session.undo_limit(scan)
    assert scan.limit[away] == 0


def test_there_must_be_something_to_cut_a_bubble_from(session, scan):
    with pytest.raises(InvalidInputError, match="nothing to cut"):
        levelset_live.bubble(session, (8, 8, 8), add=False)


def test_a_barrier_painted_meanwhile_is_never_entered_and_undoing_it_opens_it_again(session, owner, scan, settle):
    session.run()
    settle()
    middle = int(np.argwhere(scan.preview.labels > 0).mean(0)[2])
    half = np.s_[:, :, middle:middle + 2]
    assert scan.preview.labels[half].any()
    step = wall(scan, half)
    barrier.painted(session, scan, step)
    assert scan.barred == scan.barrier.sum()
    settle()
    assert not scan.preview.labels[half].any()
    barrier.walk(session, scan, back=True)
    assert scan.barred == 0
    settle()
    assert scan.preview.labels[half].any()


def test_a_barrier_that_is_there_before_the_run_counts_too(session, owner, scan, settle):
    middle = int(scan.display.geometry.voxel(np.array([scan.seeds[1][0]]))[0][2])
    wall(scan, np.s_[:, :, middle + 3:middle + 5])
    scan.barred = int(scan.barrier.sum())
    session.run()
    settle()
    assert scan.preview.labels.any()
    assert not scan.preview.labels[scan.barrier > 0].any()


def test_seeds_join_a_run_and_leave_it(session, owner, scan, settle):
    first = scan.seeds[1][:1]
    session.set_seeds(scan, {1: first})
    session.run()
    settle()
    away = scan.display.geometry.world(np.array([[3.0, 4.0, 4.0]]))[0]
    session.set_seeds(scan, {1: (*first, tuple(float(v) for v in away))})
    settle()
    assert scan.preview.labels[3, 4, 4] == 1
    assert session.front.record().prompts["seeds"]["1"][1] == pytest.approx(list(away))


def test_discarding_is_undone_and_the_run_goes_on(session, owner, scan, pause_early):
    front, labels = session.front, scan.preview.labels.copy()
    session.discard()
    assert session.front is None
    session.undo()
    assert session.front is front
    assert np.array_equal(scan.preview.labels, labels)
    session.run()
    owner.run_until(lambda: front.state == "settled")
    assert front.updates > 1
    assert not np.array_equal(scan.preview.labels, labels)


def test_growing_anew_can_be_taken_back_by_discarding_nothing(session, owner, scan, settle):
    session.run()
    first = settle().preview
    session.run()
    assert scan.preview is not first
    assert scan.dropped is first


def test_accepting_while_it_runs_keeps_what_is_shown(session, owner, scan):
    made = []
    session.accepted.connect(lambda _, how: made.append(how))
    session.run()
    owner.run_until(lambda: not scan.preview.is_empty)
    shown = scan.preview.labels.copy()
    session.accept()
    assert np.array_equal(scan.labels, shown)
    assert session.front is None
    assert session.jobs.of(PREVIEW).state in ("stopped", "done")
    assert made[0].tool == "levelset"
    assert made[0].prompts["iterations"] >= 0


def test_the_record_tells_of_seeds_settings_and_steering(session, owner, scan, settle):
    session.run()
    settle()
    levelset_live.choose(session, size=2)
    levelset_live.choose(session, size=3)
    settle()
    barrier.painted(session, scan, wall(scan, np.s_[0:2]))
    settle()
    made = session.front.record()
    assert made.parameters["size"] == session.levelset.settings().size
    assert len(made.prompts["seeds"]["1"]) == len(scan.seeds[1])
    assert [act["act"] for act in made.prompts["steering"]] == ["settings", "barrier"]
    assert np.array_equal(made.arrays["barrier"], scan.barrier)
    assert "iterations" not in made.prompts


def test_a_label_or_a_preview_is_what_it_starts_from(session, owner, scan, settle):
    session.set(levelset=levelset_live.replace(session.levelset, begin="label"))
    with pytest.raises(NoLabelsError):
        levelset_live.run(session)
    shown = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "scribbles", (session.label_class,), finished=True)
    shown.labels[6:10, 20:28, 20:28] = 1
    scan.preview = shown
    session.set(levelset=levelset_live.replace(session.levelset, begin="preview"))
    session.run()
    settle()
    assert np.array_equal(session.front.record().arrays["init"] > 0, shown.labels > 0)
    session.accept()
    session.set(levelset=levelset_live.replace(session.levelset, begin="label"))
    session.set_seeds(scan, {})
    session.run()
    assert settle().reason


def test_without_seeds_it_says_what_to_do(session, scan, problems):
    session.set_seeds(scan, {})
    session.run()
    assert isinstance(problems[0], NoSeedsError)
    assert session.front is None


def test_a_seed_outside_the_scan_is_reported_and_the_run_goes_on(session, owner, scan, settle, problems):
    session.run()
    session.set_seeds(scan, {1: (*scan.seeds[1], (9000.0, 0.0, 0.0))})
    settle()
    assert "outside the scan" in str(problems[0])
    assert not scan.preview.is_empty


def test_the_window_of_values_is_taken_from_round_the_seeds(session, scan, ball):
    low, high = levelset_live.window_of_seeds(session)
    inside = ball.array[ball.array > 150]
    assert low <= inside.mean() <= high
    assert low > ball.array[ball.array <= 150].mean()


@pytest.fixture
def fading(session, ball):
    """A scan of what fades into its surroundings, nowhere an edge, with three seeds in it."""
    z, y, x = np.indices(ball.geometry.shape)
    fades = 200 - 1.5 * np.sqrt(((z - 11) * 3.0) ** 2 + (y - 32) ** 2 + (x - 30) ** 2)
    noise = np.random.default_rng(0).normal(0, 4, fades.shape)
    scan = session.open(Volume((fades + noise).astype(np.float32), ball.geometry))
    seeds = ball.geometry.world([(11, 32, 30), (11, 29, 28), (11, 34, 32)])
    session.set_seeds(scan, {1: tuple(tuple(float(v) for v in point) for point in seeds)})
    return scan


def test_what_is_tried_farther_is_never_accepted_without_a_word(session, fading, owner):
    session.run()
    owner.run_until(lambda: fading.preview.rested_ml is not None)
    rested = f"{fading.preview.rested_ml:.3g} ml"
    told = next_step(session)
    assert (told.action, f"rested at {rested}" in told.sentence, told.waiting != "") == ("stop", True, True)
    session.accept()
    assert session.notice.endswith(f"while it tried to go farther than {rested}: it may be too large, Ctrl+Z takes it back")
    session.undo()
    assert not fading.labels.any()


def test_where_farther_ran_over_going_farther_is_not_the_main_act(session, fading, settle):
    scan = fading
    session.run()
    assert settle().overran
    told = next_step(session)
    assert (told.action, scan.preview.held_mm is None) == ("accept", False)
    assert "farther it ran over" in told.sentence


def test_another_scan_pauses_it_and_coming_back_it_goes_on(session, owner, scan, settle):
    session.run()
    front = session.front
    owner.run_until(lambda: not scan.preview.is_empty)
    other = session.open(Volume(np.arange(4096, dtype=np.int16).reshape(16, 16, 16), Geometry((16, 16, 16)), name="other"))
    session.activate(scan)
    session.activate(other)
    assert front.state == "paused"
    session.activate(scan)
    session.run()
    settle()
    assert scan.preview.live is front


def test_the_guide_leads_through_a_leak_and_the_tools(session, owner, scan, settle):
    session.run()
    settle()
    scan.preview.neck, scan.preview.leaked = (12, 20, 20), True
    assert next_step(session).action == "neck"
    assert "slice 12" in next_step(session).sentence
    barrier.begin(session)
    assert "barrier" in next_step(session).sentence
    levelset_live.begin_bubble(session)
    assert "add a ball" in next_step(session).sentence
    session.flip()
    assert "cut a ball out" in next_step(session).sentence


def test_a_front_that_only_its_reach_holds_goes_farther_at_a_word(session, owner, scan, settle):
    levelset_live.choose(session, reach_mm=8)
    session.run()
    held = settle()
    small, told = int(scan.preview.labels.sum()), next_step(session)
    assert (told.action, scan.preview.held_mm) == ("farther", 8)
    assert "reach of its seeds, 8 mm" in told.sentence
    levelset_live.farther(session)
    assert session.front is held
    assert held.state == "running"
    settle()
    assert scan.preview.labels.sum() > small
    assert session.levelset.reach_mm == 8, "the next run begins as the person chose"
    assert held.record().prompts["steering"][-1]["reach_mm"] == 12
