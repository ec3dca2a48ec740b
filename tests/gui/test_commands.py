"""napari's menus and its command palette: every entry does something sensible, whether Medseg is open or not."""

from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_medseg
from napari_medseg.gui import commands
from napari_medseg.gui.desk import find_desk

pytestmark = pytest.mark.qt

CONTRIBUTIONS = PluginManifest.from_file(Path(napari_medseg.__file__).parent / "napari.yaml").contributions
ACTS = [command.python_name.rpartition(":")[2] for command in CONTRIBUTIONS.commands if "gui.commands" in command.python_name]


@pytest.mark.parametrize(("command", "tab"), [("segment", "segment"), ("weak", "weak"), ("refine", "refine"), ("review", "review")])
def test_a_tab_opens_from_a_menu_whether_medseg_is_open_or_not(window, command, tab):
    getattr(commands, command)()
    desk = find_desk(window)
    assert desk.session.tab == tab
    desk.session.set(tab="weak" if tab != "weak" else "segment")
    getattr(commands, command)()
    assert find_desk(window) is desk
    assert desk.session.tab == tab
    desk.shut()


def test_every_act_can_be_asked_for_with_nothing_open_and_says_what_is_missing(window, notifications):
    for act in ACTS:
        getattr(commands, act)()
    told = [message for _, message in notifications()]
    assert any("no preview to accept" in message for message in told)
    assert any("no study is open" in message for message in told)
    find_desk(window).shut()


def test_without_a_window_nothing_happens():
    for act in ACTS:
        getattr(commands, act)()


def test_menus_of_napari_lead_to_acts_and_readers_stay_out_of_the_palette():
    from napari._app_model.constants import MenuId

    known = {command.id: command for command in CONTRIBUTIONS.commands}
    assert {"napari/layers/segment", "napari/layers/annotate"} <= set(CONTRIBUTIONS.menus) <= {str(menu) for menu in MenuId.contributables()}
    assert all(item.command in known for items in CONTRIBUTIONS.menus.values() for item in items)
    assert all(known[each].enablement == "False" for each in ("napari-medseg.read", "napari-medseg.write_labels"))
