"""Weak labels: level set, scribbles, interpolation, clean-up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from napari_medseg.annotation import read_seed_points, seed_voxels
from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.arguments import Image, Output, drawn_on, mask, output, scan, told_by_class, uint8, voxels_by_class
from napari_medseg.errors import InvalidInputError
from napari_medseg.io import read, read_labels, write
from napari_medseg.volume import require_same_grid

Mask = Annotated[Path, typer.Argument(help="A label map.", show_default=False)]


@answering
def levelset(
    image: Image,
    seeds: Annotated[Path, typer.Option(help='JSON: {"points": [[x, y, z], ...]} in LPS mm.', show_default=False)],
    out: Output,
    limit: Annotated[Path | None, typer.Option(help="Mask painted roughly by hand; the result stays inside it.")] = None,
    init: Annotated[Path | None, typer.Option(help="Mask to start from.")] = None,
    barrier: Annotated[Path | None, typer.Option(help="Mask that is never entered.")] = None,
    probability: Annotated[Path | None, typer.Option(help="Map of 0-1, for example a network's, that drives the front.")] = None,
    method: Annotated[Literal["auto", "edge", "region"], typer.Option(help="What moves the front.")] = "auto",
) -> Answer:
    """Grow a weak label from seed points with a level set.

    Example: medseg weak levelset scan.nii.gz --seeds seeds.json --limit hand.nii.gz -o weak.nii.gz
    """
    from napari_medseg.weaklabel.levelset import LevelSetSettings, evolve

    output(out, image, limit, init, barrier, probability)
    started = time.monotonic()
    points = read_seed_points(seeds)
    volume = scan(image)
    grid = volume.geometry
    voxels = seed_voxels(points, grid)
    chance = None
    if probability is not None:
        chance_map = read(probability)
        require_same_grid(grid, chance_map.geometry, probability)
        if chance_map.channels > 1 or chance_map.array.min() < 0 or chance_map.array.max() > 1:
            raise InvalidInputError("is no map of values from 0 to 1", where=probability, todo="Give one that `medseg segment --probabilities` wrote")
        chance = chance_map.channel()
    masks = {name: mask(path, grid) for name, path in (("limit", limit), ("init", init), ("barrier", barrier))}
    allowed = {name: None if labels is None else labels > 0 for name, labels in masks.items()}
    final = last(evolve(volume.channel(), voxels, grid.spacing, LevelSetSettings(method=method), probability=chance, **allowed))
    labels = final.mask.astype(np.uint8)
    write(drawn_on(volume, labels), out)
    count = int(np.count_nonzero(labels))
    seconds = round(time.monotonic() - started, 2)
    return Answer(
        {"voxels": count, "volume_ml": count * grid.voxel_ml, "iterations": final.iteration, "stopped_because": final.stopped_because, "seconds": seconds},
        f"{out}: {count:,} voxels, {count * grid.voxel_ml:.4g} ml, after {final.iteration} iterations ({final.stopped_because}), {seconds:.1f} s",
    )


@answering
def scribble(
    image: Image,
    scribbles: Annotated[Path, typer.Argument(help="Strokes on the scan's grid: 0 unknown, 255 background, 1-254 classes.", show_default=False)],
    out: Output,
    method: Annotated[Literal["random-walker"], typer.Option(help="How strokes grow.")] = "random-walker",
) -> Answer:
    """Grow scribbles into a dense label map.

    Example: medseg weak scribble scan.nii.gz strokes.nii.gz -o weak.nii.gz
    """
    from napari_medseg.weaklabel.scribble import ScribbleSettings, grow

    output(out, image, scribbles)
    started = time.monotonic()
    volume = scan(image)
    strokes = read_labels(scribbles, volume.geometry)
    final = last(grow(volume.channel(), uint8(strokes, scribbles), volume.geometry.spacing, ScribbleSettings()))
    labels = np.zeros(volume.geometry.shape, dtype=np.uint8)
    labels[final.box] = final.labels
    write(drawn_on(volume, labels, strokes.classes), out)
    classes = voxels_by_class(labels, volume.geometry)
    seconds = round(time.monotonic() - started, 2)
    return Answer({"classes": classes, "method": method, "seconds": seconds}, f"{out}: {told_by_class(classes)}; {method}, {seconds:.1f} s")


@answering
def interpolate(
    labels: Mask,
    out: Output,
    image: Annotated[Path | None, typer.Option(help="The scan the labels belong to; its grid is checked.")] = None,
    slices: Annotated[str | None, typer.Option(help="Annotated slices, counted from 0 in the file, for example 3,9,14; else those that hold labels.")] = None,
) -> Answer:
    """Fill the slices between annotated ones.

    Example: medseg weak interpolate slices.nii.gz -o full.nii.gz --slices 3,9,14
    """
    from napari_medseg.weaklabel.interpolate import interpolate as fill

    output(out, labels, image)
    chosen = None if slices is None else _numbers(slices)
    given = read_labels(labels, None if image is None else scan(image).geometry)
    filled = fill(uint8(given, labels), chosen, plane_spacing=given.geometry.spacing[1:])
    write(given.like(filled), out)
    classes = voxels_by_class(filled, given.geometry)
    return Answer({"classes": classes}, f"{out}: {told_by_class(classes)}")


@answering
def cleanup(
    labels: Mask,
    out: Output,
    min_ml: Annotated[float, typer.Option(help="Drop pieces smaller than this many millilitres.", min=0)] = 0.0,
    close_mm: Annotated[float, typer.Option(help="Close gaps up to twice this many millimetres.", min=0)] = 0.0,
    fill: Annotated[bool, typer.Option("--fill", help="Fill holes.")] = False,
    largest: Annotated[bool, typer.Option("--largest", help="Keep the largest piece of each class.")] = False,
) -> Answer:
    """Clean a label map up, in millimetres and millilitres.

    Example: medseg weak cleanup weak.nii.gz -o clean.nii.gz --min-ml 0.5 --close-mm 2 --fill
    """
    from napari_medseg.weaklabel.cleanup import CleanupSettings, clean

    output(out, labels)
    given = read_labels(labels)
    settings = CleanupSettings(min_ml=min_ml, close_mm=close_mm, fill=fill, largest=largest)
    cleaned = clean(uint8(given, labels), given.geometry.spacing, settings)
    write(given.like(cleaned.labels), out)
    classes = voxels_by_class(cleaned.labels, given.geometry)
    removed = cleaned.removed_components
    return Answer({"classes": classes, "removed_components": removed}, f"{out}: {told_by_class(classes)}; {removed} pieces removed")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no list of slice numbers such as 3,9,14", param_hint="--slices") from error
