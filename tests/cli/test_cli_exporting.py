"""export-model and refine --resume, as a script calls them."""

import shutil

import pytest


@pytest.mark.slow  # two programs that load torch
def test_a_model_is_exported_and_segments_from_its_new_folder(medseg, study, model):
    done = medseg("export-model", model, "-o", "for_others", "--title", "Ball", "--licence", "CC0-1.0", "--json")
    assert done.code == 0, done.err
    assert (done.answer["title"], done.answer["licence"]) == ("Ball", "CC0-1.0")
    assert set(done.answer["files"]) == {path.name for path in (study.folder / "for_others").iterdir()} >= {"model.safetensors", "plan.json", "README.md"}
    segmented = medseg("segment", study.image, "--with", "for_others", "-o", "out.nii.gz", "--device", "cpu", "--json")
    assert segmented.answer["segmenter"] == "Ball"


def test_an_export_that_cannot_be_says_why(medseg, study, model):
    refused = medseg("export-model", "nowhere", "-o", "out", "--json")
    assert (refused.code, refused.answer["error"]["what"]) == (1, "there is no model here")
    shutil.copytree(model if model.is_dir() else model.parent, study.folder / "full")
    assert medseg("export-model", model, "-o", "full", "--json").answer["error"]["what"] == "holds something already"


def test_a_folder_without_an_unfinished_run_says_so(medseg, study):
    (study.folder / "empty").mkdir()
    refused = medseg("refine", "--resume", "empty", "--json")
    assert (refused.code, refused.answer["error"]["what"]) == (1, "holds no unfinished run")


def test_what_does_not_go_together_is_wrong_usage(medseg, study):
    assert medseg("refine", "--resume", "a", "-o", "b").code == 2
    assert medseg("refine", "images", "-o", "b").code == 2
