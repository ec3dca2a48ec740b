"""The database is brought up to date in steps after a copy, and keeps its promises on network shares too."""

import os
import sqlite3
from pathlib import PureWindowsPath

import pytest
from sqlalchemy import create_engine, inspect

from napari_medseg.errors import ProjectError
from napari_medseg.project import Project, network, schema
from napari_medseg.project.database import Database
from napari_medseg.project.layout import Layout, case_id, case_key
from napari_medseg.project.network import on_network

pytestmark = pytest.mark.one_file


def pragma(database, name):
    with database.reading() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def _without(*tables):
    """SQL that takes the triggers of some tables away."""
    return "".join(f"DROP TRIGGER {name}; " for name in schema.TRIGGERS if name.rpartition("_refuse_")[0] in tables)


NEWEST_FIRST = ("DROP TABLE claims", _without("slice_marks", "sides"), "DROP TABLE slice_marks; DROP TABLE sides", _without("reviews"), "DROP TABLE reviews")
"""What takes the last steps back."""


def test_every_older_study_is_brought_up_to_date_after_a_copy(made, monkeypatch):
    with made.open() as project:
        expected = project.versions("case-0001")
    full = schema.STEPS
    for lacking in range(1, len(NEWEST_FIRST) + 1):
        connection = sqlite3.connect(made.folder / "project.db")
        connection.execute("DELETE FROM steps WHERE number > ?", (len(full) - lacking,))
        for statement in NEWEST_FIRST[:lacking]:
            connection.executescript(statement)
        connection.commit()
        connection.close()
        with pytest.raises(ProjectError, match="older version"):
            made.open(readonly=True)
        with made.open() as project:
            assert project.versions("case-0001") == expected
            assert project.events()[-1].action == "migrated"
            assert project.check() == []
        assert list((made.folder / "backups").glob(f"project-*-step-{len(full) - lacking}.db"))


def test_the_steps_lead_to_the_tables_that_the_program_uses(made):
    found = inspect(create_engine(f"sqlite:///{(made.folder / 'project.db').as_posix()}"))
    assert set(found.get_table_names()) - {"sqlite_sequence"} == set(schema.metadata.tables)
    for name, table in schema.metadata.tables.items():
        assert {c["name"] for c in found.get_columns(name)} == {c.name for c in table.columns}


def test_what_is_committed_is_on_the_disk(project):
    assert pragma(project._database, "journal_mode") == "wal"
    assert pragma(project._database, "synchronous") == 2
    assert pragma(project._database, "foreign_keys") == 1


def test_on_a_network_share_a_rollback_journal_is_used_and_back_again(made):
    share = Database(Layout(made.folder), network=True)
    share.open()
    assert pragma(share, "journal_mode") == "delete"
    with share.writing() as connection:
        connection.exec_driver_sql("UPDATE cases SET seconds = 5")
    share.close()
    with made.open() as project:
        assert project.case("case-0001").seconds == 5
        assert pragma(project._database, "journal_mode") == "wal"


MOUNTS = [
    ("/", "ext4"), ("/mnt/ward", "cifs"), ("/mnt/ward/local", "ext4"), ("/home", "nfs4"), ("/media/x", "fuse.sshfs"), ("/disk", "fuseblk"),
    ("/g", "fuse.glusterfs"),
]


@pytest.mark.skipif(os.name == "nt", reason="paths of Linux and macOS")
@pytest.mark.parametrize(("path", "expected"), [
    ("/data/a.medseg", False), ("/mnt/ward/a.medseg", True), ("/mnt/ward/local/a.medseg", False), ("/mnt/warden", False), ("/home/ann/a.medseg", True),
    ("/media/x", True), ("/disk/a", False), ("/g/a", True),
])
def test_a_network_share_is_known_by_its_file_system(path, expected):
    assert on_network(path, MOUNTS) is expected


def test_a_windows_share_is_known_by_its_name(monkeypatch):
    monkeypatch.setattr(network.os.path, "abspath", str)
    assert on_network(PureWindowsPath(r"\\ward3\studies\a.medseg"), [])
    assert on_network(PureWindowsPath(r"\\?\UNC\ward3\studies\a.medseg"), [])
    assert not on_network(PureWindowsPath(r"\\?\C:\studies\a.medseg"), [])


def test_copies_of_the_database_are_made_daily_and_the_oldest_go(made):
    assert len(list((made.folder / "backups").iterdir())) == 1, "the first opening made one"
    with made.open() as project:
        for _ in range(3):
            project._database.backup_daily()
        assert len(list((made.folder / "backups").iterdir())) == 1
        for i in range(12):
            project._database.backup(f"test{i}")
        assert len(list((made.folder / "backups").glob("*.db"))) == 5


def test_a_copy_of_the_database_is_a_whole_one(made):
    with made.open() as project:
        copy = project._database.backup("test")
    (made.folder / "project.db").write_bytes(copy.read_bytes())
    with Project.open(made.folder) as project:
        assert project.check() == []


@pytest.mark.parametrize("key", [1, 42, 9999, 10000, 123456789])
def test_ids_of_cases_are_numbers_and_back(key):
    assert case_key(case_id(key)) == key
