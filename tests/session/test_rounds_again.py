"""The morning after: a study that is opened anew shows the rounds of its latest run, to be taken or taken back."""

import json

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.refine import RefineResult, RoundFigures
from napari_medseg.refine.result import ZeroShot
from napari_medseg.session.guide import next_step
from napari_medseg.session.making import Making
from napari_medseg.session.refining_runs import runs_folder
from napari_medseg.session.run_notes import FILE, RunNotes, Spot, Where, read_notes
from napari_medseg.session.state import Preview
from napari_medseg.session.study_adopting import adopted

GIVEN = RoundFigures(0, 0, 0.0, None, 1.0, dice_verified=0.80)
BETTER = RoundFigures(1, 40, 12.0, 0.2, 1.05, dice_verified=0.86, dice_change=0.06, adopted=True, reason="better on the verified slices", verified_slices=4)
NIGHT = "2026-11-20 22:10:00"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "data"))


@pytest.fixture
def study(session, owner, ball, tmp_path):
    """Two cases with a weak label each, saved; none is open."""
    made = session.study
    made.create(tmp_path / "Balls")
    owner.run_until(lambda: made.is_open)
    for i in range(2):
        io.write(ball.like(ball.array + i), tmp_path / f"ball {i}.nii.gz")
    made.add([tmp_path / f"ball {i}.nii.gz" for i in range(2)])
    owner.run_until(lambda: len(made.cases) == 2)
    weak = (ball.array > 150).astype(np.uint8)
    for case in ("case-0001", "case-0002"):
        made.go(case)
        owner.run_until(lambda case=case: made.current == case and made.scan is not None)
        made.scan.preview = Preview(made.scan.axes.apply(weak), "test", (session.label_class,), finished=True, made=Making("levelset"))
        session.accept()
        owner.run_until(lambda: made.saved == "saved")
    return made


@pytest.fixture
def proposed(ball):
    labels = (ball.array > 150).astype(np.uint8)
    labels[5, 10:30, 10:30] = 1
    return labels


def run_of_the_night(session, study, ball, proposed, *, began=NIGHT, figures=(GIVEN, BETTER), name="night"):
    """What a run leaves in its folder."""
    out = runs_folder(session) / name
    (out / "round1").mkdir(parents=True)
    for case in ("case-0001", "case-0002"):
        io.write(ball.like(proposed), out / "round1" / f"{case}.nii.gz")
    result = RefineResult(figures, 1 if figures[1].adopted else 0, {}, None, ZeroShot(), 40)
    (out / "rounds.json").write_text(json.dumps(result.as_dict()), encoding="utf-8")
    notes = RunNotes(began, "medseg", 1, {"case-0001": 1, "case-0002": 1})
    notes.add(1, [Where("case-0002", (16, 20, 20), 350.0)], [Spot("case-0001", (16, 20, 20), "1.2 ml changed here since the last version", False)])
    notes.write(out)
    return out


def reopened(session, owner, study):
    folder = study.folder
    study.leave()
    study.open(folder)
    owner.run_until(lambda: study.is_open and len(study.cases) == 2)
    owner.run_until(lambda: study._store.wait(0) and owner.calls.empty())
    return study


def stored(study, case):
    return np.asarray(study.project.labels(case).array)


def test_its_figures_places_and_pictures_are_there_again(session, owner, study, ball, proposed):
    run_of_the_night(session, study, ball, proposed)
    reopened(session, owner, study)
    refining = session.refining
    owner.run_until(lambda: refining.rows and refining.row(1).changes)
    assert [row.figures for row in refining.rows] == [GIVEN, BETTER]
    assert refining.chosen.figures.round == 1
    assert refining.in_use == 0
    change = refining.chosen.changes[0]
    assert (change.case, change.index, change.mm2) == ("case-0002", 16, 350.0)
    assert change.before.shape == change.after.shape
    assert not np.array_equal(change.before, change.after)
    assert [spot.case for spot in refining.spots] == ["case-0001"]
    assert not refining.is_training


def test_it_can_be_taken_into_all_cases_and_taken_back_after_one_more_night(session, owner, study, ball, proposed):
    run_of_the_night(session, study, ball, proposed)
    weak = stored(study, "case-0001")
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    assert session.refining.can_adopt(session.refining.chosen)
    session.refining.adopt(1)
    owner.run_until(lambda: session.refining.in_use == 1)
    for case in ("case-0001", "case-0002"):
        assert np.array_equal(stored(study, case), proposed)
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    assert session.refining.in_use == 1
    assert not session.refining.can_adopt(session.refining.chosen)
    session.refining.roll_back()
    owner.run_until(lambda: session.refining.in_use == 0)
    assert np.array_equal(stored(study, "case-0001"), weak)
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    assert session.refining.in_use == 0


def test_the_best_round_waits_again_in_cases_that_have_not_changed_since(session, owner, study, ball, proposed):
    run_of_the_night(session, study, ball, proposed)
    study.save_version("by hand")
    owner.run_until(lambda: study.case("case-0002").latest == 2)
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    assert set(study.proposals) == {"case-0001"}
    study.go("case-0001")
    owner.run_until(lambda: study.scan is not None and study.scan.preview is not None)
    assert np.array_equal(study.scan.axes.undo(study.scan.preview.labels), proposed)


def test_of_several_runs_the_latest_is_shown(session, owner, study, ball, proposed):
    run_of_the_night(session, study, ball, proposed)
    worse = RoundFigures(1, 40, 9.0, 0.2, 2.0, adopted=False, reason="too large")
    run_of_the_night(session, study, ball, proposed, began="2026-11-21 07:00:00", figures=(GIVEN, worse), name="morning")
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    assert session.refining.rows[1].figures.reason == "too large"
    assert not study.proposals


def test_where_the_folder_is_on_another_machine_the_figures_are_shown_and_nothing_can_be_taken(session, owner, study, ball, proposed):
    result = RefineResult((GIVEN, BETTER), 1, {}, None, ZeroShot(), 40)
    facts = {"recipe": "medseg", "rounds": 1, "round": 1, "run": NIGHT}
    figures = {key: value for key, value in result.as_dict().items() if key != "model"}
    study.project.record_run("refine", parameters=facts, figures=figures, cases=["case-0001", "case-0002"])
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    assert [row.figures for row in session.refining.rows] == [GIVEN, BETTER]
    assert not session.refining.can_adopt(session.refining.chosen)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 99}', '{"format": 1, "began": 3}', '{"format": 1, "began": "x", "recipe": "medseg", "rounds": "?"}'])
def test_notes_that_make_no_sense_count_as_none(tmp_path, content):
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    assert read_notes(tmp_path) is None


@pytest.mark.parametrize("content", ['{"rounds": [{"round": 0}, {"round": 1}], "best_round": 1}', '{"rounds": 3}', '{"rounds": [1, 2]}', "no JSON"])
def test_a_record_that_is_damaged_shows_no_rounds_and_stops_nothing(session, owner, study, ball, proposed, problems, content):
    out = run_of_the_night(session, study, ball, proposed)
    (out / "rounds.json").write_text(content, encoding="utf-8")
    reopened(session, owner, study)
    assert not session.refining.rows
    assert not problems


def test_labels_of_a_round_that_were_lost_are_said_to_be_missing(session, owner, study, ball, proposed, problems):
    out = run_of_the_night(session, study, ball, proposed)
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    weak = stored(study, "case-0001")
    (out / "round1" / "case-0001.nii.gz").unlink()
    session.refining.adopt(1)
    owner.run_until(lambda: problems)
    assert "case-0001.nii.gz" in str(problems[0])
    assert np.array_equal(stored(study, "case-0001"), weak)


def test_another_study_shows_its_own_rounds_or_none(session, owner, study, ball, proposed, tmp_path):
    run_of_the_night(session, study, ball, proposed)
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    study.create(tmp_path / "Others")
    owner.run_until(lambda: study.title == "Others")
    owner.run_until(lambda: study._store.wait(0) and owner.calls.empty())
    assert not session.refining.rows
    assert session.refining.training is None


def test_the_guide_says_what_to_do_with_a_round_of_the_night(session, owner, study, ball, proposed):
    run_of_the_night(session, study, ball, proposed)
    reopened(session, owner, study)
    owner.run_until(lambda: session.refining.rows)
    session.set(tab="refine")
    assert next_step(session).action == "adopt"  # before any case is open
    session.set(tab="weak")
    assert next_step(session).action == "next"
    study.proposals.clear()
    study.go("case-0001")
    owner.run_until(lambda: study.scan is not None and not study.busy)
    session.set(tab="refine")
    assert next_step(session).action == "adopt"


def test_a_round_whose_taking_was_cut_off_halfway_is_taken_into_the_others_or_back(session, owner, study, ball, proposed):
    run_of_the_night(session, study, ball, proposed)
    reopened(session, owner, study)
    refining = session.refining
    owner.run_until(lambda: refining.rows)
    weak = stored(study, "case-0002")
    made, project, half = refining._making(1, "", adopted=True), study.project, []
    study._store.submit(lambda: adopted(project, "case-0001", refining.row(1).labels["case-0001"], made), half.append, half.append)
    owner.run_until(lambda: half)  # as a kill between two cases leaves it: each version is whole or not there
    reopened(session, owner, study)
    owner.run_until(lambda: refining.rows)
    assert (refining.in_use, refining.missed) == (1, {"case-0002"})
    assert np.array_equal(stored(study, "case-0001"), proposed)
    assert np.array_equal(stored(study, "case-0002"), weak)
    assert "1 of 2 cases" in session.notice
    assert refining.can_adopt(refining.row(1))
    refining.adopt(1)
    owner.run_until(lambda: not study.busy and not refining.missed)
    assert np.array_equal(stored(study, "case-0002"), proposed)
    assert [len(study.project.versions(case)) for case in ("case-0001", "case-0002")] == [2, 2]
    assert not refining.can_adopt(refining.row(1))
    refining.roll_back()
    owner.run_until(lambda: not study.busy and not refining.in_use)
    assert np.array_equal(stored(study, "case-0001"), weak)
    assert np.array_equal(stored(study, "case-0002"), weak)
