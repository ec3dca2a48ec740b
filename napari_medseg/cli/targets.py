"""What `convert` has to decide before it writes: whose grid, labels or image, which names, and what the target cannot hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import typer

from napari_medseg.annotation import LabelMap, named
from napari_medseg.errors import GridMismatchError, InvalidInputError
from napari_medseg.io import describe, read, read_classes
from napari_medseg.io.formats import OME_ZARR, written_as
from napari_medseg.io.reading import FEW, is_label_map, label_values
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.resample import resample


def reference_grids(like: Path) -> list[Geometry]:
    """The grids of the scans in a file or folder; localisers and what cannot be opened are left out.

    Raises
    ------
    MedsegError
        When there is none.
    """
    series = describe(like)
    found = [one for one in series if one.readable and not one.scout] or [one for one in series if one.readable]
    if not found:
        raise InvalidInputError("holds no scan that can be opened", where=like, todo="Look at it with `medseg info`")
    return [one.geometry for one in found]


def read_on(src: Path, series: str | None, grids: list[Geometry]) -> Volume:
    """Read a file; labels that bring no whole grid of their own are put on the first grid that they fit.

    Raises
    ------
    MedsegError
        As `io.read`.
    """
    for grid in grids:
        try:
            return read(src, series=series, like=grid)
        except GridMismatchError:
            continue
    return read(src, series=series)


def one_channel(volume: Volume, wanted: str, where: Path) -> Volume:
    """One channel as a volume of its own.

    Parameters
    ----------
    wanted : str
        Its name, whatever the case of its letters, or its number from 1.

    Raises
    ------
    InvalidInputError
        When there is none such; names those that are there.
    """
    names = [name.lower() for name in volume.channel_names]
    if wanted.lower() in names:
        index = names.index(wanted.lower())
    elif wanted.isdecimal() and 1 <= int(wanted) <= volume.channels:
        index = int(wanted) - 1
    else:
        there = ", ".join(f"{i} {name}" for i, name in enumerate(volume.channel_names, 1)) or f"1 to {volume.channels}"
        raise InvalidInputError(f"has no channel '{wanted}'", where=where, todo=f"Choose one of: {there}")
    return replace(volume, array=volume.channel(index), channel_names=())


def as_labels(volume: Volume, where: Path, told: bool | None, *, wanted: bool) -> Volume:
    """A LabelMap of what is one, a plain volume of what is none.

    Parameters
    ----------
    told : bool or None
        What the person said.
    wanted : bool
        Whether it has to be one.

    Raises
    ------
    InvalidInputError
        When it has to be a label map and cannot be.
    """
    if told is False:
        if wanted:
            raise InvalidInputError("can only be written as labels", where=where, todo="Leave --image out, or choose another format")
        return _plain(volume)
    if isinstance(volume, LabelMap) or not (told or wanted):
        return volume
    if told is None and volume.channels == 1 and (low := volume.array.min()) >= 0 and not is_label_map(volume):
        what = f"does not look like a label map: it holds many values from {low:g} to {volume.array.max():g}"
        raise InvalidInputError(what, where=where, todo="Give a label map, or say --labels if it is one")
    array = label_values(volume, where)
    return LabelMap(
        array, volume.geometry, volume.name, volume.modality, volume.source, volume.notes, series=volume.series, classes=named(array),
    )


def guessed_labels(volume: Volume) -> bool | None:
    """True when the values of a scan look like labels, which is said; OME-Zarr makes other coarse levels of labels than of scans."""
    if isinstance(volume, LabelMap) or volume.array.dtype.kind not in "ui" or not is_label_map(volume) or np.unique(volume.array).size > FEW:
        return None
    typer.echo(f"Note: {volume.name}: taken as a label map, by its values; --image writes it as a scan", err=True)
    return True


def renamed(labels: Volume, classes: Path, where: Path) -> LabelMap:
    """The label map with the names and colours of a file; values that it does not describe keep theirs.

    Raises
    ------
    MedsegError
        As `io.read_classes`.
    """
    assert isinstance(labels, LabelMap)
    known = {c.value: c for c in labels.classes} | {c.value: c for c in read_classes(classes)}
    return replace(labels, classes=named(labels.array, known.values()))


def on_grid_of(volume: Volume, grids: list[Geometry], like: Path, told: bool | None) -> tuple[Volume, dict[str, Any]]:
    """The volume on the grid of a scan, and how it came there: nearest neighbour for labels, else linear.

    Parameters
    ----------
    told : bool or None
        Whether the person said that it holds labels; guessed from its values when nobody did.

    Raises
    ------
    InvalidInputError
        When there are several grids and the volume lies on none of them.
    """
    if any(grid.matches(volume.geometry) for grid in grids):
        return volume, {"interpolation": "none"}
    if len(grids) > 1:
        todo = "Convert the one that you mean to a file of its own first (--series), and name that"
        raise InvalidInputError(f"holds {len(grids)} scans on different grids, and what is converted lies on none of them", where=like, todo=todo)
    nearest = isinstance(volume, LabelMap) or (told is None and is_label_map(volume))
    fill = 0.0 if nearest else float(volume.array.min())
    return resample(volume, grids[0], labels=nearest, fill=fill), {"interpolation": "nearest" if nearest else "linear"}


def said_lost(volume: Volume, dst: Path, is_named: bool) -> None:
    """Say on stderr what a format cannot hold of a volume; a grid that it cannot hold is an error of its writer."""
    target = written_as(dst)
    if target is None:
        return
    if is_named and not target.names:
        typer.echo(f"Note: {dst.name}: this format keeps no names and colours of classes; write them beside it with `medseg convert SRC names.label`", err=True)
    unsaid = [name for name in volume.channel_names if not name.startswith("t ")]
    if unsaid and target is not OME_ZARR:
        typer.echo(f"Note: {dst.name}: this format keeps no names of channels ({', '.join(volume.channel_names)}); .ome.zarr does", err=True)


def _plain(volume: Volume) -> Volume:
    if not isinstance(volume, LabelMap):
        return volume
    return Volume(volume.array, volume.geometry, volume.name, volume.modality, volume.source, volume.notes, volume.units, volume.channel_names, volume.series)
