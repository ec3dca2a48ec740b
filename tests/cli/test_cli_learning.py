"""segment and refine, as a script calls them."""

import json
import os
import shutil

import numpy as np
import pytest

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


@pytest.mark.slow  # trains two rounds of a small network in a process of its own
def test_a_refinement_writes_every_round_the_final_labels_and_a_model_that_segments(medseg, study, model):
    for folder, path in (("scans", study.image), ("weak", study.hand), ("true", study.truth)):
        (study.folder / folder).mkdir()
        for name in ("a.nii.gz", "b.nii.gz"):
            shutil.copy(path, study.folder / folder / name)
    done = medseg("refine", "scans", "weak", "-o", "out", "--rounds", "2", "--base", model, "--verified", "true",
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
