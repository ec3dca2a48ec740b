"""info and convert: what is in a file, and the same in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from napari_medseg.annotation import LabelMap, named
from napari_medseg.cli.answer import Answer, answering
from napari_medseg.cli.arguments import output, tell
from napari_medseg.cli.targets import as_labels, guessed_labels, on_grid_of, one_channel, read_on, reference_grids, renamed, said_lost
from napari_medseg.io import SeriesInfo, describe, write, write_classes
from napari_medseg.io.descriptions import SUFFIXES as CLASS_SUFFIXES
from napari_medseg.io.formats import OME_ZARR, format_of, written_as
from napari_medseg.volume import format_shape, orientation

Series = Annotated[str | None, typer.Option(help="Which series of a folder: UID, number or description, as `medseg info` lists them.")]


@answering
def info(path: Annotated[Path, typer.Argument(help="A file, an OME-Zarr folder or a DICOM folder.", show_default=False)]) -> Answer:
    """Say what is in a file or folder, without reading its voxels: every series, its grid, its channels, and what cannot be opened and why.

    Example: medseg info scan.nii.gz

    Example: medseg info dicom_folder
    """
    series = describe(path)
    return Answer({"series": series}, "\n".join(_told(one) for one in series))


def _told(one: SeriesInfo) -> str:
    """A series in a few lines."""
    grid = one.geometry
    count = [f"{one.channels} channels"] * (one.channels > 1) + [f"{one.timepoints} timepoints"] * (one.timepoints > 1)
    facts = [one.modality or "modality not said", str(grid), one.dtype, *([one.units] if one.units else []), orientation(grid), *count]
    facts += ["oblique"] * grid.is_oblique
    lines = [f"{one.title}: {', '.join(facts) if one.readable else 'cannot be opened'}"]
    named = [f"series number {one.number}"] * (one.number is not None) + [f"series {one.series}"] * bool(one.series)
    lines += [", ".join(named)] if named else []
    lines += [f"channels: {', '.join(one.channel_names)}"] if one.channel_names else []
    return "\n  ".join([*lines, *one.notes])


@answering
def convert(
    src: Annotated[Path, typer.Argument(help="Any readable file or folder.", show_default=False)],
    dst: Annotated[Path, typer.Argument(help="What to write; its ending chooses the format.", show_default=False)],
    like: Annotated[Path | None, typer.Option(help="The scan whose grid to write on; DICOM SEG and RTSTRUCT refer to it. Masks keep their values.")] = None,
    labels: Annotated[bool | None, typer.Option("--labels/--image", help="Whether it is a label map; guessed from the file and its values.")] = None,
    series: Series = None,
    classes: Annotated[Path | None, typer.Option(help="Names and colours for the classes: an ITK-SNAP label description (.label, .txt) or JSON.")] = None,
    channel: Annotated[str | None, typer.Option(help="Write one channel only: its name, or its number from 1.")] = None,
    kind: Annotated[Literal["binary", "labelmap"], typer.Option("--format", help="How DICOM SEG holds classes: every program reads binary.")] = "binary",
    anonymise: Annotated[bool, typer.Option("--anonymise", help="DICOM SEG and RTSTRUCT: leave out who the patient is.")] = False,
) -> Answer:
    """Write any readable file in any writable format.

    Scans and label maps: .nii.gz .nii .nrrd .seg.nrrd .mha .gipl .tif .ome.zarr. Label maps: .seg.dcm (DICOM SEG), .rtstruct.dcm (RTSTRUCT), .stl and .ply
    (surfaces in LPS mm; one STL for each of several classes), .label and .json (names and colours only).

    Example: medseg convert dicom_folder scan.nii.gz --series 4

    Example: medseg convert mask.nrrd mask_on_scan.nii.gz --like scan.nii.gz

    Example: medseg convert mask.nii.gz mask.seg.dcm --like dicom_folder --classes organs.label --anonymise

    Example: medseg convert pet_ct.ome.zarr pet.nii.gz --channel PET
    """
    only_classes = dst.suffix.lower() in CLASS_SUFFIXES and format_of(dst) is None
    if not only_classes:
        output(dst, src, like)
    grids = [] if like is None else reference_grids(like)
    volume = read_on(src, series, grids)
    tell(volume)
    if channel is not None:
        volume = one_channel(volume, channel, src)
    target = written_as(dst)
    is_named = classes is not None or (isinstance(volume, LabelMap) and bool(volume.classes))
    wanted = only_classes or classes is not None or (target is not None and target.writes == "labels")
    if labels is None and target is OME_ZARR and not wanted:
        labels = guessed_labels(volume)
    volume = as_labels(volume, src, labels, wanted=wanted)
    if classes is not None:
        volume = renamed(volume, classes, src)
    facts: dict[str, Any] = {}
    if like is not None:
        volume, facts = on_grid_of(volume, grids, like, labels)
    grid = volume.geometry
    answer = {"shape_zyx": grid.shape, "spacing_mm_zyx": grid.spacing, **facts}
    if only_classes and isinstance(volume, LabelMap):
        found = named(volume.array, volume.classes)
        write_classes(found, dst)
        return Answer({**answer, "classes": [c.name for c in found]}, f"{dst}: {', '.join(c.name for c in found)} written")
    said_lost(volume, dst, is_named)
    written = write(volume, dst, source=like, anonymise=anonymise, kind=kind)
    if target is not None and target.parts:
        return Answer({**answer, "files": written}, "\n".join(f"{path}: surface written, in LPS mm" for path in written))
    return Answer(answer, f"{dst}: {format_shape(grid.shape)} voxels written")
