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


def test_a_setting_of_the_recipe_is_checked_before_anything_starts(medseg, folders):
    done = medseg("refine", "scans", "weak", "-o", "out", "--set", "updates=many", "--json")
    assert (done.code, done.answer["error"]["what"]) == (1, "updates cannot be 'many'")
    assert not (folders / "out").exists()


def test_a_base_that_the_recipe_cannot_go_on_from_is_refused_before_anything_starts(medseg, folders):
    done = medseg("refine", "scans", "weak", "-o", "out", "--base", "unet", "--json")
    assert done.code == 1
    assert "no model that the recipe medseg can go on from" in done.answer["error"]["what"]
    assert not (folders / "out").exists()


@pytest.mark.slow  # really trains, a few updates, in a process of its own
def test_with_nothing_said_our_recipe_learns_from_nothing_and_a_second_run_goes_on_from_its_model(medseg, folders):
    shutil.copy(folders / "scans" / "a.nii.gz", folders / "scans" / "c.nii.gz")
    shutil.copy(folders / "weak" / "a.nii.gz", folders / "weak" / "c.nii.gz")
    first = medseg("refine", "scans", "weak", "-o", "out", "--set", "updates=4", "--device", "cpu", "--json")
    assert first.code == 0, first.err
    assert [r["updates"] for r in first.answer["rounds"]] == [0, 4]
    assert first.answer["model"].endswith("model.safetensors")
    second = medseg("refine", "scans", "weak", "-o", "more", "--base", "out", "--set", "updates=4", "--device", "cpu", "--json")
    assert second.code == 0, second.err
    other = medseg("refine", "scans", "weak", "-o", "third", "--base", first.answer["model"], "--recipe", "salah2023", "--json")
    assert (other.code, other.answer["error"]["what"]) == (1, "is no model that the recipe salah2023 can go on from")
    assert not (folders / "third").exists()
