"""A model and its plan are one file; anything else is refused by name, and nothing in it is ever run."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnwritableFileError
from napari_medseg.segmenters.plan import KEY
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import load_model, read_plan, save_model


def small():
    return UNet(widths=(2, 3, 4), classes=1)


@pytest.fixture
def model(tmp_path):
    return save_model(tmp_path / "m.safetensors", small(), {"classes": ["liver"], "threshold": 0.4, "training": {"epochs": 15}})


def rewritten(model, change_plan=None, change_tensors=None):
    """The same file with another plan or other weights, as a careless program would write it."""
    tensors = load_file(model)
    plan = read_plan(model).model_dump()
    if change_plan:
        change_plan(plan)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, model, metadata={KEY: json.dumps(plan)})
    return model


def test_what_was_saved_comes_back(tmp_path):
    network = small().train()
    with torch.no_grad():
        network(torch.rand(2, 1, 16, 16))  # moves the BatchNorm statistics
    path = save_model(tmp_path / "folder", network, {"title": "Liver", "classes": ["liver"], "training": {"loss": [0.5, 0.4]}})
    again, plan = load_model(tmp_path / "folder")
    assert path == tmp_path / "folder" / "model.safetensors"
    assert not again.training
    assert plan["network"]["widths"] == [2, 3, 4]
    assert (plan["title"], plan["classes"], plan["training"]) == ("Liver", ["liver"], {"loss": [0.5, 0.4]})
    picture = torch.rand(1, 1, 32, 32)
    assert torch.equal(again(picture), network.eval()(picture))


def test_the_plan_can_be_read_alone(model):
    assert read_plan(model).threshold == 0.4


def test_nothing_else_is_left_in_the_folder(model):
    save_model(model, small())
    assert [p.name for p in model.parent.iterdir()] == ["m.safetensors"]


def test_a_plan_that_is_no_json_leaves_the_old_file(model):
    before = model.read_bytes()
    for plan in ({"training": {"loss": float("nan")}}, {"training": {"x": object()}}, {"classes": ["a", "b"]}, {"threshold": 2}, {"unknown": 1}):
        with pytest.raises(InvalidInputError, match=r"m\.safetensors"):
            save_model(model, small(), plan)
    assert model.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableFileError):
        save_model(tmp_path / "file" / "model", small())


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"model\.safetensors"):
        load_model(tmp_path)


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was run')",))


def foreign(kind, network):
    if kind == "text":
        return b"these are not weights"
    if kind == "empty":
        return b""
    if kind == "pickle":
        return pickle.dumps(Trap())
    if kind == "noise":
        return np.random.default_rng(0).bytes(5000)
    return (8).to_bytes(8, "little") + b"[" * 8


@pytest.mark.parametrize("kind", ["text", "empty", "pickle", "noise", "broken header"])
def test_a_foreign_file_is_refused_by_name(tmp_path, kind):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(foreign(kind, small()))
    with pytest.raises(SegmenterError, match=r"^odd\.safetensors: is no model file"):
        load_model(path)


def test_a_torch_checkpoint_is_refused(tmp_path):
    path = tmp_path / "old.safetensors"
    torch.save(small().state_dict(), path)
    with pytest.raises(SegmenterError, match="is no model file"):
        load_model(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_file_cut_short_is_refused(model, share):
    data = model.read_bytes()
    model.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SegmenterError, match=r"m\.safetensors: is (no model file, or is )?cut short"):
        load_model(model)


def test_one_changed_bit_is_noticed(model):
    data = bytearray(model.read_bytes())
    data[-40] ^= 1
    model.write_bytes(data)
    with pytest.raises(SegmenterError, match="do not match their checksum"):
        load_model(model)


def test_weights_without_a_plan_are_refused(tmp_path):
    save_file(small().state_dict(), tmp_path / "bare.safetensors")
    with pytest.raises(SegmenterError, match=r"bare\.safetensors: holds weights, but not the plan"):
        load_model(tmp_path / "bare.safetensors")


def test_weights_that_do_not_fit_their_plan_are_refused(model):
    path = rewritten(model, lambda plan: plan["network"].update(widths=[2, 3, 5]))
    with pytest.raises(SegmenterError, match="do not fit the network"):
        load_model(path)


def test_missing_weights_are_refused(tmp_path):
    from napari_medseg.segmenters import weights

    network = small()
    path = save_model(tmp_path / "m.safetensors", network)
    tensors = network.state_dict()
    del tensors["head.bias"]
    plan = read_plan(path).model_dump()
    plan["sha256"] = weights._checksum(tensors)
    save_file(tensors, path, metadata={KEY: json.dumps(plan)})
    with pytest.raises(SegmenterError, match="do not fit the network"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda p: p.update(format=2), "format"),
        (lambda p: p["network"].update(kind="transformer"), "network.kind"),
        (lambda p: p["preprocessing"].update(normalise="z-score"), "preprocessing.normalise"),
        (lambda p: p.update(classes=["a", "b"]), "2 class names for 1 maps"),
    ],
)
def test_a_plan_of_another_version_says_what_it_cannot_use(model, change, named):
    with pytest.raises(SegmenterError, match=named):
        load_model(rewritten(model, change))
