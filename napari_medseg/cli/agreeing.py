"""How annotators agree whose masks lie in folders beside each other; a part of `review`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import typer

from napari_medseg.annotation import LabelMap, named
from napari_medseg.cli.answer import Answer, last
from napari_medseg.errors import InvalidInputError, MissingFileError
from napari_medseg.io import read_labels, require_writable, write
from napari_medseg.io.folders import files_in
from napari_medseg.io.formats import is_omezarr
from napari_medseg.metrics.summary import mean
from napari_medseg.review.agreement import Agreement, agreeing
from napari_medseg.review.consensus import consensus
from napari_medseg.volume import require_same_grid

FIGURES = ("dice", "surface_dice", "assd_mm", "hd95_mm")
Method = Literal["majority", "staple"]


def agreement_of(folder: Path, otherwise: str, method: Method | None = None, out: Path | None = None) -> Answer:
    """Every annotator against every other, case by case, and on average over the cases.

    Parameters
    ----------
    folder : Path
        Holds a folder of masks for each annotator; the same file name is the same case.
    otherwise : str
        What to do when it holds none.
    method, out : optional
        Also write the annotators' consensus of each case into a folder.

    Raises
    ------
    MissingFileError
        When there are no two annotators, or no case that two of them drew.
    GridMismatchError
        When two masks of a case lie on different grids.
    """
    masks = {home.name: found for home in sorted(folder.iterdir()) if home.is_dir() and not is_omezarr(home) and (found := files_in(home))}
    if len(masks) < 2:
        raise MissingFileError("holds neither a plan of a blinded review nor the masks of two annotators", where=folder, todo=otherwise)
    names = sorted({name for found in masks.values() for name in found})
    shared = [name for name in names if sum(name in found for found in masks.values()) > 1]
    if not shared:
        todo = f"Give masks of one scan the same name: {'/p1.nii.gz, '.join(masks)}/p1.nii.gz"
        raise MissingFileError("no mask has the same name in two annotators' folders", where=folder, todo=todo)
    by = {name: [who for who, found in masks.items() if name in found] for name in names}
    notes = [f"{name} was drawn by {', '.join(who)} only" for name, who in by.items() if len(who) < len(masks)]
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    cases, lines = [], []
    for name in shared:
        maps = _maps({who: found[name] for who, found in masks.items() if name in found})
        grid = next(iter(maps.values())).geometry
        result = last(agreeing({who: labels.array for who, labels in maps.items()}, grid.spacing)).result
        if result is None:
            raise InvalidInputError("the comparison ended without a result", where=name, todo="Try again")
        cases.append({"id": name, **result.as_dict()})
        lines += [f"{name}:", *_told(result)]
        if method is not None and out is not None:
            _write(out, name, maps, method)
    means = {figure: mean(mean(_means(case, figure)) for case in cases) for figure in FIGURES}
    told = ", ".join(f"{figure} {'-' if value is None else format(value, '.4g')}" for figure, value in means.items())
    lines.append(f"mean over {len(cases)} case{'s' if len(cases) != 1 else ''}: {told}")
    written = {"consensus": str(out), "method": method} if out is not None else {}
    return Answer({"annotators": list(masks), "cases": cases, "mean": means, "notes": notes, **written}, "\n".join(lines))


def _means(case: Mapping[str, Any], figure: str) -> list[float | None]:
    return [found[f"mean_{figure}"] for found in case["classes"].values()]


def _told(result: Agreement) -> list[str]:
    lines = []
    for one in result.classes:
        lines.append(f"  class {one.value}, Dice:")
        width = max(len(who) for who in result.annotators)
        for who, row, ml in zip(result.annotators, one.dice, one.volume_ml, strict=True):
            lines.append(f"    {who:<{width}}  {'  '.join('    -' if value is None else f'{value:.3f}' for value in row)}  {ml:.4g} ml")
        figures = (
            ("mean Dice", one.mean_dice, ""), ("surface Dice", one.mean_surface_dice, ""), ("ASSD", one.mean_assd_mm, " mm"), ("HD95", one.mean_hd95_mm, " mm"),
        )
        lines.append("    " + ", ".join(f"{name} {'-' if value is None else f'{value:.3f}{unit}'}" for name, value, unit in figures))
    return [*lines, *(f"  Note: {note}" for note in result.notes)]


def _maps(paths: Mapping[str, Path]) -> dict[str, LabelMap]:
    maps = {who: read_labels(path) for who, path in paths.items()}
    first = next(iter(maps.values()))
    for who, labels in maps.items():
        require_same_grid(first.geometry, labels.geometry, f"{who}/{paths[who].name}")
    return maps


def _write(out: Path, name: str, maps: Mapping[str, LabelMap], method: Method) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.nii.gz"
    require_writable(path)
    made = consensus({who: labels.array for who, labels in maps.items()}, method).labels
    first = next(iter(maps.values()))
    write(LabelMap(made, first.geometry, classes=named(made, first.classes)), path)
