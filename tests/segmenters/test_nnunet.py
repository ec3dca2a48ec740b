"""A trained nnU-Net v2 folder becomes a segmenter: its answer is nnU-Net's own, read without unpickling anything."""

import json
import os
import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tiny_nnunets import ARCHITECTURE, write_nnunet

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnavailableError, UnreadableFileError
from napari_medseg.segmenters import collect, to_labels
from napari_medseg.segmenters.engines.exclusive import decided, overruled
from napari_medseg.segmenters.engines.nnunet import NnunetSegmenter
from napari_medseg.segmenters.engines.nnunet_folder import read_folder
from napari_medseg.testing.segmenter_conformance import SegmenterConformance
from napari_medseg.volume import Geometry, Volume, orient

needs_nnunet = pytest.mark.skipif(find_spec("nnunetv2") is None, reason="the optional package nnunetv2 is not installed")
RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def scan(shape=(10, 32, 28), spacing=(2.5, 1.0, 1.3), seed=1):
    """Smooth noise with a dark rim, in RAS as nnU-Net's own readers would hand it over."""
    noise = np.random.default_rng(seed).normal(0, 1, shape)
    values = 500 + 300 * np.cumsum(np.cumsum(noise, axis=1), axis=2) / 20
    values[:, :3], values[..., -4:] = 0, 0
    return Volume(values.astype(np.float32), Geometry(shape, spacing, (0.0, 0.0, 0.0), RAS))


def by_nnunet(folder, volume, folds, mirroring=True):
    """What nnU-Net's own predictor answers: (labels, probabilities)."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False)
    unsafe = torch.load  # nnU-Net asks for pickles; the test made these itself
    predictor.initialize_from_trained_model_folder(str(folder), folds, "checkpoint_final.pth")
    assert torch.load is unsafe
    array = volume.array if volume.array.ndim == 4 else volume.array[None]
    return predictor.predict_single_npy_array(array.astype(np.float32), {"spacing": list(volume.geometry.spacing)}, None, None, True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_nnunet(tmp_path_factory.mktemp("nnunet") / "nnUNetTrainer__nnUNetPlans__3d_fullres", folds=(0, 1))


@needs_nnunet
@pytest.mark.slow  # every scene through nnU-Net's preprocessing and resampling, many times
class TestNnunet(SegmenterConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, model):
        self.folder = model

    def segmenter(self):
        return NnunetSegmenter(self.folder, folds="0", mirroring="off")


@needs_nnunet
def test_it_says_what_the_model_says(model):
    segmenter = NnunetSegmenter(model)
    can = segmenter.capabilities
    assert segmenter.title == "nnU-Net: Dataset123_Tiny"
    assert can.classes == ("liver", "tumour")
    assert can.spacing == (2.0, 1.2, 1.0)
    assert (can.dims, can.channels, can.modalities) == (3, 1, {"CT"})
    assert catalogue.load().find("nnunet", "segmenter").build(folder=str(model), folds="1").folder.folds[0].parent.name == "fold_1"


@needs_nnunet
@pytest.mark.parametrize(("folds", "mirroring"), [((0,), False), ((0, 1), True)])
def test_the_answer_is_that_of_nnunets_own_predictor(model, folds, mirroring):
    volume = scan()
    labels, chance = by_nnunet(model, volume, folds, mirroring)
    segmenter = NnunetSegmenter(model, folds=",".join(map(str, folds)), mirroring="as trained" if mirroring else "off")
    found = collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape)
    sure = chance.max(axis=0) > 0.55
    apart = np.abs(found - chance[1:])[:, sure]
    assert np.quantile(apart, 0.95) < 0.003  # the rest lies in corners, where nnU-Net's half precision cannot hold its weights of windows
    assert (to_labels(found) == labels).mean() > 0.998
    assert len(np.unique(labels)) > 1


@needs_nnunet
def test_regions_are_drawn_over_each_other_as_nnunet_does(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
    folder = write_nnunet(tmp_path / "m__p__3d_fullres", labels=labels, order=[1, 2, 3], channels=("T1", "FLAIR"))
    one = scan()
    volume = replace(one, array=np.stack([one.array, scan(seed=2).array]))
    labels, _ = by_nnunet(folder, volume, (0,), False)
    segmenter = NnunetSegmenter(folder, mirroring="off")
    assert segmenter.capabilities.classes == ("whole", "core", "enhancing")
    assert (segmenter.capabilities.channels, segmenter.capabilities.modalities) == (2, {"MR"})
    assert (to_labels(collect(segmenter.predict(volume, device="cpu"), one.geometry.shape)) == labels).mean() > 0.999
    assert len(np.unique(labels)) > 2
    with pytest.raises(InvalidInputError, match="has 1 channels"):
        next(segmenter.predict(one, device="cpu"))


@needs_nnunet
def test_a_model_of_slices_answers_as_nnunet_does(tmp_path):
    folder = write_nnunet(tmp_path / "m__p__2d", dims=2)
    volume = scan((4, 32, 28))
    labels, _ = by_nnunet(folder, volume, (0,))
    segmenter = NnunetSegmenter(folder)
    assert (segmenter.capabilities.dims, segmenter.capabilities.spacing) == (2, None)
    assert (to_labels(collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape)) == labels).mean() > 0.999


@needs_nnunet
def test_axes_that_the_plans_turn_come_back(tmp_path):
    folder = write_nnunet(tmp_path / "m__p__3d_fullres", spacing=(1.0, 1.2, 2.0), patch=(24, 24, 12))
    plans = json.loads((folder / "plans.json").read_text())
    plans.update(transpose_forward=[2, 1, 0], transpose_backward=[2, 1, 0])
    (folder / "plans.json").write_text(json.dumps(plans))
    volume = scan()
    labels, _ = by_nnunet(folder, volume, (0,), False)
    segmenter = NnunetSegmenter(folder, mirroring="off")
    assert segmenter.capabilities.spacing == (2.0, 1.2, 1.0)
    assert (to_labels(collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape)) == labels).mean() > 0.999


@needs_nnunet
def test_another_orientation_can_be_said(model):
    volume = scan()
    turned = orient(volume, "LPS")
    expected = collect(NnunetSegmenter(model, "0", "off").predict(volume, device="cpu"), volume.geometry.shape)
    as_stored = replace(turned, geometry=replace(turned.geometry, direction=RAS))
    found = collect(NnunetSegmenter(model, "0", "off", orientation="lps").predict(turned, device="cpu"), volume.geometry.shape)
    same = collect(NnunetSegmenter(model, "0", "off").predict(as_stored, device="cpu"), volume.geometry.shape)
    np.testing.assert_array_equal(found, same)
    assert not np.array_equal(found, expected[:, :, ::-1, ::-1])


@needs_nnunet
def test_every_window_is_told_and_a_place_to_stop(model):
    running = NnunetSegmenter(model, mirroring="off").predict(scan(), device="cpu")
    told = [next(running).message for _ in range(3)]
    assert told[0] == "Preparing the scan"
    assert told[1].startswith("Window 1 of ")
    assert told[1].endswith("fold 1 of 2")
    running.close()


@needs_nnunet
def test_code_in_a_checkpoint_never_runs(tmp_path, model, monkeypatch):
    folder = shutil.copytree(model, tmp_path / model.name)

    class Trap:
        def __reduce__(self):
            return os.mkdir, ("MARK",)

    file = folder / "fold_1" / "checkpoint_final.pth"
    torch.save({**torch.load(file, weights_only=False), "logging": Trap()}, file)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SegmenterError, match=r"checkpoint_final\.pth: is refused: it wants to use \w+\.mkdir"):
        list(NnunetSegmenter(folder).predict(scan(), device="cpu"))
    assert not (tmp_path / "MARK").exists()
    assert list(NnunetSegmenter(folder, folds="0", mirroring="off").predict(scan(), device="cpu"))


def described(folder, **plans):
    """A model folder without real weights: enough to be read."""
    folder.mkdir(parents=True)
    whole = {"configurations": {"3d_fullres": {"patch_size": [8, 8, 8], "spacing": [1, 1, 1], "architecture": ARCHITECTURE}}, **plans}
    (folder / "plans.json").write_text(json.dumps(whole))
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}}))
    (folder / "fold_0").mkdir()
    (folder / "fold_0" / "checkpoint_final.pth").write_bytes(b"no weights")
    return folder


@pytest.mark.parametrize(("field", "value"), [
    ("preprocessor_name", "os"), ("resampling_fn_data", "system"), ("normalization_schemes", ["subprocess"]), ("UNet_class_name", "os.system"),
    ("architecture", {**ARCHITECTURE, "network_class_name": "subprocess.Popen"}), ("architecture", {**ARCHITECTURE, "network_class_name": "evil.Net"}),
    ("architecture", {"arch_kwargs": {"act": "os.system"}, "_kw_requires_import": ["act"]}), ("architecture", {"_kw_requires_import": "evil"}),
    ("architecture", {"arch_kwargs": {"act": "torch.nn.functional.relu"}, "_kw_requires_import": ["act"]}),
    ("architecture", {"arch_kwargs": {"act": ["os.system"]}, "_kw_requires_import": ["act"]}),
])
def test_plans_that_name_other_code_are_refused_with_the_field(tmp_path, field, value):
    folder = described(tmp_path / "m", configurations={"3d_fullres": {"patch_size": [8, 8, 8], "spacing": [1, 1, 1]}, "other": {field: value}})
    with pytest.raises(SegmenterError, match=rf"m: is refused: `plans\.configurations\.other\..*{field if field != 'architecture' else ''}"):
        read_folder(folder)


def test_a_dataset_folder_with_one_model_in_it_will_do(tmp_path):
    inner = described(tmp_path / "Dataset1_X" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    assert read_folder(tmp_path / "Dataset1_X").path == inner
    described(tmp_path / "Dataset1_X" / "nnUNetTrainer__nnUNetPlans__2d")
    with pytest.raises(MissingFileError, match="holds several models: nnUNetTrainer__nnUNetPlans__2d, "):
        read_folder(tmp_path / "Dataset1_X")


def test_what_is_no_model_or_lacks_a_part_is_said(tmp_path):
    with pytest.raises(MissingFileError, match=r"holds no plans\.json"):
        read_folder(tmp_path)
    folder = described(tmp_path / "m")
    with pytest.raises(MissingFileError, match=r"holds no fold 3\. Choose from: 0"):
        read_folder(folder, "0,3")
    for content, said in (("{", "cannot be read"), ("[]", "no named fields"), ('{"labels": {"background": 0}}', "its labels")):
        (folder / "dataset.json").write_text(content)
        with pytest.raises(UnreadableFileError, match=rf"dataset\.json: .*{said}"):
            read_folder(folder)
    (folder / "dataset.json").unlink()
    with pytest.raises(MissingFileError, match=r"dataset\.json"):
        read_folder(folder)


def test_labels_with_gaps_and_cascades_are_refused(tmp_path):
    folder = described(tmp_path / "a", configurations={"3d_cascade_fullres": {"patch_size": [8, 8, 8], "previous_stage": "3d_lowres"}})
    with pytest.raises(InvalidInputError, match="second stage of a cascade"):
        read_folder(folder)
    folder = described(tmp_path / "b")
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1, "b": 3}}))
    with pytest.raises(InvalidInputError, match="labels that are not 0, 1, 2"):
        read_folder(folder)


def test_an_orientation_that_is_none_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="'up' is no orientation"):
        NnunetSegmenter(described(tmp_path / "m"), orientation="up")


@needs_nnunet
@pytest.mark.parametrize(("change", "kind", "said"), [
    ({"trainer_name": "nnUNetTrainerOfMyOwn"}, UnavailableError, "nnUNetTrainerOfMyOwn, which this nnU-Net does not have"),
    ({"trainer_name": "os"}, SegmenterError, "does not say its trainer"), ({"init_args": {"configuration": "4d"}}, SegmenterError, "does not say its trainer"),
    ({"network_weights": {"a": torch.zeros(2)}}, SegmenterError, "do not fit the network"), ({"network_weights": {}}, SegmenterError, "holds no weights"),
])
def test_a_checkpoint_of_another_model_is_said(tmp_path, model, change, kind, said):
    folder = shutil.copytree(model, tmp_path / model.name)
    file = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({**torch.load(file, weights_only=False), **change}, file)
    with pytest.raises(kind, match=said):
        list(NnunetSegmenter(folder, folds="0").predict(scan(), device="cpu"))


def test_a_missing_package_greys_the_entry_out_with_the_command_that_brings_it():
    entry = catalogue.load().find("nnunet", "segmenter")
    assert entry.needs() == (() if find_spec("nnunetv2") else ("nnunetv2>=2.5",))
    assert {ask.name: ask.required for ask in entry.asks} == {"folder": True, "folds": False, "mirroring": False, "orientation": False}


def test_the_winner_of_several_classes_counts_even_below_one_half():
    maps = np.zeros((2, 1, 1, 5), np.float32)
    maps[:, 0, 0] = [[0.4, 0.2, 0.6, 0.3, 0.0], [0.35, 0.3, 0.1, 0.3, 0.0]]
    found = decided(maps.copy())
    assert to_labels(found).ravel().tolist() == [1, 0, 1, 0, 0]
    np.testing.assert_allclose(found, maps, atol=0.11)


def test_regions_inside_each_other_give_the_label_that_is_drawn_last():
    maps = np.zeros((3, 1, 1, 4), np.float32)
    maps[:, 0, 0] = [[0.9, 0.9, 0.9, 0.1], [0.2, 0.8, 0.7, 0.2], [0.1, 0.3, 0.6, 0.9]]
    assert to_labels(overruled(maps)).ravel().tolist() == [1, 2, 3, 3]
