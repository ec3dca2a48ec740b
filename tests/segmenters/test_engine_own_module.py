"""A person's own Python class runs only after they agreed to that very file; its weights never run anything."""

import json
import pickle
import sys

import numpy as np
import pytest
import torch
from engine_models import Blurred, describe, scene
from safetensors.torch import save_file

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError
from napari_medseg.metrics.overlap import dice
from napari_medseg.segmenters import collect, consent, to_labels
from napari_medseg.segmenters.engines.own_module import OwnModuleSegmenter

CODE = '''
from dataclasses import dataclass

import torch


@dataclass
class Settings:
    width: int = 3


class Blurred(torch.nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 1, Settings(width).width, padding=width // 2)

    def forward(self, x):
        return 30.0 * self.conv(x)


class Needs(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()


def function():
    pass
'''


@pytest.fixture(autouse=True)
def consents(tmp_path, monkeypatch):
    file = tmp_path / "configuration" / "consents.json"
    monkeypatch.setattr(consent, "consents_file", lambda: file)
    return file


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def weights(tmp_path):
    path = describe(tmp_path / "net.safetensors")
    save_file(Blurred().state_dict(), path)
    return path


def labels(segmenter, volume):
    return to_labels(collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape))


def test_without_consent_nothing_runs(code, weights):
    code.write_text(CODE + "\nimport sys\nsys.medseg_own_ran = True\n")
    for agreed in (None, False):
        with pytest.raises(SegmenterError, match=r"net\.py: is refused: its Python code runs with all your rights"):
            OwnModuleSegmenter(weights, code, "Blurred", trust=agreed)
    assert not hasattr(sys, "medseg_own_ran")


def test_consent_is_asked_for_once_and_again_when_the_file_changes(code, weights):
    volume, ball = scene()
    OwnModuleSegmenter(weights, code, "Blurred", trust=True)
    again = OwnModuleSegmenter(weights, code, "Blurred")
    assert dice(labels(again, volume), ball) > 0.7  # blurred by three slices
    code.write_text(CODE + "\n")
    with pytest.raises(SegmenterError, match="is refused"):
        OwnModuleSegmenter(weights, code, "Blurred")


def test_a_file_that_changes_after_it_was_agreed_to_is_not_run(code, weights):
    segmenter = OwnModuleSegmenter(weights, code, "Blurred", trust=True)
    code.write_text(CODE + "\nimport sys\nsys.medseg_own_ran = True\n")
    with pytest.raises(SegmenterError, match="is refused"):
        next(segmenter.predict(scene()[0], device="cpu"))
    assert not hasattr(sys, "medseg_own_ran")


@pytest.mark.parametrize("wrap", [
    lambda state: state, lambda state: {"state_dict": state, "epoch": 3}, lambda state: {"model": {f"module.{k}": v for k, v in state.items()}},
])
def test_checkpoints_of_training_programs_are_read(tmp_path, code, wrap):
    path = describe(tmp_path / "net.pt")
    torch.save(wrap(Blurred(5).state_dict()), path)
    segmenter = OwnModuleSegmenter(path, code, "Blurred", arguments=json.dumps({"width": 5}), trust=True)
    assert labels(segmenter, scene()[0]).any()


class Ran:
    def __reduce__(self):
        return (exec, ("import sys; sys.modules['medseg_pickle_ran'] = sys",))


@pytest.mark.parametrize(("content", "told"), [
    (pickle.dumps(Ran()), "is refused|is no checkpoint"),
    (b"", "is no checkpoint"),
    (b"PK\x03\x04 half", "is no checkpoint"),
])
def test_weights_that_are_none_run_nothing(tmp_path, code, content, told):
    path = describe(tmp_path / "net.pt")
    path.write_bytes(content)
    with pytest.raises(SegmenterError, match=rf"net\.pt: ({told})"):
        next(OwnModuleSegmenter(path, code, "Blurred", trust=True).predict(scene()[0], device="cpu"))
    assert "medseg_pickle_ran" not in sys.modules


def test_half_a_safetensors_file_is_said_to_be_cut_short(code, weights):
    weights.write_bytes(weights.read_bytes()[:-20])
    with pytest.raises(SegmenterError, match=r"net\.safetensors: is no safetensors file, or is cut short"):
        next(OwnModuleSegmenter(weights, code, "Blurred", trust=True).predict(scene()[0], device="cpu"))


@pytest.mark.parametrize(("name", "arguments", "told"), [
    ("Nothing", "", "holds no PyTorch module named 'Nothing'"),
    ("function", "", "holds no PyTorch module named 'function'"),
    ("Settings", "", "holds no PyTorch module"),
    ("Needs", "", "Needs could not be made"),
    ("Blurred", '{"width": 7}', "weights that do not fit the network"),
])
def test_a_class_that_is_none_is_named(code, weights, name, arguments, told):
    with pytest.raises(SegmenterError, match=told):
        next(OwnModuleSegmenter(weights, code, name, arguments=arguments, trust=True).predict(scene()[0], device="cpu"))


@pytest.mark.parametrize("text", ["raise ValueError('no')", "def (", "import medseg_beside_me"])
def test_a_file_that_cannot_be_run_is_named_and_runs_again_when_mended(tmp_path, code, weights, text):
    (tmp_path / "medseg_beside_me.py").write_text("")
    code.write_text(text)
    segmenter = OwnModuleSegmenter(weights, code, "Blurred", trust=True)
    with pytest.raises(SegmenterError, match=r"net\.py: could not be run"):
        next(segmenter.predict(scene()[0], device="cpu"))
    code.write_text(CODE)
    consent.give(code, "test")
    assert labels(segmenter, scene()[0]).any()


@pytest.mark.parametrize("arguments", ["{", "[3]"])
def test_arguments_must_be_json(code, weights, arguments):
    with pytest.raises(InvalidInputError, match="arguments"):
        OwnModuleSegmenter(weights, code, "Blurred", arguments=arguments, trust=True)


def test_missing_files_are_said_to_be_missing(tmp_path, code, weights):
    for model, python in ((tmp_path / "no.pt", code), (weights, tmp_path / "no.py")):
        with pytest.raises(MissingFileError):
            OwnModuleSegmenter(model, python, "Blurred", trust=True)


def test_the_answer_is_the_networks(code, weights):
    volume, _ = scene((16, 16, 16), (1.0, 1.0, 1.0))
    form = {"window": "16 16 16", "classes": "bright", "intensity": "none", "orientation": "LPS"}
    found = collect(OwnModuleSegmenter(weights, code, "Blurred", trust=True, **form).predict(volume), (16, 16, 16))
    with torch.no_grad():
        expected = torch.sigmoid(Blurred()(torch.from_numpy(volume.array.astype(np.float32))[None, None]))[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
