"""Medseg's page in napari's own preferences dialog: what is chosen there counts at once, is kept, and is read by what runs without napari."""

from __future__ import annotations

import napari.settings
import numpy as np
import pytest
from napari.settings import get_plugin_settings

from napari_medseg.gui.desk import desk_for
from napari_medseg.session import preferences
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """Our settings as napari makes them for one test alone."""
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    monkeypatch.setattr(napari.settings, "_PLUGIN_SETTINGS", {})
    return get_plugin_settings("napari-medseg", path_dir=tmp_path)


def test_a_choice_in_the_dialog_counts_at_once_and_is_kept(ours, window, tmp_path):
    desk = desk_for(window)
    session = desk.session
    scan = session.open(Volume(np.zeros((4, 8, 8), np.float32), Geometry((4, 8, 8), (1.0, 1.0, 1.0)), "a", "MR"))
    scan.hold_nothing()
    session.labels_changed.emit(scan, None)
    ours.medseg_working.device = "cpu"
    ours.medseg_working.live = False
    ours.medseg_looks.letters = False
    ours.medseg_looks.fill = 20
    ours.medseg_folders.studies = str(tmp_path)
    assert (session.device, session.segment.live, session.letters) == ("cpu", False, False)
    assert desk.writer.of(scan).labels.opacity == pytest.approx(0.2)
    kept = preferences.load().choices
    assert (kept.device, kept.live, kept.fill, kept.studies_folder) == ("cpu", False, 20, tmp_path)
    assert "device: cpu" in (tmp_path / "napari-medseg.yaml").read_text(encoding="utf-8")


def test_what_was_chosen_while_no_window_of_ours_was_open_counts_when_one_opens(ours, window):
    ours.medseg_working.threads = 3
    session = desk_for(window).session
    assert session.choices.threads == 3
    assert preferences.load().choices.threads == 3


def test_a_switch_of_our_own_moves_in_the_dialog_too(ours, window):
    desk = desk_for(window)
    desk.preferences_page.set(pen=True)
    assert ours.medseg_working.pen
    assert preferences.load().pen


def test_a_folder_that_is_not_there_is_said_once_and_the_usual_one_used(ours, window, monkeypatch):
    said = []
    monkeypatch.setattr("napari_medseg.gui.preferences_page.show_warning", said.append)
    desk = desk_for(window)
    ours.medseg_folders.scans = "/no/such/folder"
    ours.medseg_looks.letters = False
    assert len(said) == 1
    assert "no folder that is there" in said[0]
    assert desk.session.choices.scans == ""


def test_a_window_that_closed_follows_the_dialog_no_more(ours, window):
    desk = desk_for(window)
    desk.shut()
    ours.medseg_working.device = "cpu"
    assert desk.session.device == "auto"


def test_the_dialog_has_our_page(ours, window, qtbot):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    dialog = PreferencesDialog()
    qtbot.addWidget(dialog)
    assert "Medseg" in [dialog._list.item(row).text() for row in range(dialog._list.count())]
