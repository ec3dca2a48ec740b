"""What a run was asked for lies on disk while it is unfinished, whole, without a byte that could run, and goes when the run is done."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.errors import MissingFileError, TrainingError, UnwritableFileError
from napari_medseg.refine import kept as keeping
from napari_medseg.refine.kept import FOLDER, REQUEST, forget, going_on, kept, unfinished
from napari_medseg.refine.request import Folders, RefineRequest, Replay
from napari_medseg.refine.salah.recipe import salah2023
from napari_medseg.volume import Geometry, Volume

QUICK = salah2023(rounds=2, epochs=3)


@pytest.fixture
def asked(patients, tmp_path):
    """A request in which nothing is as it is by default."""
    first, *others = patients.cases
    known = {first.id: first.labels}
    odd = Geometry(first.image.geometry.shape, (0.1 + 0.2, 1 / 3, 2.0), (1e-9, -7.5, 3.25), (0, 1, 0, 1, 0, 0, 0, 0, -1))
    image = Volume(first.image.array.astype(np.int16), odd, "séance 1", "MR", units="HU", channel_names=("T1",), series="1.2.3")
    turned = type(first)(first.id, image, Volume(first.labels.array, odd))
    return RefineRequest(
        cases=(turned, *others), recipe=QUICK, base=tmp_path / "base.safetensors", out=tmp_path / "out", corrected={first.id: turned.labels},
        verified=tmp_path / "verified", heldout=Folders(tmp_path / "images", tmp_path / "labels"), truth=known, class_names={1: "liver"}, seed=7,
        device="cpu", patients={first.id: "a"}, sides={first.id: "teach"}, start="continue", freeze="encoder",
        replay=Replay(tuple(others), 0.5, 0.125), watch={"old": tuple(others[:1])}, every_round=False, processes=3,
    )


def same(a, b):
    if isinstance(a, Volume):
        facts = ("geometry", "name", "modality", "units", "channel_names", "series")
        return a.array.dtype == b.array.dtype and np.array_equal(a.array, b.array) and all(getattr(a, f) == getattr(b, f) for f in facts)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if hasattr(a, "__slots__") and not isinstance(a, Path):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return a == b


def test_every_field_of_a_request_comes_back_to_the_bit(asked):
    held = going_on(asked)
    held.__enter__()  # and never leaves, as in a crash
    back = kept(asked.out)
    assert back.resume
    unlike = [f.name for f in fields(RefineRequest) if f.name != "resume" and not same(getattr(asked, f.name), getattr(back, f.name))]
    assert unlike == []
    default = RefineRequest(cases=())
    untried = [f.name for f in fields(RefineRequest) if f.name != "resume" and getattr(asked, f.name) == getattr(default, f.name)]
    assert untried == []


def test_nothing_that_is_kept_can_run_code(asked):
    going_on(asked).__enter__()
    for path in (asked.out / FOLDER).glob("*.npz"):
        with np.load(path, allow_pickle=False) as content:
            assert content["array"].dtype != object
    assert {p.suffix for p in (asked.out / FOLDER).iterdir()} <= {".npz", ".json", ""}


def test_it_goes_when_the_run_is_done_and_stays_when_it_was_cut_off(asked):
    with pytest.raises(KeyboardInterrupt), going_on(asked):
        raise KeyboardInterrupt
    assert [run.out for run in unfinished(asked.out.parent)] == [asked.out]
    with going_on(kept(asked.out)):
        pass
    assert unfinished(asked.out.parent) == ()
    assert list(asked.out.iterdir()) == []


def test_unfinished_runs_say_what_they_are(asked):
    with pytest.raises(KeyboardInterrupt), going_on(asked):
        raise KeyboardInterrupt
    (asked.out / "rounds.json").write_text(json.dumps({"rounds": [{"round": 0}, {"round": 1}]}))
    (run,) = unfinished(asked.out)
    assert (run.recipe, run.round, run.rounds, run.cases) == ("salah2023", 1, 2, tuple(case.id for case in asked.cases))
    assert run.written.timestamp() == pytest.approx((asked.out / "rounds.json").stat().st_mtime, abs=1)
    forget(asked.out)
    assert unfinished(asked.out) == ()
    assert (asked.out / "rounds.json").is_file()


def test_a_run_at_work_is_not_unfinished_and_lets_nobody_else_in(asked):
    with going_on(asked):
        assert unfinished(asked.out) == ()
        with pytest.raises(TrainingError, match="another refinement is at work"), going_on(asked):
            pass
        assert kept(asked.out).seed == 7  # what was kept is untouched


def test_a_damaged_scan_is_found_before_it_is_learnt_from(asked):
    going_on(asked).__enter__()
    path = max((asked.out / FOLDER).glob("*.npz"), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="kept of this run is damaged"):
        kept(asked.out)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}'])
def test_a_damaged_record_is_a_sentence(tmp_path, text):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / REQUEST).write_text(text)
    with pytest.raises(TrainingError):
        kept(tmp_path)
    assert unfinished(tmp_path) == ()


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(MissingFileError, match="no unfinished run"):
        kept(tmp_path)
    assert unfinished(tmp_path / "nowhere") == ()


def test_a_disk_that_cannot_hold_the_scans_is_said_before_anything_is_written(asked, monkeypatch):
    usage = keeping.shutil.disk_usage(asked.out.parent)
    monkeypatch.setattr(keeping.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UnwritableFileError, match=r"need 0.000 GB there .* and 0.000 GB are free"), going_on(asked):
        pass
    assert list(asked.out.iterdir()) == []


def test_scans_from_folders_are_named_and_not_copied(asked, tmp_path):
    request = RefineRequest(Folders(tmp_path / "i", tmp_path / "l"), QUICK, out=tmp_path / "o")
    going_on(request).__enter__()
    assert not list((tmp_path / "o" / FOLDER).glob("*.npz"))
    assert kept(tmp_path / "o").cases == request.cases


def test_a_folder_that_has_changed_since_is_named(tmp_path):
    for name in ("i", "l"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.nii.gz").write_bytes(b"1")
    going_on(RefineRequest(Folders(tmp_path / "i", tmp_path / "l"), QUICK, out=tmp_path / "o")).__enter__()
    (tmp_path / "l" / "a.nii.gz").write_bytes(b"22")
    with pytest.raises(TrainingError, match=r"l: is not as it was when the run began \(a.nii.gz\)"):
        kept(tmp_path / "o")


def test_a_run_without_a_folder_keeps_nothing(patients, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with going_on(RefineRequest(patients.cases, QUICK)):
        assert list(here.iterdir()) == []
