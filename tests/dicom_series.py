"""DICOM series as scanners store them, for tests: one file a slice, on any grid that a scanner can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_medseg.volume import Geometry


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
