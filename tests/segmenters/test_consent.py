"""A person's word that a model may run its own code: explicit, remembered, and for exactly that content."""

import json
from pathlib import Path

import pytest

from napari_medseg.errors import MissingFileError, SegmenterError, UnwritableFileError
from napari_medseg.segmenters import consent


@pytest.fixture(autouse=True)
def _own_config(monkeypatch, tmp_path):
    monkeypatch.setattr(consent, "consents_file", lambda: tmp_path / "config" / "consents.json")


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "bundle" / "scripts").mkdir(parents=True)
    (tmp_path / "bundle" / "scripts" / "net.py").write_text("print('hello')")
    (tmp_path / "bundle" / "config.json").write_text("{}")
    return tmp_path / "bundle"


def test_without_consent_it_is_refused_with_the_reason(bundle):
    with pytest.raises(SegmenterError, match=r"bundle: is refused: it runs net\.py\. If you trust .* agree"):
        consent.require(bundle, "it runs net.py", None)


def test_consent_is_remembered_with_what_it_was_for(bundle):
    consent.require(bundle, "it runs net.py", True)
    consent.require(bundle, "it runs net.py", None)
    (kept,) = json.loads(consent.consents_file().read_text()).values()
    assert kept["name"] == "bundle"
    assert kept["reason"] == "it runs net.py"


@pytest.mark.parametrize("change", [
    lambda folder: (folder / "scripts" / "net.py").write_text("print('other')"), lambda folder: (folder / "new.py").write_text(""),
    lambda folder: (folder / "config.json").rename(folder / "other.json"), lambda folder: (folder / "config.json").unlink(),
])
def test_any_change_asks_again(bundle, change):
    consent.give(bundle, "x")
    change(bundle)
    assert not consent.is_given(bundle)


def test_moving_it_does_not_ask_again(bundle):
    consent.give(bundle, "x")
    assert consent.is_given(bundle.rename(bundle.parent / "elsewhere"))


def test_no_withdraws_it(bundle):
    consent.give(bundle, "x")
    with pytest.raises(SegmenterError):
        consent.require(bundle, "x", False)
    assert not consent.is_given(bundle)


def test_one_file_is_not_another(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(name)
    consent.give(tmp_path / "a.py", "x")
    assert consent.is_given(tmp_path / "a.py")
    assert not consent.is_given(tmp_path / "b.py")


def test_what_is_read_is_what_was_agreed_to(tmp_path):
    code = tmp_path / "net.py"
    with pytest.raises(MissingFileError):
        consent.read(code, "it runs")
    code.write_bytes(b"print(1)")
    with pytest.raises(SegmenterError, match="is refused: it runs"):
        consent.read(code, "it runs")
    consent.give(code, "it runs")
    assert consent.read(code, "it runs") == b"print(1)"
    code.write_bytes(b"print(2)")
    with pytest.raises(SegmenterError, match="is refused: it runs"):
        consent.read(code, "it runs")


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_a_damaged_file_of_consents_consents_to_nothing_and_heals(bundle, content):
    consent.give(bundle, "x")
    consent.consents_file().write_text(content)
    assert not consent.is_given(bundle)
    consent.give(bundle, "x")
    assert consent.is_given(bundle)


def test_what_is_not_there_has_no_fingerprint(tmp_path):
    with pytest.raises(MissingFileError):
        consent.fingerprint(tmp_path / "gone")


def test_a_consent_that_cannot_be_kept_is_said(bundle, monkeypatch):
    monkeypatch.setattr(consent, "consents_file", lambda: Path(bundle / "config.json" / "consents.json"))
    with pytest.raises(UnwritableFileError):
        consent.give(bundle, "x")
