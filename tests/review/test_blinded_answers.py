"""A rater's file: every answer on the disk at once, gone on with after a crash, and a line edited by hand named."""

import json
import os
import subprocess
import sys

import blinded_cases as cases
import pytest

from napari_medseg.errors import InvalidInputError, UnreadableFileError, UnwritableFileError
from napari_medseg.review.blinded import Answer, RaterFile, Sitting, read_answers
from napari_medseg.review.blinded.answers import file_name

PLAN = cases.bare_plan(6)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sitting(tmp_path, clock):
    made = Sitting(RaterFile(PLAN, tmp_path, "Ann"), clock)
    yield made
    made.close()


def answered(tmp_path, count=4):
    return cases.answer_all(PLAN, tmp_path, "Ann", dict.fromkeys(range(1, count + 1), "a"))


def test_an_answer_is_on_the_disk_when_the_next_question_comes(tmp_path):
    with RaterFile(PLAN, tmp_path, "Ann") as file:
        file.put(Answer(1, "left", 2.5, cases.AT, note="edge"))
        assert read_answers(file.path, PLAN).by_question[1] == Answer(1, "left", 2.5, cases.AT, note="edge")


def test_a_file_says_left_and_right_and_not_whose(tmp_path):
    text = answered(tmp_path).read_text(encoding="utf-8")
    assert "model" not in text
    assert "weak" not in text


def test_the_last_answer_to_a_question_counts_and_the_first_one_stays_in_the_file(tmp_path):
    with RaterFile(PLAN, tmp_path, "Ann") as file:
        for choice in ("left", "right"):
            file.put(Answer(1, choice, 1.0, cases.AT))
        found = read_answers(file.path)
        assert found.by_question[1].choice == "right"
        assert found.lines == 2


def test_going_on_after_a_kill_loses_nothing_but_the_line_that_was_cut_off(tmp_path):
    path = answered(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"question": 5, "cho')
    with RaterFile(PLAN, tmp_path, "ann") as file:
        assert sorted(file.answers) == [1, 2, 3, 4]
        assert file.rater == "Ann"
        assert path.read_bytes() == whole
        file.put(Answer(5, "tie", 1.0, cases.AT))
    assert sorted(read_answers(path, PLAN).by_question) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kept", [0, 7])
def test_a_first_line_that_was_cut_off_is_written_anew(tmp_path, kept):
    path = answered(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with RaterFile(PLAN, tmp_path, "Ann") as file:
        assert not file.answers
    assert read_answers(path, PLAN).rater == "Ann"


def test_a_killed_process_leaves_every_answer_it_gave(tmp_path):
    """A process of its own answers and is killed from within, without a chance to tidy up."""
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import blinded_cases as cases
from pathlib import Path
from napari_medseg.review.blinded import Answer, RaterFile
file = RaterFile(cases.bare_plan(6), Path(sys.argv[1]), "Ann")
for number in (1, 2, 3):
    file.put(Answer(number, "tie", 1.0, cases.AT))
os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), os.path.dirname(cases.__file__)], check=False, capture_output=True)
    assert done.returncode
    with RaterFile(PLAN, tmp_path, "Ann") as file:
        assert sorted(file.answers) == [1, 2, 3]


@pytest.mark.parametrize(("line", "change", "said"), [
    (3, lambda facts: facts.update(choice="lefft"), r"line 3: 'choice' is 'lefft', not 'left', 'tie' or 'right'"),
    (3, lambda facts: facts.update(seconds="2"), r"line 3: 'seconds' is '2', no number"),
    (3, lambda facts: facts.update(seconds=-2), r"line 3: 'check' does not fit"),
    (2, lambda facts: facts.update(choice="tie" if facts["choice"] != "tie" else "left"), r"line 2: 'check' does not fit: this line was changed"),
    (4, lambda facts: facts.pop("question"), r"line 4: 'question' is missing"),
    (4, lambda facts: facts.update(colour="red"), r"line 4: 'colour' is no field known here"),
    (5, lambda facts: facts.pop("check"), r"line 5: 'check' is missing"),
    (1, lambda facts: facts.update(rater="Bob"), r"line 1: 'check' does not fit"),
    (1, lambda facts: facts.update(version="1"), r"line 1: 'version' is '1', no whole number"),
])
def test_a_line_edited_by_hand_is_named_with_its_field(tmp_path, line, change, said):
    path = answered(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    facts = json.loads(lines[line - 1])
    change(facts)
    lines[line - 1] = json.dumps(facts)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=said) as caught:
        read_answers(path, PLAN)
    assert str(caught.value).count("line ") - str(caught.value).count("this line") - str(caught.value).count("a line") == 1
    with pytest.raises(UnreadableFileError, match=said):
        RaterFile(PLAN, tmp_path, "Ann")


def test_every_damaged_line_is_named(tmp_path):
    path = answered(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1], lines[3] = "rubbish", lines[3].replace('"left"', '"l"').replace('"right"', '"r"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"line 2: is no JSON; .*line 4: 'choice' is"):
        read_answers(path)


def test_a_line_taken_out_is_noticed(tmp_path):
    path = answered(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], *lines[3:]]) + "\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"line 3: 'check' does not fit: .* taken out"):
        read_answers(path)


def test_a_file_of_another_plan_is_refused(tmp_path):
    answered(tmp_path)
    other = cases.bare_plan(6, seed=1)
    with pytest.raises(UnreadableFileError, match="belongs to another plan"):
        RaterFile(other, tmp_path, "Ann")


def test_an_empty_file_is_said_to_hold_nothing(tmp_path):
    path = tmp_path / file_name("Ann")
    path.touch()
    with pytest.raises(UnreadableFileError, match="holds no answers"):
        read_answers(path)


def test_a_rater_has_a_name_and_one_window(tmp_path):
    with pytest.raises(InvalidInputError, match="nobody is named"):
        RaterFile(PLAN, tmp_path, "  ")
    with RaterFile(PLAN, tmp_path, "Ann"), pytest.raises(UnwritableFileError, match="in another window"):
        RaterFile(PLAN, tmp_path, "Ann")
    RaterFile(PLAN, tmp_path, "Ann").close()


def test_names_become_files_that_every_system_takes():
    assert file_name("Ann") == file_name("ANN") == "ann.answers.jsonl"
    names = ["Ann", "Dr. Müller", "Dr Müller", "../../etc", "山田", "con:aux", "A" * 300]
    made = [file_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") and len(name) < 80 for name in made)


# -- a rater at work ---------------------------------------------------------------------------------------------------------------------------------------


def test_time_counts_from_the_pictures_and_not_while_the_window_is_away(sitting, clock):
    clock.now += 50
    sitting.show()
    clock.now += 3
    sitting.pause()
    clock.now += 1000
    sitting.go_on()
    clock.now += 2
    sitting.answer("left")
    assert sitting._file.answers[1].seconds == pytest.approx(5)


def test_an_answer_before_the_pictures_is_refused(sitting):
    with pytest.raises(InvalidInputError, match="not there yet"):
        sitting.answer("left")
    sitting.show()
    with pytest.raises(InvalidInputError, match="no answer"):
        sitting.answer("up")


def test_one_back_changes_an_answer_and_the_way_leads_on(sitting, clock):
    for _ in range(3):
        sitting.show()
        clock.now += 1
        sitting.answer("left")
    assert sitting.question.number == 4
    assert sitting.back()
    assert sitting.back()
    assert (sitting.question.number, sitting.was) == (2, "left")
    sitting.note, sitting.unusable = "better so", True
    sitting.show()
    sitting.answer("right")
    assert sitting.question.number == 4
    assert (sitting.note, sitting.unusable, sitting.answered) == ("", False, 3)
    sitting.back()
    sitting.back()
    assert (sitting.was, sitting.note, sitting.unusable) == ("right", "better so", True)
    sitting.forward()
    assert sitting.question.number == 4


def test_the_first_question_has_none_before_it(sitting):
    assert not sitting.can_go_back
    assert not sitting.back()


def test_it_ends_with_the_last_question_and_can_go_back_once_more(sitting, clock):
    for _ in range(6):
        sitting.show()
        clock.now += 2
        sitting.answer("tie")
    assert sitting.is_done
    with pytest.raises(InvalidInputError, match="every question is answered"):
        sitting.answer("tie")
    assert sitting.back()
    assert sitting.question.number == 6


def test_the_time_left_is_told_once_there_is_ground_for_it(sitting, clock):
    for _ in range(3):
        assert sitting.seconds_left is None
        sitting.show()
        clock.now += 4
        sitting.answer("tie")
    assert sitting.seconds_left == pytest.approx(12)


def test_a_sitting_goes_on_where_it_was(tmp_path, clock):
    answered(tmp_path, 4)
    sitting = Sitting(RaterFile(PLAN, tmp_path, "Ann"), clock)
    assert (sitting.question.number, sitting.answered, sitting.of) == (5, 4, 6)
    sitting.close()
