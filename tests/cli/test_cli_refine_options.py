"""refine: what is refused before anything is trained."""

import shutil

import pytest


@pytest.fixture
def folders(study):
    for folder, path in (("scans", study.image), ("weak", study.hand), ("held", study.image), ("true", study.truth)):
        (study.folder / folder).mkdir()
        shutil.copy(path, study.folder / folder / ("b.nii.gz" if folder in ("held", "true") else "a.nii.gz"))
    return study.folder


def test_a_patient_on_both_sides_is_refused(medseg, folders):
    (folders / "who.csv").write_text("a.nii.gz,Ann\nb.nii.gz,Ann\n")
    done = medseg("refine", "scans", "weak", "-o", "out", "--heldout-images", "held", "--heldout-labels", "true", "--patients", "who.csv", "--json")
    assert done.code == 1
    assert done.answer["error"]["where"] == "b.nii.gz"
    assert "its patient (Ann)" in done.answer["error"]["what"]
    assert not (folders / "out").exists()


def test_a_replay_without_its_two_folders_is_refused(medseg, folders):
    (folders / "old").mkdir()
    done = medseg("refine", "scans", "weak", "-o", "out", "--replay", "old", "--json")
    assert (done.code, done.answer["error"]["where"]) == (1, "images")
    assert not (folders / "out").exists()


@pytest.mark.parametrize("wrong", [("--freeze", "head"), ("--start", "nowhere"), ("--rounds", "0")])
def test_an_option_that_does_not_exist_is_wrong_usage(medseg, folders, wrong):
    assert medseg("refine", "scans", "weak", "-o", "out", *wrong).code == 2
