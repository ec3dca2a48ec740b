"""What the program is not stands in the label files it writes, where a format has room for it, and in none of the scans."""

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_scans import save_scan

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.io import read, read_labels, write
from napari_medseg.notice import RESEARCH
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((6, 10, 12), (2.5, 0.7, 0.8))


@pytest.fixture
def labels():
    array = np.zeros(GRID.shape, np.uint8)
    array[1:4, 2:7, 3:9] = 1
    return LabelMap(array, GRID, classes=(LabelClass(1, "Liver", (1.0, 0.0, 0.0)),))


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".seg.nrrd", ".mha", ".stl", ".ply"])
def test_label_files_say_it(labels, tmp_path, suffix):
    (path,) = write(labels, tmp_path / f"liver{suffix}")
    assert RESEARCH.encode() in path.read_bytes()


def test_a_zarr_says_it_in_its_attributes(labels, tmp_path):
    write(labels, tmp_path / "liver.ome.zarr")
    assert RESEARCH in (tmp_path / "liver.ome.zarr" / "zarr.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_scan_does_not(tmp_path, suffix):
    write(Volume(np.ones(GRID.shape, np.int16), GRID), tmp_path / f"scan{suffix}")
    image = sitk.ReadImage(str(tmp_path / f"scan{suffix}"))
    assert not any(RESEARCH in image.GetMetaData(key) for key in image.GetMetaDataKeys())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_other_readers_still_find_the_labels(labels, tmp_path, suffix):
    write(labels, tmp_path / f"liver{suffix}")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"liver{suffix}"))), labels.array)
    assert np.array_equal(read_labels(tmp_path / f"liver{suffix}", GRID).array, labels.array)


def test_nifti_says_it_where_other_programs_look(labels, tmp_path):
    write(labels, tmp_path / "liver.nii.gz")
    assert nibabel.load(tmp_path / "liver.nii.gz").header["descrip"].item().decode() == RESEARCH


@pytest.mark.parametrize("anonymise", [False, True])
def test_dicom_says_it_with_and_without_a_patient(labels, tmp_path, anonymise):
    save_scan(tmp_path / "scan", np.zeros(GRID.shape, np.int16), GRID)
    scan = read(tmp_path / "scan")
    own = LabelMap(labels.array, scan.geometry, classes=labels.classes)
    write(own, tmp_path / "a.seg.dcm", source=scan, anonymise=anonymise)
    write(own, tmp_path / "a.rtstruct.dcm", source=scan, anonymise=anonymise)
    assert pydicom.dcmread(tmp_path / "a.seg.dcm").ContentDescription == RESEARCH
    assert pydicom.dcmread(tmp_path / "a.rtstruct.dcm").StructureSetDescription == RESEARCH
