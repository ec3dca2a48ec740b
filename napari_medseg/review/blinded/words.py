"""A result in words and as a table."""

from __future__ import annotations

import csv
import io

from napari_medseg.review.blinded.summarising import FEW
from napari_medseg.review.blinded.summary import Agreement, Preference, Share, Sides, Summary, Times


def told(summary: Summary) -> str:
    """The result as lines of text."""
    a, b = summary.a, summary.b
    thing = "slices" if summary.kind == "slices" else "volumes"
    cases = f"{summary.cases} case{'s' if summary.cases != 1 else ''}"
    head = f"{summary.title}: {a} against {b}; {summary.questions} {thing} of {cases}, seed {summary.seed}, plan {summary.plan[:8]}"
    lines = [head + (f"; {summary.repeated} asked twice" if summary.repeated else "")]
    for one in summary.raters:
        lines += [f"{one.rater}: {one.answered} of {one.of} answered", *(f"  {line}" for line in chosen(one.preference, a, b))]
        lines += [f"  {side(one.sides)}", f"  {times(one.times)}"]
        if one.again is not None:
            lines.append(f"  with their own first answers: {agreed(one.again)}")
        if one.unusable:
            lines.append(f"  neither mask good enough: {one.unusable}")
    if len(summary.raters) > 1:
        lines += ["all raters together (two answers to one slice are not independent):", *(f"  {line}" for line in chosen(summary.together, a, b))]
        if summary.by_case is not None:
            lines.append(f"  interval without ties that draws whole cases: {percent(summary.by_case[0])} to {percent(summary.by_case[1])}")
        lines += [f"{' and '.join(pair.raters)}: {agreed(pair)}" for pair in summary.pairs]
        if summary.all_raters is not None:
            lines.append(f"all {len(summary.raters)} raters: {agreed(summary.all_raters)}")
        lines += [f"every rater preferred {other} in: {places(summary, numbers)}" for other, numbers in ((b, summary.disliked_a), (a, summary.disliked_b))]
    if summary.unusable:
        lines.append(f"every rater found neither good enough in: {places(summary, summary.unusable)}")
    if summary.raters:
        lines.append(f"{a} lay on the left in {fraction(summary.a_on_left)}" + (f"; both masks are the same in {summary.same}" if summary.same else ""))
        lines += [f"{one.case}: {a} {one.preference.a}, tie {one.preference.tie}, {b} {one.preference.b}" for one in summary.per_case]
    return "\n".join([*lines, *(f"Note: {note}" for note in summary.notes)])


def headline(summary: Summary) -> str:
    """The result in one sentence."""
    of_all, without = summary.together.of_all, summary.together.without_ties
    if max((one.preference.of_all.of for one in summary.raters), default=0) < FEW:
        return f"Not enough data: {of_all.of} answer{'s' if of_all.of != 1 else ''}"
    if without.share is None or of_all.share is None:
        return f"No difference: every one of {of_all.of} answers was a tie"
    return f"{summary.a} was chosen in {percent(without.share)} of the answers that chose a side, and in {percent(of_all.share)} of all"


def chosen(preference: Preference, a: str, b: str) -> list[str]:
    """Counts and shares."""
    one = preference
    lines = [f"{a} {one.a}, tie {one.tie}, {b} {one.b}"]
    if not one.of_all.of:
        return [*lines, "not enough data for a share"]
    test = "" if one.p is None else f", {p_value(one.p)} against one half"
    return [*lines, f"{a} without ties: {interval(one.without_ties)}{test}", f"{a} of all: {interval(one.of_all)}"]


def interval(share: Share) -> str:
    """A share with its interval."""
    if share.share is None or share.low is None or share.high is None:
        return "not enough data"
    return f"{percent(share.share)} ({share.count} of {share.of}; 95 % interval {percent(share.low)} to {percent(share.high)})"


def fraction(share: Share) -> str:
    """A share as counts, and in per cent."""
    return f"{share.count} of {share.of}" + (f" ({percent(share.share)})" if share.share is not None else "")


def side(sides: Sides) -> str:
    """Which side of the screen was chosen."""
    if sides.share.share is None:
        return "left or right: not enough data"
    test = "" if sides.p is None else f", {p_value(sides.p)}"
    return f"left {sides.left}, right {sides.right}: left in {percent(sides.share.share)}{test}"


def times(times: Times) -> str:
    """How long it took."""
    if times.median is None or times.lower is None or times.upper is None:
        return "no time measured"
    return f"{times.median:.1f} s an answer (quartiles {times.lower:.1f} to {times.upper:.1f} s), {times.total / 60:.1f} min in all"


def agreed(agreement: Agreement) -> str:
    """Agreement and kappa."""
    one = agreement
    if not one.of:
        return "no question that both answered" if len(one.raters) < 3 else "no question that all answered"
    same = f"same answer in {fraction(one.same)}"
    if one.kappa is None:
        return f"{same}; kappa is not defined, since one answer was given throughout"
    if one.low is None or one.high is None:
        return f"{same}; kappa {one.kappa:.2f}, no interval"
    return f"{same}; kappa {one.kappa:.2f} (95 % interval {one.low:.2f} to {one.high:.2f})"


def places(summary: Summary, numbers: tuple[int, ...]) -> str:
    """Where questions lie."""
    of = {one.question: one for one in summary.per_question}
    return "; ".join(f"{of[n].case}" + (f" {of[n].view} {of[n].slice}" if of[n].slice is not None else "") for n in numbers) or "none"


def percent(share: float) -> str:
    """A share in per cent, to a tenth."""
    return f"{100 * share:.1f} %"


def p_value(p: float) -> str:
    """A p-value as journals print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def table(summary: Summary) -> str:
    """One line a question and rater, as CSV: what was chosen, on which side it lay, how long it took."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["question", "case", "view", "slice", "repeats", "same", "left", "rater", "choice", "preferred", "seconds", "neither_usable", "note"])
    names = {"a": summary.a, "b": summary.b, "tie": "tie"}
    for one in summary.per_question:
        for rater, choice in one.choices.items():
            where = [one.question, _plain(one.case), one.view, one.slice, one.repeats, int(one.same), _plain(names[one.left])]
            what = [_plain(rater), choice, _plain(names[choice]), one.seconds[rater], int(rater in one.unusable), _plain(one.notes.get(rater, ""))]
            writer.writerow(where + what)
    return text.getvalue()


def _plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
