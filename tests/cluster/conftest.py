"""A server in this process with segmenters that cost nothing, and its clients."""

import pytest
import yaml
from remote_engines import GATE, RUNS
from served import ENTRIES, Serving


@pytest.fixture(scope="module")
def plain_catalogue(tmp_path_factory):
    """The catalogue of a server, with the engines of `remote_engines`."""
    path = tmp_path_factory.mktemp("catalogue") / "plugins.yaml"
    path.write_text(yaml.safe_dump({"parts": [{"kind": "segmenter", "title": each["id"], "licence": "MIT", **each} for each in ENTRIES]}), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDSEG_PLUGINS", str(path))
        yield path


@pytest.fixture(scope="module")
def serving(plain_catalogue, tmp_path_factory):
    started = Serving(tmp_path_factory.mktemp("server"))
    yield started
    started.stop()


@pytest.fixture
def restarting(plain_catalogue, tmp_path):
    started = Serving(tmp_path)
    yield started
    GATE.set()
    started.stop()


@pytest.fixture(autouse=True)
def _open_gate():
    GATE.set()
    RUNS.clear()
    yield
    GATE.set()
