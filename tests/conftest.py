"""What every test stands on: the sample scans, and a guard that Qt tests run on the binding that was asked for.

Hypothesis draws the same examples on every run; `--hypothesis-profile=search` draws new ones, ten times as many. `--faults-long` makes the tests of
faults as long as a release needs: thousands of spoilt files, hundreds of killed processes; `--networks-whole` leaves nothing out of the suite of networks,
`--stores-whole` nothing out of the suite of studies whose database is on a server.
"""

import os
from pathlib import Path

import numpy as np
import postgres
import pytest
from hypothesis import settings

from napari_medseg.catalogue import shipped
from napari_medseg.volume import Geometry, Volume

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("NAPARI_CONFIG", "")  # nobody's own settings
os.environ.setdefault("MEDSEG_PREFERENCES", "")

settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile("gate")


def pytest_addoption(parser):
    parser.addoption("--faults-long", action="store_true", help="spoil 2,000 files a format and kill 200 processes, instead of a few")
    parser.addoption("--stores-whole", action="store_true", help="run every test of studies on PostgreSQL too, not only those of what differs there")
    parser.addoption("--networks-whole", action="store_true", help="train and export the networks that take long, too")


@pytest.fixture(scope="session", autouse=True)
def binding():
    """Fail unless Qt is the binding named by QT_API: with two installed, pytest-qt takes its own choice unless PYTEST_QT_API names it too."""
    wanted = os.environ.get("QT_API", "").lower()
    if not wanted:
        return
    import qtpy

    assert qtpy.API_NAME.lower() == wanted, f"QT_API={wanted}, but qtpy took {qtpy.API_NAME}"
    from_pytest_qt = os.environ.get("PYTEST_QT_API", "").lower()
    assert from_pytest_qt == wanted, f"set PYTEST_QT_API={wanted} too; it is '{from_pytest_qt}'"


@pytest.fixture(scope="session")
def server():
    """The address of a PostgreSQL database, one for all tests."""
    if why := postgres.missing():
        pytest.skip(why)
    with postgres.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def samples() -> Path:
    return shipped("sample_data")


@pytest.fixture
def ball() -> Volume:
    """A bright ball of 12 mm radius in noise, stored RAS so that display order differs from file order."""
    shape, spacing = (22, 64, 60), (3.0, 1.0, 1.0)
    z, y, x = np.indices(shape)
    inside = ((z - 11) * 3.0) ** 2 + (y - 32) ** 2 + (x - 26) ** 2 < 144
    array = np.random.default_rng(0).normal(100, 8, shape).astype(np.float32) + 100 * inside
    direction = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
    return Volume(array, Geometry(shape, spacing, (20.0, 24.0, -30.0), direction), name="ball", modality="MR")


@pytest.fixture
def ball_seeds(ball) -> tuple[tuple[float, float, float], ...]:
    """Five points inside the ball, LPS mm."""
    voxels = [(11, 32, 26), (11, 28, 24), (11, 36, 28), (9, 32, 28), (13, 30, 26)]
    return tuple(tuple(float(v) for v in point) for point in ball.geometry.world(voxels))
