"""A study may come from anywhere: whatever its files say, there is a clear error or the labels that were saved, and nothing outside of it is touched."""

import json
import shutil
import sqlite3
import struct
import tracemalloc

import numpy as np
import pytest

from napari_medseg.errors import MedsegError, ProjectDamagedError, ProjectError
from napari_medseg.project import Project

LABELS = "labels/case-0001/0001.ome.zarr"


def look_at_everything(folder, readonly):
    with Project.open(folder, readonly=readonly) as project:
        for case in project.cases():
            for version in project.versions(case.id):
                project.arrays(case.id, version.number)
                yield project.labels(case.id, version.number).array
        project.events(), project.runs(), project.unsaved(), project.check()


@pytest.mark.one_file
@pytest.mark.parametrize("name", ["project.db", "project.json", "sources.json", f"{LABELS}/zarr.json", f"{LABELS}/0/zarr.json", f"{LABELS}/0/c/0/0/0"])
def test_a_file_spoilt_anywhere_gives_a_clear_error_or_the_labels_that_were_saved(made, tmp_path, name):
    whole, rng, told = (made.folder / name).read_bytes(), np.random.default_rng(len(name)), []
    for i in range(30):
        spoilt = bytearray(whole)
        if i % 3 == 0:
            spoilt = spoilt[:rng.integers(len(spoilt))]
        else:
            for _ in range(i % 3):
                spoilt[rng.integers(len(spoilt))] = rng.integers(256)
        folder = tmp_path / f"{i}.medseg"
        shutil.copytree(made.folder, folder)
        (folder / name).write_bytes(spoilt)
        try:
            for array in look_at_everything(folder, readonly=bool(i % 2)):
                assert np.array_equal(array, made.labels.array)
        except MedsegError as error:
            told.append(error)
        shutil.rmtree(folder)
    assert all(error.todo for error in told)


def spoil(path, change):
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))


@pytest.mark.parametrize("change", [
    lambda m: m.update(shape=[10**6] * 3), lambda m: m.update(data_type="float64"), lambda m: m.update(data_type="object"), lambda m: m.update(zarr_format=2),
    lambda m: m.update(codecs=[{"name": "numcodecs.pickle", "configuration": {}}]), lambda m: m.update(codecs=[]), lambda m: m.update(fill_value=7),
    lambda m: m["codecs"][0]["configuration"].update(chunk_shape=[10**9] * 3), lambda m: m["chunk_grid"]["configuration"].update(chunk_shape=[0, 0, 0]),
    lambda m: m.update(storage_transformers=[{"name": "evil"}]), lambda m: m["codecs"][0]["configuration"].update(codecs=[{"name": "blosc"}]),
])
def test_an_array_that_is_not_described_as_we_write_it_is_not_opened(made, change):
    spoil(made.folder / LABELS / "0" / "zarr.json", change)
    with made.open() as project, pytest.raises(ProjectError, match="damaged"):
        project.labels("case-0001")


def test_a_chunk_that_would_unpack_to_gigabytes_is_not_unpacked(made):
    from google_crc32c import Checksum
    from numcodecs.zstd import Zstd

    def sealed(data):
        return data + Checksum(data).digest()[::-1]

    path = made.folder / LABELS / "0" / "c" / "0" / "0" / "0"
    bomb = sealed(Zstd().encode(np.zeros(1 << 28, np.uint8)))
    assert len(bomb) < 1 << 16
    path.write_bytes(bomb + sealed(struct.pack("<8Q", 0, len(bomb), *[(1 << 64) - 1] * 6)))
    with made.open() as project:
        tracemalloc.start()
        with pytest.raises(ProjectError, match="damaged"):
            project.labels("case-0001")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1 << 24


def test_labels_put_in_place_of_others_are_noticed(made):
    with made.open() as project:
        project.save("case-0001", made.painted(3), kind="weak", tool="brush")
    shutil.rmtree(made.folder / LABELS / "0")
    shutil.copytree(made.folder / "labels/case-0001/0002.ome.zarr/0", made.folder / LABELS / "0")
    with made.open() as project:
        with pytest.raises(ProjectError, match="changed after it was saved"):
            project.labels("case-0001", 1)
        assert np.array_equal(project.labels("case-0001", 2).array, made.painted(3).array)
        assert [p.where for p in project.check()] == [LABELS]


def test_a_link_out_of_the_study_is_not_followed(made, tmp_path):
    outside = tmp_path / "outside"
    shutil.copytree(made.folder / LABELS, outside)
    shutil.rmtree(made.folder / LABELS)
    (made.folder / LABELS).symlink_to(outside)
    with made.open() as project:
        with pytest.raises(ProjectError, match="missing"):
            project.labels("case-0001")
        project.check(repair=True)
    assert (outside / "zarr.json").exists()
    (made.folder / LABELS).unlink()
    shutil.copytree(outside, made.folder / LABELS)
    (made.folder / LABELS / "0" / "c" / "0" / "0" / "0").unlink()
    (made.folder / LABELS / "0" / "c" / "0" / "0" / "0").symlink_to(outside / "0" / "c" / "0" / "0" / "0")
    with made.open() as project, pytest.raises(ProjectError, match="link"):
        project.labels("case-0001")


def test_half_written_folders_that_lead_elsewhere_are_taken_away_without_what_they_lead_to(made, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").write_text("years")
    (made.folder / "labels" / "case-0001" / ".part-1-evil").symlink_to(precious)
    (made.folder / "labels" / "case-0009").symlink_to(precious)
    with made.open() as project:
        project.check(repair=True)
    assert (precious / "thesis").read_text() == "years"


def database(made, *statements):
    connection = sqlite3.connect(made.folder / "project.db")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.one_file
def test_a_study_of_a_newer_program_is_refused_with_advice_and_not_touched(made):
    database(made, "INSERT INTO steps VALUES (99, '2030-01-01T00:00:00.000+00:00')")
    before = (made.folder / "project.db").read_bytes()
    for opening in (made.open, lambda: made.open(readonly=True), lambda: Project.rescue(made.folder)):
        with pytest.raises(ProjectError, match="newer version"):
            opening()
    assert (made.folder / "project.db").read_bytes() == before
    spoil(made.folder / "project.json", lambda m: m.update(layout=2))
    with pytest.raises(ProjectError, match="newer version"):
        made.open()


@pytest.mark.one_file
@pytest.mark.parametrize("statement", [
    "CREATE TRIGGER evil AFTER INSERT ON events BEGIN DELETE FROM settings; END",
    "CREATE VIEW evil AS SELECT 1",
    "DROP TRIGGER events_refuse_delete",
    "DROP TABLE settings",
    "DROP TABLE steps",
])
def test_a_database_with_other_parts_than_ours_is_refused(made, statement):
    database(made, statement)
    with pytest.raises(ProjectDamagedError):
        made.open()


@pytest.mark.one_file
@pytest.mark.parametrize("statement", [
    """UPDATE cases SET grid = '{"shape": [100000, 100000, 100000], "spacing": [1, 1, 1], "origin": [0, 0, 0], "direction": [1,0,0,0,1,0,0,0,1]}'""",
    "UPDATE cases SET grid = '[]'", "UPDATE cases SET grid = x'ff00'", "UPDATE cases SET added = 'yesterday'", "UPDATE cases SET modality = x'00'",
    "UPDATE settings SET value = '[{}]' WHERE name = 'classes'", "UPDATE settings SET value = 'nan?'", "UPDATE cases SET seconds = 'long'",
])
def test_rows_that_make_no_sense_are_an_error_not_a_crash(made, statement):
    database(made, statement)
    with pytest.raises(ProjectError):
        for _ in look_at_everything(made.folder, readonly=True):
            pass


@pytest.mark.one_file
def test_the_parts_of_a_study_are_found_by_number_not_by_what_a_row_says(made, tmp_path):
    (tmp_path / "hospital" / "secret.json").write_text("{}")
    database(made, "DROP TRIGGER versions_refuse_update")
    with pytest.raises(ProjectDamagedError):
        made.open()
