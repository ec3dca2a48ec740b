"""A label version is on the disk whole, is what was saved, and is never changed."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import GridMismatchError, InvalidInputError, NoLabelsError, ProjectError, UnwritableFileError
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume


def states(folder):
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((folder / "labels").rglob("*")) if p.is_file()}


def test_a_version_tells_who_made_it_when_how_and_from_what(project, made):
    strokes = np.zeros(made.labels.array.shape, np.uint8)
    strokes[4, 4, 4] = 255
    version = project.save(
        "case-0001", made.painted(2), kind="corrected", tool="levelset", parameters={"smooth_mm": 1.5}, prompts={"seeds": {"1": [[1.0, 2.0, 3.0]]}},
        arrays={"strokes": strokes, "limit": strokes > 0}, parent=1, model="abc", seconds=12.5, name="after lunch",
    )
    assert project.version("case-0001") == version == project.versions("case-0001")[1]
    assert (version.number, version.kind, version.name, version.author, version.tool, version.parent) == (2, "corrected", "after lunch", "Ann", "levelset", 1)
    assert (version.parameters, version.prompts, version.model, version.seconds) == ({"smooth_mm": 1.5}, {"seeds": {"1": [[1.0, 2.0, 3.0]]}}, "abc", 12.5)
    assert version.voxels == {value: int((made.painted(2).array == value).sum()) for value in (1, 2)}
    stored = project.arrays("case-0001", 2)
    assert np.array_equal(stored["strokes"], strokes)
    assert stored["limit"].dtype == bool
    assert project.arrays("case-0001", 1) == {}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_labels_come_back_bit_for_bit(tmp_path_factory, data):
    shape = data.draw(st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70)))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    elements = st.integers(0, 254 if dtype is np.uint8 else 65535)
    array = data.draw(npst.arrays(dtype, shape, elements=elements, fill=st.sampled_from([0, 1])))
    order = data.draw(st.permutations([0, 1, 2]))
    given_ = np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))  # any strides
    folder = tmp_path_factory.mktemp("any")
    write(Volume(np.zeros(shape, np.int16), Geometry(shape)), folder / "scan.mha")
    with Project.create(folder / "study") as project:
        case = project.add(folder / "scan.mha")
        before = given_.copy()
        project.save(case.id, LabelMap(given_, case.geometry), kind="weak", tool="brush")
        found = project.labels(case.id)
        assert found.array.dtype == dtype
        assert np.array_equal(found.array, array)
        assert np.array_equal(given_, before)
        assert project.check() == []


def test_restoring_gives_a_new_version_equal_to_the_old_and_keeps_those_between(project, made):
    project.save("case-0001", made.painted(2), kind="corrected", tool="brush", arrays={"strokes": made.painted(5).array})
    project.save("case-0001", made.painted(3), kind="verified", tool="brush")
    version = project.restore("case-0001", 2)
    assert (version.number, version.kind, version.tool, version.parameters, version.parent) == (4, "corrected", "restore", {"number": 2}, 3)
    assert version.checksum == project.version("case-0001", 2).checksum
    assert np.array_equal(project.labels("case-0001").array, made.painted(2).array)
    assert np.array_equal(project.arrays("case-0001", 4)["strokes"], made.painted(5).array)
    assert np.array_equal(project.labels("case-0001", 3).array, made.painted(3).array)


def test_earlier_versions_are_not_touched_by_what_comes_after(project, made):
    before = states(made.folder)
    for seed in range(3):
        project.save("case-0001", made.painted(seed), kind="weak", tool="brush")
    project.restore("case-0001", 1)
    project.check(repair=True)
    assert states(made.folder).items() >= before.items()


@pytest.mark.stores
def test_the_database_refuses_to_change_or_delete_what_was_recorded(made, refused):
    for table in ("versions", "events"):
        for statement in (f"UPDATE {table} SET author = 'Bob'", f"DELETE FROM {table}"):
            with pytest.raises(refused, match="written once"):
                made.run(statement)


def test_labels_of_another_grid_or_kind_are_refused_and_nothing_is_left(project, made):
    other = Geometry((9, 70, 66), (3.0, 0.8, 0.7), (0, 0, 0))
    before = states(made.folder)
    with pytest.raises(GridMismatchError, match="case-0001"):
        project.save("case-0001", LabelMap(made.labels.array, other), kind="weak", tool="brush")
    for wrong in ({"kind": "perfect"}, {"seconds": -1.0}, {"arrays": {"../x": made.labels.array}}, {"arrays": {"x": np.zeros(3)}}):
        with pytest.raises(InvalidInputError):
            project.save("case-0001", made.labels, **{"kind": "weak", "tool": "brush", **wrong})
    with pytest.raises(InvalidInputError, match="no label map"):
        project.save("case-0001", LabelMap(made.labels.array - 0.5, made.labels.geometry), kind="weak", tool="brush")
    with pytest.raises(ProjectError, match="no version 5"):
        project.save("case-0001", made.labels, kind="weak", tool="brush", parent=5)
    assert states(made.folder) == before
    assert len(project.versions("case-0001")) == 1


def test_asking_for_what_is_not_there_is_said(project, tmp_path):
    write(Volume(np.zeros((2, 3, 4), np.int16), Geometry((2, 3, 4))), tmp_path / "new.mha")
    fresh = project.add(tmp_path / "new.mha")
    with pytest.raises(NoLabelsError, match="case-0002"):
        project.labels(fresh.id)
    with pytest.raises(ProjectError, match="no case-0009"):
        project.case("case-0009")
    for name in ("", "case-1", "../case-0001", "case-0001/..", "case-00001", "case-0001\n", "case-९९९९"):
        with pytest.raises((ProjectError, InvalidInputError)):
            project.labels(name)


def test_a_version_is_a_legal_ome_zarr_image_with_names_and_colours(project, made):
    from ome_zarr_models.v05 import ImageLabel

    group = zarr.open_group(made.folder / "labels" / "case-0001" / "0001.ome.zarr", mode="r", zarr_format=3)
    read = ImageLabel.from_zarr(group)
    assert [axis.name for axis in read.ome_attributes.multiscales[0].axes] == ["z", "y", "x"]
    assert read.ome_attributes.multiscales[0].datasets[0].coordinateTransformations[0].scale == pytest.approx([3.0, 0.8, 0.7])
    assert {p.label_value: p.model_dump()["name"] for p in read.ome_attributes.image_label.properties} == {1: "Liver", 2: "Cyst"}
    assert np.array_equal(group["0"][:], made.labels.array)


def test_empty_chunks_take_no_room(project, made, tmp_path):
    shape = (200, 300, 300)
    write(Volume(np.zeros(shape, np.uint8), Geometry(shape)), tmp_path / "large.nii.gz")
    case = project.add(tmp_path / "large.nii.gz")
    project.save(case.id, LabelMap(np.zeros(shape, np.uint8), case.geometry), kind="weak", tool="brush")
    assert sum(p.stat().st_size for p in (made.folder / "labels" / case.id).rglob("*") if p.is_file()) < 10_000
    assert not project.labels(case.id).array.any()


def test_a_label_map_that_brings_classes_gives_them_to_a_study_without_any(tmp_path, scan, labels):
    with Project.create(tmp_path / "plain") as project:
        case = project.add(scan)
        named = LabelMap(labels.array, labels.geometry, classes=(LabelClass(1, "Liver", (0.5, 0.25, 0.125)),))
        project.save(case.id, named, kind="imported", tool="import")
        assert project.classes == project.labels(case.id).classes == named.classes


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size to test a full disk with")
def test_a_full_disk_leaves_the_earlier_versions_and_the_work_in_memory(made):
    code = """
import resource, signal, sys, numpy as np
from napari_medseg.errors import UnwritableFileError
from napari_medseg.annotation import LabelMap
from napari_medseg.io import write
from napari_medseg.project import Project
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Project.open(sys.argv[1]) as project:
    case = project.case("case-0001")
    noise = LabelMap(np.random.default_rng(0).integers(0, 200, case.geometry.shape).astype(np.uint8), case.geometry)
    kept, draft = noise.array.copy(), project.draft(case.id, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16000, resource.RLIM_INFINITY))
    for attempt in (lambda: project.save(case.id, noise, kind="weak", tool="brush"), lambda: draft.write(noise.array)):
        try:
            attempt()
        except UnwritableFileError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert (noise.array == kept).all()
    assert project.check() == [], project.check()
    assert [v.number for v in project.versions(case.id)] == [1]
    assert draft.write(noise.array) > 0 and (project.recover(case.id).array == kept).all()
    print(project.save(case.id, noise, kind="weak", tool="brush").number)
"""
    done = subprocess.run([sys.executable, "-c", code, str(made.folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout
    assert all("disk is full" in line and "Make space" in line for line in lines[:2])
    assert int(lines[2]) >= 2


@pytest.mark.one_file
def test_a_save_that_the_database_refuses_leaves_nothing_behind(made):
    with made.open() as project:
        before = states(made.folder)
        other = sqlite3.connect(made.folder / "project.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        project._database.engine.dispose()
        from napari_medseg.project import database

        waiting, database.BUSY_SECONDS = database.BUSY_SECONDS, 0.1
        try:
            with pytest.raises(UnwritableFileError, match="busy"):
                project.save("case-0001", made.painted(1), kind="weak", tool="brush")
        finally:
            database.BUSY_SECONDS = waiting
            other.close()
        assert states(made.folder) == before
        assert project.check() == []
        project._database.engine.dispose()
        assert project.save("case-0001", made.painted(1), kind="weak", tool="brush").number == 2


def test_the_grid_and_the_classes_are_part_of_the_checksum(project, made):
    first = project.version("case-0001", 1)
    project.set_classes([LabelClass(1, "Spleen", (1, 0, 0))])
    assert project.save("case-0001", made.labels, kind="weak", tool="brush").checksum != first.checksum
    record = json.loads((made.folder / "labels/case-0001/0001.ome.zarr/zarr.json").read_text())["attributes"]["medseg"]
    assert record["checksum"] == first.checksum


