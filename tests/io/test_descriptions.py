"""Names and colours of classes in files of their own."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.annotation import Code, LabelClass
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, UnreadableFileError, UnwritableFileError
from napari_medseg.io import read_classes, write_classes

# As ITK-SNAP 4.2 saves it, with its comment.
ITK_SNAP = """################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -A-:   Label transparency (0.00 .. 1.00)
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "Label 1"
    4    51  102    0      0.5  1  0    "Left "upper" lobe"
   12     0    0  255     0.75  0  1    "Tumour #2"
"""
CLASSES = (LabelClass(1, "Liver", (1.0, 0.2, 0.0), Code("10200004", "SCT", "Liver")), LabelClass(254, "Gefäß", (0.0, 0.4, 1.0)))


def test_a_label_description_of_itk_snap_is_read(tmp_path):
    (tmp_path / "brain.label").write_text(ITK_SNAP, encoding="utf-8")
    assert read_classes(tmp_path / "brain.label") == (
        LabelClass(1, "Label 1", (1.0, 0.0, 0.0)), LabelClass(4, 'Left "upper" lobe', (0.2, 0.4, 0.0)), LabelClass(12, "Tumour #2", (0.0, 0.0, 1.0)),
    )


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_other_systems_line_ends_and_encodings_are_read(tmp_path, newline, encoding):
    (tmp_path / "l.txt").write_bytes('1 0 0 0 1 1 1 "Gefäß"\n'.replace("\n", newline).encode(encoding))
    assert read_classes(tmp_path / "l.txt")[0].name == "Gefäß"


@pytest.mark.parametrize("name", ["c.label", "c.txt"])
def test_names_and_colours_survive_a_label_description(tmp_path, name):
    write_classes(CLASSES, tmp_path / name)
    back = read_classes(tmp_path / name)
    assert [(c.value, c.name, c.colour) for c in back] == [(c.value, c.name, c.colour) for c in CLASSES]
    assert (tmp_path / name).read_text(encoding="utf-8").splitlines()[-1] == '  254     0  102  255        1  1  1    "Gefäß"'


def test_codes_survive_json(tmp_path):
    write_classes(reversed(CLASSES), tmp_path / "c.json")
    assert read_classes(tmp_path / "c.json") == CLASSES


def test_a_bare_list_is_read_too(tmp_path):
    (tmp_path / "c.json").write_text('[{"value": 3, "name": "Lung", "colour": [0, 0, 1]}]', encoding="utf-8")
    assert read_classes(tmp_path / "c.json") == (LabelClass(3, "Lung", (0, 0, 1)),)


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("", UnreadableFileError, "describes no class"),
        ("# only a comment\n", UnreadableFileError, "describes no class"),
        ("hello\n", UnreadableFileError, "line 1 is no label description"),
        ('1 255 0 0 1 1 1 "A"\n1 255 0 0 1 1 1 "B"\n', InvalidInputError, "line 2 gives class 1 for the second time"),
        ('300 255 0 0 1 1 1 "A"\n', InvalidInputError, "line 1: 300 is no class"),
        ('1 999 0 0 1 1 1 "A"\n', InvalidInputError, "line 1: .* is no colour"),
        ('1 255 0 0 1 1 1 " "\n', InvalidInputError, "line 1: class 1 has no name"),
        ('1 255 0 0 1 1 "A"\n', UnreadableFileError, "line 1"),
        ('{"classes": 3}', InvalidInputError, "no list of classes"),
        ('{"classes": [', UnreadableFileError, "cut short"),
        ("[1, 2]", InvalidInputError, "no object"),
        ("[" * 100_000, InvalidInputError, "no JSON"),
        ("{" * 100_000, UnreadableFileError, "no JSON"),
        ("a\0b", UnreadableFileError, "no description of classes"),
        ("x" * (1 << 20) + "y", UnreadableFileError, "no description of classes"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_nonsense_is_refused_by_line(tmp_path, text, kind, told):
    (tmp_path / "c.label").write_text(text, encoding="utf-8")
    with pytest.raises(kind, match=told) as caught:
        read_classes(tmp_path / "c.label")
    assert caught.value.where == "c.label"


@given(st.binary(max_size=300))
def test_any_bytes_give_classes_or_a_typed_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "c.label"
    path.write_bytes(data)
    with contextlib.suppress(MedsegError):
        assert all(isinstance(c, LabelClass) for c in read_classes(path))


def test_what_is_not_there_or_a_folder_is_said(tmp_path):
    with pytest.raises(MissingFileError):
        read_classes(tmp_path / "none.label")
    with pytest.raises(UnreadableFileError):
        read_classes(tmp_path)


@pytest.mark.parametrize(("classes", "name", "told"), [(CLASSES, "c.csv", "no format for classes"), ((), "c.json", "no class")])
def test_what_cannot_be_written_is_refused(tmp_path, classes, name, told):
    with pytest.raises(UnwritableFileError, match=told):
        write_classes(classes, tmp_path / name)
    assert not list(tmp_path.iterdir())
