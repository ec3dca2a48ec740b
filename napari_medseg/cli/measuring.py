"""measure: how two label maps, or two folders of them, differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_medseg.cli.answer import Answer, answering, shown
from napari_medseg.cli.pairs import Measured, measured, pairs_of, told, told_summary, write_table
from napari_medseg.errors import MissingFileError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.formats import is_omezarr
from napari_medseg.metrics.confusion import added
from napari_medseg.metrics.confusion import told as errors_of
from napari_medseg.metrics.summary import Summary, over_cases, over_classes, summarise
from napari_medseg.metrics.surface import TOLERANCE_MM

Summaries = Mapping[str, Mapping[str, Summary]]
SHOWN_FIRST = ("dice", "hd95_mm", "assd_mm", "volume_error_ml")


@answering
def measure(
    pred: Annotated[Path, typer.Argument(help="The mask to judge, or a folder of them.", show_default=False)],
    truth: Annotated[Path, typer.Argument(help="The true mask, or a folder with the same file names.", show_default=False)],
    tolerance: Annotated[float, typer.Option(min=0, help="Surface Dice at this many mm too.")] = TOLERANCE_MM,
    csv: Annotated[Path | None, typer.Option(help="Write a row a case and class; for folders NAME-summary.csv too.", show_default=False)] = None,
) -> Answer:
    """Compare masks with the truth: overlap, surface distances, volumes, pieces and which class was taken for which.

    Distances are null where either mask is empty, precision where nothing was predicted, recall where nothing is true. For folders, each class's
    figures are means over the cases where they are defined, and `summary` says how sure they are.

    Example: medseg measure proposals truths --csv figures.csv
    """
    for path in (pred, truth):
        if not path.exists():
            raise MissingFileError("there is no such file or folder", where=path, todo="Check the path")
    folders = [path.is_dir() and not is_omezarr(path) for path in (pred, truth)]
    if folders[0] != folders[1]:
        raise UnreadableFileError("one is a folder and the other a file", where=f"{pred.name}, {truth.name}", todo="Give two masks or two folders of masks")
    tables = tables_at(csv, folders[0])
    if folders[0]:
        pairs, missing = pairs_of(pred, truth)
        facts, text, summary = _many(list(shown(measured(pairs, tolerance))), missing)
    else:
        (one,) = measured({"": (pred, truth)}, tolerance)
        facts, text, summary = {"classes": one.classes, "cases": [_case(one, pred.name)]}, _told(one.classes), {}
    rows = facts["cases"]
    if not folders[0]:
        facts = {"classes": facts["classes"], "confusion": rows[0]["confusion"]}
    if tables:
        write_tables(tables, rows, summary)
        facts["csv"] = tables
    return Answer({**facts, "tolerance_mm": tolerance}, text)


def summed(cases: Sequence[Measured]) -> tuple[dict[str, Any], str, Summaries]:
    """The figures of many cases: for JSON, the means for a person, and the summaries."""
    summary = over_cases([case.classes for case in cases])
    means = {value: {name: figure.mean for name, figure in row.items()} for value, row in summary.items()}
    overall = summarise(over_classes(case.classes).get("dice") for case in cases)
    facts = {
        "classes": means, "summary": {value: {name: figure.as_dict() for name, figure in row.items()} for value, row in summary.items()},
        "dice_over_classes": overall.as_dict(), "confusion": errors_of(added([case.confusion for case in cases])).as_dict(),
        "cases": [_case(case) for case in cases],
    }
    lines = [f"{len(cases)} {'case' if len(cases) == 1 else 'cases'}, means:"]
    lines += [f"class {value}: {name} {told_summary(row[name])}" for value, row in summary.items() for name in SHOWN_FIRST]
    if len(summary) > 1:
        lines.append(f"all classes: dice {told_summary(overall)}")
    return facts, "\n".join(lines), summary


def _many(cases: Sequence[Measured], missing: Sequence[str]) -> tuple[dict[str, Any], str, Summaries]:
    facts, means, summary = summed(cases)
    lines = [*(f"{case.id}:\n{_told(case.classes)}" for case in cases), means]
    if missing:
        lines.append(f"not predicted, and in no mean: {', '.join(missing)}")
    return {**facts, "not_predicted": missing}, "\n".join(lines), summary


def _case(case: Measured, name: str = "") -> dict[str, Any]:
    return {"id": case.id or name, "classes": case.classes, "confusion": errors_of(case.confusion).as_dict()}


def _told(classes: Mapping[str, Mapping[str, float | None]]) -> str:
    return "\n".join(f"class {value}: {told(row)}" for value, row in classes.items()) or "both masks are empty"


def tables_at(csv: Path | None, folders: bool) -> list[Path]:
    """The tables that are to be written, for folders a second one of means.

    Raises
    ------
    UnwritableFileError
        When there is no such folder.
    """
    if csv is None:
        return []
    if not csv.parent.is_dir():
        raise UnwritableFileError(f"the folder {csv.parent} does not exist", where=csv, todo="Create it, or choose another place")
    return [csv, csv.with_name(f"{csv.stem}-summary{csv.suffix}")] if folders else [csv]


def write_tables(tables: Sequence[Path], cases: Sequence[Mapping[str, Any]], summary: Summaries) -> None:
    """Write the figures of cases, and into a second table their means."""
    names = list(dict.fromkeys(name for case in cases for row in case["classes"].values() for name in row))
    write_table(tables[0], ["case", "class", *names], (
        [case["id"], value, *(row[name] for name in names)] for case in cases for value, row in case["classes"].items()
    ))
    for path in tables[1:]:
        write_table(path, ["class", "figure", *(field.name for field in fields(Summary))], (
            [value, name, *astuple(figure)] for value, row in summary.items() for name, figure in row.items()
        ))
