"""A person's own model runs on a server as it runs here, and only theirs."""

import json
import struct

import numpy as np
import pytest

from napari_medseg.cluster.remote.segmenter import RemoteSegmenter, outcome
from napari_medseg.cluster.wire.asking import Spec
from napari_medseg.cluster.wire.models import as_volume
from napari_medseg.errors import MedsegError, MissingFileError, RemoteError, SegmenterError
from napari_medseg.segmenters.protocol import collect
from napari_medseg.testing.segmenter_conformance import blob
from napari_medseg.volume import Geometry, Volume

ONE = Spec(members=({"id": "own-model"},))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import torch

    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    torch.manual_seed(5)
    return save_model(tmp_path_factory.mktemp("own"), UNet(1, 1, [4, 8], 0.0), {"title": "Mine"})


@pytest.fixture
def scan():
    return blob("thick slices")


def own(serving, model, token=None, give_up_s=15.0):
    return RemoteSegmenter(serving.server(token), ONE, {0: as_volume(model)}, give_up_s=give_up_s)


def test_it_answers_there_what_it_answers_here(serving, scan, model):
    from napari_medseg.segmenters.opening import open_model

    there = own(serving, model)
    assert there.title == "Mine"
    found = collect(there.predict(scan), scan.geometry.shape)
    np.testing.assert_array_equal(found, collect(open_model(model).predict(scan, device="cpu"), scan.geometry.shape))
    kept = serving.running.room.store.facts["scans"]
    again = own(serving, model)
    assert again.title == "Mine"
    assert serving.running.room.store.facts["scans"] == kept, "it was there already"
    for each in (there, again):
        each.release()


def test_a_server_that_was_started_anew_is_sent_it_again(restarting, scan, model):
    there = own(restarting, model)
    before = collect(there.predict(scan), scan.geometry.shape)
    restarting.again()
    np.testing.assert_array_equal(collect(there.predict(scan), scan.geometry.shape), before)
    there.release()


def test_nobody_can_use_the_model_of_somebody_else(serving, scan, model):
    mine = own(serving, model)
    assert mine.title == "Mine"
    name = outcome(mine._there()).members[0].model
    digest = serving.running.room.store.lease("ann", name).kept.digest
    theirs = serving.tokens.add("eve")
    for known in (name, digest[:32], digest):
        spec = ONE.model_copy(update={"members": (ONE.members[0].model_copy(update={"model": known}),)})
        with pytest.raises(MedsegError):
            list(RemoteSegmenter(serving.server(theirs), spec, give_up_s=0.0).predict(scan))
    mine.release()


def written(path, plan, tensors=b""):
    header = json.dumps({"__metadata__": {"medseg": json.dumps(plan)}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + tensors)
    return path


PLAN = {"network": {"kind": "unet2d", "in_channels": 1, "classes": 1, "widths": [4, 8], "dropout": 0.0}}


@pytest.mark.parametrize(("plan", "what"), [
    ({**PLAN, "network": {**PLAN["network"], "widths": [100_000_000, 8]}}, "larger than any"),
    ({**PLAN, "network": {**PLAN["network"], "widths": [1024] * 64}}, "larger than any"),
    ({**PLAN, "network": {"kind": "volumetric", "members": 10**9, "widths": [64, 64]}}, "larger than any"),
    (PLAN, "damaged"),
])
def test_a_file_that_is_no_whole_model_is_refused_and_the_server_lives(serving, scan, tmp_path, plan, what):
    there = own(serving, written(tmp_path / "model.safetensors", plan))
    with pytest.raises(SegmenterError, match=what):
        list(there.predict(scan))
    there.release()
    assert serving.segmenter("bright").title == "Bright"


def test_only_a_model_is_taken_for_one(serving, scan, model, tmp_path):
    with pytest.raises(SegmenterError):
        as_volume(written(tmp_path / "model.safetensors", {"network": {"kind": "of somebody else"}}))
    with pytest.raises(MissingFileError):
        as_volume(tmp_path / "nothing")
    code = np.frombuffer(b"\x80\x04cos\nsystem\n" * 9, np.uint8).reshape(-1, 1, 1)
    for sent in (scan, Volume(code, Geometry(code.shape, (1.0, 1.0, 1.0)), modality="MODEL")):
        there = RemoteSegmenter(serving.server(), ONE, {0: sent}, give_up_s=0.0)
        with pytest.raises(MedsegError) as refused:
            list(there.predict(scan))
        assert not isinstance(refused.value, RemoteError), "the server says why"
        there.release()
