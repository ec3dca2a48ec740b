"""Masks and their truths: which belong together, and what comparing them gives."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medseg.errors import MissingFileError
from napari_medseg.io import read_labels, replacing
from napari_medseg.io.folders import masks_in
from napari_medseg.metrics import measure
from napari_medseg.metrics.confusion import Counts, confusion
from napari_medseg.metrics.measure import Figures
from napari_medseg.metrics.summary import Summary
from napari_medseg.metrics.surface import TOLERANCE_MM
from napari_medseg.volume import require_same_grid

Classes = dict[str, Figures]
Pairs = dict[str, tuple[Path, Path]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One case, and how far its folder is."""

    fraction: float
    message: str
    id: str
    classes: Classes
    confusion: Counts


def pairs_of(pred: Path, truth: Path) -> tuple[Pairs, list[str]]:
    """The masks of two folders that have the same name, and the truths that nothing was predicted for.

    Raises
    ------
    MissingFileError
        When a prediction has no truth: its figures would be missing without a word.
    UnreadableFileError
        When a folder holds no mask, or two of one name.
    """
    predicted, true = masks_in(pred), masks_in(truth)
    alone = sorted(predicted.keys() - true.keys())
    if alone:
        what = f"has no mask of the same name in {truth.name}" + (f", nor have {', '.join(alone[1:])}" if alone[1:] else "")
        raise MissingFileError(what, where=predicted[alone[0]], todo="Give both masks the same name, or take what has no truth out of the folder")
    return {name: (path, true[name]) for name, path in predicted.items()}, sorted(true.keys() - predicted.keys())


def measured(pairs: Pairs, tolerance_mm: float = TOLERANCE_MM) -> Iterator[Measured]:
    """Compare each pair.

    Raises
    ------
    GridMismatchError
        When a mask does not lie on its truth's grid.
    """
    for done, (name, (pred, truth)) in enumerate(pairs.items(), 1):
        real, found = read_labels(truth), read_labels(pred)
        require_same_grid(real.geometry, found.geometry, pred)
        classes = measure(found.channel(), real.channel(), real.geometry.spacing, tolerance_mm)
        yield Measured(done / len(pairs), f"{name} ({done} of {len(pairs)})", name, classes, confusion(found.channel(), real.channel()))


def told(figures: Mapping[str, float | None]) -> str:
    """Figures as a line."""
    return ", ".join(f"{name} {short(figure)}" for name, figure in figures.items())


def told_summary(summary: Summary) -> str:
    """A mean with what is known of it."""
    if summary.mean is None:
        return "-"
    spread = f", SD {short(summary.sd)}" if summary.sd is not None else ""
    sure = f", 95 % {short(summary.low)} to {short(summary.high)}" if summary.low is not None else ""
    return f"{short(summary.mean)} (median {short(summary.median)}{spread}{sure}; n {summary.n})"


def short(figure: float | None) -> str:
    """Four digits; a dash for what is not defined."""
    return "-" if figure is None else format(figure, ".4g")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file, whole or not at all; what is not defined is left empty.

    Raises
    ------
    UnwritableFileError
        When it cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(["" if cell is None else cell for cell in row] for row in rows)
