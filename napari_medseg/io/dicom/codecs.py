"""Compressed pixels: pydicom's decoders first, then GDCM through SimpleITK, which also knows lossless and 12-bit JPEG."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.frames import Frame
from napari_medseg.io.dicom.headers import EXPLICIT, NATIVE
from napari_medseg.io.itk import quiet_itk
from napari_medseg.volume import Array

RLE = "1.2.840.10008.1.2.5"
JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)}
JPEG_LS = {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)}
JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)}
GDCM_ONLY = {f"1.2.840.10008.1.2.4.{n}" for n in (51, 57, 70)}
KNOWN = {RLE, *JPEG, *JPEG_LS, *JPEG_2000}
FASTEST = {RLE: "pylibjpeg", **dict.fromkeys(JPEG_2000, "pylibjpeg")}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_gdcm = threading.Lock()


def is_known(syntax: str) -> bool:
    """Whether a compressed transfer syntax can be decoded here."""
    return syntax in KNOWN


def title_of(syntax: str) -> str:
    """A transfer syntax' name and UID."""
    from pydicom.uid import UID

    name = UID(syntax).name
    return f"{name} ({syntax})" if name != syntax else f"transfer syntax {syntax}"


def decode(frame: Frame, data: bytes) -> Array:
    """Decode one frame.

    Parameters
    ----------
    frame : Frame
    data : bytes
        Its compressed bytes, without the items around them; or subsampled YBR as it lies.

    Returns
    -------
    (rows, columns) as stored, or (rows, columns, 3) as RGB

    Raises
    ------
    HeaderFault
        When no decoder understands them.
    """
    syntax = frame.header.syntax
    size = coded_size(data, syntax)
    if size is not None and size != (frame.rows, frame.columns):
        raise HeaderFault(f"holds a compressed picture of {size[1]} x {size[0]} instead of {frame.columns} x {frame.rows} pixels")
    plane = None
    for way in _ways(syntax):
        try:
            plane = way(frame, data)
            break
        except (ArithmeticError, AttributeError, ImportError, LookupError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError):
            continue  # decoders report damage in every way there is
    wanted = (frame.rows, frame.columns) if frame.samples == 1 else (frame.rows, frame.columns, frame.samples)
    if plane is None or plane.shape != wanted:
        raise HeaderFault(f"holds pixels that are damaged ({title_of(syntax)})")
    return np.asarray(plane)


def coded_size(data: bytes, syntax: str) -> tuple[int, int] | None:
    """Rows and columns as the compressed picture itself gives them; None when it does not.

    A decoder takes memory for what the picture says, whatever the DICOM header says.
    """
    if syntax in JPEG_2000:
        at = data.find(b"\xff\x4f\xff\x51", 0, 4096)
        across, down, left, top = (int.from_bytes(data[at + n : at + n + 4], "big") for n in (8, 12, 16, 20))
        return (down - top, across - left) if at >= 0 else None
    if syntax not in JPEG | JPEG_LS:
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in START_OF_FRAME:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _ways(syntax: str) -> Iterator[Any]:
    if syntax not in GDCM_ONLY:
        yield _by_pydicom
    if syntax in JPEG:
        yield _by_gdcm
    if syntax == "1.2.840.10008.1.2.4.51":
        yield _by_pydicom


def _by_pydicom(frame: Frame, data: bytes) -> Array:
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

    packed = frame.header.syntax not in NATIVE
    syntax = frame.header.syntax if packed else EXPLICIT
    decoder = get_decoder(syntax)
    plugin = FASTEST.get(syntax, "")
    source = encapsulate([data], has_bot=False) if packed else data
    array, _ = decoder.as_array(
        source, index=0, validate=False, raw=frame.samples == 1, decoding_plugin=plugin if plugin in decoder.available_plugins else "", **_options(frame),
    )
    return np.asarray(array)


@contextmanager
def _quiet_gdcm() -> Iterator[None]:
    """Keep off stderr what GDCM's JPEG library prints there while it looks for the right precision, a dozen lines a slice."""
    with _gdcm:
        try:
            kept = os.dup(2)
        except OSError:  # a window without a console has no stderr
            yield
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)


def _options(frame: Frame) -> dict[str, Any]:
    data = frame.data
    bits = data.whole(tags.BITS_STORED, frame.bits)
    return {
        "rows": frame.rows, "columns": frame.columns, "number_of_frames": 1, "samples_per_pixel": frame.samples, "bits_allocated": frame.bits,
        "bits_stored": bits, "pixel_representation": data.whole(tags.SIGNED, 0), "pixel_keyword": "PixelData",
        "photometric_interpretation": data.text(tags.PHOTOMETRIC) or "MONOCHROME2", "planar_configuration": data.whole(tags.PLANAR, 0),
    }


def _by_gdcm(frame: Frame, data: bytes) -> Array:
    """Through a file of its own that holds the pixels and nothing else."""
    from pydicom import Dataset, dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import generate_uid

    meta, alone = FileMetaDataset(), Dataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = frame.header.syntax, SECONDARY_CAPTURE, generate_uid()
    alone.file_meta, alone.SOPClassUID, alone.SOPInstanceUID, alone.Modality = meta, SECONDARY_CAPTURE, meta.MediaStorageSOPInstanceUID, "OT"
    alone.Rows, alone.Columns, alone.SamplesPerPixel, alone.BitsAllocated = frame.rows, frame.columns, frame.samples, frame.bits
    options = _options(frame)
    alone.BitsStored, alone.PixelRepresentation = options["bits_stored"], options["pixel_representation"]
    alone.HighBit, alone.PhotometricInterpretation = alone.BitsStored - 1, options["photometric_interpretation"]
    if frame.samples > 1:
        alone.PlanarConfiguration = options["planar_configuration"]
    alone.PixelData = encapsulate([data], has_bot=False)
    alone["PixelData"].VR = "OB"
    with tempfile.TemporaryDirectory(prefix="medseg-") as folder:
        path = Path(folder, "frame.dcm")
        dcmwrite(path, alone, enforce_file_format=True)
        with quiet_itk(), _quiet_gdcm():
            image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
    array = np.asarray(sitk.GetArrayFromImage(image))
    return array.reshape(array.shape[1:]) if image.GetDimension() == 3 else array
