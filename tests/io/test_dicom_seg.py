"""DICOM segmentations: written for the series they were drawn on, read by others, and read back to the same voxels, names and colours."""

import shutil
import subprocess
from dataclasses import replace

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_scans import SECRETS, save_enhanced, save_scan
from pydicom.sr.codedict import codes
from pydicom.uid import JPEGLSLossless, RLELossless, generate_uid
from scipy.spatial.transform import Rotation

from napari_medseg.annotation import Code, LabelClass, LabelMap
from napari_medseg.errors import (
    GridMismatchError,
    InvalidInputError,
    MissingFileError,
    NoLabelsError,
    UnreadableFileError,
    UnwritableFileError,
)
from napari_medseg.io import describe, read, read_labels, write
from napari_medseg.volume import Geometry, axis_map, orient

SHAPE = (6, 10, 12)
SCAN = np.random.default_rng(3).integers(0, 2000, SHAPE).astype(np.int16)
OBLIQUE = Rotation.from_euler("zyx", (30, 20, 10), degrees=True).as_matrix()
SAGITTAL = np.eye(3)[:, [1, 2, 0]]
NEOPLASM = Code("108369006", "SCT", "Neoplasm")
CLASSES = (
    LabelClass(2, "Tumour", (0.902, 0.624, 0.0), NEOPLASM), LabelClass(5, "Liver", (0.0, 0.62, 0.451), Code("10200004", "SCT", "Liver")),
    LabelClass(9, "Nothing drawn", (1.0, 1.0, 1.0)),
)


def grid(direction=None, spacing=(2.5, 0.7, 0.8)):
    matrix = np.eye(3) if direction is None else direction
    return Geometry(SHAPE, spacing, (-40.0, 20.0, 100.0), tuple(matrix.ravel()))


def drawn(geometry, source=None, classes=CLASSES):
    """Two classes in some slices; the first and the last slice stay empty."""
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 2:7, 3:9] = 2
    array[3:5, 5:9, 1:5] = 5
    array[2, 0, 11] = 5
    return LabelMap(array, geometry, source=source, classes=classes)


@pytest.fixture
def scan(tmp_path):
    save_scan(tmp_path / "scan", SCAN, grid())
    return read(tmp_path / "scan")


def colours(classes):
    return np.array([c.colour for c in classes])


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
@pytest.mark.parametrize("direction", [None, OBLIQUE, SAGITTAL, np.diag([-1.0, -1.0, 1.0])], ids=["axial", "oblique", "sagittal", "turned"])
@pytest.mark.parametrize("backwards", [False, True])
def test_labels_come_back_with_their_values_names_colours_codes_and_empty_slices(tmp_path, kind, direction, backwards):
    save_scan(tmp_path / "scan", SCAN, grid(direction), backwards=backwards)
    scan = read(tmp_path / "scan")
    labels = drawn(scan.geometry, scan.source)
    write(labels, tmp_path / "labels.seg.dcm", kind=kind)
    for back in (read_labels(tmp_path / "labels.seg.dcm", like=scan.geometry), read(tmp_path / "labels.seg.dcm")):
        np.testing.assert_array_equal(back.array, labels.array)
        assert back.geometry.matches(scan.geometry)
        assert [(c.value, c.name, c.code) for c in back.classes] == [(c.value, c.name, c.code) for c in CLASSES]
        np.testing.assert_allclose(colours(back.classes), colours(CLASSES), atol=0.6 / 255)
    (told,) = describe(tmp_path / "labels.seg.dcm")
    assert told.geometry.matches(scan.geometry)
    assert (told.modality, told.notes) == ("SEG", (f"3 segments ({kind.upper()}): Tumour, Liver, Nothing drawn",))


@pytest.mark.parametrize("axes", ["LPI", "RAS", "SAL"])
def test_labels_in_another_voxel_order_than_the_series_find_its_images(tmp_path, scan, axes):
    labels = drawn(scan.geometry, scan.source)
    write(orient(labels, axes), tmp_path / "labels.seg.dcm")
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.seg.dcm", like=scan.geometry).array, labels.array)
    turned = axis_map(scan.geometry, axes).geometry(scan.geometry)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.seg.dcm", like=turned).array, orient(labels, axes).array)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_an_enhanced_scan_is_referred_to_by_its_frames(tmp_path, kind, times):
    path = save_enhanced(tmp_path / "scan.dcm", SCAN, grid(OBLIQUE), times=times)
    labels = drawn(grid(OBLIQUE))
    write(labels, tmp_path / "labels.seg.dcm", source=path, kind=kind)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.seg.dcm", like=labels.geometry).array, labels.array)
    made = pydicom.dcmread(tmp_path / "labels.seg.dcm")
    assert {str(i.ReferencedSOPInstanceUID) for i in made.ReferencedSeriesSequence[0].ReferencedInstanceSequence} == {pydicom.dcmread(path).SOPInstanceUID}


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_highdicom_finds_each_segment_on_the_images_it_was_drawn_on(tmp_path, scan, kind):
    labels = drawn(scan.geometry, scan.source)
    write(labels, tmp_path / "labels.seg.dcm", kind=kind)
    made = highdicom.seg.segread(tmp_path / "labels.seg.dcm")
    assert made.segmentation_type.value == kind.upper()
    numbers = {"binary": {1: 2, 2: 5, 3: 9}, "labelmap": {2: 2, 5: 5, 9: 9}}[kind]
    assert made.segment_numbers == list(numbers)
    images = sorted((pydicom.dcmread(p) for p in (tmp_path / "scan").iterdir()), key=lambda image: image.ImagePositionPatient[2])
    found = made.get_pixels_by_source_instance([image.SOPInstanceUID for image in images], combine_segments=True, assert_missing_frames_are_empty=False)
    table = np.zeros(256, np.uint8)
    table[list(numbers)] = list(numbers.values())
    np.testing.assert_array_equal(table[found], labels.array)
    first = made.get_segment_description(next(iter(numbers)))
    assert (first.segment_label, first.segmented_property_type.value) == ("Tumour", NEOPLASM.value)
    assert first.segmented_property_category == codes.SCT.MorphologicallyAbnormalStructure
    assert made.get_segment_description(next(k for k, v in numbers.items() if v == 5)).segmented_property_category == codes.SCT.AnatomicalStructure
    assert (made.Manufacturer, made.SegmentSequence[-1].SegmentAlgorithmType) == ("napari-medseg", "SEMIAUTOMATIC")
    assert made.NumberOfFrames == {"binary": 18, "labelmap": 6}[kind]


def test_simpleitk_reads_the_same_bits_in_the_order_of_the_frames(tmp_path, scan):
    labels = drawn(scan.geometry, scan.source, CLASSES[:1])
    labels.array[labels.array == 5] = 0
    write(labels, tmp_path / "labels.seg.dcm")
    frames = pydicom.dcmread(tmp_path / "labels.seg.dcm").PerFrameFunctionalGroupsSequence
    slices = [round(scan.geometry.voxel(f.PlanePositionSequence[0].ImagePositionPatient)[0]) for f in frames]
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "labels.seg.dcm")))
    np.testing.assert_array_equal(found > 0, labels.array[slices] == 2)


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_dcmtk_takes_the_file(tmp_path, scan, kind):
    if shutil.which("dcmdump") is None:
        pytest.skip("dcmtk is not installed")
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.seg.dcm", kind=kind)
    assert subprocess.run(["dcmftest", tmp_path / "labels.seg.dcm"], capture_output=True, check=True).stdout.startswith(b"yes")
    told = subprocess.run(["dcmdump", "-Un", "+P", "SegmentLabel", tmp_path / "labels.seg.dcm"], capture_output=True, check=True)
    assert [name in told.stdout for name in (b"Tumour", b"Liver", b"Nothing drawn")] == [True] * 3
    assert not told.stderr


def test_the_patient_and_the_study_of_the_scan_are_copied(tmp_path, scan):
    write(drawn(scan.geometry, scan.source, (*CLASSES[:2], LabelClass(9, "Größe", (0, 0, 0)))), tmp_path / "labels.seg.dcm")
    made, header = pydicom.dcmread(tmp_path / "labels.seg.dcm"), pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert str(made[name].value) == str(header[name].value)
    assert str(made.PatientName) == "Müller^Änne"
    assert made.SegmentSequence[2].SegmentLabel == "Größe"
    assert made.SeriesInstanceUID != header.SeriesInstanceUID
    assert "ContentCreatorName" not in made or not made.ContentCreatorName
    assert {str(i.ReferencedSOPInstanceUID) for i in made.ReferencedSeriesSequence[0].ReferencedInstanceSequence} == {
        str(pydicom.dcmread(p).SOPInstanceUID) for p in (tmp_path / "scan").iterdir()
    }


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_an_anonymised_file_tells_nothing_of_the_patient_and_keeps_its_references(tmp_path, scan, kind):
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.seg.dcm", anonymise=True, kind=kind)
    raw = (tmp_path / "labels.seg.dcm").read_bytes()
    header = pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    uids = [str(header[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")]
    for secret in (*(v for k, v in SECRETS.items() if k not in ("PatientSex", "PatientWeight")), *uids, "secret private", "Secret", "SECRET"):
        assert secret.encode("latin-1") not in raw
        assert secret.encode() not in raw
    made = pydicom.dcmread(tmp_path / "labels.seg.dcm")
    dates = {str(e.value) for e in made.iterall() if e.VR in ("DA", "DT", "TM") and e.value}
    assert dates <= {"19000101", "000000"}
    assert made.PatientIdentityRemoved == "YES"
    assert str(made.PatientName).startswith("ANON-")
    assert not made.PatientSex
    referred = {str(i.ReferencedSOPInstanceUID) for i in made.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert len(referred) == SHAPE[0]
    assert referred == {str(i.ReferencedSOPInstanceUID) for i in made.SourceImageSequence}
    write(drawn(scan.geometry, scan.source), tmp_path / "again.seg.dcm", anonymise=True)
    again = pydicom.dcmread(tmp_path / "again.seg.dcm")
    assert (again.StudyInstanceUID, again.FrameOfReferenceUID, again.PatientID) == (made.StudyInstanceUID, made.FrameOfReferenceUID, made.PatientID)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.seg.dcm", like=scan.geometry).array, drawn(scan.geometry).array)


def test_a_scan_whose_headers_lack_what_the_standard_wants_can_still_be_labelled(tmp_path):
    for path in save_scan(tmp_path / "scan", SCAN, grid()):
        data = pydicom.dcmread(path)
        for name in ("FrameOfReferenceUID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyTime", "PositionReferenceIndicator"):
            delattr(data, name)
        data.save_as(path)
    labels = drawn(grid())
    write(labels, tmp_path / "labels.seg.dcm", source=tmp_path / "scan")
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.seg.dcm", like=grid()).array, labels.array)


@pytest.mark.parametrize("suffix", [".seg.dcm", ".rtstruct.dcm"])
def test_on_a_series_whose_slices_lie_not_quite_evenly_labels_keep_the_grid_they_were_drawn_on(tmp_path, suffix):
    for k, path in enumerate(save_scan(tmp_path / "scan", SCAN, grid())):
        data = pydicom.dcmread(path)
        data.ImagePositionPatient = [-40.0 + 0.04 * k, 20.0, 100.0 + 2.5 * k + (0.08 if 0 < k < 5 else 0.0) * (-1) ** k]
        data.save_as(path)
    scan = read(tmp_path / "scan")
    labels = drawn(scan.geometry, scan.source)
    write(labels, tmp_path / f"labels{suffix}")
    back = read_labels(tmp_path / f"labels{suffix}", like=scan.geometry)
    np.testing.assert_array_equal(back.array, labels.array)
    assert back.notes == ()


@pytest.mark.parametrize("suffix", [".seg.dcm", ".rtstruct.dcm"])
def test_names_that_dicom_cannot_hold_become_such_as_it_can(tmp_path, scan, suffix):
    write(drawn(scan.geometry, scan.source, (LabelClass(2, "left\\right\nlung", (0, 0, 0)), LabelClass(5, "x" * 70, (0, 0, 0)))), tmp_path / f"labels{suffix}")
    assert [c.name for c in read_labels(tmp_path / f"labels{suffix}", like=scan.geometry).classes] == ["left/right lung", "x" * 64]


def test_values_without_a_class_get_a_name_and_keep_their_value(tmp_path, scan):
    array = np.zeros(SHAPE, np.uint16)
    array[1, 2], array[2, 3], array[3, 4] = 7, 255, 4000
    write(LabelMap(array, scan.geometry, source=scan.source), tmp_path / "labels.seg.dcm")
    back = read_labels(tmp_path / "labels.seg.dcm", like=scan.geometry)
    np.testing.assert_array_equal(back.array, array)
    assert [(c.value, c.name) for c in back.classes] == [(7, "Class 7")]
    write(LabelMap(array, scan.geometry, source=scan.source), tmp_path / "wide.seg.dcm", kind="labelmap")
    np.testing.assert_array_equal(read_labels(tmp_path / "wide.seg.dcm", like=scan.geometry).array, array)


def test_a_plain_dcm_name_is_a_segmentation(tmp_path, scan):
    labels = drawn(scan.geometry)
    write(labels, tmp_path / "labels.dcm", source=scan)
    assert pydicom.dcmread(tmp_path / "labels.dcm").Modality == "SEG"
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.dcm", like=scan.geometry).array, labels.array)
    assert describe(tmp_path / "labels.dcm")[0].modality == "SEG"


def test_of_several_series_the_one_that_the_labels_lie_on_is_found(tmp_path, scan):
    save_scan(tmp_path / "scan" / "other", SCAN[:, :8], replace(grid(), shape=(6, 8, 12)), uid=generate_uid(), number=4)
    write(drawn(scan.geometry), tmp_path / "labels.seg.dcm", source=tmp_path / "scan")
    assert pydicom.dcmread(tmp_path / "labels.seg.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID == scan.series


def test_of_two_series_on_one_grid_one_must_be_named(tmp_path, scan):
    second = generate_uid()
    save_scan(tmp_path / "scan" / "other", SCAN, grid(), uid=second, number=4)
    with pytest.raises(InvalidInputError, match=r"the labels lie on 2 series"):
        write(drawn(scan.geometry), tmp_path / "labels.seg.dcm", source=tmp_path / "scan")
    for series in (second, "4"):
        write(drawn(scan.geometry), tmp_path / "labels.seg.dcm", source=tmp_path / "scan", series=series)
        assert pydicom.dcmread(tmp_path / "labels.seg.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID == second
    with pytest.raises(InvalidInputError, match="no series fits 'Head'"):
        write(drawn(scan.geometry), tmp_path / "labels.seg.dcm", source=tmp_path / "scan", series="Head")


def test_a_scan_that_is_no_dicom_or_not_there_is_said_and_nothing_is_written(tmp_path, scan):
    write(scan, tmp_path / "scan.nii.gz")
    labels = drawn(scan.geometry)
    with pytest.raises(UnwritableFileError, match=r"labels\.seg\.dcm: refers to the DICOM images of the scan, and scan\.nii\.gz holds none.*--like FOLDER"):
        write(labels, tmp_path / "labels.seg.dcm", source=tmp_path / "scan.nii.gz")
    with pytest.raises(UnwritableFileError, match=r"none was named.*--like SCAN"):
        write(labels, tmp_path / "labels.seg.dcm")
    with pytest.raises(MissingFileError, match="no longer there"):
        write(labels, tmp_path / "labels.seg.dcm", source=tmp_path / "gone")
    assert not list(tmp_path.glob("*.seg.dcm"))


def test_labels_of_another_grid_are_refused(tmp_path, scan):
    labels = drawn(grid(spacing=(2.5, 0.7, 0.9)))
    with pytest.raises(GridMismatchError, match=r"lie on none of the 1 DICOM series of scan"):
        write(labels, tmp_path / "labels.seg.dcm", source=scan)
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.seg.dcm")
    with pytest.raises(GridMismatchError, match="frame 1 lies on another grid"):
        read_labels(tmp_path / "labels.seg.dcm", like=replace(scan.geometry, origin=(-40.0, 20.02, 100.0)))


def test_labels_where_the_series_has_no_image_are_refused_and_empty_slices_may_lack_one(tmp_path, scan):
    paths = {round(float(pydicom.dcmread(p).ImagePositionPatient[2])): p for p in (tmp_path / "scan").iterdir()}
    paths[100].unlink()
    labels = drawn(scan.geometry, scan.source)
    write(labels, tmp_path / "labels.seg.dcm")
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.seg.dcm", like=scan.geometry).array, labels.array)
    labels.array[0, 3, 3] = 2
    with pytest.raises(GridMismatchError, match="1 slices with labels have no image"):
        write(labels, tmp_path / "labels.seg.dcm")


def test_a_map_without_any_class_and_an_image_are_refused(tmp_path, scan):
    with pytest.raises(NoLabelsError, match="no class to write"):
        write(LabelMap(np.zeros(SHAPE, np.uint8), scan.geometry, source=scan.source), tmp_path / "labels.seg.dcm")
    with pytest.raises(InvalidInputError, match="is no label map"):
        write(scan, tmp_path / "labels.seg.dcm")


# Written by others


def others(tmp_path, pixels, kind, *, planes=slice(None), **options):
    """A segmentation as highdicom's users write it: three segments named by plain codes, no colours."""
    images = [pydicom.dcmread(p) for p in sorted((tmp_path / "scan").iterdir())][planes]
    segments = [
        highdicom.seg.SegmentDescription(k, f"Part {k}", codes.SCT.AnatomicalStructure, codes.SCT.Liver, "MANUAL") for k in (1, 2, 3)
    ]
    made = highdicom.seg.Segmentation(
        images, pixels, kind, segments, generate_uid(), 7, generate_uid(), 1, "Others", "Model", "1", "0", series_description="Theirs", **options
    )
    made.save_as(tmp_path / "theirs.seg.dcm")
    return tmp_path / "theirs.seg.dcm"


def overlapping():
    masks = np.zeros((*SHAPE, 3), np.uint8)
    masks[1:4, 2:7, 3:9, 0] = 1
    masks[2:4, 5:9, 5:10, 1] = 1
    return masks


def test_where_segments_of_others_overlap_the_later_has_the_voxel_and_it_is_said(tmp_path, scan):
    masks = overlapping()
    path = others(tmp_path, masks, "BINARY", omit_empty_frames=True)
    back = read_labels(path, like=scan.geometry)
    wanted = np.where(masks[..., 1] > 0, 2, masks[..., 0])
    np.testing.assert_array_equal(back.array, wanted)
    both = int((masks.sum(-1) == 2).sum())
    assert back.notes == (f"{both} voxels belong to several segments; the later one has them",)
    assert [(c.value, c.name, c.code.value) for c in back.classes] == [(1, "Part 1", "10200004"), (2, "Part 2", "10200004"), (3, "Part 3", "10200004")]
    own = read(path)
    assert (own.geometry.shape, own.name) == ((3, 10, 12), "Theirs")
    np.testing.assert_array_equal(own.array, wanted[1:4])


def test_frames_far_apart_keep_their_distance(tmp_path, scan):
    masks = np.zeros((*SHAPE, 3), np.uint8)
    masks[1, 2:7, 3:9, 0] = masks[4, 2:7, 3:9, 0] = 1
    own = read(others(tmp_path, masks, "BINARY", omit_empty_frames=True))
    np.testing.assert_array_equal(own.array, masks[1:5, ..., 0])
    assert own.geometry.matches(scan.geometry.cropped((slice(1, 5), slice(None), slice(None))))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", RLELossless, JPEGLSLossless])
def test_fractions_of_a_half_and_more_are_taken_and_it_is_said(tmp_path, scan, syntax):
    fractions = np.zeros((*SHAPE, 3), np.float32)
    fractions[1:3, 2:5, 3:6, 0] = 0.4
    fractions[1:3, 5:7, 3:6, 1] = 0.6
    back = read_labels(others(tmp_path, fractions, "FRACTIONAL", transfer_syntax_uid=syntax), like=scan.geometry)
    np.testing.assert_array_equal(back.array, np.where(fractions[..., 1] > 0, 2, 0))
    assert back.notes == ("its segments are fractions; voxels with a half or more of one were taken",)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", RLELossless, JPEGLSLossless])
def test_label_maps_of_others_are_read_in_any_packing(tmp_path, scan, syntax):
    array = drawn(scan.geometry).array // 2
    back = read_labels(others(tmp_path, array, "LABELMAP", transfer_syntax_uid=syntax), like=scan.geometry)
    np.testing.assert_array_equal(back.array, array)


def test_a_segmentation_of_some_slices_falls_into_its_place(tmp_path, scan):
    array = drawn(scan.geometry).array // 2
    path = others(tmp_path, array[2:5], "LABELMAP", planes=slice(2, 5))
    back = read_labels(path, like=scan.geometry)
    np.testing.assert_array_equal(back.array[2:5], array[2:5])
    assert not back.array[:2].any()
    assert not back.array[5:].any()


def test_a_file_of_several_stacks_lists_them_and_gives_each(tmp_path, scan):
    write(drawn(scan.geometry, scan.source, CLASSES[:2]), tmp_path / "labels.seg.dcm")
    made = pydicom.dcmread(tmp_path / "labels.seg.dcm")
    plane = made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    del made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for k, item in enumerate(made.PerFrameFunctionalGroupsSequence):
        item.PlaneOrientationSequence = [pydicom.Dataset() for _ in plane]
        item.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if k < 6 else [0, 1, 0, 1, 0, 0]
    made.save_as(tmp_path / "labels.seg.dcm")
    assert [(one.series, one.shape_zyx) for one in describe(tmp_path / "labels.seg.dcm")] == [("1", SHAPE), ("2", SHAPE)]
    with pytest.raises(InvalidInputError, match="holds 2 stacks of planes: 1: 6 frames"):
        read(tmp_path / "labels.seg.dcm")
    assert set(np.unique(read(tmp_path / "labels.seg.dcm", series="1").array)) == {0, 2}


# Damaged


def spoilt(tmp_path, scan, change, kind="binary"):
    path = tmp_path / "labels.seg.dcm"
    write(drawn(scan.geometry, scan.source), path, kind=kind)
    made = pydicom.dcmread(path)
    change(made)
    made.save_as(path)
    return path


@pytest.mark.parametrize(("change", "told"), [
    (lambda d: setattr(d, "Rows", 60000), "holds fewer pixels"),
    (lambda d: setattr(d, "NumberOfFrames", 2_000_000_000), "says that it holds 2000000000 frames and describes 18"),
    (lambda d: delattr(d, "PerFrameFunctionalGroupsSequence"), "describes 0"),
    (lambda d: delattr(d, "SegmentSequence"), "without segments"),
    (lambda d: delattr(d, "PixelData"), "holds fewer pixels"),
    (lambda d: setattr(d, "PixelData", d.PixelData[:20]), "holds fewer pixels"),
    (lambda d: delattr(d.PerFrameFunctionalGroupsSequence[3], "PlanePositionSequence"), "without a place in the patient"),
    (lambda d: delattr(d.PerFrameFunctionalGroupsSequence[3], "SegmentIdentificationSequence"), "frame 4 is of no segment"),
    (lambda d: setattr(d.PerFrameFunctionalGroupsSequence[9].SegmentIdentificationSequence[0], "ReferencedSegmentNumber", 77), "of segment 77"),
    (lambda d: setattr(d.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0], "PixelSpacing", [0, 1]), "a place that is no number"),
    (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), "is no DICOM segmentation"),
])
def test_a_header_that_makes_no_sense_is_said_before_anything_is_allocated(tmp_path, scan, change, told):
    path = spoilt(tmp_path, scan, change)
    with pytest.raises(UnreadableFileError, match=rf"labels\.seg\.dcm: .*{told}"):
        read(path)


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_a_file_cut_short_anywhere_is_an_error_that_names_it(tmp_path, scan, kind):
    path = tmp_path / "labels.seg.dcm"
    write(drawn(scan.geometry, scan.source), path, kind=kind)
    whole = path.read_bytes()
    for size in np.linspace(1, len(whole) - 60, 40).astype(int):
        path.write_bytes(whole[:size])
        with pytest.raises(UnreadableFileError, match=r"labels\.seg\.dcm: "):
            read(path)


def test_a_series_whose_uid_is_another_s_beginning_is_told_from_it(tmp_path):
    for uid in ("1.2.3.1", "1.2.3.10"):
        save_scan(tmp_path / "scans" / uid, SCAN, grid(), uid=uid)
    write(drawn(grid()), tmp_path / "mask.seg.dcm", source=tmp_path / "scans", series="1.2.3.10")
    told = pydicom.dcmread(tmp_path / "mask.seg.dcm")
    assert told.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3.10"
