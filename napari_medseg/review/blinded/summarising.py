"""From answers to figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from napari_medseg.review.blinded.answers import Answer, Answers
from napari_medseg.review.blinded.plan import Plan, Question
from napari_medseg.review.blinded.statistics import against_half, by_case, cohen, fleiss, quartiles, share
from napari_medseg.review.blinded.summary import Agreement, CaseResult, Preference, QuestionResult, RaterResult, Sides, Summary, Times

FEW = 10
"""Answers of a rater below which a share, and a kappa, say next to nothing."""

Asked = Mapping[int, Question]


def summarise(plan: Plan, raters: Sequence[Answers]) -> Summary:
    """The result of a blinded review; repeated questions count for a rater's agreement with their own first answers only.

    Parameters
    ----------
    plan : Plan
    raters : Answers each
        In any order; the result lists them by name.
    """
    raters = sorted(raters, key=lambda one: one.rater.casefold())
    asked = {question.number: question for question in plan.questions}
    first = {number: question for number, question in asked.items() if question.repeats is None}
    meant = {one.rater: {n: asked[n].chosen(answer.choice) for n, answer in one.by_question.items() if n in first} for one in raters}
    results = tuple(_rater(one, meant[one.rater], asked) for one in raters)
    answers = [answer for one in raters for answer in one.by_question.values()]
    cases = [_case(case.case, [n for n in first if first[n].case == case.case], meant) for case in plan.cases]
    together = prefer([choice for chosen in meant.values() for choice in chosen.values()])
    everybody = [n for n in first if len(raters) > 1 and all(n in chosen for chosen in meant.values())]
    return Summary(
        plan.sha256, plan.title, plan.a.title, plan.b.title, plan.kind, plan.seed, plan.created, len(first), len(asked) - len(first), len(plan.cases),
        share(sum(question.left == "a" for question in asked.values()), len(asked)), bool(raters) and all(one.answered == one.of for one in results), results,
        together, by_case([case.preference.a for case in cases], [case.preference.b for case in cases], plan.seed),
        _sides(answers), _times(answers), tuple(_pair(x.rater, y.rater, meant) for x, y in combinations(raters, 2)),
        _all(meant, everybody) if len(raters) > 2 else None, tuple(cases), tuple(_question(question, raters) for question in plan.questions),
        tuple(n for n in everybody if all(chosen[n] == "b" for chosen in meant.values())),
        tuple(n for n in everybody if all(chosen[n] == "a" for chosen in meant.values())),
        tuple(n for n in first if raters and all(n in one.by_question and one.by_question[n].unusable for one in raters)),
        sum(question.same for question in first.values()), (*plan.notes, *_notes(results, together)),
    )


def prefer(choices: Iterable[str]) -> Preference:
    """Counts, shares and test of some choices, each "a", "tie" or "b"."""
    made = list(choices)
    a, tie, b = (made.count(which) for which in ("a", "tie", "b"))
    return Preference(a, tie, b, share(a, a + tie + b), share(a, a + b), against_half(a, a + b))


def _rater(one: Answers, meant: Mapping[int, str], asked: Asked) -> RaterResult:
    answers = list(one.by_question.values())
    pairs = [(meant[question.repeats], question.chosen(one.by_question[n].choice)) for n, question in asked.items()
             if question.repeats is not None and n in one.by_question and question.repeats in meant]
    planned = any(question.repeats is not None for question in asked.values())
    again = cohen([x for x, _ in pairs], [y for _, y in pairs], (one.rater, one.rater)) if planned else None
    return RaterResult(
        one.rater, len(answers), len(asked), prefer(meant.values()), _sides(answers), _times(answers), again, sum(answer.unusable for answer in answers),
        sum(bool(answer.note) for answer in answers),
    )


def _case(case: str, numbers: Sequence[int], meant: Mapping[str, Mapping[int, str]]) -> CaseResult:
    return CaseResult(case, len(numbers), prefer(chosen[n] for chosen in meant.values() for n in numbers if n in chosen))


def _pair(first: str, second: str, meant: Mapping[str, Mapping[int, str]]) -> Agreement:
    both = [n for n in meant[first] if n in meant[second]]
    return cohen([meant[first][n] for n in both], [meant[second][n] for n in both], (first, second))


def _all(meant: Mapping[str, Mapping[int, str]], numbers: Sequence[int]) -> Agreement:
    return fleiss([[chosen[n] for chosen in meant.values()] for n in numbers], tuple(meant))


def _question(question: Question, raters: Sequence[Answers]) -> QuestionResult:
    given = {one.rater: one.by_question[question.number] for one in raters if question.number in one.by_question}
    return QuestionResult(
        question.number, question.case, question.view, question.slice, question.left, question.repeats, question.same,
        {rater: question.chosen(answer.choice) for rater, answer in given.items()}, {rater: answer.seconds for rater, answer in given.items()},
        tuple(rater for rater, answer in given.items() if answer.unusable), {rater: answer.note for rater, answer in given.items() if answer.note},
    )


def _sides(answers: Sequence[Answer]) -> Sides:
    left, right = (sum(answer.choice == side for answer in answers) for side in ("left", "right"))
    return Sides(left, right, share(left, left + right), against_half(left, left + right))


def _times(answers: Sequence[Answer]) -> Times:
    seconds = [answer.seconds for answer in answers]
    low, middle, high = quartiles(seconds)
    return Times(float(sum(seconds)), middle, low, high)


def _notes(results: Sequence[RaterResult], together: Preference) -> list[str]:
    if not results:
        return ["not enough data: nobody has answered yet"]
    notes = [f"{one.rater} answered {one.answered} of {one.of} questions" for one in results if one.answered < one.of]
    most = max(one.preference.of_all.of for one in results)
    if most < FEW:
        notes.append(f"not enough data: {most} answer{'s' if most != 1 else ''} {'in all' if len(results) == 1 else 'a rater at most'}")
    elif not together.without_ties.of:
        notes.append("not enough data for a share without ties: every answer was a tie")
    if len(results) == 1:
        notes.append("one rater: there is no agreement between raters to speak of")
    return notes
