"""Blinded choice without a window: planned, answered by rule, left and gone on with, and nothing told before the end."""

import blinded_cases as cases
import numpy as np
import pytest

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.io import read, write
from napari_medseg.project import Project
from napari_medseg.review.blinded import read_answers
from napari_medseg.session import Preview, Session, next_step


@pytest.fixture
def blinded(session):
    found = session.reviewing.blinded
    session.reviewing.turn("blinded")
    found.name_rater("Ann")
    return found


@pytest.fixture
def planned(session, blinded, owner, tmp_path):
    images, a, b = cases.made(tmp_path)
    blinded.change(images=images, a=a, b=b, keep=tmp_path / "review", slices=6)
    session.run()
    owner.run_until(lambda: blinded.chosen is not None)
    return blinded


def answer(blinded, owner, count, choice="left"):
    for _ in range(count):
        owner.run_until(lambda: blinded.pictures.up is not None)
        blinded.seen()
        blinded.answer(choice)


def words(session):
    """All that the session says of itself to who answers."""
    found = session.reviewing.blinded
    shown = [one for job in session.jobs.active for one in (job.title, job.message)]
    return " ".join([next_step(session).sentence, next_step(session).why, session.notice, session.trouble, found.trouble, found.chosen.title, *shown]).lower()


def test_the_guide_leads_from_folders_to_the_result(session, blinded, owner, tmp_path):
    images, a, b = cases.made(tmp_path)
    said = [next_step(session).sentence]
    blinded.change(images=images, a=a, b=b, keep=tmp_path / "review", slices=3)
    said.append(next_step(session).sentence)
    session.run()
    owner.run_until(lambda: blinded.chosen is not None)
    said.append(next_step(session).sentence)
    session.run()
    answer(blinded, owner, 3)
    assert blinded.sitting.is_done
    blinded.leave()
    said.append(next_step(session).sentence)
    session.run()
    said.append(next_step(session).sentence)
    assert [sentence[:12] for sentence in said] == ["Choose the s", "Plan the rev", "Begin to ans", "All is answe", "This is the "]


def test_beside_a_finished_result_the_guide_goes_on_naming_the_next_step(session, planned, owner, tmp_path, ball):
    planned.start()
    answer(planned, owner, 6)
    planned.leave()
    session.run()
    assert planned.summary is not None
    planned.save(tmp_path / "answers.csv")
    step = next_step(session)
    assert step.sentence.startswith("Saved answers.csv. This is the result")
    scan = session.open(ball)
    scan.preview = Preview(np.ones(scan.display.geometry.shape, np.uint8), "level set", (session.label_class,), finished=True)
    assert next_step(session).action == "accept"
    session.accept()
    assert next_step(session).action == "save"


def test_nothing_says_whose_a_mask_is_before_the_end(session, planned, owner):
    planned.start()
    for _ in range(6):
        owner.run_until(lambda: planned.pictures.up is not None)
        assert "model" not in words(session)
        assert "expert" not in words(session)
        planned.finish()
        assert planned.summary is None
        planned.seen()
        planned.answer("right")
    assert planned.summary is None
    planned.finish()
    assert planned.summary.raters[0].sides.right == 6


def test_an_answer_before_the_picture_is_there_does_nothing(planned):
    planned.start()
    planned.answer("left")
    assert planned.sitting.answered == 0


def test_another_session_goes_on_where_the_first_one_was(session, planned, owner, tmp_path):
    planned.start()
    answer(planned, owner, 4)
    planned.leave()
    other = Session(owner)
    found = other.reviewing.blinded
    found.start_when_ready(tmp_path / "review", "ann")
    owner.run_until(lambda: found.pictures.up is not None)
    assert (found.rater, found.sitting.answered, found.sitting.question.number) == ("Ann", 4, 5)
    answer(found, owner, 2, "tie")
    found.finish()
    assert found.summary.is_complete
    other.shut()


def test_one_back_shows_a_question_that_was_answered_before_the_window_opened(session, planned, owner):
    planned.start()
    answer(planned, owner, 3)
    planned.leave()
    planned.start()
    planned.back()
    owner.run_until(lambda: planned.pictures.up is not None)
    assert (planned.sitting.question.number, planned.sitting.was) == (3, "left")
    planned.seen()
    planned.answer("tie")
    planned.mark_unusable(True)
    planned.note("blurred")
    answer(planned, owner, 3, "right")
    planned.finish()
    assert [one.choices["Ann"] for one in planned.summary.per_question][2] == "tie"
    assert (planned.summary.raters[0].unusable, planned.summary.raters[0].notes) == (1, 1)


def test_a_mask_changed_after_the_plan_stops_the_review_and_is_not_named(session, planned, owner, tmp_path):
    path = tmp_path / "expert" / "patient0.nii.gz"
    write(read(path).like(cases.ball(0, 9)), path)
    planned.start()
    owner.run_until(lambda: planned.trouble)
    assert "was changed after the plan was made" in planned.trouble
    assert "expert" not in planned.trouble


def test_a_damaged_rater_file_is_told_when_the_review_is_looked_at(session, planned, owner, tmp_path):
    planned.start()
    answer(planned, owner, 2)
    planned.leave()
    path = tmp_path / "review" / "ann.answers.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"left"', '"up"'), encoding="utf-8")
    planned.look()
    assert "line 2: 'choice' is 'up'" in session.trouble


def test_volumes_are_read_as_they_are_needed(session, blinded, owner, tmp_path):
    images, a, b = cases.made(tmp_path)
    blinded.change(images=images, a=a, b=b, keep=tmp_path / "review", kind="volumes")
    session.run()
    owner.run_until(lambda: blinded.chosen is not None)
    blinded.start()
    answer(blinded, owner, 2)
    owner.run_until(lambda: blinded.pictures.up is not None)
    assert blinded.pictures.up.image.shape == cases.SHAPE
    assert set(blinded.pictures.read) <= {3}
    answer(blinded, owner, 1)
    assert blinded.sitting.is_done


def test_the_result_is_saved_as_a_table_and_as_figures(session, planned, owner, tmp_path):
    planned.start()
    answer(planned, owner, 6)
    planned.finish()
    planned.save(tmp_path / "answers.csv")
    planned.save(tmp_path / "result.json")
    assert (tmp_path / "answers.csv").read_text(encoding="utf-8").count("\n") == 7
    assert '"without_ties"' in (tmp_path / "result.json").read_text(encoding="utf-8")


def test_a_study_keeps_the_review_and_the_verdicts(session, blinded, owner, tmp_path):
    images, _, _ = cases.made(tmp_path)
    with Project.create(tmp_path / "tumours", title="Tumours", classes=default_classes(["Tumour"]), user="Ann") as project:
        for seed in range(2):
            case = project.add(images / f"patient{seed}.nii.gz")
            for kind, shift in (("weak", 0), ("verified", 2)):
                project.save(case.id, LabelMap(cases.ball(seed, shift), case.geometry), kind=kind, tool="test")
    session.study.open(tmp_path / "tumours.medseg")
    owner.run_until(lambda: session.study.is_open and not session.study.busy)
    assert blinded.choices.source == "study"
    blinded.change(version_a="weak", version_b="verified", slices=4)
    session.run()
    owner.run_until(lambda: blinded.chosen is not None)
    blinded.start()
    answer(blinded, owner, 4, "tie")
    blinded.finish()
    project = session.study.project
    owner.run_until(lambda: len(project.runs()) == 1)
    assert [(one.author, one.verdict, one.number, one.against) for one in project.reviews()] == [("Ann", "tie", 1, 2)] * 4
    assert project.runs()[0].figures["together"]["tie"] == 4
    assert read_answers(tmp_path / "tumours.medseg" / "reviews" / "0001" / "ann.answers.jsonl").lines == 4
    session.shut()
    other = Session(owner)
    found = other.reviewing.blinded
    found.start_when_ready(tmp_path / "tumours.medseg" / "reviews" / "0001", "Bob")
    assert found.sitting is None
    other.study.open(tmp_path / "tumours.medseg")
    owner.run_until(lambda: found.pictures.up is not None)
    assert (found.rater, found.sitting.of) == ("Bob", 4)
    other.shut()


def test_a_session_that_goes_lets_another_one_answer(session, planned, owner, tmp_path):
    planned.start()
    answer(planned, owner, 1)
    session.shut()
    other = Session(owner)
    found = other.reviewing.blinded
    found.start_when_ready(tmp_path / "review", "Ann")
    assert found.sitting.answered == 1
    other.shut()
