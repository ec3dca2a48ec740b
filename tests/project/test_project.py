"""A study knows its scans by a number, and keeps what they are called in one file."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.annotation import LabelClass, LabelMap, default_classes
from napari_medseg.errors import GridMismatchError, InvalidInputError, MissingFileError, ProjectError, ProjectLockedError, UnwritableFileError
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.volume import Volume

PATIENT = "DOE_JANE_1961"


def every_byte(folder, leave_out=("sources.json",)):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in leave_out)


def test_a_new_study_is_empty_and_carries_its_title_and_classes(tmp_path):
    classes = (LabelClass(3, "Spleen", (0.1, 0.2, 0.3)), *default_classes(["Liver"]))
    with Project.create(tmp_path / "abdomen", title="Abdomen", classes=classes, user="Ann") as project:
        assert project.folder == tmp_path / "abdomen.medseg"
        assert (project.title, project.user, project.cases(), project.unsaved()) == ("Abdomen", "Ann", [], [])
        assert {c.name for c in project.classes} == {"Spleen", "Liver"}
        assert project.check() == []


def test_a_folder_that_holds_something_is_not_made_a_study(tmp_path):
    folder = tmp_path / "x.medseg"
    folder.mkdir()
    (folder / "thesis.doc").write_text("years of work")
    with pytest.raises(UnwritableFileError, match="holds something"):
        Project.create(folder)
    assert [p.name for p in folder.iterdir()] == ["thesis.doc"]


def test_what_is_no_study_is_said_to_be_none(tmp_path, made):
    with pytest.raises(MissingFileError):
        Project.open(tmp_path / "nowhere.medseg")
    with pytest.raises(ProjectError, match="no study"):
        Project.open(tmp_path / "hospital")
    (made.folder / "project.json").write_text('{"format": "something else"}')
    with pytest.raises(ProjectError, match="something else"):
        made.open()


def test_a_scan_becomes_a_case_with_the_grid_of_its_file(project, made):
    case = project.case("case-0001")
    assert (case.id, case.name, case.status, case.versions, case.latest, case.last_editor) == ("case-0001", PATIENT, "weak", 1, 1, "Ann")
    assert case.geometry.matches(made.labels.geometry)
    assert case.is_there
    assert not case.has_unsaved
    assert project.source(case.id) == (made.scan, "")


def test_a_scan_that_is_known_is_the_same_case_even_from_another_folder_under_another_name(project, made, tmp_path):
    copy = shutil.copy(made.scan, tmp_path / "copy.nii.gz")
    assert project.add(copy).id == "case-0001"
    assert "already" in project.notice
    assert project.source("case-0001")[0] == made.scan
    made.scan.unlink()
    assert not project.case("case-0001").is_there
    assert project.add(copy).is_there
    assert project.source("case-0001")[0] == copy
    assert project.case("case-0001").name == PATIENT


def test_scans_that_differ_in_one_voxel_are_two_cases(project, made, tmp_path):
    from napari_medseg.io import read

    volume = read(made.scan)
    volume.array[4, 4, 4] += 1
    write(volume, tmp_path / "other.nii.gz")
    assert project.add(tmp_path / "other.nii.gz").id == "case-0002"
    assert project.case("case-0002").name == "other"


def test_a_scan_may_move_and_is_shown_again(project, made, tmp_path):
    moved = shutil.move(made.scan, tmp_path / "moved.nii.gz")
    assert project.relocate("case-0001", moved).is_there
    assert project.notice == ""
    write(Volume(np.zeros((3, 4, 5), np.int16), replace(made.labels.geometry, shape=(3, 4, 5))), tmp_path / "other.nii.gz")
    with pytest.raises(GridMismatchError):
        project.relocate("case-0001", tmp_path / "other.nii.gz")
    assert project.source("case-0001")[0] == moved


def test_scans_that_move_together_with_the_study_are_found(made, tmp_path):
    (tmp_path / "disk2").mkdir()
    for part in ("hospital", "liver.medseg"):
        shutil.move(tmp_path / part, tmp_path / "disk2" / part)
    with Project.open(tmp_path / "disk2" / "liver.medseg") as project:
        assert project.case("case-0001").is_there


def test_nothing_of_the_patient_is_written_anywhere_but_in_the_sources_file(made, tmp_path):
    with made.open() as project:
        project.save("case-0001", made.labels, kind="corrected", tool="brush", parameters={"file": made.scan}, parent=1)
        project.draft("case-0001", 2).write(made.painted(3).array)
        project.export(tmp_path / "out", images=True)
    stored = every_byte(made.folder) + every_byte(tmp_path / "out")
    for secret in (PATIENT, "JANE", "hospital", str(tmp_path)):
        assert secret.encode() not in stored
    assert PATIENT.encode() in (made.folder / "sources.json").read_bytes()


def test_without_its_sources_file_a_study_still_gives_its_labels(made):
    (made.folder / "sources.json").unlink()
    with made.open() as project:
        case = project.case("case-0001")
        assert (case.name, case.is_there) == ("case-0001", False)
        assert np.array_equal(project.labels("case-0001").array, made.labels.array)
        assert project.check() == []
        with pytest.raises(ProjectError, match="nobody said"):
            project.source("case-0001")
        assert project.add(made.scan).id == "case-0001"
        assert project.case("case-0001").name == PATIENT


ODD = ["", "[]", '{"cases": []}', '{"cases": {"../evil": {}}}', '{"cases": {"case-0001": null}}', '{"cases": {"case-0001": {"path": 5}}}']


@pytest.mark.parametrize("text", ODD)
def test_a_damaged_sources_file_costs_the_names_not_the_labels(made, text):
    (made.folder / "sources.json").write_text(text)
    with made.open() as project:
        assert "does not know where its scans lie" in project.notice
        assert np.array_equal(project.labels("case-0001").array, made.labels.array)
        assert [p.where for p in project.check()] == ["sources.json"]
        project.add(made.scan)
        assert project.check() == []
    assert (made.folder / "sources.damaged.json").read_text() == text


def test_the_status_of_a_case_is_that_of_its_latest_version(project, made):
    told = {}
    for kind in ("imported", "weak", "proposal", "corrected", "verified"):
        project.save("case-0001", made.labels, kind=kind, tool="brush")
        told[kind] = project.case("case-0001").status
    assert told == {"imported": "weak", "weak": "weak", "proposal": "refined", "corrected": "corrected", "verified": "verified"}


def test_time_of_work_adds_up(project, made):
    project.worked("case-0001", 30)
    project.worked("case-0001", 12.5)
    assert project.case("case-0001").seconds == 42.5
    project.save("case-0001", made.labels, kind="weak", tool="brush", seconds=60)
    assert project.case("case-0001").seconds == 60
    with pytest.raises(InvalidInputError):
        project.worked("case-0001", float("nan"))


def test_classes_that_labels_use_stay_in_the_schema(project, made):
    project.save("case-0001", made.painted(1), kind="weak", tool="brush")
    project.set_classes([LabelClass(1, "Liver tissue", (1, 0, 0)), LabelClass(9, "Cyst", (0, 1, 0))])
    assert {c.value: c.name for c in project.classes} == {1: "Liver tissue", 2: "Cyst 2", 9: "Cyst"}
    assert {c.value: c.name for c in project.version("case-0001").classes} == {1: "Liver", 2: "Cyst"}
    with pytest.raises(InvalidInputError, match="share"):
        project.set_classes([LabelClass(1, "A", (1, 0, 0)), LabelClass(2, "a", (0, 1, 0))])


def test_values_that_the_study_does_not_know_join_it_under_their_own_name_and_conflicts_are_said(project, made):
    array = made.painted(1).array.copy()
    array[0, 0, 0], array[0, 0, 1] = 7, 8
    brought = (LabelClass(1, "Spleen", (1, 0, 0)), LabelClass(7, "Vein", (0, 0, 1)), LabelClass(8, "Liver", (0, 1, 1)))
    project.save("case-0001", LabelMap(array, made.labels.geometry, classes=brought), kind="imported", tool="import")
    assert {c.value: c.name for c in project.classes} == {1: "Liver", 2: "Cyst", 7: "Vein", 8: "Liver 8"}
    assert "'Spleen' in the label map and 'Liver' in this study" in project.notice
    assert "'Liver 8'" in project.notice


def test_everything_a_person_did_is_in_the_log(made, tmp_path):
    with made.open() as project:
        project.restore("case-0001", 1)
        project.record_run("refine", parameters={"rounds": 3}, figures={"dice": float("nan")}, cases=["case-0001"])
        project.export(tmp_path / "out")
        assert [(e.action, e.case, e.number) for e in project.events()] == [
            ("created", "", None), ("added", "case-0001", None), ("saved", "case-0001", 1), ("restored", "case-0001", 2), ("ran", "", None),
            ("exported", "", None),
        ]
        assert {e.author for e in project.events()} == {"Ann"}
        assert [e.action for e in project.events("case-0001")] == ["added", "saved", "restored"]
        run = project.runs()[0]
        assert (run.kind, run.parameters, run.figures, run.cases) == ("refine", {"rounds": 3}, {"dice": None}, ("case-0001",))


@pytest.mark.one_file
def test_a_second_writer_is_told_who_holds_the_study_and_may_look(project, made):
    with pytest.raises(ProjectLockedError, match=r"Ann on .* since \d\d:\d\d.*read-only"):
        Project.open(made.folder, user="Bob")
    with Project.open(made.folder, user="Bob", readonly=True) as looking:
        assert looking.cases() == project.cases()
        with pytest.raises(UnwritableFileError, match="read-only"):
            looking.save("case-0001", made.labels, kind="weak", tool="brush")
        with pytest.raises(UnwritableFileError, match="read-only"):
            looking.worked("case-0001", 1)
        project.save("case-0001", made.painted(2), kind="corrected", tool="brush")
        assert looking.case("case-0001").status == "corrected"


@pytest.mark.one_file
def test_the_lock_of_a_process_that_died_is_free_at_once(made):
    code = "import sys, time; from napari_medseg.project import Project; p = Project.open(sys.argv[1], user='Bob'); print('open', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(made.folder)], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "open\n"
    with pytest.raises(ProjectLockedError, match="Bob"):
        made.open()
    other.kill()
    other.wait()
    with made.open() as project:
        assert project.check() == []


@pytest.mark.one_file
@pytest.mark.parametrize("text", ["", "[]", '{"user": 1}', '{"user": "A", "machine": "B", "since": "yesterday"}'])
def test_a_lock_file_that_says_nonsense_still_locks(project, made, text):
    (made.folder / "lock.json").write_text(text)
    with pytest.raises(ProjectLockedError, match="somebody"):
        made.open()


@pytest.mark.skipif(os.name == "nt", reason="permissions of folders work otherwise on Windows")
def test_a_folder_that_cannot_be_written_opens_for_looking(made):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    everything = [made.folder, *made.folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with made.open() as project:
            assert project.readonly
            assert "looking only" in project.notice
            assert np.array_equal(project.labels("case-0001").array, made.labels.array)
            assert project.check() == []
    finally:
        for path in everything:
            path.chmod(0o755)


def test_a_study_that_was_closed_says_so(made):
    project = made.open()
    project.close()
    project.close()
    with pytest.raises(ProjectError, match="closed"):
        project.cases()


def test_names_are_kept_for_export_only_when_a_person_says_so(made, tmp_path):
    with made.open() as project:
        assert not project.keep_names
        project.keep_names = True
        assert project.events()[-1].details == {"keep_names": True}
    with made.open() as project:
        project.export(tmp_path / "out")
        assert PATIENT in (tmp_path / "out" / "cases.csv").read_text()


def test_only_facts_are_recorded(project, made):
    with pytest.raises(InvalidInputError, match="object cannot be recorded"):
        project.save("case-0001", made.labels, kind="weak", tool="brush", parameters={"x": object()})
    told = {"a": np.float32(0.5), "b": np.arange(3), "c": (1, None), "d": made.scan, "e": str(made.scan)}
    version = project.save("case-0001", made.labels, kind="weak", tool="levelset", parameters=told)
    assert version.parameters == {"a": 0.5, "b": [0, 1, 2], "c": [1, None], "d": "*.nii.gz", "e": "*.nii.gz"}
    assert json.loads(json.dumps(version.parameters)) == project.version("case-0001").parameters
