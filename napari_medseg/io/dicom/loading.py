"""One stack as an array, slice by slice straight into its place, the middle slice first."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.dicom.frames import Frame
from napari_medseg.io.dicom.pixels import PixelReader
from napari_medseg.io.dicom.stacks import Stack
from napari_medseg.io.dicom.values import Scale, padding_of
from napari_medseg.io.memory import allocate
from napari_medseg.volume import Array, Volume

BLOCK = 16  # slices that a thread reads before it tells
AIR_HU = -1000.0


@dataclass(frozen=True, slots=True)
class Loading:
    """How far a volume has come.

    Attributes
    ----------
    volume : Volume
        Its array goes on being filled; the last one has more notes when values had to be replaced.
    slices : tuple of int
        Those that came in this step.
    fraction : float
        0-1 of all slices.
    """

    volume: Volume
    slices: tuple[int, ...]
    fraction: float


@dataclass(frozen=True, slots=True)
class _Job:
    """One slice: where it comes from, where it goes."""

    frame: Frame
    scale: Scale
    out: Array
    index: int
    offset: tuple[float, float] | None = None


def load(stack: Stack, *, zeros: bool = False) -> Iterator[Loading]:
    """Read a stack: first the middle slice of the first channel, then the others, by as many threads as there are cores.

    Parameters
    ----------
    zeros : bool
        Slices that have not come hold 0, for those who show the array while it comes.

    Raises
    ------
    MedsegError
        The stack's trouble, or damaged pixels.
    """
    if stack.trouble is not None:
        raise stack.trouble
    with closing(PixelReader()) as reader:
        yield from _loaded(stack, reader, zeros)


def _loaded(stack: Stack, reader: PixelReader, zeros: bool) -> Iterator[Loading]:
    for part in stack.parts:
        for frame in part.slices:
            reader.prepare(frame)
    middle = len(stack.parts[0].slices) // 2
    first = stack.parts[0].slices[middle]
    planes = 3 if stack.colours > 1 else 1
    trial = np.empty((planes, first.rows, first.columns) if planes > 1 else (first.rows, first.columns), stack.dtype)
    reader.read(first, stack.scales[0][middle], trial)  # decoded once before all memory is taken: damage shows
    channels = len(stack.parts) * planes
    array = allocate((*((channels,) if channels > 1 else ()), *stack.geometry.shape), stack.dtype, zeros=zeros)
    if stack.straight is not None:
        array.fill(_outside(stack))
    jobs = _jobs(stack, array)
    volume = Volume(
        array, stack.geometry, name=stack.title, modality=stack.modality, source=stack.where, notes=stack.notes, units=stack.units,
        channel_names=stack.channel_names, series=stack.series,
    )
    lost = _read(jobs[middle], reader)
    yield Loading(volume, (middle,), 1 / len(jobs))
    rest = [jobs[k] for k in sorted(range(len(jobs)), key=lambda k: abs(k - middle)) if k != middle]
    blocks = [rest[k : k + BLOCK] for k in range(0, len(rest), BLOCK)]
    done = 1
    stop = threading.Event()
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        for task in as_completed([pool.submit(_read_block, block, reader, stop) for block in blocks]):
            slices, more = task.result()
            lost, done = lost + more, done + len(slices)
            yield Loading(volume, slices, done / len(jobs))
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    finished = _finished(stack, volume, lost)
    if finished is not volume:
        yield Loading(finished, (), 1.0)


def _jobs(stack: Stack, array: Array) -> list[_Job]:
    four = array if array.ndim == 4 else array[None]
    planes = 3 if stack.colours > 1 else 1
    jobs = []
    for channel, (part, scales) in enumerate(zip(stack.parts, stack.scales, strict=True)):
        for index, (frame, scale) in enumerate(zip(part.slices, scales, strict=True)):
            out = four[:, index] if planes > 1 else four[channel, index]
            offset = None if stack.straight is None else tuple(float(v) for v in stack.straight.offsets[index])
            jobs.append(_Job(frame, scale, out, index, offset))  # type: ignore[arg-type]
    return jobs


def _read_block(block: list[_Job], reader: PixelReader, stop: threading.Event) -> tuple[tuple[int, ...], int]:
    """Read slices until told to stop; gives which, and how many values were cut off."""
    return tuple(job.index for job in block), sum(_read(job, reader) for job in block if not stop.is_set())


def _read(job: _Job, reader: PixelReader) -> int:
    if job.offset is None:
        return reader.read(job.frame, job.scale, job.out)
    plane = np.empty((job.frame.rows, job.frame.columns), job.out.dtype)
    lost = reader.read(job.frame, job.scale, plane)
    _put(plane, job.offset, job.out)
    return lost


def _put(plane: Array, offset: tuple[float, float], out: Array) -> None:
    """Put a plane down at a fraction of a pixel, linear between pixels; what it does not cover is left."""
    moved = plane.astype(np.float64)
    for axis, shift in enumerate(offset):
        part = shift - int(shift)
        if part > 1e-6:
            wide = np.pad(moved, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            ahead, behind = (np.take(wide, range(a, wide.shape[axis] - 1 + a), axis) for a in (1, 0))
            moved = (1 - part) * ahead + part * behind
    down, across = (int(shift) for shift in offset)
    target = out[down : down + moved.shape[0], across : across + moved.shape[1]]
    moved = moved[: target.shape[0], : target.shape[1]]
    target[...] = np.rint(moved) if out.dtype.kind != "f" else moved


def _outside(stack: Stack) -> float:
    """What voxels hold that no slice covers."""
    padding = padding_of(stack.parts[0].slices[0], stack.scales[0][0]) if stack.colours == 1 else None
    if padding is not None and (np.dtype(stack.dtype).kind == "f" or np.iinfo(stack.dtype).min <= padding <= np.iinfo(stack.dtype).max):
        return padding
    return AIR_HU if stack.units == "HU" else 0.0


def _finished(stack: Stack, volume: Volume, lost: int) -> Volume:
    """With notes on values that had to be cut off or replaced.

    Raises
    ------
    UnreadableFileError
        When no value is a finite number.
    """
    notes: tuple[str, ...] = ()
    if lost:
        bounds = np.iinfo(volume.array.dtype)
        notes = (f"{lost} values lay outside {bounds.min} to {bounds.max} {volume.units} and were set to the nearest of these",)
    if any(scale.stored.kind == "f" for scales in stack.scales for scale in scales):
        notes += _numbers_only(volume.array, stack)
    return replace(volume, notes=volume.notes + notes) if notes else volume


def _numbers_only(array: Array, stack: Stack) -> tuple[str, ...]:
    """Replace, slice by slice, NaN and infinities by the smallest or largest number there is."""
    planes = array.reshape(-1, *array.shape[-2:])
    count, low, high = 0, math.inf, -math.inf
    for plane in planes:
        finite = plane[np.isfinite(plane)]
        count += plane.size - finite.size
        low, high = min(low, float(finite.min(initial=math.inf))), max(high, float(finite.max(initial=-math.inf)))
    if not count:
        return ()
    if count == array.size:
        raise UnreadableFileError("holds no number, only NaN or infinite values", where=stack.where, todo="Export it again")
    for plane in planes:
        np.nan_to_num(plane, copy=False, nan=low, posinf=high, neginf=low)
    return (f"{count} of {array.size} values were not finite numbers and were set to the smallest ({low:g}), or the largest for +infinity",)
