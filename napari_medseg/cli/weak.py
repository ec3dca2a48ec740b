"""Weak labels from a scan: level set and scribbles."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from napari_medseg.annotation import read_seed_points, seed_voxels
from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.arguments import Image, Output, drawn_on, mask, numbers, output, scan, told_by_class, uint8, voxels_by_class
from napari_medseg.errors import InvalidInputError
from napari_medseg.io import read, read_labels, write
from napari_medseg.volume import Geometry, require_same_grid

if TYPE_CHECKING:
    from napari_medseg.weaklabel.settings import LevelSetSettings

Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where it runs; auto takes a graphics card where one serves.")]

SOLVERS = {"GrowCut": "growcut", "random walker": "random-walker", "geodesic": "geodesic"}
"""How an engine calls what spread the strokes, and how `--method` does."""


@answering
def levelset(
    image: Image,
    seeds: Annotated[Path, typer.Option(help='JSON: {"points": [[x, y, z], ...]} in LPS mm.', show_default=False)],
    out: Output,
    limit: Annotated[Path | None, typer.Option(help="Mask painted roughly by hand; the result stays inside it.")] = None,
    init: Annotated[Path | None, typer.Option(help="Mask to start from.")] = None,
    barrier: Annotated[Path | None, typer.Option(help="Mask that is never entered.")] = None,
    probability: Annotated[Path | None, typer.Option(help="Map of 0-1, for example a network's, that drives the front.")] = None,
    preset: Annotated[Literal["salah2023"] | None, typer.Option(help="Start from these settings: the paper's pipeline.")] = None,
    method: Annotated[Literal["auto", "edge", "region"] | None, typer.Option(help="What moves the front; auto mixes as the data ask for.")] = None,
    start: Annotated[Literal["auto", "seeds", "limit"] | None, typer.Option(help="Grow from the seeds or shrink from the limit.")] = None,
    size: Annotated[float | None, typer.Option(help="Above 0 a bigger result, below 0 a smaller one; 1 is much.")] = None,
    edge: Annotated[float | None, typer.Option(help="0 grey values only ... 1 edges only; else from the data.", min=0, max=1)] = None,
    window: Annotated[str | None, typer.Option(help="Only values from LO to HI belong to it, for example --window -50,120.", metavar="LO,HI")] = None,
    local_mm: Annotated[float | None, typer.Option(help="How far local grey values count; 0 looks at the whole scan at once.", min=0)] = None,
    smooth_mm: Annotated[float | None, typer.Option(help="Detail smaller than this is noise.", min=0)] = None,
    curvature_mm: Annotated[float | None, typer.Option(help="Surface tension: more makes it rounder and closes narrow leaks.", min=0)] = None,
    hand_trust: Annotated[float | None, typer.Option(help="How much the limit's shape counts; 0 ignores it.", min=0)] = None,
    reach_mm: Annotated[float | None, typer.Option(help="Without a limit, nothing farther from the seeds.", min=0)] = None,
    close_mm: Annotated[float | None, typer.Option(help="Close gaps up to twice this at the end.", min=0)] = None,
    iterations: Annotated[int | None, typer.Option(help="At most so many.", min=1)] = None,
    device: Device = "auto",
) -> Answer:
    """Grow a weak label from seed points with a level set.

    Example: medseg weak levelset scan.nii.gz --seeds seeds.json --limit hand.nii.gz -o weak.nii.gz
    """
    from napari_medseg.weaklabel.settings import LevelSetSettings

    values = None if window is None else numbers(window, "--window", float)
    if values is not None and len(values) != 2:
        raise typer.BadParameter(f"'{window}' is no range such as 40,180", param_hint="--window")
    base = LevelSetSettings() if preset is None else LevelSetSettings.salah2023()
    given: dict[str, Any] = {
        "method": method, "start": start, "size": size, "edge": edge, "window": values, "local_mm": local_mm, "smooth_mm": smooth_mm,
        "curvature_mm": curvature_mm, "hand_trust": hand_trust, "reach_mm": reach_mm, "close_mm": close_mm, "iterations": iterations, "device": device,
    }
    settings = replace(base, **{name: value for name, value in given.items() if value is not None})
    return _grown(image, seeds, out, settings, {"limit": limit, "init": init, "barrier": barrier}, probability)


def _grown(image: Path, seeds: Path, out: Path, settings: LevelSetSettings, masks: dict[str, Path | None], probability: Path | None) -> Answer:
    from napari_medseg.weaklabel.levelset import evolve

    output(out, image, *masks.values(), probability)
    started = time.monotonic()
    points = read_seed_points(seeds)
    volume = scan(image)
    grid = volume.geometry
    voxels = seed_voxels(points, grid)
    chance = None if probability is None else _chances(probability, grid)
    read_masks = {name: mask(path, grid) for name, path in masks.items()}
    allowed = {name: None if labels is None else labels > 0 for name, labels in read_masks.items()}
    final = last(evolve(volume.channel(), voxels, grid.spacing, settings, probability=chance, **allowed))
    labels = final.mask.astype(np.uint8)
    write(drawn_on(volume, labels), out)
    count = int(np.count_nonzero(labels))
    leak = None if final.neck is None else grid.world(np.array([final.neck]))[0].round(2).tolist()
    facts = {
        "voxels": count, "volume_ml": count * grid.voxel_ml, "iterations": final.iteration, "stopped_because": final.stopped_because,
        "leak_at_lps": leak, "method": final.method, "seconds": round(time.monotonic() - started, 2),
    }
    told = f"{out}: {count:,} voxels, {count * grid.voxel_ml:.4g} ml, after {final.iteration} iterations ({final.stopped_because}), {facts['seconds']:.1f} s"
    return Answer(facts, told if leak is None else f"{told}; it seems to leak at {', '.join(f'{v:g}' for v in leak)} mm (LPS): put a barrier or a limit there")


def _chances(path: Path, grid: Geometry) -> np.ndarray[Any, np.dtype[Any]]:
    chances = read(path)
    require_same_grid(grid, chances.geometry, path)
    if chances.channels > 1 or not (chances.array.min() >= 0 and chances.array.max() <= 1):
        raise InvalidInputError("is no map of values from 0 to 1", where=path, todo="Give one that `medseg segment --probabilities` wrote")
    return chances.channel()


@answering
def scribble(
    image: Image,
    scribbles: Annotated[Path, typer.Argument(help="Strokes on the scan's grid: 0 unknown, 255 background, 1-254 classes.", show_default=False)],
    out: Output,
    method: Annotated[Literal["auto", "geodesic", "growcut", "random-walker"], typer.Option(help="How strokes grow.")] = "auto",
    classifier: Annotated[
        bool | None, typer.Option("--classifier/--no-classifier", help="Whether values like those under the strokes attract; else as the strokes allow.")
    ] = None,
    reach_mm: Annotated[float | None, typer.Option(help="Strokes colour nothing farther away than this.", min=0)] = None,
    device: Device = "auto",
) -> Answer:
    """Grow scribbles into a dense label map.

    Example: medseg weak scribble scan.nii.gz strokes.nii.gz -o weak.nii.gz
    """
    from napari_medseg.weaklabel.scribble import grow, whole
    from napari_medseg.weaklabel.scribble_settings import Method, ScribbleSettings

    output(out, image, scribbles)
    solver: Method = "walker" if method == "random-walker" else method
    settings = ScribbleSettings(solver, classifier, device=device)
    settings = settings if reach_mm is None else replace(settings, reach_mm=reach_mm)
    started = time.monotonic()
    volume = scan(image)
    strokes = read_labels(scribbles, volume.geometry)
    final = last(grow(volume.channel(), uint8(strokes, scribbles), volume.geometry.spacing, settings))
    labels = whole(final, volume.geometry.shape)
    write(drawn_on(volume, labels, strokes.classes), out)
    classes = voxels_by_class(labels, volume.geometry)
    seconds = round(time.monotonic() - started, 2)
    ran = next((name for words, name in SOLVERS.items() if words in final.method), final.method)
    facts = {"classes": classes, "method": ran, "classifier": "with a classifier" in final.method, "seconds": seconds}
    return Answer(facts, f"{out}: {told_by_class(classes)}; {final.method}, {seconds:.1f} s")
