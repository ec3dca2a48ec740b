"""A small study on disk: one scan, called after a patient, with a label drawn on it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume

PATIENT = "DOE_JANE_1961"
GRID = Geometry((9, 70, 66), (3.0, 0.8, 0.7), (-30.5, 12.0, -80.0), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Made:
    """A study folder, its scan and a label map on its grid."""

    folder: Path
    scan: Path
    labels: LabelMap

    def open(self, **options) -> Project:
        return Project.open(self.folder, user="Ann", **options)

    def painted(self, seed: int) -> LabelMap:
        """Other labels on the same grid, told apart by their number."""
        array = self.labels.array.copy()
        array[seed % 9, 5:9, seed % 60] = 2
        return LabelMap(array, GRID)


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
