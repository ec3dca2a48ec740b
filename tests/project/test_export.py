"""What leaves a study names cases, not patients, and lies on the scans' own grids."""

import csv
import json

import numpy as np
import pytest

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import InvalidInputError, MissingFileError, NoLabelsError, ProjectError, UnwritableFileError
from napari_medseg.io import read, read_labels, write
from napari_medseg.io.descriptions import read_classes
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def three(project, made, tmp_path):
    """A study of three cases: weak, verified with a later correction, and new."""
    for name in ("B", "C"):
        write(Volume(np.full((4, 5, 6), ord(name), np.int16), Geometry((4, 5, 6), (2.0, 1.0, 1.0))), tmp_path / f"{name}.mha")
        project.add(tmp_path / f"{name}.mha")
    case = project.case("case-0002")
    for value, kind in ((1, "verified"), (2, "corrected")):
        project.save(case.id, LabelMap(np.full((4, 5, 6), value, np.uint8), case.geometry), kind=kind, tool="brush")
    return project


def test_the_latest_labels_of_each_case_are_written_on_its_grid_with_a_table(three, made, tmp_path):
    files = three.export(tmp_path / "out")
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in files) == [
        "case-0001.nii.gz", "case-0002.nii.gz", "cases.csv", "classes.json", "classes.label",
    ]
    assert sorted((tmp_path / "out").iterdir()) == sorted(files)
    found = read_labels(tmp_path / "out" / "case-0001.nii.gz", read(made.scan).geometry)
    assert np.array_equal(found.array, made.labels.array)
    assert {c.name for c in found.classes} >= {"Liver"}
    rows = list(csv.DictReader((tmp_path / "out" / "cases.csv").open(encoding="utf-8")))
    assert [(row["case"], row["status"], row["version"], row["kind"], row["editor"]) for row in rows] == [
        ("case-0001", "weak", "1", "weak", "Ann"), ("case-0002", "corrected", "2", "corrected", "Ann"),
    ]
    assert read_classes(tmp_path / "out" / "classes.json") == three.classes
    assert [c["name"] for c in json.loads((tmp_path / "out" / "classes.json").read_text())["classes"]] == ["Liver", "Cyst"]


def test_chosen_kinds_and_cases_only(three, tmp_path):
    three.export(tmp_path / "verified", kinds=["verified"])
    assert [p.name for p in sorted((tmp_path / "verified").glob("*.nii.gz"))] == ["case-0002.nii.gz"]
    assert (read_labels(tmp_path / "verified" / "case-0002.nii.gz").array == 1).all()
    three.export(tmp_path / "one", cases=["case-0001"], suffix=".nrrd")
    assert [p.name for p in sorted((tmp_path / "one").glob("*.nrrd"))] == ["case-0001.nrrd"]


def test_scans_go_along_under_the_same_names_when_asked_for(three, made, tmp_path):
    three.export(tmp_path / "out", suffix=".mha", images=True)
    assert [p.name for p in sorted((tmp_path / "out" / "images").iterdir())] == ["case-0001.mha", "case-0002.mha"]
    assert np.array_equal(read(tmp_path / "out" / "images" / "case-0001.mha").array, read(made.scan).array)


def test_what_cannot_be_written_is_said_before_anything_is(three, made, tmp_path):
    for wrong in ({"suffix": ".docx"}, {"suffix": "nii.gz"}, {"kinds": ["perfect"]}):
        with pytest.raises(InvalidInputError):
            three.export(tmp_path / "out", **wrong)
    with pytest.raises(NoLabelsError):
        three.export(tmp_path / "out", cases=["case-0003"])
    with pytest.raises(ProjectError):
        three.export(tmp_path / "out", cases=["case-0099"])
    with pytest.raises(UnwritableFileError, match="in the study itself"):
        three.export(made.folder / "labels" / "out")
    assert not (tmp_path / "out").exists()
    made.scan.unlink()
    with pytest.raises(MissingFileError):
        three.export(tmp_path / "out", cases=["case-0001"], images=True)


def test_names_of_today_are_written_not_those_of_the_day_it_was_saved(three, tmp_path):
    three.set_classes([LabelClass(1, "Hepar", (1.0, 0.0, 0.0)), LabelClass(2, "Cyst", (0.0, 1.0, 0.0))])
    three.export(tmp_path / "out", cases=["case-0001"])
    assert "Hepar" in {c.name for c in read_labels(tmp_path / "out" / "case-0001.nii.gz").classes}


def test_a_name_that_a_spreadsheet_would_run_is_written_as_text(made, tmp_path):
    with Project.open(made.folder, user="=HYPERLINK(1)") as project:
        project.save("case-0001", made.labels, kind="weak", tool="brush")
        project.export(tmp_path / "out")
    (row,) = csv.DictReader((tmp_path / "out" / "cases.csv").open(encoding="utf-8"))
    assert row["editor"] == "'=HYPERLINK(1)"
