"""RTSTRUCT written: each class as closed planar outlines on the images that the labels were drawn on (PS3.3, A.19).

Outlines are CLOSED_PLANAR. Holes are joined to their outline by a channel of no width ("keyhole", C.8.8.6.3): radiotherapy systems that take the union of
a slice's outlines, those that take their parity and those that count windings read the same.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from napari_medseg.io.dicomlabels.contours import Points, outlines
from napari_medseg.io.dicomlabels.identity import NAME, PATIENT_AND_STUDY, anonymous, sources, version
from napari_medseg.io.dicomlabels.reference import reference
from napari_medseg.io.dicomlabels.terms import TISSUE, Described, character_set, concept, long_text
from napari_medseg.io.dicomlabels.writing import classes_to_write, writing
from napari_medseg.io.dicomplanes import Header, Plane
from napari_medseg.io.formats import Scan
from napari_medseg.notice import RESEARCH
from napari_medseg.volume import Array, Volume

CONTOUR_DATA = Tag("ContourData")
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as C.8.8.5 still asks for
NUMBER = 501  # of our series among a study's
CHOSEN = "SEMIAUTOMATIC"


def write_structures(volume: Volume, path: Path, scan: Scan) -> None:
    """Write a label map as RTSTRUCT.

    Raises
    ------
    As `io.write`.
    """
    array, told = classes_to_write(volume, path)
    ref = reference(scan, volume.geometry, path)
    stack = ref.stack(array)
    drawn = [(plane, stack[k]) for k in ref.drawn(stack, path) for plane in [ref.planes[k]] if plane is not None]
    planes = [plane for plane, _ in drawn]
    with writing(path, "structure set"):
        headers = dict(zip(dict.fromkeys(plane.uid for plane in planes), sources(planes, scan.anonymise), strict=True))
        data = _structure_set(planes, headers)
        data.SpecificCharacterSet = character_set(headers[planes[0].uid], told)
        for what in told:
            _add(data, what, drawn, headers)
        if scan.anonymise:
            anonymous(data)
        data.save_as(path, enforce_file_format=True)


def _structure_set(planes: list[Plane], headers: dict[str, Header]) -> Any:
    """All but the structures."""
    first, now = headers[planes[0].uid], datetime.now()  # local time, as DICOM's dates and times are
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # explicit lengths of decimal strings end at 64 KiB, which a long outline passes
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = RTStructureSetStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    for name in PATIENT_AND_STUDY:
        if name in first:
            data[name] = first[name]
    data.Modality, data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber, data.OperatorsName = "RTSTRUCT", generate_uid(), NUMBER, 1, ""
    data.Manufacturer = data.ManufacturerModelName = NAME
    data.SoftwareVersions, data.SeriesDescription, data.StructureSetLabel, data.ApprovalStatus = version(), "Segmentation", "SEGMENTATION", "UNAPPROVED"
    data.StructureSetDescription = RESEARCH
    data.InstanceCreationDate = data.StructureSetDate = now.strftime("%Y%m%d")
    data.InstanceCreationTime = data.StructureSetTime = now.strftime("%H%M%S")
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = first.FrameOfReferenceUID, ""
    series = _item(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=Sequence([_image(plane, headers) for plane in planes]))
    study = _item(ReferencedSOPClassUID=STUDY_CLASS, ReferencedSOPInstanceUID=first.StudyInstanceUID, RTReferencedSeriesSequence=Sequence([series]))
    frame = _item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=Sequence([study]))
    data.ReferencedFrameOfReferenceSequence = Sequence([frame])
    data.StructureSetROISequence, data.ROIContourSequence, data.RTROIObservationsSequence = Sequence(), Sequence(), Sequence()
    return data


def _add(data: Any, what: Described, drawn: list[tuple[Plane, Array]], headers: dict[str, Header]) -> None:
    """Add one class: its name, its outlines and what it is."""
    data.StructureSetROISequence.append(
        _item(ROINumber=what.value, ReferencedFrameOfReferenceUID=data.FrameOfReferenceUID, ROIName=long_text(what.name), ROIGenerationAlgorithm=CHOSEN)
    )
    contours = [_contour(ring, plane, headers) for plane, labels in drawn for ring in outlines(labels == what.value)]
    region = _item(ROIDisplayColor=[round(255 * part) for part in what.colour], ReferencedROINumber=what.value)
    if contours:
        region.ContourSequence = Sequence(contours)
    data.ROIContourSequence.append(region)
    data.RTROIObservationsSequence.append(_item(
        ObservationNumber=what.value, ReferencedROINumber=what.value, RTROIIdentificationCodeSequence=Sequence([concept(what.code or TISSUE)]),
        RTROIInterpretedType="", ROIInterpreter="",
    ))


def _contour(ring: Points, plane: Plane, headers: dict[str, Header]) -> Any:
    item = _item(ContourImageSequence=Sequence([_image(plane, headers)]), ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=len(ring))
    text = "\\".join(f"{v:.5f}" for v in _points(ring, plane).ravel()).encode()
    text += b" " * (len(text) % 2)
    item[CONTOUR_DATA] = RawDataElement(CONTOUR_DATA, "DS", len(text), text, 0, True, True)  # as it will lie in the file: an object a number takes minutes
    return item


def _points(ring: Points, plane: Plane) -> Points:
    """LPS mm of rows and columns of an image."""
    axes = np.stack([np.array(plane.orientation[3:]) * plane.spacing[0], np.array(plane.orientation[:3]) * plane.spacing[1]])
    return np.asarray(plane.position + ring @ axes)


def _image(plane: Plane, headers: dict[str, Header]) -> Any:
    header = headers[plane.uid]
    item = _item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
    if plane.frame:
        item.ReferencedFrameNumber = plane.frame
    return item


def _item(**values: Any) -> Any:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item
