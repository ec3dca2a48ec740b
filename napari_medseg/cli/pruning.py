"""prune: a trained model that takes less work."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.errors import InvalidInputError, MissingFileError
from napari_medseg.segmenters.named import model_in

if TYPE_CHECKING:
    from napari_medseg.refine.pruning.curve import Point


@answering
def prune(
    model: Annotated[Path, typer.Argument(help="A model, or the folder that `medseg refine` wrote.", show_default=False)],
    images: Annotated[Path, typer.Argument(help="Folder of scans of two patients or more.", show_default=False)],
    labels: Annotated[Path, typer.Argument(help="Folder of their labels under the same file names; 255 is unknown.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the smaller model.", show_default=False)],
    flops: Annotated[float, typer.Option(help="Share of the work (floating-point operations) that may be left, such as 0.5.")] = 0.5,
    curve: Annotated[bool, typer.Option("--curve", help="Measure 90, 75, 50, 35 and 25 % of the work too.")] = False,
    patients: Annotated[Path | None, typer.Option(help="JSON or CSV of file names and patients; else each case is a patient of its own.")] = None,
    seed: Annotated[int, typer.Option(help="Draws which half of the patients says what can go, and which half what that costs.")] = 0,
) -> Answer:
    """Make a trained model faster: leave out the filters that matter least, and say what that costs in Dice and brings in time.

    Nothing is trained. Half of the patients say which filters matter, Dice is measured on the other half, and time in turns with the whole model on this
    machine's processor. What is written is a model like any other: open it, export it, or refine from it.

    Example: medseg prune study scans verified -o faster --flops 0.5

    Example: medseg prune study scans verified -o faster --curve --json
    """
    from napari_medseg.refine.patients import read_patients
    from napari_medseg.refine.pruning.curve import CURVE, PruneRequest
    from napari_medseg.refine.request import Folders
    from napari_medseg.segmenters.plan import model_file

    for folder in (images, labels):
        if not folder.is_dir():
            raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
    source = model_in(model)
    if out.exists() and any(out.samefile(part) for part in (source, source.parent if source.is_file() else source, images, labels)):
        raise InvalidInputError("would be written over what it is made from", where=out, todo="Give another folder with -o")
    asked = PruneRequest(
        model_file(source), Folders(images, labels), flops, tuple(share for share in CURVE if share != flops) if curve else (), out,
        read_patients(patients) if patients else {}, seed=seed,
    )
    from napari_medseg.refine.pruning.pruning import prune as pruned

    result = last(pruned(asked)).result
    if result is None:
        raise InvalidInputError("nothing came of it", where=model, todo="Try another model")
    lines = [_told(point) for point in result.points]
    told = f"{len(result.judged_by)} case{'s' if len(result.judged_by) != 1 else ''}"
    facts = {
        "model": str(result.file), "chosen": _facts(result.chosen), "curve": [_facts(point) for point in result.points], "judged_by": list(result.judged_by),
        "window": list(result.window),
    }
    return Answer(facts, "\n".join([*lines, f"Dice on {told} that did not say what goes; wrote {result.file}"]))


def _facts(point: Point) -> dict[str, Any]:
    return {name: value for name, value in asdict(point).items() if name != "file"}


def _told(point: Point) -> str:
    dice = "-" if point.dice is None else f"{point.dice:.3f}"
    speed = f", {point.faster:.2f} times as fast" if point.asked < 1 else ""
    return f"{point.share:4.0%} of the work: Dice {dice}, {point.ms:.0f} ms a window{speed}, {point.parameters:,} parameters"
