"""NIfTI of both versions: the same corners as nibabel and SimpleITK find, one rule where a header contradicts itself, and what is decided is said."""

import gzip
import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from napari_medseg.annotation import Code, LabelClass, LabelMap, default_classes
from napari_medseg.errors import UnreadableFileError
from napari_medseg.io import describe, packing, read, read_labels, write
from napari_medseg.volume import Geometry, Volume

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


def turned(spacing=(0.8, 0.7, 5.0), shear=0.0) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("zyx", (20, -10, 5), degrees=True).as_matrix() * spacing
    affine[0, 1] += shear
    affine[:3, 3] = (-12.5, 30.25, 7.0)
    return affine


def saved(path, kind=nibabel.Nifti1Image, qform=None, sform=None, units="mm", **fields):
    image = kind(ARRAY.T, None)
    image.header.set_zooms((0.8, 0.7, 5.0))
    image.header.set_xyzt_units(units)
    image.set_qform(qform, 1 if qform is not None else 0)
    image.set_sform(sform, 2 if sform is not None else 0)
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def corners(affine) -> np.ndarray:
    return np.array([(affine @ [x, y, z, 1])[:3] for x in (0, 5) for y in (0, 4) for z in (0, 3)])


def assert_lies(volume, affine_ras):
    np.testing.assert_allclose(corners(volume.geometry.affine), corners(TO_LPS @ affine_ras), atol=1e-3)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("forms", ["qform", "sform", "both"])
def test_either_version_lies_where_nibabel_and_simpleitk_say_it_does(tmp_path, kind, suffix, forms):
    path = saved(tmp_path / f"a{suffix}", kind, **{form: turned() for form in ("qform", "sform") if forms in (form, "both")})
    volume = read(path)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert_lies(volume, nibabel.load(path).affine)
    assert volume.notes == ()
    if kind is nibabel.Nifti1Image:  # SimpleITK reads no NIfTI-2
        image = sitk.ReadImage(str(path))
        np.testing.assert_allclose(volume.geometry.corners()[-1], image.TransformIndexToPhysicalPoint((5, 4, 3)), atol=1e-3)


def test_where_the_forms_disagree_the_sform_counts_and_it_is_said(tmp_path):
    moved = turned()
    moved[0, 3] += 9
    volume = read(saved(tmp_path / "a.nii", qform=moved, sform=turned()))
    assert_lies(volume, turned())
    assert volume.notes == ("its qform and sform place the corners up to 9 mm apart; the sform counts",)
    assert describe(tmp_path / "a.nii")[0].notes == volume.notes


def test_a_sheared_sform_yields_to_a_good_qform_and_it_is_said(tmp_path):
    volume = read(saved(tmp_path / "a.nii", qform=turned(), sform=turned(shear=0.3)))
    assert_lies(volume, turned())
    assert volume.notes == ("its sform is sheared, so the qform counts",)


def test_a_sheared_sform_alone_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="the axes are sheared"):
        read(saved(tmp_path / "a.nii", sform=turned(shear=0.3)))


def test_a_file_without_orientation_is_taken_as_nibabel_does_and_left_and_right_are_said_to_be_unknown(tmp_path):
    path = saved(tmp_path / "a.nii")
    volume = read(path)
    assert_lies(volume, nibabel.load(path).affine)
    assert "left and right are not known" in volume.notes[0]


@pytest.mark.parametrize(("units", "factor", "said"), [("meter", 1000, "metres"), ("micron", 0.001, "micrometres")])
def test_other_units_become_millimetres_and_it_is_said(tmp_path, units, factor, said):
    volume = read(saved(tmp_path / "a.nii", sform=np.diag([0.8, 0.7, 5.0, 1.0]), units=units))
    assert volume.geometry.spacing == pytest.approx((5.0 * factor, 0.7 * factor, 0.8 * factor))
    assert volume.notes == (f"its millimetres were made from {said}",)


@pytest.mark.parametrize(("kind", "channels"), [("RGB", 3), ("RGBA", 4)])
def test_colours_become_channels(tmp_path, kind, channels):
    colours = np.random.default_rng(0).integers(0, 255, (6, 5, 4, channels)).astype(np.uint8)
    packed = colours.view([(letter, "u1") for letter in kind]).reshape(6, 5, 4)
    nibabel.save(nibabel.Nifti1Image(packed, np.eye(4)), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz").array, colours.transpose(3, 2, 1, 0))


def test_a_series_over_time_comes_back_as_one(tmp_path):
    array = np.arange(3 * 4 * 5 * 6, dtype=np.float32).reshape(3, 4, 5, 6)
    write(Volume(array, Geometry((4, 5, 6)), channel_names=("t 1", "t 2", "t 3")), tmp_path / "a.nii.gz")
    assert nibabel.load(tmp_path / "a.nii.gz").shape == (6, 5, 4, 3)
    told = describe(tmp_path / "a.nii.gz")[0]
    assert (told.timepoints, told.channels) == (3, 1)
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz").array, array)


def test_slope_and_intercept_give_fractions(tmp_path):
    image = nibabel.Nifti1Image(ARRAY.T, np.eye(4))
    image.header.set_slope_inter(0.5, -10.25)
    nibabel.save(image, tmp_path / "a.nii.gz")
    volume = read(tmp_path / "a.nii.gz")
    assert volume.array.dtype == np.float32
    assert describe(tmp_path / "a.nii.gz")[0].dtype == "float32"
    np.testing.assert_array_equal(volume.array, ARRAY * 0.5 - 10.25)


def test_names_colours_and_codes_survive_and_others_read_past_them(tmp_path):
    classes = (LabelClass(1, "Leber \"links\" ß", (0.25, 0.5, 1.0), Code("10200004", "SCT", "Liver")), *default_classes(["x", "Tumour"])[1:])
    labels = LabelMap((ARRAY % 3).astype(np.uint8), Geometry(ARRAY.shape, (5.0, 0.7, 0.8)), classes=classes)
    write(labels, tmp_path / "a.nii.gz")
    assert read_labels(tmp_path / "a.nii.gz").classes == classes
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, labels.array)
    assert json.loads(image.header.extensions[0].get_content())["napari-medseg"]["classes"][0]["code"]["meaning"] == "Liver"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii.gz"))), labels.array)


def test_class_names_that_make_no_sense_are_left_out_and_it_is_said(tmp_path):
    image = nibabel.Nifti1Image(ARRAY.T, np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"anything at all"))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b'{"napari-medseg": {"classes": [{"value": 900}]}}'))
    nibabel.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.notes[0].startswith("its class names were left out")


def test_an_axis_longer_than_nifti_1_can_count_makes_nifti_2(tmp_path):
    array = np.arange(40_000, dtype=np.uint16).reshape(1, 1, 40_000)
    write(Volume(array, Geometry(array.shape, (1.0, 1.0, 0.001))), tmp_path / "a.nii.gz")
    assert isinstance(nibabel.load(tmp_path / "a.nii.gz"), nibabel.Nifti2Image)
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz").array, array)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("named", ["a.hdr", "a.img"])
def test_header_and_voxels_in_two_files_open_by_either(tmp_path, kind, named):
    nibabel.save(kind(ARRAY.T, turned()), tmp_path / "a.hdr")
    volume = read(tmp_path / named)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert_lies(volume, nibabel.load(tmp_path / "a.hdr").affine)
    assert volume.source == tmp_path / named


def test_a_name_for_one_file_with_a_header_for_two_is_explained(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(ARRAY.T, np.eye(4)), tmp_path / "a.hdr")
    (tmp_path / "b.nii").write_bytes((tmp_path / "a.hdr").read_bytes() + bytes(500))
    with pytest.raises(UnreadableFileError, match=r"voxels lie in another file\. Name header and voxels \.hdr and \.img"):
        read(tmp_path / "b.nii")


def test_pieces_may_be_cut_anywhere_and_padding_may_follow(tmp_path, monkeypatch):
    write(Volume(ARRAY, Geometry(ARRAY.shape)), tmp_path / "a.nii")
    data = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data[:300]) + gzip.compress(b"") + gzip.compress(data[300:]) + bytes(7))
    for piece in (2, 3, 11):
        monkeypatch.setattr(packing, "PIECE", piece)
        np.testing.assert_array_equal(read(tmp_path / "b.nii.gz").array, ARRAY)
    (tmp_path / "b.nii.gz").write_bytes((tmp_path / "b.nii.gz").read_bytes()[:-11])
    with pytest.raises(UnreadableFileError, match=r"the end of its packed data is missing"):
        read(tmp_path / "b.nii.gz")
