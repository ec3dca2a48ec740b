"""NRRD in every packing and order of axes, and Slicer's segmentations with their names, colours, terms and layers."""

import bz2
import gzip

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from napari_medseg.annotation import Code, LabelClass, LabelMap, default_classes
from napari_medseg.errors import GridMismatchError, MissingFileError, UnreadableFileError, UnwritableFileError
from napari_medseg.io import describe, read, read_labels, write
from napari_medseg.volume import Geometry, Volume

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
HEAD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\nendian: little\nspacings: 0.5 1 2\n"
CLASSES = (LabelClass(1, "Left liver: ß \\ :=", (0.25, 0.5, 1.0), Code("10200004", "SCT", "Liver")), LabelClass(2, "Tumour", (1.0, 0.0, 0.0)))


def labels(shape=(4, 5, 6)) -> LabelMap:
    array = (np.arange(np.prod(shape)).reshape(shape) % 3).astype(np.uint8)
    return LabelMap(array, Geometry(shape, (2.0, 1.0, 0.5), (-7.0, 8.0, 9.0)), classes=CLASSES)


@pytest.mark.parametrize(("encoding", "pack"), [
    ("raw", bytes), ("gzip", gzip.compress), ("gz", gzip.compress), ("bzip2", bz2.compress), ("bz2", bz2.compress),
    ("ascii", lambda data: " ".join(map(str, np.frombuffer(data, "<i2"))).encode()),
    ("txt", lambda data: ",\n".join(map(str, np.frombuffer(data, "<i2"))).encode()),
    ("hex", lambda data: data.hex(" ", 40).encode()),
])
@pytest.mark.parametrize("apart", [False, True])
def test_every_packing_with_the_data_inside_or_apart(tmp_path, encoding, pack, apart):
    data = pack(ARRAY.tobytes())
    head = f"{HEAD}encoding: {encoding}\n"
    path = tmp_path / ("a.nhdr" if apart else "a.nrrd")
    path.write_bytes((head + ("data file: a.dat\n" if apart else "")).encode() + b"\n" + (b"" if apart else data))
    (tmp_path / "a.dat").write_bytes(data)
    volume = read(path)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.geometry.spacing == (2.0, 1.0, 0.5)
    assert "does not say how the patient lies" in volume.notes[0]
    whole = (tmp_path / "a.dat") if apart else path
    whole.write_bytes(whole.read_bytes()[: len(whole.read_bytes()) - len(data) // 2])
    with pytest.raises(UnreadableFileError, match=r"cut short|promises"):
        read(path)


@pytest.mark.parametrize(("space", "signs"), [
    ("left-posterior-superior", (1, 1, 1)), ("LPS", (1, 1, 1)), ("right-anterior-superior", (-1, -1, 1)), ("RAS", (-1, -1, 1)), ("LAS", (1, -1, 1)),
])
def test_every_space_lies_where_simpleitk_says(tmp_path, space, signs):
    turn = Rotation.from_euler("zyx", (20, -10, 5), degrees=True).as_matrix() * (0.5, 1.0, 2.0)
    vectors = " ".join(f"({','.join(map(repr, map(float, column)))})" for column in turn.T)
    head = f"NRRD0005\ntype: int16\ndimension: 3\nspace: {space}\nsizes: 6 5 4\nspace directions: {vectors}\nspace origin: (1,2,3)\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + b"endian: big\nencoding: raw\n\n" + ARRAY.astype(">i2").tobytes())
    volume = read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array, ARRAY)
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    np.testing.assert_allclose(volume.geometry.corners()[-1], image.TransformIndexToPhysicalPoint((5, 4, 3)), atol=1e-6)
    np.testing.assert_allclose(volume.geometry.origin, np.array(signs) * (1, 2, 3))
    assert volume.notes == ()


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["list", "vector", "RGB-color"])
def test_channels_may_stand_on_any_axis(tmp_path, place, kind):
    array = np.arange(3 * 4 * 5 * 6, dtype=np.float32).reshape(3, 4, 5, 6)
    axes = ["(0.5,0,0)", "(0,1,0)", "(0,0,2)"]
    sizes, kinds = [6, 5, 4], ["domain"] * 3
    for entries, entry in ((axes, "none"), (sizes, 3), (kinds, kind)):
        entries.insert(place, entry)
    head = (
        f"NRRD0004\ntype: float\ndimension: 4\nspace: left-posterior-superior\nsizes: {' '.join(map(str, sizes))}\nspace directions: {' '.join(axes)}\n"
        f"kinds: {' '.join(kinds)}\nendian: little\nencoding: raw\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + np.moveaxis(array, 0, 3 - place).tobytes())
    volume = read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.spacing == (2.0, 1.0, 0.5)
    assert describe(tmp_path / "a.nrrd")[0].channels == 3


def test_timepoints_open_as_channels(tmp_path):
    array = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / "a.nrrd"))
    volume = read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.channel_names == ("t 1", "t 2", "t 3")
    assert describe(tmp_path / "a.nrrd")[0].timepoints == 3


@pytest.mark.parametrize("named", ["LIST\n0.raw\n1.raw\n2.raw\n3.raw\n", "LIST 2\n0.raw\n1.raw\n2.raw\n3.raw\n", "%d.raw 0 3 1\n", "%d.raw 0 3 1 2\n"])
def test_a_slice_a_file(tmp_path, named):
    for k, plane in enumerate(ARRAY):
        (tmp_path / f"{k}.raw").write_bytes(plane.tobytes())
    (tmp_path / "a.nhdr").write_text(f"{HEAD}encoding: raw\ndata file: {named}", encoding="utf-8")
    np.testing.assert_array_equal(read(tmp_path / "a.nhdr").array, ARRAY)
    (tmp_path / "3.raw").unlink()
    with pytest.raises(MissingFileError, match=r"3\.raw is not beside it"):
        read(tmp_path / "a.nhdr")


@pytest.mark.parametrize(("field", "before"), [
    ("line skip: 2", b"one\ntwo\n"), ("byte skip: 5", b"12345"), ("byte skip: -1", b"anything"), ("lineskip: 1\nbyteskip: 3", b"x\nabc"),
])
def test_lines_and_bytes_before_the_voxels_are_passed_over(tmp_path, field, before):
    (tmp_path / "a.raw").write_bytes(before + ARRAY.tobytes())
    (tmp_path / "a.nhdr").write_text(f"{HEAD}encoding: raw\n{field}\ndata file: a.raw\n", encoding="utf-8")
    np.testing.assert_array_equal(read(tmp_path / "a.nhdr").array, ARRAY)


@pytest.mark.parametrize("named", ["../secret.raw", "/etc/passwd", "LIST\n../secret.raw\n", "../s%decret.raw 1 1 1"])
def test_no_header_leads_out_of_its_folder(tmp_path, named):
    (tmp_path / "secret.raw").write_bytes(ARRAY.tobytes())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nhdr").write_text(f"{HEAD}encoding: raw\ndata file: {named}\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="outside its folder"):
        read(tmp_path / "in" / "a.nhdr")


def test_a_slice_in_space_keeps_its_plane(tmp_path):
    head = "NRRD0004\ntype: uchar\ndimension: 2\nspace: left-posterior-superior\nsizes: 6 5\nspace directions: (0,0.5,0) (0,0,2)\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + b"space origin: (7,8,9)\nencoding: raw\n\n" + bytes(range(30)))
    volume = read(tmp_path / "a.nrrd")
    assert volume.array.shape == (1, 5, 6)
    np.testing.assert_allclose(volume.geometry.world([0, 4, 5]), (7, 8 + 5 * 0.5, 9 + 4 * 2))


@pytest.mark.parametrize("name", ["a.seg.nrrd", "a.nrrd"])
def test_names_colours_and_terms_survive_as_slicers_segments(tmp_path, name):
    write(labels(), tmp_path / name)
    back = read_labels(tmp_path / name)
    assert back.classes == CLASSES
    np.testing.assert_array_equal(back.array, labels().array)
    image = sitk.ReadImage(str(tmp_path / name))
    assert image.GetMetaData("Segment1_Name") == "Tumour"
    assert image.GetMetaData("Segment1_Extent") == "0 5 0 4 0 3"
    assert "~SCT^10200004^Liver~" in image.GetMetaData("Segment0_Tags")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), labels().array)


def test_a_segmentation_names_every_value_for_slicer_shows_no_other(tmp_path):
    plain = labels()
    write(Volume(plain.array, plain.geometry), tmp_path / "a.seg.nrrd")
    assert read_labels(tmp_path / "a.seg.nrrd").classes == default_classes(2)


def test_a_scan_is_no_segmentation(tmp_path):
    with pytest.raises(UnwritableFileError, match="a segmentation holds whole numbers"):
        write(Volume(ARRAY.astype(np.float32), Geometry(ARRAY.shape)), tmp_path / "a.seg.nrrd")


def layered(path, layers, pairs) -> None:
    """A segmentation as Slicer writes it when segments overlap."""
    head = (
        f"NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\nsizes: {len(layers)} 6 5 4\n"
        "space directions: none (0.5,0,0) (0,1,0) (0,0,2)\nkinds: list domain domain domain\nencoding: gzip\nspace origin: (-7,8,9)\n"
    ) + "".join(f"{key}:={value}\n" for key, value in pairs.items())
    path.write_bytes(head.encode() + b"\n" + gzip.compress(np.stack(layers, -1).astype(np.uint8).tobytes()))


def test_overlapping_segments_of_several_layers_become_one_map_and_it_is_said(tmp_path):
    first, second = np.zeros((4, 5, 6)), np.zeros((4, 5, 6))
    first[0, :2], first[3], second[0, 1:3] = 1, 2, 1
    pairs = {
        "Segment0_Name": "Liver", "Segment0_LabelValue": "1", "Segment0_Layer": "0", "Segment0_Color": "1 0 0",
        "Segment1_Name": "Kidney", "Segment1_LabelValue": "2", "Segment1_Layer": "0",
        "Segment2_Name": "Tumour", "Segment2_LabelValue": "1", "Segment2_Layer": "1",
    }
    layered(tmp_path / "a.seg.nrrd", [first, second], pairs)
    found = read_labels(tmp_path / "a.seg.nrrd")
    assert describe(tmp_path / "a.seg.nrrd")[0].channels == 1
    expected = np.zeros((4, 5, 6), np.uint8)
    expected[0, 0], expected[0, 1:3], expected[3] = 1, 3, 2
    np.testing.assert_array_equal(found.array, expected)
    assert [(c.value, c.name) for c in found.classes] == [(1, "Liver"), (2, "Kidney"), (3, "Tumour")]
    assert found.classes[0].colour == (1.0, 0.0, 0.0)
    assert found.notes == (
        "its segments were numbered from 1 in their order, since several layers use the same values",
        "its 2 layers were put into one; 6 voxels belonged to several segments and went to the later one",
    )


def test_a_segmentation_of_an_older_slicer_has_a_layer_for_each_segment(tmp_path):
    layers = [np.zeros((4, 5, 6)), np.zeros((4, 5, 6))]
    layers[0][0], layers[1][1] = 1, 1
    layered(tmp_path / "a.seg.nrrd", layers, {"Segment0_Name": "Liver", "Segment1_Name": "Tumour"})
    found = read_labels(tmp_path / "a.seg.nrrd")
    assert [(c.value, c.name) for c in found.classes] == [(1, "Liver"), (2, "Tumour")]
    assert found.array[:, 0, 0].tolist() == [1, 2, 0, 0]


def test_a_segmentation_of_part_of_a_scan_lies_on_the_whole_of_it(tmp_path):
    scan = Geometry((10, 20, 30), (2.0, 1.0, 0.5), (-9.0, 5.0, 5.0))
    write(labels(), tmp_path / "a.seg.nrrd")  # starts 4, 3 and 2 voxels inside the scan
    found = read_labels(tmp_path / "a.seg.nrrd", like=scan)
    assert found.geometry.matches(scan)
    np.testing.assert_array_equal(found.array[2:6, 3:8, 4:10], labels().array)
    assert np.count_nonzero(found.array) == np.count_nonzero(labels().array)
    assert found.classes == CLASSES
    assert found.notes == ("it covers part of its scan; the rest is background",)
    with pytest.raises(GridMismatchError):
        read_labels(tmp_path / "a.seg.nrrd", like=Geometry((10, 20, 30), (2.0, 1.0, 0.5), (-9.2, 5.0, 5.0)))
    with pytest.raises(GridMismatchError):
        read_labels(tmp_path / "a.seg.nrrd", like=Geometry((5, 20, 30), (2.0, 1.0, 0.5), (-9.0, 5.0, 5.0)))


@pytest.mark.parametrize(("term", "code"), [
    ("SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^", Code("10200004", "SCT", "Liver")), ("SCT^85756007^Tissue~SCT^85756007^Tissue~^^", None),
    ("SRT^T-D0050^Tissue~SRT^T-D0050^Tissue~^^", None), ("~~", None), ("", None),
])
def test_slicers_terms_become_codes_and_its_default_becomes_none(tmp_path, term, code):
    tags = f"Segmentation.Status:inprogress|TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list~{term}~Anatomic codes~^^~^^|"
    layered(tmp_path / "a.seg.nrrd", [np.ones((4, 5, 6))], {"Segment0_Name": "x", "Segment0_LabelValue": "1", "Segment0_Layer": "0", "Segment0_Tags": tags})
    assert read_labels(tmp_path / "a.seg.nrrd").classes[0].code == code


@pytest.mark.parametrize("pairs", [
    {"Segment0_Color": "nan 0 0"}, {"Segment0_Color": "red"}, {"Segment0_LabelValue": "900"}, {"Segment0_LabelValue": "-1"}, {"Segment0_Layer": "77"},
    {"Segment0_Name": ""}, {"Segment99999_Name": "far"},
])
def test_segments_that_make_no_sense_get_defaults_and_never_stop_the_file(tmp_path, pairs):
    usual = {"Segment0_Name": "x", "Segment0_LabelValue": "1", "Segment0_Layer": "0"}
    layered(tmp_path / "a.seg.nrrd", [np.ones((4, 5, 6)), np.zeros((4, 5, 6))], usual | pairs)
    assert read_labels(tmp_path / "a.seg.nrrd").array.shape == (4, 5, 6)
