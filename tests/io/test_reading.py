"""What a file holds comes in as it is: values, grid, channels; what it does not say is not guessed."""

import gzip
import shutil

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medseg.catalogue import shipped
from napari_medseg.errors import InvalidInputError, MissingFileError
from napari_medseg.io import describe, read, read_labels, write
from napari_medseg.volume import Geometry, Volume

FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha")
SAMPLES = sorted(p.name for p in shipped("sample_data").iterdir() if p.name.endswith((".nii.gz", ".nrrd")))
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"]


def scan(dtype="int16", shape=(4, 5, 6)) -> Volume:
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    turned = Rotation.from_euler("zyx", (20, -10, 5), degrees=True).as_matrix()
    return Volume(array, Geometry(shape[-3:], (5.0, 0.7, 0.8), (-12.5, 30.25, 7.0), tuple(turned.ravel())))


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_scans_hold_what_nibabel_and_simpleitk_find_in_them(name):
    path = shipped("sample_data") / name
    volume = read(path)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    np.testing.assert_allclose(volume.geometry.corners()[-1], image.TransformIndexToPhysicalPoint([n - 1 for n in image.GetSize()]), atol=1e-6)
    if name.endswith(".nii.gz"):
        other = nibabel.load(path)
        np.testing.assert_array_equal(volume.array, np.asarray(other.dataobj).T)
        np.testing.assert_allclose(volume.geometry.affine, np.diag([-1, -1, 1, 1]) @ other.affine, atol=1e-4)  # RAS to LPS
    assert volume.name == name.partition(".")[0]
    assert volume.source == path
    assert volume.modality == ""


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_format_brings_every_dtype_back(tmp_path, suffix, dtype):
    volume = scan(dtype)
    write(volume, tmp_path / f"scan{suffix}")
    back = read(tmp_path / f"scan{suffix}")
    assert back.array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.geometry.matches(volume.geometry, 1e-3)
    assert describe(tmp_path / f"scan{suffix}")[0].dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", "<>")
def test_nifti_of_either_byte_order_is_read_as_nibabel_reads_it(tmp_path, dtype, order):
    image = nibabel.Nifti1Image(scan(dtype).array.T, np.diag([0.5, 0.75, 2.0, 1.0]), dtype=dtype)
    swapped = nibabel.Nifti1Image(image.dataobj, image.affine, image.header.as_byteswapped(order))
    nibabel.save(swapped, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz").array.T, np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj))


@pytest.mark.parametrize("suffix", FORMATS)
def test_channels_come_first(tmp_path, suffix):
    volume = scan("float32", (3, 4, 5, 6))
    write(volume, tmp_path / f"map{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"map{suffix}").array, volume.array)
    assert describe(tmp_path / f"map{suffix}")[0].channels == 3


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(FORMATS), st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(*[st.floats(0.2, 9)] * 3), st.booleans())
def test_any_grid_comes_back_within_a_thousandth_of_a_voxel(tmp_path_factory, suffix, angles, spacing, mirrored):
    matrix = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    if mirrored:
        matrix[:, 1] *= -1
    volume = Volume(np.ones((3, 4, 5), np.uint8), Geometry((3, 4, 5), spacing, (-212.75, 88.5, 1024.25), tuple(matrix.ravel())))
    path = tmp_path_factory.mktemp("grid") / f"scan{suffix}"
    write(volume, path)
    assert read(path).geometry.matches(volume.geometry, 1e-3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_2d_image_is_one_slice(tmp_path, suffix):
    image = sitk.GetImageFromArray(np.arange(30, dtype=np.int16).reshape(5, 6))
    image.SetSpacing((0.5, 0.75))
    sitk.WriteImage(image, str(tmp_path / f"flat{suffix}"))
    volume = read(tmp_path / f"flat{suffix}")
    assert volume.array.shape == (1, 5, 6)
    assert volume.geometry.spacing == pytest.approx((1.0, 0.75, 0.5))


@pytest.mark.parametrize("suffix", [".nii.gz"])
def test_timepoints_are_told_apart_from_channels_and_open_as_channels(tmp_path, suffix):
    array = np.arange(4 * 5 * 6 * 7, dtype=np.int16).reshape(4, 5, 6, 7)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / f"dynamic{suffix}"))
    told = describe(tmp_path / f"dynamic{suffix}")[0]
    assert (told.timepoints, told.channels, told.shape_zyx) == (4, 1, (5, 6, 7))
    volume = read(tmp_path / f"dynamic{suffix}")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.channel_names == told.channel_names == ("t 1", "t 2", "t 3", "t 4")
    assert volume.notes == ("holds 4 timepoints, opened as channels",)


def test_a_fourth_axis_of_one_is_no_timepoint(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4, 1), np.eye(4)), tmp_path / "one.nii.gz")
    assert read(tmp_path / "one.nii.gz").array.shape == (4, 3, 2)


def test_stored_slope_and_intercept_are_applied(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(2.0, -1000.0)
    nibabel.save(image, tmp_path / "scaled.nii")
    assert read(tmp_path / "scaled.nii").array.max() == pytest.approx(nibabel.load(tmp_path / "scaled.nii").get_fdata().max())


@pytest.mark.parametrize("suffix", FORMATS)
def test_nan_becomes_the_smallest_value_and_is_noted(tmp_path, suffix):
    volume = scan("float32")
    volume.array[0, 0, :2] = np.nan
    volume.array[0, 1, 0] = np.inf
    write(volume, tmp_path / f"holes{suffix}")
    back = read(tmp_path / f"holes{suffix}")
    finite = volume.array[np.isfinite(volume.array)]
    assert np.isfinite(back.array).all()
    assert back.array[0, 0, 0] == finite.min()
    assert back.array[0, 1, 0] == finite.max()
    assert back.notes
    assert "3 of 120" in back.notes[0]


def test_a_nifti_that_is_not_packed_may_still_be_called_nii_gz(tmp_path):
    write(scan(), tmp_path / "a.nii")
    shutil.move(tmp_path / "a.nii", tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz").array, scan().array)


def test_a_packed_file_beside_a_plain_one_of_the_same_name_keeps_its_own_voxels(tmp_path):
    """Alone, ITK takes the header of scan.nii.gz and the voxels of scan.nii."""
    other = scan("int16")
    write(Volume(other.array + 5000, other.geometry), tmp_path / "scan.nii")
    write(scan("uint8"), tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "scan.nii.gz").array, scan("uint8").array)
    np.testing.assert_array_equal(read(tmp_path / "scan.nii").array, other.array + 5000)


def test_files_packed_in_several_pieces_are_read_whole(tmp_path):
    write(scan("int16", (20, 30, 30)), tmp_path / "a.nii")
    data = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data[:9000]) + gzip.compress(data[9000:]))
    np.testing.assert_array_equal(read(tmp_path / "b.nii.gz").array, scan("int16", (20, 30, 30)).array)


@pytest.mark.parametrize(("header", "data"), [("scan.nhdr", "scan.raw"), ("scan.mhd", "scan.raw")])
def test_a_header_and_its_data_in_two_files(tmp_path, header, data):
    volume = scan()
    image = sitk.GetImageFromArray(volume.array)
    sitk.WriteImage(image, str(tmp_path / header))
    np.testing.assert_array_equal(read(tmp_path / header).array, volume.array)
    (tmp_path / data).unlink()
    with pytest.raises(MissingFileError, match=f"{header}: its data file {data} is not beside it"):
        read(tmp_path / header)


def test_label_maps_are_whole_numbers_of_one_or_two_bytes(tmp_path):
    for values, dtype in (([0, 1, 254], np.uint8), ([0, 1, 300], np.uint16)):
        write(Volume(np.array(values, np.float64).reshape(1, 1, 3), Geometry((1, 1, 3))), tmp_path / "m.nii.gz")
        labels = read_labels(tmp_path / "m.nii.gz")
        assert labels.array.dtype == dtype
        assert labels.array.ravel().tolist() == values


@pytest.mark.parametrize("values", [[0, 0.5, 1], [-1, 0, 1], [0, 1, 70000]])
def test_what_is_no_label_map_is_refused(tmp_path, values):
    write(Volume(np.array(values, np.float64).reshape(1, 1, 3), Geometry((1, 1, 3))), tmp_path / "m.nii.gz")
    with pytest.raises(InvalidInputError, match="is no label map"):
        read_labels(tmp_path / "m.nii.gz")


def test_a_map_with_channels_is_no_label_map(tmp_path):
    write(scan("uint8", (2, 4, 5, 6)), tmp_path / "m.nii.gz")
    with pytest.raises(InvalidInputError, match="has 2 channels"):
        read_labels(tmp_path / "m.nii.gz")


def test_a_label_map_must_lie_on_its_scan(tmp_path):
    write(scan("uint8"), tmp_path / "m.nii.gz")
    assert read_labels(tmp_path / "m.nii.gz", like=scan().geometry).array.dtype == np.uint8
    with pytest.raises(ValueError, match=r"m.nii.gz: lies on another grid.*convert"):
        read_labels(tmp_path / "m.nii.gz", like=Geometry((4, 5, 6)))
