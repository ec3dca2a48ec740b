"""OME-Zarr: what we write others read, what others write we read, and what is damaged or hostile is refused."""

import asyncio
import errno
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr.format import FormatV04, FormatV05
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr.writer import write_image, write_labels
from ome_zarr_models import open_ome_zarr
from scipy.spatial.transform import Rotation
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from napari_medseg.annotation import Code, LabelClass, LabelMap
from napari_medseg.errors import InvalidInputError, MedsegError, UnreadableFileError, UnwritableFileError
from napari_medseg.io import describe, memory, read, read_labels, write
from napari_medseg.io.omezarr import open_levels
from napari_medseg.volume import Geometry, Volume

OBLIQUE = tuple(float(v) for v in Rotation.from_euler("xyz", [10, -20, 30], degrees=True).as_matrix().ravel())
FLIPPED = (0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
CLASSES = (LabelClass(1, "Liver", (0.8, 0.123456, 0.1), Code("10200004", "SCT", "Liver")), LabelClass(7, "Gefäß", (0.0, 0.5, 1.0)))


@pytest.fixture
def scan() -> Volume:
    array = np.random.default_rng(0).integers(-1000, 2000, (21, 150, 141)).astype(np.int16)
    return Volume(array, Geometry(array.shape, (2.5, 0.7, 0.8), (-30.1, 12.25, 99.9), OBLIQUE), "scan", modality="CT", units="HU")


@pytest.fixture
def labels(scan) -> LabelMap:
    array = np.zeros(scan.array.shape, np.uint8)
    array[5:15, 40:90, 30:100] = 1
    array[8:12, 60:70, 50:60] = 7
    return LabelMap(array, scan.geometry, "labels", classes=CLASSES)


def foreign(folder: Path, array: np.ndarray, axes: str = "zyx", scale=None, unit: str | None = "micrometer", version="0.5", more=None, **options) -> Path:
    """An image as another program writes it, with zarr alone."""
    kinds = {"t": "time", "c": "channel"}
    told = [{"name": a, "type": kinds.get(a, "space")} | ({"unit": unit} if a in "zyx" and unit else {}) for a in axes]
    transform = [{"type": "scale", "scale": scale or [1.0] * len(axes)}]
    multiscale = {"version": version, "axes": told, "datasets": [{"path": "0", "coordinateTransformations": transform}]}
    attributes = {"multiscales": [multiscale], **(more or {})}
    old = version == "0.4"
    group = zarr.create_group(folder, zarr_format=2 if old else 3, attributes=attributes if old else {"ome": {"version": version, **attributes}})
    made = group.create_array("0", shape=array.shape, dtype=array.dtype, **options)
    made[...] = array
    return folder


def change(path: Path, edit) -> None:
    """Change a JSON file in place."""
    told = json.loads(path.read_text())
    edit(told)
    path.write_text(json.dumps(told))


@pytest.mark.parametrize("direction", [OBLIQUE, FLIPPED])
def test_a_scan_comes_back_with_its_exact_grid_and_facts(tmp_path, scan, direction):
    turned = Volume(scan.array, Geometry(scan.array.shape, scan.geometry.spacing, scan.geometry.origin, direction), "scan", modality="CT", units="HU")
    write(turned, tmp_path / "scan.ome.zarr")
    back = read(tmp_path / "scan.ome.zarr")
    assert back.geometry == turned.geometry
    np.testing.assert_array_equal(back.array, scan.array)
    assert (back.array.dtype, back.name, back.modality, back.units, back.notes) == (np.int16, "scan", "CT", "HU", ())


def test_labels_come_back_with_names_colours_and_codes(tmp_path, labels):
    write(labels, tmp_path / "labels.ome.zarr")
    back = read(tmp_path / "labels.ome.zarr")
    assert isinstance(back, LabelMap)
    assert back.classes == CLASSES
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.ome.zarr", like=labels.geometry).array, labels.array)


def test_names_and_colours_survive_without_our_own_attribute(tmp_path, labels):
    write(labels, tmp_path / "labels.ome.zarr")
    change(tmp_path / "labels.ome.zarr" / "zarr.json", lambda told: told["attributes"].pop("medseg"))
    found = read(tmp_path / "labels.ome.zarr").classes
    assert [(c.value, c.name) for c in found] == [(1, "Liver"), (7, "Gefäß")]
    np.testing.assert_allclose([c.colour for c in found], [c.colour for c in CLASSES], atol=0.5 / 255)


def test_a_name_that_another_program_changed_is_the_name(tmp_path, labels):
    write(labels, tmp_path / "labels.ome.zarr")
    change(tmp_path / "labels.ome.zarr" / "zarr.json", lambda told: told["attributes"]["ome"]["image-label"]["properties"][0].update(name="Spleen"))
    first = read(tmp_path / "labels.ome.zarr").classes[0]
    assert (first.name, first.code) == ("Spleen", None)


def test_the_ome_zarr_library_reads_a_scan_and_its_levels(tmp_path, scan):
    write(scan, tmp_path / "scan.ome.zarr")
    (node, *_) = Reader(parse_url(str(tmp_path / "scan.ome.zarr")))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), scan.array)
    assert node.metadata["coordinateTransformations"][0][0]["scale"] == list(scan.geometry.spacing)
    assert [level.shape for level in node.data] == [(21, 150, 141), (21, 75, 71)]


def test_the_ome_zarr_library_reads_labels_with_names_and_colours(tmp_path, labels):
    write(labels, tmp_path / "labels.ome.zarr")
    (node, *_) = Reader(parse_url(str(tmp_path / "labels.ome.zarr")))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), labels.array)
    assert node.metadata["properties"] == {1: {"name": "Liver"}, 7: {"name": "Gefäß"}}
    np.testing.assert_allclose(node.metadata["color"][1][:3], CLASSES[0].colour, atol=0.5 / 255)


def test_the_models_of_the_standard_accept_what_we_write(tmp_path, scan, labels):
    channels = Volume(np.stack([scan.array, -scan.array]), scan.geometry, channel_names=("T1", "T2"))
    for name, volume, kind in (("s", scan, "Image"), ("c", channels, "Image"), ("l", labels, "ImageLabel")):
        write(volume, tmp_path / f"{name}.ome.zarr")
        assert type(open_ome_zarr(zarr.open_group(tmp_path / f"{name}.ome.zarr", mode="r"))).__name__ == kind


def test_channels_keep_their_order_and_names(tmp_path, scan):
    both = Volume(np.stack([scan.array, scan.array[::-1]]), scan.geometry, channel_names=("T1", "FLAIR"))
    write(both, tmp_path / "both.ome.zarr")
    back = read(tmp_path / "both.ome.zarr")
    np.testing.assert_array_equal(back.array, both.array)
    assert back.channel_names == ("T1", "FLAIR")
    assert describe(tmp_path / "both.ome.zarr")[0].channels == 2


def test_coarser_levels_lie_where_their_voxels_are(tmp_path, scan, labels):
    z, y, x = np.indices(scan.array.shape)
    ramp = Volume((100 * z + 10 * y + x).astype(np.float32), scan.geometry)
    write(ramp, tmp_path / "ramp.ome.zarr")
    write(labels, tmp_path / "labels.ome.zarr")
    for path, finest in ((tmp_path / "ramp.ome.zarr", ramp), (tmp_path / "labels.ome.zarr", labels)):
        _, coarse = open_levels(path)
        inside = np.array([4, 30, 20])
        there = np.round(finest.geometry.voxel(coarse.geometry.world(inside)), 6)
        at = finest.array[int(there[0]), int(np.floor(there[1])) : int(np.ceil(there[1])) + 1, int(np.floor(there[2])) : int(np.ceil(there[2])) + 1]
        assert float(np.asarray(coarse.array[tuple(inside)])) == pytest.approx(float(at.mean()))


def test_levels_are_read_when_they_are_looked_at(tmp_path, scan):
    write(scan, tmp_path / "scan.ome.zarr")
    levels = open_levels(tmp_path / "scan.ome.zarr")
    assert levels[0].geometry == scan.geometry
    np.testing.assert_array_equal(np.asarray(levels[0].array[3, 10:20]), scan.array[3, 10:20])
    last = sorted(p for p in (tmp_path / "scan.ome.zarr" / "0" / "c").rglob("*") if p.is_file())[-1]
    last.write_bytes(b"damaged")
    np.testing.assert_array_equal(np.asarray(levels[0].array[3, 10:20]), scan.array[3, 10:20])
    with pytest.raises(UnreadableFileError, match="damaged"):
        np.asarray(levels[0].array)


def test_a_scan_too_large_for_memory_is_read_at_a_coarser_level_and_says_so(tmp_path, scan, labels, monkeypatch):
    write(scan, tmp_path / "scan.ome.zarr")
    write(labels, tmp_path / "labels.ome.zarr")
    monkeypatch.setattr(memory, "free_bytes", lambda: int(scan.array.nbytes * 1.5))
    coarse = read(tmp_path / "scan.ome.zarr")
    assert coarse.geometry.shape == (21, 75, 71)
    assert "level 2 of 2" in coarse.notes[0]
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000)
    np.testing.assert_array_equal(read(tmp_path / "labels.ome.zarr").array, labels.array)


@pytest.mark.parametrize("version", [FormatV04(), FormatV05()], ids=lambda version: version.version)
def test_what_the_ome_zarr_library_writes_is_read_with_its_labels(tmp_path, version):
    image = np.random.default_rng(0).integers(0, 500, (2, 6, 40, 36)).astype(np.uint16)
    nuclei = (image[0] > 250).astype(np.uint8) * 3
    group = zarr.open_group(tmp_path / "peer.zarr", mode="w", zarr_format=version.zarr_format)
    write_image(image, group, axes="czyx", fmt=version)
    told = {"colors": [{"label-value": 3, "rgba": [255, 51, 0, 255]}], "properties": [{"label-value": 3, "class": "nucleus"}]}
    write_labels(nuclei, group, name="nuclei", axes="zyx", fmt=version, label_metadata=told)
    np.testing.assert_array_equal(read(tmp_path / "peer.zarr").array, image)
    labels = read(tmp_path / "peer.zarr", series="nuclei")
    np.testing.assert_array_equal(labels.array, nuclei)
    assert labels.classes == (LabelClass(3, "nucleus", (1.0, 0.2, 0.0)),)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "zyx", "cyx", "tyx", "czyx", "tzyx", "tcyx", "tczyx"])
def test_every_legal_set_of_axes_is_read(tmp_path, version, axes):
    sizes = {"t": 1, "c": 2, "z": 3, "y": 5, "x": 4}
    array = np.arange(np.prod([sizes[a] for a in axes]), dtype=np.uint16).reshape([sizes[a] for a in axes])
    path = foreign(tmp_path / "f.ome.zarr", array, axes, scale=[{"z": 2000.0, "y": 500.0, "x": 250.0}.get(a, 1.0) for a in axes], version=version)
    volume = read(path)
    assert volume.geometry.shape == (3 if "z" in axes else 1, 5, 4)
    assert volume.geometry.spacing == pytest.approx((2.0 if "z" in axes else 1.0, 0.5, 0.25))
    np.testing.assert_array_equal(volume.array.ravel(), array.ravel())
    assert volume.channels == (2 if "c" in axes else 1)
    assert "no left and right" in " ".join(volume.notes)


@pytest.mark.parametrize("dtype", ["|b1", ">u2", "<i2", ">i4", "<u4", "|i1", ">f4", "<f8", ">f2"])
@pytest.mark.parametrize("separator", [".", "/"])
def test_version_0_4_is_read_in_every_type_and_byte_order(tmp_path, dtype, separator):
    array = np.random.default_rng(1).integers(0, 2 if dtype == "|b1" else 100, (5, 9, 11)).astype(dtype)
    folder = foreign(tmp_path / "f.ome.zarr", array, version="0.4", chunks=(2, 4, 4), chunk_key_encoding={"name": "v2", "separator": separator})
    assert json.loads((folder / "0" / ".zarray").read_text())["dtype"] == dtype
    volume = read(folder)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype.isnative
    assert volume.array.dtype.kind == {"b": "u"}.get(array.dtype.kind, array.dtype.kind)


@pytest.mark.parametrize("codec", [None, ZstdCodec(), GzipCodec(), BloscCodec(cname="lz4"), BloscCodec(cname="zlib", shuffle="bitshuffle")], ids=str)
@pytest.mark.parametrize("shards", [None, (4, 8, 8)])
def test_version_0_5_is_read_through_every_codec_and_through_shards(tmp_path, codec, shards):
    array = np.random.default_rng(1).normal(size=(5, 9, 11)).astype(np.float32)
    folder = foreign(tmp_path / "f.ome.zarr", array, chunks=(2, 4, 4), shards=shards, compressors=codec)
    np.testing.assert_array_equal(read(folder).array, array)


def test_version_0_4_is_read_through_every_codec(tmp_path):
    import numcodecs

    array = np.random.default_rng(1).integers(0, 50, (5, 40, 41)).astype(">i2")
    known = [numcodecs.Blosc(), numcodecs.Zstd(), numcodecs.GZip(), numcodecs.Zlib(), numcodecs.LZ4(), numcodecs.BZ2(), numcodecs.LZMA()]
    for codec, order in product(known, "CF"):
        folder = foreign(tmp_path / f"{codec.codec_id}{order}.ome.zarr", array, version="0.4", chunks=(2, 20, 20), compressors=codec, order=order)
        np.testing.assert_array_equal(read(folder).array, array)


def test_transformations_of_level_and_image_are_composed_in_their_units(tmp_path):
    folder = foreign(tmp_path / "f.ome.zarr", np.ones((2, 3, 4), np.uint8), unit="centimeter")

    def edit(told):
        image = told["attributes"]["ome"]["multiscales"][0]
        image["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [0.1, 0.2, 0.3]}, {"type": "translation", "translation": [1, 2, 3]}]
        image["coordinateTransformations"] = [{"type": "scale", "scale": [2, 2, 2]}, {"type": "translation", "translation": [0, 0, 1]}]

    change(folder / "zarr.json", edit)
    grid = read(folder).geometry
    assert grid.spacing == pytest.approx((2.0, 4.0, 6.0))
    assert grid.origin == pytest.approx((70.0, 40.0, 20.0))


def test_the_directions_of_rfc_4_are_understood(tmp_path):
    folder = foreign(tmp_path / "f.ome.zarr", np.ones((2, 3, 4), np.uint8), unit="millimeter")

    def edit(told):
        runs = ("inferior-to-superior", "posterior-to-anterior", "left-to-right")
        for axis, value in zip(told["attributes"]["ome"]["multiscales"][0]["axes"], runs, strict=True):
            axis["orientation"] = {"type": "anatomical", "value": value}

    change(folder / "zarr.json", edit)
    volume = read(folder)
    assert volume.geometry.direction == (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
    assert volume.notes == ()


def test_a_unit_that_is_missing_or_unknown_is_said(tmp_path):
    for name, unit in (("none", None), ("odd", "furlong")):
        folder = foreign(tmp_path / f"{name}.ome.zarr", np.ones((2, 3, 4), np.uint8), unit=unit)
        assert any("taken as mm" in note for note in read(folder).notes)


def test_a_scan_that_another_program_resampled_loses_the_direction_we_wrote(tmp_path, scan):
    write(scan, tmp_path / "scan.ome.zarr")

    def edit(told):
        told["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] = [5.0, 0.7, 0.8]

    change(tmp_path / "scan.ome.zarr" / "zarr.json", edit)
    back = read(tmp_path / "scan.ome.zarr")
    assert back.geometry.spacing == (5.0, 0.7, 0.8)
    assert any("no left and right" in note for note in back.notes)


def test_labels_inside_a_scan_are_listed_and_chosen(tmp_path, scan, labels):
    folder = tmp_path / "scan.ome.zarr"
    write(scan, folder)
    write(labels, tmp_path / "l.ome.zarr")
    zarr.create_group(folder / "labels", zarr_format=3, attributes={"ome": {"version": "0.5", "labels": ["organs", "broken"]}})
    shutil.copytree(tmp_path / "l.ome.zarr", folder / "labels" / "organs")
    shutil.copytree(tmp_path / "l.ome.zarr", folder / "labels" / "broken")
    (folder / "labels" / "broken" / "0" / "zarr.json").unlink()
    told = {one.series: one for one in describe(folder)}
    assert [(s, told[s].readable) for s in told] == [("", True), ("labels/organs", True), ("labels/broken", False)]
    assert "1 Liver, 7 Gefäß" in " ".join(told["labels/organs"].notes)
    np.testing.assert_array_equal(read(folder).array, scan.array)
    assert read(folder, series="organs").classes == CLASSES
    np.testing.assert_array_equal(read_labels(folder / "labels" / "organs", like=scan.geometry).array, labels.array)
    with pytest.raises(InvalidInputError, match="no images fit 'spleen'"):
        read(folder, series="spleen")


def test_a_collection_asks_which_image(tmp_path):
    zarr.create_group(tmp_path / "many", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    for name in "01":
        foreign(tmp_path / "many" / name, np.full((2, 3, 4), int(name), np.uint8), version="0.4")
    assert [one.series for one in describe(tmp_path / "many")] == ["0", "1"]
    with pytest.raises(InvalidInputError, match="2 images"):
        read(tmp_path / "many")
    assert read(tmp_path / "many", series="1").array.max() == 1


def test_a_folder_is_known_by_what_it_holds(tmp_path, scan):
    write(scan, tmp_path / "scan.ome.zarr")
    (tmp_path / "scan.ome.zarr").rename(tmp_path / "anything")
    assert read(tmp_path / "anything").geometry == scan.geometry


def test_chunks_that_were_never_written_hold_the_fill_value(tmp_path):
    folder = foreign(tmp_path / "f.ome.zarr", np.zeros((4, 8, 8), np.int16), chunks=(2, 4, 4), fill_value=-5)
    shutil.rmtree(folder / "0" / "c" / "1")
    array = read(folder).array
    assert (array[:2] == 0).all()
    assert (array[2:] == -5).all()


def test_an_array_without_any_chunk_is_refused(tmp_path):
    folder = foreign(tmp_path / "f.ome.zarr", np.zeros((4, 8, 8), np.int16))
    with pytest.raises(UnreadableFileError, match="not one of its 1 chunks is there"):
        read(folder)
    with pytest.raises(UnreadableFileError, match="no chunk"):
        open_levels(folder)


def test_timepoints_are_opened_as_channels(tmp_path):
    array = np.random.default_rng(0).integers(0, 99, (3, 2, 2, 4, 4)).astype(np.uint8)
    folder = foreign(tmp_path / "f.ome.zarr", array, "tczyx", more={"omero": {"channels": [{"label": "water"}, {"label": "fat"}]}})
    (told,) = describe(folder)
    assert (told.timepoints, told.channels) == (3, 2)
    volume = read(folder)
    assert volume.channel_names == ("t 1, water", "t 2, water", "t 3, water", "t 1, fat", "t 2, fat", "t 3, fat")
    np.testing.assert_array_equal(volume.array[4], array[1, 1])
    np.testing.assert_array_equal(np.asarray(open_levels(folder)[0].array), volume.array)
    assert "3 timepoints" in " ".join(volume.notes)


def _array(**changes):
    return lambda folder: change(folder / "0" / "zarr.json", lambda told: told.update(changes))


def _image(edit):
    return lambda folder: change(folder / "zarr.json", lambda told: edit(told["attributes"]["ome"]["multiscales"][0]))


def _scale(*numbers):
    return _image(lambda m: m["datasets"][0].update(coordinateTransformations=[{"type": "scale", "scale": list(numbers)}]))


HOSTILE = {
    "a shape beyond all chunks": (_array(shape=[1000, 1000, 1 << 39]), "claims"),
    "a chunk beyond all shapes": (_array(chunk_grid={"name": "regular", "configuration": {"chunk_shape": [1 << 20] * 3}}), "claims chunks"),
    "a size of zero": (_array(shape=[0, 9, 11]), "array size"),
    "text": (_array(data_type="string"), "no real numbers"),
    "complex numbers": (_array(data_type="complex64"), "no real numbers"),
    "an unknown codec": (_array(codecs=[{"name": "bytes"}, {"name": "rot13"}]), "'rot13'"),
    "pickles": (_array(codecs=[{"name": "numcodecs.pickle"}]), "'numcodecs.pickle'"),
    "no codecs": (_array(codecs=[]), "codecs"),
    "an array of another rank": (_array(shape=[9, 11], chunk_grid={"name": "regular", "configuration": {"chunk_shape": [4, 4]}}), "3 axes"),
    "a path upwards": (_image(lambda m: m["datasets"][0].update(path="../other/0")), "none inside it"),
    "an absolute path": (_image(lambda m: m["datasets"][0].update(path="/etc")), "none inside it"),
    "a Windows path": (_image(lambda m: m["datasets"][0].update(path="C:\\secret")), "none inside it"),
    "a path that is a number": (_image(lambda m: m["datasets"][0].update(path=7)), "none inside it"),
    "a scale that is no number": (_scale(1, float("nan"), 1), "cannot be understood"),
    "a scale of zero": (_scale(1, 0, 1), "zero"),
    "a scale too short": (_scale(1), "cannot be understood"),
    "an axis twice": (_image(lambda m: m["axes"][0].update(name="c", type="channel") or m["axes"][1].update(name="c", type="channel")), "axes"),
    "no axes at all": (_image(lambda m: m.update(axes=[])), "axes"),
    "no levels": (_image(lambda m: m.update(datasets=[])), "no levels"),
    "metadata cut short": (lambda folder: (folder / "zarr.json").write_bytes((folder / "zarr.json").read_bytes()[:100]), "cut short"),
    "metadata nested too deep": (lambda folder: (folder / "zarr.json").write_text("[" * 200_000), "cut short or damaged"),
    "a damaged chunk": (lambda folder: (folder / "0/c/0/0/0").write_bytes(b"nothing"), "damaged"),
    "an empty chunk": (lambda folder: (folder / "0/c/0/0/0").write_bytes(b""), "damaged"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_makes_no_sense_is_refused_with_its_reason(tmp_path, what):
    folder = foreign(tmp_path / "f.ome.zarr", np.random.default_rng(0).normal(size=(5, 9, 11)), chunks=(2, 4, 4), compressors=ZstdCodec())
    spoil, reason = HOSTILE[what]
    spoil(folder)
    with pytest.raises(MedsegError, match=reason) as caught:
        read(folder)
    assert caught.value.where == "f.ome.zarr"


@pytest.mark.parametrize("filters", [[{"id": "pickle"}], [{"id": "vlen-utf8"}], [{"id": "json2"}]])
def test_objects_are_never_unpickled(tmp_path, filters):
    folder = foreign(tmp_path / "f.ome.zarr", np.ones((2, 3, 4), np.uint8), version="0.4")
    change(folder / "0" / ".zarray", lambda told: told.update(filters=filters))
    with pytest.raises(UnreadableFileError, match="not read here"):
        read(folder)
    change(folder / "0" / ".zarray", lambda told: told.update(dtype="|O"))
    with pytest.raises(UnreadableFileError, match="no real numbers"):
        read(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("what", ["0", "0/c/0/0/0", "0/c/1", "zarr.json"])
def test_links_are_not_followed(tmp_path, what):
    folder = foreign(tmp_path / "f.ome.zarr", np.random.default_rng(0).normal(size=(5, 9, 11)), chunks=(2, 4, 4))
    outside = tmp_path / "outside"
    (folder / what).rename(outside)
    (folder / what).symlink_to(outside)
    with pytest.raises(UnreadableFileError, match="link"):
        read(folder)


@pytest.mark.parametrize("codec", ["gzip", "zlib", "bz2", "lzma"])
def test_a_chunk_that_unpacks_to_far_more_than_a_chunk_is_refused(tmp_path, codec):
    import numcodecs

    packer = numcodecs.get_codec({"id": codec})
    folder = foreign(tmp_path / "f.ome.zarr", np.ones((2, 3, 4), np.uint8), version="0.4", compressors=packer)
    (folder / "0" / "0.0.0").write_bytes(packer.encode(bytes(1 << 24)))
    with pytest.raises(UnreadableFileError, match=r"0/0\.0\.0 is damaged"):
        read(folder)


def test_a_huge_empty_promise_takes_no_memory(tmp_path):
    folder = foreign(tmp_path / "f.ome.zarr", np.ones((8, 8, 8), np.uint8), chunks=(8, 8, 8))
    change(folder / "0" / "zarr.json", lambda told: told.update(shape=[100_000, 100_000, 1000]))
    with pytest.raises(UnreadableFileError, match="claims 1e\\+04 GB"):
        read(folder)


def test_a_lazy_look_at_an_endless_array_ends(tmp_path):
    folder = foreign(tmp_path / "f.ome.zarr", np.ones((8, 8, 8), np.uint8), chunks=(1, 1, 1))
    change(folder / "0" / "zarr.json", lambda told: told.update(shape=[1, 1 << 30, 1 << 30]))
    (level,) = open_levels(folder)
    with pytest.raises(UnreadableFileError, match="too many chunks"):
        np.asarray(level.array[:, :100_000, :100_000])


def test_bad_names_and_colours_cost_only_themselves(tmp_path, labels):
    write(labels, tmp_path / "labels.ome.zarr")

    def edit(told):
        told["attributes"].pop("medseg")
        told["attributes"]["ome"]["image-label"] = {
            "colors": [{"label-value": 1, "rgba": [300, 0, 0, 0]}, {"label-value": "7", "rgba": [0, 0, 0, 0]}, 5, {"label-value": 300, "rgba": [1, 1, 1, 1]}],
            "properties": [{"label-value": 1, "class": "Liver"}, {"label-value": 7}, {"label-value": 0, "name": "Background"}],
        }

    change(tmp_path / "labels.ome.zarr" / "zarr.json", edit)
    assert [(c.value, c.name) for c in read(tmp_path / "labels.ome.zarr").classes] == [(1, "Liver")]


def test_a_folder_of_another_kind_is_never_replaced(tmp_path, scan):
    (tmp_path / "scan.ome.zarr").mkdir()
    (tmp_path / "scan.ome.zarr" / "letter.txt").write_text("mine")
    with pytest.raises(UnwritableFileError, match="something else"):
        write(scan, tmp_path / "scan.ome.zarr")
    assert os.listdir(tmp_path) == ["scan.ome.zarr"]
    assert (tmp_path / "scan.ome.zarr" / "letter.txt").read_text() == "mine"


def test_an_interrupted_write_leaves_the_old_one(tmp_path, scan, monkeypatch):
    write(scan, tmp_path / "scan.ome.zarr")

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_medseg.io.omezarr.writing._ome", stop)
    with pytest.raises(KeyboardInterrupt):
        write(scan.like(scan.array + 1), tmp_path / "scan.ome.zarr")
    assert os.listdir(tmp_path) == ["scan.ome.zarr"]
    np.testing.assert_array_equal(read(tmp_path / "scan.ome.zarr").array, scan.array)


def test_what_is_written_late_beside_a_write_that_failed_leaves_nothing(tmp_path, scan, monkeypatch):
    write(scan, tmp_path / "scan.ome.zarr")
    before, really = sorted(tmp_path.rglob("*")), zarr.storage.LocalStore._set

    async def slow_or_refused(self, key, *args, **kwargs):
        if key == "0/zarr.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        await asyncio.sleep(0.2)
        await really(self, key, *args, **kwargs)

    monkeypatch.setattr(zarr.storage.LocalStore, "_set", slow_or_refused)
    with pytest.raises(UnwritableFileError, match="No space left"):
        write(scan.like(scan.array + 1), tmp_path / "scan.ome.zarr")
    time.sleep(0.5)
    assert sorted(tmp_path.rglob("*")) == before
    np.testing.assert_array_equal(read(tmp_path / "scan.ome.zarr").array, scan.array)


def _write_and_die(folder: str, step: int) -> None:
    """Write over an old file and be killed at the `step`-th rename."""
    done = 0
    really = os.replace

    def replace(source, target):
        nonlocal done
        if "scan.ome.zarr" in str(target) and "0.part" not in str(target) and "zarr.json" not in str(target) and "/c/" not in str(target):
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
        really(source, target)

    os.replace = replace
    volume = read(Path(folder, "scan.ome.zarr"))
    write(volume.like(volume.array + 1), Path(folder, "scan.ome.zarr"))


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed in another way there")
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_during_the_swap_leaves_the_old_or_the_new_one_whole(tmp_path, scan, step):
    write(scan, tmp_path / "scan.ome.zarr")
    child = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(str(tmp_path), step))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    found = read(tmp_path / "scan.ome.zarr").array
    np.testing.assert_array_equal(found, scan.array + (1 if step == 3 else 0))
    write(scan, tmp_path / "scan.ome.zarr")
    assert [name for name in os.listdir(tmp_path) if ".part" not in name] == ["scan.ome.zarr"]
    np.testing.assert_array_equal(read(tmp_path / "scan.ome.zarr").array, scan.array)
