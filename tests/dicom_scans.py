"""Scans that labels are drawn on, as DICOM: a series of a patient with a name, and the same as one enhanced multi-frame file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from dicom_series import save_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from napari_medseg.volume import Geometry

SECRETS = {
    "PatientName": "Müller^Änne", "PatientID": "SECRET-4711", "PatientBirthDate": "19340506", "PatientSex": "F", "PatientAge": "091Y", "PatientWeight": "61",
    "OtherPatientIDs": "SECRET-4712", "PatientComments": "secret comment", "AccessionNumber": "SECRET-A", "StudyID": "SECRET-S", "StudyDate": "20240102",
    "StudyTime": "101112", "StudyDescription": "secret study", "ReferringPhysicianName": "Secret^Doctor", "InstitutionName": "Secret Clinic",
    "OperatorsName": "Secret^Operator", "SeriesDescription": "Secret series", "StationName": "SECRETSTN", "ProtocolName": "secret protocol",
    "IssuerOfPatientID": "SECRET-I", "AdmissionID": "SECRET-V", "SeriesDate": "20240103", "AcquisitionDate": "20240104", "DeviceSerialNumber": "SECRET-D",
}


def save_scan(folder: Path, voxels: np.ndarray, grid: Geometry, *, uid: str = "", number: int = 3, backwards: bool = False) -> list[Path]:
    """Write a series whose headers tell everything about the patient; `backwards` numbers and names the slices from the last to the first."""
    paths = save_series(folder, voxels, grid, uid=uid)
    for k, path in enumerate(paths):
        data = pydicom.dcmread(path)
        data.SpecificCharacterSet = "ISO_IR 100"
        for name, value in SECRETS.items():
            setattr(data, name, value)
        data.SeriesNumber, data.InstanceNumber = number, len(paths) - k if backwards else k + 1
        data.add_new(0x00091001, "LO", "secret private")
        data.save_as(path)
    if backwards:
        for k, path in enumerate(paths):
            path.rename(folder / f"B{len(paths) - k:04d}.dcm")
    return sorted(folder.glob("*.dcm"))


def save_enhanced(path: Path, voxels: np.ndarray, grid: Geometry, *, times: int = 1) -> Path:
    """Write the same as one enhanced file, its frames from the last slice to the first, and each place `times` times."""
    source = save_scan(path.parent / "parts", voxels, grid)
    data = pydicom.dcmread(source[0])
    frames = [pydicom.dcmread(p) for p in source][::-1] * times
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    data.Modality, data.NumberOfFrames = "MR", len(frames)
    shared, pixels = Dataset(), Dataset()
    pixels.PixelSpacing, pixels.SliceThickness, pixels.SpacingBetweenSlices = data.PixelSpacing, data.SliceThickness, data.SliceThickness
    shared.PixelMeasuresSequence = Sequence([pixels])
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence()
    for k, frame in enumerate(frames):
        item, place, plane, content = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient, plane.ImageOrientationPatient = frame.ImagePositionPatient, frame.ImageOrientationPatient
        content.TemporalPositionIndex, content.StackID, content.InStackPositionNumber = k // len(source) + 1, "1", k % len(source) + 1
        item.PlanePositionSequence, item.PlaneOrientationSequence, item.FrameContentSequence = Sequence([place]), Sequence([plane]), Sequence([content])
        data.PerFrameFunctionalGroupsSequence.append(item)
    data.PixelData = b"".join(frame.PixelData for frame in frames)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(data, name)
    for part in source:
        part.unlink()
    (path.parent / "parts").rmdir()
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path
