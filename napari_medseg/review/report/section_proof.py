"""The last part of the page: choices made blind, agreement, where everything came from, licences, and how figures are counted."""

from __future__ import annotations

from napari_medseg.metrics.summary import FEWEST, RESAMPLES
from napari_medseg.review.blinded.summary import Share
from napari_medseg.review.report.blocks import Block, Heading, Pairs, Section, Table, Words
from napari_medseg.review.report.facts import BlindedFacts, ReportFacts
from napari_medseg.review.report.saying import NOTHING, SPACE, day, duration, hashed, mean_interval, number, several
from napari_medseg.review.report.section_data import percent
from napari_medseg.review.report.section_rounds import made_from

ROWS = 60
CONVENTIONS = (
    "Dice and IoU count voxels; where a class is in neither map of a case, the case does not count for it; where it is in one only, they are 0.",
    "Precision of no prediction and recall of no truth are undefined and do not count; the number of cases says how many values did.",
    "A surface is the voxels that touch the outside, or the edge of the scan, through a face. Distances run between voxel centres in mm, along the scan's own "
    "spacing. HD95 is the larger of both directions' 95th percentiles, ASSD the mean over both surfaces together, surface Dice the share of both surfaces "
    "within 2 mm of the other.",
    "Pieces join through faces, edges and corners. A false piece is one of the prediction that touches no true voxel.",
    "Means are over cases, each counting the same. Over classes: first the mean over the classes of one case, then over cases.",
    f"Intervals are 95 % bootstrap intervals (bias-corrected and accelerated, {RESAMPLES} resamples of whole cases); none is given for fewer than {FEWEST} "
    "cases.",
    "Bland-Altman: difference is label minus truth, limits of agreement are the bias plus and minus 1.96 standard deviations.",
)


def blinded(facts: ReportFacts) -> Section:
    """What raters chose without knowing whose a mask is."""
    if not facts.blinded:
        return Section("blinded", "Blinded choice", (Words("Not enough data: nobody has chosen blind between two sets of masks.", "empty"),))
    blocks: list[Block] = []
    for one in facts.blinded:
        blocks += _choice(one)
    return Section("blinded", "Blinded choice", blocks)


def _choice(one: BlindedFacts) -> list[Block]:
    both = one.together
    told = {
        "Shown": f"{several(one.questions, one.kind.rstrip('s'))} of {several(one.cases, 'case')}, sides drawn at random (seed {one.seed})",
        f"{one.first} preferred": f"{_share(both.of_all)} of all answers; {_share(both.without_ties)} without ties",
        "Chance alone would do as much or more": _p(both.p),
    }
    if one.by_case is not None:
        told["Without ties, whole cases resampled"] = f"{percent(one.by_case[0])} to {percent(one.by_case[1])}"
    if one.agreement is not None and one.agreement.kappa is not None:
        told["Agreement of the raters beyond chance"] = (
            f"{one.agreement.method} {number(one.agreement.kappa)} ({number(one.agreement.low)} to {number(one.agreement.high)}), "
            f"{several(one.agreement.of, 'question')}"
        )
    told["Left picture chosen"] = _share(one.left)
    told["Neither good enough, by all"] = str(one.unusable)
    blocks: list[Block] = [Heading(f"{one.first} against {one.second}"), Pairs(told)]
    if not one.is_complete:
        blocks.append(Words("Not every rater has answered every question yet.", "empty"))
    rows = [(name, str(p.a), str(p.tie), str(p.b), _share(p.without_ties)) for name, p in (*one.by_rater.items(), ("together", both))]
    return [*blocks, Table("Answers by rater", ("Rater", one.first, "Tie", one.second, f"{one.first}, without ties"), rows)]


def _share(of: Share) -> str:
    if of.share is None:
        return NOTHING
    return f"{percent(of.share)} ({of.count} of {of.of}; 95 % interval {percent(of.low)} to {percent(of.high)})"


def _p(value: float | None) -> str:
    return NOTHING if value is None else f"p {'< 0.0001' if value < 1e-4 else f'= {value:.2g}'} (exact binomial test against one half)"


def agreement(facts: ReportFacts) -> Section | None:
    """How far annotators agree; None where there is nothing."""
    blocks: list[Block] = []
    if facts.agreement:
        rows = [(f"{one.first} and {one.second}", str(one.dice.n), mean_interval(one.dice), str(one.dependent)) for one in facts.agreement]
        blocks.append(Table("Mean Dice between annotators, over cases that both labelled", ("Annotators", "Cases", "Dice", "Begun from the other's"), rows))
        blocks.append(Words("Labels that one annotator began from the other's agree more than two made apart.", "quiet"))
    return Section("agreement", "Agreement of annotators", blocks) if blocks else None


def lineage(facts: ReportFacts) -> Section:
    """Which model and labels made what."""
    blocks = made_from(facts.runs)
    if facts.versions:
        shown = facts.versions[-ROWS:]
        whole = f", the last {ROWS} of {len(facts.versions)}; the JSON holds all" if len(facts.versions) > ROWS else ""
        rows = [
            (
                v.case, str(v.number), v.kind, v.tool, v.author or NOTHING, f"{v.created:%Y-%m-%d}{SPACE}{v.created:%H:%M}",
                "" if v.parent is None else str(v.parent), duration(v.seconds), hashed(v.checksum),
            )
            for v in shown
        ]
        columns = ("Case", "Version", "Kind", "Made by", "Annotator", "When, UTC", "From", "Work", "SHA-256")
        blocks.append(Table(f"Label versions; none is ever changed{whole}", columns, rows, words=(2, 3, 4, 5), folded=len(rows) > 12, code=8))
    if facts.events:
        blocks.append(Pairs({"Audit log": ", ".join(f"{count} {action}" for action, count in sorted(facts.events.items()))}))
    if not blocks:
        blocks = [Words("Not enough data: nothing has been made yet.", "empty")]
    elif not facts.names and facts.versions:
        blocks.append(Words("Annotators go by letters here; the study's own log names them.", "quiet"))
    return Section("lineage", "Lineage", blocks)


def models(facts: ReportFacts) -> Section:
    """Every model and tool with its licence."""
    if not facts.models:
        return Section("models", "Models and licences", (Words("No model or tool has made labels yet.", "empty"),))
    rows = [(one.title, one.id, one.licence, str(one.versions) if one.versions else NOTHING, one.sha256 or NOTHING) for one in facts.models]
    return Section("models", "Models and licences", (
        Table("Models, tools and recipes behind the labels", ("What", "Id", "Licence", "Versions made", "Weights, SHA-256"), rows, words=(1, 2, 4), code=4),
    ))


def footing(facts: ReportFacts) -> list[Section]:
    """How figures are counted, and with what the page was made."""
    packages = {**facts.packages, "Report made": day(facts.made_at)}
    privacy = "names of scans and annotators, as asked for" if facts.names else "no names, file names, folders or patient numbers"
    return [
        Section("conventions", "How figures are counted", tuple(Words(text, "note") for text in CONVENTIONS)),
        Section("made", "Made with", (Pairs({**packages, "This page holds": privacy}),)),
    ]
