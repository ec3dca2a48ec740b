"""Arrays lie in memory while there is room, else in a scratch file that nobody has to clean up."""

import gc
import tempfile

import numpy as np
import psutil
import pytest

from napari_medseg.errors import NoRoomError
from napari_medseg.io import memory
from napari_medseg.io.memory import allocate, free_bytes


def mapped(array) -> bool:
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return array.base is not None


def test_free_memory_is_what_the_machine_says():
    assert 0 < free_bytes() <= psutil.virtual_memory().total


def test_a_container_s_own_limit_counts(tmp_path, monkeypatch):
    job = tmp_path / "groups" / "slurm" / "job"
    job.mkdir(parents=True)
    (tmp_path / "self").write_text("1:cpu:/old\n0::/slurm/job\n", encoding="utf-8")
    for folder, limit, taken in ((job, "max", 10), (job.parent, "1000000", 400_000)):
        (folder / "memory.max").write_text(f"{limit}\n", encoding="utf-8")
        (folder / "memory.current").write_text(f"{taken}\n", encoding="utf-8")
        (folder / "memory.stat").write_text("anon 5\ninactive_file 100000\n", encoding="utf-8")
    monkeypatch.setattr(memory, "OWN_GROUP", tmp_path / "self")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    assert free_bytes() == 700_000
    monkeypatch.setattr(memory, "OWN_GROUP", tmp_path / "none")
    assert free_bytes() > 700_000


def test_what_fits_lies_in_memory():
    array = allocate((3, 4, 5), "int16")
    assert (array.shape, array.dtype) == ((3, 4, 5), np.int16)
    assert not mapped(array)


def test_what_takes_over_half_of_the_free_memory_lies_in_a_scratch_file_that_goes_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 150)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = allocate((4, 5, 6), np.float32)
    assert mapped(array)
    array[:] = np.arange(120).reshape(4, 5, 6)
    assert array.sum() == 7140
    part = array[1:3]
    del array
    gc.collect()
    assert part.sum() == np.arange(30, 90).sum()
    del part
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_what_neither_memory_nor_disk_can_hold_is_said():
    with pytest.raises(NoRoomError, match=r"1e\+06 GB are needed.*Close other programs"):
        allocate((1000, 1_000_000, 1_000_000), np.uint8)
