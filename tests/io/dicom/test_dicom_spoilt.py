"""DICOM files that were spoilt: one typed line that names no patient, quickly, and a folder says what it left out."""

import os
import subprocess
import sys

import numpy as np
import pytest
from dicom_series import image, save
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from napari_medseg.errors import MedsegError, UnreadableFileError
from napari_medseg.io import describe, read
from napari_medseg.io.dicom import gdcm

Y, X = np.mgrid[:40, :48]
PLANES = [(1000 + 400 * np.sin(X / 9) + 300 * np.cos(Y / 7) + 31 * k).astype(np.uint16) for k in range(4)]
PLAIN = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
TAGS = [bytes.fromhex(tag) for tag in (
    "28001000", "28001100", "28000200", "28000001", "28000101", "28000201", "28000301", "28003000", "20003200", "20003700", "28005210", "28005310",
    "e07f1000", "08006000", "20000e00", "08001600", "28000400", "20001100",
)]
VALUES = (b"abc", b"nan", b"inf", b"-1", b"1e308", b"99999999999", b"\\\\\\", b"\xff" * 8, bytes(8))


def spoilt(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits turned, cut off, bytes of the header changed, values of attributes replaced, bytes taken out or put in."""
    found, how = bytearray(data), rng.integers(6)
    if how == 0:
        for _ in range(rng.integers(1, 9)):
            found[rng.integers(len(found))] ^= 1 << rng.integers(8)
    elif how == 1:
        return data[: rng.integers(len(data))]
    elif how == 2:
        for _ in range(rng.integers(1, 5)):
            found[rng.integers(132, min(len(found), 1200))] = rng.integers(256)
    elif how in (3, 4):
        place = data.find(TAGS[rng.integers(len(TAGS))])
        value = VALUES[rng.integers(len(VALUES))] if how == 3 else bytes([rng.integers(256)])
        start = place + (8 if how == 3 else int(rng.integers(4, 10)))
        found[start : start + len(value)] = value
    else:
        start, length = int(rng.integers(len(found))), int(rng.integers(1, 200))
        found[start : start + length * int(rng.integers(2))] = rng.bytes(length * int(rng.integers(2)))
    return bytes(found)


@pytest.mark.parametrize("syntax", ["plain", *PLAIN, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_no_spoilt_file_makes_anything_but_a_typed_error(tmp_path, syntax, capfd, request):
    folder, rng = tmp_path / "scan", np.random.default_rng(len(syntax))
    for k, plane in enumerate(PLANES):
        data = image(plane, (0, 0, 2.5 * k), **({"syntax": syntax} if syntax in PLAIN else {}))
        if syntax not in ("plain", *PLAIN):
            data.compress(syntax)
        save(data, folder / f"IM{k}")
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    lines = []
    for _ in range(300 if request.config.getoption("--faults-long") else 8 if syntax == JPEGLSLossless else 25):
        path = list(files)[rng.integers(len(files))]
        path.write_bytes(spoilt(files[path], rng))
        for look in (describe, read):
            try:
                look(folder if rng.integers(2) else path)
            except MedsegError as error:
                lines.append(str(error))
        path.write_bytes(files[path])
    assert lines
    assert not any("\n" in line or "Secret" in line or "secret-id" in line for line in lines)
    assert capfd.readouterr().out == ""


def test_a_file_that_crashes_the_decoder_does_not_crash_us(tmp_path):
    """The process that decodes is ended from outside, as a crash would."""
    decoder = gdcm.Gdcm()
    data = image(PLANES[0])
    save(data, tmp_path / "a.dcm")
    assert decoder.read((tmp_path / "a.dcm").read_bytes()).shape == (40, 48)
    child = decoder._idle.get_nowait()
    child.kill()
    child.wait()
    decoder._idle.put(child)
    with pytest.raises(gdcm.GdcmError):
        decoder.read((tmp_path / "a.dcm").read_bytes())
    assert decoder.read((tmp_path / "a.dcm").read_bytes()).shape == (40, 48)
    decoder.close()


def test_a_decoder_that_hangs_is_ended(monkeypatch):
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(gdcm, "_started", lambda: subprocess.Popen(sleeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    monkeypatch.setattr(gdcm, "SECONDS", 0.2)
    with pytest.raises(gdcm.GdcmError):
        gdcm.Gdcm().read(b"x")


def test_what_a_folder_could_not_read_is_said(tmp_path):
    for k, plane in enumerate(PLANES):
        save(image(plane, (0, 0, 2.5 * k)), tmp_path / "scan" / f"IM{k}")
    (tmp_path / "scan" / "torn").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00ZZ" + bytes(300))
    (tmp_path / "scan" / "notes.txt").write_text("not ours", encoding="utf-8")
    assert read(tmp_path / "scan").notes == ("1 file in the folder could not be read as DICOM and is left out",)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path):
    save(image(PLANES[0]), tmp_path / "scan" / "IM0")
    os.mkfifo(tmp_path / "scan" / "pipe")
    assert read(tmp_path / "scan").geometry.shape == (1, 40, 48)


@pytest.mark.parametrize(("attributes", "told"), [
    ({"Rows": 65535, "Columns": 65535}, "more than the file"), ({"NumberOfFrames": 2**31 - 1}, "more than the file"),
    ({"Rows": 41}, "48 x 40 instead of 48 x 41"),
])
def test_promises_of_packed_files_are_weighed_before_memory_is_taken(tmp_path, attributes, told):
    data = image(PLANES[0])
    data.compress(JPEG2000Lossless)
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    with pytest.raises(UnreadableFileError, match=told):
        read(save(data, tmp_path / "a.dcm"))


def test_a_deflated_file_that_unpacks_without_end_is_refused(tmp_path):
    data = image(np.zeros((2048, 2048), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
    data.add_new(0x00091001, "OB", bytes(1 << 27))
    with pytest.raises(UnreadableFileError, match="unpacks to more than a header can be"):
        read(save(data, tmp_path / "bomb.dcm"))
