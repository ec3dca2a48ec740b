"""What was kept from the page Compare: rounds and models over the same cases, who got worse, and whether probabilities mean what they say."""

from __future__ import annotations

from napari_medseg.metrics.summary import FEWEST
from napari_medseg.review.kept import KeptCalibration, KeptComparison, KeptPair, KeptReliability
from napari_medseg.review.report.blocks import Block, Chart, Heading, Section, Table, Words
from napari_medseg.review.report.charts import reliability
from napari_medseg.review.report.facts import ReportFacts
from napari_medseg.review.report.saying import NOTHING, SPACE, change, day, mean_interval, number, several, share
from napari_medseg.review.report.section_figures import OVERLAP, SURFACE, Say

FIGURES: dict[str, tuple[str, Say]] = {name: (title, say) for name, title, say in (*OVERLAP, *SURFACE)}
SURE = "the interval leaves no doubt"
DOUBT = {"not enough data": "too few cases to be sure", "unclear": "chance alone could do that"}
FAIR = (
    "A label that was verified often began as one of the rounds, which favours that round. Voxels that a person had painted or taught before the run began are "
    "not counted in any round."
)


def compared(facts: ReportFacts) -> Section | None:
    """Every kept comparison and calibration, oldest first; None where nothing was kept."""
    blocks: list[Block] = []
    for index, one in enumerate(facts.kept, 1):
        blocks += _comparison(facts, one) if isinstance(one, KeptComparison) else _calibration(facts, one, f"kept{index}")
    return Section("compared", "Models and rounds compared", blocks) if blocks else None


def _comparison(facts: ReportFacts, one: KeptComparison) -> list[Block]:
    title, say = FIGURES.get(one.figure, (one.figure.replace("_", " "), number))
    truth = "the verified labels" if one.verified else "a folder of true labels"
    of = "mean over the classes of a case" if one.value is None else _named(facts, one.value)
    first = next(iter(one.models), "")
    against = {pair.second: pair for pair in one.pairs if pair.first == first}
    rows = [(name, str(found.n), mean_interval(found, say), *_against(against.get(name), say is share)) for name, found in one.models.items()]
    columns = ("Model", "Cases", "Mean (95 % interval)", f"Difference from {first}", "p", "Verdict")
    blocks: list[Block] = [
        Heading(f"{title}, {of}"), Words(f"Against {truth}; kept {day(one.created)}.", "quiet"),
        Table(f"{title} of every model, over the cases that all have", columns, rows, words=(5,)),
    ]
    others = [pair for pair in one.pairs if pair.first != first]
    if others:
        cells = [(f"{pair.second} against {pair.first}", str(pair.n), *_against(pair, say is share)) for pair in others]
        blocks.append(Table("The others against each other", ("Models", "Cases", "Difference", "p", "Verdict"), cells, words=(4,)))
    worse = [
        (group.group, f"{pair.second} against {pair.first}", str(group.n), _signed(group.change, say is share), DOUBT.get(group.verdict, SURE))
        for pair in one.pairs for group in pair.worse
    ]
    if worse:
        blocks += [
            Words("Some groups of cases got worse; a mean over all hides that.", "warning"),
            Table("Groups that got worse", ("Group", "Models", "Cases", "Mean change", "How sure"), worse, words=(1, 4)),
        ]
        if any(name.startswith("group ") for name, *_ in worse):
            blocks.append(Words("Groups of a table are numbered in the order of their names.", "quiet"))
    if min((found.n for found in one.models.values()), default=0) < FEWEST:
        blocks.append(Words(f"Not enough data for an interval or a test: fewer than {FEWEST} cases.", "empty"))
    else:
        blocks.append(Words("Difference: Hodges-Lehmann with its 95 % interval; p: Wilcoxon's signed-rank test, by Holm over all pairs.", "quiet"))
    if any(name.startswith(("round", "labels")) for name in one.models):
        blocks.append(Words(FAIR, "quiet"))
    return blocks


def _against(pair: KeptPair | None, is_share: bool) -> tuple[str, str, str]:
    if pair is None:
        return NOTHING, NOTHING, NOTHING
    told = _signed(pair.difference, is_share)
    if pair.low is not None and pair.high is not None:
        told = f"{told} ({_signed(pair.low, is_share)}{SPACE}to{SPACE}{_signed(pair.high, is_share)})"
    p = NOTHING if pair.p is None else "< 0.0001" if pair.p < 1e-4 else f"{pair.p:.2g}"
    return told, p, pair.verdict


def _signed(value: float | None, is_share: bool) -> str:
    if value is None or is_share:
        return change(value)
    return f"+{number(value)}" if value > 0 else number(value)


def _calibration(facts: ReportFacts, one: KeptCalibration, key: str) -> list[Block]:
    chosen = [_threshold(facts, each) for each in one.classes if each.threshold is not None]
    rows = [(_named(facts, str(each.value)), share(each.ece), share(each.ece_in_doubt), _at(each.threshold)) for each in one.classes]
    return [
        Heading("Do probabilities mean what they say"),
        Words(f"Probability maps of {several(one.cases, 'case')}; kept {day(one.created)}.", "quiet"),
        *(_reliability(facts, each, f"{key}-{each.value}") for each in one.classes if any(b.voxels for b in each.bins)),
        Table("Expected calibration error (ECE)", ("Class", "All voxels", "Voxels in doubt (from 0.01)", "Threshold chosen"), rows),
        *(Words(text) for text in chosen),
    ]


def _reliability(facts: ReportFacts, one: KeptReliability, key: str) -> Chart:
    name = _named(facts, str(one.value))
    told = f"ECE {share(one.ece)}, {share(one.ece_in_doubt)} where in doubt"
    svg = reliability(one.bins, key=key, alt=f"Reliability of {name}: {told}", threshold=one.threshold)
    return Chart(svg, f"{name}: {told}. Dashed: probabilities that are just right; below it they promise too much.", "half")


def _threshold(facts: ReportFacts, one: KeptReliability) -> str:
    name = _named(facts, str(one.value))
    half = (
        "" if _at(one.threshold) == "0.50"
        else f"; from 0.50 they would be {share(one.dice_at_half)} and {number(one.false_positive_ml_at_half)} ml"
    )
    return f"{name} from {_at(one.threshold)}: Dice {share(one.dice)}, false positives {number(one.false_positive_ml)} ml a case{half}."


def _at(threshold: float | None) -> str:
    return NOTHING if threshold is None else f"{threshold:.2f}"


def _named(facts: ReportFacts, value: str) -> str:
    return next((one.name for one in facts.classes if str(one.value) == value), f"class {value}")
