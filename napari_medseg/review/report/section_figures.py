"""Figures case by case: what each stage reached, whether the last is better than the first, for whom it is not, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from napari_medseg.metrics.summary import FEWEST, Summary
from napari_medseg.review.comparing import Comparison
from napari_medseg.review.report.blocks import Block, Chart, Heading, Image, Section, Table, Words
from napari_medseg.review.report.charts import bland_altman, dots
from napari_medseg.review.report.facts import CohortFacts, ReportFacts, Statistics
from napari_medseg.review.report.saying import NOTHING, change, mean_interval, number, several, share

Say = Callable[[float | None], str]
ROWS = 60
"""Rows of a table in the page; JSON and CSV hold all."""
OVERLAP = (("dice", "Dice", share), ("iou", "IoU", share), ("precision", "Precision", share), ("recall", "Recall", share))
SURFACE = (
    ("hd95_mm", "HD95, mm", number), ("assd_mm", "ASSD, mm", number), ("surface_dice_2mm", "Surface Dice, 2 mm", share),
    ("volume_error_ml", "Volume error, ml", number), ("false_positives", "False pieces a case", number),
)
VERDICTS = {"better": "Better", "worse": "Worse", "unclear": "It is not clear which is better", "equal": "Equal", "not enough data": "Not enough data"}


def figures(facts: ReportFacts, pictures: Mapping[int, Sequence[Image]], *, with_figures: bool = True) -> list[Section]:
    """A section a cohort."""
    if not facts.cohorts:
        return [Section("figures", "Figures and pictures", (Words("Not enough data: there is no case with labels.", "empty"),))]
    return [
        Section("figures" if not index else f"figures-{index + 1}", cohort.title, _cohort(facts, cohort, index, pictures.get(index, ()), with_figures))
        for index, cohort in enumerate(facts.cohorts)
    ]


def _cohort(facts: ReportFacts, cohort: CohortFacts, index: int, pictures: Sequence[Image], with_figures: bool) -> list[Block]:
    blocks: list[Block] = [Words(cohort.about)] if cohort.about else []
    if with_figures:
        blocks += _measured(facts, cohort, f"cohort{index + 1}")
    if pictures:
        blocks += [Heading("Pictures"), Words(_key(cohort, facts), "quiet"), *pictures]
    elif any(case.score(cohort.last_stage) for case in cohort.cases):
        blocks.append(Words("No pictures: the scans are not where they were, or pictures were left out.", "empty"))
    if with_figures and cohort.statistics is not None:
        blocks.append(_cases(cohort))
    broken = [case for case in cohort.cases if case.problem]
    if broken:
        listed = ", ".join(case.id for case in broken[:ROWS]) + (f" and {len(broken) - ROWS} more" if len(broken) > ROWS else "")
        blocks.append(Words(f"{several(len(broken), 'case is', 'cases are')} left out, since the labels cannot be read: {listed}.", "empty"))
    return blocks


def _measured(facts: ReportFacts, cohort: CohortFacts, key: str) -> list[Block]:
    found = cohort.statistics
    if found is None:
        return [Words("Not enough data for figures: no case has labels that are known to be right.", "empty")]
    titles = {stage.key: stage.title for stage in cohort.stages}
    scored = {stage.key: [score for case in cohort.cases if (score := case.score(stage.key)) is not None] for stage in cohort.measured_stages}
    values = {stage: [score.dice for score in scores if score.dice is not None] for stage, scores in scored.items()}
    blocks: list[Block] = []
    if max(map(len, values.values())) > 1:
        told = "; ".join(f"{titles[stage]} {mean_interval(found.dice[stage])} over {several(len(values[stage]), 'case')}" for stage in values)
        rows = [(titles[stage], values[stage], found.dice[stage]) for stage in values]
        svg = dots(rows, key=f"{key}-dice", alt=f"Dice by case. {told}", x="Dice, mean over a case's classes")
        blocks.append(Chart(svg, "Every mark is a case; the upright bar is the mean, the line through it its 95 % interval."))
    blocks += [_by_class(facts, found, titles, f"Overlap with {cohort.truth}: mean and 95 % interval", OVERLAP)]
    if any(name in of for classes in found.classes.values() for of in classes.values() for name, *_ in SURFACE):
        blocks.append(_by_class(facts, found, titles, f"Distances and volumes against {cohort.truth}: mean and 95 % interval", SURFACE))
    fewest = min((one.n for one in found.dice.values()), default=0)
    if fewest < FEWEST:
        blocks.append(Words(f"Not enough data for an interval where fewer than {FEWEST} cases are known.", "empty"))
    if any(score.known == "slices" for case in cohort.cases for score in case.scores):
        blocks.append(Words("Distances and false pieces are of cases known as a whole; a distance to what nobody looked at would say nothing.", "quiet"))
    if found.comparison is not None:
        blocks += _compared(found.comparison)
    blocks += _volumes(facts, cohort, found, titles, key)
    return blocks


def _by_class(facts: ReportFacts, found: Statistics, titles: Mapping[str, str], caption: str, columns: Sequence[tuple[str, str, Say]]) -> Table:
    """Classes below each other, their stages in order; the number of cases is that of the first column."""
    named = {str(one.value): one.name for one in facts.classes}
    values = sorted({value for classes in found.classes.values() for value in classes}, key=int)
    rows = [
        (named.get(value, f"class {value}"), titles[stage], _cases_of(of, columns), *(mean_interval(of.get(name), say) for name, _, say in columns))
        for value in values for stage, classes in found.classes.items() if (of := classes.get(value)) is not None
    ]
    return Table(caption, ("Class", "Stage", "Cases", *(title for _, title, _ in columns)), rows, words=(1,))


def _cases_of(of: Mapping[str, Summary], columns: Sequence[tuple[str, str, Say]]) -> str:
    return str(max((of[name].n for name, *_ in columns if name in of), default=0))


def _compared(found: Comparison) -> list[Block]:
    pair = found.pairs[0]
    test = pair.test
    blocks: list[Block] = [Heading(f"{test.second[:1].upper()}{test.second[1:]} against {test.first}")]
    if test.p is None:
        return [*blocks, Words(f"{test.note[:1].upper()}{test.note[1:] or 'Not enough data'}.", "empty")]
    blocks.append(Words(
        f"{VERDICTS[pair.verdict]}. Of {several(test.n, 'case')} that have both, Dice is higher in {test.higher}, lower in {test.lower} and the same in "
        f"{test.equal}. The typical difference is {change(test.difference)} (95 % interval {change(test.difference_low)} to {change(test.difference_high)}; "
        f"Hodges-Lehmann). Wilcoxon's signed-rank test: p {_p(test.p)}, {'exact' if test.exact else 'by the normal approximation'}. Rank-biserial correlation "
        f"{change(test.effect)} ({change(test.effect_low)} to {change(test.effect_high)}).",
    ))
    for table in pair.groups:
        rows = [
            (row.group, str(row.test.n), share(row.test.mean_first), share(row.test.mean_second), change(row.test.mean_difference), row.verdict)
            for row in table.rows if row.test.n
        ]
        if len(rows) > 1:
            columns = ("Group", "Cases", test.first, test.second, "Mean change", "Verdict")
            blocks.append(Table(f"The same by group: {table.grouping}", columns, rows, words=(5,)))
            blocks += [Words(f"{warning[:1].upper()}{warning[1:]}.", "warning") for warning in table.warnings]
    return blocks


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"= {value:.2g}"


def _volumes(facts: ReportFacts, cohort: CohortFacts, found: Statistics, titles: Mapping[str, str], key: str) -> list[Block]:
    blocks: list[Block] = []
    named = {str(one.value): one.name for one in facts.classes}
    for value, of in found.volumes.items():
        name = named.get(value, f"class {value}")
        if of.bias is None:
            if of.n and len(cohort.cases) > of.n:
                blocks.append(Words(f"Volumes of {name}: {of.note}.", "empty"))
            continue
        limits = f"limits of agreement {number(of.lower)} to {number(of.upper)} ml, {several(of.n, 'case')}"
        svg = bland_altman(of, key=f"{key}-volume{value}", alt=f"Bland-Altman plot of {name}: bias {number(of.bias)} ml, {limits}", unit="ml")
        interval = f"{number(of.bias_low)} to {number(of.bias_high)}"
        blocks.append(Chart(
            svg, f"Volume of {name}, {titles[cohort.last_stage]} against {cohort.truth}: bias {number(of.bias)} ml ({interval}), {limits}.", "half",
        ))
    return [Heading("Volumes"), *blocks] if any(isinstance(block, Chart) for block in blocks) else blocks


def _key(cohort: CohortFacts, facts: ReportFacts) -> str:
    """How the pictures are to be read."""
    solid = "Solid and coloured: the labels of the stage."
    dashed = f" Dashed and white: {cohort.truth}." if cohort.truth else ""
    listed = ", ".join(f"{one.value} {one.name}" for one in facts.classes)
    numbers = f" Numbers at the outlines are classes: {listed}." if len(facts.classes) > 1 else ""
    return f"{solid}{dashed}{numbers} The first panel shows the scan alone with a scale in mm; the letters say where the patient's sides are."


def _cases(cohort: CohortFacts) -> Table:
    stages = cohort.measured_stages
    rows = []
    for case in cohort.cases:
        if case.scores:
            dices = [score.dice if (score := case.score(stage.key)) is not None else None for stage in stages]
            last = case.score(cohort.last_stage)
            rows.append((last.dice if last is not None and last.dice is not None else 2.0, case, dices))
    rows.sort(key=lambda row: (row[0], row[1].id))
    shown = rows[:ROWS]
    whole = f", the {ROWS} lowest of {len(rows)}; the JSON and CSV files hold all" if len(rows) > ROWS else ""
    named = any(case.name for _, case, _ in shown)
    columns = ["Case", *(["Name"] if named else []), "Known", *(stage.title for stage in stages)]
    cells = [
        [case.id, *([case.name or NOTHING] if named else []), "as a whole" if case.scores[0].known == "whole" else "marked slices", *(share(d) for d in dices)]
        for _, case, dices in shown
    ]
    return Table(f"Dice by case, the lowest first{whole}", columns, cells, words=tuple(range(1, len(columns) - len(stages))), folded=len(cells) > 12)
