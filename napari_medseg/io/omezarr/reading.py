"""OME-Zarr folders in: what is there, one image whole, or its levels as arrays that are read when looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.formats import stem_of
from napari_medseg.io.memory import fits
from napari_medseg.io.omezarr.axes import Axes
from napari_medseg.io.omezarr.chunks import Chunked, chunks_there, read_whole
from napari_medseg.io.omezarr.groups import AGAIN
from napari_medseg.io.omezarr.images import Image, Named, listed, load
from napari_medseg.io.omezarr.stored import Stored
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.values import finite_values
from napari_medseg.volume import Geometry, Volume, format_shape

BLOCKS = 20_000  # of a lazy array: a plan of more takes seconds to make


@dataclass(frozen=True, slots=True)
class LazyLevel:
    """One level of an image, of which nothing is read before it is looked at.

    Attributes
    ----------
    array : dask array, (z, y, x) or (c, z, y, x)
    geometry : Geometry
    """

    array: Any
    geometry: Geometry


def describe(path: Path) -> list[SeriesInfo]:
    """Every image of a folder, its label maps last; what cannot be opened says why.

    Raises
    ------
    UnreadableFileError
        When it is no OME-Zarr, or not one of its images can be opened.
    """
    named = listed(path)
    if len(named) == 1:
        return [_info(load(named[0]), path)]
    return [_told(one, path) for one in named]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read an image: the finest level, or the finest that fits in half the free memory, which the notes then say; label maps always whole.

    Parameters
    ----------
    series : str, optional
        Which image, as `describe` names it; else the folder's own.

    Raises
    ------
    UnreadableFileError
        As `describe`; a chunk that is damaged; no voxels at all.
    InvalidInputError
        When several images are there and none was chosen.
    NoRoomError
        When neither memory nor disk can hold it.
    """
    image = load(_chosen(path, series))
    chosen = 0 if image.is_labels else next((i for i, level in enumerate(image.levels) if fits(level.size)), 0)
    array = _squeezed(read_whole(image.levels[chosen]), image.axes)
    notes = list(image.notes)
    if chosen:
        told = f"{format_shape(image.grids[0].shape)} voxels do not fit in half the free memory: read at {format_shape(image.grids[chosen].shape)}"
        notes.append(f"{told}, level {chosen + 1} of {len(image.levels)}")
    array, more = finite_values(np.ascontiguousarray(array), path)
    facts = (image.grids[chosen], _title(image, path), image.modality, path, (*notes, *more), image.units, image.channel_names, image.series)
    if image.is_labels and array.ndim == 3 and array.dtype.kind in "ui" and 0 <= int(array.min()) and int(array.max()) <= np.iinfo(np.uint16).max:
        small = np.uint8 if int(array.max()) <= np.iinfo(np.uint8).max else np.uint16
        return LabelMap(array.astype(small, copy=False), *facts, classes=image.classes)
    return Volume(array, *facts)


def open_levels(path: Path, series: str | None = None) -> list[LazyLevel]:
    """The levels of an image, finest first, as arrays that read their chunks when they are looked at.

    Raises
    ------
    UnreadableFileError
        As `read`, except for damaged chunks, which raise when they are looked at.
    """
    import dask.array

    image = load(_chosen(path, series))
    made = []
    for level, geometry in zip(image.levels, image.grids, strict=True):
        if next(chunks_there(level), None) is None:
            raise UnreadableFileError(f"{level.folder.relative_to(path)} holds no voxels: no chunk of it is there", where=path, todo=AGAIN)
        empty = np.empty((0,) * len(level.shape), level.dtype)
        lazy = dask.array.from_array(Chunked(level), chunks=_blocks(level), name=False, lock=False, meta=empty)  # type: ignore[no-untyped-call]
        made.append(LazyLevel(_squeezed(lazy, image.axes), geometry))
    return made


def _blocks(level: Stored) -> tuple[int, ...]:
    """Pieces in which a lazy array is read: chunks, or several of them where there are very many."""
    sizes = list(level.chunks)
    while math.prod(counts := [-(-n // size) for n, size in zip(level.shape, sizes, strict=True)]) > BLOCKS:
        sizes[counts.index(max(counts))] *= 2
    return tuple(sizes)


def _chosen(path: Path, series: str | None) -> Named:
    named = listed(path)
    if series is None:
        own = [one for one in named if "labels/" not in f"{one.series}/" and "#" not in one.series]
        if len(named) == 1 or len(own) == 1:
            return (own or named)[0]
        what = f"holds {len(own or named)} images"
    else:
        fits_series = [one for one in named if series == one.series] or [one for one in named if one.series.split("/")[-1] == series]
        if len(fits_series) == 1:
            return fits_series[0]
        what = f"{len(fits_series) or 'no'} images fit '{series}'"
    names = ", ".join(f"'{one.series}'" if one.series else "its own image ('')" for one in named)
    raise InvalidInputError(f"{what}; it has {names}", where=path, todo="Choose one as the series")


def _squeezed(array: Any, axes: Axes) -> Any:
    """Stored axes to (z, y, x), or (c, z, y, x) when there are several channels or timepoints; float16 becomes float32, bool uint8."""
    missing = [letter for letter in "ctz" if letter not in axes.letters]
    letters = [*missing, *axes.letters]
    array = array[(None,) * len(missing)].transpose([letters.index(letter) for letter in "ctzyx"])
    array = array.reshape(-1, *array.shape[2:])
    array = array[0] if array.shape[0] == 1 else array
    wider = {"e": np.float32, "?": np.uint8}.get(array.dtype.char)
    return array if wider is None else array.astype(wider)


def _told(named: Named, path: Path) -> SeriesInfo:
    try:
        return _info(load(named), path)
    except UnreadableFileError as error:
        empty = Geometry((1, 1, 1))
        return SeriesInfo(
            empty.shape, empty.spacing, empty.origin, empty.direction, "", series=named.series, title=named.series.split("/")[-1] or stem_of(path),
            notes=(f"cannot be opened: {error.what}",), readable=False,
        )


def _info(image: Image, path: Path) -> SeriesInfo:
    grid, first = image.grids[0], image.levels[0]
    notes = list(image.notes)
    if image.is_labels:
        named = ", ".join(f"{c.value} {c.name}" for c in image.classes)
        notes.append(f"a label map ({named})" if named else "a label map")
    if len(image.levels) > 1:
        notes.append(f"{len(image.levels)} levels: {', '.join(format_shape(g.shape) for g in image.grids)}")
    return SeriesInfo(
        grid.shape, grid.spacing, grid.origin, grid.direction, np.dtype(first.dtype).name, image.modality, image.channels, image.timepoints,
        series=image.series, title=_title(image, path), units=image.units, channel_names=image.channel_names, notes=tuple(notes),
    )


def _title(image: Image, path: Path) -> str:
    return image.series.split("/")[-1] if image.series else stem_of(path)

