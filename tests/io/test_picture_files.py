"""Pictures: one slice, colours as channels, a size that is said to be assumed, and no decompression bomb."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io import describe, read
from napari_medseg.io.pictures import EIGHT_BITS, NO_SIZE

COLOURS = np.random.default_rng(0).integers(0, 255, (20, 30, 4)).astype(np.uint8)


@pytest.mark.parametrize(("suffix", "channels"), [(".png", 3), (".png", 4), (".bmp", 3)])
def test_colours_come_first(tmp_path, suffix, channels):
    Image.fromarray(COLOURS[..., :channels]).save(tmp_path / f"a{suffix}")
    volume = read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume.array[:, 0], np.moveaxis(COLOURS[..., :channels], -1, 0))
    assert volume.channel_names == ("red", "green", "blue", "opacity")[:channels]
    assert volume.notes == (NO_SIZE,)
    assert describe(tmp_path / f"a{suffix}")[0].channels == channels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_one_slice_of_one_channel(tmp_path, dtype):
    array = (COLOURS[..., 0].astype(dtype) * (np.iinfo(dtype).max // 255)).astype(dtype)
    Image.fromarray(array).save(tmp_path / "a.png")
    volume = read(tmp_path / "a.png")
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array, array[None])


def test_jpeg_keeps_its_size_and_nearly_its_colours(tmp_path):
    smooth = np.broadcast_to(np.linspace(0, 255, 30).astype(np.uint8)[None, :, None], (20, 30, 3))
    Image.fromarray(np.ascontiguousarray(smooth)).save(tmp_path / "a.jpg", quality=95)
    volume = read(tmp_path / "a.jpg")
    assert volume.array.shape == (3, 1, 20, 30)
    assert np.abs(volume.array[0, 0].astype(int) - smooth[..., 0]).max() < 8


def test_palettes_become_colours_and_black_and_white_become_0_and_1(tmp_path):
    image = Image.fromarray(COLOURS[..., :3]).quantize(16)
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read(tmp_path / "p.png").array[:, 0], np.moveaxis(np.asarray(image.convert("RGB")), -1, 0))
    Image.fromarray(COLOURS[..., 0] > 100).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read(tmp_path / "b.png").array[0], COLOURS[..., 0] > 100)


def test_sixteen_bit_colours_that_lose_half_say_so(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(2 * 3 * 4) for _ in range(5))
    head = struct.pack(">2I5B", 4, 5, 16, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert read(tmp_path / "a.png").notes == (NO_SIZE, EIGHT_BITS)


def test_more_pixels_than_the_file_can_hold_are_refused(tmp_path):
    Image.new("L", (20_000, 20_000)).save(tmp_path / "a.png")
    for look in (read, describe):
        with pytest.raises(UnreadableFileError, match="more pixels than a picture"):
            look(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_a_picture_cut_short_or_of_something_else_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(COLOURS[..., :3]).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableFileError, match="cut short"):
        read(path)
    path.write_bytes(b"notes" * 100)
    with pytest.raises(UnreadableFileError, match="is not a picture"):
        read(path)
