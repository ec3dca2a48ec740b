import pytest

from napari_medseg.session import preferences
from napari_medseg.session.preferences import Preferences


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "config" / "preferences.json"
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(path))
    return path


def test_the_name_and_the_studies_are_remembered_the_last_first(file, tmp_path):
    preferences.set_user("  Ada   Lovelace ")
    for name in ("a", "b", "a"):
        preferences.opened(tmp_path / f"{name}.medseg")
    kept = preferences.load()
    assert kept.user == "Ada Lovelace"
    assert [r.rsplit(".", 1)[0][-1] for r in kept.recent] == ["a", "b"]
    assert kept.last_study.endswith("a.medseg")


def test_only_the_last_few_studies_are_remembered(file, tmp_path):
    for i in range(20):
        preferences.opened(tmp_path / str(i))
    assert len(preferences.load().recent) == 8


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b'{"user": 3, "recent": "x"}', b'{"recent": [1, {}]}'])
def test_a_file_that_is_damaged_counts_as_not_there(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    assert preferences.load() == Preferences()


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "taken" / "preferences.json"))
    preferences.set_user("Ada")
    assert preferences.load() == Preferences()


def test_nothing_is_kept_where_the_variable_is_empty(monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", "")
    preferences.set_user("Ada")
    assert preferences.load() == Preferences()


def test_what_the_program_is_for_is_told_once(file):
    assert not preferences.load().noticed
    preferences.set_user("Ada")
    preferences.notice_seen()
    kept = preferences.load()
    assert (kept.noticed, kept.user) == (True, "Ada")
