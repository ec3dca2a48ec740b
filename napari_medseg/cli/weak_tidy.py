"""Weak labels from labels: interpolation between annotated slices, and clean-up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from napari_medseg.annotation import LabelMap, read_seed_points, seed_voxels
from napari_medseg.cli.answer import Answer, answering, last
from napari_medseg.cli.arguments import Output, mask, numbers, output, scan, told_by_class, uint8, voxels_by_class
from napari_medseg.io import read_labels, write

if TYPE_CHECKING:
    from napari_medseg.weaklabel.cleanup_steps import Step, Voxel

Mask = Annotated[Path, typer.Argument(help="A label map.", show_default=False)]


@answering
def interpolate(
    labels: Mask,
    out: Output,
    image: Annotated[Path | None, typer.Option(help="The scan the labels belong to; the outline then follows it.")] = None,
    slices: Annotated[str | None, typer.Option(help="Annotated slices, counted from 0 in the file, for example 3,9,14; else those that hold labels.")] = None,
    axis: Annotated[Literal["z", "y", "x"], typer.Option(help="The file's axis that slices are counted along.")] = "z",
) -> Answer:
    """Fill the slices between annotated ones.

    Example: medseg weak interpolate slices.nii.gz -o full.nii.gz --image scan.nii.gz --slices 3,9,14
    """
    from napari_medseg.weaklabel.interpolate import interpolating

    chosen = None if slices is None else numbers(slices, "--slices", int)
    output(out, labels, image)
    started = time.monotonic()
    volume = None if image is None else scan(image)
    given = read_labels(labels, None if volume is None else volume.geometry)
    beside = None if volume is None else volume.channel()
    final = last(interpolating(uint8(given, labels), given.geometry.spacing, chosen, image=beside, axis="zyx".index(axis)))
    write(given.like(final.labels), out)
    classes = voxels_by_class(final.labels, given.geometry)
    seconds = round(time.monotonic() - started, 2)
    how = "by the shapes alone" if final.method == "shape" else "with the image"
    return Answer({"classes": classes, "method": final.method, "seconds": seconds}, f"{out}: {told_by_class(classes)}; {how}, {seconds:.1f} s")


@answering
def cleanup(
    labels: Mask,
    out: Output,
    open_mm: Annotated[float, typer.Option(help="Cut off what is thinner than twice this many millimetres.", min=0)] = 0.0,
    close_mm: Annotated[float, typer.Option(help="Close gaps up to twice this many millimetres.", min=0)] = 0.0,
    fill: Annotated[bool, typer.Option("--fill", help="Fill holes, slice by slice.")] = False,
    min_ml: Annotated[float, typer.Option(help="Drop pieces smaller than this many millilitres.", min=0)] = 0.0,
    min_mm3: Annotated[float, typer.Option(help="The same in cubic millimetres.", min=0)] = 0.0,
    largest: Annotated[bool, typer.Option("--largest", help="Keep the largest piece of each class.")] = False,
    smooth_mm: Annotated[float, typer.Option(help="Round outlines; volumes stay.", min=0)] = 0.0,
    grow_mm: Annotated[float, typer.Option(help="Grow, never onto another class.", min=0)] = 0.0,
    shrink_mm: Annotated[float, typer.Option(help="Shrink.", min=0)] = 0.0,
    steps: Annotated[str | None, typer.Option(help='Steps in your own order: "open 1, close 2, fill, remove 0.5, smooth 1 @3" (@3: class 3 only).')] = None,
    clicked: Annotated[Path | None, typer.Option(help='First keep only the clicked pieces of their classes; {"points": [[x, y, z], ...]} LPS mm.')] = None,
    only: Annotated[list[int] | None, typer.Option("--class", help="Touch this class only; may be given several times.")] = None,
    keep: Annotated[list[int] | None, typer.Option(help="Never change or overwrite this class; may be given several times.")] = None,
    inside: Annotated[int | None, typer.Option(help="Only inside this class (of --beside, where given).")] = None,
    beside: Annotated[Path | None, typer.Option(help="A second label map, for --inside and for the steps union, subtract and intersect.")] = None,
    window: Annotated[str | None, typer.Option(help="Only voxels whose value in --image is from LO to HI change.", metavar="LO,HI")] = None,
    image: Annotated[Path | None, typer.Option(help="The scan, for --window.")] = None,
) -> Answer:
    """Clean a label map up, in millimetres and millilitres.

    Example: medseg weak cleanup weak.nii.gz -o clean.nii.gz --min-ml 0.5 --close-mm 2 --fill
    """
    from napari_medseg.cli.cleanup_words import steps_from
    from napari_medseg.weaklabel import cleanup_steps as do
    from napari_medseg.weaklabel.cleanup import cleaning

    pair = None if window is None else numbers(window, "--window", float)
    if pair is not None and (len(pair) != 2 or image is None):
        raise typer.BadParameter("needs a range such as 40,180 and the scan, --image", param_hint="--window")
    smallest = max(min_ml, min_mm3 / 1000)
    usual: list[tuple[float | bool, Step]] = [
        (open_mm, do.Open(open_mm)), (close_mm, do.Close(close_mm)), (fill, do.Fill()), (smallest, do.RemoveSmall(smallest)), (largest, do.KeepLargest()),
        (smooth_mm, do.Smooth(smooth_mm)), (grow_mm, do.Grow(grow_mm)), (shrink_mm, do.Shrink(shrink_mm)),
    ]
    chain = [step for wanted, step in usual if wanted]
    if steps is not None:
        if chain:
            raise typer.BadParameter("gives the order; leave the other steps' options out", param_hint="--steps")
        chain = steps_from(steps)
    output(out, labels, image, beside)
    started = time.monotonic()
    volume = None if image is None else scan(image)
    given = read_labels(labels, None if volume is None else volume.geometry)
    if clicked is not None:
        chain.insert(0, do.KeepClicked(_voxels(clicked, given)))
    edit = do.EditMask(inside, None if pair is None else (pair[0], pair[1]), tuple(keep or ()))
    final = last(cleaning(
        uint8(given, labels), given.geometry.spacing, do.CleanupChain(tuple(chain), edit), image=None if volume is None else volume.channel(),
        values=only or None, beside=mask(beside, given.geometry),
    ))
    write(given.like(final.labels), out)
    classes, removed = voxels_by_class(final.labels, given.geometry), final.removed_components
    facts = {"classes": classes, "removed_components": removed, "steps": [step.words() for step in chain], "seconds": round(time.monotonic() - started, 2)}
    return Answer(facts, f"{out}: {told_by_class(classes)}; {removed} piece{'' if removed == 1 else 's'} removed")


def _voxels(path: Path, labels: LabelMap) -> tuple[Voxel, ...]:
    found = seed_voxels(read_seed_points(path), labels.geometry)
    return tuple(cast("Voxel", tuple(point)) for point in found.tolist())
