"""segment and refine: a network's proposal for one scan, and rounds of training over a folder of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from napari_medseg import catalogue
from napari_medseg.annotation import Prompts, default_classes, read_prompts
from napari_medseg.cli.answer import Answer, answering, last, shown
from napari_medseg.cli.arguments import Image, Output, drawn_on, output, tell, told_by_class, voxels_by_class
from napari_medseg.errors import CatalogueError, InvalidInputError, MissingFileError
from napari_medseg.io import read, read_labels, write
from napari_medseg.segmenters.protocol import Segmenter, collect, to_labels
from napari_medseg.volume import Geometry

MODEL_OR_ID = "Choose a folder that `medseg refine` wrote, or an id from `medseg catalogue`"


@answering
def segment(
    image: Image,
    with_: Annotated[str, typer.Option("--with", help="A segmenter's id from `medseg catalogue`, or a model that `medseg refine` wrote.", show_default=False)],
    out: Output,
    prompts: Annotated[Path | None, typer.Option(help="JSON file of points, boxes, lassos, scribbles or a mask, in LPS mm.")] = None,
    probabilities: Annotated[Path | None, typer.Option(help="Write the probabilities too, float32, one channel a class.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    answers: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="What the segmenter asks for, see `medseg catalogue`.")] = None,
) -> Answer:
    """Segment a scan with a network.

    Example: medseg segment scan.nii.gz --with unet -o proposal.nii.gz

    Example: medseg segment scan.nii.gz --with nnunet --set folder=nnUNetTrainer__nnUNetPlans__3d_fullres -o proposal.nii.gz

    Example: medseg segment scan.nii.gz --with study/model -o proposal.nii.gz --probabilities chance.nii.gz
    """
    output(out, image)
    if probabilities is not None:
        output(probabilities, image)
        if probabilities.absolute() == out.absolute():
            raise InvalidInputError("mask and probabilities would be one file", where=out, todo="Give --probabilities another name")
    started = time.monotonic()
    segmenter = _segmenter(with_, _answers(answers or []))
    volume = read(image)
    tell(volume)
    asked = _with_maps(None if prompts is None else read_prompts(prompts), volume.geometry)
    _check_prompts(asked, volume.geometry, segmenter, with_)
    from napari_medseg.segmenters.devices import choose

    chosen = choose(device)
    maps = collect(shown(segmenter.predict(volume, asked, device=device)), volume.geometry.shape)  # "auto" may fall back to the CPU when the card is full
    labels = to_labels(maps, segmenter.capabilities.threshold)
    if probabilities is not None:
        write(volume.like(maps[0] if len(maps) == 1 else maps), probabilities)
    write(drawn_on(volume, labels, default_classes(segmenter.capabilities.classes)), out)
    classes = voxels_by_class(labels, volume.geometry)
    seconds = round(time.monotonic() - started, 2)
    return Answer(
        {"classes": classes, "names": segmenter.capabilities.classes, "device": chosen, "segmenter": segmenter.title, "seconds": seconds},
        f"{out}: {told_by_class(classes)}; {segmenter.title} on {chosen}, {seconds:.1f} s",
    )


@answering
def refine(
    images: Annotated[Path, typer.Argument(help="Folder of scans.", show_default=False)],
    labels: Annotated[Path, typer.Argument(help="Folder of weak labels under the same file names; 255 is unknown.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the rounds' labels, the final ones and the model.", show_default=False)],
    rounds: Annotated[int, typer.Option(min=1, help="How many times to train and predict.")] = 3,
    base: Annotated[str, typer.Option(help="What each round starts from: a segmenter's id, or a model that `medseg refine` wrote.")] = "unet",
    recipe: Annotated[str, typer.Option(help="A recipe's id from `medseg catalogue`.")] = "salah2023",
    corrected: Annotated[Path | None, typer.Option(help="Folder of corrected labels: taught from; 255 is unknown.")] = None,
    verified: Annotated[Path | None, typer.Option(help="Folder of verified labels: only checked against, never trained on.")] = None,
    heldout_images: Annotated[Path | None, typer.Option(help="Folder of scans that are only predicted and scored.")] = None,
    heldout_labels: Annotated[Path | None, typer.Option(help="Folder of their true labels.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed on the same machine gives the same labels.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
) -> Answer:
    """Refine weak labels in rounds: train on them, predict the same scans, train again from the base model on the predictions.

    Writes DIR/round1/NAME, DIR/round2/NAME, ..., DIR/final/NAME and DIR/model/. The final labels are those of the round that was adopted, or those
    given when no round was better.

    Example: medseg refine scans weak_labels -o study --rounds 3
    """
    from napari_medseg.refine import Folders, RefineRequest, RefineRun

    if (heldout_images is None) != (heldout_labels is None):
        raise InvalidInputError("one of the two held-out folders is missing", where="--heldout-images, --heldout-labels", todo="Give both or neither")
    for folder in filter(None, (images, labels, corrected, verified, heldout_images, heldout_labels)):
        if not folder.is_dir():
            raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
        if out.exists() and out.samefile(folder):
            raise InvalidInputError("would be written into", where=folder, todo="Give another folder with -o")
    request = RefineRequest(
        cases=Folders(images, labels),
        recipe=catalogue.load().find(recipe, "recipe").build(rounds=rounds),
        base=_base(base), out=out, corrected=corrected, verified=verified,
        heldout=Folders(heldout_images, heldout_labels) if heldout_images and heldout_labels else None,
        seed=seed, device=device,
    )
    result = last(iter(RefineRun(request))).result
    if result is None:
        raise CatalogueError("the recipe ended without a result", where=recipe, todo="Try another recipe")
    lines = []
    for figures in result.rounds:
        dice = [("Dice verified", figures.dice_verified), ("Dice held out", figures.dice_heldout)]
        known = [*dice, ("loss", figures.loss), ("volume ratio", figures.volume_ratio)]
        told = ", ".join(f"{name} {value:.3f}" for name, value in known if value is not None)
        lines.append(f"round {figures.round}: {told}, {figures.seconds:.1f} s" + (f" - {figures.reason}" if figures.reason else ""))
    return Answer(result.as_dict(), "\n".join([*lines, f"adopted: round {result.best_round}; labels in {out / 'final'}, model {result.model or 'none'}"]))


def _segmenter(name: str, answers: Mapping[str, str]) -> Segmenter:
    """The catalogue's segmenter of this id built with these answers, else the model at this path."""
    parts = catalogue.load()
    if not Path(name).exists() or (name in parts.entries and parts.entries[name].kind == "segmenter"):
        if _looks_like_path(name):
            raise MissingFileError("there is no model here", where=Path(name), todo=MODEL_OR_ID)
        entry = parts.find(name, "segmenter")
        _only_asked(answers, [ask.name for ask in entry.asks], entry.title)
        built: Segmenter = entry.build(**answers)
        return built
    _only_asked(answers, [], name)
    refined: Segmenter = parts.find("unet", "segmenter").build(model=name)
    return refined


def _answers(given: list[str]) -> dict[str, str]:
    """NAME=VALUE, several times, as a mapping."""
    answers: dict[str, str] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name.strip():
            raise InvalidInputError(f"'{one}' is not NAME=VALUE", where="--set", todo="Write for example --set folder=my_model")
        if name.strip() in answers:
            raise InvalidInputError(f"'{name.strip()}' is given twice", where="--set", todo="Give it once")
        answers[name.strip()] = value
    return answers


def _only_asked(answers: Mapping[str, str], names: list[str], title: str) -> None:
    unknown = sorted(set(answers) - set(names))
    if unknown:
        raise InvalidInputError(f"does not ask for {', '.join(unknown)}", where=title, todo=f"It asks for: {', '.join(names) or 'nothing'}")


def _base(name: str) -> Path | None:
    """Where the model to start from lies; None for the shipped M0."""
    entries = catalogue.load().entries
    entry = entries.get(name)
    if entry is not None and entry.kind == "segmenter":
        if not entry.capabilities.get("fine_tunable"):
            raise InvalidInputError("cannot be trained further", where=name, todo="Choose a base with fine_tunable in `plugins.yaml`, such as unet")
        model = entry.parameters.get("model")
        return None if model is None else Path(str(model))
    if not Path(name).exists():
        raise MissingFileError("is neither a segmenter's id nor a model", where=name, todo=MODEL_OR_ID)
    return Path(name)


def _looks_like_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.endswith(".safetensors")


def _check_prompts(prompts: Prompts | None, grid: Geometry, segmenter: Segmenter, name: str) -> None:
    """Refuse prompts the segmenter would not look at, that lie outside the scan, or whose masks lie on another grid."""
    given = set()
    if prompts is not None:
        given = {kind for kind in ("points", "boxes", "lassos") if any(getattr(o, kind) for o in prompts.objects)}
        given |= {kind for kind in ("scribbles", "mask") if getattr(prompts, kind) is not None}
        points = np.array([point[:3] for one in prompts.objects for point in one.points], dtype=float).reshape(-1, 3)
        outside = ~grid.contains(grid.voxel(points))
        if outside.any():
            told = ", ".join(f"{v:.1f}" for v in points[int(outside.argmax())])
            raise InvalidInputError(f"the point at ({told}) mm lies outside the scan", where="--prompts", todo="Give LPS millimetres inside the scan")
    unused = given - segmenter.capabilities.prompts
    if unused:
        takes = ", ".join(sorted(segmenter.capabilities.prompts)) or "no prompts"
        what = f"does not take {', '.join(sorted(unused))}"
        raise InvalidInputError(what, where=name, todo=f"It takes {takes}; leave the others out or choose another segmenter")


def _with_maps(prompts: Prompts | None, grid: Geometry) -> Prompts | None:
    """Prompts whose strokes and mask are read, not only named."""
    if prompts is None:
        return None
    scribbles, mask = (read_labels(given, grid) if isinstance(given, Path) else given for given in (prompts.scribbles, prompts.mask))
    return replace(prompts, scribbles=scribbles, mask=mask)
