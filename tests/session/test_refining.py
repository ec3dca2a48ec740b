"""Rounds as a session shows them: taken into every case and back again, and nothing a person settled ever changes."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.refine import RefineResult, RoundFigures, Tick
from napari_medseg.refine.cases import Case
from napari_medseg.refine.request import RefineRequest
from napari_medseg.refine.result import ZeroShot
from napari_medseg.session.guide import next_step
from napari_medseg.session.history import change
from napari_medseg.session.making import Making
from napari_medseg.session.refining_rounds import Row
from napari_medseg.session.refining_runs import Training, runs_folder, watched
from napari_medseg.session.round_words import cells, noted, scored_on, verdict
from napari_medseg.session.state import Preview

FIRST = RoundFigures(0, 0, 0.0, None, 1.0, dice_verified=0.80, adopted=True)
BETTER = RoundFigures(
    1, 40, 12.0, 0.2, 1.05, dice_verified=0.86, dice_change=0.06, adopted=True, reason="better on the verified slices", verified_slices=4, verified_patients=2,
)
WORSE = replace(BETTER, round=1, dice_verified=0.6, dice_change=-0.2, adopted=False, reason="worse on the verified slices by 0.2", pieces="3 holes more")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "data"))


@pytest.fixture
def study(session, owner, ball, tmp_path):
    """Two cases with a weak label each; the second is open."""
    made = session.study
    made.create(tmp_path / "Balls")
    owner.run_until(lambda: made.is_open)
    for i in range(2):
        io.write(ball.like(ball.array + i), tmp_path / f"ball {i}.nii.gz")
    made.add([tmp_path / f"ball {i}.nii.gz" for i in range(2)])
    owner.run_until(lambda: len(made.cases) == 2)
    for case in ("case-0001", "case-0002"):
        made.go(case)
        owner.run_until(lambda case=case: made.current == case and made.scan is not None)
        label(session, made.scan, ball)
        owner.run_until(lambda: made.saved == "saved")
    return made


def label(session, scan, ball):
    scan.preview = Preview(scan.axes.apply((ball.array > 150).astype(np.uint8)), "test", (session.label_class,), finished=True, made=Making("levelset"))
    session.accept()


def paint(session, scan, index, value):
    box = slice(index, index + 1), slice(10, 14), slice(10, 14)
    session.painted(scan, change(scan.labels, box, np.full((1, 4, 4), value, np.uint8)))


def train(session, cases, proposed, figures=BETTER, ids=(), scans=None):
    """A training that learnt this, as far as the window can tell."""
    labels = {case.id: proposed for case in cases}
    result = RefineResult((FIRST, figures), 1 if figures.adopted else 0, labels if figures.adopted else {}, None, ZeroShot(), 40)
    ticks = [
        Tick(0.0, "Scored the labels given", figures=FIRST), Tick(0.5, "Round 1", 1, loss=0.4, updates=20),
        Tick(0.9, "Round 1 done", 1, figures=figures, labels=labels), Tick(1.0, "Done", 1, result=result),
    ]
    made = Training("Refining", session.refine, ids=list(ids), scans=dict(scans or {}), ticks=lambda: watched(iter(ticks), cases, {}))
    session.set(tab="refine")
    session.refining.queue.add("Refinement", lambda: made)
    return made


def cases_of(study, ball):
    return tuple(Case(case.id, ball, study.project.labels(case.id)) for case in study.cases)


def stored(study, case):
    return np.asarray(study.project.labels(case).array)


def test_a_round_is_taken_into_every_case_and_what_was_painted_stays_bit_for_bit(session, owner, study, ball):
    paint(session, study.scan, 5, 1)
    study.settle()
    owner.run_until(lambda: study.versions and study.versions[-1].kind == "corrected")
    painted = study.scan.axes.undo(study.scan.by_hand) > 0
    before = {case.id: stored(study, case.id) for case in study.cases}
    proposed = np.zeros(ball.geometry.shape, np.uint8)
    proposed[3:8, 30:40, 30:40] = 1
    train(session, cases_of(study, ball), proposed, ids=list(before))
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    session.refining.adopt(1)
    owner.run_until(lambda: session.refining.in_use == 1)
    assert np.array_equal(stored(study, "case-0001"), proposed)
    now = stored(study, "case-0002")
    assert np.array_equal(now[painted], before["case-0002"][painted])
    assert np.array_equal(now[~painted], proposed[~painted])
    assert np.array_equal(study.scan.axes.undo(study.scan.labels), now)
    numbers = {case.id: len(study.project.versions(case.id)) for case in study.cases}
    session.refining.roll_back()
    owner.run_until(lambda: session.refining.in_use == 0)
    for case, labels in before.items():
        assert np.array_equal(stored(study, case), labels)
        assert len(study.project.versions(case)) == numbers[case] + 1
    assert np.array_equal(study.scan.axes.undo(study.scan.labels), before["case-0002"])
    assert np.array_equal(study.scan.axes.undo(study.scan.by_hand) > 0, painted)


def test_what_was_painted_after_a_round_was_taken_survives_going_back(session, owner, study, ball):
    train(session, cases_of(study, ball), np.ones(ball.geometry.shape, np.uint8), ids=["case-0002"])
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    before = stored(study, "case-0002")
    session.refining.adopt(1)
    owner.run_until(lambda: session.refining.in_use == 1)
    paint(session, study.scan, 5, 0)
    session.refining.roll_back()
    owner.run_until(lambda: session.refining.in_use == 0)
    painted = study.scan.axes.undo(study.scan.by_hand) > 0
    now = stored(study, "case-0002")
    assert painted.sum() == 16
    assert not now[painted].any()
    assert np.array_equal(now[~painted], before[~painted])


def test_a_verified_case_is_left_alone_and_marked_slices_stay(session, owner, study, ball):
    study.verify()
    owner.run_until(lambda: study.versions[-1].kind == "verified")
    study.go("case-0001")
    owner.run_until(lambda: study.current == "case-0001" and study.scan is not None)
    session.in_view = 9
    session.verified.toggle()
    owner.run_until(lambda: session.verified.of(study.scan) == (9,))
    right = study.scan.labels[9].copy()
    train(session, cases_of(study, ball), np.ones(ball.geometry.shape, np.uint8), ids=["case-0001", "case-0002"])
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    count = len(study.project.versions("case-0002"))
    session.refining.adopt(1)
    owner.run_until(lambda: session.refining.in_use == 1)
    assert len(study.project.versions("case-0002")) == count
    assert np.array_equal(study.scan.labels[9], right)
    assert study.scan.labels[8].all()


def test_rounds_of_scans_that_are_in_no_study_are_steps_that_can_be_undone(session, owner, ball):
    scan = session.open(ball)
    label(session, scan, ball)
    before = scan.labels.copy()
    paint(session, scan, 2, 1)
    kept = scan.labels.copy()
    train(session, (Case("ball", ball, ball.like((ball.array > 150).astype(np.uint8))),), np.zeros(ball.geometry.shape, np.uint8), scans={"ball": scan})
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    session.refining.adopt(1)
    owner.run_until(lambda: session.refining.in_use == 1)
    assert scan.labels.sum() == 16
    session.refining.roll_back()
    owner.run_until(lambda: session.refining.in_use == 0)
    assert np.array_equal(scan.labels, kept)
    session.undo()
    session.undo()
    session.undo()
    assert np.array_equal(scan.labels, before)


def test_what_is_painted_while_a_round_is_being_taken_stays(session, owner, ball):
    scan = session.open(ball)
    label(session, scan, ball)
    proposed = np.ones(ball.geometry.shape, np.uint8)
    train(session, (Case("ball", ball, ball.like((ball.array > 150).astype(np.uint8))),), proposed, scans={"ball": scan})
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    session.refining.adopt(1)
    box = slice(9, 10), slice(30, 34), slice(26, 30)
    session.painted(scan, change(scan.labels, box, 1 - scan.labels[box]))  # before the answer is taken from the owner's calls
    drawn, painted = scan.labels.copy(), scan.by_hand > 0
    owner.run_until(lambda: session.refining.in_use == 1)
    assert painted.any()
    assert np.array_equal(scan.labels[painted], drawn[painted])
    assert scan.labels[~painted].all()


def test_what_is_painted_while_a_round_is_taken_into_a_study_stays(session, owner, study, ball):
    train(session, cases_of(study, ball), np.ones(ball.geometry.shape, np.uint8), ids=["case-0002"])
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    session.refining.adopt(1)
    box = slice(5, 6), slice(30, 34), slice(26, 30)
    session.painted(study.scan, change(study.scan.labels, box, 1 - study.scan.labels[box]))
    drawn, painted = study.scan.labels.copy(), study.scan.by_hand > 0
    owner.run_until(lambda: session.refining.in_use == 1)
    assert painted.any()
    assert np.array_equal(study.scan.labels[painted], drawn[painted])
    assert study.scan.labels[~painted].all()


def test_a_round_tells_what_it_changed_and_where_to_look_next(session, owner, study, ball):
    proposed = (ball.array > 150).astype(np.uint8)
    proposed[5, 10:30, 10:30] = 1
    train(session, cases_of(study, ball), proposed, ids=["case-0001", "case-0002"])
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    changes, spots = session.refining.chosen.changes, session.refining.spots
    assert {change.case for change in changes[:2]} == {"case-0001", "case-0002"}
    assert changes[0].index == 21 - 5  # the file counts its slices the other way round than the screen
    assert changes[0].before.shape == changes[0].after.shape
    assert spots[-1].control
    assert sum(spot.control for spot in spots) == 1
    places = []
    session.place.connect(lambda scan, voxel: places.append((scan.case, voxel)))
    session.refining.step(1)
    owner.run_until(lambda: places)
    assert places[-1] == (spots[0].case, spots[0].voxel)
    assert session.notice.startswith("Place 1 of")


def test_trainings_wait_for_each_other_and_stop_empties_the_queue(session, owner, study, ball):
    cases, proposed = cases_of(study, ball), np.zeros(ball.geometry.shape, np.uint8)
    first = train(session, cases, proposed, ids=["case-0001"])
    second = train(session, cases, proposed, figures=WORSE, ids=["case-0001"])
    assert session.refining.training is first
    assert session.refining.waiting_words().startswith("Then: ")
    owner.run_until(lambda: session.refining.training is second and not session.refining.is_training)
    assert session.refining.rows[-1].figures.reason == WORSE.reason
    third = train(session, cases, proposed, ids=["case-0001"])
    train(session, cases, proposed, ids=["case-0001"])
    session.stop()
    assert session.refining.training is third
    assert not session.refining.waiting_words()


def test_the_table_says_in_words_why_a_round_was_not_taken(session, owner, study, ball):
    train(session, cases_of(study, ball), np.zeros(ball.geometry.shape, np.uint8), figures=WORSE, ids=["case-0001"])
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    rows = session.refining.rows
    assert cells(rows[1], 0) == ("! 1", "0.600", "-0.200", "× 1.05", "12 s")
    assert cells(rows[0], 0)[0] == "★● 0"
    assert verdict(rows[1], over=True) == "Round 1 should not be adopted. Worse on the verified slices by 0.2. Watch: 3 holes more."
    assert scored_on(rows) == "Dice on 4 verified slices of 2 patients that no round learns from."
    owner.run_until(lambda: owner.calls.empty())
    study.scan.preview = None
    step = next_step(session)
    assert step.sentence.startswith("No round was adopted. Mark 3 slices right")
    assert "Worse on the verified slices" in step.why


def test_what_a_recipe_found_out_is_told_below_its_round_and_nothing_where_it_found_nothing():
    told = replace(FIRST, round=1, notes="Dice on patients held out: dints 0.8; kept: dints")
    assert noted(Row(told, {})) == "Dice on patients held out: dints 0.8; kept: dints."
    assert noted(Row(FIRST, {})) == ""


def test_a_refused_round_waits_in_no_closed_case_and_says_so_in_the_open_one(session, owner, study, ball):
    train(session, cases_of(study, ball), np.ones(ball.geometry.shape, np.uint8), figures=WORSE, ids=["case-0001", "case-0002"])
    owner.run_until(lambda: not session.refining.is_training and session.refining.rows[-1].labels)
    owner.run_until(lambda: study._reader.wait(0) and owner.calls.empty())
    assert not study.proposals
    assert study.scan.preview.doubt
    assert (next_step(session).action, next_step(session).plain) == ("discard", True)


def test_before_anything_is_verified_the_guide_says_that_rounds_cannot_be_judged(session, study):
    session.set(tab="refine")
    step = next_step(session)
    assert step.action == "run"
    assert "3 slices right" in step.why


def test_runs_of_another_study_are_never_offered(session, owner, study, ball, tmp_path):
    from napari_medseg.refine.kept import going_on
    from napari_medseg.refine.salah.recipe import salah2023

    here, elsewhere = runs_folder(session), tmp_path / "data" / "elsewhere"
    for folder in (here, elsewhere):
        request = RefineRequest(cases_of(study, ball), salah2023(rounds=2), out=folder / "one")
        with pytest.raises(KeyboardInterrupt), going_on(request):
            raise KeyboardInterrupt  # the machine was switched off
    session.refining.left.look()
    owner.run_until(lambda: session.refining.left.runs)
    assert [run.out for run in session.refining.left.runs] == [here / "one"]
    assert session.refining.left.runs[0].cases == ("case-0001", "case-0002")
    session.refining.left.forget()
    assert not session.refining.left.runs


def test_a_training_that_is_cut_off_is_offered_without_opening_the_study_again(session, owner, study, ball):
    from napari_medseg.refine.kept import going_on
    from napari_medseg.refine.salah.recipe import salah2023

    session.refining.left.look()
    owner.run_until(lambda: not session.jobs.active)
    assert session.refining.left.runs == ()
    switched_off = threading.Event()

    def training():
        with going_on(RefineRequest(cases_of(study, ball), salah2023(rounds=2), out=runs_folder(session) / "one")):
            yield Tick(0.0, "Training")
            switched_off.wait(20)
            raise KeyError

    session.jobs.start("training", "Refining", training, apply=lambda tick: None, done=lambda: None, failed=lambda error: None, own_thread=True)
    owner.run_until(lambda: session.jobs.of("training").message == "Training")
    session.refining.left.look()
    switched_off.set()
    owner.run_until(lambda: not session.refining.is_training)
    session.refining.left.look()
    owner.run_until(lambda: session.refining.left.runs)
    assert session.refining.left.runs[0].out == runs_folder(session) / "one"
