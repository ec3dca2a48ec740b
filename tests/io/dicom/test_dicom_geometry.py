"""Where slices lie: sorted by place, at SimpleITK's millimetres; tilts, gaps, scouts and copies found and explained."""

import pickle
import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import image, save
from scipy.spatial.transform import Rotation

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io import describe, read

PLANES = np.random.default_rng(5).integers(0, 2000, (6, 10, 12)).astype(np.uint16)
ORIGIN = np.array([-40.0, 20.0, 100.0])


def save_stack(folder, planes=PLANES, *, turn=None, places=None, aside=(0.0, 0.0), prefix="IM", **attributes):
    """Write slices along the normal of a turned plane, each shifted by `aside` mm (across, down) more than the one before, under names in no order."""
    turn = np.eye(3) if turn is None else turn
    names = np.random.default_rng(len(planes)).permutation(len(planes))
    for k, plane in enumerate(planes):
        place = 2.5 * k if places is None else places[k]
        position = ORIGIN + turn[:, 2] * place + k * (turn[:, 0] * aside[0] + turn[:, 1] * aside[1])
        save(image(plane, position, (*turn[:, 0], *turn[:, 1]), **attributes), folder / f"{prefix}{names[k]:03d}")
    return folder


@pytest.mark.parametrize("seed", range(6))
def test_corners_are_those_of_simpleitk_and_of_the_headers(tmp_path, seed):
    rng = np.random.default_rng(seed)
    turn = Rotation.random(rng=rng).as_matrix() if seed else np.eye(3)
    save_stack(tmp_path / "scan", turn=turn, places=np.arange(6) * rng.uniform(0.5, 5), PixelSpacing=[round(v, 4) for v in rng.uniform(0.3, 3, 2)])
    ours = read(tmp_path / "scan")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "scan")))
    peer = reader.Execute()
    np.testing.assert_array_equal(ours.array, sitk.GetArrayFromImage(peer))
    corners = [[x, y, z] for z in (0, 5) for y in (0, 9) for x in (0, 11)]
    np.testing.assert_allclose(ours.geometry.corners(), [peer.TransformIndexToPhysicalPoint(corner) for corner in corners], atol=1e-3)
    headers = sorted((pydicom.dcmread(path) for path in (tmp_path / "scan").iterdir()), key=lambda h: np.dot(h.ImagePositionPatient, turn[:, 2]))
    for k, header in enumerate(headers):  # PS3.3, C.7.6.2.1.1
        along, down = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
        last = np.array(header.ImagePositionPatient, float) + along * header.PixelSpacing[1] * 11 + down * header.PixelSpacing[0] * 9
        np.testing.assert_allclose(ours.geometry.world((k, 9, 11)), last, atol=1e-3)


def test_a_tilted_gantry_is_offered_straightened_and_said(tmp_path):
    """A ball that was scanned by tilted slices is a ball again, at its place."""
    centre, across, step, tilt = np.array([0.0, 0.0, 30.0]), 1.0, 2.0, np.tan(np.deg2rad(20)) * 2.0
    y, x = np.mgrid[:60, :50] * across
    for k in range(30):
        corner = np.array([-25.0, -40.0 + tilt * k, step * k])
        away = np.linalg.norm(np.stack([x + corner[0] - centre[0], y + corner[1] - centre[1], np.full(x.shape, corner[2] - centre[2])]), axis=0)
        plane = np.where(away < 15, 1124, 24).astype(np.uint16)
        save(image(plane, corner, PixelSpacing=[1.0, 1.0]), tmp_path / "scan" / f"IM{k}")
    tilted, straight = describe(tmp_path / "scan")
    assert not tilted.readable
    assert "sheared by 21.1 mm (a tilted gantry, 20.0 degrees)" in tilted.notes[-1]
    assert straight.readable
    assert straight.title == "Abdomen, straightened"
    assert any(note.startswith("Straightened") for note in straight.notes)
    with pytest.raises(UnreadableFileError, match=r"sheared by 21\.1 mm .*Open it straightened"):
        read(tmp_path / "scan")
    volume = read(tmp_path / "scan", series=straight.series)
    assert volume.geometry == straight.geometry
    assert volume.geometry.shape == (30, 60 + 22, 50)
    inside = volume.array > -450
    np.testing.assert_allclose(volume.geometry.world(np.argwhere(inside)).mean(axis=0), centre, atol=0.2)
    assert inside.sum() * volume.geometry.voxel_ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.03)
    assert volume.array.min() == -1000  # no slice covers the corners: air
    assert set(np.unique(volume.array[:, 40])) - {-1000, 100} <= set(range(-1000, 101))


def test_slices_shifted_unevenly_are_refused_and_not_offered(tmp_path):
    for k, plane in enumerate(PLANES):
        save(image(plane, (0, 3.0 * (k == 2), 2.5 * k)), tmp_path / "scan" / f"IM{k}")
    (told,) = describe(tmp_path / "scan")
    assert not told.readable
    with pytest.raises(UnreadableFileError, match=r"shifted sideways by up to 3\.0 mm"):
        read(tmp_path / "scan")


def test_blocks_of_slices_in_one_series_are_told_apart_by_acquisition(tmp_path):
    save_stack(tmp_path / "scan", prefix="chest", AcquisitionNumber=1)
    save_stack(tmp_path / "scan", PLANES + 5, places=np.arange(6) * 5.0 + 60, prefix="abdomen", AcquisitionNumber=2)
    listed = describe(tmp_path / "scan")
    assert {(s.title, s.spacing_mm_zyx[0], s.readable) for s in listed} == {("Abdomen, block 1", 5.0, True), ("Abdomen, block 2", 2.5, True)}
    found = read(tmp_path / "scan", series=next(s.series for s in listed if s.spacing_mm_zyx[0] == 5.0))
    np.testing.assert_array_equal(found.array, PLANES.astype(int) - 1019)


def test_series_of_two_studies_with_one_number_are_kept_apart(tmp_path):
    for k in range(2):
        save_stack(tmp_path / "disc" / str(k), PLANES + k, StudyInstanceUID=f"1.2.{k}")
    assert [s.series for s in describe(tmp_path / "disc")] == ["1.2.3.4", "1.2.3.4/2"]
    assert [int(read(tmp_path / "disc", series=s).array[0, 0, 0]) - int(PLANES[0, 0, 0]) + 1024 for s in ("1.2.3.4", "1.2.3.4/2")] == [0, 1]


def test_mosaics_are_refused_with_what_to_do(tmp_path):
    save_stack(tmp_path / "scan", ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    with pytest.raises(UnreadableFileError, match=r"holds mosaics.* dcm2niix"):
        read(tmp_path / "scan")


def test_missing_slices_are_counted_in_the_list(tmp_path):
    save_stack(tmp_path / "scan", places=[0, 2.5, 5, 12.5, 15, 17.5])
    (told,) = describe(tmp_path / "scan")
    with pytest.raises(UnreadableFileError) as caught:
        read(tmp_path / "scan")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # it may come from another process
    assert not told.readable
    assert "7.50 mm after slice 3, elsewhere 2.50 mm (2 of 8 missing)" in told.notes[-1]
    assert told.shape_zyx == (6, 10, 12)


def test_small_gaps_are_taken_as_even_and_said_and_drift_is_not(tmp_path):
    save_stack(tmp_path / "small", places=[0, 2.6, 5.0, 7.4, 10.0, 12.5])
    volume = read(tmp_path / "small")
    assert volume.geometry.spacing[0] == pytest.approx(2.5)
    assert "2.40 to 2.60 mm apart" in volume.notes[0]
    save_stack(tmp_path / "drift", np.repeat(PLANES, 10, 0), places=np.cumsum(np.linspace(2.3, 2.7, 60)))
    with pytest.raises(UnreadableFileError, match=r"uneven: 2\.31 to 2\.70 mm apart, up to .* mm off an even grid"):
        read(tmp_path / "drift")


def test_copies_are_left_out_and_said(tmp_path):
    save_stack(tmp_path / "scan")
    for name in ("IM001", "IM004"):
        shutil.copy(tmp_path / "scan" / name, tmp_path / "scan" / f"copy of {name}")
    volume = read(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, PLANES.astype(int) - 1024)
    assert volume.notes == ("2 images are there twice, alike to the last bit: one of each is used",)


def test_two_different_images_at_one_place_are_not_guessed_between(tmp_path):
    save_stack(tmp_path / "scan")
    save(image(PLANES[0] + 1, ORIGIN + np.array([0, 0, 5.0])), tmp_path / "scan" / "other")
    with pytest.raises(UnreadableFileError, match="2 images at each position, and their headers do not say"):
        read(tmp_path / "scan")


def test_a_scout_beside_the_scan_is_left_out_and_said(tmp_path):
    save_stack(tmp_path / "study")
    scout = image(PLANES[0], ORIGIN, (0, 1, 0, 0, 0, -1), SeriesInstanceUID="1.2.9", SeriesNumber=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    save(scout, tmp_path / "study" / "scout")
    listed = describe(tmp_path / "study")
    assert [(s.shape_zyx[0], s.readable) for s in listed] == [(1, True), (6, True)]
    assert listed[0].notes[0].startswith("A localiser")
    volume = read(tmp_path / "study")
    np.testing.assert_array_equal(volume.array, PLANES.astype(int) - 1024)
    assert volume.notes == ("1 picture of a localiser (scout) is in the same folder and left out",)
    assert read(tmp_path / "study", series="1.2.9").array.shape == (1, 10, 12)


def test_planes_of_a_survey_in_one_series_are_listed_each_and_none_is_taken_unasked(tmp_path):
    for k, turn in enumerate((np.eye(3), np.eye(3)[:, [1, 2, 0]], np.eye(3)[:, [2, 0, 1]])):
        save_stack(tmp_path / "survey", PLANES[:3] + 7 * k, turn=turn, prefix="abc"[k], Modality="MR")
    listed = describe(tmp_path / "survey")
    assert [s.series for s in listed] == ["1.2.3.4", "1.2.3.4/2", "1.2.3.4/3"]
    assert all("One of several planes" in s.notes[0] for s in listed)
    with pytest.raises(InvalidInputError, match="holds 3 series"):
        read(tmp_path / "survey")
    found = [read(tmp_path / "survey", series=s.series) for s in listed]
    assert sorted(int(v.array[0, 0, 0]) for v in found) == sorted(int(PLANES[0, 0, 0]) - 1024 + 7 * k for k in range(3))
    assert {tuple(v.geometry.direction) for v in found} == {tuple(s.direction) for s in listed}


def test_studies_and_series_in_subfolders_are_listed_by_number_beside_a_dicomdir(tmp_path):
    save_stack(tmp_path / "disc" / "A" / "1", SeriesInstanceUID="1.2.7", SeriesNumber=7, SeriesDescription="Later", StudyInstanceUID="1.9")
    save_stack(tmp_path / "disc" / "B", PLANES + 1, SeriesInstanceUID="1.2.5", SeriesNumber=5, SeriesDescription="Earlier")
    directory = image(PLANES[0], SOPClassUID="1.2.840.10008.1.3.10", Rows=None, Columns=None, PixelData=None)
    save(directory, tmp_path / "disc" / "DICOMDIR")
    for path in (tmp_path / "disc", tmp_path / "disc" / "DICOMDIR"):
        assert [s.title for s in describe(path)] == ["Earlier", "Later"]
        np.testing.assert_array_equal(read(path, series="5").array, PLANES.astype(int) - 1023)


def test_objects_that_are_no_images_are_no_series(tmp_path):
    save_stack(tmp_path / "study")
    for k, kind in enumerate(("66.4", "481.3", "88.22", "11.1")):  # segmentation, structure set, report, presentation state
        other = image(PLANES[0], SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{kind}", SeriesInstanceUID=f"1.2.{k}")
        if k:
            del other.PixelData, other.Rows, other.Columns
        save(other, tmp_path / "study" / f"other{k}")
    assert [s.title for s in describe(tmp_path / "study")] == ["Abdomen"]


def test_a_radiograph_is_one_slice_and_its_spacing_is_said_to_be_the_detectors(tmp_path):
    path = save(image(PLANES[0], Modality="DX", PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.1], ImagePositionPatient=None, ImageOrientationPatient=None,
                      SliceThickness=None, RescaleSlope=None, RescaleIntercept=None), tmp_path / "chest.dcm")
    volume = read(path)
    assert (volume.geometry.shape, volume.geometry.spacing, volume.modality, volume.units) == ((1, 10, 12), (1.0, 0.2, 0.1), "DX", "")
    assert "detector" in volume.notes[0]
    assert "left and right are not known" in volume.notes[1]


def test_images_without_positions_make_no_volume_but_open_alone(tmp_path):
    for k, plane in enumerate(PLANES):
        save(image(plane, ImagePositionPatient=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), tmp_path / "scan" / f"IM{k}")
    (told,) = describe(tmp_path / "scan")
    assert not told.readable
    with pytest.raises(UnreadableFileError, match="6 images of 'Abdomen' give no positions"):
        read(tmp_path / "scan")
    assert read(tmp_path / "scan" / "IM2").array.shape == (1, 10, 12)


def test_a_missing_pixel_spacing_is_said(tmp_path):
    save_stack(tmp_path / "scan", PixelSpacing=None)
    assert "no pixel spacing" in read(tmp_path / "scan").notes[0]


def test_no_name_number_or_date_of_the_patient_gets_out(tmp_path):
    save_stack(tmp_path / "scan", SeriesDescription=None)
    save(image(PLANES[0], ORIGIN, (0, 1, 0, 0, 0, -1), AcquisitionTime="112233"), tmp_path / "scan" / "scout")
    volume, listed = read(tmp_path / "scan"), describe(tmp_path / "scan")
    assert volume.name == "CT series 3"
    for told in (repr((volume.name, volume.notes, volume.channel_names)), repr(listed)):
        assert not any(secret in told for secret in ("Secret", "Name", "secret-id", "1901", "2020", "112233"))
