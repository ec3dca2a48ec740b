"""A file cannot make the product open, read or write another file that lies outside its folder, whatever path it names."""

import os
import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from originals import SHAPE, image, scan, series
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from napari_medseg.errors import MedsegError
from napari_medseg.io import describe, read, read_labels

SECRET = 12345


@pytest.fixture
def elsewhere(tmp_path):
    """A raw file that would fit, outside the scan's folder: a value in it shows that it was read."""
    path = tmp_path / "elsewhere" / "secret.raw"
    path.parent.mkdir()
    path.write_bytes(np.full(SHAPE, SECRET, np.int16).tobytes())
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scan").mkdir()
    return tmp_path / "scan"


def paths_to(target, folder) -> list[str]:
    """Ways to name a file outside a folder."""
    relative = os.path.relpath(target, folder)
    return [relative, str(target), target.as_posix(), f"./{relative}", f"sub/../{relative}", target.as_uri(), f"LIST\n{relative}"]


def refuses(path) -> None:
    for look in (describe, read, read_labels):
        with pytest.raises(MedsegError) as caught:
            look(path)
        assert str(SECRET) not in str(caught.value)


@pytest.mark.parametrize("way", range(7))
def test_a_nrrd_header_cannot_name_data_outside_its_folder(folder, elsewhere, way):
    (folder / "sub").mkdir()
    path = folder / "scan.nhdr"
    sitk.WriteImage(image(scan()), str(path), useCompression=False)
    text = path.read_text(encoding="latin-1")
    assert "data file: scan.raw" in text
    path.write_text(text.replace("data file: scan.raw", f"data file: {paths_to(elsewhere, folder)[way]}"), encoding="latin-1")
    refuses(path)


@pytest.mark.parametrize("way", range(7))
def test_a_metaimage_header_cannot_name_data_outside_its_folder(folder, elsewhere, way):
    (folder / "sub").mkdir()
    path = folder / "scan.mhd"
    sitk.WriteImage(image(scan()), str(path), useCompression=False)
    text = path.read_text(encoding="latin-1")
    assert "ElementDataFile = scan.raw" in text
    path.write_text(text.replace("ElementDataFile = scan.raw", f"ElementDataFile = {paths_to(elsewhere, folder)[way]}"), encoding="latin-1")
    refuses(path)


@pytest.mark.parametrize("pattern", ["../elsewhere/secret%d.raw 1 5 1", "../elsewhere/secret%03d.raw 1 5 1 2"])
def test_a_pattern_of_data_files_cannot_leave_the_folder(folder, elsewhere, pattern):
    for k in range(1, 6):
        for name in (f"secret{k}.raw", f"secret{k:03d}.raw"):
            shutil.copyfile(elsewhere, elsewhere.parent / name)
    for name, key in (("scan.nhdr", "data file: "), ("scan.mhd", "ElementDataFile = ")):
        sitk.WriteImage(image(scan()), str(folder / name), useCompression=False)
        text = (folder / name).read_text(encoding="latin-1")
        (folder / name).write_text(text.replace(f"{key}scan.raw", f"{key}{pattern}"), encoding="latin-1")
        refuses(folder / name)


@pytest.mark.parametrize("opened", ["scan", "scan/DICOMDIR"])
def test_a_dicomdir_cannot_name_scans_outside_its_folder(tmp_path, folder, opened):
    series(tmp_path / "elsewhere")
    data = Dataset()
    data.FileSetID, data.DirectoryRecordSequence = "hostile", []
    for names in (["..", "elsewhere", "IM0000.dcm"], [str(tmp_path / "elsewhere" / "IM0001.dcm")]):
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", names
        record.ReferencedSOPClassUIDInFile, record.ReferencedTransferSyntaxUIDInFile = CTImageStorage, ExplicitVRLittleEndian
        data.DirectoryRecordSequence.append(record)
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.TransferSyntaxUID = MediaStorageDirectoryStorage, ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    pydicom.dcmwrite(folder / "DICOMDIR", data, enforce_file_format=True)
    refuses(tmp_path / opened)
