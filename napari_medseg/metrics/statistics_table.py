"""Segment statistics as a table with units in its header, for people, CSV files and the clipboard."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence

from napari_medseg.metrics.statistics import LabelStatistics

Cell = str | int | float
PLANES = ("axial", "coronal", "sagittal")
"""What the axes z, y, x of the display grid look along."""
GREY = ("Mean", "SD", "Median", "5th percentile", "25th percentile", "75th percentile", "95th percentile", "Minimum", "Maximum")


def header(unit: str = "") -> tuple[str, ...]:
    """The columns; `unit` is that of the grey values, "" where they have none."""
    of = f" ({unit})" if unit else ""
    grey = tuple(f"{name}{of}" for name in GREY)
    return (
        "Label", "Value", "Voxels", "Volume (ml)", "Surface (cm2)", "Pieces", "Longest diameter (mm)", "Perpendicular diameter (mm)", "Slice",
        "Longest 3D diameter (mm)", *grey,
    )


def cells(row: LabelStatistics, name: str) -> tuple[Cell, ...]:
    """One label under `header`; figures keep six digits."""
    lines, grey = row.diameters, row.values
    p5, p25, median, p75, p95 = grey.percentiles
    figures = (grey.mean, grey.sd, median, p5, p25, p75, p95, grey.minimum, grey.maximum)
    return (
        name, row.value, row.voxels, _short(row.ml), _short(row.surface_cm2), row.pieces, _short(lines.long_mm), _short(lines.short_mm), lines.slice,
        _short(lines.feret_mm), *(_short(figure) for figure in figures),
    )


def as_text(rows: Sequence[LabelStatistics], names: Mapping[int, str], unit: str = "", *, delimiter: str = ",") -> str:
    """The whole table, header first; lines end as CSV files' do. A figure that there is none of is left out."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(header(unit))
    for row in rows:
        found = cells(row, names.get(row.value, f"label {row.value}"))
        writer.writerow("" if isinstance(cell, float) and math.isnan(cell) else cell for cell in found)
    return out.getvalue()


def _short(figure: float) -> float:
    return float(f"{figure:.6g}")
