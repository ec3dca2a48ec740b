"""The images of DICOM files by their place in the patient, as a file that refers to them needs them."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import generate_uid

from napari_medseg.errors import MedsegError, UnreadableFileError

Header = Any  # pydicom.Dataset, which has no types

TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PositionReferenceIndicator", "Modality", "SeriesNumber",
    "SeriesDescription", "AcquisitionNumber", "InstanceNumber", "ImageType", "Rows", "Columns", "NumberOfFrames", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "DimensionOrganizationType", "ImageOrientationSlide",
]
FAULTS = (
    ArithmeticError, AssertionError, AttributeError, BytesLengthException, EOFError, InvalidDicomError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError, struct.error, zlib.error,
)
"""What pydicom raises for bytes that are no sound DICOM."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One image of a series.

    Attributes
    ----------
    header : Dataset
        Of its file.
    frame : int
        Its number in a multi-frame file, from 1; 0 when the file is this one image.
    position : (x, y, z) LPS mm of the centre of the first pixel
    orientation : six cosines, of a row and of a column
    spacing : mm from row to row and from column to column
    order : tuple
        What sorts the images that lie at one place.
    moved : bool
        Whether the position is that of its slice on an even grid and not quite its own.
    """

    header: Header
    frame: int
    position: npt.NDArray[np.float64]
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    order: tuple[int, ...]
    moved: bool = False

    @property
    def uid(self) -> str:
        """Of its file."""
        return str(self.header.SOPInstanceUID)

    def corners(self) -> npt.NDArray[np.float64]:
        """LPS mm of the first pixel, the last of the first row and the last of the first column, (3, 3)."""
        across = np.array(self.orientation[:3]) * self.spacing[1] * (int(self.header.Columns) - 1)
        down = np.array(self.orientation[3:]) * self.spacing[0] * (int(self.header.Rows) - 1)
        return np.stack([self.position, self.position + across, self.position + down])


@contextmanager
def sound(path: Path) -> Iterator[None]:
    """Turn whatever pydicom makes of damaged bytes into one error, and keep its warnings to itself.

    Raises
    ------
    UnreadableFileError
        For everything but our own errors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MedsegError:
        raise
    except FAULTS as error:
        raise UnreadableFileError("is no sound DICOM file", where=path, todo="Copy or export it again") from error


def planes_of(header: Header) -> list[Plane]:
    """The images of a file that lie in a patient; [] when it holds none or its numbers make no sense."""
    try:
        if "Rows" not in header or "Columns" not in header or str(header.get("Modality", "")) in ("SEG", "RTDOSE"):
            return []
        order = tuple(int(header.get(name) or 0) for name in ("AcquisitionNumber", "InstanceNumber"))
        if "PerFrameFunctionalGroupsSequence" not in header:
            places = [(0, header.get("ImagePositionPatient"), header.get("ImageOrientationPatient"), header.get("PixelSpacing"))]
        else:
            places = [(k, *place) for k, place in enumerate(_frames(header), 1)]
        planes = []
        for frame, position, orientation, spacing in places:
            numbers = [float(v) for part in (position, orientation, spacing) for v in part or ()]
            if len(numbers) == 11 and np.isfinite(numbers).all() and min(numbers[9:]) > 0:
                planes.append(Plane(header, frame, np.array(numbers[:3]), tuple(numbers[3:9]), (numbers[9], numbers[10]), (*order, frame)))
    except FAULTS:
        return []
    return planes


def frame_of_reference(header: Header) -> str:
    """The patient's coordinate system; made from the series when the scanner named none, always the same for one series."""
    named = str(header.get("FrameOfReferenceUID", "") or "")
    return named or str(generate_uid(entropy_srcs=["frame of reference", str(header.get("SeriesInstanceUID", ""))]))


def group(header: Header, item: Any, name: str) -> Any:
    """A functional group of a frame: its own, else the one all frames share; None when there is none."""
    shared = header.get("SharedFunctionalGroupsSequence") or [{}]
    found = item.get(name) or shared[0].get(name)
    return found[0] if found else None


def _frames(header: Header) -> Iterator[tuple[Any, Any, Any]]:
    """Position, orientation and spacing of each frame."""
    for item in header.PerFrameFunctionalGroupsSequence:
        place, plane, pixels = (group(header, item, f"{name}Sequence") for name in ("PlanePosition", "PlaneOrientation", "PixelMeasures"))
        yield (
            place and place.get("ImagePositionPatient"), plane and plane.get("ImageOrientationPatient"), pixels and pixels.get("PixelSpacing"),
        )
