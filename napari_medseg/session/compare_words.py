"""What a comparison says, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medseg.review.calibration import ClassCalibration
    from napari_medseg.review.comparing import Comparison

VERDICTS = {
    "better": "is better", "worse": "is worse", "equal": "is the same on every case",
    "unclear": "may be better or worse: chance alone could make this difference",
    "not enough data": "cannot be told apart: not enough data",
}


def pair_words(comparison: Comparison, figure: str, left_out: Sequence[str] = ()) -> str:
    """The last model against the first: what the figures are, the verdict with interval and p, the groups that got worse, and what was left out."""
    pair = next(each for each in comparison.pairs if each.test.first == comparison.models[0] and each.test.second == comparison.models[-1])
    test = pair.test
    means = ", ".join(f"{model} {_number(comparison.summaries[model].mean)}" for model in comparison.models)
    lines = [f"{figure}, mean of {len(comparison.common)} case{'s' if len(comparison.common) != 1 else ''}: {means}."]
    if test.p is None:
        lines.append(f"{test.second} against {test.first}: {test.note or VERDICTS[pair.verdict]}.")
    else:
        interval = f"difference {_number(test.difference)} (95 % {_number(test.difference_low)} to {_number(test.difference_high)}; {_chance(test.p_holm)})"
        lines.append(f"{test.second} {VERDICTS[pair.verdict]}: {interval}. Higher in {test.higher}, lower in {test.lower}, equal in {test.equal} cases.")
    lines += [f"⚠ {warning}." for table in pair.groups for warning in table.warnings]
    lines += [f"Left out: {words}." for words in left_out]
    return "\n".join(lines)


def group_rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """The last model against the first, group by group: group, cases, mean change, verdict; ⚠ where a group got worse."""
    pair = next(each for each in comparison.pairs if each.test.first == comparison.models[0] and each.test.second == comparison.models[-1])
    rows = []
    for table in pair.groups:
        for row in table.rows:
            change = row.test.mean_difference
            worse = row.gain is not None and row.gain < 0
            sign = "⚠ " if worse else ""
            rows.append((f"{table.grouping}: {row.group}", str(row.test.n), "–" if change is None else f"{change:+.3g}", f"{sign}{row.verdict}"))
    return rows


def threshold_words(of: ClassCalibration, percent: int) -> str:
    """What a threshold gives, beside one half."""
    chosen, half = of.curve[percent - 1], of.curve[49]
    false, of_half = chosen.false_positive_share, half.false_positive_share
    gap = f" Calibration error {of.ece:.3f}, {of.ece_in_doubt:.3f} where in doubt." if of.ece is not None and of.ece_in_doubt is not None else ""
    return (
        f"From {chosen.threshold:.2f}: Dice {_number(chosen.dice)} ({_number(half.dice)} from 0.50), false positives {chosen.false_positive_ml:.2f} ml a case "
        f"({half.false_positive_ml:.2f}), {_share(false)} of what is predicted ({_share(of_half)}).{gap}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _chance(p: float | None) -> str:
    if p is None:
        return "no p"
    return "p below 0.001" if p < 0.001 else f"p {p:.3f}"
