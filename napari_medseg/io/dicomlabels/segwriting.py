"""DICOM segmentations written through highdicom, on the planes of the images that the labels were drawn on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from napari_medseg.io.dicomlabels.identity import NAME, anonymous, sources, version
from napari_medseg.io.dicomlabels.reference import reference
from napari_medseg.io.dicomlabels.terms import Described, character_set, segment
from napari_medseg.io.dicomlabels.writing import classes_to_write, writing
from napari_medseg.io.dicomplanes import Plane
from napari_medseg.io.formats import Kind, Scan
from napari_medseg.notice import RESEARCH
from napari_medseg.volume import Array, Volume

NUMBER = 500  # of our series among a study's; scanners count from 1


def write_segmentation(volume: Volume, path: Path, scan: Scan) -> None:
    """Write a label map as DICOM SEG.

    Raises
    ------
    As `io.write`.
    """
    array, told = classes_to_write(volume, path)
    ref = reference(scan, volume.geometry, path)
    stack = ref.stack(array)
    kept = ref.drawn(stack, path)
    planes = [plane for k in kept for plane in [ref.planes[k]] if plane is not None]
    with writing(path, "segmentation"):
        made = _segmentation(planes, stack[kept], told, scan)
        for item in made.SegmentSequence:  # highdicom wants a family of algorithms for this, which a label map does not tell
            item.SegmentAlgorithmType, item.SegmentAlgorithmName = "SEMIAUTOMATIC", f"{NAME} {version()}"
        if scan.anonymise:
            anonymous(made)
        made.save_as(path)


def _numbered(stack: Array, told: list[Described], kind: Kind) -> tuple[list[Any], Array]:
    """The segments, and the labels by their numbers: the values themselves, or 1, 2, ... in BINARY, where the standard wants that."""
    if kind == "labelmap":
        return [segment(what.value, what) for what in told], np.ascontiguousarray(stack)
    numbers = np.zeros(max(what.value for what in told) + 1, np.uint8 if len(told) < 256 else np.uint16)
    for number, what in enumerate(told, 1):
        numbers[what.value] = number
    return [segment(number, what) for number, what in enumerate(told, 1)], numbers[stack]


def _segmentation(planes: list[Plane], stack: Array, told: list[Described], scan: Scan) -> Any:
    from highdicom.content import PlanePositionSequence
    from highdicom.seg import Segmentation

    headers = sources(planes, scan.anonymise)
    segments, numbers = _numbered(stack, told, scan.kind)
    places = None
    if planes[0].frame or any(plane.moved for plane in planes):
        places = [PlanePositionSequence("PATIENT", plane.position) for plane in planes]
    return Segmentation(
        headers, numbers, "LABELMAP" if scan.kind == "labelmap" else "BINARY", segments,
        series_instance_uid=generate_uid(), series_number=NUMBER, sop_instance_uid=generate_uid(), instance_number=1,
        manufacturer=NAME, manufacturer_model_name=NAME, software_versions=version(), device_serial_number="none",
        transfer_syntax_uid=RLELossless if scan.kind == "labelmap" else ExplicitVRLittleEndian,
        plane_positions=places, omit_empty_frames=False, content_label="SEGMENTATION", content_description=RESEARCH,
        series_description="Segmentation", specific_character_set=character_set(headers[0], told),
    )


