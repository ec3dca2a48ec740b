"""info and convert: what is in a file, and the same in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.answer import Answer, answering
from napari_medseg.cli.arguments import output, tell
from napari_medseg.io import describe, read, write
from napari_medseg.io.reading import is_label_map
from napari_medseg.volume import format_shape, orientation
from napari_medseg.volume.resample import resample

Series = Annotated[str | None, typer.Option(help="Which series of a DICOM folder: UID, number or description.")]


@answering
def info(path: Annotated[Path, typer.Argument(help="A file or a DICOM folder.", show_default=False)]) -> Answer:
    """Say what is in a file or DICOM folder, without reading its voxels.

    Example: medseg info scan.nii.gz
    """
    series = describe(path)
    lines = []
    for one in series:
        grid = one.geometry
        more = [f"{one.channels} channels"] * (one.channels > 1) + [f"{one.timepoints} timepoints"] * (one.timepoints > 1) + ["oblique"] * bool(grid.is_oblique)
        facts = [one.modality or "modality not said", str(grid), one.dtype, orientation(grid), *more]
        lines.append(f"{one.title}: {', '.join(facts)}" + (f"\n  series {one.series}" if one.series else ""))
    return Answer({"series": series}, "\n".join(lines))


@answering
def convert(
    src: Annotated[Path, typer.Argument(help="Any readable file or DICOM folder.", show_default=False)],
    dst: Annotated[Path, typer.Argument(help="The file to write (.nii.gz, .nii, .nrrd or .mha).", show_default=False)],
    like: Annotated[Path | None, typer.Option(help="Resample to the grid of this scan; whole-number masks keep their values.")] = None,
    labels: Annotated[bool | None, typer.Option("--labels/--image", help="With --like: nearest neighbour or linear; guessed from the values.")] = None,
    series: Series = None,
) -> Answer:
    """Write any readable file in any writable format.

    Example: medseg convert dicom_folder scan.nii.gz

    Example: medseg convert mask.nrrd mask_on_scan.nii.gz --like scan.nii.gz
    """
    output(dst, src, like)
    volume = read(src, series=series)
    tell(volume)
    facts = {}
    if like is not None:
        target = read(like).geometry if like.is_dir() else describe(like)[0].geometry  # a folder may hold several series; `read` says so
        nearest = is_label_map(volume) if labels is None else labels
        facts["interpolation"] = "nearest" if nearest else "linear"
        fill = 0.0 if nearest else float(volume.array.min())
        volume = resample(volume, target, labels=nearest, fill=fill)
    write(volume, dst)
    grid = volume.geometry
    return Answer({"shape_zyx": grid.shape, "spacing_mm_zyx": grid.spacing, **facts}, f"{dst}: {format_shape(grid.shape)} voxels written")
