"""Weak labels from the command line: on the scan's grid, one byte a voxel, with the figures a script needs."""

import numpy as np

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.io import read, read_labels, write
from napari_medseg.metrics import dice


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


def test_scribbles_become_a_dense_label_map_without_255(medseg, study):
    answer = medseg("weak", "scribble", study.image, study.strokes, "-o", "weak.nii.gz", "--json").answer
    labels = labels_of(study, "weak.nii.gz")
    assert answer["method"] == "random-walker"
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
    assert medseg("weak", "interpolate", "some.nii.gz", "-o", "listed.nii.gz", "--slices", "2,5", "--json").code == 0
    assert not labels_of(study, "listed.nii.gz")[6:8].any()


def test_clean_up_counts_what_it_removed(medseg, study):
    scan, truth = read(study.image), read_labels(study.truth).array.copy()
    truth[1, 1:3, 1:3] = truth[8, 45, 50] = 1
    truth[5, 22, 30] = 0
    write(scan.like(truth), study.folder / "dirty.nii.gz")
    answer = medseg("weak", "cleanup", "dirty.nii.gz", "-o", "clean.nii.gz", "--min-ml", "0.1", "--fill", "--largest", "--json").answer
    assert answer["removed_components"] == 2
    np.testing.assert_array_equal(labels_of(study, "clean.nii.gz"), read_labels(study.truth).array)
    assert answer["classes"]["1"]["voxels"] == int(read_labels(study.truth).array.sum())


def test_what_is_drawn_on_an_ome_zarr_scan_is_an_ome_zarr_label_map_with_the_names_of_its_strokes(medseg, study):
    scan, strokes = read(study.image), read_labels(study.strokes)
    write(scan, study.folder / "scan.ome.zarr")
    write(LabelMap(strokes.array, scan.geometry, classes=(LabelClass(1, "Liver", (1.0, 0.0, 0.0)),)), study.folder / "strokes.ome.zarr")
    assert medseg("weak", "scribble", "scan.ome.zarr", "strokes.ome.zarr", "-o", "dense.ome.zarr").code == 0
    dense = read(study.folder / "dense.ome.zarr")
    assert isinstance(dense, LabelMap)
    assert [c.name for c in dense.classes] == ["Liver"]
    assert dense.geometry == scan.geometry
