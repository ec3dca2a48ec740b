"""What comes out: the paper's figures, honest words for too little, and the same whatever the order of the raters."""

import csv
import io
import json

import blinded_cases as cases
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.errors import UnreadableFileError
from napari_medseg.review.blinded import read_answers, summaries, summarise, write_plan
from napari_medseg.review.blinded.answers import Answer, Answers
from napari_medseg.review.blinded.words import headline, table, told

CHOICE = st.sampled_from(["left", "tie", "right"])
RATERS = st.lists(st.dictionaries(st.integers(1, 10), CHOICE), min_size=1, max_size=4)
SMALL = cases.bare_plan(8, repeats=2)


def answers(rater, choices, plan=SMALL):
    return Answers(rater, plan.sha256, {n: Answer(n, choice, 1.0, cases.AT) for n, choice in choices.items()}, len(choices))


def paper(tmp_path):
    """Two experts' choices of the paper: 275, 32 and 17, and 280, 24 and 20, of 324 slices."""
    plan = cases.bare_plan(324)
    write_plan(plan, tmp_path)
    for rater, (a, tie, b) in {"Ann": (275, 32, 17), "Bob": (280, 24, 20)}.items():
        meant = ["a"] * a + ["tie"] * tie + ["b"] * b
        cases.answer_all(plan, tmp_path, rater, dict(enumerate(meant, 1)))
    return summaries(tmp_path)[0]


def test_the_papers_study_prints_the_papers_figures(tmp_path):
    summary = paper(tmp_path)
    ann, bob = (one.preference for one in summary.raters)
    assert (ann.a, ann.tie, ann.b, bob.a, bob.tie, bob.b) == (275, 32, 17, 280, 24, 20)
    text = told(summary)
    assert "model without ties: 94.2 % (275 of 292; 95 % interval 90.8 % to 96.6 %), p < 0.001 against one half" in text
    assert "model of all: 84.9 % (275 of 324; 95 % interval 80.5 % to 88.6 %)" in text
    assert "93.3 %" in text
    assert "86.4 %" in text
    assert summary.is_complete
    assert headline(summaries(tmp_path)[0]) == "model was chosen in 93.8 % of the answers that chose a side, and in 85.6 % of all"
    json.dumps(summary.as_dict(), allow_nan=False)


def test_nobody_yet_and_one_answer_are_said_to_be_too_little():
    nothing = summarise(SMALL, [])
    assert nothing.notes == ("not enough data: nobody has answered yet",)
    assert (nothing.together.of_all.share, nothing.together.p, nothing.times.median, nothing.is_complete) == (None, None, None, False)
    one = summarise(SMALL, [answers("Ann", {1: "left"})])
    assert "Ann answered 1 of 10 questions" in one.notes
    assert "not enough data: 1 answer in all" in one.notes
    assert one.together.of_all.low == pytest.approx(0.025) or one.together.of_all.high == pytest.approx(0.975)
    few = summarise(SMALL, [answers(rater, dict.fromkeys(range(1, 9), "left")) for rater in ("Ann", "Bob")])
    assert "not enough data: 8 answers a rater at most" in few.notes
    assert headline(few) == "Not enough data: 16 answers"
    for summary in (nothing, one, summarise(SMALL, [answers("Ann", {})])):
        assert "not enough data" in told(summary)
        json.dumps(summary.as_dict(), allow_nan=False)


def test_ties_alone_have_no_share_without_ties():
    found = summarise(cases.bare_plan(12), [answers("Ann", dict.fromkeys(range(1, 13), "tie"))])
    assert (found.together.of_all.share, found.together.without_ties.share, found.together.p) == (0.0, None, None)
    assert "not enough data for a share without ties: every answer was a tie" in found.notes


def test_a_question_asked_twice_counts_once_and_measures_the_rater_himself():
    steady = {n: "left" if SMALL.questions[n - 1].left == "a" else "right" for n in range(1, 11)}
    found = summarise(SMALL, [answers("Ann", steady)])
    assert (found.questions, found.repeated) == (8, 2)
    assert found.raters[0].preference.of_all.of == 8
    assert found.raters[0].again.same.count == 2
    always_left = summarise(SMALL, [answers("Ann", dict.fromkeys(range(1, 11), "left"))])
    assert always_left.raters[0].again.same.count == 0
    assert always_left.sides.p == pytest.approx(2 / 1024)


def test_slices_that_every_rater_disliked_are_named(tmp_path):
    plan = cases.bare_plan(6)
    write_plan(plan, tmp_path)
    cases.answer_all(plan, tmp_path, "Ann", {1: "a", 2: "b", 3: "b", 4: "tie", 5: "a", 6: "a"})
    cases.answer_all(plan, tmp_path, "Bob", {1: "a", 2: "b", 3: "a", 4: "b", 5: "tie", 6: "a"})
    found = summaries(tmp_path)[0]
    assert (found.disliked_a, found.disliked_b) == ((2,), (1, 6))
    assert "every rater preferred weak in: case2 axial 2" in told(found)


def test_a_mask_pair_that_nobody_could_use_is_named():
    both = [Answers(rater, SMALL.sha256, {3: Answer(3, "tie", 1.0, cases.AT, unusable=True)}, 1) for rater in ("Ann", "Bob")]
    assert summarise(SMALL, both).unusable == (3,)


def test_more_than_two_raters_have_pairs_and_one_kappa_of_all():
    found = summarise(SMALL, [answers(rater, {n: "left" if n % k else "right" for n in range(1, 9)}) for rater, k in (("Ann", 2), ("Bob", 3), ("Cid", 2))])
    assert [pair.raters for pair in found.pairs] == [("Ann", "Bob"), ("Ann", "Cid"), ("Bob", "Cid")]
    assert found.pairs[1].kappa == 1.0
    assert found.all_raters.raters == ("Ann", "Bob", "Cid")
    assert "all 3 raters" in told(found)


@given(RATERS.flatmap(lambda made: st.tuples(st.just(made), st.permutations(range(len(made))))))
def test_the_order_of_raters_changes_nothing(drawn):
    made, order = drawn
    raters = [answers(f"rater {i}", choices) for i, choices in enumerate(made)]
    found = summarise(SMALL, raters)
    assert found == summarise(SMALL, [raters[i] for i in order])
    for one in (found.together, *(rater.preference for rater in found.raters), *(case.preference for case in found.per_case)):
        assert one.a + one.tie + one.b == one.of_all.of
        assert one.a + one.b == one.without_ties.of
        assert one.p is None or 0 <= one.p <= 1
    assert sum(case.preference.of_all.of for case in found.per_case) == found.together.of_all.of


def test_the_table_has_a_line_for_every_answer_and_no_formula(tmp_path):
    plan = cases.bare_plan(3)
    write_plan(plan, tmp_path)
    path = cases.answer_all(plan, tmp_path, "=Ann", {1: "a", 2: "tie", 3: "b"})
    rows = list(csv.DictReader(io.StringIO(table(summarise(plan, [read_answers(path)])))))
    assert [row["preferred"] for row in rows] == ["model", "tie", "weak"]
    assert {row["rater"] for row in rows} == {"'=Ann"}


def test_plans_in_folders_beside_each_other_are_all_found(tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        plan = cases.bare_plan(5, seed)
        write_plan(plan, tmp_path / name)
        cases.answer_all(plan, tmp_path / name, "Ann", {1: "a"})
    assert [one.seed for one in summaries(tmp_path)] == [1, 2]


def test_a_file_beside_a_plan_it_was_not_made_for_is_refused(tmp_path):
    write_plan(cases.bare_plan(5), tmp_path)
    cases.answer_all(cases.bare_plan(5, 1), tmp_path, "Ann", {1: "a"})
    with pytest.raises(UnreadableFileError, match=r"ann\.answers\.jsonl: belongs to another plan"):
        summaries(tmp_path)
