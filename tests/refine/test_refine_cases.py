from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.errors import GridMismatchError, InvalidInputError, MissingFileError, NoLabelsError
from napari_medseg.io import write
from napari_medseg.refine.cases import checked, class_values, load_cases, load_labels
from napari_medseg.refine.figures import mean_dice
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.refine.salah.recipe import salah2023
from napari_medseg.volume import Volume


@pytest.fixture
def folders(patients, tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for case in reversed(patients.cases):
        write(case.image, images / case.id)
        write(case.labels, labels / case.id)
    return images, labels


def test_scans_and_labels_are_paired_by_name(patients, folders):
    cases = load_cases(*folders)
    assert [c.id for c in cases] == ["p0.nii.gz", "p1.nii.gz", "p2.nii.gz"]
    for read, made in zip(cases, patients.cases, strict=True):
        assert np.array_equal(read.labels.array, made.labels.array)
        assert np.allclose(read.image.array, made.image.array)


def test_a_scan_without_a_label_is_named(folders):
    (folders[1] / "p1.nii.gz").unlink()
    with pytest.raises(MissingFileError, match=r"p1\.nii\.gz: has no label map in labels"):
        load_cases(*folders)


def test_a_label_without_its_scan_is_named(folders):
    (folders[0] / "p1.nii.gz").unlink()
    with pytest.raises(MissingFileError, match=r"p1\.nii\.gz: is a label map without its scan"):
        load_cases(*folders)


def test_empty_and_missing_folders_are_told_apart(folders, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NoLabelsError, match="no label map"):
        load_cases(folders[0], empty)
    with pytest.raises(NoLabelsError, match="no scan"):
        load_cases(empty, folders[1])
    with pytest.raises(MissingFileError, match="no such folder"):
        load_cases(tmp_path / "nowhere", folders[1])


def test_a_label_on_another_grid_is_refused(patients, folders):
    case = patients.cases[1]
    moved = replace(case.labels, geometry=replace(case.labels.geometry, origin=(0.0, 0.0, 9.0)))
    write(moved, folders[1] / case.id)
    with pytest.raises(GridMismatchError, match="p1"):
        load_cases(*folders)


def test_labels_that_mark_nothing_teach_nothing(patients):
    empty = [replace(c, labels=c.labels.like(np.where(np.arange(32) < 3, 255, 0)[None, None].repeat(4, 0).repeat(32, 1))) for c in patients.cases]
    with pytest.raises(NoLabelsError, match="foreground"):
        checked(empty)
    with pytest.raises(NoLabelsError):
        checked([])


def test_one_case_is_enough_even_when_another_is_empty(patients):
    first, second, _ = patients.cases
    assert len(checked([first])) == 1
    assert len(checked([first, replace(second, labels=second.labels.like(np.zeros_like(second.labels.array)))])) == 2


def test_scans_of_different_channels_are_not_mixed(patients):
    first, second, _ = patients.cases
    two = Volume(np.stack([second.image.array] * 2), second.image.geometry)
    with pytest.raises(InvalidInputError, match="2 channels"):
        checked([first, replace(second, image=two)])


def test_a_scan_of_nothing_but_nan_is_named(patients):
    first, second, _ = patients.cases
    with pytest.raises(InvalidInputError, match="p1"):
        checked([first, replace(second, image=second.image.like(np.full_like(second.image.array, np.nan)))])


def test_two_cases_of_one_name_are_refused(patients):
    with pytest.raises(InvalidInputError, match="two cases"):
        checked([patients.cases[0], patients.cases[0]])


def test_a_scan_given_as_labels_is_refused(patients):
    with pytest.raises(InvalidInputError, match="whole numbers"):
        checked([replace(patients.cases[0], labels=patients.cases[0].image)])


def test_a_folder_of_some_labels_must_name_known_scans(patients, folders, tmp_path):
    some = tmp_path / "verified"
    some.mkdir()
    write(patients.cases[0].labels, some / "p0.nii.gz")
    assert list(load_labels(some, patients.cases)) == ["p0.nii.gz"]
    write(patients.cases[0].labels, some / "stranger.nii.gz")
    with pytest.raises(MissingFileError, match="stranger"):
        load_labels(some, patients.cases)


def test_unknown_is_no_class(patients):
    case = patients.cases[0]
    labels = case.labels.array.copy()
    labels[0] = 255
    assert class_values([replace(case, labels=case.labels.like(labels))]) == (1,)


def test_a_single_scan_gets_small_batches_and_more_epochs_and_never_larger_batches_than_asked_for():
    assert (salah2023().batch_for(25), salah2023().epochs_for(25)) == (4, 30)
    assert salah2023(batch=2).batch_for(25) == 2


def test_a_recipe_knows_its_names():
    assert salah2023(epochs=3).epochs == 3
    assert salah2023().batch_for(100) == 16
    assert salah2023().epochs_for(100) == 15
    assert salah2023().batch_for(5000) == 64
    with pytest.raises(InvalidInputError, match="no 'epoch'"):
        salah2023(epoch=3)
    with pytest.raises(InvalidInputError):
        salah2023(rounds=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"updates": "many"}, "'many'. Give a whole number"), ({"batch": 1.5}, "1.5"), ({"batch": True}, "True"), ({"phases": [2]}, "rising shares"),
     ({"phases": "0.3"}, "brackets"), ({"learning_rate": "fast"}, "'fast'. Give a number"), ({"folds": 0}, "1 or more")],
)
def test_a_setting_that_makes_no_sense_is_a_sentence(settings, said):
    with pytest.raises(InvalidInputError, match=said):
        medseg(**settings)


def test_a_setting_may_be_a_whole_number_where_a_number_is_wanted_and_a_list_where_several_are():
    assert medseg(bend=2, phases=[0.25, 0.5], updates=None) == medseg(bend=2.0, phases=(0.25, 0.5))


def test_labels_that_verify_nothing_give_no_figure(patients):
    nothing = np.full(patients.cases[0].labels.array.shape, 255, np.uint8)
    answer = patients.cases[0].labels.channel()
    assert mean_dice({"a": answer}, {"a": nothing}, (1,)) is None
    assert mean_dice({"a": answer, "b": answer}, {"a": nothing, "b": answer}, (1,)) == 1
