"""compare: which of several models, rounds or annotators is better, and for whom it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_medseg.cli.answer import Answer, answering, shown
from napari_medseg.cli.pairs import Classes, measured, pairs_of, short, told_summary, write_table
from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError
from napari_medseg.metrics.measure import surface_dice_name
from napari_medseg.metrics.surface import TOLERANCE_MM
from napari_medseg.review.comparing import Comparison, PairComparison, higher_is_better, size_groups
from napari_medseg.review.comparing import compare as compared
from napari_medseg.review.folders import groups_of, told_apart
from napari_medseg.review.volumes import bland_altman, volume_fit


@answering
def compare(
    models: Annotated[list[Path], typer.Argument(help="Two or more folders of masks, the earlier one first.", show_default=False)],
    truth: Annotated[Path, typer.Option(help="The folder of true masks, with the same file names.", show_default=False)],
    figure: Annotated[str, typer.Option(help="What to compare: dice, recall, hd95_mm, surface_dice_2mm, volume_error_ml, ... of `medseg measure`.")] = "dice",
    value: Annotated[str | None, typer.Option("--class", help="The class; the mean over classes when not given.", show_default=False)] = None,
    groups: Annotated[Path | None, typer.Option(
        help="CSV with a column `case` (the file name without suffix) and one a grouping, such as scanner and site.", show_default=False,
    )] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="Surface Dice at this many mm too.")] = TOLERANCE_MM,
    csv: Annotated[Path | None, typer.Option(help="Write a row a case with the figure of each model.", show_default=False)] = None,
) -> Answer:
    """Compare models case by case: paired Wilcoxon test, effect size, intervals, and groups that got worse.

    Cases are cut by the true volume too, into small, middle and large. With fewer than six pairs that differ nothing is claimed.

    Example: medseg compare round1 round3 --truth truths --groups scanners.csv
    """
    higher_is_better(figure)
    named = _named(models)
    wanted = groups_of(groups) if groups is not None else {}
    found, missing = {}, {}
    for name, folder in named.items():
        pairs, missing[name] = pairs_of(folder, _folder(truth))
        found[name] = {case.id: case.classes for case in shown(measured(pairs, tolerance))}
    _require(found, figure, value, tolerance)
    ml = {case: _true_ml(classes, value) for cases in found.values() for case, classes in cases.items()}
    size = size_groups(ml)
    result = compared(found, figure, value, groups={**wanted, **({"size": size} if size else {})})
    volumes = {name: _volumes(cases) for name, cases in found.items()}
    if csv is not None:
        write_table(csv, ["case", *result.models], ([row.case, *row.scores] for row in result.cases))
    facts = {**result.as_dict(), "volumes": volumes, "not_predicted": missing, **({"csv": [csv]} if csv is not None else {})}
    return Answer(facts, _told(result, missing))


def _named(models: Sequence[Path]) -> dict[str, Path]:
    if len(models) < 2:
        raise InvalidInputError("one folder cannot be compared", where=models[0].name, todo="Give two folders of masks or more")
    return told_apart([_folder(path) for path in models])


def _folder(path: Path) -> Path:
    if not path.exists():
        raise MissingFileError("there is no such folder", where=path, todo="Check the path")
    if not path.is_dir():
        raise UnreadableFileError("is a file", where=path, todo="Give a folder of masks; `medseg measure` compares two files")
    return path


def _require(found: Mapping[str, Mapping[str, Classes]], figure: str, value: str | None, tolerance: float) -> None:
    rows = [(name, row) for cases in found.values() for classes in cases.values() for name, row in classes.items()]
    values = sorted({name for name, _ in rows}, key=int)
    if value is not None and value not in values:
        raise InvalidInputError(f"no mask holds class {value}", where="--class", todo=f"The masks hold {', '.join(values) or 'no class'}")
    if rows and figure not in rows[0][1]:
        raise InvalidInputError(
            f"{figure} was not measured", where="--figure", todo=f"Give --tolerance for it; with this one it is called {surface_dice_name(tolerance)}",
        )


def _true_ml(classes: Classes, value: str | None) -> float | None:
    found = [row["volume_ml_truth"] or 0.0 for name, row in classes.items() if value in (None, name)]
    return sum(found) if found else None


def _volumes(cases: Mapping[str, Classes]) -> dict[str, Any]:
    values = sorted({value for classes in cases.values() for value in classes}, key=int)
    told: dict[str, Any] = {}
    for value in values:
        true, found = ({case: row[value][name] for case, row in cases.items() if value in row} for name in ("volume_ml_truth", "volume_ml_pred"))
        told[value] = {"bland_altman": bland_altman(true, found).as_dict(), "fit": volume_fit(true, found).as_dict()}
    return told


def _told(result: Comparison, missing: Mapping[str, Sequence[str]]) -> str:
    of, better = "mean over classes" if result.value is None else f"class {result.value}", "higher" if result.higher_is_better else "lower"
    lines = [f"{result.figure}, {of}, {better} is better; {len(result.common)} cases that all have"]
    lines += [f"{name}: {told_summary(summary)}" for name, summary in result.summaries.items()]
    lines += [line for pair in result.pairs for line in _pair(pair)]
    lines += [f"not in {name}: {', '.join(cases)}" for name, cases in missing.items() if cases]
    return "\n".join(lines)


def _pair(pair: PairComparison) -> list[str]:
    test = pair.test
    said = f"{test.second} against {test.first}: {pair.verdict}"
    if test.note:
        lines = [f"{said} ({test.note})"] if test.note not in said else [said]
    else:
        lines = [
            f"{said}; difference {short(test.difference)} (95 % {short(test.difference_low)} to {short(test.difference_high)}), "
            f"p {short(test.p_holm)} (Wilcoxon, Holm), effect {short(test.effect)} (95 % {short(test.effect_low)} to {short(test.effect_high)}), "
            f"higher in {test.higher}, lower in {test.lower}, equal in {test.equal}"
        ]
    for table in pair.groups:
        lines += [f"  {table.grouping} {row.group}: {row.verdict}, n {row.test.n}, mean difference {short(row.test.mean_difference)}" for row in table.rows]
        lines += [f"  Look: {warning}" for warning in table.warnings]
    return lines
