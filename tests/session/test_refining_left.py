"""Trainings that were not brought to their end are offered again: those that were cut off, those that were stopped, and those that still waited."""

import threading

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.refine import Tick
from napari_medseg.refine.cases import Case
from napari_medseg.refine.kept import going_on
from napari_medseg.refine.request import RefineRequest
from napari_medseg.refine.salah.recipe import salah2023
from napari_medseg.session.guide import next_step
from napari_medseg.session.making import Making
from napari_medseg.session.refining_left import FILE
from napari_medseg.session.refining_runs import Training, runs_folder
from napari_medseg.session.state import Preview


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "data"))


@pytest.fixture
def study(session, owner, ball, tmp_path):
    """One case with a weak label; it is open."""
    made = session.study
    made.create(tmp_path / "Balls")
    owner.run_until(lambda: made.is_open)
    io.write(ball, tmp_path / "ball.nii.gz")
    made.add([tmp_path / "ball.nii.gz"])
    owner.run_until(lambda: len(made.cases) == 1)
    made.go("case-0001")
    owner.run_until(lambda: made.current == "case-0001" and made.scan is not None)
    weak = made.scan.axes.apply((ball.array > 150).astype(np.uint8))
    made.scan.preview = Preview(weak, "test", (session.label_class,), finished=True, made=Making("levelset"))
    session.accept()
    owner.run_until(lambda: made.saved == "saved")
    session.set(tab="refine")
    return made


@pytest.fixture
def endless(session, study, ball):
    """A training that holds its folder, as its process would, and goes on until it is stopped."""
    stopped = threading.Event()
    cases = (Case("case-0001", ball, study.project.labels("case-0001")),)

    def ticks():
        with going_on(RefineRequest(cases, salah2023(rounds=2), out=runs_folder(session) / "one")):
            while not stopped.wait(0.01):
                yield Tick(0.1, "Training", 1)

    session.refining.queue.add("Refinement", lambda: Training("Refining", session.refine, ids=["case-0001"], ticks=ticks))
    yield session.refining
    stopped.set()


def until_looked(owner, refining, met):
    """The view asks with every redraw."""
    owner.run_until(lambda: (refining.left.look(), met())[1])


def test_a_training_that_the_person_stops_is_offered_at_once(session, owner, endless):
    owner.run_until(lambda: session.job.message == "Training")
    session.stop()
    until_looked(owner, endless, lambda: endless.left.runs)
    assert endless.left.runs[0].out.name == "one"
    assert next_step(session).action == "resume"
    assert "not finished" in next_step(session).why


def test_what_waited_behind_a_stopped_training_is_offered_with_it(session, owner, endless):
    owner.run_until(lambda: session.job.message == "Training")
    endless.enqueue()
    session.stop()
    until_looked(owner, endless, lambda: endless.left.runs)
    assert "1 training waited behind it" in next_step(session).why
    assert not endless.waiting_words()
    endless.left.forget()
    assert next_step(session).sentence.startswith("Trainings still wait")
    endless.left.forget()
    assert not endless.left


def test_trainings_that_waited_are_offered_when_the_study_is_opened_again(session, owner, study, endless):
    owner.run_until(lambda: session.job.message == "Training")
    session.refine.rounds = 2
    endless.enqueue()
    session.refine.recipe, session.refine.rounds = "salah2023", 3
    endless.enqueue()
    folder = study.folder
    owner.run_until(lambda: study._store.wait(0) and (runs_folder(session) / FILE).is_file())
    study.leave()
    assert not endless.is_training
    assert not endless.left
    study.open(folder)
    owner.run_until(lambda: study.is_open)
    until_looked(owner, endless, lambda: endless.left.runs and len(endless.left.waiting) == 2)
    assert [(asked.choices.recipe, asked.choices.rounds) for asked in endless.left.waiting] == [("medseg", 2), ("salah2023", 3)]
    path = runs_folder(session) / FILE
    endless.left.forget()
    endless.left.forget()
    owner.run_until(lambda: study._store.wait(0) and not path.exists())


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 1, "waiting": [{"recipe": "medseg"}]}', '{"format": 7, "waiting": []}'])
def test_a_damaged_list_of_what_waits_counts_as_empty(session, owner, study, problems, content):
    path = runs_folder(session) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    session.refining.left.look()
    owner.run_until(lambda: not session.jobs.active)
    assert not session.refining.left
    assert not problems


def test_a_recipe_that_is_not_there_any_more_is_left_out(session, owner, study):
    path = runs_folder(session) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = '"rounds": 1, "base": null, "images": null, "labels": null, "left_out": []'
    path.write_text(f'{{"format": 1, "waiting": [{{"recipe": "gone", {rest}}}, {{"recipe": "medseg", {rest}}}]}}', encoding="utf-8")
    session.refining.left.look()
    owner.run_until(lambda: session.refining.left.waiting)
    assert [asked.title for asked in session.refining.left.waiting] == [f"{session.catalogue.find('medseg', 'recipe').title}, 1 round"]


def test_what_trains_on_a_study_stops_when_another_one_is_opened(session, owner, study, endless, tmp_path):
    owner.run_until(lambda: session.job.message == "Training")
    session.refine.left_out = {"case-0001"}
    study.create(tmp_path / "Others")
    owner.run_until(lambda: study.title == "Others")
    assert not session.refine.left_out
    assert not endless.is_training
    assert not endless.rows
    assert endless.training is None


def test_a_run_whose_record_is_damaged_is_said_once(session, owner, study, problems):
    record = runs_folder(session) / "one" / ".run" / "request.json"
    record.parent.mkdir(parents=True)
    record.write_text("{", encoding="utf-8")
    left = session.refining.left
    left.look_again()
    until_looked(owner, session.refining, lambda: problems)
    assert "cannot go on" in str(problems[0]) or "damaged" in str(problems[0])
    assert "Start the refinement again" in str(problems[0])
    assert not left
    left.look_again()
    left.look()
    owner.run_until(lambda: not session.jobs.active)
    assert len(problems) == 1
