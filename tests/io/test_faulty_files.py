"""Files that are not what they say: one typed line that names the file and says what to do, nothing allocated, nothing on stderr."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medseg.errors import MedsegError, MissingFileError, UnreadableFileError
from napari_medseg.io import describe, read, write
from napari_medseg.volume import Geometry, Volume

FORMATS = ("scan.nii.gz", "scan.nii", "scan.nrrd", "scan.mha")


def noisy() -> Volume:
    return Volume(np.random.default_rng(0).integers(0, 30000, (20, 64, 64)).astype(np.int16), Geometry((20, 64, 64), (5.0, 0.7, 0.7)))


@pytest.fixture(params=FORMATS)
def written(request, tmp_path):
    write(noisy(), tmp_path / request.param)
    return tmp_path / request.param


@pytest.fixture
def plain(tmp_path):
    """An unpacked NIfTI whose header a test can spoil."""
    write(noisy(), tmp_path / "scan.nii")
    return tmp_path / "scan.nii"


def spoil(path, offset, form, *values):
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(data)


@pytest.mark.parametrize("share", [0.999, 0.5, 0.1])
def test_a_file_cut_short_says_so(written, share, capfd):
    data = written.read_bytes()
    written.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableFileError, match=rf"{written.name}: is cut short") as caught:
        read(written)
    assert "of" in caught.value.what
    assert caught.value.todo
    assert capfd.readouterr() == ("", "")


def test_how_much_is_there_is_said(tmp_path):
    write(noisy(), tmp_path / "a.nii.gz")
    data = gzip.decompress((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data[:82_272]))
    with pytest.raises(UnreadableFileError, match=r"read 0\.0819 of 0\.164 MB"):
        read(tmp_path / "a.nii.gz")


def test_a_bit_that_fell_over_in_a_packed_file_is_noticed(written, capfd):
    if written.suffix == ".nii":
        pytest.skip("an unpacked file holds no checksum")
    data = bytearray(written.read_bytes())
    data[len(data) // 2] ^= 0xFF
    written.write_bytes(data)
    with pytest.raises(UnreadableFileError, match="cut short or damaged"):
        read(written)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["text.nii.gz", "text.nii", "text.nrrd", "text.mha", "text.nhdr", "text.mhd", "text.dcm"])
@pytest.mark.parametrize("content", [b"These are my notes about the patient.\n" * 30, b"NRRD0005\n", bytes(400), b"NRRD0004\nsizes: a b\n\n", b"\x1f\x8b\x08"])
def test_another_file_with_an_images_name_is_no_image(tmp_path, name, content, capfd):
    (tmp_path / name).write_bytes(content)
    for look in (read, describe):
        with pytest.raises(UnreadableFileError, match=name):
            look(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_an_empty_file_a_missing_one_and_an_unknown_one(tmp_path):
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.7" * 50)
    with pytest.raises(UnreadableFileError, match=r"empty.nii.gz: is empty"):
        read(tmp_path / "empty.nii.gz")
    with pytest.raises(UnreadableFileError, match=r"paper.pdf: is of no type known here\. Give NIfTI"):
        read(tmp_path / "paper.pdf")
    with pytest.raises(MissingFileError, match=r"gone.nii.gz: there is no such file"):
        read(tmp_path / "gone.nii.gz")


def test_a_header_that_promises_more_than_the_file_can_hold_is_refused_before_any_memory_is_taken(tmp_path, plain):
    spoil(plain, 40, "<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)  # 54 TB
    (tmp_path / "huge.nii.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(UnreadableFileError, match="cut short"):
        read(plain)
    with pytest.raises(UnreadableFileError, match=r"promises 54000000\.0 MB, more than"):
        read(tmp_path / "huge.nii.gz")
    with pytest.raises(UnreadableFileError):
        describe(plain)


@pytest.mark.parametrize("sizes", [(3, 0, 64, 20), (3, -4, 64, 20), (0, 64, 64, 20), (9, 64, 64, 20)])
def test_an_impossible_size_is_refused(plain, sizes):
    spoil(plain, 40, "<4h", *sizes)
    with pytest.raises(UnreadableFileError, match="header"):
        read(plain)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_spacing_that_cannot_be_is_refused_not_guessed(plain, value):
    spoil(plain, 84, "<f", value)
    with pytest.raises(UnreadableFileError, match=r"voxel spacing of 0\.7 x"):
        read(plain)


def test_a_metaimage_spacing_of_zero_is_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(noisy().array), str(tmp_path / "a.mha"))
    data = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(data.replace(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 0 1"))
    with pytest.raises(UnreadableFileError, match="voxel spacing of 1 x 0 x 1"):
        read(tmp_path / "a.mha")


def test_sheared_axes_are_refused_in_nifti_and_nrrd(tmp_path, plain, capfd):
    spoil(plain, 252, "<h", 0)  # no qform, so the sheared sform counts
    spoil(plain, 284, "<f", 0.5)
    sitk.WriteImage(sitk.GetImageFromArray(noisy().array), str(tmp_path / "a.nrrd"))
    data = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(data.replace(b"(0,1,0)", b"(0.5,1,0)"))
    for path in (plain, tmp_path / "a.nrrd"):
        with pytest.raises(UnreadableFileError, match=rf"{path.name}: the axes are sheared"):
            read(path)
    assert capfd.readouterr() == ("", "")


def test_a_volume_of_nan_is_refused(tmp_path):
    write(Volume(np.full((3, 4, 5), np.nan, np.float32), Geometry((3, 4, 5))), tmp_path / "nan.nii.gz")
    with pytest.raises(UnreadableFileError, match=r"nan.nii.gz: holds no number"):
        read(tmp_path / "nan.nii.gz")


def test_complex_values_are_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.complex64)), str(tmp_path / "phase.nii.gz"))
    with pytest.raises(UnreadableFileError, match="complex"):
        read(tmp_path / "phase.nii.gz")


@pytest.mark.parametrize("name", FORMATS)
def test_no_garbage_makes_anything_but_a_typed_error(tmp_path, name, capfd):
    write(noisy(), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    rng, lines = np.random.default_rng(7), []
    for _ in range(60):
        faulty = bytearray(data)
        for place in rng.integers(0, 400, rng.integers(1, 6)):
            faulty[place] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(faulty)
        try:
            read(tmp_path / name)
        except MedsegError as error:
            lines.append(str(error))
    assert len(lines) > 3
    assert not any("\n" in line for line in lines)
    assert capfd.readouterr().out == ""
