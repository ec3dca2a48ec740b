"""A person marks single slices as right; later work of the same person counts, a tool's never does, and patients keep their side."""

import csv
import sqlite3

import numpy as np
import pytest
from dicom_scans import save_scan

from napari_medseg.annotation import LabelMap, sides
from napari_medseg.errors import InvalidInputError, NoLabelsError, ProjectError, UnwritableFileError
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.project.patients import patient_key
from napari_medseg.volume import Geometry, Volume

CASE = "case-0001"
SHAPE = (9, 70, 66)


def save(project, array, kind="corrected", tool="brush", parent=None):
    case = project.case(CASE)
    return project.save(CASE, LabelMap(array, case.geometry), kind=kind, tool=tool, parent=case.latest if parent is None else parent)


def filled(labels, index, value):
    array = labels.array.copy()
    array[index, 20:25, 20:25] = value
    return array


def test_a_mark_says_who_marked_which_slice_of_which_version(project):
    mark = project.mark_slice(CASE, 0, 4)
    assert (mark.case, mark.axis, mark.index, mark.number, mark.holds, mark.author) == (CASE, 0, 4, 1, 1, "Ann")
    assert project.verified_slices() == project.verified_slices(CASE) == [mark]
    assert project.events(CASE)[-1].action == "marked"


def test_only_marked_slices_are_known(project, labels):
    assert project.verified_labels(CASE) is None
    project.mark_slice(CASE, 0, 4)
    project.mark_slice(CASE, 2, 13)
    found = project.verified_labels(CASE)
    assert np.array_equal(found[4], labels.array[4])
    assert np.array_equal(found[:, :, 13], labels.array[:, :, 13])
    rest = np.ones(SHAPE, bool)
    rest[4] = rest[:, :, 13] = False
    assert (found[rest] == 255).all()


def test_what_the_same_person_changes_there_later_counts(project, labels):
    project.mark_slice(CASE, 0, 4)
    save(project, filled(labels, 4, 2))
    assert project.verified_slices()[0].holds == 2
    assert np.array_equal(project.verified_labels(CASE)[4], filled(labels, 4, 2)[4])


def test_what_a_tool_or_somebody_else_changes_there_does_not_count(made, labels):
    with made.open() as project:
        project.mark_slice(CASE, 0, 4)
        save(project, filled(labels, 4, 2), kind="proposal", tool="refine")
        save(project, filled(LabelMap(filled(labels, 4, 2), labels.geometry), 5, 1))  # by hand, but of another slice
    with Project.open(made.folder, user="Bob") as project:
        save(project, filled(labels, 4, 0))
        assert project.verified_slices()[0].holds == 1
        assert np.array_equal(project.verified_labels(CASE)[4], labels.array[4])


def test_going_back_to_an_older_version_does_not_change_what_was_marked(project, labels):
    save(project, filled(labels, 4, 2))
    save(project, filled(labels, 4, 1))
    project.mark_slice(CASE, 0, 4)
    project.restore(CASE, 2)
    assert project.verified_slices()[0].holds == 3


def test_the_labels_before_are_a_tools_untouched_by_the_hand_that_verified(project, labels):
    save(project, filled(labels, 4, 2))
    save(project, filled(labels, 4, 2), kind="proposal", tool="refine")  # keeps what the person corrected: no fair opponent in that slice
    project.mark_slice(CASE, 0, 4)
    project.mark_slice(CASE, 0, 5)
    assert [mark.before for mark in project.verified_slices()] == [1, 3]
    before = project.labels_before(CASE)
    assert np.array_equal(before[4:6], labels.array[4:6])
    assert (np.delete(before, [4, 5], axis=0) == 255).all()


def test_the_table_of_an_export_says_how_many_slices_were_verified(project, tmp_path):
    project.mark_slice(CASE, 0, 4)
    project.mark_slice(CASE, 0, 5)
    project.export(tmp_path / "out")
    (row,) = csv.DictReader((tmp_path / "out" / "cases.csv").read_text(encoding="utf-8").splitlines())
    assert row["verified_slices"] == "2"


def test_a_slice_drawn_by_hand_alone_has_nothing_before_it(made, tmp_path):
    with made.open() as project:
        write(Volume(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6), Geometry((4, 5, 6), (2.0, 1.0, 1.0))), tmp_path / "new.nrrd")
        case = project.add(tmp_path / "new.nrrd")
        project.save(case.id, LabelMap(np.ones((4, 5, 6), np.uint8), case.geometry), kind="corrected", tool="brush")
        assert project.mark_slice(case.id, 0, 2).before is None
        assert (project.labels_before(case.id) == 255).all()


def test_a_case_verified_as_a_whole_is_known_everywhere(project, labels):
    save(project, filled(labels, 6, 2), kind="verified")
    assert np.array_equal(project.verified_labels(CASE), filled(labels, 6, 2))
    assert np.array_equal(project.labels_before(CASE), labels.array)


def test_a_mark_can_be_taken_back_and_set_again_and_the_log_keeps_it_all(project):
    project.mark_slice(CASE, 0, 4)
    project.unmark_slice(CASE, 0, 4)
    assert project.verified_slices() == []
    with pytest.raises(InvalidInputError, match="not marked"):
        project.unmark_slice(CASE, 0, 4)
    project.mark_slice(CASE, 0, 4)
    assert [mark.index for mark in project.verified_slices()] == [4]
    assert [event.action for event in project.events(CASE)][-4:] == ["side", "marked", "unmarked", "marked"]


@pytest.mark.parametrize(("axis", "index"), [(0, 9), (0, -1), (3, 0), (2, 66)])
def test_a_slice_that_is_not_there_cannot_be_marked(project, axis, index):
    with pytest.raises(InvalidInputError, match="no slice"):
        project.mark_slice(CASE, axis, index)


def test_nothing_is_marked_without_labels_or_in_a_study_opened_to_look(made, tmp_path):
    with made.open() as project:
        write(Volume(np.arange(8, dtype=np.int16).reshape(2, 2, 2), Geometry((2, 2, 2), (1.0, 1.0, 1.0))), tmp_path / "new.nrrd")
        with pytest.raises(NoLabelsError):
            project.mark_slice(project.add(tmp_path / "new.nrrd").id, 0, 0)
    with made.open(readonly=True) as project, pytest.raises(UnwritableFileError):
        project.mark_slice(CASE, 0, 4)


def test_marks_and_sides_are_there_after_closing_and_are_written_once(made, refused):
    with made.open() as project:
        mark, side = project.mark_slice(CASE, 0, 4), project.side(CASE)
    with made.open(readonly=True) as project:
        assert (project.verified_slices(), project.side(CASE), project.sides()) == ([mark], side, {CASE: side})
        assert project.check() == []
    for statement in ("UPDATE slice_marks SET at = 5", "DELETE FROM slice_marks", "UPDATE sides SET side = 'teach'", "DELETE FROM sides"):
        with pytest.raises(refused, match="written once"):
            made.run(statement)


@pytest.mark.one_file
@pytest.mark.parametrize("values", ["1, 1, 0, 900, 1, 'Ann'", "1, 1, 0, 4, 1, x'00'"])
def test_a_mark_that_makes_no_sense_is_an_error_not_a_crash(made, values):
    connection = sqlite3.connect(made.folder / "project.db")
    connection.execute(f"INSERT INTO slice_marks (case_id, number, axis, at, stands, author, created) VALUES ({values}, '2026-01-01T00:00:00+00:00')")
    connection.commit()
    connection.close()
    with made.open(readonly=True) as project, pytest.raises(ProjectError):
        project.verified_slices()


def test_scans_of_one_patient_have_one_side_and_the_store_does_not_say_who_it_is(tmp_path):
    grid = Geometry((3, 10, 12), (2.5, 0.7, 0.8), (-40.0, 20.0, 100.0))
    voxels = np.random.default_rng(3).integers(0, 2000, grid.shape).astype(np.int16)
    with Project.create(tmp_path / "study", user="Ann") as project:
        for number, patient in enumerate(("MRN-7", "MRN-8", "MRN-7"), start=1):
            folder = tmp_path / f"s{number}"
            save_scan(folder, voxels + number, grid, uid=f"1.2.826.0.1.3680043.8.498.{number}", number=number)
            for file in folder.rglob("*.dcm"):
                _rename_patient(file, patient)
            case = project.add(folder)
            project.save(case.id, LabelMap(np.ones(grid.shape, np.uint8), case.geometry), kind="weak", tool="brush")
        keys = project.patients(["case-0001", "case-0002", "case-0003"])
        assert keys["case-0001"] == keys["case-0003"] != keys["case-0002"]
        assert [project.side(case) for case in keys] == ["check", "teach", "check"]
    assert not any(b"MRN" in path.read_bytes() for path in (tmp_path / "study.medseg").rglob("*") if path.is_file())


def _rename_patient(file, patient):
    import pydicom

    header = pydicom.dcmread(file)
    header.PatientID = patient
    header.save_as(file)


def test_a_scan_that_names_no_patient_is_one_of_its_own(tmp_path):
    path = tmp_path / "scan.nii.gz"
    assert patient_key("case-0004", path, "", "00ff") == "case-0004"
    assert patient_key("case-0004", None, "", "00ff") == "case-0004"


def test_sides_are_dealt_so_that_both_fill_up_and_nobody_ever_changes():
    names = [f"case-{n:04d}" for n in range(1, 30)]
    one_by_one = {}
    for name in names:
        before = dict(one_by_one)
        one_by_one = sides([name], one_by_one)
        assert before.items() <= one_by_one.items()
    assert one_by_one == sides(names)
    order = [one_by_one[name] for name in names]
    assert order[0] == "check"
    assert all(order[n:n + 2].count("check") == 1 for n in range(0, 8, 2))
    assert all(order[n:n + 3].count("check") == 1 for n in range(8, 29, 3))
    assert order[2:8:2] not in (["check"] * 3, ["teach"] * 3), "who comes first in a pair is not always on the same side"
