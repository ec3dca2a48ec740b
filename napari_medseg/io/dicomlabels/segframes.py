"""The frames of a DICOM segmentation: where each lies, which segment it is of, and its pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.dicom.headers import read_header
from napari_medseg.io.dicomplanes import group
from napari_medseg.volume import Array, Geometry

AGAIN = "Copy or export it again"
ON_GRID = 0.01  # voxels
UNEVEN = 0.05  # share of the step by which a plane may lie beside its place
LARGEST_FRAME = 1 << 26  # pixels of a compressed frame: nothing else tells how far they unpack
RLE_LIMIT = 64  # a run of 128 equal bytes takes two
FEWEST_SLICES = 2048  # that planes far apart may span whatever their number


@dataclass(frozen=True, slots=True)
class Frame:
    """One plane of one segment, or of all of them.

    Attributes
    ----------
    number : int
        From 1.
    segment : int
        Which segment; 0 for all.
    shape : rows, columns
    position : (x, y, z) LPS mm of the centre of the first pixel
    orientation : six cosines, of a row and of a column
    spacing : mm from row to row and from column to column
    step : float
        mm from plane to plane as the file gives it; 0 when it does not
    """

    number: int
    segment: int
    shape: tuple[int, int]
    position: npt.NDArray[np.float64]
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    step: float

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Of the plane, (x, y, z) in LPS."""
        return np.cross(self.orientation[:3], self.orientation[3:])


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames of one orientation and pixel size.

    Attributes
    ----------
    frames : list of Frame
    """

    frames: list[Frame]

    def geometry(self, path: Path) -> Geometry:
        """The grid they lie on, from the lowest plane to the highest along their normal.

        Raises
        ------
        UnreadableFileError
            When they are shifted against each other, at no even distances, or make no grid.
        """
        first = self.frames[0]
        offsets = np.array([frame.position - first.position for frame in self.frames])
        aside = np.abs(offsets @ np.reshape(first.orientation, (2, 3)).T) / first.spacing[::-1]
        if aside.max() > UNEVEN:
            raise UnreadableFileError("its planes are shifted against each other", where=path, todo="Name its scan with --like")
        heights = offsets @ first.normal
        places = np.unique(np.round(heights, 4))
        step = _step(places, first.step)
        slices = round(float(places[-1] - places[0]) / step) + 1
        indices = (places - places[0]) / step
        if np.abs(indices - np.rint(indices)).max() > UNEVEN or slices > max(FEWEST_SLICES, 16 * places.size):
            raise UnreadableFileError("its planes lie at uneven distances", where=path, todo="Name its scan with --like")
        matrix = np.column_stack([first.orientation[:3], first.orientation[3:], first.normal])
        x, y, z = (float(v) for v in self.frames[int(heights.argmin())].position)
        try:
            return Geometry((slices, *first.shape), (step, *first.spacing), (x, y, z), tuple(float(v) + 0.0 for v in matrix.ravel()))
        except InvalidInputError as error:
            raise UnreadableFileError(error.what, where=path, todo=error.todo or AGAIN) from error


def frames_of(data: Any, path: Path) -> list[Frame]:
    """Where the frames lie.

    Raises
    ------
    UnreadableFileError
        When a frame has no place in the patient, or there are not as many as the header says.
    """
    count, shape = int(data.get("NumberOfFrames") or 1), (int(data.Rows), int(data.Columns))
    items = data.get("PerFrameFunctionalGroupsSequence") or ()
    if count != len(items):
        raise UnreadableFileError(f"says that it holds {count} frames and describes {len(items)}", where=path, todo=AGAIN)
    if min(shape) < 1 or not data.get("SegmentSequence") or data.get("SegmentationType") not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise UnreadableFileError("is a segmentation without segments, type or size", where=path, todo=AGAIN)
    found = []
    for number, item in enumerate(items, 1):
        place, plane, pixels, which = (
            group(data, item, f"{name}Sequence") for name in ("PlanePosition", "PlaneOrientation", "PixelMeasures", "SegmentIdentification")
        )
        if place is None or plane is None or pixels is None:
            raise UnreadableFileError("has frames without a place in the patient (a slide?)", where=path, todo="Only segmentations of scans are read")
        position, orientation, spacing = place.ImagePositionPatient, plane.ImageOrientationPatient, pixels.PixelSpacing
        numbers = np.array([*position, *orientation, *spacing], float)
        if numbers.size != 11 or not np.isfinite(numbers).all() or min(numbers[9:]) <= 0:
            raise UnreadableFileError(f"frame {number} has a place that is no number", where=path, todo=AGAIN)
        step = float(pixels.get("SpacingBetweenSlices") or 0)
        segment = 0 if data.SegmentationType == "LABELMAP" or which is None else int(which.ReferencedSegmentNumber)
        if segment == 0 and data.SegmentationType != "LABELMAP":
            raise UnreadableFileError(f"frame {number} is of no segment", where=path, todo=AGAIN)
        found.append(Frame(number, segment, shape, numbers[:3], tuple(numbers[3:9].tolist()), (float(numbers[9]), float(numbers[10])), abs(step)))
    return found


def stacks_of(frames: list[Frame], path: Path) -> list[Stack]:
    """Frames by their orientation and pixel size."""
    found: dict[tuple[float, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        found[tuple(np.round([*frame.orientation, *frame.spacing], 3) + 0.0)].append(frame)
    return [Stack(part) for part in found.values()]


def check_size(data: Any, path: Path) -> None:
    """Refuse a header that promises more than the file holds.

    Raises
    ------
    UnreadableFileError
    """
    rows, columns, count, bits = int(data.Rows), int(data.Columns), int(data.NumberOfFrames), int(data.BitsAllocated)
    held = len(data.get("PixelData") or b"")
    if bits not in (1, 8, 16) or int(data.get("SamplesPerPixel") or 1) != 1:
        raise UnreadableFileError(f"has pixels of {bits} bits", where=path, todo="Export it as BINARY")
    needed = -(-rows * columns * count * bits // 8)
    syntax = data.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        fits = held >= needed
    elif syntax == "1.2.840.10008.1.2.5":
        fits = needed <= RLE_LIMIT * held
    else:
        fits = held >= count * 8 and rows * columns <= LARGEST_FRAME
    if not fits:
        raise UnreadableFileError("holds fewer pixels than its header says", where=path, todo=AGAIN)


def masks(data: Any, path: Path) -> Iterator[Array]:
    """The pixels of each frame: bool for one segment, the numbers of the segments for LABELMAP; (rows, columns)."""
    if data.SegmentationType == "LABELMAP":
        yield from _pixels(data, path)
        return
    least = 1.0
    if data.SegmentationType == "FRACTIONAL":
        least = float(data.MaximumFractionalValue) / 2
    for frame in _pixels(data, path):
        yield frame >= max(least, 0.5)


def placed(frame: Frame, array: Array, grid: Geometry, shape: tuple[int, ...]) -> Array | None:
    """The part of an array on a grid that a frame lies on, as (row, column); None when it lies on no such part within 0.01 voxel."""
    rows, columns = shape
    across, down = np.array(frame.orientation[:3]) * frame.spacing[1], np.array(frame.orientation[3:]) * frame.spacing[0]
    here = [frame.position, frame.position + across * (columns - 1), frame.position + down * (rows - 1), frame.position + across, frame.position + down]
    first, last_column, last_row, next_column, next_row = grid.voxel(np.array(here))
    a, d = int(np.abs(next_column - first).argmax()), int(np.abs(next_row - first).argmax())
    if a == d:
        return None
    start = np.rint(first).astype(int)
    sign_a, sign_d = (1 if (next_column - first)[a] > 0 else -1), (1 if (next_row - first)[d] > 0 else -1)
    stop_a, stop_d = start.copy(), start.copy()
    stop_a[a] += sign_a * (columns - 1)
    stop_d[d] += sign_d * (rows - 1)
    off = max(float(np.abs(found - wanted).max()) for found, wanted in ((first, start), (last_column, stop_a), (last_row, stop_d)))
    if off > ON_GRID or not grid.contains([start, stop_a, stop_d]).all():
        return None
    index: list[Any] = [int(start[k]) for k in range(3)]
    index[a] = slice(min(int(start[a]), int(stop_a[a])), max(int(start[a]), int(stop_a[a])) + 1)
    index[d] = slice(min(int(start[d]), int(stop_d[d])), max(int(start[d]), int(stop_d[d])) + 1)
    part: Array = array[tuple(index)]
    turned: Array = (part if d < a else part.T)[::sign_d, ::sign_a]
    return turned


def _step(places: npt.NDArray[np.float64], told: float) -> float:
    """Mm from plane to plane: as the file says where the planes agree, else the smallest distance."""
    gaps = np.diff(places)
    if told > 0 and (gaps.size == 0 or np.abs(gaps / told - np.rint(gaps / told)).max() < UNEVEN):
        return told
    return float((places[-1] - places[0]) / max(1, round(float((places[-1] - places[0]) / gaps.min())))) if gaps.size else 1.0


def _pixels(data: Any, path: Path) -> Iterator[Array]:
    rows, columns, count, bits = int(data.Rows), int(data.Columns), int(data.NumberOfFrames), int(data.BitsAllocated)
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from _unpacked(data, path)
        return
    size, stored = rows * columns, np.frombuffer(data.PixelData, np.uint8)
    order = "<" if data.file_meta.TransferSyntaxUID.is_little_endian else ">"
    for k in range(count):
        if bits == 1:
            start = k * size
            part = stored[start // 8 : -(-(start + size) // 8)]
            yield np.unpackbits(part, bitorder="little")[start % 8 : start % 8 + size].reshape(rows, columns)
        else:
            yield stored[k * size * bits // 8 : (k + 1) * size * bits // 8].view(f"{order}u{bits // 8}").reshape(rows, columns)


def _unpacked(data: Any, path: Path) -> Iterator[Array]:
    """Compressed frames."""
    from pydicom.encaps import generate_frames

    from napari_medseg.io.dicom.codecs import decode
    from napari_medseg.io.dicom.elements import HeaderFault
    from napari_medseg.io.dicom.frames import Frame as Picture
    from napari_medseg.io.dicom.gdcm import Gdcm

    header, gdcm, count = read_header(path), Gdcm(), int(data.NumberOfFrames)
    picture = Picture(header, 0, header.data, int(data.Rows), int(data.Columns), 1, int(data.BitsAllocated))
    found = 0
    try:
        for packed in islice(generate_frames(data.PixelData, number_of_frames=count), count):
            yield decode(picture, packed, gdcm)
            found += 1
    except HeaderFault as error:
        raise UnreadableFileError(str(error), where=path, todo=AGAIN) from error
    finally:
        gdcm.close()
    if found < count:
        raise UnreadableFileError(f"holds {found} of its {count} frames", where=path, todo=AGAIN)
