import inspect

import pytest

from napari_medseg.gui.key_table import INFORMATION, TABLE, assigned, changed, matching, spelt, with_key

pytestmark = pytest.mark.qt


def layer_kinds():
    from napari import layers

    return [layers.Image, layers.Labels, layers.Points, layers.Shapes, layers.Surface, layers.Tracks, layers.Vectors]


def napari_keys(window):
    """Every key that napari binds: of the viewer, of each kind of layer, in the settings, in the menus; with what it does."""
    from napari._app_model import get_app_model
    from napari.components import ViewerModel
    from napari.settings import get_settings
    from napari.utils.shortcuts import default_shortcuts

    found = {}
    for kind in (ViewerModel, *layer_kinds()):
        for base in kind.__mro__:
            for key, act in getattr(base, "class_keymap", {}).items():
                found.setdefault(str(key), []).append(f"{kind.__name__}: {getattr(act, '__name__', act)}")
    for keys in (default_shortcuts, get_settings().shortcuts.shortcuts):
        for act, bound in keys.items():
            for key in bound:
                found.setdefault(str(key), []).append(act)
    for binding in get_app_model().keybindings:
        found.setdefault(str(binding.keybinding), []).append(binding.command_id)
    return found


def test_no_key_of_ours_is_napari_s_on_any_layer_but_undo_and_redo(window):
    from napari.utils.key_bindings import coerce_keybinding

    theirs = napari_keys(window)
    assert len(theirs) > 60
    assert "P" in theirs
    assert "Ctrl+S" in theirs
    clashes = {row.id: theirs[str(coerce_keybinding(row.key))] for row in TABLE if str(coerce_keybinding(row.key)) in theirs}
    assert set(clashes) == {row.id for row in TABLE if row.overrides} == {"undo", "redo"}


def test_every_act_has_an_id_and_a_key_of_its_own_that_napari_understands():
    from app_model.types import KeyCode
    from napari.utils.key_bindings import coerce_keybinding

    assert len({row.id for row in TABLE}) == len(TABLE) == len({row.key for row in TABLE})
    for row in TABLE:
        assert all(part.key is not KeyCode.UNKNOWN for part in coerce_keybinding(row.key).parts), row
        assert row.run is not None
        assert row.words[0].isupper()
        assert not row.words.endswith(".")


def test_all_keys_of_the_table_are_bound_while_a_dock_is_open_and_napari_has_its_own_after(viewer, dock, desk):
    from napari.utils.key_bindings import coerce_keybinding

    assert all(coerce_keybinding(row.key) in viewer.keymap for row in TABLE)
    desk.shut()
    assert not any(coerce_keybinding(row.key) in viewer.keymap for row in TABLE)


def test_the_act_of_a_held_key_ends_when_it_is_let_go(viewer, dock, session, ball):
    from napari.utils.key_bindings import coerce_keybinding

    held = viewer.keymap[coerce_keybinding("H")]
    assert inspect.isgeneratorfunction(held)
    assert not inspect.isgeneratorfunction(viewer.keymap[coerce_keybinding("G")])


def test_another_key_takes_the_place_of_the_old_one_and_who_had_it_gets_that(viewer, dock, desk, session, monkeypatch, tmp_path):
    from napari.utils.key_bindings import coerce_keybinding

    from napari_medseg.gui.keys import Keys

    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    turned = []
    session.changed.connect(lambda: turned.append(session.tab))
    desk.keys.change(with_key(desk.keys.now, "refine", "Control-4"))
    viewer.keymap[coerce_keybinding("Control-4")](viewer)
    assert session.tab == "refine"
    viewer.keymap[coerce_keybinding("Control-3")](viewer)
    assert session.tab == "review"
    assert changed(desk.keys.now) == {"refine": "Control-4", "review": "Control-3"}
    assert Keys(viewer, desk).now == desk.keys.now
    desk.keys.change(assigned({}))
    assert Keys(viewer, desk).now == assigned({})


def test_an_act_may_have_no_key():
    keys = with_key(assigned({}), "accept", "")
    assert keys["accept"] == ""
    assert with_key(keys, "discard", "K")["accept"] == ""
    assert assigned({"accept": "", "unheard of": "F9"}) == keys


def test_a_search_finds_keys_by_key_by_act_and_by_place():
    keys = assigned({})
    assert [row.id for row in matching("shift+k", TABLE, keys)][:1] == ["discard"]
    assert [row.id for row in matching("ruler distance", TABLE, keys)] == []
    assert [row.id for row in matching("DISTANCE mm", TABLE, keys)] == ["ruler"]
    assert all("Blinded" in row.where for row in matching("blinded outline", INFORMATION, keys))
    assert spelt("Control-Shift-Z") == "Ctrl+Shift+Z"


@pytest.fixture
def sheet(dock, desk, qtbot):
    """The sheet over a plain window that the dock is in."""
    from qtpy.QtWidgets import QMainWindow

    window = QMainWindow()
    window.resize(1000, 700)
    qtbot.addWidget(window)
    window.setCentralWidget(dock)
    window.show()
    desk.keys.sheet.toggle()
    yield desk.keys.sheet.shown
    window.takeCentralWidget()


def choose(sheet, act):
    from napari_medseg.gui.key_sheet import ROW

    for index in range(sheet.rows.topLevelItemCount()):
        heading = sheet.rows.topLevelItem(index)
        for child in range(heading.childCount()):
            if heading.child(child).data(0, ROW).id == act:
                sheet.rows.setCurrentItem(heading.child(child))
                return heading.child(child)
    raise AssertionError(act)


def rows(sheet):
    return sum(sheet.rows.topLevelItem(index).childCount() for index in range(sheet.rows.topLevelItemCount()))


def test_the_sheet_is_complete_can_be_searched_and_closes_by_esc_or_a_question_mark(sheet, desk, qtbot):
    from qtpy.QtCore import Qt

    assert rows(sheet) == len(TABLE) + len(INFORMATION)
    qtbot.keyClicks(sheet.search, "ruler")
    assert rows(sheet) == 0
    sheet.search.setText("distance")
    assert rows(sheet) == 1
    qtbot.keyClick(sheet.search, Qt.Key.Key_Escape)
    assert not sheet.isVisible()
    desk.keys.sheet.toggle()
    assert sheet.isVisible()
    qtbot.keyClicks(sheet.search, "?")
    assert not sheet.isVisible()


def test_a_key_is_given_by_pressing_it_and_one_of_napari_s_is_refused_by_name(sheet, desk, qtbot):
    from qtpy.QtCore import Qt

    choose(sheet, "accept")
    qtbot.keyClick(sheet.rows, Qt.Key.Key_Return)
    qtbot.keyClick(sheet.rows, Qt.Key.Key_P)
    assert "napari's own" in sheet.said.text()
    assert desk.keys.now["accept"] == "K"
    qtbot.keyClick(sheet.rows, Qt.Key.Key_F8)
    assert desk.keys.now["accept"] == "F8"
    assert choose(sheet, "accept").text(0) == "F8"
    choose(sheet, "accept")
    sheet.ask()
    qtbot.keyClick(sheet.rows, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier)
    assert desk.keys.now["accept"] == "Control-Alt-G"
    sheet.ask()
    qtbot.keyClick(sheet.rows, Qt.Key.Key_Escape)
    assert sheet.isVisible()
    assert desk.keys.now["accept"] == "Control-Alt-G"


def test_two_acts_change_keys_and_the_sheet_says_both(sheet, desk, qtbot):
    from qtpy.QtCore import Qt

    choose(sheet, "run")
    sheet.ask()
    qtbot.keyClick(sheet.rows, Qt.Key.Key_K)
    assert (desk.keys.now["run"], desk.keys.now["accept"]) == ("K", "G")
    assert "Accept the preview: G" in sheet.said.text()
    sheet.reset.click()
    assert desk.keys.now == assigned({})


def test_words_of_the_window_name_the_key_that_is_in_force():
    from napari_medseg.gui.key_words import worded

    keys = assigned({"accept": "F8", "back": "Control-Alt-B", "run": "", "discard": "K"})
    assert worded("Put the preview into the label (K)", keys) == "Put the preview into the label (F8)"
    assert worded("Drop the preview (Shift+K)", keys) == "Drop the preview (K)"
    assert worded("This slice is right (Alt+K)", keys) == "This slice is right (Alt+K)"
    assert worded("Take the last update back, a bit ( , )", keys) == "Take the last update back, a bit ( Ctrl+Alt+B )"
    assert worded("Grow 3 x 8 mm, and Keep (G)", keys) == "Grow 3 x 8 mm, and Keep (no key)"
    assert worded("Smaller or bigger (8 and 9)", assigned({"smaller": "F7"})) == "Smaller or bigger (F7 and 9)"
    assert worded("Within (8 to 9) mm", assigned({"smaller": "F7"})) == "Within (8 to 9) mm"
    assert worded("K", keys) == "F8"
    assert worded("Q: back to Liver", keys) == "Q: back to Liver"


def test_the_guide_names_the_key_that_is_in_force(dock, desk, session, open_sample, qtbot):
    open_sample()
    dock.guide.refresh()
    assert dock.guide.key.text() == "<b>[Q]</b>"
    desk.keys.change(with_key(desk.keys.now, "flip", "F4"))
    dock.guide.refresh()
    assert dock.guide.key.text() == "<b>[F4]</b>"
