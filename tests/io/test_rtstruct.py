"""Structure sets: outlines in mm on the slices they were drawn on, and filled again to the same voxels."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path as File

import numpy as np
import pydicom
import pytest
from dicom_scans import SECRETS, save_enhanced, save_scan
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path
from pydicom.uid import generate_uid
from scipy.spatial.transform import Rotation

from napari_medseg.annotation import Code, LabelClass, LabelMap
from napari_medseg.errors import GridMismatchError, NoLabelsError, UnreadableFileError, UnwritableFileError
from napari_medseg.io import describe, read, read_labels, write
from napari_medseg.io.dicomlabels.contours import filled, outlines
from napari_medseg.volume import Geometry, orient

SAMPLES = File(__file__).parents[2] / "sample_data"
SHAPE = (6, 14, 16)
SCAN = np.random.default_rng(3).integers(0, 2000, SHAPE).astype(np.int16)
OBLIQUE = Rotation.from_euler("zyx", (30, 20, 10), degrees=True).as_matrix()
CORONAL = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]).T
CLASSES = (
    LabelClass(3, "Tumour", (0.902, 0.624, 0.0), Code("108369006", "SCT", "Neoplasm")), LabelClass(8, "Größe", (0.0, 0.62, 0.451)),
    LabelClass(20, "Nothing drawn", (1.0, 1.0, 1.0)),
)


def grid(direction=None, spacing=(2.5, 0.7, 0.9)):
    matrix = np.eye(3) if direction is None else direction
    return Geometry(SHAPE, spacing, (-40.0, 20.0, 100.0), tuple(matrix.ravel()))


def drawn(geometry, source=None, classes=CLASSES):
    """A ring with an island in it, one that touches the border, a line, diagonals and single voxels."""
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, 2:11, 3:12] = 3
    array[1:3, 4:9, 5:10] = 0
    array[1:3, 6, 7] = 3
    array[2, 3, 4] = 0
    array[3, 7, 2:14] = 8
    array[4, np.arange(10), np.arange(10)] = 3
    array[4, 12, 14] = array[5, 0, 0] = array[5, 13, 15] = 8
    return LabelMap(array, geometry, source=source, classes=classes)


@pytest.fixture
def scan(tmp_path):
    save_scan(tmp_path / "scan", SCAN, grid())
    return read(tmp_path / "scan")


def series_of(folder, name):
    """A sample scan as a DICOM series, and its tumour on that grid."""
    image, label = {"lung2": ("lung2_crop_ct", "lung2_crop_tumour"), "brain1": ("brain1_t1gd", "brain1_tumour")}[name]
    scan, labels = (orient(read(SAMPLES / f"{file}.nii.gz"), "LPS") for file in (image, label))
    save_scan(folder, np.clip(scan.array + 1024.0, 0, 4095), scan.geometry)
    scan = read(folder)
    return LabelMap(labels.array.astype(np.uint8), scan.geometry, source=scan.source, series=scan.series, classes=(LabelClass(1, "Tumour", (1, 0, 0)),))


@pytest.mark.parametrize("name", ["lung2", "brain1"])
def test_the_sample_tumours_come_back_voxel_for_voxel(tmp_path, name):
    labels = series_of(tmp_path / "scan", name)
    write(labels, tmp_path / "tumour.rtstruct.dcm")
    back = read_labels(tmp_path / "tumour.rtstruct.dcm", like=labels.geometry)
    np.testing.assert_array_equal(back.array, labels.array)


@pytest.mark.parametrize("name", ["lung2", "brain1"])
def test_the_outlines_of_the_sample_tumours_lie_within_a_voxel_corner_of_their_voxels(tmp_path, name):
    labels = series_of(tmp_path / "scan", name)
    write(labels, tmp_path / "tumour.rtstruct.dcm")
    (structure,) = pydicom.dcmread(tmp_path / "tumour.rtstruct.dcm").ROIContourSequence
    points = np.concatenate([np.reshape(np.array(c.ContourData, float), (-1, 3)) for c in structure.ContourSequence])
    inside = labels.geometry.world(np.argwhere(labels.array))
    nearest = np.array([np.linalg.norm(inside - point, axis=1).min() for point in points[:: max(1, len(points) // 200)]])
    assert nearest.max() <= np.hypot(*labels.geometry.spacing[1:]) / 2 + 1e-4


@pytest.mark.parametrize("direction", [None, OBLIQUE, CORONAL, np.diag([-1.0, 1.0, -1.0])], ids=["axial", "oblique", "coronal", "turned"])
@pytest.mark.parametrize("backwards", [False, True])
def test_rings_islands_lines_and_single_voxels_survive_with_names_colours_and_codes(tmp_path, direction, backwards):
    save_scan(tmp_path / "scan", SCAN, grid(direction), backwards=backwards)
    scan = read(tmp_path / "scan")
    labels = drawn(scan.geometry, scan.source)
    write(labels, tmp_path / "labels.rtstruct.dcm")
    back = read_labels(tmp_path / "labels.rtstruct.dcm", like=scan.geometry)
    np.testing.assert_array_equal(back.array, labels.array)
    assert [(c.value, c.name, c.code) for c in back.classes] == [(c.value, c.name, c.code) for c in CLASSES]
    np.testing.assert_allclose([c.colour for c in back.classes], [c.colour for c in CLASSES], atol=0.6 / 255)
    assert back.notes == ()


@pytest.mark.parametrize("axes", ["LPI", "RAS", "SAL"])
def test_labels_in_another_voxel_order_than_the_series_find_its_slices(tmp_path, scan, axes):
    labels = drawn(scan.geometry, scan.source)
    turned = orient(labels, axes)
    write(turned, tmp_path / "labels.rtstruct.dcm")
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.rtstruct.dcm", like=scan.geometry).array, labels.array)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.rtstruct.dcm", like=turned.geometry).array, turned.array)


def test_an_enhanced_scan_is_referred_to_by_its_frames(tmp_path):
    path = save_enhanced(tmp_path / "scan.dcm", SCAN, grid(OBLIQUE))
    labels = drawn(grid(OBLIQUE))
    write(labels, tmp_path / "labels.rtstruct.dcm", source=path)
    made = pydicom.dcmread(tmp_path / "labels.rtstruct.dcm")
    places = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    for contour in made.ROIContourSequence[0].ContourSequence:
        frame = places[contour.ContourImageSequence[0].ReferencedFrameNumber - 1].PlanePositionSequence[0]
        heights = (np.reshape(np.array(contour.ContourData, float), (-1, 3)) - np.array(frame.ImagePositionPatient, float)) @ OBLIQUE[:, 2]
        assert np.abs(heights).max() < 1e-3
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.rtstruct.dcm", like=labels.geometry).array, labels.array)


def test_each_outline_lies_in_the_image_it_names(tmp_path):
    save_scan(tmp_path / "scan", SCAN, grid(OBLIQUE), backwards=True)
    scan = read(tmp_path / "scan")
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.rtstruct.dcm")
    images = {h.SOPInstanceUID: h for p in (tmp_path / "scan").iterdir() for h in [pydicom.dcmread(p)]}
    made = pydicom.dcmread(tmp_path / "labels.rtstruct.dcm")
    looked = 0
    for structure in made.ROIContourSequence:
        for contour in structure.get("ContourSequence", ()):
            image = images[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            points = np.reshape(np.array(contour.ContourData, float), (-1, 3)) - np.array(image.ImagePositionPatient, float)
            assert np.abs(points @ OBLIQUE[:, 2]).max() < 1e-3
            assert (contour.ContourGeometricType, contour.NumberOfContourPoints) == ("CLOSED_PLANAR", len(points))
            looked += 1
    assert looked > 10
    series = made.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert {i.ReferencedSOPInstanceUID for i in series.ContourImageSequence} == set(images)
    assert {s.ReferencedFrameOfReferenceUID for s in made.StructureSetROISequence} == {h.FrameOfReferenceUID for h in images.values()}


def test_dcmtk_finds_the_structures(tmp_path, scan):
    if shutil.which("drtdump") is None:
        pytest.skip("dcmtk is not installed")
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.rtstruct.dcm")
    told = subprocess.run(["drtdump", tmp_path / "labels.rtstruct.dcm"], capture_output=True, check=True)
    assert b"RT Structure Set" in told.stdout
    assert b"Tumour" in subprocess.run(["dcmdump", tmp_path / "labels.rtstruct.dcm"], capture_output=True, check=True).stdout
    assert not told.stderr


# Outlines


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_any_mask_comes_back_from_its_outlines(mask):
    np.testing.assert_array_equal(filled(outlines(mask), mask.shape), mask)


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_a_reader_that_unites_outlines_by_winding_finds_the_same_mask(mask):
    centres = np.argwhere(np.ones_like(mask))
    found = np.zeros(mask.size, bool)
    for ring in outlines(mask):
        found |= Path(np.vstack([ring, ring[:1]])).contains_points(centres)
    np.testing.assert_array_equal(found.reshape(mask.shape), mask)


def test_the_area_within_an_outline_is_that_of_its_pixels_but_for_the_corners():
    rows, columns = np.mgrid[:60, :60]
    mask = (rows - 30) ** 2 + (columns - 28) ** 2 < 22**2
    (ring,) = outlines(mask)
    area = abs(np.sum(ring[:, 1] * np.roll(ring[:, 0], -1) - ring[:, 0] * np.roll(ring[:, 1], -1))) / 2
    assert area == pytest.approx(mask.sum() - 0.5)


def test_a_polygon_that_reaches_out_of_the_image_is_filled_inside_it():
    ring = np.array([[-1e9, 2.5], [1e9, 2.5], [1e9, 5.5], [-1e9, 5.5]])
    wanted = np.zeros((7, 9), bool)
    wanted[:, 3:6] = True
    np.testing.assert_array_equal(filled([ring], (7, 9)), wanted)


# Which scan


def test_without_a_grid_the_series_is_found_beside_the_file(tmp_path, scan):
    labels = drawn(scan.geometry, scan.source)
    (tmp_path / "plans").mkdir()
    for place in (tmp_path / "labels.rtstruct.dcm", tmp_path / "plans" / "labels.rtstruct.dcm", tmp_path / "scan" / "labels.rtstruct.dcm"):
        write(labels, place)
        back = read_labels(place)
        np.testing.assert_array_equal(back.array, labels.array)
        assert back.notes == ("filled on the grid of the series in scan",)
        (told,) = describe(place)
        assert told.geometry.matches(scan.geometry)
        assert told.notes == ("3 structures: Tumour, Größe, Nothing drawn",)
        place.unlink()


def test_a_structure_set_alone_asks_for_its_series(tmp_path, scan):
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.rtstruct.dcm")
    alone = tmp_path / "far" / "away"
    alone.mkdir(parents=True)
    path = (tmp_path / "labels.rtstruct.dcm").rename(alone / "labels.rtstruct.dcm")
    with pytest.raises(UnreadableFileError, match=r"labels\.rtstruct\.dcm: .*is not beside it.*--like SERIES"):
        read(path)
    (told,) = describe(path)
    assert not told.readable
    assert "--like SERIES" in told.notes[-1]


def test_a_plain_dcm_name_is_read_for_what_it_is(tmp_path, scan):
    labels = drawn(scan.geometry, scan.source)
    write(labels, tmp_path / "labels.rtstruct.dcm")
    (tmp_path / "labels.rtstruct.dcm").rename(tmp_path / "RS.1.2.3.dcm")
    np.testing.assert_array_equal(read_labels(tmp_path / "RS.1.2.3.dcm", like=scan.geometry).array, labels.array)


def test_a_scan_that_is_no_dicom_is_refused(tmp_path, scan):
    write(scan, tmp_path / "scan.nii.gz")
    with pytest.raises(UnwritableFileError, match=r"scan\.nii\.gz holds none.*--like FOLDER"):
        write(drawn(scan.geometry), tmp_path / "labels.rtstruct.dcm", source=tmp_path / "scan.nii.gz")
    with pytest.raises(NoLabelsError):
        write(LabelMap(np.zeros(SHAPE, np.uint8), scan.geometry, source=scan.source), tmp_path / "labels.rtstruct.dcm")


def test_an_anonymised_structure_set_tells_nothing_of_the_patient_and_keeps_its_references(tmp_path, scan):
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.rtstruct.dcm", anonymise=True)
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.seg.dcm", anonymise=True)
    raw = (tmp_path / "labels.rtstruct.dcm").read_bytes()
    header = pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    uids = [str(header[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")]
    for secret in (*(v for k, v in SECRETS.items() if k not in ("PatientSex", "PatientWeight")), *uids, "Secret", "SECRET"):
        assert secret.encode("latin-1") not in raw
        assert secret.encode() not in raw
    made, segmentation = (pydicom.dcmread(tmp_path / f"labels.{kind}.dcm") for kind in ("rtstruct", "seg"))
    assert not {e.value for e in made.iterall() if e.VR in ("DA", "DT", "TM") and e.value}
    frame = made.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert frame.FrameOfReferenceUID == made.FrameOfReferenceUID == segmentation.FrameOfReferenceUID
    assert frame.RTReferencedStudySequence[0].ReferencedSOPInstanceUID == made.StudyInstanceUID == segmentation.StudyInstanceUID
    assert series.SeriesInstanceUID == segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID
    known = {i.ReferencedSOPInstanceUID for i in series.ContourImageSequence}
    used = {c.ContourImageSequence[0].ReferencedSOPInstanceUID for r in made.ROIContourSequence for c in r.get("ContourSequence", ())}
    assert used <= known
    assert known == {i.ReferencedSOPInstanceUID for i in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.rtstruct.dcm", like=scan.geometry).array, drawn(scan.geometry).array)


def test_the_patient_and_the_study_of_the_scan_are_copied(tmp_path, scan):
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.rtstruct.dcm")
    made, header = pydicom.dcmread(tmp_path / "labels.rtstruct.dcm"), pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert str(made[name].value) == str(header[name].value)
    assert (str(made.PatientName), made.StructureSetROISequence[1].ROIName) == ("Müller^Änne", "Größe")


# Written by others


def changed(tmp_path, scan, change):
    path = tmp_path / "labels.rtstruct.dcm"
    write(drawn(scan.geometry, scan.source), path)
    made = pydicom.dcmread(path)
    change(made)
    made.save_as(path)
    return path


def square(low, high, z, kind="CLOSED_PLANAR"):
    item = pydicom.Dataset()
    item.ContourGeometricType, item.NumberOfContourPoints = kind, 4
    corners = [(low, low), (low, high), (high, high), (high, low)]
    item.ContourData = [f"{v:.4f}" for row, column in corners for v in (*grid().world((0, row, column))[:2], z)]
    return item


def only(*items):
    def change(made):
        made.ROIContourSequence[0].ContourSequence = list(items)
        del made.ROIContourSequence[1:]

    return change


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_an_outline_within_an_outline_is_a_hole(tmp_path, scan, kind):
    path = changed(tmp_path, scan, only(square(1.5, 9.5, 105.0, kind), square(3.5, 6.5, 105.0, kind)))
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[2, 2:10, 2:10] = 3
    wanted[2, 4:7, 4:7] = 0
    np.testing.assert_array_equal(read_labels(path, like=scan.geometry).array, wanted)


def test_outlines_between_slices_points_open_lines_and_those_outside_are_told(tmp_path, scan):
    path = changed(tmp_path, scan, only(
        square(1.5, 4.5, 103.4), square(1.5, 4.5, 105.0, "OPEN_PLANAR"), square(1.5, 4.5, 105.0, "POINT"), square(1.5, 4.5, 140.0),
    ))
    back = read_labels(path, like=scan.geometry)
    assert np.argwhere(back.array.any((1, 2))).ravel().tolist() == [1]
    assert set(back.notes) == {
        "1 outlines between the slices; taken to the nearest", "2 points and open lines; only closed outlines are filled",
        "1 outlines outside of the scan; left out",
    }


def test_outlines_finer_than_the_slices_do_not_cancel_each_other(tmp_path, scan):
    path = changed(tmp_path, scan, only(square(1.5, 4.5, 104.5), square(1.5, 5.5, 105.0), square(1.5, 4.5, 105.5)))
    assert (read_labels(path, like=scan.geometry).array[2] > 0).sum() == 16


def test_outlines_on_a_finer_grid_say_that_slices_between_are_empty(tmp_path, scan):
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.rtstruct.dcm")
    fine = replace(scan.geometry, shape=(11, *SHAPE[1:]), spacing=(1.25, 0.7, 0.9))
    back = read_labels(tmp_path / "labels.rtstruct.dcm", like=fine)
    np.testing.assert_array_equal(back.array[::2], drawn(scan.geometry).array)
    assert any("farther apart than the slices" in note for note in back.notes)


def test_where_structures_overlap_the_later_has_the_voxel_and_it_is_said(tmp_path, scan):
    def change(made):
        made.ROIContourSequence[0].ContourSequence = [square(1.5, 5.5, 105.0)]
        made.ROIContourSequence[1].ContourSequence = [square(3.5, 7.5, 105.0)]

    back = read_labels(changed(tmp_path, scan, change), like=scan.geometry)
    assert np.bincount(back.array.ravel()).tolist()[3:9:5] == [12, 16]
    assert back.notes == ("4 voxels that belong to several structures; the later one has them",)


def test_structures_of_any_number_get_values_that_a_label_can_have(tmp_path, scan):
    def change(made):
        for sequence, name in ((made.StructureSetROISequence, "ROINumber"), (made.ROIContourSequence, "ReferencedROINumber")):
            for item, number in zip(sequence, (70000, 0, 20), strict=True):
                setattr(item, name, number)

    back = read_labels(changed(tmp_path, scan, change), like=scan.geometry)
    assert [(c.value, c.name) for c in back.classes] == [(1, "Tumour"), (2, "Größe"), (20, "Nothing drawn")]
    np.testing.assert_array_equal(back.array == 1, drawn(scan.geometry).array == 3)


def test_a_scan_that_no_outline_lies_in_is_refused(tmp_path, scan):
    write(drawn(scan.geometry, scan.source), tmp_path / "labels.rtstruct.dcm")
    with pytest.raises(GridMismatchError, match="no outline in a slice of its scan"):
        read_labels(tmp_path / "labels.rtstruct.dcm", like=replace(scan.geometry, origin=(-40.0, 20.0, 500.0)))


@pytest.mark.parametrize(("change", "told"), [
    (lambda d: setattr(d.ROIContourSequence[0].ContourSequence[0], "ContourData", ["1", "2", "3", "4"]), "no list of points"),
    (lambda d: delattr(d, "StructureSetROISequence"), "holds no structure"),
    (lambda d: setattr(d, "SOPClassUID", generate_uid()), "is no DICOM structure set"),
    (lambda d: setattr(d.StructureSetROISequence[1], "ROINumber", 3), "gives the number 3 to two structures"),
])
def test_a_structure_set_that_makes_no_sense_is_an_error_that_names_it(tmp_path, scan, change, told):
    path = changed(tmp_path, scan, change)
    with pytest.raises(UnreadableFileError, match=rf"labels\.rtstruct\.dcm: .*{told}"):
        read_labels(path, like=scan.geometry)


def test_a_point_that_is_no_number_is_an_error_that_names_the_file(tmp_path, scan):
    path = changed(tmp_path, scan, only(square(1.5, 4.5, 105.0)))
    path.write_bytes(path.read_bytes().replace(b"105.0000", b"nan     "))
    with pytest.raises(UnreadableFileError, match="no numbers"):
        read_labels(path, like=scan.geometry)


def test_a_file_cut_short_anywhere_is_an_error_that_names_it(tmp_path, scan):
    path = tmp_path / "labels.rtstruct.dcm"
    write(drawn(scan.geometry, scan.source), path)
    whole = path.read_bytes()
    lost = 0
    for size in np.linspace(1, len(whole) - 200, 40).astype(int):
        path.write_bytes(whole[:size])
        with pytest.raises(UnreadableFileError, match=r"labels\.rtstruct\.dcm: "):
            read_labels(path, like=scan.geometry)
        lost += 1
    assert lost == 40


def test_a_long_outline_passes_the_length_of_explicit_decimal_strings(tmp_path):
    geometry = Geometry((2, 300, 300), (3.0, 0.5, 0.5))
    save_scan(tmp_path / "scan", np.zeros(geometry.shape, np.uint16), geometry)
    comb = np.zeros(geometry.shape, np.uint8)
    comb[0, 10, 5:295] = 1
    comb[0, 10:295, 5:295:4] = 1
    comb[0, 11:295:2, 6:295:4] = 1
    write(LabelMap(comb, geometry, source=tmp_path / "scan"), tmp_path / "labels.rtstruct.dcm")
    assert max(len(c.ContourData) for c in pydicom.dcmread(tmp_path / "labels.rtstruct.dcm").ROIContourSequence[0].ContourSequence) * 8 > 65536
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.rtstruct.dcm", like=geometry).array, comb)
