"""The images of an OME-Zarr folder: scans and label maps, with the levels, millimetres and names that their metadata give.

OME-Zarr 0.4 and 0.5 know no directions. Files written here say them in an attribute of their own, "medseg", beside metadata that any reader
understands; it counts only while size and spacing still agree with them. The directions of OME-Zarr's RFC-4 are understood too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation import LabelClass
from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.faults import typed
from napari_medseg.io.omezarr.axes import Axes, parse_axes
from napari_medseg.io.omezarr.groups import AGAIN, Group, open_group
from napari_medseg.io.omezarr.names import classes_of
from napari_medseg.io.omezarr.stored import Stored, stored
from napari_medseg.volume import Geometry, Shape
from napari_medseg.volume.geometry import IDENTITY

OWN = "medseg"
LEVELS = 32
AS_STORED = "OME-Zarr says no left and right: x, y, z are taken as they are stored, towards the patient's left, back and head"


@dataclass(frozen=True, slots=True)
class Image:
    """One multiscale image.

    Attributes
    ----------
    series : str
        Which of the folder's images, e.g. "labels/liver"; "" for the folder's own.
    axes : Axes
    levels : tuple of Stored
        Finest first.
    grids : tuple of Geometry
        One a level.
    channels, timepoints : int
    channel_names : tuple of str
    is_labels : bool
    classes : tuple of LabelClass
    modality, units : str
    notes : tuple of str
    """

    series: str
    axes: Axes
    levels: tuple[Stored, ...]
    grids: tuple[Geometry, ...]
    channels: int
    timepoints: int
    channel_names: tuple[str, ...]
    is_labels: bool
    classes: tuple[LabelClass, ...]
    modality: str
    units: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """An image that the folder names, not yet looked at."""

    series: str
    group: Group
    index: int = 0


def listed(path: Path) -> list[Named]:
    """The images that a folder names, its own first, then its label maps.

    Raises
    ------
    UnreadableFileError
        When it is no OME-Zarr, a plate, or names no image.
    """
    with typed(path):
        return _listed(path)


def _listed(path: Path) -> list[Named]:
    root = open_group(path, path)
    if root is None:
        what = "holds no OME-Zarr metadata" if path.is_dir() else "is a file, and OME-Zarr is a folder"
        raise UnreadableFileError(what, where=path, todo="Choose the folder that holds zarr.json or .zattrs")
    if "plate" in root.ome or "well" in root.ome:
        raise UnreadableFileError("is a plate of many images", where=path, todo="Choose one image: a folder such as A/1/0 in it")
    found = list(_images(root))
    if not found:
        raise UnreadableFileError("names no image: it has no multiscales", where=path, todo="Choose the folder of the image, or export it as OME-Zarr")
    return found


def _images(group: Group, prefix: str = "") -> Iterator[Named]:
    multiscales = group.ome.get("multiscales")
    if isinstance(multiscales, list):
        for index in range(len(multiscales[:LEVELS])):
            yield Named(prefix if index == 0 else f"{prefix}#{index}", group, index)
    if group.ome.get("bioformats2raw.layout") is not None and not prefix:
        for name in _collection(group):
            below = open_group(group.root, group.child(name))
            if below is not None:
                yield from _images(below, name)
    labels = open_group(group.root, group.child("labels"))
    names = labels.ome.get("labels") if labels is not None else group.ome.get("labels")
    for name in names if isinstance(names, list) else []:
        home = labels or group
        below = open_group(group.root, home.child(name))
        if below is not None:
            below_prefix = "/".join(part for part in (prefix, "labels" if labels else "", str(name)) if part)
            yield Named(below_prefix, below)


def _collection(group: Group) -> list[str]:
    told = open_group(group.root, group.child("OME"))
    names = told.ome.get("series") if told is not None else None
    if isinstance(names, list):
        return [name for name in names if isinstance(name, str)]
    return sorted((entry.name for entry in group.folder.iterdir() if entry.name.isdecimal()), key=int)


def load(named: Named) -> Image:
    """Look at an image's metadata and those of its arrays.

    Raises
    ------
    UnreadableFileError
        When they make no sense, lead out of the folder, or are of a kind not read here.
    """
    with typed(named.group.root):
        return _load(named)


def _load(named: Named) -> Image:
    group, where = named.group, named.group.root
    told = group.ome["multiscales"][named.index] if isinstance(group.ome.get("multiscales"), list) else None
    if not isinstance(told, dict):
        raise UnreadableFileError("its multiscales cannot be understood", where=where, todo=AGAIN)
    axes = parse_axes(told.get("axes"), where)
    datasets = told.get("datasets")
    if not isinstance(datasets, list) or not 1 <= len(datasets) <= LEVELS or not all(isinstance(one, dict) for one in datasets):
        raise UnreadableFileError("its multiscales list no levels", where=where, todo=AGAIN)
    levels = tuple(stored(where, group.child(one.get("path"))) for one in datasets)
    if any(len(level.shape) != len(axes.letters) for level in levels):
        raise UnreadableFileError(f"its arrays do not have the {len(axes.letters)} axes that its metadata name", where=where, todo=AGAIN)
    notes = [*axes.notes]
    whole = _transform(told.get("coordinateTransformations"), axes, where) or _Transform(np.ones(3), np.zeros(3))
    lengths, placed = _in_space(np.array(axes.millimetres), axes, 1.0), []
    for level, one in zip(levels, datasets, strict=True):
        own = _transform(one.get("coordinateTransformations"), axes, where)
        if own is None:
            ratio = np.array(_spatial(levels[0].shape, axes), float) / np.array(_spatial(level.shape, axes), float)
            own = _Transform(ratio, np.zeros(3))
            notes += ["says no voxel size: 1 mm is taken"] * (level is levels[0])
        placed.append(_Transform(lengths * whole.scale * own.scale, lengths * (whole.scale * own.translation + whole.translation)))
    kept = group.attributes.get(OWN)
    own_grid = _own_grid(kept, _spatial(levels[0].shape, axes), placed[0])
    if own_grid is not None:
        direction = own_grid.direction
    elif axes.orientation is not None:
        direction = axes.orientation
    else:
        direction = IDENTITY
        notes.append(AS_STORED)
    grids = [_grid(_spatial(level.shape, axes), at, direction, where) for level, at in zip(levels, placed, strict=True)]
    sizes = dict(zip(axes.letters, levels[0].shape, strict=True))
    channels, times = sizes.get("c", 1), sizes.get("t", 1)
    notes += [f"holds {times} timepoints, opened as channels"] * (times > 1)
    kept = kept if isinstance(kept, dict) else {}
    is_labels = isinstance(group.ome.get("image-label"), dict)
    return Image(
        named.series, axes, levels, (own_grid or grids[0], *grids[1:]), channels, times,
        _channel_names(group.ome.get("omero"), channels, times), is_labels,
        classes_of(group.ome["image-label"], kept.get("classes")) if is_labels else (),
        _text(kept.get("modality")), _text(kept.get("units")), tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Transform:
    """Scale and translation of z, y, x."""

    scale: npt.NDArray[np.float64]
    translation: npt.NDArray[np.float64]


def _transform(found: object, axes: Axes, where: Path) -> _Transform | None:
    """Compose a list of transformations, in the units of the axes; None where there is none."""
    if found is None:
        return None
    entries = found if isinstance(found, list) else [None]
    scale, translation = np.ones(len(axes.letters)), np.zeros(len(axes.letters))
    for entry in entries[:LEVELS]:
        told = entry if isinstance(entry, dict) else {}
        kind = told.get("type")
        numbers: Any = told.get(kind) if kind in ("scale", "translation") else []
        if kind not in ("identity", "scale", "translation") or not _numbers(numbers, 0 if kind == "identity" else len(axes.letters)):
            raise UnreadableFileError("its voxel size or position cannot be understood", where=where, todo=AGAIN)
        if kind == "scale":
            scale, translation = scale * numbers, translation * numbers
        elif kind == "translation":
            translation = translation + numbers
    made = _Transform(_in_space(scale, axes, 1.0), _in_space(translation, axes, 0.0))
    if not np.isfinite(made.scale).all() or (made.scale == 0).any():
        raise UnreadableFileError("its metadata give a voxel size of zero or infinity", where=where, todo="Correct the scale, or export it again")
    return made if entries else None


def _numbers(found: object, count: int) -> bool:
    return isinstance(found, list) and len(found) == count and all(type(n) in (int, float) and abs(n) < 1e18 for n in found)


def _in_space(values: npt.NDArray[np.float64], axes: Axes, missing: float) -> npt.NDArray[np.float64]:
    return np.array([values[axes.letters.index(letter)] if letter in axes.letters else missing for letter in "zyx"])


def _spatial(shape: tuple[int, ...], axes: Axes) -> Shape:
    z, y, x = (shape[axes.letters.index(letter)] if letter in axes.letters else 1 for letter in "zyx")
    return z, y, x


def _grid(shape: Shape, at: _Transform, direction: tuple[float, ...], where: Path) -> Geometry:
    """The grid of a level whose axes run along `direction`, or against it where the scale is negative."""
    matrix = np.reshape(direction, (3, 3))
    origin = matrix @ at.translation[::-1]
    try:
        return _geometry(shape, np.abs(at.scale), origin + 0.0, (matrix * np.sign(at.scale[::-1])).ravel() + 0.0)
    except InvalidInputError as error:
        raise UnreadableFileError(error.what, where=where, todo=error.todo or AGAIN) from error


def _own_grid(found: object, shape: Shape, at: _Transform) -> Geometry | None:
    """The exact grid written here, unless another program has changed size or spacing since."""
    if not isinstance(found, dict) or found.get("shape_zyx") != list(shape):
        return None
    spacing, origin, direction = (found.get(key) for key in ("spacing_mm_zyx", "origin_lps", "direction"))
    if not (_numbers(spacing, 3) and _numbers(origin, 3) and _numbers(direction, 9)) or not np.allclose(spacing, at.scale, rtol=1e-6, atol=0):  # type: ignore[arg-type]
        return None
    try:
        grid = _geometry(shape, *(np.array(values, float) for values in (spacing, origin, direction)))
    except InvalidInputError:
        return None
    here = grid.matrix @ at.translation[::-1]
    return grid if math.dist(here, grid.origin) <= 0.01 * min(grid.spacing) else None


def _geometry(shape: Shape, spacing: npt.NDArray[np.float64], origin: npt.NDArray[np.float64], direction: npt.NDArray[np.float64]) -> Geometry:
    return Geometry(shape, tuple(spacing.tolist()), tuple(origin.tolist()), tuple(direction.tolist()))


def _channel_names(omero: object, channels: int, times: int) -> tuple[str, ...]:
    """A name for each channel, or for each timepoint of each channel."""
    found = omero.get("channels") if isinstance(omero, dict) else None
    entries = found if isinstance(found, list) and len(found) == channels else []
    names = [_text(entry.get("label")) if isinstance(entry, dict) else "" for entry in entries]
    names = names if all(names) else []
    if times == 1:
        return tuple(names)
    if channels == 1:
        return tuple(f"t {t + 1}" for t in range(times))
    return tuple(f"t {t + 1}, {name}" for name in names or [f"part {c + 1}" for c in range(channels)] for t in range(times))


def _text(found: object) -> str:
    return " ".join(found.split())[:200] if isinstance(found, str) else ""

