"""info, convert and measure, as a script calls them."""

import shutil

import numpy as np
import pydicom
import pytest
from dicom_series import save_series

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.io import read, read_classes, read_labels, write, write_classes
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.resample import respaced

LIVER, VEIN = LabelClass(1, "Liver", (1.0, 0.4, 0.2)), LabelClass(5, "Vein", (0.0, 0.2, 1.0))


@pytest.fixture
def organs(study) -> LabelMap:
    """Two classes on the study's scan, in organs.seg.nrrd."""
    array = read_labels(study.truth).array.copy()
    array[3:6, 20:26, 28:34] = 5
    labels = LabelMap(array, read(study.image).geometry, "organs", classes=(LIVER, VEIN))
    write(labels, study.folder / "organs.seg.nrrd")
    return labels


@pytest.fixture
def dicom(study) -> Geometry:
    """A DICOM series in a folder "ct", and a label map on it in mask.nii.gz."""
    grid = Geometry((6, 20, 24), (2.5, 0.7, 0.7), (-30.0, 20.0, 5.0))
    for path in save_series(study.folder / "ct", np.random.default_rng(0).integers(0, 2000, grid.shape).astype(np.uint16), grid, uid="1.2.3"):
        data = pydicom.dcmread(path)
        data.PatientID, data.PatientName = "secret-id", "Secret^Name"
        data.save_as(path)
    array = np.zeros(grid.shape, np.uint8)
    array[1:5, 4:16, 5:18], array[2:4, 6:9, 7:10] = 1, 5
    write(LabelMap(array, grid, classes=(LIVER, VEIN)), study.folder / "mask.nii.gz")
    return grid


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


def test_info_tells_number_units_and_what_cannot_be_opened(medseg, study, dicom):
    files = save_series(study.folder / "both" / "broken", np.zeros((6, 20, 24), np.uint16), dicom, uid="1.2.9")
    shutil.copytree(study.folder / "ct", study.folder / "both" / "ct")
    for path in files[2:5]:
        path.unlink()
    told = medseg("info", "both", "--json").answer["series"]
    assert sorted((one["series"], one["readable"]) for one in told) == [("1.2.3", True), ("1.2.9", False)]
    sound = next(one for one in told if one["readable"])
    assert (sound["number"], sound["units"], sound["modality"]) == (3, "HU", "CT")
    done = medseg("info", "both")
    assert done.code == 0
    assert "series number 3, series 1.2.3" in done.out
    assert "Abdomen: cannot be opened" in done.out
    assert "missing" in done.out


def test_info_tells_channels_and_levels(medseg, study):
    array = np.zeros((2, 10, 200, 40), np.int16)
    write(Volume(array, Geometry(array.shape[1:]), channel_names=("T1", "FLAIR")), study.folder / "both.ome.zarr")
    assert medseg("info", "both.ome.zarr", "--json").answer["series"][0]["channel_names"] == ["T1", "FLAIR"]
    done = medseg("info", "both.ome.zarr")
    assert "channels: T1, FLAIR" in done.out
    assert "2 levels: 40 x 200 x 10, 20 x 100 x 5" in done.out


@pytest.mark.parametrize("name", ["o.ome.zarr", "o.nii.gz", "o.nrrd", "o.mha"])
def test_names_and_colours_go_through_convert(medseg, study, organs, name):
    assert medseg("convert", "organs.seg.nrrd", name).code == 0
    back = read(study.folder / name)
    assert isinstance(back, LabelMap)
    assert [(c.value, c.name) for c in back.classes] == [(1, "Liver"), (5, "Vein")]
    np.testing.assert_allclose([c.colour for c in back.classes], [LIVER.colour, VEIN.colour], atol=1 / 255)
    np.testing.assert_array_equal(back.array, organs.array)
    assert back.geometry.matches(organs.geometry)


def test_an_ome_zarr_of_a_plain_mask_is_a_label_map_and_is_replaced_whole(medseg, study):
    done = medseg("convert", study.truth, "t.ome.zarr")
    assert "taken as a label map" in done.err
    assert isinstance(read(study.folder / "t.ome.zarr"), LabelMap)
    assert medseg("convert", study.truth, "t.ome.zarr", "--image").err == ""
    assert not isinstance(read(study.folder / "t.ome.zarr"), LabelMap)
    assert medseg("measure", "t.ome.zarr", study.truth, "--json").answer["classes"]["1"]["dice"] == 1.0


def test_what_a_format_cannot_hold_is_said(medseg, study, organs):
    flat = Geometry((10, 48, 56), (3.0, 1.0, 1.0))
    write(LabelMap(organs.array, flat, classes=organs.classes), study.folder / "flat.seg.nrrd")
    done = medseg("convert", "flat.seg.nrrd", "flat.gipl")
    assert done.code == 0
    assert "keeps no names and colours" in done.err
    refused = medseg("convert", "organs.seg.nrrd", "organs.gipl", "--json")
    assert (refused.code, refused.answer["error"]["where"]) == (1, "organs.gipl")
    assert "direction" in refused.answer["error"]["what"]


def test_classes_are_named_from_a_label_description_and_written_to_one(medseg, study, organs):
    write_classes([LabelClass(1, "Spleen", (0.2, 0.2, 0.2))], study.folder / "names.label")
    assert medseg("convert", study.truth, "named.nii.gz", "--classes", "names.label").code == 0
    assert [c.name for c in read(study.folder / "named.nii.gz").classes] == ["Spleen"]
    assert medseg("convert", "organs.seg.nrrd", "out.label", "--json").answer["classes"] == ["Liver", "Vein"]
    assert [(c.value, c.name) for c in read_classes(study.folder / "out.label")] == [(1, "Liver"), (5, "Vein")]
    wrong = medseg("convert", study.image, "wrong.nii.gz", "--classes", "names.label", "--json")
    assert "does not look like a label map" in wrong.answer["error"]["what"]


def test_one_channel_is_chosen_by_number_or_name(medseg, study):
    scan = read(study.image)
    write(Volume(np.stack([scan.array, -scan.array]), scan.geometry, channel_names=("T1", "FLAIR")), study.folder / "both.ome.zarr")
    assert medseg("convert", "both.ome.zarr", "second.nii.gz", "--channel", "2").code == 0
    assert medseg("convert", "both.ome.zarr", "flair.nii.gz", "--channel", "flair").code == 0
    for name in ("second", "flair"):
        np.testing.assert_array_equal(read(study.folder / f"{name}.nii.gz").array, -scan.array)
    assert "1 T1, 2 FLAIR" in medseg("convert", "both.ome.zarr", "x.nii.gz", "--channel", "3", "--json").answer["error"]["todo"]
    refused = medseg("weak", "levelset", "both.ome.zarr", "--seeds", study.seeds, "-o", "m.nii.gz", "--json").answer["error"]
    assert refused["what"] == "has 2 channels (T1, FLAIR)"
    assert "medseg convert SRC DST --channel N" in refused["todo"]


def test_labels_become_surfaces(medseg, study, organs):
    done = medseg("convert", "organs.seg.nrrd", "organs.stl", "--json").answer
    assert done["files"] == ["organs_Liver.stl", "organs_Vein.stl"]
    assert medseg("convert", "organs.seg.nrrd", "organs.ply").code == 0
    assert all((study.folder / name).stat().st_size > 1000 for name in (*done["files"], "organs.ply"))
    refused = medseg("convert", study.image, "scan.stl", "--json").answer["error"]
    assert "does not look like a label map" in refused["what"]


@pytest.mark.parametrize(("name", "options"), [("m.seg.dcm", []), ("l.seg.dcm", ["--format", "labelmap"]), ("m.rtstruct.dcm", [])])
def test_labels_go_to_dicom_and_come_back_onto_their_scan(medseg, study, dicom, name, options):
    assert medseg("convert", "mask.nii.gz", name, "--like", "ct", *options).code == 0
    written = pydicom.dcmread(study.folder / name)
    assert str(written.PatientID) == "secret-id"
    told = medseg("convert", name, "back.nii.gz", "--like", "ct", "--json").answer
    assert told["interpolation"] == "none"
    back, truth = read(study.folder / "back.nii.gz"), read(study.folder / "mask.nii.gz")
    assert back.geometry.matches(dicom)
    assert [c.name for c in back.classes] == ["Liver", "Vein"]
    overlap = [float((back.array == a.value)[truth.array == b.value].mean()) for a, b in zip(back.classes, truth.classes, strict=True)]
    assert min(overlap) > (0.8 if "rtstruct" in name else 0.999)


def test_who_the_patient_is_can_be_left_out(medseg, study, dicom):
    assert medseg("convert", "mask.nii.gz", "m.seg.dcm", "--like", "ct", "--anonymise").code == 0
    assert b"secret-id" not in (study.folder / "m.seg.dcm").read_bytes()
    assert b"Secret^Name" not in (study.folder / "m.seg.dcm").read_bytes()
    assert "--like" in medseg("convert", study.truth, "n.seg.dcm", "--json").answer["error"]["todo"]


def test_a_folder_of_several_scans_lends_its_grid_only_where_it_is_plain_which(medseg, study, dicom):
    other = Geometry((4, 10, 12), (5.0, 1.4, 1.4), (-30.0, 20.0, 5.0))
    save_series(study.folder / "ct" / "thick", np.full(other.shape, 1024, np.uint16), other, uid="1.2.9")
    assert medseg("convert", "mask.nii.gz", "same.nii.gz", "--like", "ct", "--json").answer["interpolation"] == "none"
    refused = medseg("convert", study.truth, "else.nii.gz", "--like", "ct", "--json").answer["error"]
    assert "2 scans on different grids" in refused["what"]


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


def test_a_scan_is_never_replaced_by_labels_that_lie_in_it(medseg, study, organs):
    write(read(study.image), study.folder / "scan.ome.zarr")
    write(organs, study.folder / "organs.ome.zarr")
    (study.folder / "scan.ome.zarr" / "labels").mkdir()
    (study.folder / "organs.ome.zarr").rename(study.folder / "scan.ome.zarr" / "labels" / "organs")
    assert medseg("convert", "scan.ome.zarr/labels/organs", "out.nii.gz").code == 0
    refused = medseg("convert", "scan.ome.zarr/labels/organs", "scan.ome.zarr", "--json").answer["error"]
    assert "overwrite" in refused["what"]
    np.testing.assert_array_equal(read(study.folder / "scan.ome.zarr").array, read(study.image).array)


def test_measure_two_masks(medseg, study):
    row = medseg("measure", study.hand, study.truth, "--json").answer["classes"]["1"]
    assert 0.5 < row["dice"] < 0.9
    assert row["recall"] == 1.0
    assert row["volume_ml_pred"] > row["volume_ml_truth"]
    assert set(row) >= {"dice", "iou", "precision", "recall", "hd95_mm", "assd_mm", "surface_dice_2mm", "volume_ml_pred", "volume_ml_truth"}


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
