"""refine: rounds of training over a folder of scans."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_medseg import catalogue
from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.arguments import DeviceOrServer, device_of, named_values
from napari_medseg.cluster.remote.address import find, is_address
from napari_medseg.errors import CatalogueError, InvalidInputError, MedsegError, MissingFileError
from napari_medseg.segmenters.named import MODEL_OR_ID, model_in

if TYPE_CHECKING:
    from napari_medseg.refine import Tick

BASE_HELP = "What each round starts from: a model that the recipe wrote, or a segmenter's id; else nothing (medseg) or the U-Net that ships (salah2023)."
NETWORK_HELP = "A network's id from `medseg catalogue`, in place of the recipe's own; with --recipe network it is trained plainly."
LOSS_HELP = 'What is made small: losses from `medseg catalogue`, such as "ce + 0.5*dice" or "focal(gamma=2) + tversky(alpha=0.3, beta=0.7)".'


@answering
def refine(
    images: Annotated[Path | None, typer.Argument(help="Folder of scans.", show_default=False)] = None,
    labels: Annotated[Path | None, typer.Argument(help="Folder of weak labels under the same file names; 255 is unknown.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for the rounds' labels, the final ones and the model.", show_default=False)] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="How often to train and predict; else as the recipe says (medseg 1, salah2023 3).")] = None,
    base: Annotated[str | None, typer.Option(help=BASE_HELP, show_default=False)] = None,
    recipe: Annotated[str, typer.Option(help="A recipe's id from `medseg catalogue`: medseg, network (one, plainly), salah2023, ...")] = "medseg",
    network: Annotated[str | None, typer.Option(metavar="ID", help=NETWORK_HELP, show_default=False)] = None,
    dims: Annotated[int | None, typer.Option(min=2, max=3, help="Whether that network sees single slices (2) or volumes (3).", show_default="3")] = None,
    loss: Annotated[str | None, typer.Option(metavar="SPEC", help=LOSS_HELP, show_default="cross-entropy and Dice")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe, for example batch=1.")] = None,
    corrected: Annotated[Path | None, typer.Option(help="Folder of corrected labels: taught from; 255 is unknown.")] = None,
    verified: Annotated[Path | None, typer.Option(help="Folder of verified labels: only checked against, never trained on; 255 is not verified.")] = None,
    heldout_images: Annotated[Path | None, typer.Option(help="Folder of scans that are only predicted and scored.")] = None,
    heldout_labels: Annotated[Path | None, typer.Option(help="Folder of their true labels.")] = None,
    start: Annotated[Literal["base", "continue"], typer.Option(help="What a later round starts from: the base, or the model of the round before.")] = "base",
    freeze: Annotated[Literal["none", "encoder", "all but last"], typer.Option(help="What of the base stays as it is.")] = "none",
    replay: Annotated[Path | None, typer.Option(help="Folder with images/ and labels/ of an earlier set, learnt beside, so that it is not forgotten.")] = None,
    patients: Annotated[Path | None, typer.Option(help="JSON or CSV of file names and patients; else each case is a patient of its own.")] = None,
    stop_early: Annotated[bool, typer.Option("--stop-early", help="End where another round would be a waste.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed on the same machine gives the same labels.")] = 0,
    device: DeviceOrServer = "auto",
    processes: Annotated[int, typer.Option(min=1, help="That learn together, each a part of every batch and on its own card where there are several.")] = 1,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run that was cut off in this folder; what it was asked for stands there.")] = None,
) -> Answer:
    """Refine weak labels in rounds: learn from them, propose better ones for the same scans, learn again from those.

    Writes DIR/round1/NAME, DIR/round2/NAME, ..., DIR/final/NAME and DIR/model/. The final labels are those of the round that was adopted, or those
    given when no round was better.

    Example: medseg refine scans weak_labels -o study --verified verified

    Example: medseg refine scans weak_labels -o study --recipe salah2023 --rounds 3

    Example: medseg refine scans weak_labels -o study --recipe network --network unet-lite --dims 2 --loss "ce + dice"

    Example: medseg refine scans weak_labels -o study --device https://gpu.hospital.example:8433

    Example: medseg refine --resume study
    """
    from napari_medseg.refine import Folders, RefineRequest, RefineRun, Replay
    from napari_medseg.refine.patients import read_patients
    from napari_medseg.refine.spread import require_shareable, under_torchrun

    if under_torchrun() and int(os.environ["RANK"]):
        from napari_medseg.refine.follow import main

        main()
    if resume is not None:
        if images is not None or labels is not None or out is not None:
            raise typer.BadParameter("goes on with what was asked for then; give neither IMAGES, LABELS nor -o", param_hint="--resume")
        return _answer(RefineRun.resume(resume), resume)
    if images is None or labels is None or out is None:
        raise typer.BadParameter("IMAGES, LABELS and -o are needed, or --resume")
    if (heldout_images is None) != (heldout_labels is None):
        raise InvalidInputError("one of the two held-out folders is missing", where="--heldout-images, --heldout-labels", todo="Give both or neither")
    again = Folders(replay / "images", replay / "labels") if replay else None
    for folder in filter(None, (images, labels, corrected, verified, heldout_images, heldout_labels, replay, *((again.images, again.labels) if again else ()))):
        if not folder.is_dir():
            raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
        if out.exists() and out.samefile(folder):
            raise InvalidInputError("would be written into", where=folder, todo="Give another folder with -o")
    request = RefineRequest(
        cases=Folders(images, labels),
        recipe=catalogue.load().find(recipe, "recipe").build(**settings_of(settings or [], rounds=rounds, network=network, dims=dims, loss=loss)),
        base=None if base is None else base_of(base), out=out, corrected=corrected, verified=verified,
        heldout=Folders(heldout_images, heldout_labels) if heldout_images and heldout_labels else None,
        seed=seed, device="auto" if is_address(device) else device_of(device),
        patients=read_patients(patients) if patients else None, start=start, freeze=freeze,
        replay=Replay(again) if again else None, every_round=not stop_early, processes=processes,
    )
    require_shareable(request.recipe, processes)
    if is_address(device):
        from napari_medseg.cluster.remote.refining import RemoteRun

        if processes > 1:
            raise InvalidInputError("a server learns in one process", where="--processes", todo="Leave --processes out")
        return _answer(RemoteRun(find(device), request), out)
    return _answer(RefineRun(request), out)


def _answer(run: Iterable[Tick], out: Path) -> Answer:
    """Run to the end and tell what came out."""
    from napari_medseg.refine.kept import unfinished

    try:
        result = last(iter(run)).result
    except (MedsegError, KeyboardInterrupt):
        if any(left.out == out for left in unfinished(out)):
            typer.echo(f"Note: what was learnt so far is kept; go on with: medseg refine --resume {out}", err=True)
        raise
    if result is None:
        raise CatalogueError("the recipe ended without a result", where="refine", todo="Try another recipe")
    lines = []
    for figures in result.rounds:
        dice = [("Dice verified", figures.dice_verified), ("Dice held out", figures.dice_heldout)]
        known = [*dice, ("loss", figures.loss), ("volume ratio", figures.volume_ratio)]
        told = ", ".join(f"{name} {value:.3f}" for name, value in known if value is not None)
        lines.append(f"round {figures.round}: {told}, {figures.seconds:.1f} s" + (f" - {figures.reason}" if figures.reason else ""))
        lines += [f"  {figures.notes}"] if figures.notes else []
    answer = {name: value for name, value in result.as_dict().items() if name != "lineage"}  # long; rounds.json holds it
    return Answer(answer, "\n".join([*lines, f"adopted: round {result.best_round}; labels in {out / 'final'}, model {result.model or 'none'}"]))


def settings_of(given: list[str], **options: Any) -> dict[str, Any]:
    """Settings of a recipe, numbers, lists and names with values as JSON has them; options of the same names beside them, None for not given."""
    found: dict[str, Any] = {}
    for name, text in named_values(given, "batch=1").items():
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    chosen = {name: value for name, value in options.items() if value is not None}
    twice = sorted(set(found) & set(chosen))
    if twice:
        raise InvalidInputError("is given twice", where=f"--{twice[0]}, --set {twice[0]}", todo="Give it once")
    return {**found, **chosen}


def base_of(name: str) -> Path:
    """Where the model to start from lies; the folder of a whole run stands for the model in it."""
    from napari_medseg.segmenters.plan import BASE

    entries = catalogue.load().entries
    entry = entries.get(name)
    if entry is not None and entry.kind == "segmenter":
        if not entry.capabilities.get("fine_tunable"):
            raise InvalidInputError("cannot be trained further", where=name, todo="Choose a base with fine_tunable in `plugins.yaml`, such as unet")
        model = entry.parameters.get("model")
        return BASE if model is None else Path(str(model))
    if not Path(name).exists():
        raise MissingFileError("is neither a segmenter's id nor a model", where=name, todo=MODEL_OR_ID)
    return model_in(Path(name))
