"""Rounds of refinement: curves, the table with each verdict, and from what each round was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_medseg.review.report.blocks import Block, Chart, Heading, Pairs, Section, Table, Words
from napari_medseg.review.report.charts import SMALL, Series, lines
from napari_medseg.review.report.facts import LineageFacts, ReportFacts, RoundFacts, RunFacts
from napari_medseg.review.report.saying import NOTHING, SPACE, change, day, duration, hashed, number, several, share

_NOTE = (
    "Verified and held-out cases were never learned from. Dice on refined cases compares what was learned from with its truth: it tells what became of the "
    "labels, not how unseen patients would fare. Drift is the volume against the labels given; a round far from 1 is not adopted."
)
IN_FULL = 3
"""Runs told with curves; of earlier ones a line each."""
_DICE = (("dice_verified", "verified"), ("dice_heldout", "held out"), ("dice_refined", "refined cases"))
LEVELS = {"weak": "weak", "proposed": "proposed", "corrected": "corrected", "verified": "verified", "unknown": "unknown"}


def rounds(facts: ReportFacts) -> Section:
    """Every refinement, the latest last."""
    if not facts.runs:
        return Section("rounds", "Rounds", (Words("Not enough data: no refinement was recorded.", "empty"),))
    blocks: list[Block] = []
    early, late = facts.runs[:-IN_FULL], facts.runs[-IN_FULL:]
    if early:
        rows = [(run.title, day(run.created), run.recipe or NOTHING, str(max(len(run.rounds) - 1, 0)), str(run.best_round or "none")) for run in early]
        blocks.append(Table("Earlier runs", ("Run", "When", "Recipe", "Rounds", "Adopted"), rows, words=(1, 2)))
    for index, run in enumerate(late):
        blocks += _run(run, f"run{len(early) + index + 1}")
    return Section("rounds", "Rounds", blocks)


def _run(run: RunFacts, key: str) -> list[Block]:
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in run.settings.items() if not isinstance(value, bool))
    when, cases = day(run.created) if run.created else "", str(run.cases) if run.cases else ""
    rows = {"Recipe": run.recipe or "not recorded", "Settings": settings, "Cases": cases, "When": when}
    blocks: list[Block] = [Heading(run.title), Pairs({name: value for name, value in rows.items() if value})]
    if not run.finished:
        blocks.append(Words("This run is not finished; its rounds so far follow.", "empty"))
    if len(run.rounds) < 2:
        return [*blocks, Words("Not enough data: no round was finished.", "empty")]
    blocks += _curves(run, key)
    blocks.append(_table(run))
    return [*blocks, Words(_NOTE, "quiet")]


def _curves(run: RunFacts, key: str) -> list[Block]:
    ticks = [(float(one.round), "labels given" if one.round == 0 else f"round {one.round}") for one in run.rounds]
    x = [t for t, _ in ticks]
    found = [Series(name, x, [getattr(one, field) for one in run.rounds]) for field, name in _DICE]
    found = [one for one in found if any(y is not None for y in one.y)]
    adopted = [float(run.best_round)]
    blocks: list[Block] = []
    if found:
        base = next((value for field in ("dice_heldout", "dice_refined") if (value := run.zero_shot.get(field)) is not None), None)
        told = "; ".join(f"{one.name}: {_told(ticks, one, share)}" for one in found)
        svg = lines(
            found, key=f"{key}-dice", alt=f"Mean Dice by round. {told}", ticks=ticks, y="mean Dice", limits=(0.0, 1.05), mark=adopted,
            level=None if base is None else (base, "base model before any round"),
        )
        blocks.append(Chart(svg, "Mean Dice by round; the circled marks are those of the labels that are kept."))
    else:
        blocks.append(Words("Not enough data for a curve of Dice: nothing was verified or held out.", "empty"))
    small = [
        ([Series("loss", x, [one.loss for one in run.rounds])], "loss", "Loss at the end of each round", "loss (the recipe's own)", None),
        ([Series("drift", x, [one.volume_ratio for one in run.rounds])], "drift", "Volume against the labels given", "times the volume", (1.0, "as given")),
        ([Series("time", x, [one.seconds / 60 if one.round else None for one in run.rounds])], "time", "Time each round took", "minutes", None),
    ]
    short = [(place, "given" if place == 0 else f"{place:.0f}") for place in x]
    for series, name, title, unit, level in small:
        if sum(y is not None for y in series[0].y) > 1:
            told = _told(ticks, series[0], number)
            svg = lines(series, key=f"{key}-{name}", alt=f"{title}: {told}", ticks=short, y=unit, level=level, size=SMALL, mark=adopted)
            blocks.append(Chart(svg, f"{title}.", "small"))
    return blocks


def _told(ticks: Sequence[tuple[float, str]], one: Series, say: Callable[[float | None], str]) -> str:
    return ", ".join(f"{words} {say(y)}" for (_, words), y in zip(ticks, one.y, strict=True) if y is not None)


def _table(run: RunFacts) -> Table:
    columns: list[tuple[str, Callable[[RoundFacts], str]]] = [
        ("Round", lambda r: "labels given" if r.round == 0 else str(r.round)),
        ("Adopted", lambda r: "yes" if r.adopted else "no"),
        ("Dice verified", lambda r: share(r.dice_verified)), ("Change", lambda r: change(r.dice_change)), ("Dice held out", lambda r: share(r.dice_heldout)),
        ("Dice refined", lambda r: share(r.dice_refined)), ("Drift", lambda r: NOTHING if r.volume_ratio is None else f"×{SPACE}{r.volume_ratio:.2f}"),
        ("Loss", lambda r: number(r.loss)), ("Updates", lambda r: str(r.updates) if r.round else NOTHING),
        ("Time", lambda r: duration(r.seconds) if r.round else NOTHING), ("Why", _why),
    ]
    kept = [(name, say) for name, say in columns if name in ("Round", "Adopted", "Why") or any(say(one) != NOTHING for one in run.rounds)]
    return Table(
        f"What became of each round of {run.title.lower()}" if run.title.startswith("Run") else "What became of each round", [name for name, _ in kept],
        [[say(one) for _, say in kept] for one in run.rounds], words=(1, len(kept) - 1),
    )


def _why(one: RoundFacts) -> str:
    checked = f"checked on {several(one.verified_slices, 'slice')} of {several(one.verified_patients, 'patient')}"
    checked = checked if one.verified_slices and "slice" not in one.reason else ""
    return "; ".join(part for part in (one.reason, f"watch: {one.pieces}" if one.pieces else "", checked) if part) or NOTHING


def made_from(runs: Sequence[RunFacts]) -> list[Block]:
    """Which labels, base model, recipe and seed made each round."""
    blocks: list[Block] = []
    for run in runs[-IN_FULL:]:
        if run.lineage:
            rows = [_made(one, run) for one in run.lineage]
            blocks.append(Table(f"{run.title}: from what each round was made", (
                "Round", "Learned from", "Cases", "Patients", "Where its labels come from", "Base model", "Base, SHA-256", "Seed",
            ), rows, words=(1, 4, 5, 6)))
    return blocks


def _made(one: LineageFacts, run: RunFacts) -> tuple[str, ...]:
    total = sum(one.voxels.values())
    voxels = ", ".join(f"{LEVELS.get(level, level)} {100 * count / total:.3g} %" for level, count in one.voxels.items() if count) if total else NOTHING
    start = "the labels given" if one.labels_of_round == 0 else f"round {one.labels_of_round}"
    base = (one.base or NOTHING) + (" (a fresh copy)" if one.start == "base" else " (going on)" if one.start == "continue" else "")
    return str(one.round), start, str(one.cases), str(one.patients), voxels, base, hashed(one.base_sha256), NOTHING if one.seed is None else str(one.seed)
