"""Headers are read by a parser of our own: it must find what pydicom finds, in every way a file can be written."""

import os

import numpy as np
import pydicom
import pytest
from dicom_series import image, save
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_medseg.io.dicom import headers, tags
from napari_medseg.io.dicom.elements import HeaderFault, named

PLANE = np.arange(120, dtype=np.uint16).reshape(10, 12)
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def nested(depth: int) -> Dataset:
    item = Dataset()
    item.CodeMeaning = "deep"
    for _ in range(depth):
        outer = Dataset()
        outer.ConceptNameCodeSequence = [item]
        outer["ConceptNameCodeSequence"].is_undefined_length = True
        item = outer
    return item


def full(**attributes) -> Dataset:
    """With everything that makes a header hard to walk: sequences of both kinds, private and long values, an icon with pixels of its own."""
    icon = Dataset()
    icon.Rows = icon.Columns = icon.BitsAllocated = 8
    icon.PixelData = bytes(64)
    icon["PixelData"].VR = "OW"
    data = image(PLANE, (1.5, -2.25, 3.0), **attributes)
    data.IconImageSequence = [icon]
    data.RequestAttributesSequence = [nested(4), nested(2)]
    data.RequestAttributesSequence[0].is_undefined_length_sequence_item = True
    data["RequestAttributesSequence"].is_undefined_length = True
    data.ReferencedImageSequence = []
    data.add_new(0x00291010, "OB", bytes(range(256)) * 200)
    data.add_new(0x00291020, "UN", b"anything")
    return data


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_parser_finds_what_pydicom_finds(tmp_path, syntax):
    path = save(full(syntax=syntax, EchoTime="4.6", TemporalPositionIdentifier=2), tmp_path / "IM1")
    found, peer = headers.read_header(path), pydicom.dcmread(path)
    assert (found.fault, found.syntax) == ("", syntax)
    for tag in sorted(tags.NUMBERS.keys() & {element.tag for element in peer}):
        expected = peer[tag].value
        assert found.data.numbers(tag) == pytest.approx(np.atleast_1d(np.array(expected, dtype=float)).tolist()), named(tag)
    for tag in (tags.SERIES_UID, tags.MODALITY, tags.SERIES_DESCRIPTION, tags.PHOTOMETRIC):
        assert found.data.text(tag) == str(peer[tag].value)
    if syntax != DeflatedExplicitVRLittleEndian:
        raw = path.read_bytes()[found.pixels.start : found.pixels.start + found.pixels.length]
        assert raw == peer.PixelData


def test_a_header_longer_than_the_first_read_is_read_on(tmp_path):
    path = save(full(), tmp_path / "IM1")
    assert path.stat().st_size > 4 * headers.FIRST_READ
    assert headers.read_header(path).data.whole(tags.ROWS, 0) == 10


SCRIPTS = [("ISO_IR 100", "Schädel"), ("ISO_IR 192", "頭部 CT"), ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ"), ("ISO_IR 144", "Череп")]


@pytest.mark.parametrize(("charset", "text"), SCRIPTS)
def test_descriptions_in_other_scripts_are_read(tmp_path, charset, text):
    path = save(image(PLANE, SpecificCharacterSet=charset.split("\\"), SeriesDescription=text), tmp_path / "IM1")
    assert headers.read_header(path).data.text(tags.SERIES_DESCRIPTION) == text


@pytest.mark.parametrize(("named_as", "used"), [(ExplicitVRLittleEndian, ImplicitVRLittleEndian), (ImplicitVRLittleEndian, ExplicitVRLittleEndian)])
def test_a_file_that_names_one_encoding_and_uses_the_other_is_read_as_it_is(tmp_path, named_as, used):
    head, body = (save(image(PLANE, syntax=syntax), tmp_path / syntax).read_bytes() for syntax in (named_as, used))
    first = b"\x08\x00\x16\x00"
    (tmp_path / "IM1").write_bytes(head[: head.index(first)] + body[body.index(first) :])
    found = headers.read_header(tmp_path / "IM1")
    assert (found.syntax, found.fault, found.data.whole(tags.ROWS, 0)) == (named_as, "", 10)


def test_a_file_from_before_there_were_preambles_is_read(tmp_path):
    path = save(image(PLANE, syntax=ImplicitVRLittleEndian), tmp_path / "IM1")
    data = path.read_bytes()
    path.write_bytes(data[data.index(b"\x08\x00\x16\x00") :])
    found = headers.read_header(path)
    assert (found.syntax, found.data.whole(tags.ROWS, 0), found.pixels.length) == ("", 10, 240)


def test_sequences_without_end_are_refused_quickly(tmp_path):
    path = save(image(PLANE), tmp_path / "IM1")
    data = path.read_bytes()
    start = data.index(b"\x28\x00\x02\x00")
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(data[:start] + opening * 5000 + data[start:])
    assert headers.read_header(path).fault == "sequences lie too deep in each other"


@pytest.mark.parametrize("content", [b"", b"DICM", b"\x08\x00", bytes(132), bytes(128) + b"DICM", b"\x08\x00\x00\x00" + bytes(20), b"text " * 100])
def test_what_is_no_dicom_file_is_no_header(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    try:
        assert not headers.read_header(tmp_path / "x").is_image
    except HeaderFault:
        pass
    assert not [header for header in headers.find_headers(tmp_path) if header.is_image]


def test_numbers_that_are_none_say_which_attribute(tmp_path):
    path = save(image(PLANE), tmp_path / "IM1")
    path.write_bytes(path.read_bytes().replace(b"0.7\\0.8 ", b"abc\\0.8 "))
    with pytest.raises(HeaderFault, match=r"PixelSpacing \(0028,0030\) is no number"):
        headers.read_header(path).data.numbers(tags.PIXEL_SPACING)


def test_headers_are_read_again_only_where_a_file_changed(tmp_path, monkeypatch):
    for k in range(3):
        path = save(image(PLANE, InstanceNumber=k + 1), tmp_path / f"IM{k}")
        os.utime(path, (1e9, 1e9))
    asked = []
    monkeypatch.setattr(headers, "_header_or_none", lambda path: asked.append(path.name) or headers.read_header(path))
    headers.find_headers(tmp_path)
    save(image(PLANE, InstanceNumber=7), tmp_path / "IM1")
    for _ in range(2):
        assert [header.data.whole(tags.INSTANCE_NUMBER, 0) for header in headers.find_headers(tmp_path)] == [1, 7, 3]
    assert asked == ["IM0", "IM1", "IM2", "IM1", "IM1"]  # what was written just now is not trusted yet


def test_a_folder_on_a_slow_disk_is_read_by_several_threads_in_the_same_order(tmp_path, monkeypatch):
    for k in range(20):
        save(image(PLANE, InstanceNumber=k + 1), tmp_path / f"IM{k:02d}")
    monkeypatch.setattr(headers, "SLOW", 0.0)
    assert [header.data.whole(tags.INSTANCE_NUMBER, 0) for header in headers.find_headers(tmp_path)] == list(range(1, 21))
