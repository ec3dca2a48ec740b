"""A study of DICOM series: each series is a case, known by its UID, of which nothing enters the store; labels leave as DICOM without the patient."""

import shutil

import numpy as np
import pydicom
import pytest
from dicom_scans import SECRETS, save_scan

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.errors import InvalidInputError
from napari_medseg.io import read, read_labels
from napari_medseg.project import Project
from napari_medseg.volume import Geometry

GRID = Geometry((6, 10, 12), (2.5, 0.7, 0.8), (-40.0, 20.0, 100.0))
VOXELS = np.random.default_rng(3).integers(0, 2000, GRID.shape).astype(np.int16)
UIDS = ("1.2.826.0.1.3680043.8.498.111", "1.2.826.0.1.3680043.8.498.222")


@pytest.fixture
def patient(tmp_path):
    """A folder of two series on one grid, of a patient with a name."""
    for number, uid in enumerate(UIDS, start=1):
        save_scan(tmp_path / "patient" / f"s{number}", VOXELS + number, GRID, uid=uid, number=number)
    return tmp_path / "patient"


@pytest.fixture
def study(tmp_path, patient):
    with Project.create(tmp_path / "study", classes=default_classes(["Liver"]), user="Ann") as project:
        for uid in UIDS:
            project.add(patient, series=uid)
        yield project


def drawn(case):
    array = np.zeros(GRID.shape, np.uint8)
    array[2:4, 3:7, 2:9] = 1
    return LabelMap(array, case.geometry)


def test_each_series_is_a_case_and_has_to_be_chosen(study, patient):
    assert [case.id for case in study.cases()] == ["case-0001", "case-0002"]
    with pytest.raises(InvalidInputError, match="2 series"):
        study.add(patient)
    path, series = study.source("case-0002")
    assert (path, series) == (patient, UIDS[1])
    assert study.case("case-0002").geometry.matches(read(path, series=series).geometry)


def test_series_that_the_scanner_calls_the_same_are_told_apart_by_the_number_of_the_case(study):
    first, second = study.cases()
    assert second.name == f"{first.name} 2"


def test_a_series_is_known_again_in_another_folder_under_other_file_names(study, patient, tmp_path):
    (tmp_path / "moved").mkdir()
    for number, file in enumerate(sorted((patient / "s2").iterdir())):
        shutil.copy(file, tmp_path / "moved" / f"X{number}")
    shutil.rmtree(patient)
    assert study.add(tmp_path / "moved").id == "case-0002"
    assert study.source("case-0002") == (tmp_path / "moved", UIDS[1])
    assert not study.case("case-0001").is_there


@pytest.mark.parametrize("suffix", [".seg.dcm", ".rtstruct.dcm", ".nii.gz"])
def test_nothing_of_the_patient_leaves_or_enters(study, tmp_path, suffix):
    for case in study.cases():
        study.save(case.id, drawn(case), kind="verified", tool="brush")
    study.export(tmp_path / "out", suffix=suffix, images=True)
    study.close()
    files = [p for p in (*study.folder.rglob("*"), *(tmp_path / "out").rglob("*")) if p.is_file() and p.name != "sources.json"]
    assert tmp_path / "out" / f"case-0001{suffix}" in files
    stored = b"".join(p.read_bytes() for p in files if p.is_relative_to(study.folder))
    for secret in (*UIDS, *(v for v in SECRETS.values() if len(v) > 4)):
        assert secret.encode("utf-8") not in stored
        assert secret.encode("latin-1") not in stored
    told = b"".join(p.read_bytes() for p in files)
    for name in ("PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "AccessionNumber", "StudyDate"):
        assert SECRETS[name].encode("latin-1") not in told


def test_exported_segmentations_refer_to_the_series_and_come_back_onto_it(study, tmp_path):
    case = study.case("case-0001")
    labels = drawn(case)
    study.save(case.id, labels, kind="verified", tool="brush")
    study.export(tmp_path / "out", suffix=".seg.dcm")
    data = pydicom.dcmread(tmp_path / "out" / "case-0001.seg.dcm")
    assert data.Modality == "SEG"
    found = read_labels(tmp_path / "out" / "case-0001.seg.dcm", case.geometry)
    assert np.array_equal(found.array, labels.array)
    assert [c.name for c in found.classes] == ["Liver"]
