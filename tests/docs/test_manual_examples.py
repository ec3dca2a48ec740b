"""The code of docs/extend.md, brought as an installed package brings it, passes the suites that our own parts pass."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_medseg.catalogue import VARIABLE, load
from napari_medseg.cli.app import app
from napari_medseg.metrics import dice
from napari_medseg.refine.losses.building import build as build_loss
from napari_medseg.segmenters import collect, consent, to_labels
from napari_medseg.segmenters.networks.building import build
from napari_medseg.testing import annotator
from napari_medseg.testing.network_conformance import NetworkConformance
from napari_medseg.testing.segmenter_conformance import SegmenterConformance
from napari_medseg.testing.weaklabel_conformance import WeakLabelConformance, ball
from napari_medseg.volume import Geometry, Volume

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MODULES = {"bright_parts": "bright-parts", "same_grey": "same-grey"}
NAMED = ("two_scales", "forgiving")  # in the plugins.yaml of who installed them


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory):
    """Both examples as pip would leave them: the modules, and what the entry points of their pyproject.toml become."""
    site = tmp_path_factory.mktemp("site-packages")
    for module, name in MODULES.items():
        (site / f"{module}.py").write_text((EXAMPLES / f"{module}.py").read_text(encoding="utf-8"), encoding="utf-8")
        told = site / f"{module}-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (told / "entry_points.txt").write_text(f"[napari_medseg.plugins]\n{name} = {module}:parts\n", encoding="utf-8")
    for module in NAMED:
        (site / f"{module}.py").write_text((EXAMPLES / f"{module}.py").read_text(encoding="utf-8"), encoding="utf-8")
    sys.path.insert(0, str(site))
    yield
    sys.path.remove(str(site))
    for module in (*MODULES, *NAMED):
        sys.modules.pop(module, None)


# segmenter: begin
class TestBrightParts(SegmenterConformance):
    def segmenter(self):
        return load().find("bright-parts", "segmenter").build()


# segmenter: end
# tool: begin
class TestSameGrey(WeakLabelConformance):
    def run(self, image, truth, spacing, limit):
        tool = load().find("same-grey", "weaklabel").build()
        yield from tool(image, annotator.seeds(truth, spacing), spacing, limit=limit)


# tool: end
@pytest.fixture
def _named(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(EXAMPLES / "plugins.yaml"))


# network: begin
@pytest.mark.usefixtures("_named")
class TestTwoScales(NetworkConformance):
    dims = 2
    heavy = frozenset({"onnx"})  # some seconds

    def network(self, in_channels=1, classes=2, seed=0):
        return build("two-scales", in_channels=in_channels, classes=classes, dims=self.dims, seed=seed, width=8)


# network: end
# loss: begin
@pytest.mark.usefixtures("_named")
def test_the_loss_is_zero_at_the_label_and_blind_to_the_unknown():
    loss = build_loss("forgiving(q=0.5)")
    targets, weights = torch.tensor([[[[1.0, 0.0, 1.0]]]]), torch.tensor([[[[1.0, 1.0, 0.0]]]])
    logits = torch.tensor([[[[40.0, -40.0, torch.nan]]]])
    assert loss(logits, targets, weights) == pytest.approx(0, abs=1e-6)
    wrong = torch.tensor([[[[0.0, -40.0, torch.nan]]]], requires_grad=True)
    found = loss(wrong, targets, weights)
    assert found.item() == pytest.approx((1 - 0.5**0.5) / 0.5 / 2)  # of the first of two known voxels
    found.backward()
    assert wrong.grad[0, 0, 0, 0] < 0 == wrong.grad[0, 0, 0, 2]


# loss: end
def test_the_segmenter_runs_as_a_command(tmp_path, samples):
    done = CliRunner().invoke(app, ["segment", str(samples / "brain1_t1gd.nii.gz"), "--with", "bright-parts", "-o", str(tmp_path / "mask.nii.gz"), "--json"])
    assert done.exit_code == 0, done.output
    assert '"segmenter": "Bright parts"' in done.stdout


def test_the_network_learns_and_runs_in_the_product(tmp_path, monkeypatch):
    """As the page says: train, save, describe, run; on balls it has not seen."""
    from safetensors.torch import save_file

    monkeypatch.setattr(consent, "consents_file", lambda: tmp_path / "configuration" / "consents.json")
    net = runpy.run_path(str(EXAMPLES / "net.py"))
    scan, truth = ball((24, 26, 28), (1.0, 1.0, 1.0))
    taught = torch.from_numpy((scan - scan.mean()) / scan.std())[None, None]
    save_file(net["train"](taught, torch.from_numpy(truth.astype(np.float32))[None, None]).state_dict(), tmp_path / "net.safetensors")
    (tmp_path / "net.json").write_text((EXAMPLES / "net.json").read_text(encoding="utf-8"), encoding="utf-8")
    made = load().find("own-module", "segmenter").build(code=EXAMPLES / "net.py", class_name="Net", model=tmp_path / "net.safetensors", trust=True)
    unseen, true = ball((30, 33, 36), (1.0, 1.0, 1.0))
    found = to_labels(collect(made.predict(Volume(unseen, Geometry(unseen.shape)), device="cpu"), unseen.shape))
    assert dice(found, true) > 0.9
