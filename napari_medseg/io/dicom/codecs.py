"""Compressed pixels: pydicom's decoders for JPEG 2000 and plain JPEG, pylibjpeg's for run lengths, GDCM for JPEG-LS and for lossless and 12-bit JPEG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from napari_medseg.io.dicom import tags
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.frames import Frame
from napari_medseg.io.dicom.gdcm import Gdcm
from napari_medseg.io.dicom.headers import EXPLICIT, NATIVE
from napari_medseg.volume import Array

RLE = "1.2.840.10008.1.2.5"
JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)}
JPEG_LS = {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)}
JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)}
GDCM_FIRST = {*JPEG_LS, *(f"1.2.840.10008.1.2.4.{n}" for n in (51, 57, 70))}  # JPEG-LS, too: any decoder of it may hang over damage, a process can be ended
KNOWN = {RLE, *JPEG, *JPEG_LS, *JPEG_2000}
FASTEST = dict.fromkeys(JPEG_2000, "pylibjpeg")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def is_known(syntax: str) -> bool:
    """Whether a compressed transfer syntax can be decoded here."""
    return syntax in KNOWN


def title_of(syntax: str) -> str:
    """A transfer syntax' name and UID."""
    from pydicom.uid import UID

    name = UID(syntax).name
    return f"{name} ({syntax})" if name != syntax else f"transfer syntax {syntax}"


def decode(frame: Frame, data: bytes, gdcm: Gdcm) -> Array:
    """Decode one frame.

    Parameters
    ----------
    frame : Frame
    data : bytes
        Its compressed bytes, without the items around them; or subsampled YBR as it lies.
    gdcm : Gdcm

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
    if size is None and (syntax in JPEG | JPEG_LS | JPEG_2000):
        raise HeaderFault(f"holds pixels that are damaged ({title_of(syntax)})")
    if size is not None and size != (frame.rows, frame.columns):
        raise HeaderFault(f"holds a compressed picture of {size[1]} x {size[0]} instead of {frame.columns} x {frame.rows} pixels")
    plane = None
    for way in _ways(syntax, gdcm):
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


def _ways(syntax: str, gdcm: Gdcm) -> Iterator[Callable[[Frame, bytes], Array]]:
    if syntax == RLE:
        yield _by_runs
    elif syntax not in GDCM_FIRST:
        yield _by_pydicom
    if syntax in JPEG | JPEG_LS:
        yield partial(_by_gdcm, gdcm)
    if syntax == "1.2.840.10008.1.2.4.51":
        yield _by_pydicom


def _by_runs(frame: Frame, data: bytes) -> Array:
    """Run lengths, a segment for each byte of a value, the highest first (PS3.5, G). Decoding whole pictures panics where a segment is too long."""
    from rle.utils import decode_segment  # type: ignore[attr-defined]

    head = np.frombuffer(data[:64], "<u4")
    count, width, size = int(head[0]), frame.bits // 8, frame.rows * frame.columns
    ends = [*(int(v) for v in head[2 : count + 1]), len(data)]
    if count != width * frame.samples:
        raise HeaderFault(f"holds {count} segments of run lengths instead of {width * frame.samples}")
    planes = np.empty((frame.samples, width, size), np.uint8)
    for segment, (start, end) in enumerate(zip((int(v) for v in head[1 : count + 1]), ends, strict=True)):
        if not 64 <= start < end <= len(data):
            raise HeaderFault("has run lengths that begin nowhere")
        found = np.frombuffer(decode_segment(data[start:end]), np.uint8)
        planes[segment // width, width - 1 - segment % width] = found[:size]
    values = np.ascontiguousarray(planes.transpose(2, 0, 1)).view(f"<u{width}").astype(f"{'i' if frame.data.whole(tags.SIGNED, 0) == 1 else 'u'}{width}")
    plane = values.reshape(frame.rows, frame.columns, frame.samples)
    if frame.samples == 1:
        return plane[..., 0]
    if frame.data.text(tags.PHOTOMETRIC) != "YBR_FULL":
        return plane
    from pydicom.pixels.processing import convert_color_space

    return np.asarray(convert_color_space(plane, "YBR_FULL", "RGB"))


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


def _options(frame: Frame) -> dict[str, Any]:
    data = frame.data
    bits = data.whole(tags.BITS_STORED, frame.bits)
    return {
        "rows": frame.rows, "columns": frame.columns, "number_of_frames": 1, "samples_per_pixel": frame.samples, "bits_allocated": frame.bits,
        "bits_stored": bits, "pixel_representation": data.whole(tags.SIGNED, 0), "pixel_keyword": "PixelData",
        "photometric_interpretation": data.text(tags.PHOTOMETRIC) or "MONOCHROME2", "planar_configuration": data.whole(tags.PLANAR, 0),
    }


def _by_gdcm(gdcm: Gdcm, frame: Frame, data: bytes) -> Array:
    """Through a file that holds the pixels and nothing else."""
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
    file = BytesIO()
    dcmwrite(file, alone, enforce_file_format=True)
    return gdcm.read(file.getvalue())
