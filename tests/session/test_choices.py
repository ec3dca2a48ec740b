"""What a person settles in napari's preferences: values that make no sense are said and the usual ones taken; sessions and trainings work by them."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest
import yaml

import napari_medseg
from napari_medseg.session import preferences
from napari_medseg.session.choices import DEVICES, LIMITS, Choices, checked
from napari_medseg.session.refining_runs import runs_folder
from napari_medseg.session.remembering import settle
from napari_medseg.session.session import Session
from napari_medseg.volume.windows import Preset, Window


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "preferences.json"
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(path))
    return path


@pytest.fixture
def sessions():
    made: list[Session] = []

    def make() -> Session:
        made.append(Session(lambda function: function()))
        return made[-1]

    yield make
    for session in made:
        session.shut()


def declared() -> dict[str, dict]:
    manifest = yaml.safe_load((Path(napari_medseg.__file__).parent / "napari.yaml").read_text(encoding="utf-8"))
    return {name: each for part in manifest["contributions"]["configurations"].values() for name, each in part["properties"].items()}


def test_the_dialog_offers_just_what_is_kept_with_the_same_defaults_and_limits():
    offered = declared()
    assert set(offered) == {each.name for each in fields(Choices)}
    assert {name: each["default"] for name, each in offered.items()} == asdict(Choices())
    assert tuple(offered["device"]["enum"]) == DEVICES
    assert {name: (each["minimum"], each["maximum"]) for name, each in offered.items() if "minimum" in each} == LIMITS
    assert all(each["title"] and each["description"].endswith(".") for each in offered.values())


def test_what_makes_sense_is_taken(tmp_path):
    wanted = {"device": "cpu", "threads": 3, "live": False, "autosave_s": 5, "fill": 20, "studies": str(tmp_path)}
    told = []
    choices = checked(wanted, told.append)
    assert {name: getattr(choices, name) for name in wanted} == wanted
    assert choices.studies_folder == tmp_path
    assert choices.scans_folder == Path.home()
    assert told == []


@pytest.mark.parametrize(("name", "value", "words"), [
    ("device", "tpu", "none of auto, cpu, cuda, mps"),
    ("threads", -1, "not between 0 and 256"), ("threads", 1.5, "no whole number"), ("threads", float("inf"), "not between"),
    ("live", "yes", "neither on nor off"),
    ("autosave_s", 0, "not between 0.5 and 60"), ("autosave_s", float("nan"), "not between"), ("fill", True, "no number"),
    ("trainings", "/no/such/folder", "no folder that is there"), ("scans", 3, "no folder"), ("studies", "a\0b", "no folder that is there"),
])
def test_a_value_that_makes_no_sense_is_said_and_the_usual_one_used(name, value, words):
    told = []
    assert checked({name: value, "place": False}, told.append) == Choices(place=False)
    assert len(told) == 1
    assert name in told[0]
    assert words in told[0]
    assert "Choose it anew" in told[0]


def test_what_was_settled_is_kept_and_holds_for_the_next_session(file, sessions, tmp_path):
    settled = Choices(device="cpu", live=False, letters=False, autosave_s=9, trainings=str(tmp_path), pen=True)
    preferences.choose(settled)
    preferences.set_user("Ada")
    assert preferences.load().choices == settled
    assert preferences.load().pen
    session = sessions()
    assert (session.device, session.levelset.device) == ("cpu", "cpu")
    assert (session.segment.live, session.scribble.live, session.cleanup.live) == (False, False, False)
    assert (session.letters, session.readout) == (False, True)
    assert runs_folder(session).parent == tmp_path


def test_a_level_set_that_cannot_run_on_an_apple_gpu_chooses_for_itself(file, sessions):
    session = sessions()
    settle(session, Choices(device="mps"))
    assert (session.device, session.levelset.device) == ("mps", "auto")


def test_another_choice_leaves_what_was_switched_in_a_tab(file, sessions):
    session = sessions()
    session.set(device="cpu")
    session.scribble = type(session.scribble)(live=False)
    settle(session, Choices(letters=False))
    assert session.device == "cpu"
    assert not session.scribble.live


def test_the_window_opens_as_it_was_left(file, sessions):
    first = sessions()
    first.set(tab="refine", mode="scribbles")
    first.windows.chosen["CT HU"] = Preset("own", "Own", Window(-500, 1400))
    first.windows.chosen["MR"] = Preset("bright", "Bright parts", share=(50.0, 99.9))
    first.levelset = type(first.levelset)(size=3, smoothness=-1)
    first.shut()
    again = sessions()
    assert (again.tab, again.mode) == ("refine", "scribbles")
    assert again.windows.chosen == first.windows.chosen
    assert (again.levelset.size, again.levelset.smoothness) == (3, -1)


def test_each_label_has_its_sliders_back(file, sessions):
    session = sessions()
    organ, tumour = session.label_class.value, session.add_class("Tumour").value
    session.set(chosen=organ)
    session.levelset = type(session.levelset)(size=4)
    session.set(chosen=tumour)
    session.levelset = type(session.levelset)(size=-2, edge=7)
    session.set(chosen=organ)
    assert session.levelset.size == 4
    session.set(chosen=tumour)
    assert (session.levelset.size, session.levelset.edge) == (-2, 7)


@pytest.mark.parametrize("last", [
    "3", '{"tab": "x", "windows": [1], "sliders": {"Organ": {"size": 99}}, "engine": "no"}',
    '{"windows": {"CT": {"width": -1, "level": 0}}}',
])
def test_what_was_left_in_a_damaged_file_counts_as_not_there(file, sessions, last):
    file.write_text(f'{{"last": {last}, "choices": [1]}}', encoding="utf-8")
    session = sessions()
    assert (session.tab, session.levelset.size, session.windows.chosen) == ("weak", 0, {})
    assert session.choices == Choices()
