"""Who the patient is stays in the scan's own files: not in the study, its exports, the logs or anonymised DICOM."""

import json
import logging

import numpy as np
import pytest
from dicom_series import image, save
from typer.testing import CliRunner

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.cli.app import app
from napari_medseg.errors import MedsegError
from napari_medseg.io import read, write
from napari_medseg.project import Project

MARKS = ("Krankheit", "PID-4711", "19010203", "20200304", "Ward-Seven", "ACC-0815", "Doctor-Who", "1.2.826.4242")
"""Name, number, birth date, study date, folder, accession, physician, and the beginning of every UID."""
SHAPE = (4, 24, 20)


@pytest.fixture
def scan(tmp_path):
    """A DICOM series that says everything about a patient, in a folder that does too."""
    folder = tmp_path / "Ward-Seven Krankheit" / "PID-4711"
    for k in range(SHAPE[0]):
        made = image(
            np.full(SHAPE[1:], 900 + k, np.uint16), (0.0, 0.0, 2.5 * k), PatientName="Krankheit^Anna", PatientID="PID-4711", PatientBirthDate="19010203",
            StudyDate="20200304", SeriesDate="20200304", AcquisitionDate="20200304", ContentDate="20200304", AccessionNumber="ACC-0815",
            ReferringPhysicianName="Doctor-Who", StudyID="PID-4711", StudyInstanceUID="1.2.826.4242.1", SeriesInstanceUID="1.2.826.4242.1.2",
            SOPInstanceUID=f"1.2.826.4242.1.2.{k}", FrameOfReferenceUID="1.2.826.4242.1.9", PatientSex="F", StudyTime="1030", PositionReferenceIndicator="",
            PatientPosition="HFS", Manufacturer="none", InstanceNumber=k + 1,
        )
        save(made, folder / f"Krankheit {k}.dcm")
    return folder


def labels(volume) -> LabelMap:
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, 4:15, 5:12] = 1
    return LabelMap(array, volume.geometry, volume.name, volume.modality, volume.source, classes=default_classes(1), series=volume.series)


def found_in(data: bytes) -> list[str]:
    return [mark for mark in MARKS if mark.encode() in data or mark.encode("utf-16-le") in data]


def test_nothing_of_the_patient_enters_a_study_its_exports_or_the_logs(tmp_path, scan, caplog):
    caplog.set_level(logging.DEBUG)
    volume = read(scan)
    with Project.create(tmp_path / "study", title="Livers", classes=default_classes(1), user="Ann") as project:
        case = project.add(scan)
        drawn = labels(volume)
        project.save(case.id, drawn, kind="corrected", tool="brush", parameters={"image": scan / "Krankheit 0.dcm"}, prompts={"points": [[1.0, 2.0, 3.0]]})
        project.restore(case.id, 1)
        drawn.array[0, 0, 0] = 1
        project.draft(case.id, 2).write(drawn.array)
        project.record_run("refine", parameters={"images": str(scan)}, figures={"dice": 0.9}, cases=[case.id])
        project.relocate(case.id, scan)
        with pytest.raises(MedsegError):
            project.add(scan / "gone")
        project.export(tmp_path / "exported", images=True)
        assert project.check() == []
        told = [repr(event) for event in project.events()] + [repr(version) for version in project.versions(case.id)]
    assert not found_in("\n".join(told).encode())
    for path in (p for where in ("study.medseg", "exported") for p in (tmp_path / where).rglob("*") if p.is_file() and p.name != "sources.json"):
        assert not found_in(path.read_bytes()), path.name
        assert not found_in(path.name.encode())
    assert found_in((tmp_path / "study.medseg" / "sources.json").read_bytes()), "where the scans lie is known to this file only"
    assert not found_in(caplog.text.encode())


@pytest.mark.parametrize("name", ["labels.seg.dcm", "labels.rtstruct.dcm"])
def test_dicom_labels_copy_the_patient_unless_they_are_anonymised(tmp_path, scan, name):
    volume = read(scan)
    write(labels(volume), tmp_path / name, source=scan)
    assert {"Krankheit", "PID-4711", "19010203"} <= set(found_in((tmp_path / name).read_bytes()))
    write(labels(volume), tmp_path / f"anonymous-{name}", source=scan, anonymise=True)
    left = found_in((tmp_path / f"anonymous-{name}").read_bytes())
    assert set(left) <= {"1.2.826.4242"}, "only the UIDs that lead to the images may stay"


def test_the_commands_name_the_case_and_log_nothing_of_the_patient(tmp_path, scan, caplog):
    caplog.set_level(logging.DEBUG)
    run = CliRunner().invoke
    study = str(tmp_path / "study.medseg")
    for arguments in (["init", study], ["add", study, str(scan)]):
        answer = run(app, ["project", *arguments, "--json"])
        assert answer.exit_code == 0, answer.output
    for arguments in (["list", study], ["history", study, "case-0001"], ["check", study]):
        answer = run(app, ["project", *arguments, "--json"])
        told = json.loads(answer.stdout)
        assert told
        if arguments[0] != "list":  # the list is for the person at the screen, who knows the scans by their names
            assert not found_in(answer.stdout.encode()), answer.stdout
    assert not found_in(caplog.text.encode())
