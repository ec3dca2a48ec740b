"""Many pictures in one file: enhanced CT, MR and PET with their functional groups, SPECT, cine, and files without places."""

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import image, save
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io import describe, read

VOXELS = np.random.default_rng(2).integers(0, 4000, (12, 6, 7)).astype(np.uint16)
ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1", "PT": "1.2.840.10008.5.1.4.1.1.130"}
ALONG = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)


def item(**attributes):
    data = Dataset()
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    return data


def group(name, **attributes):
    data = Dataset()
    setattr(data, name, [item(**attributes)])
    return data


def merged(*groups):
    data = Dataset()
    for part in groups:
        data.update(part)
    return data


def enhanced(voxels, own, *, modality="CT", shared=(), **attributes):
    """A multi-frame file; `own(k)` gives the functional groups of picture k beside its position."""
    data = image(voxels[0], SOPClassUID=ENHANCED[modality], Modality=modality, NumberOfFrames=len(voxels), PixelData=voxels.tobytes(), PixelSpacing=None,
                 ImagePositionPatient=None, ImageOrientationPatient=None, RescaleSlope=None, RescaleIntercept=None, SliceThickness=None, **attributes)
    measures = group("PixelMeasuresSequence", PixelSpacing=[0.5, 0.6], SliceThickness=2.0)
    data.SharedFunctionalGroupsSequence = [merged(measures, group("PlaneOrientationSequence", ImageOrientationPatient=list(ALONG)), *shared)]
    data.PerFrameFunctionalGroupsSequence = [merged(*own(k)) for k in range(len(voxels))]
    return data


def at(height):
    return group("PlanePositionSequence", ImagePositionPatient=[10.0, 20.0, height])


HU = group("PixelValueTransformationSequence", RescaleIntercept=-1000, RescaleSlope=1, RescaleType="HU")


@pytest.mark.parametrize("syntax", ["", RLELossless])
def test_an_enhanced_ct_is_one_volume_sorted_by_place(tmp_path, syntax):
    order = np.random.default_rng(0).permutation(12)
    data = enhanced(VOXELS, lambda k: (at(2.5 * order[k]),), shared=(HU,))
    if syntax:
        data.compress(syntax)
    path = save(data, tmp_path / "ct.dcm")
    (told,), volume = describe(path), read(path)
    np.testing.assert_array_equal(volume.array, VOXELS[np.argsort(order)].astype(int) - 1000)
    assert (volume.units, volume.array.dtype, told.units) == ("HU", np.int16, "HU")
    assert volume.geometry.spacing == pytest.approx((2.5, 0.5, 0.6))
    assert volume.geometry.origin == (10.0, 20.0, 0.0)
    np.testing.assert_allclose(volume.geometry.matrix[:, 0], ALONG[:3])
    assert told.geometry == volume.geometry


def test_an_enhanced_file_lies_where_simpleitk_puts_it(tmp_path):
    path = save(enhanced(VOXELS, lambda k: (at(2.5 * k),), shared=(HU,)), tmp_path / "ct.dcm")
    ours, peer = read(path), sitk.ReadImage(str(path))
    corners = [[x, y, z] for z in (0, 11) for y in (0, 5) for x in (0, 6)]
    np.testing.assert_allclose(ours.geometry.corners(), [peer.TransformIndexToPhysicalPoint(corner) for corner in corners], atol=1e-3)
    np.testing.assert_array_equal(ours.array, sitk.GetArrayFromImage(peer))


def test_a_scale_of_its_own_for_each_picture_of_pet(tmp_path):
    def own(k):
        return at(3.0 * k), group("PixelValueTransformationSequence", RescaleIntercept=0, RescaleSlope=0.5 + k, RescaleType="US")

    volume = read(save(enhanced(VOXELS, own, modality="PT", Units="BQML"), tmp_path / "pet.dcm"))
    np.testing.assert_allclose(volume.array, VOXELS * (0.5 + np.arange(12))[:, None, None], rtol=1e-6)
    assert volume.units == "BQML"


def test_echoes_of_an_enhanced_mr_are_channels(tmp_path):
    def own(k):
        return at(3.0 * (k // 3)), group("MREchoSequence", EffectiveEchoTime=[2.0, 4.0, 6.5][k % 3])

    path = save(enhanced(VOXELS, own, modality="MR"), tmp_path / "mr.dcm")
    volume = read(path)
    assert volume.channel_names == ("TE 2 ms", "TE 4 ms", "TE 6.5 ms")
    np.testing.assert_array_equal(volume.array, VOXELS.reshape(4, 3, 6, 7).swapaxes(0, 1))
    assert describe(path)[0].channels == 3


def test_diffusion_directions_and_times_of_an_enhanced_mr(tmp_path):
    def own(k):
        b, way = [(0.0, [0, 1.0, 0]), (800.0, [1.0, 0, 0]), (800.0, [0, 1.0, 0])][k % 3]
        turn = merged(item(DiffusionBValue=b), group("DiffusionGradientDirectionSequence", DiffusionGradientOrientation=way))
        data = Dataset()
        data.MRDiffusionSequence = [turn]
        return at(3.0 * (k // 3)), data

    volume = read(save(enhanced(VOXELS, own, modality="MR"), tmp_path / "dwi.dcm"))
    assert volume.channel_names == ("b 0, direction 0.00 1.00 0.00", "b 800, direction 0.00 1.00 0.00", "b 800, direction 1.00 0.00 0.00")

    def timed(k):
        return at(3.0 * (k // 3)), group("FrameContentSequence", TemporalPositionIndex=k % 3 + 1, FrameAcquisitionDateTime=f"202003041011{2 * (k % 3):02d}.0")

    path = save(enhanced(VOXELS, timed, modality="MR"), tmp_path / "dce.dcm")
    assert read(path).channel_names == ("t 1 (0.0 s)", "t 2 (2.0 s)", "t 3 (4.0 s)")
    assert describe(path)[0].timepoints == 3


def test_two_stacks_in_one_file_are_two_series(tmp_path):
    def own(k):
        return at(2.0 * (k % 6) + 100.0 * (k // 6)), group("FrameContentSequence", StackID="12"[k // 6], InStackPositionNumber=k % 6 + 1)

    path = save(enhanced(VOXELS, own, modality="MR"), tmp_path / "discs.dcm")
    listed = describe(path)
    assert [(s.shape_zyx, s.readable) for s in listed] == [((6, 6, 7), True)] * 2
    found = [read(path, series=s.series) for s in listed]
    assert sorted(v.geometry.origin[2] for v in found) == [0.0, 100.0]
    np.testing.assert_array_equal(np.concatenate(sorted((v.array for v in found), key=lambda a: (a != VOXELS[:6]).any())), VOXELS)


def test_a_parametric_map_of_highdicom_is_read(tmp_path):
    """Written by another library from the standard's text: floats, functional groups of its own choice."""
    source = [image(plane, (0, 0, 3.0 * k), (1, 0, 0, 0, 1, 0), FrameOfReferenceUID="1.2.5", StudyTime="", AccessionNumber="", StudyID="", PatientSex="",
                    ReferringPhysicianName="", Manufacturer="x", PatientBirthDate="", PositionReferenceIndicator="") for k, plane in enumerate(VOXELS)]
    from highdicom.pm import ParametricMap, RealWorldValueMapping

    unit = highdicom.sr.CodedConcept("1", "UCUM", "no units")
    values = np.random.default_rng(0).random((12, 6, 7)).astype(np.float32)
    mapping = RealWorldValueMapping(lut_label="1", lut_explanation="x", unit=unit, value_range=(0.0, 1.0), slope=1.0, intercept=0.0)
    made = ParametricMap(
        source, values, "1.2.77", 8, "1.2.77.1", 1, "x", "y", "1", "2", contains_recognizable_visual_features=False, real_world_value_mappings=[mapping],
        window_center=0.5, window_width=1.0,
    )
    made.save_as(tmp_path / "map.dcm")
    volume = read(tmp_path / "map.dcm")
    np.testing.assert_array_equal(volume.array, values)
    assert volume.geometry.spacing == pytest.approx((3.0, 0.7, 0.8))


def test_reconstructed_spect_lies_along_its_steps(tmp_path):
    detector = item(ImagePositionPatient=[5.0, 6.0, 7.0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    data = image(VOXELS[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.20", Modality="NM", NumberOfFrames=12, PixelData=VOXELS.tobytes(), ImagePositionPatient=None,
                 ImageOrientationPatient=None, SpacingBetweenSlices=-4.0, RescaleSlope=None, RescaleIntercept=None,
                 ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"], DetectorInformationSequence=[detector])
    volume = read(save(data, tmp_path / "spect.dcm"))
    np.testing.assert_array_equal(volume.array, VOXELS[::-1])
    assert (volume.geometry.origin, volume.geometry.spacing[0]) == ((5.0, 6.0, 7.0 - 44.0), 4.0)


def test_pictures_without_places_are_stacked_and_said(tmp_path):
    data = image(VOXELS[0], Modality="US", NumberOfFrames=12, PixelData=VOXELS.tobytes(), ImagePositionPatient=None, ImageOrientationPatient=None,
                 SliceThickness=None, RescaleSlope=None, RescaleIntercept=None)
    volume = read(save(data, tmp_path / "cine.dcm"))
    np.testing.assert_array_equal(volume.array, VOXELS)
    assert "12 pictures give no positions: they are stacked in their order, 1 mm apart, which is no measure" in volume.notes[0]


def test_two_cine_files_of_one_series_stay_apart(tmp_path):
    for k in range(2):
        save(image(VOXELS[0], Modality="US", NumberOfFrames=12, PixelData=VOXELS.tobytes(), ImagePositionPatient=None, ImageOrientationPatient=None),
             tmp_path / "study" / f"{k}.dcm")
    assert [s.shape_zyx for s in describe(tmp_path / "study")] == [(12, 6, 7)] * 2


def test_fewer_groups_than_pictures_is_refused(tmp_path):
    data = enhanced(VOXELS, lambda k: (at(2.5 * k),))
    data.PerFrameFunctionalGroupsSequence = data.PerFrameFunctionalGroupsSequence[:5]
    with pytest.raises(UnreadableFileError, match="describes 5 of its 12 pictures"):
        read(save(data, tmp_path / "ct.dcm"))


def test_a_slide_in_tiles_is_no_volume(tmp_path):
    with pytest.raises(UnreadableFileError, match="whole slide"):
        read(save(image(VOXELS[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6"), tmp_path / "slide.dcm"))


def test_thousands_of_pictures_in_one_file_are_one_volume(tmp_path):
    voxels = np.zeros((3000, 2, 2), np.uint16)
    data = enhanced(voxels, lambda k: (at(0.5 * k),), shared=(HU,))
    pydicom.dcmwrite(tmp_path / "long.dcm", data, enforce_file_format=True)
    assert describe(tmp_path / "long.dcm")[0].shape_zyx == (3000, 2, 2)
