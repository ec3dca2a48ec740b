"""segment and refine, as a script calls them."""

import json
import os
import shutil

import numpy as np
import pytest

from napari_medseg.cli.pretraining import _came
from napari_medseg.io import read, read_labels


def test_a_segmentation_by_a_refined_model_with_its_probabilities(medseg, study, model):
    done = medseg("segment", study.image, "--with", model, "-o", "out.nii.gz", "--probabilities", "chance.nii.gz", "--device", "cpu", "--json")
    answer = done.answer
    labels, chance = read_labels(study.folder / "out.nii.gz", like=read(study.image).geometry).array, read(study.folder / "chance.nii.gz")
    assert answer["device"] == "cpu"
    assert answer["seconds"] > 0
    assert {value: row["voxels"] for value, row in answer["classes"].items()} == {"1": int(labels.sum())} or not labels.any()
    assert chance.array.dtype == np.float32
    assert 0 <= chance.array.min() <= chance.array.max() <= 1
    np.testing.assert_array_equal(labels > 0, chance.array > 0.5)


def test_what_an_entry_asks_for_is_listed_and_answered_with_set(medseg, study, model):
    part = {
        "id": "mine", "kind": "segmenter", "title": "Mine", "licence": "MIT", "factory": "napari_medseg.segmenters.unet_segmenter:UNetSegmenter",
        "asks": [{"name": "model", "kind": "folder", "title": "Model folder"}],
    }
    (study.folder / "own.yaml").write_text(json.dumps({"parts": [part]}), encoding="utf-8")
    env = {**os.environ, "MEDSEG_PLUGINS": str(study.folder / "own.yaml")}
    listed = {entry["id"]: entry["asks"] for entry in medseg("catalogue", "--json", env=env).answer["entries"]}
    assert listed["mine"] == [{"name": "model", "kind": "folder", "title": "Model folder", "required": True}]
    assert listed["unet"] == []
    done = medseg("segment", study.image, "--with", "mine", "--set", f"model={model}", "-o", "out.nii.gz", "--device", "cpu", "--json", env=env)
    assert done.answer["segmenter"] == "Small"
    refused = medseg("segment", study.image, "--with", "mine", "-o", "out.nii.gz", "--json", env=env)
    assert refused.code == 1
    assert "--set model=" in refused.answer["error"]["todo"]


def test_models_and_mirror_images_are_averaged_and_the_uncertainty_is_written(medseg, study, model):
    def chance(name, *options):
        done = medseg("segment", study.image, "--with", model, "-o", "out.nii.gz", "--probabilities", name, "--device", "cpu", *options, "--json")
        assert done.code == 0, done.err
        return read(study.folder / name).array

    plain = chance("plain.nii.gz")
    run = shutil.copytree(model, study.folder / "run" / "model").parent  # as a refinement leaves it
    averaged = chance("both.nii.gz", "--also", run, "--mirror", "left-right", "--uncertainty", "doubt.nii.gz")
    mirrored = 2 * averaged - plain
    assert np.abs(mirrored - plain).max() > 1e-4  # a network has a side
    assert -1e-4 <= mirrored.min() <= mirrored.max() <= 1 + 1e-4
    p = np.clip(averaged.astype(float), 1e-9, 1 - 1e-9)
    np.testing.assert_allclose(read(study.folder / "doubt.nii.gz").array, -p * np.log2(p) - (1 - p) * np.log2(1 - p), atol=1e-3)
    refused = medseg("segment", study.image, "--with", model, "-o", "out.nii.gz", "--mirror", "inside-out", "--json")
    assert "left-right" in refused.answer["error"]["todo"]
    refused = medseg("segment", study.image, "--with", model, "-o", "out.nii.gz", "--probabilities", "a.nii.gz", "--uncertainty", "a.nii.gz", "--json")
    assert refused.answer["error"]["what"] == "two results would be one file"


@pytest.mark.parametrize(("learnt", "said"), [(0.62, "62% of the error is gone"), (0.0, "no better than doing nothing"), (-12.4, "no better than doing")])
def test_a_pretraining_that_brought_nothing_says_so(learnt, said):
    assert said in _came(learnt)


POINTED = """
import numpy as np
from napari_medseg.segmenters import Capabilities, Prediction


class Pointed:
    title = "Pointed"
    capabilities = Capabilities(classes=(), licence="MIT", prompts=frozenset({"points"}))

    def predict(self, volume, prompts=None, *, device="auto", focus=None):
        for number, label in enumerate(prompts.labels):
            for each in prompts.objects:
                for point in each.points if each.label == label else ():
                    z, y, x = (int(i) for i in np.rint(volume.geometry.voxel(point[:3])))
                    maps = np.zeros((len(prompts.labels), 1, 1, 1), np.float32)
                    maps[number] = 1
                    yield Prediction((slice(z, z + 1), slice(y, y + 1), slice(x, x + 1)), maps, None, "point")
"""


def test_one_that_is_pointed_at_things_keeps_their_labels(medseg, study):
    (study.folder / "pointed.py").write_text(POINTED, encoding="utf-8")
    part = {"id": "pointed", "kind": "segmenter", "title": "Pointed", "licence": "MIT", "factory": "pointed:Pointed"}
    (study.folder / "own.yaml").write_text(json.dumps({"parts": [part]}), encoding="utf-8")
    env = {**os.environ, "MEDSEG_PLUGINS": str(study.folder / "own.yaml"), "PYTHONPATH": str(study.folder)}
    grid = read(study.image).geometry
    places = {7: (1, 4, 5), 3: (2, 6, 3)}
    objects = [{"label": value, "points": [[*grid.world(voxel), 1]]} for value, voxel in places.items()]
    (study.folder / "p.json").write_text(json.dumps({"objects": objects}), encoding="utf-8")
    done = medseg("segment", study.image, "--with", "pointed", "--prompts", "p.json", "-o", "out.nii.gz", "--json", env=env)
    assert done.answer["names"] == ["Class 3", "Class 7"]
    labels = read_labels(study.folder / "out.nii.gz", like=grid).array
    assert {value: [tuple(v) for v in np.argwhere(labels == value)] for value in (3, 7)} == {value: [voxel] for value, voxel in places.items()}
    refused = medseg("segment", study.image, "--with", "pointed", "-o", "out.nii.gz", "--json", env=env)
    assert refused.answer["error"]["type"] == "NoLabelsError"


@pytest.mark.slow  # trains two rounds of a small network in a process of its own
def test_a_refinement_writes_every_round_the_final_labels_and_a_model_that_segments(medseg, study, model):
    for folder, path in (("scans", study.image), ("weak", study.hand), ("true", study.truth)):
        (study.folder / folder).mkdir()
        for name in ("a.nii.gz", "b.nii.gz"):
            shutil.copy(path, study.folder / folder / name)
    done = medseg("refine", "scans", "weak", "-o", "out", "--recipe", "salah2023", "--rounds", "2", "--base", model, "--verified", "true",
                  "--heldout-images", "scans", "--heldout-labels", "true", "--device", "cpu", "--json")
    assert done.code == 0, done.err
    answer = done.answer
    assert [r["round"] for r in answer["rounds"]] == [0, 1, 2]
    assert set(answer["rounds"][1]) >= {"round", "updates", "seconds", "loss", "volume_ratio", "dice_verified", "dice_heldout", "adopted", "reason"}
    assert sum(r["adopted"] for r in answer["rounds"]) == 1
    for folder in ("round1", "round2", "final"):
        for name in ("a.nii.gz", "b.nii.gz"):
            assert read_labels(study.folder / "out" / folder / name, like=read(study.image).geometry).array.dtype == np.uint8
    assert answer["best_round"] in (0, 1, 2)
    again = medseg("segment", study.image, "--with", answer["model"], "-o", "again.nii.gz", "--json")
    assert again.code == 0, again.err
