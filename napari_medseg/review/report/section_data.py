"""The first part of the page: what was found at a glance, and what the scans are."""

from __future__ import annotations

from napari_medseg.review.report.blocks import Block, Pairs, Section, Table, Words
from napari_medseg.review.report.facts import DataFacts, ReportFacts
from napari_medseg.review.report.saying import NOTHING, counts, duration, mean_interval, several, spread

STATUS = {"new": "without labels", "weak": "weak or imported", "refined": "proposed by a network", "corrected": "corrected", "verified": "verified"}


def glance(facts: ReportFacts) -> Section:
    """What a person wants to know first."""
    rows = {"Scans": f"{facts.data.cases}" + (f" of {several(facts.data.patients, 'patient')}" if facts.data.patients else "")}
    for run in facts.runs[-1:]:
        tried = several(max(len(run.rounds) - 1, 0), "round")
        rows[run.title] = f"{tried}; " + (f"round {run.best_round} was adopted" if run.best_round else "none was adopted: the labels given stay")
    for cohort in facts.cohorts:
        if cohort.statistics is not None:
            titles = {stage.key: stage.title for stage in cohort.stages}
            of = f"{cohort.title}: mean Dice" if len(facts.cohorts) > 1 else "Mean Dice"
            for stage in dict.fromkeys((cohort.measured_stages[0].key, cohort.last_stage)):
                summary = cohort.statistics.dice[stage]
                rows[f"{of}, {titles[stage]}"] = f"{mean_interval(summary)}, {several(summary.n, 'case')} against {cohort.truth}"
    if not any(cohort.statistics for cohort in facts.cohorts):
        rows["Figures"] = "not enough data: nothing is verified"
    for choice in facts.blinded:
        share = choice.together.without_ties
        rows["Blinded choice"] = f"{choice.first} preferred in {percent(share.share)} of {share.of} choices without ties"
    if facts.seconds is not None:
        rows["Time"] = duration(facts.seconds)
    return Section("glance", "At a glance", (Pairs(rows),))


def data(facts: ReportFacts) -> Section:
    """What the scans and labels are."""
    found = facts.data
    if not found.cases:
        return Section("data", "Data", (Words("Not enough data: there is no scan.", "empty"),))
    rows = {
        "Scans": str(found.cases),
        "Patients": NOTHING if found.patients is None else f"{found.patients} (a scan that names no patient counts as one)",
        "Kind": counts(found.modalities),
        "Labels": counts({STATUS.get(name, name): count for name, count in found.statuses.items()}) if found.statuses else NOTHING,
        "Verified": _verified(found),
        "Patients kept for checking": _sides(found),
        "Active work a case": spread_time(found),
    }
    blocks: list[Block] = [Pairs({name: value for name, value in rows.items() if value != NOTHING})]
    if found.spacing_mm_zyx:
        names = ("between slices", "between rows", "between columns")
        voxels = [(name, spread(mm, "mm"), spread(n)) for name, mm, n in zip(names, found.spacing_mm_zyx, found.shape_zyx, strict=True)]
        blocks.append(Table("Voxels: median (least to largest)", ("Axis, as displayed", "Spacing", "Count"), voxels))
    if found.volumes_ml:
        named = {one.value: one.name for one in facts.classes}
        amounts = [(named.get(value, f"class {value}"), str(value), str(ml.count), spread(ml, "ml")) for value, ml in found.volumes_ml.items()]
        blocks.append(Table("Volume of the latest labels: median (least to largest)", ("Class", "Value", "Cases", "Volume"), amounts))
    return Section("data", "Data", blocks)


def percent(value: float | None) -> str:
    """A share in per cent."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def spread_time(found: DataFacts) -> str:
    """Median and range of the work a case took."""
    work = found.work_s
    if work is None:
        return NOTHING
    over = f", {several(work.count, 'case')} with any"
    return duration(work.middle) + (f" ({duration(work.low)} to {duration(work.high)})" if work.low != work.high else "") + over


def _verified(found: DataFacts) -> str:
    parts = [several(found.verified_cases, "case as a whole", "cases as a whole")] if found.verified_cases else []
    parts += [several(found.verified_slices, "slice of others", "slices of others")] if found.verified_slices else []
    return " and ".join(parts) or ("nothing yet" if found.statuses else NOTHING)


def _sides(found: DataFacts) -> str:
    if not found.sides:
        return NOTHING
    return f"{several(found.sides.get('check', 0), 'case')} only check, {found.sides.get('teach', 0)} teach; dealt by patient"
