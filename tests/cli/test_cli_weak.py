"""Weak labels from the command line: on the scan's grid, one byte a voxel, with the figures a script needs."""

import numpy as np
import pytest

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.io import read, read_labels, write
from napari_medseg.metrics import dice
from napari_medseg.weaklabel.cleanup import clean
from napari_medseg.weaklabel.cleanup_steps import CleanupChain, Combine, EditMask, Grow, RemoveSmall, Shrink, Smooth


def labels_of(study, name):
    return read_labels(study.folder / name, like=read(study.image).geometry).array


def test_a_level_set_from_seeds_within_a_hand_mask(medseg, study):
    done = medseg("weak", "levelset", study.image, "--seeds", study.seeds, "--limit", study.hand, "-o", "weak.nii.gz", "--json")
    labels, hand, truth = labels_of(study, "weak.nii.gz"), read_labels(study.hand).array, read_labels(study.truth).array
    assert done.answer["voxels"] == int(labels.sum())
    assert done.answer["iterations"] > 0
    assert done.answer["stopped_because"] in ("converged", "iterations")
    assert done.answer["seconds"] > 0
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 1}
    assert not labels[hand == 0].any()
    assert dice(labels, truth) > 0.85


def test_a_level_set_starts_from_a_mask_keeps_off_a_barrier_and_follows_a_probability(medseg, study):
    scan = read(study.image)
    truth = read_labels(study.truth).array
    barrier = np.zeros(truth.shape, np.uint8)
    barrier[:, :, 34:] = 1
    write(scan.like(barrier), study.folder / "barrier.nii.gz")
    write(scan.like(truth.astype(np.float32) * 0.9 + 0.05), study.folder / "chance.nii.gz")
    done = medseg(
        "weak", "levelset", study.image, "--seeds", study.seeds, "--init", study.hand, "--barrier", "barrier.nii.gz",
        "--probability", "chance.nii.gz", "--method", "region", "-o", "weak.nii.gz", "--json",
    )
    assert done.code == 0, done.err
    labels = labels_of(study, "weak.nii.gz")
    assert labels.any()
    assert not labels[barrier > 0].any()


def test_the_papers_pipeline_is_a_preset_that_other_options_change(medseg, study):
    done = medseg(
        "weak", "levelset", study.image, "--seeds", study.seeds, "--limit", study.hand, "--preset", "salah2023", "--size", "-0.5", "--edge", "0.2",
        "--window", "-1000,400", "--local-mm", "0", "--close-mm", "2", "--iterations", "300", "--device", "cpu", "-o", "weak.nii.gz", "--json",
    )
    assert done.code == 0, done.err
    assert done.answer["method"]
    assert done.answer["leak_at_lps"] is None
    assert dice(labels_of(study, "weak.nii.gz"), read_labels(study.truth).array) > 0.8


@pytest.mark.parametrize(("options", "ran"), [
    ((), ("geodesic", True)), (("--method", "geodesic", "--no-classifier"), ("geodesic", False)), (("--method", "growcut"), ("growcut", False)),
    (("--method", "random-walker", "--no-classifier"), ("random-walker", False)),
])
def test_scribbles_become_a_dense_label_map_without_255(medseg, study, options, ran):
    answer = medseg("weak", "scribble", study.image, study.strokes, *options, "-o", "weak.nii.gz", "--json").answer
    labels = labels_of(study, "weak.nii.gz")
    assert (answer["method"], answer["classifier"]) == ran
    assert answer["classes"]["1"]["voxels"] == int((labels == 1).sum()) > 0
    assert set(np.unique(labels)) == {0, 1}
    assert dice(labels, read_labels(study.truth).array) > 0.6


def test_slices_between_annotated_ones_are_filled(medseg, study):
    scan, truth = read(study.image), read_labels(study.truth).array
    some = np.zeros_like(truth)
    for k in (2, 5, 8):
        some[k] = truth[k]
    write(scan.like(some), study.folder / "some.nii.gz")
    done = medseg("weak", "interpolate", "some.nii.gz", "-o", "full.nii.gz", "--image", study.image, "--json")
    filled = labels_of(study, "full.nii.gz")
    assert done.answer["classes"]["1"]["voxels"] == int(filled.sum())
    assert dice(filled, truth) > dice(some, truth) + 0.2
    np.testing.assert_array_equal(filled[5], truth[5])
    assert done.answer["method"] == "image"
    listed = medseg("weak", "interpolate", "some.nii.gz", "-o", "listed.nii.gz", "--slices", "2,5", "--json")
    assert listed.answer["method"] == "shape"
    assert not labels_of(study, "listed.nii.gz")[6:8].any()


def test_slices_may_be_counted_along_another_axis(medseg, study):
    scan, truth = read(study.image), read_labels(study.truth).array
    some = np.zeros_like(truth)
    some[:, :, 20:41:5] = truth[:, :, 20:41:5]
    write(scan.like(some), study.folder / "some.nii.gz")
    assert medseg("weak", "interpolate", "some.nii.gz", "-o", "full.nii.gz", "--axis", "x").code == 0
    assert dice(labels_of(study, "full.nii.gz")[:, :, 20:41], truth[:, :, 20:41]) > 0.85


def test_clean_up_counts_what_it_removed(medseg, study):
    scan, truth = read(study.image), read_labels(study.truth).array.copy()
    truth[1, 1:3, 1:3] = truth[8, 45, 50] = 1
    truth[5, 22, 30] = 0
    write(scan.like(truth), study.folder / "dirty.nii.gz")
    answer = medseg("weak", "cleanup", "dirty.nii.gz", "-o", "clean.nii.gz", "--min-ml", "0.1", "--fill", "--largest", "--json").answer
    assert answer["removed_components"] == 2
    np.testing.assert_array_equal(labels_of(study, "clean.nii.gz"), read_labels(study.truth).array)
    assert answer["classes"]["1"]["voxels"] == int(read_labels(study.truth).array.sum())


def test_clean_up_steps_are_done_in_the_order_they_are_written(medseg, study):
    scan, labels = read(study.image), read_labels(study.truth).array.copy()
    labels[2:4, 2:6, 2:6] = 1
    labels[8, 40:44, 45:50] = 2
    write(scan.like(labels), study.folder / "dirty.nii.gz")
    words = "grow 3 @1, remove 0.1, smooth 2, shrink 1, subtract 2 4"
    done = medseg("weak", "cleanup", "dirty.nii.gz", "-o", "clean.nii.gz", "--steps", words, "--keep", "2", "--json")
    chain = CleanupChain((Grow(3.0, classes=(1,)), RemoveSmall(0.1), Smooth(2.0), Shrink(1.0), Combine("subtract", 2, 4.0)), EditMask(keep=(2,)))
    np.testing.assert_array_equal(labels_of(study, "clean.nii.gz"), clean(labels, scan.geometry.spacing, chain).labels)
    assert done.answer["steps"] == [step.words() for step in chain.steps]
    assert done.answer["classes"]["2"]["voxels"] == 20


def test_clean_up_keeps_what_was_clicked_and_changes_only_what_it_may(medseg, study):
    scan, labels = read(study.image), read_labels(study.truth).array.copy()
    labels[2:4, 2:6, 2:6] = 1
    write(scan.like(labels), study.folder / "dirty.nii.gz")
    done = medseg("weak", "cleanup", "dirty.nii.gz", "-o", "one.nii.gz", "--clicked", study.seeds, "--json")
    assert done.answer["removed_components"] == 1
    np.testing.assert_array_equal(labels_of(study, "one.nii.gz"), read_labels(study.truth).array)
    bright = medseg("weak", "cleanup", "dirty.nii.gz", "-o", "grown.nii.gz", "--grow-mm", "4", "--window", "140,9999", "--image", study.image, "--class", "1")
    assert bright.code == 0, bright.err
    gained = labels_of(study, "grown.nii.gz") != labels
    assert gained.any()
    assert (scan.array[gained] >= 140).all()


@pytest.mark.parametrize(("options", "said"), [
    (("--steps", "polish 3"), "polish"), (("--steps", "close"), "close MM"), (("--steps", "close -1"), "zero or more"), (("--steps", "fill rows"), "rows"),
    (("--steps", "fill", "--largest"), "order"), (("--window", "1,2"), "--image"), (("--window", "low,high"), "numbers"),
])
def test_a_clean_up_that_is_asked_wrongly_is_exit_2_and_says_what_there_is(medseg, study, options, said):
    done = medseg("weak", "cleanup", study.truth, "-o", "clean.nii.gz", *options)
    assert done.code == 2
    assert said in done.err.replace("\n", " ").replace("│", "")


def test_what_is_drawn_on_an_ome_zarr_scan_is_an_ome_zarr_label_map_with_the_names_of_its_strokes(medseg, study):
    scan, strokes = read(study.image), read_labels(study.strokes)
    write(scan, study.folder / "scan.ome.zarr")
    write(LabelMap(strokes.array, scan.geometry, classes=(LabelClass(1, "Liver", (1.0, 0.0, 0.0)),)), study.folder / "strokes.ome.zarr")
    assert medseg("weak", "scribble", "scan.ome.zarr", "strokes.ome.zarr", "-o", "dense.ome.zarr").code == 0
    dense = read(study.folder / "dense.ome.zarr")
    assert isinstance(dense, LabelMap)
    assert [c.name for c in dense.classes] == ["Liver"]
    assert dense.geometry == scan.geometry
