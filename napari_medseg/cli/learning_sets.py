"""refine-sets: several sets of scans, one after the other or all at once, and what is forgotten on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_medseg import catalogue
from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.arguments import Device, device_of
from napari_medseg.cli.learning import BASE_HELP, base_of, settings_of
from napari_medseg.errors import InvalidInputError, MissingFileError


@answering
def refine_sets(
    sets: Annotated[list[Path], typer.Argument(help="Folders with images/ and labels/, in the order in which they are learnt.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the splits and for each set's rounds and model.", show_default=False)],
    order: Annotated[Literal["sequential", "universal"], typer.Option(help="One set after the other, or one training on all.")] = "sequential",
    replay: Annotated[float, typer.Option(min=0, max=0.9, help="Share of what is learnt that comes from the sets before, against forgetting.")] = 0.25,
    held_out: Annotated[float, typer.Option(min=0, max=0.9, help="Share of each set's cases that is never learnt, only scored.")] = 0.25,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds on each set; else as the recipe says.")] = None,
    base: Annotated[str | None, typer.Option(help=BASE_HELP, show_default=False)] = None,
    recipe: Annotated[str, typer.Option(help="A recipe's id from `medseg catalogue`.")] = "medseg",
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe, for example batch=1.")] = None,
    freeze: Annotated[Literal["none", "encoder", "all but last"], typer.Option(help="What of the network stays as it is from the second set on.")] = "none",
    seed: Annotated[int, typer.Option(help="The same seed on the same machine gives the same labels.")] = 0,
    device: Device = "auto",
) -> Answer:
    """Learn several sets and score every model on all of them: what a network forgets when it goes on from CT to MR, say.

    Example: medseg refine-sets ct mr -o both --replay 0.25
    """
    from napari_medseg.refine import Folders
    from napari_medseg.refine.sets import DataSet, SetsRequest, learn_sets

    named: dict[str, Folders] = {}
    for folder in sets:
        name = folder.resolve().name
        for part in (folder, folder / "images", folder / "labels"):
            if not part.is_dir():
                raise MissingFileError("there is no such folder", where=part, todo="Give folders that hold images/ and labels/")
        if out.exists() and any(out.samefile(part) for part in (folder, folder / "images", folder / "labels")):
            raise InvalidInputError("would be written into", where=folder, todo="Give another folder with -o")
        if name in named:
            raise InvalidInputError("two sets have this name", where=name, todo="Rename one of the folders")
        named[name] = Folders(folder / "images", folder / "labels")
    chosen = catalogue.load().find(recipe, "recipe").build(**settings_of(settings or [], rounds=rounds))
    request = SetsRequest(
        tuple(DataSet(name, folders) for name, folders in named.items()), chosen, out, order, held_out, replay, None if base is None else base_of(base), freeze,
        seed, device_of(device),
    )
    final = last(learn_sets(request))
    matrix = final.forgetting
    head = "Dice on held-out cases".ljust(24) + "".join(name.rjust(12) for name in matrix.sets)
    rows = [
        f"after {model}".ljust(24) + "".join(("-" if value is None else f"{value:.3f}").rjust(12) for value in row)
        for model, row in zip(matrix.models, matrix.dice, strict=True)
    ]
    facts = {"sets": list(named), "order": order, "forgetting": matrix.as_dict(), "lost": matrix.lost(), "model": final.model}
    return Answer(facts, "\n".join([head, *rows, f"model: {final.model or 'none'}"]))
