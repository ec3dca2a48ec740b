"""deepbet's networks are found beside its package, loaded without importing it, and put on the scan's grid."""

import os
import pickle
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError, SegmenterError, UnavailableError
from napari_medseg.io import read
from napari_medseg.metrics.overlap import dice
from napari_medseg.segmenters import collect, to_labels
from napari_medseg.segmenters.deepbet import DeepbetSegmenter, brain_box
from napari_medseg.volume import Geometry, Volume, orient

SAMPLE = Path(__file__).parents[2] / "sample_data" / "brain1_t1gd.nii.gz"
COLIN = Path(os.environ.get("MEDSEG_COLIN27", "/usr/share/mricron/templates"))

needs_deepbet = pytest.mark.skipif(find_spec("deepbet") is None, reason="the optional package deepbet is not installed")


def head():
    """A bright ball with a dark hole and a bright speck far off, in thick slices."""
    z, y, x = np.meshgrid(np.arange(20) * 3.0 - 30, np.arange(60) - 30.0, np.arange(50) - 25.0, indexing="ij")
    inside = z**2 + y**2 + x**2
    values = np.where(inside < 18**2, 100.0, 0.0)
    values[inside < 3.5**2] = 0
    values[1:3, 2:4, 2:4] = 100
    return Volume(values, Geometry((20, 60, 50), (3.0, 1.0, 1.0)), name="head"), inside


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("napari_medseg.segmenters.deepbet.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r'pip install "deepbet==1\.0\.2"'):
        DeepbetSegmenter()


def test_a_package_without_its_networks_says_the_same(deepbet_folder):
    (deepbet_folder / "model.pt").unlink()
    with pytest.raises(UnavailableError, match=r"needs deepbet==1\.0\.2"):
        DeepbetSegmenter()


def test_the_package_itself_is_never_imported(deepbet_folder):
    list(DeepbetSegmenter().predict(head()[0], device="cpu"))
    assert "deepbet" not in sys.modules


def test_it_outlines_one_piece_without_holes_on_the_scans_grid(deepbet_folder):
    volume, inside = head()
    found = to_labels(collect(DeepbetSegmenter().predict(volume, device="cpu"), volume.geometry.shape))
    assert dice(found, inside < 18**2) > 0.97
    assert found[inside < 3.5**2].all()
    assert not found[1:3, 2:4, 2:4].any()


def test_it_says_what_it_does_while_it_does(deepbet_folder):
    told = [(p.fraction, p.message) for p in DeepbetSegmenter().predict(head()[0], device="cpu")]
    assert told == [(0.0, "Looking for the head"), (0.3, "Outlining the brain"), (1.0, "Brain outlined")]


def test_a_scan_without_a_head_has_no_brain(deepbet_folder):
    *_, last = DeepbetSegmenter().predict(Volume(np.zeros((4, 9, 9)), Geometry((4, 9, 9))), device="cpu")
    assert last.message == "No brain found"
    assert not last.probabilities.any()


def test_colour_pictures_are_refused(deepbet_folder):
    with pytest.raises(InvalidInputError, match="3 channels"):
        next(DeepbetSegmenter().predict(Volume(np.zeros((3, 4, 9, 9)), Geometry((4, 9, 9)))))


@pytest.mark.parametrize("content", [b"no network", pickle.dumps({"a": 1})])
def test_a_damaged_network_is_named_and_never_unpickled(deepbet_folder, content):
    (deepbet_folder / "bbox_model.pt").write_bytes(content)
    with pytest.raises(SegmenterError, match=r"bbox_model\.pt: is no network"):
        list(DeepbetSegmenter().predict(head()[0], device="cpu"))


def test_a_network_that_answers_something_else_is_refused(deepbet_folder):
    import torch

    torch.jit.script(torch.nn.ReLU()).save(deepbet_folder / "bbox_model.pt")
    with pytest.raises(SegmenterError, match="answered with an array"):
        list(DeepbetSegmenter().predict(head()[0], device="cpu"))


def test_it_can_be_sent_to_another_process(deepbet_folder):
    segmenter, (volume, _) = DeepbetSegmenter(), head()
    list(segmenter.predict(volume, device="cpu"))
    again = pickle.loads(pickle.dumps(segmenter))
    assert collect(again.predict(volume, device="cpu"), volume.geometry.shape).any()


def test_the_box_is_a_tenth_wider_and_stays_inside():
    brain = np.zeros((16, 16, 16), bool)
    brain[4:12, 4:12, 0:8] = True
    assert brain_box(brain, (32, 160, 16)) == (slice(6, 25), slice(32, 128), slice(0, 9))
    assert brain_box(np.zeros((16, 16, 16), bool), (32, 32, 32)) is None


@needs_deepbet
@pytest.mark.slow  # the real networks on a whole head, twice
def test_the_real_network_finds_the_same_brain_whatever_order_the_file_stores():
    volume = read(SAMPLE)
    found = to_labels(collect(DeepbetSegmenter().predict(volume, device="cpu"), volume.geometry.shape))
    assert 1300 < found.sum() * volume.geometry.voxel_ml < 2000
    turned = orient(volume, "PSL")
    again = to_labels(collect(DeepbetSegmenter().predict(turned, device="cpu"), turned.geometry.shape))
    np.testing.assert_array_equal(orient(turned.like(again), "LAS").array, orient(volume.like(found), "LAS").array)


@needs_deepbet
@pytest.mark.slow  # the real networks on a whole head
@pytest.mark.skipif(not (COLIN / "ch2.nii.gz").is_file(), reason="Colin27 is not here (Debian package mricron-data, or set MEDSEG_COLIN27)")
def test_the_real_network_agrees_with_the_known_brain_of_colin27():
    volume, truth = read(COLIN / "ch2.nii.gz"), read(COLIN / "ch2bet.nii.gz")
    found = to_labels(collect(DeepbetSegmenter().predict(volume, device="cpu"), volume.geometry.shape))
    assert dice(found, truth.array > 0) >= 0.93
