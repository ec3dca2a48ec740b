"""Check finds what does not fit together and says what to do; repair loses nothing."""

import shutil
import sqlite3

import numpy as np
import pytest

from napari_medseg.errors import ProjectDamagedError, ProjectError, UnwritableFileError
from napari_medseg.project import Project

GROUP = "labels/case-0001/0001.ome.zarr"


@pytest.fixture
def two(made):
    """A study with two versions, the second with strokes."""
    with made.open() as project:
        project.save("case-0001", made.painted(3), kind="corrected", tool="scribble", parent=1, arrays={"strokes": made.painted(4).array})
        assert project.check() == []
    return made


def problems(made, repair=False):
    with made.open() as project:
        return [(p.where, p.mended) for p in project.check(repair=repair)]


def test_a_version_whose_folder_is_gone_is_named_and_the_others_stay(two):
    shutil.rmtree(two.folder / GROUP)
    with two.open() as project:
        (problem,) = project.check(repair=True)
        assert (problem.case, problem.where, problem.mended) == ("case-0001", GROUP, False)
        assert "version 1 of case-0001 is missing" in str(problem)
        assert "backup" in problem.todo
        assert np.array_equal(project.labels("case-0001").array, two.painted(3).array)
        assert project.save("case-0001", two.labels, kind="weak", tool="brush").number == 3


def test_a_voxel_changed_on_the_disk_is_found(two):
    import zarr

    zarr.open_array(two.folder / "labels/case-0001/0002.ome.zarr/arrays/strokes", mode="r+")[0, 0, 0] = 9
    assert problems(two) == [("labels/case-0001/0002.ome.zarr", False)]
    zarr.open_array(two.folder / GROUP / "0", mode="r+")[0, 0, 0] = 9
    assert problems(two, repair=True) == [(GROUP, False), ("labels/case-0001/0002.ome.zarr", False)]


def test_a_folder_that_tells_another_story_than_the_database_is_found(two):
    path = two.folder / GROUP / "zarr.json"
    path.write_text(path.read_text().replace('"tool": "brush"', '"tool": "magic"'))
    assert problems(two) == [(GROUP, False)]


@pytest.mark.one_file
def test_versions_that_an_older_copy_of_the_database_does_not_know_are_taken_back_in(two, tmp_path):
    shutil.copy(two.folder / "project.db", tmp_path / "old.db")
    with two.open() as project:
        third = project.save("case-0001", two.painted(5), kind="verified", tool="brush", parent=2, name="good")
        fourth = project.save("case-0001", two.painted(6), kind="corrected", tool="brush", parent=3)
    shutil.copy(tmp_path / "old.db", two.folder / "project.db")
    with two.open() as project:
        assert [v.number for v in project.versions("case-0001")] == [1, 2]
        assert [p.mended for p in project.check()] == [False, False]
        assert project.save("case-0001", two.labels, kind="weak", tool="brush").number == 5, "a number is never given twice"
        assert [p.mended for p in project.check(repair=True)] == [True, True]
        assert project.check() == []
        assert project.version("case-0001", 3) == third
        assert project.version("case-0001", 4) == fourth
        assert [e.action for e in project.events()][-3:] == ["adopted", "adopted", "repaired"]


def test_a_folder_that_is_no_version_of_this_study_is_not_taken_in(two):
    shutil.copytree(two.folder / GROUP, two.folder / "labels/case-0001/0007.ome.zarr")
    (two.folder / "labels/case-0002").mkdir()
    shutil.copytree(two.folder / GROUP, two.folder / "labels/case-0002/0001.ome.zarr")
    with two.open() as project:
        found = project.check(repair=True)
        assert [(p.where, p.mended) for p in found] == [("labels/case-0001/0007.ome.zarr", False), ("labels/case-0002/0001.ome.zarr", False)]
        assert all("another case or number" in p.what for p in found)
        assert len(project.cases()) == 1


@pytest.mark.one_file
@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"\0" * 20_000), lambda p: p.write_bytes(p.read_bytes()[:9000]), lambda p: p.unlink()])
def test_a_damaged_database_goes_back_to_its_copy_and_takes_in_what_came_later(two, damage):
    with two.open() as project:
        project._database.backup("test")
        third = project.save("case-0001", two.painted(5), kind="verified", tool="brush", parent=2)
        expected = project.versions("case-0001")
    damage(two.folder / "project.db")
    with pytest.raises(ProjectDamagedError, match="check --repair"):
        two.open()
    project, found = Project.rescue(two.folder, user="Ann")
    with project:
        assert [p.mended for p in found] == [True]
        assert [p.mended for p in project.check(repair=True)] == [True]
        assert project.versions("case-0001") == expected
        assert project.version("case-0001") == third
        assert project.check() == []
        assert project.add(two.scan).id == "case-0001"
        assert project.title == "Livers"


@pytest.mark.one_file
def test_without_any_good_copy_the_labels_are_gathered_from_their_folders(two):
    with two.open() as project:
        expected = project.versions("case-0001")
    shutil.rmtree(two.folder / "backups")
    (two.folder / "project.db").write_bytes(b"nonsense" * 500)
    project, _ = Project.rescue(two.folder)
    with project:
        assert all(p.mended for p in project.check(repair=True))
        assert project.versions("case-0001") == expected
        assert {c.name for c in project.classes} == {"Liver", "Cyst"}
        assert np.array_equal(project.labels("case-0001").array, two.painted(3).array)
        assert project.add(two.scan).id == "case-0001"
        assert project.check() == []


@pytest.mark.one_file
def test_a_study_that_is_whole_is_not_rescued(two):
    before = (two.folder / "project.db").read_bytes()
    project, found = Project.rescue(two.folder)
    with project:
        assert found == []
        assert project.check() == []
    assert (two.folder / "project.db").read_bytes()[100:] == before[100:]


def test_a_damaged_draft_is_moved_aside_not_deleted(two):
    with two.open() as project:
        project.draft("case-0001", 2).write(two.labels.array)
    journal = two.drafts / "case-0001.journal"
    journal.write_bytes(b"X" + journal.read_bytes()[1:])
    where = journal.relative_to(two.folder).as_posix()
    assert problems(two) == [(where, False)]
    assert problems(two, repair=True) == [(where, True)]
    assert problems(two) == []
    assert [p.name for p in (two.folder / "backups").glob("case-0001*")]
    (two.drafts / "case-0077.journal").write_bytes(b"")
    assert problems(two) == [(where.replace("0001", "0077"), False)]


def test_what_does_not_belong_there_is_named_and_left(two):
    (two.folder / "labels" / "holiday.jpg").write_bytes(b"")
    (two.folder / "labels" / "case-0001" / "notes.txt").write_bytes(b"")
    (two.folder / "labels" / ".DS_Store").write_bytes(b"")
    (two.drafts / "Thumbs.db").write_bytes(b"")
    assert problems(two, repair=True) == [("labels/holiday.jpg", False), ("labels/case-0001/notes.txt", False)]
    assert (two.folder / "labels" / "holiday.jpg").exists()


@pytest.mark.one_file
def test_rows_that_point_nowhere_are_found(two):
    connection = sqlite3.connect(two.folder / "project.db")
    connection.execute("INSERT INTO run_cases VALUES (77, 88)")
    connection.commit()
    connection.close()
    assert ("project.db", False) in problems(two)


def test_one_who_looks_may_check_but_not_repair(two):
    with two.open(readonly=True) as project:
        assert project.check() == []
        with pytest.raises(UnwritableFileError, match="read-only"):
            project.check(repair=True)


def test_progress_is_told(two):
    told = []
    with two.open() as project:
        project.check(told=lambda done, of: told.append((done, of)))
    assert told == [(0, 2), (1, 2)]


@pytest.mark.one_file
def test_the_database_of_another_program_is_no_study(two):
    (two.folder / "project.db").unlink()
    sqlite3.connect(two.folder / "project.db").execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(ProjectError, match="no study database"):
        two.open()
