"""DICOM segmentations (SEG): BINARY, FRACTIONAL and LABELMAP (PS3.3, A.51 and C.8.20)."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import GridMismatchError, InvalidInputError, UnreadableFileError
from napari_medseg.io.dicom.headers import read_header
from napari_medseg.io.dicomlabels.segframes import Frame, Stack, check_size, frames_of, masks, placed, stacks_of
from napari_medseg.io.dicomlabels.terms import classes_of
from napari_medseg.io.dicomplanes import sound
from napari_medseg.io.formats import Scan, stem_of
from napari_medseg.io.memory import allocate
from napari_medseg.io.series import SeriesInfo
from napari_medseg.volume import Array, Geometry, Volume

SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
NAMED = 8  # segments that a description lists


def describe(path: Path) -> list[SeriesInfo]:
    """Its stacks of planes: one, unless it holds several orientations or pixel sizes.

    Raises
    ------
    UnreadableFileError
        When it is no segmentation, or damaged.
    """
    with opened(path, SOP_CLASSES, "segmentation", pixels=False) as data:
        stacks = stacks_of(frames_of(data, path), path)
        _, classes = classes_of(data.SegmentSequence, data)
        names = ", ".join(c.name for c in classes[:NAMED]) + (", ..." if len(classes) > NAMED else "")
        note = f"{len(classes)} segment{'s' * (len(classes) != 1)} ({data.SegmentationType}): {names}"
        return [_info(data, stack, k if len(stacks) > 1 else 0, path, note) for k, stack in enumerate(stacks, 1)]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read a segmentation.

    Parameters
    ----------
    series : str, optional
        Which stack, by its number from 1, when it holds several; or the file's series UID.
    like : Geometry, optional
        The grid of its scan, onto which its planes are put; without it, the planes' own.

    Returns
    -------
    LabelMap
        Values are the segments' numbers, or the values that this package wrote with them. Where segments overlap, the later has the voxel.

    Raises
    ------
    UnreadableFileError
        When it is no segmentation, or damaged.
    InvalidInputError
        When it holds several stacks and none was chosen.
    GridMismatchError
        When a plane does not lie on `like` within 0.01 voxel.
    """
    with opened(path, SOP_CLASSES, "segmentation") as data:
        frames = frames_of(data, path)
        check_size(data, path)
        stacks = stacks_of(frames, path)
        chosen = frames if like is not None and series is None else _chosen(stacks, series, data, path).frames
        grid = like if like is not None else _chosen(stacks, series, data, path).geometry(path)
        values, classes = classes_of(data.SegmentSequence, data)
        notes: list[str] = []
        array = _filled(data, frames, chosen, grid, values, notes, path)
        return LabelMap(
            array, grid, name=str(data.get("SeriesDescription") or "").strip() or stem_of(path), modality="SEG", source=path, notes=tuple(notes),
            series=str(data.get("SeriesInstanceUID", "")), classes=classes,
        )


def write_for(volume: Volume, path: Path, scan: Scan) -> None:
    """Write a label map for the scan it was drawn on; see `segwriting`."""
    from napari_medseg.io.dicomlabels.segwriting import write_segmentation

    write_segmentation(volume, path, scan)


@contextmanager
def opened(path: Path, classes: tuple[str, ...], title: str, *, pixels: bool = True) -> Iterator[Any]:
    """A DICOM file of a kind; whatever goes wrong with it inside the block is an UnreadableFileError.

    Raises
    ------
    UnreadableFileError
        When it is of another kind, or damaged.
    """
    with sound(path):
        header = read_header(path)
    if header.fault:
        raise UnreadableFileError(header.fault, where=path, todo="Copy or export it again")
    with sound(path), path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:  # no length in it can ask for more than is there
        data = pydicom.dcmread(view, stop_before_pixels=not pixels)
        if str(data.get("SOPClassUID", "")) not in classes:
            raise UnreadableFileError(f"is no DICOM {title}", where=path, todo="Open it by a name that ends in .dcm, or check what it is")
        yield data


def _info(data: Any, stack: Stack, number: int, path: Path, note: str) -> SeriesInfo:
    grid = stack.geometry(path)
    return SeriesInfo(
        grid.shape, grid.spacing, grid.origin, grid.direction, "uint8" if len(data.SegmentSequence) < 256 else "uint16", modality="SEG",
        series=str(number or data.get("SeriesInstanceUID", "")), title=str(data.get("SeriesDescription") or "").strip() or stem_of(path), notes=(note,),
    )


def _chosen(stacks: list[Stack], series: str | None, data: Any, path: Path) -> Stack:
    wanted = {str(k): stack for k, stack in enumerate(stacks, 1)}
    if series in wanted:
        return wanted[series]
    if len(stacks) == 1 and series in (None, "", str(data.get("SeriesInstanceUID", "")), str(data.get("SeriesDescription", ""))):
        return stacks[0]
    listed = "; ".join(f"{k}: {len(stack.frames)} frames, {stack.geometry(path)}" for k, stack in wanted.items())
    what = f"holds {len(stacks)} stacks of planes" if series is None else f"has no stack '{series}'"
    raise InvalidInputError(f"{what}: {listed}", where=path, todo="Choose one by its number with --series")


def _filled(data: Any, frames: list[Frame], chosen: list[Frame], grid: Geometry, values: dict[int, int], notes: list[str], path: Path) -> Array:
    """The voxels of the chosen frames on a grid."""
    array = allocate(grid.shape, np.uint8 if max(values.values(), default=0) <= 255 else np.uint16)
    array[...] = 0
    wanted = {id(frame) for frame in chosen}
    table: Array | None = None
    seen = np.zeros(65536, bool)
    if data.SegmentationType == "LABELMAP":
        table = np.zeros(65536, np.uint16)
        table[list(values)] = list(values.values())
    if data.SegmentationType == "FRACTIONAL":
        notes.append("its segments are fractions; voxels with a half or more of one were taken")
    overlaps = 0
    for frame, mask in zip(frames, masks(data, path), strict=True):
        if id(frame) not in wanted:
            continue
        view = placed(frame, array, grid, mask.shape)
        if view is None:
            raise GridMismatchError(
                f"frame {frame.number} lies on another grid than its scan", where=path,
                todo="Name the series it was drawn on, or open it without its scan and resample it with `medseg convert SRC DST --like SCAN`",
            )
        if table is not None:
            seen[: np.iinfo(mask.dtype).max + 1] |= np.bincount(mask.ravel(), minlength=np.iinfo(mask.dtype).max + 1) > 0
            view[...] = table[mask]
        elif mask.any():
            number = frame.segment
            if number not in values:
                raise UnreadableFileError(f"frame {frame.number} is of segment {number}, which the file does not describe", where=path, todo="Export it again")
            overlaps += int(np.count_nonzero(view[mask]))
            view[mask] = values[number]
    if overlaps:
        notes.append(f"{overlaps} voxels belong to several segments; the later one has them")
    unknown = [int(v) for v in np.flatnonzero(seen) if v and v not in values]
    if unknown:
        notes.append(f"values that no segment describes were left out: {', '.join(str(v) for v in unknown[:NAMED])}")
    return array


