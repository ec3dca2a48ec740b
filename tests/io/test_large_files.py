"""Large scans: what is not packed stays in its file until it is looked at, nothing is held twice, and values that are no numbers are found in pieces."""

import tracemalloc

import numpy as np
import pytest

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io import memory, read, write
from napari_medseg.io.values import finite_values
from napari_medseg.volume import Geometry, Volume

SHAPE = (20, 300, 400)


def scan(dtype=np.int16) -> Volume:
    return Volume(np.random.default_rng(0).integers(0, 9000, SHAPE).astype(dtype), Geometry(SHAPE, (2.0, 1.0, 1.0)))


def mapped(array) -> bool:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return isinstance(array, np.memmap) or array.base is not None


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 4_000_000)


@pytest.fixture
def plain(tmp_path):
    """The same voxels in every format that may leave them unpacked."""
    volume = scan()
    write(volume, tmp_path / "a.nii")
    head = "NRRD0004\ntype: int16\ndimension: 3\nsizes: 400 300 20\nendian: little\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + volume.array.tobytes())
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 400 300 20\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(meta.encode() + volume.array.tobytes())
    return tmp_path


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha"])
def test_what_is_not_packed_stays_in_its_file_and_is_never_changed_there(plain, name, little_memory):
    before = (plain / name).read_bytes()
    volume = read(plain / name)
    assert mapped(volume.array)
    np.testing.assert_array_equal(volume.array, scan().array)
    volume.array[0] = -1
    assert volume.array[0].max() == -1
    del volume
    assert (plain / name).read_bytes() == before


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_what_is_packed_goes_to_a_scratch_file(tmp_path, suffix, little_memory):
    write(scan(), tmp_path / f"a{suffix}")
    volume = read(tmp_path / f"a{suffix}")
    assert mapped(volume.array)
    np.testing.assert_array_equal(volume.array, scan().array)


def test_what_fits_lies_in_memory(plain):
    assert not mapped(read(plain / "a.nii").array)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".gipl"])
def test_reading_and_writing_hold_the_voxels_once(tmp_path, suffix):
    volume = scan(np.float32)
    size = volume.array.nbytes
    write(volume, tmp_path / f"warm{suffix}")
    read(tmp_path / f"warm{suffix}")
    tracemalloc.start()
    try:
        write(volume, tmp_path / f"a{suffix}")
        assert tracemalloc.get_traced_memory()[1] < size
        tracemalloc.reset_peak()
        back = read(tmp_path / f"a{suffix}")
        assert tracemalloc.get_traced_memory()[1] < 1.6 * size  # pieces of a few megabytes beside one array of ten
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(back.array, volume.array)


def test_values_that_are_no_numbers_are_replaced_in_place():
    array = np.arange(10_000_000, dtype=np.float32)
    array[[3, 9_000_000]] = np.nan
    array[5_000_000] = -np.inf
    tracemalloc.start()
    try:
        finite, notes = finite_values(array, "a.nii")
        assert tracemalloc.get_traced_memory()[1] < array.nbytes
    finally:
        tracemalloc.stop()
    assert finite.base is array or finite is array
    assert finite[[3, 5_000_000, 9_000_000]].tolist() == [0, 0, 0]
    assert notes[0].startswith("3 of 10000000 values were not finite")


def test_large_values_are_numbers_though_their_sum_is_none(tmp_path):
    array = np.full((2, 3, 4), 1e308)
    finite, notes = finite_values(array, tmp_path / "a.nii")
    assert finite is array
    assert notes == ()
    with pytest.raises(UnreadableFileError, match="holds no number"):
        finite_values(np.full((2, 3, 4), np.nan), tmp_path / "a.nii")
