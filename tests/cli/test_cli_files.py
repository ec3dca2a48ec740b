"""info, convert and measure, as a script calls them."""

import shutil

import numpy as np
import pytest

from napari_medseg.io import read, read_labels, write
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.resample import respaced


def test_info_tells_what_is_in_a_file(medseg, study):
    (told,) = medseg("info", study.image, "--json").answer["series"]
    assert told["shape_zyx"] == [10, 48, 56]
    assert told["spacing_mm_zyx"] == [3.0, 1.0, 1.0]
    assert told["origin_lps"] == [-30.0, 12.0, -80.0]
    assert told["direction"] == [1, 0, 0, 0, -1, 0, 0, 0, 1]
    assert (told["dtype"], told["modality"], told["channels"], told["timepoints"]) == ("int16", "", 1, 1)


def test_info_reads_well_without_json(medseg, study):
    done = medseg("info", study.image)
    assert done.code == 0
    assert "56 x 48 x 10 voxels of 1 x 1 x 3 mm" in done.out


@pytest.mark.parametrize("name", ["out.nrrd", "out.mha", "out.nii"])
def test_convert_keeps_values_and_grid(medseg, study, name):
    assert medseg("convert", study.image, name, "--json").answer == {"shape_zyx": [10, 48, 56], "spacing_mm_zyx": [3.0, 1.0, 1.0]}
    back, scan = read(study.folder / name), read(study.image)
    np.testing.assert_array_equal(back.array, scan.array)
    assert back.geometry.matches(scan.geometry)


def test_convert_like_brings_a_mask_to_its_scan_without_new_values(medseg, study):
    scan = read(study.image)
    finer = Volume(np.zeros((20, 96, 112), np.float32), respaced(scan.geometry, (1.5, 0.5, 0.5)))
    write(finer, study.folder / "finer.nii.gz")
    assert medseg("convert", study.truth, "m.nii.gz", "--like", "finer.nii.gz", "--json").answer["interpolation"] == "nearest"
    labels = read_labels(study.folder / "m.nii.gz", like=finer.geometry)
    assert set(np.unique(labels.array)) == {0, 1}
    assert labels.array.sum() * labels.geometry.voxel_ml == pytest.approx(read_labels(study.truth).array.sum() * scan.geometry.voxel_ml, rel=0.02)
    assert medseg("convert", study.image, "s.nii.gz", "--like", "finer.nii.gz", "--json").answer["interpolation"] == "linear"


def test_a_file_is_never_written_over_what_it_is_made_from(medseg, study):
    before = study.image.read_bytes()
    done = medseg("convert", study.image, study.image, "--json")
    assert done.code == 1
    assert done.answer["error"]["type"] == "UnwritableFileError"
    assert study.image.read_bytes() == before


def test_measure_two_masks(medseg, study):
    row = medseg("measure", study.hand, study.truth, "--json").answer["classes"]["1"]
    assert 0.5 < row["dice"] < 0.9
    assert row["recall"] == 1.0
    assert row["volume_ml_pred"] > row["volume_ml_truth"]
    assert set(row) == {"dice", "iou", "precision", "recall", "hd95_mm", "assd_mm", "surface_dice_2mm", "volume_ml_pred", "volume_ml_truth"}


def test_measure_says_null_where_there_is_nothing_to_measure(medseg, study):
    write(Volume(np.zeros((10, 48, 56), np.uint8), read(study.image).geometry), study.folder / "none.nii.gz")
    row = medseg("measure", "none.nii.gz", study.truth, "--json").answer["classes"]["1"]
    assert (row["dice"], row["hd95_mm"], row["precision"]) == (0.0, None, None)
    assert medseg("measure", "none.nii.gz", "none.nii.gz", "--json").answer["classes"] == {}


def test_measure_folders_by_file_name(medseg, study):
    for folder, path in (("pred", study.hand), ("true", study.truth)):
        (study.folder / folder).mkdir()
        for name in ("a.nii.gz", "b.nii.gz"):
            shutil.copy(path, study.folder / folder / name)
    shutil.copy(study.truth, study.folder / "pred" / "b.nii.gz")
    shutil.copy(study.truth, study.folder / "true" / "c.nii.gz")
    told = medseg("measure", "pred", "true", "--json").answer
    first, second = (case["classes"]["1"]["dice"] for case in told["cases"])
    assert second == 1.0
    assert told["classes"]["1"]["dice"] == pytest.approx((first + second) / 2)
    assert told["not_predicted"] == ["c"]
    (study.folder / "true" / "a.nii.gz").unlink()
    assert medseg("measure", "pred", "true", "--json").answer["error"]["type"] == "MissingFileError"


def test_measure_refuses_masks_on_different_grids(medseg, study):
    write(Volume(np.ones((10, 48, 56), np.uint8), Geometry((10, 48, 56))), study.folder / "else.nii.gz")
    done = medseg("measure", "else.nii.gz", study.truth, "--json")
    assert (done.code, done.answer["error"]["type"], done.answer["error"]["where"]) == (1, "GridMismatchError", "else.nii.gz")
