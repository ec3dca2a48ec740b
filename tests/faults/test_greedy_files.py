"""Files that promise or unpack to far more than they hold: refused, or read as far as their header says, without taking the memory first."""

from __future__ import annotations

import gzip
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import tifffile
from fuzz import SECONDS, SLACK, Opener
from originals import SHAPE, image, ome_zarr, one_slice, packed_series, scan, series

LARGE = 1 << 29  # bytes that come out of a small packed file


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    made = Opener()
    yield made
    made.close()


def zeros_after(head: bytes, pack: Callable[..., object]) -> bytes:
    """A packed stream of `head` and half a gigabyte of zeros."""
    packer = pack(1)
    parts = [packer.compress(head)]  # type: ignore[attr-defined]
    block = bytes(1 << 20)
    parts += [packer.compress(block) for _ in range(LARGE >> 20)]  # type: ignore[attr-defined]
    return b"".join([*parts, packer.flush()])  # type: ignore[attr-defined]


def gzipper(level: int) -> object:
    return zlib.compressobj(level, zlib.DEFLATED, 31)


def nifti_that_goes_on(path: Path) -> None:
    sitk.WriteImage(image(scan()), str(path.with_suffix("")))
    path.write_bytes(zeros_after(path.with_suffix("").read_bytes(), gzipper))


def nrrd_that_goes_on(path: Path) -> None:
    sitk.WriteImage(image(scan()), str(path), useCompression=True)
    head = path.read_bytes().partition(b"\n\n")[0]
    path.write_bytes(head + b"\n\n" + zeros_after(scan().tobytes(), gzipper))


def metaimage_that_goes_on(path: Path) -> None:
    sitk.WriteImage(image(scan()), str(path), useCompression=True)
    head = path.read_bytes().partition(b"LOCAL\n")[0]
    lines = [line for line in head.split(b"\n") if not line.startswith(b"CompressedDataSize")]
    path.write_bytes(b"\n".join(lines) + b"LOCAL\n" + zeros_after(scan().tobytes(), zlib.compressobj))


def gipl_that_promises(path: Path) -> None:
    sitk.WriteImage(image(scan()), str(path))
    data = bytearray(path.read_bytes())
    struct.pack_into(">4H", data, 0, 65535, 65535, 65535, 1)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def picture_that_promises(path: Path) -> None:
    """A PNG of 60,000 x 60,000 pixels, whose zeros pack well."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b""))


def tiff_that_promises(path: Path) -> None:
    tifffile.imwrite(path, scan(dtype=np.uint16), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for page in tif.pages:
            page.tags["ImageWidth"].overwrite(400_000)
            page.tags["ImageLength"].overwrite(400_000)


def tiff_with_a_bomb_of_entities(path: Path) -> None:
    entities = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12))
    text = f'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a0 "aaaaaaaaaa">{entities}]><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&a11;</OME>'
    tifffile.imwrite(path, scan(dtype=np.uint16), description=text, metadata=None)


def dicom_that_promises(**facts: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        one_slice(path)
        data = pydicom.dcmread(path)
        for name, value in facts.items():
            setattr(data, name, value)
        data.save_as(path)

    return make


def packed_dicom_that_promises(kind: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        packed_series(kind)(path)
        for one in path.iterdir():
            data = pydicom.dcmread(one)
            data.Rows = data.Columns = 65535
            data.save_as(one)

    return make


def jpeg_2000_that_promises(path: Path) -> None:
    """The codestream itself claims the size, and the header agrees."""
    packed_dicom_that_promises("JPEG2000Lossless")(path)
    for one in path.iterdir():
        data = one.read_bytes()
        place = data.find(b"\xff\x4f\xff\x51") + 8
        one.write_bytes(data[:place] + struct.pack(">2I", 65535, 65535) + data[place + 8 :])


def folder_with_a_large_stranger(path: Path) -> None:
    """A film of 4 GB beside the slices, and a link that leads in a circle."""
    series(path)
    with (path / "film.mp4").open("wb") as file:
        file.truncate(4 << 30)
    if os.name != "nt":
        (path / "again").symlink_to(path, target_is_directory=True)


def zarr_that_promises(version: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        ome_zarr(version)(path)
        metadata = path / "0" / ("zarr.json" if version == 3 else ".zarray")
        told = json.loads(metadata.read_text(encoding="utf-8"))
        told["shape"] = [200_000, 40_000, 36_000]
        metadata.write_text(json.dumps(told), encoding="utf-8")

    return make


def json_too_deep(path: Path) -> None:
    ome_zarr(3)(path)
    (path / "zarr.json").write_text("[" * 200_000 + "]" * 200_000, encoding="utf-8")


GREEDY: dict[str, tuple[str, Callable[[Path], None], bool]] = {  # name, maker, whether it opens all the same
    "NIfTI that goes on": ("scan.nii.gz", nifti_that_goes_on, True),
    "NRRD that goes on": ("scan.nrrd", nrrd_that_goes_on, True),
    "MetaImage that goes on": ("scan.mha", metaimage_that_goes_on, True),
    "GIPL that promises": ("scan.gipl", gipl_that_promises, False),
    "picture that promises": ("picture.png", picture_that_promises, False),
    "TIFF that promises": ("scan.tif", tiff_that_promises, False),
    "TIFF with a bomb of entities": ("scan.tif", tiff_with_a_bomb_of_entities, False),
    "DICOM with huge slices": ("slice.dcm", dicom_that_promises(Rows=65535, Columns=65535), False),
    "DICOM with many frames": ("slice.dcm", dicom_that_promises(NumberOfFrames=2**31 - 1), False),
    "DICOM with many samples": ("slice.dcm", dicom_that_promises(SamplesPerPixel=65535), False),
    "RLE that promises": ("series", packed_dicom_that_promises("RLELossless"), False),
    "JPEG-LS that promises": ("series", packed_dicom_that_promises("JPEGLSLossless"), False),
    "JPEG 2000 that promises": ("series", jpeg_2000_that_promises, False),
    "folder with a large stranger": ("series", folder_with_a_large_stranger, True),
    "OME-Zarr 0.4 that promises": ("scan.ome.zarr", zarr_that_promises(2), False),
    "OME-Zarr 0.5 that promises": ("scan.ome.zarr", zarr_that_promises(3), False),
    "OME-Zarr with deep JSON": ("scan.ome.zarr", json_too_deep, False),
}


@pytest.mark.parametrize("kind", GREEDY)
def test_a_greedy_file_gets_no_more_than_it_holds(tmp_path, opener, kind):
    name, make, opens = GREEDY[kind]
    make(tmp_path / name)
    warm = tmp_path / "warm"
    warm.mkdir()
    sitk.WriteImage(image(scan()), str(warm / "scan.nii"))
    opener.ask(warm / "scan.nii", "image", 60.0)
    opener.ask(tmp_path / name, "image", 60.0)  # imports what it needs
    answer = opener.ask(tmp_path / name, "image", 2 * SECONDS)
    assert "fault" not in answer
    assert any(answer["shapes"]) == opens, answer
    if opens:
        assert next(shape for shape in answer["shapes"] if shape)[-3:] == list(SHAPE)
    assert answer["seconds"] < SECONDS
    held = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file() and p.stat().st_size < 1 << 30)
    assert answer["peak"] <= 2 * held + SLACK
