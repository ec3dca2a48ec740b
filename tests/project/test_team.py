"""Several write to one study at once, its database on a PostgreSQL server: nothing is lost, nothing is doubled, nobody overwrites another."""

import json
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest
from study_grid import GRID

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import InvalidInputError, ProjectDamagedError, ProjectError, StudyServerError, UnavailableError, UnwritableFileError
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.project import server as servers
from napari_medseg.project.address import Address, parse, read_address
from napari_medseg.volume import Volume

CASE = "case-0001"


@pytest.fixture
def team(server, monkeypatch, request):
    """The study of `made`, shared."""
    monkeypatch.setenv("MEDSEG_STUDY_DATABASE", server)
    return request.getfixturevalue("made")


@pytest.fixture
def both(team):
    """The study as Ann and as Bob have it open."""
    with team.open() as anns, Project.open(team.folder, user="Bob") as bobs:
        yield anns, bobs


def at_once(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_who_save_one_case_at_once_make_versions_of_their_own(both, team):
    def saving(project):
        return lambda: [project.save(CASE, team.painted(seed), kind="weak", tool="brush", parent=1) for seed in range(6)]

    anns, bobs = both
    at_once(saving(anns), saving(bobs))
    versions = anns.versions(CASE)
    assert [v.number for v in versions] == list(range(1, 14))
    assert [v.author for v in versions].count("Bob") == 6
    assert bobs.versions(CASE) == versions
    assert anns.check() == []
    assert {e.number for e in bobs.events(CASE) if e.action == "saved"} == set(range(1, 14))


def test_scans_and_classes_that_two_add_at_once_are_all_there(both, team, tmp_path):
    anns, bobs = both
    for number in range(4):
        write(Volume(np.full((3, 4, 5), number, np.int16), GRID.__class__((3, 4, 5), (1.0, 1.0, 1.0))), tmp_path / f"{number}.nii.gz")
    at_once(lambda: [anns.add(tmp_path / f"{n}.nii.gz") for n in (0, 1, 2)], lambda: [bobs.add(tmp_path / f"{n}.nii.gz") for n in (3, 2, 1)])
    assert [case.id for case in anns.cases()] == [f"case-{n:04d}" for n in range(1, 6)]
    assert [(case.name, case.is_there) for case in anns.cases()] == [(case.name, case.is_there) for case in bobs.cases()]
    assert all(case.is_there for case in anns.cases())

    def brings(project, value):
        array = team.labels.array.copy()
        array[0, 0, value] = value
        return lambda: project.save(CASE, LabelMap(array, GRID, classes=(LabelClass(value, f"New {value}", (1, 0, 0)),)), kind="weak", tool="brush")

    at_once(brings(anns, 7), brings(bobs, 8))
    assert {c.name for c in anns.classes} == {c.name for c in bobs.classes} == {"Liver", "Cyst", "New 7", "New 8"}
    bobs.set_classes([*bobs.classes, LabelClass(20, "Bob's", (0, 1, 0))])
    anns.set_classes([LabelClass(1, "Liver", (1, 0, 0)), LabelClass(21, "Ann's", (0, 1, 0))])
    assert {c.value for c in anns.classes} >= {1, 7, 8, 20, 21}


def test_each_has_drafts_of_their_own(both, team):
    anns, bobs = both
    anns.draft(CASE, 1).write(team.painted(3).array)
    assert [one.case for one in anns.unsaved()] == [CASE]
    assert bobs.unsaved() == []
    bobs.draft(CASE, 1).write(team.painted(4).array)
    assert np.array_equal(anns.recover(CASE).array, team.painted(3).array)
    assert np.array_equal(bobs.recover(CASE).array, team.painted(4).array)


def test_a_save_whose_connection_is_cut_is_an_error_and_leaves_nothing(both, team, monkeypatch):
    anns, bobs = both
    putting = anns._put

    def cut(*given):
        putting(*given)
        team.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'napari-medseg'")

    monkeypatch.setattr(anns, "_put", cut)
    with pytest.raises(StudyServerError, match="does not answer"):
        anns.save(CASE, team.painted(3), kind="weak", tool="brush")
    monkeypatch.undo()
    assert sorted(path.name for path in (team.folder / "labels" / CASE).iterdir()) == ["0001.ome.zarr"]
    assert bobs.save(CASE, team.painted(4), kind="weak", tool="brush").number == 2
    assert anns.save(CASE, team.painted(5), kind="weak", tool="brush").number == 3
    assert anns.check() == []


def test_who_waits_too_long_for_another_one_is_told_so(team, monkeypatch):
    monkeypatch.setattr(servers, "WAIT_SECONDS", 1)
    with team.open() as anns, Project.open(team.folder, user="Bob") as bobs, anns._database.holding(CASE):
        with pytest.raises(UnwritableFileError, match="busy"):
            bobs.save(CASE, team.painted(1), kind="weak", tool="brush")
        bobs.worked(CASE, 5)


def test_a_writer_killed_in_a_save_leaves_no_lock_and_nothing_half(team):
    code = """
import os, sys
from napari_medseg.project import Project, rows
project = Project.open(sys.argv[1], user="Bob")
rows.add_version = lambda *_: os._exit(9)
project.save("case-0001", project.labels("case-0001"), kind="verified", tool="brush")
"""
    with team.open() as anns:
        assert subprocess.run([sys.executable, "-c", code, str(team.folder)], check=False).returncode == 9
        assert anns.save(CASE, team.painted(1), kind="weak", tool="brush").number == 3, "the folder of the one that died is still there"
    with team.open() as anns:
        assert anns.check() == []
        assert [v.number for v in anns.versions(CASE)] == [1, 3]


def test_the_server_refuses_to_empty_tables_and_parts_that_are_not_ours_refuse_the_study(team, refused):
    with pytest.raises(refused, match="written once"):
        team.run("TRUNCATE events")
    for statement, undone in (
        ("CREATE VIEW evil AS SELECT 1", "DROP VIEW evil"), ("ALTER TABLE versions DISABLE TRIGGER ALL", "ALTER TABLE versions ENABLE TRIGGER ALL"),
        ("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$", ""),
    ):
        team.run(statement)
        with pytest.raises(ProjectDamagedError, match="other than"):
            team.open()
        if undone:
            team.run(undone)
            team.open().close()


def test_an_older_study_on_a_server_is_brought_up_to_date_once(team):
    team.run("DELETE FROM steps WHERE number = (SELECT max(number) FROM steps)", "DROP TABLE claims")
    with pytest.raises(ProjectError, match="older version"):
        team.open(readonly=True)
    opened = []
    at_once(*[lambda: opened.append(team.open())] * 3)
    for project in opened:
        with project:
            assert project.claims() == []
            assert sum(event.action == "migrated" for event in project.events()) == 1
    assert len(opened) == 3


def test_a_copy_of_the_servers_database_is_a_study_of_ones_own(team):
    with team.open() as anns:
        assert len(list((team.folder / "backups").glob("project-*-daily.db"))) == 1
        expected, copy = anns.versions(CASE), anns._database.backup("test")
    copy.rename(team.folder / "project.db")
    (team.folder / "store.json").unlink()
    with Project.open(team.folder) as alone:
        assert not alone.shared
        assert alone.versions(CASE) == expected
        assert alone.check() == []
        assert alone.save(CASE, team.labels, kind="weak", tool="brush").number == 2


def test_the_folder_says_where_the_database_is_and_no_password(team, server, tmp_path):
    told = json.loads((team.folder / "store.json").read_text())["postgresql"]
    assert set(told) == {"host", "port", "database", "schema", "user", "sslmode"}
    assert not (team.folder / "project.db").exists()
    with pytest.raises(InvalidInputError, match="password"):
        Project.create(tmp_path / "other", database=server.replace("team@", "team:secret@"))
    with pytest.raises(UnwritableFileError, match="another study already"):
        Project.create(tmp_path / "other", database=f"{server}?schema={told['schema']}")
    assert not (tmp_path / "other.medseg").exists()
    with team.open() as project:
        assert project.versions(CASE), "the study whose schema was wanted is as it was"


@pytest.mark.parametrize("url", [
    "mysql://h/d", "postgresql://h", "postgresql://h:99999/d", "postgresql://h/d?options=-c", "postgresql://h/d?schema=pg_catalog", "postgresql://h/d?sslmode=x",
    "postgresql://h/d?schema=a;drop", "postgresql://h,evil/d", "nonsense", "postgresql://h/d?password=x",
])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InvalidInputError):
        parse(url, "study_1")


def test_a_server_elsewhere_is_asked_for_an_encrypted_connection(monkeypatch):
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert parse("postgresql://db.example.org/d", "s").secrecy == "require"
    assert parse("postgresql://db.example.org/d?sslmode=verify-full", "s").secrecy == "verify-full"
    assert parse("postgresql://127.0.0.1/d", "s").secrecy == "prefer"
    assert parse("postgresql:///d?host=/run/postgresql", "s") == Address("/run/postgresql", 5432, "d", "s")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"postgresql": {}}', '{"postgresql": {"host": "h", "port": "5", "database": "d", "schema": "s"}}',
                                  '{"postgresql": {"host": "h", "port": 5, "database": "d\' options=x", "schema": "s"}}'])
def test_a_damaged_address_is_an_error_not_a_crash(team, text):
    (team.folder / "store.json").write_text(text)
    with pytest.raises(ProjectError):
        team.open()


def test_a_server_that_does_not_answer_is_said_so_and_told_nothing_away(team):
    path = team.folder / "store.json"
    path.write_text(path.read_text().replace(f'"port": {read_address(path).port}', '"port": 9'))
    with pytest.raises(StudyServerError, match=r"does not answer.*pgpass") as caught:
        team.open()
    assert "127.0.0.1" not in str(caught.value)


def test_without_psycopg_there_is_the_command_that_brings_it(team, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UnavailableError, match=r"pip install .napari-medseg\[team\]"):
        team.open()


def test_a_schema_is_taken_back_when_no_study_came_of_it(server, tmp_path, monkeypatch):
    import psycopg

    from napari_medseg.project import folder

    monkeypatch.setattr(folder, "flush_tree", lambda _: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(UnwritableFileError):
        Project.create(tmp_path / "never", database=f"{server}?schema=never")
    with closing(psycopg.connect(server)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'never'").fetchone() == (0,)


