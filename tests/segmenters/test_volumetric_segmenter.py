"""A volumetric model opens from its path as any other, answers piece by piece what it answers as a whole, and leaves as TorchScript with the same answer."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.refine.export import export_model
from napari_medseg.segmenters import collect
from napari_medseg.segmenters.opening import checksum, open_model
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.model import VolumetricModel, load_volumetric
from napari_medseg.segmenters.volumetric.network import new_network
from napari_medseg.segmenters.volumetric.plan import planned
from napari_medseg.segmenters.volumetric.segmenter import VolumetricSegmenter
from napari_medseg.testing.segmenter_conformance import SegmenterConformance
from napari_medseg.volume import Geometry, Volume

SHAPE = (16, 24, 24)
SAME = 1e-4


def scan(spacing=(1.0, 1.0, 1.0), shape=SHAPE, modality="MR", seed=0):
    image = np.random.default_rng(seed).normal(100, 10, shape).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    labels[4:9, 3:9, 4:11] = 1
    labels[4:9, 12:17, 4:11] = 2
    image += 60 * labels
    return Volume(image, Geometry(shape, spacing, (3.0, -2.0, 5.0)), "scan", modality), labels


@pytest.fixture(params=[("MR", (1,)), ("CT", (1, 2))], ids=["one class", "two classes"])
def saved(request, tmp_path):
    modality, values = request.param
    plan = planned(fingerprint([scan(modality=modality)], values), list(values))
    networks = [new_network(plan.network, plan.fingerprint.share, seed) for seed in range(2)]
    return VolumetricModel(plan.model_copy(update={"offsets": [0.3] * len(values)}), networks, "cpu").save(tmp_path / "model", {"title": "Box"})


class TestVolumetric(SegmenterConformance):
    @pytest.fixture(autouse=True)
    def _model(self, tmp_path):
        plan = planned(fingerprint([scan()], (1,)), [1])
        self.model = VolumetricModel(plan, [new_network(plan.network, plan.fingerprint.share, 0)], "cpu").save(tmp_path, {})

    def segmenter(self):
        return VolumetricSegmenter(self.model)


@pytest.mark.parametrize(("spacing", "shape"), [((1.0, 1.0, 1.0), SHAPE), ((1.0, 1.0, 1.0), (20, 40, 26)), ((2.0, 0.7, 1.6), (9, 35, 16))])
def test_what_comes_in_pieces_is_what_the_model_says(saved, spacing, shape):
    geometry = Geometry(shape, spacing, direction=(0, 1, 0, -1, 0, 0, 0, 0, 1))
    image = Volume(np.random.default_rng(3).normal(100, 30, shape).astype(np.float32), geometry, "s", "MR")
    whole = load_volumetric(saved, "cpu").predict(image)
    found = collect(open_model(saved).predict(image, device="cpu"), shape)
    decided = np.abs(found - whole)
    assert np.where(found > 0.5, np.minimum(decided, np.abs(found - 0.5)), decided).max() < SAME  # a winner below one half is lifted to just above


def test_torchscript_answers_as_the_model_does_on_its_own_grid(saved, tmp_path):
    from napari_medseg.segmenters.engines.torchscript import TorchScriptSegmenter

    export_model(saved, tmp_path / "out", formats=("torchscript",))
    image, _ = scan(shape=load_volumetric(saved, "cpu").described.patch, modality="CT", seed=4)
    assert "1.3 patches wide" in (tmp_path / "out" / "README.md").read_text()
    ours = collect(open_model(tmp_path / "out").predict(image, device="cpu"), image.geometry.shape)
    theirs = collect(TorchScriptSegmenter(tmp_path / "out" / "model.pt").predict(image, device="cpu"), image.geometry.shape)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < SAME


def test_a_version_can_say_which_model_made_it(saved):
    assert checksum(saved) == load_volumetric(saved, "cpu").described.sha256 != ""


def test_the_card_says_how_it_sees_a_scan(saved, tmp_path):
    export_model(saved, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "spacing (z, y, x): 1 x 1 x 1 mm" in card
    assert "median volume" in card
    assert "other programs" not in card  # no file of theirs is there
