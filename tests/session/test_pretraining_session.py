"""Learning from unlabelled scans in a session: what learns, what comes of it, and that a training starts from it only when a person says so."""

import numpy as np
import pytest

from napari_medseg.refine.pretraining.encoder_plan import read_encoder
from napari_medseg.session import engines
from napari_medseg.session.pretraining import LANE, Pretraining
from napari_medseg.volume import Geometry, Volume


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "data"))


@pytest.fixture
def opened(session):
    """A session with an unlabelled scan."""
    array = np.random.default_rng(0).normal(100, 20, (4, 16, 16)).astype(np.float32)
    session.open(Volume(array, Geometry(array.shape), "head", "MR"))
    session.set(tab="refine")
    session.refining.choose_recipe("network")
    return session


def test_with_nothing_open_it_says_so_and_with_a_network_of_objects_too(session, problems):
    model = session.refining.pretraining
    model.start()
    assert "no scan to learn from" in str(problems.pop())
    assert model.network == ("segresnet", 3)
    session.refining.choose_network(network="mask-rcnn-invariant")
    assert "finds objects" in model.refused


@pytest.mark.slow  # a process of its own imports torch, and learns
def test_what_it_learnt_is_offered_and_is_used_only_when_a_person_says_so(opened, owner, problems):
    model = opened.refining.pretraining
    opened.refining.choose_network(network="unet-lite", dims=2)
    model.choose(task="masked", updates=2)
    model.start()
    assert model.is_learning
    owner.run_until(lambda: not model.is_learning, 120.0)
    assert not problems
    assert opened.jobs.of(LANE).state == "done"
    assert model.taught is not None
    assert "can start from it" in opened.notice
    assert read_encoder(model.taught.file) == model.taught.plan
    assert opened.refine.network.start == ""
    model.use(True)
    assert model.is_start
    assert engines.settings_of(opened, opened.refine)["start"] == str(model.taught.file)
    opened.refining.choose_network(loss="dice")
    assert model.is_start
    opened.refining.choose_network(network="unet-sourget")
    assert not model.is_start
    later = Pretraining(opened)
    later.look()
    assert later.taught is not None
    assert later.taught.file == model.taught.file
    later.use(True)
    assert (opened.refine.network.network, opened.refine.network.dims) == ("unet-lite", 2)


@pytest.mark.slow  # a process of its own imports torch
def test_stop_ends_it_and_keeps_nothing(opened, owner, tmp_path):
    model = opened.refining.pretraining
    opened.refining.choose_network(network="unet-lite", dims=2)
    model.choose(updates=100_000)
    model.start()
    owner.run_until(lambda: (opened.jobs.of(LANE).fraction or 0) > 0.01, 120.0)
    opened.stop()
    assert not model.is_learning
    assert model.taught is None
    assert not [*tmp_path.rglob("*.safetensors")]
