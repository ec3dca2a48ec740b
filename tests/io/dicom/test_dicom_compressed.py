"""Compressed pixels: every transfer syntax that scanners and archives use gives the voxels that went in."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import image, save
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io import describe, read
from napari_medseg.io.dicom.codecs import coded_size, title_of

Y, X = np.mgrid[:40, :48]
SMOOTH = (1000 + 400 * np.sin(X / 9) + 300 * np.cos(Y / 7)).astype(np.uint16)
SLICES = [(SMOOTH + 31 * k).astype(np.uint16) for k in range(4)]
SIGNED = [(plane.astype(np.int16) - 1200) for plane in SLICES]
COLOUR = np.stack([X * 5, Y * 6, (X + Y) * 2], axis=-1).astype(np.uint8)
PROGRAMS = {  # dcmtk's
    "RLE": ["dcmcrle"], "JPEG lossless (.70)": ["dcmcjpeg", "+e1"], "JPEG lossless (.57)": ["dcmcjpeg", "+el"], "JPEG-LS": ["dcmcjpls", "+el"],
    "JPEG baseline": ["dcmcjpeg", "+eb", "+q", "98"], "JPEG extended": ["dcmcjpeg", "+ee", "+q", "100"],
    "JPEG-LS near lossless": ["dcmcjpls", "+en", "+md", "2"],
}
LOSSY = {"JPEG baseline": 30, "JPEG extended": 12, "JPEG-LS near lossless": 2}


def save_all(folder, planes, **attributes):
    for k, plane in enumerate(planes):
        save(image(plane, (0, 0, 2.5 * k), **attributes), folder / f"IM{k}")


def by_program(folder, name):
    command = PROGRAMS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"dcmtk's {command[0]} is not installed")
    for path in sorted(folder.iterdir()):
        subprocess.run([*command, str(path), str(path)], check=True, capture_output=True)
    return pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID


@pytest.mark.parametrize(("name", "planes"), [(name, SLICES) for name in PROGRAMS] + [(name, SIGNED) for name in PROGRAMS if name not in LOSSY])
def test_what_dcmtk_packed_comes_out(tmp_path, name, planes, capfd):
    if name == "JPEG baseline":
        planes = [(plane >> 4).astype(np.uint8) for plane in planes]
    save_all(tmp_path / "scan", planes)
    syntax = by_program(tmp_path / "scan", name)
    assert syntax.is_compressed
    (told,) = describe(tmp_path / "scan")
    volume = read(tmp_path / "scan")
    expected = np.stack(planes).astype(np.int32) - 1024
    assert np.abs(volume.array - expected).max() <= LOSSY.get(name, 0)
    assert (told.dtype, told.units, told.geometry) == (str(volume.array.dtype), "HU", volume.geometry)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["RLE", "JPEG lossless (.70)", "JPEG-LS", "JPEG baseline", "JPEG extended"])
def test_gdcm_reads_the_same_voxels(tmp_path, name):
    save_all(tmp_path / "scan", [(plane >> 4).astype(np.uint8) for plane in SLICES] if name == "JPEG baseline" else SLICES)
    by_program(tmp_path / "scan", name)
    peer = sitk.GetArrayFromImage(sitk.ReadImage([str(p) for p in sorted((tmp_path / "scan").iterdir())]))
    assert np.abs(read(tmp_path / "scan").array - peer).max() <= (1 if name in LOSSY else 0)


EITHER = [RLELossless, JPEG2000Lossless, JPEG2000, JPEGLSLossless]


@pytest.mark.parametrize(("syntax", "planes"), [*((s, SLICES) for s in (*EITHER, JPEGLSNearLossless)), *((s, SIGNED) for s in EITHER)])
def test_what_pydicom_packed_comes_out(tmp_path, syntax, planes):
    options = {JPEG2000: {"j2k_cr": [4]}, JPEGLSNearLossless: {"jls_error": 1}}.get(syntax, {})
    for k, plane in enumerate(planes):
        data = image(plane, (0, 0, 2.5 * k))
        data.compress(syntax, **options)
        save(data, tmp_path / "scan" / f"IM{k}")
    off = np.abs(read(tmp_path / "scan").array - (np.stack(planes).astype(int) - 1024)).max()
    assert off <= {JPEG2000: 40, JPEGLSNearLossless: 1}.get(syntax, 0)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=title_of)
@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
def test_every_plain_syntax_gives_every_kind_of_number(tmp_path, syntax, kind):
    planes = [np.random.default_rng(k).integers(np.iinfo(kind).min, np.iinfo(kind).max, (5, 7)).astype(kind) for k in range(3)]
    if kind is np.uint16:
        planes = [plane & 0xFFF for plane in planes]
    for k, plane in enumerate(planes):
        stored = plane.astype(plane.dtype.newbyteorder(">")) if syntax == ExplicitVRBigEndian else plane
        pixels = stored.tobytes() + b"\0" * (plane.nbytes % 2)
        data = image(plane, (0, 0, k), syntax=syntax, Modality="MR", RescaleSlope=None, RescaleIntercept=None, PixelData=pixels)
        data["PixelData"].VR = "OB" if plane.itemsize == 1 and syntax != ImplicitVRLittleEndian else "OW"
        save(data, tmp_path / f"IM{k}")
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.array, np.stack(planes))
    assert volume.array.dtype == kind


def test_the_pictures_of_a_packed_multi_frame_file_are_told_apart(tmp_path):
    for syntax, table in ((RLELossless, True), (JPEG2000Lossless, False)):
        data = image(SLICES[0], NumberOfFrames=4, PixelData=np.stack(SLICES).tobytes())
        data.compress(syntax, generate_instance_uid=False)
        if not table:
            frames = list(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=4))
            data.PixelData = pydicom.encaps.encapsulate(frames, fragments_per_frame=2, has_bot=True)
        np.testing.assert_array_equal(read(save(data, tmp_path / f"{table}.dcm")).array, np.stack(SLICES).astype(int) - 1024)


def test_one_picture_in_several_fragments_is_put_together(tmp_path):
    data = image(SLICES[0])
    data.compress(JPEG2000Lossless)
    (frame,) = pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1)
    data.PixelData = pydicom.encaps.encapsulate([frame], fragments_per_frame=3, has_bot=False)
    np.testing.assert_array_equal(read(save(data, tmp_path / "a.dcm")).array[0], SLICES[0].astype(int) - 1024)


@pytest.mark.parametrize("name", ["JPEG baseline", "JPEG lossless (.70)", "JPEG-LS", "RLE"])
def test_packed_colours_come_out_as_red_green_and_blue(tmp_path, name):
    save(image(COLOUR, Modality="OT", RescaleSlope=None, RescaleIntercept=None), tmp_path / "scan" / "IM0")
    by_program(tmp_path / "scan", name)
    volume = read(tmp_path / "scan")
    assert volume.channel_names == ("red", "green", "blue")
    assert np.abs(volume.array[:, 0].astype(int) - np.moveaxis(COLOUR, -1, 0)).max() <= (12 if name == "JPEG baseline" else 0)


def test_a_syntax_that_nobody_can_decode_is_named_with_what_to_do(tmp_path):
    data = image(SLICES[0])
    data.compress(RLELossless)
    packed = save(data, tmp_path / "a.dcm").read_bytes()
    for syntax, title in ((b"1.2.840.10008.1.2.4.100", "MPEG2 Main Profile"), (b"1.2.840.113619.5.2", r"transfer syntax 1\.2\.840\.113619\.5\.2|Implicit")):
        plain = b"1.2.840.10008.1.2.5\0"
        head, _, rest = packed.partition(b"\x02\x00\x10\x00UI\x14\x00" + plain)
        (tmp_path / "a.dcm").write_bytes(head + b"\x02\x00\x10\x00UI" + bytes([len(syntax) + len(syntax) % 2, 0]) + syntax + b"\0" * (len(syntax) % 2) + rest)
        with pytest.raises(UnreadableFileError, match=rf"compressed in a way that nothing here can read: .*({title}).* Export it uncompressed"):
            read(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=title_of)
def test_damage_in_packed_pixels_is_an_error_that_names_the_file(tmp_path, syntax):
    data = image(SLICES[0])
    data.compress(syntax)
    whole = save(data, tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole[:-150])
    with pytest.raises(UnreadableFileError, match=r"a\.dcm: .*(cut short|damaged|more than the file)"):
        read(tmp_path / "a.dcm")


def test_a_picture_of_another_size_within_is_refused_before_it_is_decoded(tmp_path):
    for syntax in (JPEG2000Lossless, JPEGLSLossless):
        data = image(SLICES[0])
        data.compress(syntax)
        data.Columns = 50
        with pytest.raises(UnreadableFileError, match="compressed picture of 48 x 40 instead of 50 x 40 pixels"):
            read(save(data, tmp_path / "a.dcm"))
    assert coded_size(b"\xff\xd8\xff\xff\xff", JPEGLSLossless) is None
