"""A small study on disk: one scan, called after a patient, with a label drawn on it.

Tests marked `stores` run twice: with the database in the study's folder, and with it on a PostgreSQL server. With `--stores-whole` all do but those marked
`one_file`, which are about the file itself or about its one writer.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from study_grid import GRID

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.project.address import read_address
from napari_medseg.project.layout import Layout, writer_of
from napari_medseg.volume import Volume

PATIENT = "DOE_JANE_1961"


@dataclass(frozen=True)
class Made:
    """A study folder, its scan and a label map on its grid."""

    folder: Path
    scan: Path
    labels: LabelMap

    def open(self, **options) -> Project:
        return Project.open(self.folder, user="Ann", **options)

    @property
    def drafts(self) -> Path:
        """Where Ann's drafts lie."""
        return Layout(self.folder, writer_of("Ann") if (self.folder / "store.json").exists() else "").drafts

    def run(self, *statements: str) -> None:
        """Statements given to the database past the program; a refusal is an IntegrityError of either kind."""
        address = read_address(self.folder / "store.json")
        if address is None:
            connection = sqlite3.connect(self.folder / "project.db")
        else:
            import psycopg

            connection = psycopg.connect(
                host=address.host, port=address.port, dbname=address.database, user=address.user, options=f"-c search_path={address.schema}",
            )
        try:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        finally:
            connection.close()

    def painted(self, seed: int) -> LabelMap:
        """Other labels on the same grid, told apart by their number."""
        array = self.labels.array.copy()
        array[seed % 9, 5:9, seed % 60] = 2
        return LabelMap(array, GRID)


def pytest_generate_tests(metafunc):
    if "store" in metafunc.fixturenames:
        marked = {mark.name for mark in metafunc.definition.iter_markers()}
        both = "stores" in marked or (metafunc.config.getoption("--stores-whole") and "one_file" not in marked)
        if both:
            metafunc.parametrize("store", ["file", "server"], indirect=True)


@pytest.fixture(autouse=True)
def store(request, monkeypatch):
    """Where studies that a test makes have their database: "file" or "server"."""
    kind = getattr(request, "param", "file")
    if kind == "server":
        monkeypatch.setenv("MEDSEG_STUDY_DATABASE", request.getfixturevalue("server"))
    return kind


@pytest.fixture
def refused():
    """What a database raises that lets nobody change what is written once."""
    import psycopg

    return sqlite3.IntegrityError, psycopg.errors.IntegrityError


@pytest.fixture
def scan(tmp_path) -> Path:
    """A scan whose file is named after a patient."""
    path = tmp_path / "hospital" / f"{PATIENT}.nii.gz"
    path.parent.mkdir()
    write(Volume(np.random.default_rng(1).integers(-900, 900, GRID.shape).astype(np.int16), GRID), path)
    return path


@pytest.fixture
def labels() -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[3:6, 10:40, 12:30] = 1
    return LabelMap(array, GRID)


@pytest.fixture
def made(tmp_path, scan, labels) -> Made:
    """A closed study that holds the scan as case-0001 and one weak version of it."""
    with Project.create(tmp_path / "liver.medseg", title="Livers", classes=default_classes(["Liver", "Cyst"]), user="Ann") as project:
        case = project.add(scan)
        project.save(case.id, labels, kind="weak", tool="brush")
    return Made(project.folder, scan, labels)


@pytest.fixture
def project(made):
    """The study, open."""
    with made.open() as opened:
        yield opened
