"""MetaImage in every form ITK knows: packed, text, several files, several values a voxel; and none that leads out of its folder."""

import os
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from napari_medseg.annotation import Code, LabelClass, LabelMap
from napari_medseg.errors import MissingFileError, UnreadableFileError
from napari_medseg.io import describe, read, read_labels, write
from napari_medseg.volume import Geometry, Volume

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
HEAD = "ObjectType = Image\nNDims = 3\nDimSize = 6 5 4\nElementSpacing = 0.5 1 2\n"


def image() -> sitk.Image:
    found = sitk.GetImageFromArray(ARRAY)
    found.SetSpacing((0.5, 0.75, 2.0))
    found.SetOrigin((-10.0, 20.0, 30.0))
    found.SetDirection(Rotation.from_euler("zyx", (20, -10, 5), degrees=True).as_matrix().ravel())
    return found


@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
@pytest.mark.parametrize("packed", [True, False])
def test_what_simpleitk_writes_lies_where_it_says(tmp_path, name, packed):
    sitk.WriteImage(image(), str(tmp_path / name), packed)
    volume = read(tmp_path / name)
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.geometry.corners()[-1], image().TransformIndexToPhysicalPoint((5, 4, 3)), atol=1e-6)
    assert volume.notes == ()


@pytest.mark.parametrize("modality", ["CT", ""])
def test_simpleitk_finds_our_channels_and_grid(tmp_path, modality):
    array = np.stack([ARRAY, ARRAY + 1, ARRAY * 2]).astype(np.float32)
    volume = Volume(array, Geometry(ARRAY.shape, (2.0, 0.75, 0.5), (1.0, 2.0, 3.0), (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)), modality=modality)
    write(volume, tmp_path / "a.mha")
    found = sitk.ReadImage(str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), np.moveaxis(array, 0, -1))
    assert found.GetDirection() == volume.geometry.direction
    assert found.GetOrigin() == (1.0, 2.0, 3.0)
    assert read(tmp_path / "a.mha").modality == modality


def test_names_colours_and_terms_survive_and_itk_keeps_them_too(tmp_path):
    classes = (LabelClass(1, "Left liver = ß", (0.25, 0.5, 1.0), Code("10200004", "SCT", "Liver")), LabelClass(2, "Tumour", (1.0, 0.0, 0.0)))
    write(LabelMap((ARRAY % 3).astype(np.uint8), Geometry(ARRAY.shape), classes=classes), tmp_path / "a.mha")
    assert read_labels(tmp_path / "a.mha").classes == classes
    found = sitk.ReadImage(str(tmp_path / "a.mha"))
    assert found.GetMetaData("Segment1_Name") == "Tumour"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), ARRAY % 3)


def test_timepoints_open_as_channels(tmp_path):
    array = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / "a.mha"))
    volume = read(tmp_path / "a.mha")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.channel_names == ("t 1", "t 2", "t 3")
    assert describe(tmp_path / "a.mha")[0].timepoints == 3


@pytest.mark.parametrize("named", ["LIST\n0.raw\n1.raw\n2.raw\n3.raw\n", "%d.raw 0 3 1\n"])
def test_a_slice_a_file(tmp_path, named):
    for k, plane in enumerate(ARRAY):
        (tmp_path / f"{k}.raw").write_bytes(plane.astype(">i2").tobytes())
    (tmp_path / "a.mhd").write_text(f"{HEAD}ElementByteOrderMSB = True\nElementType = MET_SHORT\nElementDataFile = {named}", encoding="utf-8")
    np.testing.assert_array_equal(read(tmp_path / "a.mhd").array, ARRAY)
    (tmp_path / "2.raw").write_bytes(b"short")
    with pytest.raises(UnreadableFileError, match="cut short"):
        read(tmp_path / "a.mhd")


def test_numbers_as_text(tmp_path):
    numbers = " ".join(map(str, ARRAY.ravel()))
    (tmp_path / "a.mha").write_text(f"{HEAD}BinaryData = False\nElementType = MET_SHORT\nElementDataFile = LOCAL\n{numbers}\n", encoding="utf-8")
    np.testing.assert_array_equal(read(tmp_path / "a.mha").array, ARRAY)
    words = (numbers.replace("119", "word"), "text where numbers"), (numbers.replace("119", "70000"), "text where numbers")
    for fault, said in ((numbers[:-40], "cut short"), ("1 2 3", "promises"), *words):
        (tmp_path / "a.mha").write_text(f"{HEAD}BinaryData = False\nElementType = MET_SHORT\nElementDataFile = LOCAL\n{fault}", encoding="utf-8")
        with pytest.raises(UnreadableFileError, match=said):
            read(tmp_path / "a.mha")


@pytest.mark.parametrize("skip", [7, -1])
def test_bytes_before_the_voxels_are_passed_over(tmp_path, skip):
    (tmp_path / "a.raw").write_bytes(b"7 bytes" + ARRAY.tobytes())
    (tmp_path / "a.mhd").write_text(f"{HEAD}HeaderSize = {skip}\nElementType = MET_SHORT\nElementDataFile = a.raw\n", encoding="utf-8")
    np.testing.assert_array_equal(read(tmp_path / "a.mhd").array, ARRAY)


def test_letters_count_where_no_direction_is_given(tmp_path):
    (tmp_path / "a.raw").write_bytes(ARRAY.tobytes())
    (tmp_path / "a.mhd").write_text(f"{HEAD}AnatomicalOrientation = LPI\nElementType = MET_SHORT\nElementDataFile = a.raw\n", encoding="utf-8")
    volume = read(tmp_path / "a.mhd")
    np.testing.assert_array_equal(volume.geometry.matrix, np.diag([-1, -1, 1]))
    assert "as its letters LPI say" in volume.notes[0]


@pytest.mark.parametrize("named", ["../secret.raw", "{folder}/secret.raw", "..\\secret.raw", "inner/../../secret.raw", "C:secret.raw"])
def test_no_header_leads_out_of_its_folder(tmp_path, named):
    (tmp_path / "secret.raw").write_bytes(ARRAY.tobytes())
    (tmp_path / "in" / "inner").mkdir(parents=True)
    text = f"{HEAD}ElementType = MET_SHORT\nElementDataFile = {named.format(folder=tmp_path)}\n"
    (tmp_path / "in" / "a.mhd").write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"a.mhd: names a data file outside its folder"):
        read(tmp_path / "in" / "a.mhd")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_no_link_leads_out_of_the_folder_either(tmp_path):
    (tmp_path / "secret.raw").write_bytes(ARRAY.tobytes())
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path / "secret.raw", tmp_path / "in" / "a.raw")
    (tmp_path / "in" / "a.mhd").write_text(f"{HEAD}ElementType = MET_SHORT\nElementDataFile = a.raw\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="outside its folder"):
        read(tmp_path / "in" / "a.mhd")


def test_a_data_file_that_is_missing_is_said(tmp_path):
    (tmp_path / "a.mhd").write_text(f"{HEAD}ElementType = MET_SHORT\nElementDataFile = a.raw\n", encoding="utf-8")
    with pytest.raises(MissingFileError, match=r"its data file a.raw is not beside it"):
        describe(tmp_path / "a.mhd")
