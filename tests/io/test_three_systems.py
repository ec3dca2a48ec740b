"""What Windows, macOS and Linux do differently with files, as far as it can be tried on any of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.errors import UnwritableFileError
from napari_medseg.io import atomic, read, replacing, write
from napari_medseg.io.atomic import put
from napari_medseg.io.names import LONGEST, free_name, plain_name
from napari_medseg.volume import Geometry, Volume


class OpenElsewhere(PermissionError):
    """As Windows answers while another program has a file open."""

    winerror = 32

    def __init__(self) -> None:
        super().__init__(13, "The process cannot access the file because it is being used by another process")


@pytest.fixture
def windows(monkeypatch):
    """A system that refuses to rename for a number of times; no time goes by while one waits."""
    waited: list[float] = []
    really = os.replace
    left = {"times": 0}

    def refusing(source, target):
        if left["times"]:
            left["times"] -= 1
            raise OpenElsewhere
        really(source, target)

    def refuse(times: int) -> list[float]:
        left["times"] = times
        return waited

    monkeypatch.setattr(atomic.os, "replace", refusing)
    monkeypatch.setattr(atomic.time, "sleep", waited.append)
    return refuse


def test_a_file_that_a_virus_scanner_looks_at_for_a_moment_is_replaced_all_the_same(tmp_path: Path, windows):
    path = tmp_path / "labels.txt"
    path.write_text("old", encoding="utf-8")
    waited = windows(3)
    with replacing(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"
    assert len(waited) == 3


def test_a_file_that_stays_open_elsewhere_is_left_as_it_was_and_said(tmp_path: Path, windows):
    path = tmp_path / "labels.txt"
    path.write_text("old", encoding="utf-8")
    waited = windows(1000)
    with pytest.raises(UnwritableFileError, match="Close it in other programs"), replacing(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "old"
    assert sum(waited) < 3
    assert [each.name for each in tmp_path.iterdir()] == ["labels.txt"]


def test_a_folder_that_may_not_be_written_to_is_not_waited_for(tmp_path: Path, monkeypatch):
    waited: list[float] = []

    def refused(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic.os, "replace", refused)
    monkeypatch.setattr(atomic.time, "sleep", waited.append)
    with pytest.raises(PermissionError):
        put(tmp_path / "a", tmp_path / "b")
    assert waited == []


def test_a_path_too_long_for_windows_is_told_as_that(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(atomic.os, "name", "nt")
    error = OSError(2, "No such file or directory")
    long, short = "C:/" + "a" * 270, "C:/labels.nii.gz"
    assert "more than 259 letters" in atomic.advice(error, _Fixed(long))
    assert "letters" not in atomic.advice(error, _Fixed(short))


class _Fixed:
    """A path of Windows, which no other system can make."""

    def __init__(self, words: str) -> None:
        self.words = words

    def absolute(self) -> str:
        return self.words


@pytest.mark.parametrize(("name", "plain"), [
    ("T1/T2: a?", "T1-T2- a-"), ("CON", "CON_"), ("aux.nii.gz", "aux_.nii.gz"), ("console", "console"), ("com1", "com1_"), ("ends. ", "ends"), ("...", "scan"),
    ("", "scan"), ("\\\\server\\share", "-server-share"), ("Leber ü 肝", "Leber ü 肝"), ("a\nb\0c", "a-b-c"),
])
def test_a_name_that_some_system_refuses_is_made_plain(name, plain):
    assert plain_name(name) == plain


@given(st.text(max_size=300))
def test_a_plain_name_is_plain_already_and_has_room_for_an_ending(name):
    plain = plain_name(name)
    assert plain_name(plain) == plain
    assert 0 < len(plain) <= LONGEST + 1
    assert not set(plain) & set('<>:"/\\|?*\0\n')


def test_two_names_that_differ_in_case_alone_become_two_files():
    assert free_name("Liver", ["liver", "LIVER 2"]) == "Liver 3"
    assert free_name("spleen", ["liver"]) == "spleen"


@pytest.mark.parametrize("folder", ["a folder with spaces", "Ünïcode 肝", "per%cent & 'quotes'", "-dash"])
def test_folders_may_have_any_name(folder, tmp_path: Path):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "a scan.nii.gz"
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write(Volume(array, Geometry(array.shape, (1.0, 1.0, 1.0))), path)
    assert np.array_equal(read(path).array, array)
