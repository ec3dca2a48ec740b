"""A model that leaves takes all it needs along, opens again in every form with the same answer, and tells nothing about who was scanned."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import yaml

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnavailableError, UnwritableFileError
from napari_medseg.refine.export import export_model, shareable
from napari_medseg.segmenters import collect
from napari_medseg.segmenters.opening import open_model
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import load_model, save_model
from napari_medseg.volume import Geometry, Volume

SAME = 1e-4
TRAINING = {
    "recipe": "salah2023", "round": 1, "adopted": True, "cases": 2, "seed": 7, "learning_rate": 1e-3, "base": {"title": "M0", "sha256": "0" * 64},
    "rounds": [
        {"round": 0, "updates": 0, "dice_verified": 0.701, "volume_ratio": 1.0, "adopted": False, "reason": "worst in Mrs Doe"},
        {"round": 1, "updates": 80, "dice_verified": 0.812, "volume_ratio": 1.1, "adopted": True, "reason": "better, also in Mrs Doe"},
    ],
    "lineage": {
        "recipe": {"name": "salah2023"}, "patients": 1, "voxels": {"weak": 1900, "corrected": 100}, "labels_sha256": ["1" * 64, "2" * 64],
        "by": "Jane Doe",
    },
    "note": "trained by Dr Who on /home/who/scans",
}


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(1)
    network = UNet(classes=2, widths=(4, 8))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
    plan = {"title": "Liver and spleen", "classes": ["liver", "spleen"], "modalities": ["CT"], "preprocessing": {"size": 32}, "training": TRAINING}
    return save_model(tmp_path / "run" / "model", network, plan)


@pytest.fixture
def scan():
    """Slices along the thick axis of a scan whose axes lie in no plain order."""
    geometry = Geometry((45, 5, 50), (0.9, 5.0, 0.8), direction=(1, 0, 0, 0, 0, 1, 0, -1, 0))
    return Volume(np.random.default_rng(0).normal(100, 40, geometry.shape).astype(np.int16), geometry, "scan", "CT")


def answer(segmenter, scan):
    return collect(segmenter.predict(scan, device="cpu"), scan.geometry.shape)


def test_the_folder_holds_the_same_model_a_plan_a_card_and_a_catalogue_entry(model, scan, tmp_path):
    done = export_model(model.parent.parent, tmp_path / "out")  # the folder of the run will do
    assert sorted(file.name for file in done.files) == sorted(p.name for p in (tmp_path / "out").iterdir())
    assert np.array_equal(answer(open_model(tmp_path / "out"), scan), answer(open_model(model), scan))
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["sha256"] == load_model(model)[1]["sha256"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Not a medical device" in card
    for said in ("liver, spleen", "BSD-3-Clause", "salah2023", "| 1 | 80 | 1.1 | 0.812 | yes |", "patients: 1", "weak 95 %, corrected 5 %"):
        assert said in card


def test_nothing_about_cases_patients_or_people_leaves(model, tmp_path):
    export_model(model, tmp_path / "out", formats=("safetensors", "torchscript"))
    told = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    for secret in (b"Doe", b"Jane", b"Who", b"/home", os.fsencode(tmp_path)):
        assert secret not in told
    assert shareable(TRAINING)["learnt_from"] == {"cases": 2, "patients": 1, "voxels": {"weak": 1900, "corrected": 100}}


def test_a_catalogue_finds_it_wherever_the_folder_is_moved(model, scan, tmp_path, monkeypatch):
    export_model(model, tmp_path / "out", title="Liver 2026")
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("MEDSEG_PLUGINS", str(tmp_path / "elsewhere" / "plugins.yaml"))
    (part,) = yaml.safe_load((tmp_path / "elsewhere" / "plugins.yaml").read_text())["parts"]
    found = catalogue.load()
    assert not found.problems
    segmenter = found.find(part["id"], "segmenter").build()
    assert segmenter.title == "Liver 2026"
    assert np.array_equal(answer(segmenter, scan), answer(open_model(model), scan))


def test_torchscript_answers_as_the_model_does(model, scan, tmp_path):
    from napari_medseg.segmenters.engines.torchscript import TorchScriptSegmenter

    export_model(model, tmp_path / "out", formats=("torchscript",))
    there = TorchScriptSegmenter(tmp_path / "out" / "model.pt")
    assert there.capabilities.classes == ("liver", "spleen")
    assert np.abs(answer(there, scan) - answer(open_model(model), scan)).max() < SAME


@pytest.mark.skipif(any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")), reason="the optional packages for ONNX are not installed")
@pytest.mark.slow  # torch translates the network operator by operator
def test_onnx_answers_as_the_model_does(model, scan, tmp_path):
    from napari_medseg.segmenters.engines.onnx import OnnxSegmenter

    export_model(model, tmp_path / "out", formats=("onnx",))
    assert not list((tmp_path / "out").glob("*.data"))
    assert np.abs(answer(OnnxSegmenter(tmp_path / "out" / "model.onnx"), scan) - answer(open_model(model), scan)).max() < SAME


@pytest.mark.skipif(find_spec("onnxscript") is not None, reason="the packages are here")
def test_onnx_without_its_packages_says_what_to_install(model, tmp_path):
    with pytest.raises(UnavailableError, match=r"pip install .*onnxscript"):
        export_model(model, tmp_path / "out", formats=("onnx",))


def test_title_and_licence_can_be_given(model, tmp_path):
    done = export_model(model, tmp_path / "out", title="Ours", licence="CC-BY-4.0", figures={"Dice at our site": 0.91})
    assert (done.title, done.licence) == ("Ours", "CC-BY-4.0")
    assert open_model(done.folder).capabilities.licence == "CC-BY-4.0"
    assert "Dice at our site: 0.91" in (tmp_path / "out" / "README.md").read_text()


def test_a_folder_that_holds_something_is_left_alone(model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(InvalidInputError, match="holds something"):
        export_model(model, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_what_cannot_be_exported_is_said_before_anything_is_written(model, tmp_path):
    with pytest.raises(InvalidInputError, match="no format 'caffe'"):
        export_model(model, tmp_path / "out", formats=("caffe",))
    with pytest.raises(MissingFileError, match="no model"):
        export_model(tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_a_sentence(model, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnwritableFileError):
        export_model(model, tmp_path / "file" / "out")


def test_a_family_of_networks_from_the_future_is_named(tmp_path):
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(1)}, tmp_path / "model.safetensors", {"medseg": json.dumps({"format": 1, "network": {"kind": "quantum"}})})
    with pytest.raises(SegmenterError, match="'quantum', which this version does not know"):
        open_model(tmp_path)
