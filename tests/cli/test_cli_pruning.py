"""`medseg prune`: a smaller model from a folder of scans and labels, and what it tells of it."""

import shutil


def test_a_model_is_brought_to_a_share_of_its_work(medseg, study, model):
    for folder, file in (("scans", study.image), ("labels", study.truth)):
        (study.folder / folder).mkdir()
        for name in ("a.nii.gz", "b.nii.gz"):
            shutil.copy(file, study.folder / folder / name)
    done = medseg("prune", model, "scans", "labels", "-o", "small", "--flops", "0.6", "--json")
    assert done.code == 0, done.err
    answer = done.answer
    assert answer["chosen"]["share"] <= 0.6
    assert answer["chosen"]["parameters"] < answer["curve"][0]["parameters"]
    assert len(answer["judged_by"]) == 1
    assert (study.folder / "small" / "model.safetensors").is_file()
    again = medseg("prune", "small", "scans", "labels", "-o", "small")
    assert again.code == 1
    assert "written over what it is made from" in again.err
