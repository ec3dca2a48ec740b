"""segment: what a network, several of them, or one that is pointed at something make of one scan."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from napari_medseg.annotation import LabelClass, Prompts, default_classes, read_prompts
from napari_medseg.annotation.classes import palette
from napari_medseg.cli.answer import Answer, answering, shown
from napari_medseg.cli.arguments import DeviceOrServer, Image, Output, device_of, drawn_on, named_values, output, tell, told_by_class, voxels_by_class
from napari_medseg.cluster.remote.address import is_address
from napari_medseg.errors import InvalidInputError, NoLabelsError, UnwritableFileError
from napari_medseg.io import read, read_labels, write
from napari_medseg.io.atomic import replacing
from napari_medseg.segmenters.found import Finder, Findings, collected
from napari_medseg.segmenters.looking import Look, Looker
from napari_medseg.segmenters.looking import collected as looked
from napari_medseg.segmenters.named import Named
from napari_medseg.segmenters.protocol import Capabilities, Prediction, Segmenter, collect, to_labels
from napari_medseg.volume import FloatArray, Geometry, Volume


@answering
def segment(
    image: Image,
    with_: Annotated[str, typer.Option("--with", help="A segmenter's id from `medseg catalogue`, or what `medseg refine` wrote.", show_default=False)],
    out: Output,
    prompts: Annotated[Path | None, typer.Option(help="JSON file of points, boxes, lassos, scribbles or a mask, in LPS mm.")] = None,
    probabilities: Annotated[Path | None, typer.Option(help="Write the probabilities too, float32, one channel a class.")] = None,
    uncertainty: Annotated[Path | None, typer.Option(help="Write how uncertain each voxel is too, float32, 0 to 1 bit.")] = None,
    objects: Annotated[Path | None, typer.Option(help="Write what it found as a JSON file: class, score, box and outline of each object, LPS mm.")] = None,
    looks: Annotated[Path | None, typer.Option(help="Write where it looks into a folder, a map for each gate of the network, float32, 0-1.")] = None,
    device: DeviceOrServer = "auto",
    answers: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="What the segmenter asks for, see `medseg catalogue`.")] = None,
    also: Annotated[list[str] | None, typer.Option(help="Another segmenter or model, averaged with the first; may be given several times.")] = None,
    mirror: Annotated[list[str] | None, typer.Option(help="Average over mirror images too: left-right, front-back, head-feet; several are allowed.")] = None,
) -> Answer:
    """Segment a scan with a network.

    Example: medseg segment scan.nii.gz --with unet -o proposal.nii.gz

    Example: medseg segment scan.nii.gz --with promptable --prompts clicks.json -o lesion.nii.gz

    Example: medseg segment scan.nii.gz --with nnunet --set folder=nnUNetTrainer__nnUNetPlans__3d_fullres -o proposal.nii.gz

    Example: medseg segment scan.nii.gz --with promptable --prompts clicks.json -o lesion.nii.gz --device https://gpu.hospital.example:8433

    Example: medseg segment scan.nii.gz --with study/model --also unet --mirror left-right -o proposal.nii.gz --probabilities chance.nii.gz
    """
    _outputs(image, out, probabilities, uncertainty)
    _beside(image, objects, looks)
    started = time.monotonic()
    named = Named(with_, tuple(named_values(answers or [], "folder=my_model").items()), tuple(also or ()), tuple(mirror or ()))
    away = is_address(device)
    segmenter = _on_server(device, named) if away else named.build()
    volume = read(image)
    tell(volume)
    asked = _with_maps(None if prompts is None else read_prompts(prompts), volume.geometry)
    can = segmenter.capabilities
    finder = None if objects is None else _finder(segmenter)
    looker = None if looks is None else _looker(segmenter)
    _check_prompts(asked, volume.geometry, can, with_)
    chosen = device
    if not away:
        from napari_medseg.segmenters.devices import choose

        device = device_of(device)
        chosen = choose(device)
    progress: Iterator[Prediction] = shown(segmenter.predict(volume, asked, device=device))
    maps = collect(progress, volume.geometry.shape)  # "auto" may fall back to the processor when the card is full
    classes = _classes(can, asked)
    labels = np.array([0, *(each.value for each in classes)], np.uint8)[to_labels(maps, can.threshold)]
    if probabilities is not None:
        write(volume.like(maps[0] if len(maps) == 1 else maps), probabilities)
    if uncertainty is not None:
        write(volume.like(_uncertainty(maps)), uncertainty)
    write(drawn_on(volume, labels, classes), out)
    counted: dict[str, object] = {} if objects is None or finder is None else {"objects": _write_objects(finder, volume, device, objects)}
    counted |= {} if looks is None or looker is None else {"looks": _write_looks(looker, volume, device, looks)}
    found = voxels_by_class(labels, volume.geometry)
    seconds = round(time.monotonic() - started, 2)
    return Answer(
        {"classes": found, "names": [each.name for each in classes], "device": chosen, "segmenter": segmenter.title, "seconds": seconds, **counted},
        f"{out}: {told_by_class(found)}; {segmenter.title} on {chosen}, {seconds:.1f} s",
    )


def _on_server(address: str, named: Named) -> Segmenter:
    """The same of a server's catalogue, or of a model that is sent there; the scan leaves this machine."""
    from napari_medseg.cluster.remote.segmenter import remote_segmenter

    return remote_segmenter(address, named.members, named.mirror)


def _finder(segmenter: Segmenter) -> Finder:
    """The segmenter, which must find objects.

    Raises
    ------
    InvalidInputError
        When it does not.
    """
    if not segmenter.capabilities.objects or not isinstance(segmenter, Finder):
        todo = "Leave --objects out, or train a network that finds objects, such as hmr-net"
        raise InvalidInputError("answers with label maps, not with objects", where=segmenter.title, todo=todo)
    return segmenter


def _looker(segmenter: Segmenter) -> Looker:
    """The segmenter, which must tell where it looks.

    Raises
    ------
    InvalidInputError
        When it does not.
    """
    if not segmenter.capabilities.looks or not isinstance(segmenter, Looker):
        todo = "Leave --looks out, or train a network that can tell, such as attention-unet"
        raise InvalidInputError("does not tell where it looks", where=segmenter.title, todo=todo)
    return segmenter


def _write_looks(looker: Looker, volume: Volume, device: str, folder: Path) -> list[str]:
    """Write where it looks, a file for each map; their names."""
    steps: Iterator[Look] = shown(looker.look(volume, device=device))
    maps = looked(steps, volume.geometry.shape)
    for name, each in maps.items():
        folder.mkdir(exist_ok=True)
        write(volume.like(each), folder / f"{name}.nii.gz")
    return [f"{name}.nii.gz" for name in maps]


def _write_objects(finder: Finder, volume: Volume, device: str, path: Path) -> int:
    """Find objects and write them; how many there are."""
    steps: Iterator[Findings] = shown(finder.find(volume, device=device))
    found = [each.as_json() for each in collected(steps)]
    told = {"image": volume.name, "coordinates": "LPS, mm (x, y, z)", "objects": found}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return len(found)


def _outputs(image: Path, *paths: Path | None) -> None:
    given = [output(path, image) for path in paths if path is not None]
    for index, path in enumerate(given):
        if path.absolute() in [other.absolute() for other in given[:index]]:
            raise InvalidInputError("two results would be one file", where=path, todo="Give each its own name")


def _beside(image: Path, objects: Path | None, looks: Path | None) -> None:
    """Refuse names that a file of objects or a folder of maps cannot have, before any work is done.

    Raises
    ------
    UnwritableFileError
    """
    for path in (each for each in (objects, looks) if each is not None):
        if not path.absolute().parent.is_dir():
            raise UnwritableFileError(f"the folder {path.parent} does not exist", where=path, todo="Create it, or choose another place")
    if objects is not None and (objects.suffix.lower() != ".json" or objects.is_dir()):
        raise UnwritableFileError("does not name a JSON file", where=objects, todo="End it in .json")
    if looks is not None and (looks.is_file() or (looks.exists() and looks.samefile(image))):
        raise UnwritableFileError("is no folder", where=looks, todo="Give the name of a folder; it is made where it is not there")


def _classes(can: Capabilities, prompts: Prompts | None) -> tuple[LabelClass, ...]:
    """One class a map: the segmenter's own, or one for each label that was pointed at."""
    if not can.interactive:
        return default_classes(can.classes)
    labels = prompts.labels if prompts is not None else ()
    colours = palette(max(labels, default=1))
    return tuple(LabelClass(value, f"Class {value}", colours[value - 1]) for value in labels)


def _uncertainty(maps: FloatArray) -> FloatArray:
    from napari_medseg.segmenters.uncertainty import entropy

    return entropy(maps)


def _check_prompts(prompts: Prompts | None, grid: Geometry, can: Capabilities, name: str) -> None:
    """Refuse prompts the segmenter would not look at or that lie outside the scan, and none where it needs some."""
    if can.interactive and (prompts is None or not prompts.labels):
        todo = "Give --prompts a file with at least one point, box, lasso, stroke or mask inside the object"
        raise NoLabelsError("must be pointed at what it shall outline", where=name, todo=todo)
    given = set()
    if prompts is not None:
        given = {kind for kind in ("points", "boxes", "lassos") if any(getattr(o, kind) for o in prompts.objects)}
        given |= {kind for kind in ("scribbles", "mask") if getattr(prompts, kind) is not None}
        points = np.array([point[:3] for one in prompts.objects for point in one.points], dtype=float).reshape(-1, 3)
        outside = ~grid.contains(grid.voxel(points))
        if outside.any():
            told = ", ".join(f"{v:.1f}" for v in points[int(outside.argmax())])
            raise InvalidInputError(f"the point at ({told}) mm lies outside the scan", where="--prompts", todo="Give LPS millimetres inside the scan")
    unused = given - can.prompts
    if unused:
        takes = ", ".join(sorted(can.prompts)) or "no prompts"
        what = f"does not take {', '.join(sorted(unused))}"
        raise InvalidInputError(what, where=name, todo=f"It takes {takes}; leave the others out or choose another segmenter")


def _with_maps(prompts: Prompts | None, grid: Geometry) -> Prompts | None:
    """Prompts whose strokes and mask are read, not only named."""
    if prompts is None:
        return None
    scribbles, mask = (read_labels(given, grid) if isinstance(given, Path) else given for given in (prompts.scribbles, prompts.mask))
    return replace(prompts, scribbles=scribbles, mask=mask)
