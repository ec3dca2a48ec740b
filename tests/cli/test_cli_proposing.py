"""propose, as a script calls it."""

import numpy as np

from napari_medseg.io import read, read_labels, write


def test_slices_that_are_right_stay_and_the_rest_comes_nearer_to_the_truth(medseg, study):
    scan = read(study.image)
    truth, hand = (read_labels(path, like=scan.geometry).array > 0 for path in (study.truth, study.hand))
    fixed = np.full(truth.shape, 255, np.uint8)
    fixed[[3, 5, 7]] = truth[[3, 5, 7]]
    write(scan.like(fixed), study.folder / "fixed.nii.gz")
    done = medseg("propose", study.image, study.hand, "--corrected", "fixed.nii.gz", "-o", "out.nii.gz", "--doubt", "doubt.nii.gz", "--json")
    assert done.code == 0, done.err
    found = read_labels(study.folder / "out.nii.gz", like=scan.geometry).array > 0
    np.testing.assert_array_equal(found[[3, 5, 7]], truth[[3, 5, 7]])
    others = [z for z in range(len(truth)) if z not in (3, 5, 7)]
    assert np.count_nonzero(found[others] != truth[others]) < 0.6 * np.count_nonzero(hand[others] != truth[others])
    assert done.answer["corrected_slices"] == [3, 5, 7]
    doubt = read(study.folder / "doubt.nii.gz").array
    assert 0 <= doubt.min() <= doubt.max() <= 1
    assert not doubt[[3, 5, 7]].any()


def test_without_a_word_on_what_is_right_it_says_what_to_give(medseg, study):
    refused = medseg("propose", study.image, study.hand, "-o", "out.nii.gz", "--json")
    assert refused.code == 1
    assert "--slices" in refused.answer["error"]["where"]
    refused = medseg("propose", study.image, study.hand, "--slices", "99", "-o", "out.nii.gz", "--json")
    assert "slice 99" in refused.answer["error"]["what"]
