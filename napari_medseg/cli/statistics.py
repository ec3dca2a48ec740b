"""statistics: what each label of a scan measures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from napari_medseg.cli.answer import Answer, answering
from napari_medseg.metrics.statistics import PERCENTILES, LabelStatistics, label_statistics
from napari_medseg.metrics.statistics_table import PLANES, as_text


@answering
def statistics(
    image: Annotated[Path, typer.Argument(help="The scan.", show_default=False)],
    labels: Annotated[Path, typer.Argument(help="Its label map, on the same grid.", show_default=False)],
    plane: Annotated[Literal["axial", "coronal", "sagittal"], typer.Option(help="The slices that diameters are measured on.")] = "axial",
    csv: Annotated[Path | None, typer.Option(help="Write a table with a row a label, units in its header.", show_default=False)] = None,
) -> Answer:
    """Measure each label: volume, surface, pieces, diameters, and the grey values in it.

    Diameters are of a label's largest piece: the longest line in a slice, the longest one at right angles to it there, and the longest in 3D. Slices
    are counted from 0 in the window's order, from the head.

    Example: medseg statistics scan.nii.gz labels.nii.gz --csv sizes.csv
    """
    from napari_medseg import io
    from napari_medseg.io.atomic import replacing
    from napari_medseg.volume import orient
    from napari_medseg.volume.windows import unit_words

    scan = io.read(image)
    marked = io.read_labels(labels, like=scan.geometry)
    shown, turned = orient(scan), orient(marked)
    unit = unit_words(scan.modality, scan.units)
    rows = list(label_statistics(turned.channel(), shown.channel(), shown.geometry.spacing, axis=PLANES.index(plane)))
    names = {c.value: c.name for c in marked.classes}
    if csv is not None:
        with replacing(csv) as temporary:
            temporary.write_text(as_text(rows, names, unit), "utf-8", newline="")
    facts = {"unit": unit, "plane": plane, "labels": {str(row.value): _facts(row, names.get(row.value, "")) for row in rows}}
    text = "\n".join(_line(row, names.get(row.value, f"label {row.value}"), unit) for row in rows) or "the label map is empty"
    return Answer({**facts, "csv": csv} if csv is not None else facts, text)


def _facts(row: LabelStatistics, name: str) -> dict[str, Any]:
    lines, grey = row.diameters, row.values
    return {
        "name": name, "voxels": row.voxels, "volume_ml": row.ml, "surface_cm2": row.surface_cm2, "pieces": row.pieces, "longest_mm": lines.long_mm,
        "perpendicular_mm": lines.short_mm, "slice": lines.slice, "longest_3d_mm": lines.feret_mm, "mean": grey.mean, "sd": grey.sd,
        "percentiles": {str(at): mark for at, mark in zip(PERCENTILES, grey.percentiles, strict=True)}, "minimum": grey.minimum, "maximum": grey.maximum,
    }


def _line(row: LabelStatistics, name: str, unit: str) -> str:
    lines, grey, of = row.diameters, row.values, f" {unit}" if unit else ""
    pieces = "one piece" if row.pieces == 1 else f"{row.pieces} pieces"
    return (
        f"{name}: {row.ml:.4g} ml, {row.surface_cm2:.4g} cm2, {pieces}, {lines.long_mm:.1f} x {lines.short_mm:.1f} mm on slice {lines.slice}, "
        f"{lines.feret_mm:.1f} mm in 3D, mean {grey.mean:.4g} (SD {grey.sd:.4g}){of}"
    )
