"""What people said of versions in blinded reviews is recorded once, whole, and read with care."""

import sqlite3
from datetime import UTC, datetime

import numpy as np
import pytest

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import InvalidInputError, ProjectDamagedError, ProjectError, UnwritableFileError
from napari_medseg.project import Project, Review

CASE = "case-0001"
PLAN = "a" * 64


def verdict(number=1, against=2, said="preferred", question=1):
    now = datetime(2026, 11, 21, 20, tzinfo=UTC)
    return Review(CASE, number, against, "Bob", now, said, 3.5, {"plan": PLAN, "question": question, "view": "axial", "slice": 4, "left": "a"})


@pytest.fixture
def reviewed(project):
    labels = project.labels(CASE)
    project.save(CASE, LabelMap(np.roll(labels.array, 1, 2), labels.geometry), kind="proposal", tool="refine", parent=1)
    return project


def test_verdicts_come_back_as_they_were_given(reviewed):
    given = [verdict(), verdict(said="tie", question=2)]
    assert reviewed.record_reviews(PLAN, "Bob", given)
    assert reviewed.reviews() == reviewed.reviews(CASE) == given
    assert (reviewed.events()[-1].action, reviewed.events()[-1].details["verdicts"]) == ("reviewed", 2)


def test_a_review_is_recorded_once(reviewed):
    assert reviewed.record_reviews(PLAN, "Bob", [verdict()])
    assert not reviewed.record_reviews(PLAN, "Bob", [verdict()])
    assert len(reviewed.reviews()) == 1


def test_nothing_is_recorded_when_one_verdict_is_wrong(reviewed):
    for wrong in (verdict(said="better"), verdict(against=9), verdict(number=0)):
        with pytest.raises((InvalidInputError, ProjectError)):
            reviewed.record_reviews(PLAN, "Bob", [verdict(), wrong])
    with pytest.raises(InvalidInputError):
        reviewed.record_reviews("b" * 64, "Bob", [verdict()])
    assert reviewed.reviews() == []


def test_reviews_lie_in_numbered_folders_and_the_study_stays_whole(reviewed):
    assert [reviewed.new_review_folder().name for _ in range(2)] == ["0001", "0002"]
    assert reviewed.check() == []


def test_a_study_open_for_looking_records_nothing(reviewed):
    folder = reviewed.folder
    reviewed.close()
    with Project.open(folder, readonly=True) as looking:
        with pytest.raises(UnwritableFileError):
            looking.record_reviews(PLAN, "Bob", [verdict()])
        with pytest.raises(UnwritableFileError):
            looking.new_review_folder()
        assert looking.reviews() == []


@pytest.mark.one_file
def test_a_row_that_makes_no_sense_is_said_to_be_damage(reviewed):
    reviewed.record_reviews(PLAN, "Bob", [verdict()])
    with sqlite3.connect(reviewed.folder / "project.db") as database:
        database.execute("DROP TRIGGER reviews_refuse_update")
        database.execute("UPDATE reviews SET verdict = 'splendid'")
    with pytest.raises(ProjectDamagedError):
        reviewed.reviews()
