"""DICOM folders: sorted by position, one series at a time, and never a guess about what is missing."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io import describe, read, write

SHAPE = (6, 10, 12)
VOXELS = np.random.default_rng(3).integers(0, 2000, SHAPE).astype(np.int16)
AXIAL = np.eye(3)


def save_series(folder, voxels=VOXELS, *, direction=AXIAL, step=2.5, uid=None, modality="CT", description="Abdomen", number=3,
                offsets=None, shear=0.0, prefix=""):
    """Write one file a slice, named so that neither name nor instance number follows the position."""
    folder.mkdir(exist_ok=True)
    uid = uid or generate_uid()
    order = np.random.default_rng(number).permutation(len(voxels))
    for k, plane in enumerate(voxels):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = CTImageStorage, generate_uid(), ExplicitVRLittleEndian
        data = Dataset()
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.StudyInstanceUID, data.PatientID, data.PatientName = uid, "1.2.3", "p", "p"
        data.Modality, data.SeriesDescription, data.SeriesNumber, data.InstanceNumber = modality, description, number, int(order[k])
        data.Rows, data.Columns, data.PixelSpacing, data.SliceThickness = plane.shape[0], plane.shape[1], [0.7, 0.8], 2.0
        place = k * step if offsets is None else offsets[k]
        data.ImagePositionPatient = [f"{v:.6f}" for v in np.array([-40.0, 20.0, 100.0]) + direction[:, 2] * place + direction[:, 1] * shear * k]
        data.ImageOrientationPatient = [f"{v:.8f}" for v in (*direction[:, 0], *direction[:, 1])]
        data.SamplesPerPixel, data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored, data.HighBit = 1, "MONOCHROME2", 16, 16, 15
        data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope = 1, -1024, 1
        data.PixelData = plane.tobytes()
        pydicom.dcmwrite(folder / f"{prefix}IM{order[k]:04d}", data, enforce_file_format=True)
    return uid


OBLIQUE = Rotation.from_euler("zyx", (30, 20, 10), degrees=True).as_matrix()


@pytest.mark.parametrize("direction", [AXIAL, np.diag([-1.0, -1.0, 1.0]), OBLIQUE, AXIAL[:, [1, 2, 0]]])
def test_slices_are_sorted_by_position_and_keep_their_millimetres(tmp_path, direction):
    save_series(tmp_path / "scan", direction=direction)
    volume = read(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, VOXELS - 1024)
    assert volume.geometry.spacing == pytest.approx((2.5, 0.7, 0.8), abs=1e-4)
    assert volume.geometry.origin == pytest.approx((-40.0, 20.0, 100.0))
    np.testing.assert_allclose(volume.geometry.matrix, direction, atol=1e-6)
    assert (volume.modality, volume.name) == ("CT", "Abdomen")


def test_a_description_reads_no_voxel_and_agrees_with_the_volume(tmp_path):
    uid = save_series(tmp_path / "scan", modality="MR")
    (told,) = describe(tmp_path / "scan")
    volume = read(tmp_path / "scan")
    assert told.geometry == volume.geometry
    assert (told.dtype, told.modality, told.channels, told.timepoints, told.series) == (str(volume.array.dtype), "MR", 1, 1, uid)


def test_subfolders_and_other_files_do_not_matter(tmp_path):
    save_series(tmp_path / "study")
    (tmp_path / "study" / "sub").mkdir()
    for k, path in enumerate(sorted((tmp_path / "study").glob("IM*"))):
        if k % 2:
            path.rename(tmp_path / "study" / "sub" / path.name)
    (tmp_path / "study" / "notes.txt").write_text("notes", encoding="utf-8")
    (tmp_path / "study" / "empty").touch()
    np.testing.assert_array_equal(read(tmp_path / "study").array, VOXELS - 1024)


def test_several_series_are_listed_and_one_can_be_chosen(tmp_path):
    first = save_series(tmp_path / "study", description="Abdomen", number=3)
    second = save_series(tmp_path / "study", VOXELS + 1, description="Chest", number=4, prefix="B")
    assert [s.title for s in describe(tmp_path / "study")] == ["Abdomen", "Chest"]
    with pytest.raises(InvalidInputError, match=r"study: holds 2 series: Abdomen \(CT, 6 images, .*Chest") as caught:
        read(tmp_path / "study")
    assert first in caught.value.what
    for wanted in (second, "4", "Chest"):
        np.testing.assert_array_equal(read(tmp_path / "study", series=wanted).array, VOXELS - 1023)
    with pytest.raises(InvalidInputError, match="no series fits 'Head'"):
        read(tmp_path / "study", series="Head")
    with pytest.raises(InvalidInputError, match=r"2 series fit '1\.2'"):
        read(tmp_path / "study", series="1.2")


def test_a_scout_in_the_same_series_is_no_slice_of_it(tmp_path):
    uid = save_series(tmp_path / "scan")
    save_series(tmp_path / "scan", VOXELS[:1], direction=AXIAL[:, [1, 2, 0]], uid=uid, description="Scout", prefix="S")
    np.testing.assert_array_equal(read(tmp_path / "scan", series="Abdomen").array, VOXELS - 1024)


def test_a_missing_slice_is_said_with_its_place(tmp_path):
    save_series(tmp_path / "scan", offsets=[0, 2.5, 5.0, 10.0, 12.5, 15.0])
    with pytest.raises(UnreadableFileError, match=r"missing or uneven: 5\.00 mm after slice 3, elsewhere 2\.50 mm"):
        read(tmp_path / "scan")


def test_positions_that_differ_by_rounding_are_one_even_series(tmp_path):
    save_series(tmp_path / "scan", offsets=[0, 2.51, 5.0, 7.49, 10.0, 12.5])
    assert read(tmp_path / "scan").geometry.spacing[0] == pytest.approx(2.5)


def test_a_tilted_gantry_is_refused(tmp_path):
    save_series(tmp_path / "scan", shear=0.5)
    with pytest.raises(UnreadableFileError, match=r"sheared by 2\.5 mm"):
        read(tmp_path / "scan")


def test_two_images_at_each_position_are_timepoints(tmp_path):
    uid = save_series(tmp_path / "scan")
    save_series(tmp_path / "scan", VOXELS + 9, uid=uid, prefix="B")
    assert describe(tmp_path / "scan")[0].timepoints == 2
    with pytest.raises(UnreadableFileError, match="holds 2 images at each position"):
        read(tmp_path / "scan")


def test_one_file_is_one_slice_by_any_name(tmp_path):
    save_series(tmp_path / "scan", VOXELS[:1])
    (path,) = (tmp_path / "scan").iterdir()
    for volume in (read(path), read(tmp_path / "scan")):
        np.testing.assert_array_equal(volume.array, VOXELS[:1] - 1024)
        assert volume.modality == "CT"
        assert volume.geometry.spacing[1:] == pytest.approx((0.7, 0.8))


def test_a_folder_without_dicom_says_so(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    for look in (read, describe):
        with pytest.raises(UnreadableFileError, match="holds no DICOM image"):
            look(tmp_path)


def test_pixel_data_cut_short_are_noticed(tmp_path, capfd):
    save_series(tmp_path / "scan")
    path = tmp_path / "scan" / "IM0002"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableFileError, match=r"cannot be read|cut short"):
        read(tmp_path / "scan")
    assert capfd.readouterr().out == ""


def test_a_series_becomes_a_nifti_on_the_same_grid(tmp_path):
    save_series(tmp_path / "scan", direction=np.diag([-1.0, 1.0, -1.0]))
    volume = read(tmp_path / "scan")
    write(volume, tmp_path / "scan.nii.gz")
    back = read(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.geometry.matches(volume.geometry)
