"""Analyze 7.5: voxels and size as nibabel finds them, SPM's origin honoured, and what the format does not know is said."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_medseg.errors import MissingFileError, UnreadableFileError
from napari_medseg.io import describe, read

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
SIZES = np.diag([-0.8, 0.7, 5.0, 1.0])


def affine_of(path) -> np.ndarray:
    return np.diag([-1, -1, 1, 1]) @ nibabel.load(path).affine


@pytest.mark.parametrize("named", ["a.hdr", "a.img"])
@pytest.mark.parametrize("order", "<>")
def test_either_file_opens_in_either_byte_order_and_left_and_right_are_said_to_be_unknown(tmp_path, named, order):
    image = nibabel.AnalyzeImage(ARRAY.T, SIZES)
    nibabel.save(nibabel.AnalyzeImage(ARRAY.T, SIZES, image.header.as_byteswapped(order)), tmp_path / "a.hdr")
    volume = read(tmp_path / named)
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.geometry.affine, affine_of(tmp_path / "a.hdr"), atol=1e-3)
    assert "left and right are not known" in volume.notes[0]
    assert describe(tmp_path / named)[0].notes == volume.notes


def test_the_origin_that_spm_writes_is_honoured(tmp_path):
    image = nibabel.Spm99AnalyzeImage(ARRAY.T, SIZES)
    image.header["origin"][:3] = (3, 2, 4)
    nibabel.Spm99AnalyzeImage.to_filename(image, tmp_path / "a.hdr")
    (tmp_path / "a.mat").unlink(missing_ok=True)
    volume = read(tmp_path / "a.hdr")
    np.testing.assert_allclose(volume.geometry.affine, affine_of(tmp_path / "a.hdr"), atol=1e-3)


def test_half_of_a_pair_says_what_is_missing(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(ARRAY.T, SIZES), tmp_path / "a.hdr")
    (tmp_path / "a.img").rename(tmp_path / "b.img")
    with pytest.raises(MissingFileError, match=r"a.hdr: its voxels a.img are not beside it"):
        read(tmp_path / "a.hdr")
    with pytest.raises(MissingFileError, match=r"b.img: its header b.hdr is not beside it"):
        read(tmp_path / "b.img")


def test_a_pair_cut_short_or_of_something_else_is_refused(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(ARRAY.T, SIZES), tmp_path / "a.hdr")
    (tmp_path / "a.img").write_bytes((tmp_path / "a.img").read_bytes()[:100])
    with pytest.raises(UnreadableFileError, match=r"a.hdr: is cut short"):
        read(tmp_path / "a.hdr")
    (tmp_path / "a.hdr").write_bytes(b"notes" * 100)
    with pytest.raises(UnreadableFileError, match="is not an Analyze file"):
        read(tmp_path / "a.hdr")


def test_a_dicom_file_that_a_scanner_called_img_stays_dicom(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(ARRAY[0]), str(tmp_path / "a.dcm"))
    (tmp_path / "a.dcm").rename(tmp_path / "IM0001.img")
    np.testing.assert_array_equal(read(tmp_path / "IM0001.img").array[0], ARRAY[0])
