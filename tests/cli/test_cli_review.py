"""`medseg review`: a plan, the result, annotators' agreement, and clear words for what is wrong."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass

import blinded_cases as cases
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.cli.app import app
from napari_medseg.io import read, read_labels, write
from napari_medseg.project import Project
from napari_medseg.review.blinded import read_plan, write_plan


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def answer(self):
        return json.loads(self.out)


@pytest.fixture
def medseg(tmp_path, monkeypatch):
    """`medseg` in this process, which takes a tenth of the time; one test below runs the program itself."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> Done:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        return Done(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def sets(tmp_path):
    return cases.made(tmp_path)


def test_the_program_itself_plans(sets, tmp_path):
    code = "from napari_medseg.cli import main; main()"
    command = [sys.executable, "-c", code, "review", "study", "--new", *map(str, sets), "--slices", "4", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout)["questions"] == len(read_plan(tmp_path / "study").questions) == 4


def test_a_plan_is_made_answered_and_told(medseg, sets, tmp_path):
    planned = medseg("review", "study", "--new", *sets, "--slices", 8, "--seed", 3, "--titles", "our model", "expert A", "--json")
    assert planned.answer["questions"] == 8
    assert (planned.answer["a"], planned.answer["a_on_left"], planned.answer["seed"]) == ("our model", 4, 3)
    plan = read_plan(tmp_path / "study")
    cases.answer_all(plan, tmp_path / "study", "Ann", {n: "a" if n < 6 else "tie" for n in range(1, 9)})
    done = medseg("review", "study", "--csv", "answers.csv")
    assert "our model without ties: 100.0 % (5 of 5; 95 % interval 47.8 % to 100.0 %), p = 0.062 against one half" in done.out
    assert "our model of all: 62.5 % (5 of 8" in done.out
    with (tmp_path / "answers.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 8
    found = medseg("review", "study", "--json").answer["plans"][0]
    assert found["together"]["without_ties"]["count"] == 5
    assert found["is_complete"]


def test_the_papers_counts_print_the_papers_shares(medseg, tmp_path):
    plan = cases.bare_plan(324)
    write_plan(plan, tmp_path / "nih")
    cases.answer_all(plan, tmp_path / "nih", "expert 1", dict(enumerate(["a"] * 275 + ["tie"] * 32 + ["b"] * 17, 1)))
    text = medseg("review", "nih").out
    assert "model 275, tie 32, weak 17" in text
    assert "94.2 %" in text
    assert "84.9 %" in text


def test_a_plan_without_answers_says_that_there_is_not_enough_data(medseg, sets):
    medseg("review", "study", "--new", *sets)
    done = medseg("review", "study")
    assert (done.code, "not enough data: nobody has answered yet" in done.out) == (0, True)


def test_a_second_plan_in_the_same_folder_is_refused(medseg, sets):
    assert medseg("review", "study", "--new", *sets).code == 0
    again = medseg("review", "study", "--new", *sets)
    assert (again.code, "there is a plan already" in again.err) == (1, True)


def test_a_rater_file_edited_by_hand_is_named_with_line_and_field(medseg, tmp_path):
    plan = cases.bare_plan(5)
    write_plan(plan, tmp_path / "study")
    path = cases.answer_all(plan, tmp_path / "study", "Ann", dict.fromkeys(range(1, 6), "a"))
    path.write_text(path.read_text(encoding="utf-8").replace('"question": 3', '"question": "three"'), encoding="utf-8")
    error = medseg("review", "study", "--json")
    assert error.code == 1
    assert error.answer["error"]["where"] == "ann.answers.jsonl"
    assert "line 4: 'question' is 'three', no whole number" in error.answer["error"]["what"]


def test_a_folder_of_nothing_is_said_to_be_one(medseg, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        done = medseg("review", name)
        assert (done.code, "--new IMAGES A B" in done.err) == (1, True)
    assert medseg("review", "empty", "--rate", "Ann").code == 1
    assert medseg("review", "empty", "--new", "a", "b", "c", "--rate", "Ann").code == 2


def test_annotators_in_folders_are_compared_and_agreed(medseg, sets, tmp_path):
    people = tmp_path / "people"
    for name, shift in (("ann", 0), ("bob", 1), ("cid", 2)):
        (people / name).mkdir(parents=True)
        for seed in range(2):
            write(read(sets[1] / f"patient{seed}.nii.gz").like(cases.ball(seed, shift)), people / name / f"patient{seed}.nii.gz")
    shutil.copy(people / "ann" / "patient0.nii.gz", people / "ann" / "alone.nii.gz")
    answer = medseg("review", people, "--consensus", "majority", "-o", "agreed", "--json").answer
    assert answer["annotators"] == ["ann", "bob", "cid"]
    assert [case["id"] for case in answer["cases"]] == ["patient0", "patient1"]
    dice = np.array(answer["cases"][0]["classes"]["1"]["dice"])
    assert np.array_equal(dice, dice.T)
    assert dice[0, 2] < dice[0, 1] < 1
    assert answer["notes"] == ["alone was drawn by ann only"]
    assert 0.5 < answer["mean"]["dice"] < 1
    agreed = read_labels(tmp_path / "agreed" / "patient0.nii.gz")
    assert np.array_equal(agreed.array, sum(cases.ball(0, shift) for shift in range(3)) > 1)
    assert "mean over 2 cases: dice" in medseg("review", people).out


def test_annotators_without_a_common_case_or_on_other_grids_are_refused(medseg, sets, tmp_path):
    people = tmp_path / "people"
    for name, seed in (("ann", 0), ("bob", 1)):
        (people / name).mkdir(parents=True)
        shutil.copy(sets[1] / f"patient{seed}.nii.gz", people / name / f"p{seed}.nii.gz")
    assert "no mask has the same name" in medseg("review", people).err
    (people / "bob" / "p1.nii.gz").rename(people / "bob" / "p0.nii.gz")
    assert "grid" in medseg("review", people).err


def test_two_versions_of_a_study_are_planned_and_kept_in_it(medseg, sets, tmp_path):
    with Project.create(tmp_path / "tumours", title="Tumours", classes=default_classes(["Tumour"]), user="Ann") as project:
        for seed in range(2):
            case = project.add(sets[0] / f"patient{seed}.nii.gz")
            for kind, shift in (("weak", 0), ("proposal", 2)):
                project.save(case.id, LabelMap(cases.ball(seed, shift), case.geometry), kind=kind, tool="test")
    study = "tumours.medseg"
    assert "no blinded review yet" in medseg("review", study).err
    planned = medseg("review", study, "--versions", "proposal", "weak", "--slices", 6, "--json").answer
    assert (planned["a"], planned["b"], planned["questions"]) == ("proposal", "weak", 6)
    plan = read_plan(tmp_path / study / "reviews" / "0001")
    assert {(case.a, case.b) for case in plan.cases} == {("2", "1")}
    assert "patient" not in (tmp_path / study / "reviews" / "0001" / "plan.json").read_text(encoding="utf-8")
    assert "nobody has answered" in medseg("review", study).out
    assert "called 'splendid'" in medseg("review", study, "--versions", "splendid", "weak").err
    assert "no case has both" in medseg("review", study, "--versions", "verified", "weak").err
