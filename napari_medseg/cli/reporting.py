"""report: what was done and how good it is, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.errors import MedsegError


@answering
def report(
    source: Annotated[Path, typer.Argument(help="A study, or a folder that `medseg refine` or `medseg demo` wrote.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--output", help="The HTML file; one file that needs no other.", show_default=False)],
    json_out: Annotated[Path | None, typer.Option(help="The same facts as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Every figure as a table: a row a case, stage and class.")] = None,
    with_names: Annotated[bool, typer.Option("--with-names", help="Show what scans and annotators are called; else nothing says who a patient is.")] = False,
    title: Annotated[str, typer.Option(help="What the page is called; else the study's own title.")] = "",
    without: Annotated[list[str] | None, typer.Option(help="Leave out data, rounds, figures, pictures, blinded, lineage or models; repeatable.")] = None,
    images: Annotated[Path | None, typer.Option(help="For a refinement's folder: the scans, for pictures.")] = None,
    labels: Annotated[Path | None, typer.Option(help="For a refinement's folder: the labels it was given.")] = None,
    truth: Annotated[Path | None, typer.Option(help="For a refinement's folder: true labels, to measure each round by.")] = None,
) -> Answer:
    """Make a report: data, rounds with curves, figures with intervals, pictures, lineage, licences.

    Example: medseg report tumours.medseg -o report.html

    Example: medseg report refined --images scans --truth expert -o report.html --csv figures.csv
    """
    from napari_medseg.review.report import PARTS, Beside, ReportRequest, make

    left_out = set(without or ())
    if left_out - set(PARTS):
        raise typer.BadParameter(f"is none of {', '.join(PARTS)}", param_hint="--without")
    request = ReportRequest(source, out, json_out, csv, with_names, title, tuple(part for part in PARTS if part not in left_out), Beside(images, labels, truth))
    made = last(make(request)).made
    if made is None:
        raise MedsegError("the report was not finished", where=out, todo="Make it again")
    facts = made.facts
    cohorts = [
        {
            "title": cohort.title, "cases": len(cohort.cases), "measured": sum(bool(case.scores) for case in cohort.cases), "stage": cohort.last_stage,
            "dice": cohort.statistics.dice[cohort.last_stage] if cohort.statistics is not None else None,
        }
        for cohort in facts.cohorts
    ]
    answer = {
        "report": made.files[0], "files": list(made.files), "kind": facts.kind, "cases": facts.data.cases, "runs": len(facts.runs), "cohorts": cohorts,
        "pictures": made.pictures, "bytes": made.bytes, "names": facts.names,
    }
    return Answer(answer, f"Report: {out} ({made.bytes / 1e6:.1f} MB, {made.pictures} pictures)")
