"""DICOM series as scanners store them, for tests: one file a slice, on any grid that a scanner can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_medseg.volume import Geometry


def image(plane: np.ndarray, position=(0.0, 0.0, 0.0), orientation=(1, 0, 0, 0, 1, 0), syntax: str = ExplicitVRLittleEndian, **attributes) -> Dataset:
    """One slice of 12-bit CT; attributes by their keywords change it, None takes one away.

    Parameters
    ----------
    plane : (rows, columns) or (rows, columns, 3) as stored
    """
    meta, data = FileMetaDataset(), Dataset()
    data.SOPClassUID = attributes.pop("SOPClassUID", CTImageStorage)
    data.SOPInstanceUID = attributes.pop("SOPInstanceUID", None) or generate_uid()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, syntax, data.SOPInstanceUID
    data.file_meta = meta
    data.SeriesInstanceUID, data.StudyInstanceUID = "1.2.3.4", "1.2.3"
    data.PatientID, data.PatientName, data.PatientBirthDate, data.StudyDate = "secret-id", "Secret^Name", "19010203", "20200304"
    data.Modality, data.SeriesDescription, data.SeriesNumber, data.InstanceNumber = "CT", "Abdomen", 3, 1
    data.Rows, data.Columns, data.PixelSpacing, data.SliceThickness = *plane.shape[:2], [0.7, 0.8], 2.0
    data.ImagePositionPatient = [f"{v:.9f}"[:16] for v in position]
    data.ImageOrientationPatient = [f"{v:.12f}" for v in orientation]
    data.SamplesPerPixel, data.PhotometricInterpretation = (1, "MONOCHROME2") if plane.ndim == 2 else (3, "RGB")
    if plane.ndim == 3:
        data.PlanarConfiguration = 0
    bits = 8 * plane.dtype.itemsize
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits, bits - 1, int(plane.dtype.kind == "i")
    if plane.dtype == np.uint16:
        data.BitsStored, data.HighBit = 12, 11
    data.RescaleIntercept, data.RescaleSlope = -1024, 1
    for keyword, value in attributes.items():
        if value is not None:
            setattr(data, keyword, value)
        elif keyword in data:
            delattr(data, keyword)
    if "PixelData" not in attributes:
        data.PixelData = plane.tobytes() + b"\0" * (plane.nbytes % 2)
        data["PixelData"].VR = "OB" if bits == 8 else "OW"
    return data


def save(data: Dataset, path: Path) -> Path:
    """Write it as a file."""
    path.parent.mkdir(exist_ok=True, parents=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def save_series(folder: Path, voxels: np.ndarray, grid: Geometry, *, uid: str = "") -> list[Path]:
    """Write a CT series.

    Parameters
    ----------
    voxels : (z, y, x), 0-4095 as stored; the values mean 1024 HU less
    grid : Geometry
        Right-handed, since slices have no side of their own.
    uid : str
        Of the series; by default the same every time.
    """
    folder.mkdir(exist_ok=True, parents=True)
    uid, study, frame = uid or generate_uid(entropy_srcs=["series"]), generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["frame"])
    paths = []
    for k, plane in enumerate(voxels):
        meta, data = FileMetaDataset(), Dataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[uid, str(k)])
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID, uid, study
        data.FrameOfReferenceUID, data.PatientID, data.PatientName, data.PatientBirthDate, data.PatientSex = frame, "p", "p", "", ""
        data.StudyDate, data.StudyTime, data.AccessionNumber, data.StudyID, data.ReferringPhysicianName = "", "", "", "", ""
        data.Manufacturer, data.PatientPosition, data.PositionReferenceIndicator, data.ImageType = "none", "HFS", "", ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.Modality, data.SeriesDescription, data.SeriesNumber, data.InstanceNumber = "CT", "Abdomen", 3, k + 1
        data.Rows, data.Columns, data.SliceThickness = *plane.shape, f"{grid.spacing[0]:.10g}"
        data.PixelSpacing = [f"{s:.10g}" for s in grid.spacing[1:]]
        data.ImagePositionPatient = [f"{v:.9f}"[:16] for v in grid.world((k, 0, 0))]
        data.ImageOrientationPatient = [f"{v:.12f}" for v in grid.matrix[:, :2].T.ravel()]
        data.SamplesPerPixel, data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored, data.HighBit = 1, "MONOCHROME2", 16, 12, 11
        data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, -1024, 1, "HU"
        data.PixelData = plane.astype(np.uint16).tobytes()
        paths.append(folder / f"IM{k:04d}.dcm")
        pydicom.dcmwrite(paths[-1], data, enforce_file_format=True)
    return paths
