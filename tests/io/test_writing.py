"""A file is there whole or not at all, and what was there before stays until then."""

import os
import subprocess
import sys

import numpy as np
import pytest

from napari_medseg.errors import UnreadableFileError, UnwritableFileError
from napari_medseg.io import read, replacing, write
from napari_medseg.io.formats import WRITABLE
from napari_medseg.volume import Geometry, Volume


def mask(value=1) -> Volume:
    return Volume(np.full((3, 4, 5), value, np.uint8), Geometry((3, 4, 5)))


@pytest.mark.parametrize("suffix", WRITABLE)
def test_masks_are_one_byte_a_voxel_and_nothing_is_left_beside_them(tmp_path, suffix):
    write(Volume(np.ones((3, 4, 5), bool), Geometry((3, 4, 5))), tmp_path / f"m{suffix}")
    assert read(tmp_path / f"m{suffix}").array.dtype == np.uint8
    assert [p.name for p in tmp_path.iterdir()] == [f"m{suffix}"]


@pytest.mark.parametrize("name", ["m.jpg", "m", "m.nhdr", "m.mhd", "m.gz"])
def test_a_name_that_no_writer_takes_is_refused(tmp_path, name):
    with pytest.raises(UnwritableFileError, match=r"names no format.*End it in \.nii\.gz"):
        write(mask(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UnwritableFileError, match=r"the folder .*gone does not exist"):
        write(mask(), tmp_path / "gone" / "m.nii.gz")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "m.nii.gz").mkdir()
    with pytest.raises(UnwritableFileError, match="is a folder"):
        write(mask(), tmp_path / "m.nii.gz")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may write anywhere")
def test_a_folder_that_may_not_be_written_leaves_the_old_file(tmp_path):
    write(mask(1), tmp_path / "m.nii.gz")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UnwritableFileError, match="permission"):
            write(mask(2), tmp_path / "m.nii.gz")
    finally:
        tmp_path.chmod(0o700)
    assert read(tmp_path / "m.nii.gz").array.max() == 1


def test_a_file_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    write(mask(1), tmp_path / "m.nii.gz")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UnwritableFileError, match=r"m.nii.gz: could not be written \(Permission denied\)\. Close it in other programs"):
        write(mask(2), tmp_path / "m.nii.gz")
    assert read(tmp_path / "m.nii.gz").array.max() == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m.nii.gz"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_full_disk_leaves_the_old_file_and_one_line(tmp_path, suffix):
    """A limit on the size of files stands for a full disk; ITK notices it in no format by itself."""
    path = tmp_path / f"m{suffix}"
    write(mask(1), path)
    code = (
        "import resource, signal, sys; from pathlib import Path; import numpy as np; from napari_medseg.io import write; "
        "from napari_medseg.volume import Volume, Geometry; from napari_medseg.errors import UnwritableFileError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (30, 40, 50)).astype(np.uint8)\n"
        f"try: write(Volume(noise, Geometry(noise.shape)), Path({str(path)!r}))\n"
        "except UnwritableFileError as error: sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"m{suffix}: could not be written" in done.stderr.splitlines()[-1]
    assert read(path).array.max() == 1
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_temporary_file_has_the_right_suffix_beside_the_old_file(tmp_path):
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    with replacing(tmp_path / "report.html") as part:
        assert part.parent == tmp_path
        assert part.suffix == ".html"
        part.write_text("new", encoding="utf-8")
        assert (tmp_path / "report.html").read_text(encoding="utf-8") == "old"
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "new"
    with replacing(tmp_path / "m.nii.gz") as part:
        assert part.name.endswith(".nii.gz")
        part.touch()


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
def test_an_error_or_ctrl_c_while_writing_leaves_what_was_there(tmp_path, fault):
    (tmp_path / "a.json").write_text("old", encoding="utf-8")

    def stopped():
        with replacing(tmp_path / "a.json") as part:
            part.write_text("half", encoding="utf-8")
            raise fault

    with pytest.raises(fault):
        stopped()
    assert {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()} == {"a.json": "old"}


def test_an_error_of_ours_inside_keeps_its_own_words(tmp_path):
    with pytest.raises(UnreadableFileError, match="is empty"), replacing(tmp_path / "a.json"):
        raise UnreadableFileError("is empty", where="x")
