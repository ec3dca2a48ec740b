"""The Segment tab in its real widgets, with the segmenter of the tests: tools on the canvas, objects, form, keys, uncertainty, size."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Image, Points, Vectors
from pointed import Pointed, entry
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit

from napari_medseg.gui.layers import layer_data
from napari_medseg.gui.segment_tab import SegmentTab
from napari_medseg.gui.weak_tab import WeakTab
from napari_medseg.refine.method import Example
from napari_medseg.refine.panel.recipe import gil2023
from napari_medseg.session import preferences
from napari_medseg.session.guide import next_step
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt
AS_SHOWN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SPARE = 17  # pixels that 1366 x 768 leaves below the tab in a real window
FIRST, SECOND = (12, 18, 14), (12, 20, 32)


@pytest.fixture
def truth():
    z, y, x = np.mgrid[:24, :40, :44]
    labels = np.zeros(z.shape, np.uint8)
    labels[(z - 12) ** 2 + (y - 18) ** 2 + (x - 14) ** 2 < 64] = 1
    labels[(z - 12) ** 2 + (y - 20) ** 2 + (x - 32) ** 2 < 36] = 2
    return labels


@pytest.fixture
def engine(session):
    Pointed.reset()
    asks = [
        {"name": "model", "kind": "folder", "title": "Folder of the model"},
        {"name": "step", "kind": "number", "title": "Step", "default": 0.5, "required": False},
        {"name": "fold", "kind": "choice", "title": "Fold", "choices": ["all", "0"], "default": "all"},
        {"name": "agreed", "kind": "consent", "title": "It may run its own code"},
    ]
    added = {
        "pointed": entry(), "clicks": entry("clicks", title="Clicks", capabilities={"prompts": ["points"]}), "other": entry("other", title="Other"),
        "asking": entry("asking", title="Asking", asks=asks), "absent": entry("absent", title="Absent", requires={"no_such_module_here": "no-such==1"}),
    }
    session.catalogue = replace(session.catalogue, entries={**session.catalogue.entries, **added})
    session.set(engine="pointed", device="cpu")
    yield Pointed
    Pointed.reset()


@pytest.fixture
def scan(viewer, dock, session, engine, truth):
    session.set(tab="segment")
    volume = Volume(np.choose(truth, [0.0, 130.0, 300.0]).astype(np.float32), Geometry(truth.shape, direction=AS_SHOWN), name="two balls")
    array, keywords, _ = layer_data(volume)
    viewer.add_image(array, **keywords)
    viewer.dims.set_point(0, viewer.layers[0].data_to_world((12, 0, 0))[0])
    return session.current


@pytest.fixture
def tab(dock):
    return dock.findChild(SegmentTab)


@pytest.fixture
def rest(session, qtbot):
    return lambda: qtbot.waitUntil(lambda: not session.jobs.active, timeout=90_000)


def press(desk, voxels, *, modifiers=(), displayed=(1, 2)):
    """Press at the first voxel, move over the others, let go at the last, as napari tells it."""
    layer = desk.image(desk.session.current)
    event = SimpleNamespace(
        type="mouse_press", button=1, pos=np.array(voxels[0][1:], float) * 10, position=layer.data_to_world(voxels[0]), modifiers=modifiers,
        dims_displayed=displayed,
    )
    going = [callback(desk.viewer, event) for callback in desk.viewer.mouse_drag_callbacks]
    for steps in going:
        next(steps, None)
    for voxel in voxels[1:]:
        event.type, event.pos, event.position = "mouse_move", np.array(voxel[1:], float) * 10, layer.data_to_world(voxel)
        for steps in going:
            next(steps, None)
    event.type = "mouse_release"
    for steps in going:
        next(steps, None)


def key(viewer, name):
    next(bound for each, bound in viewer.keymap.items() if str(each) == name)(viewer)


def test_the_click_tool_is_in_the_hand_and_a_click_is_answered(desk, session, scan, rest, truth, tab):
    assert session.tool == "point"
    press(desk, [FIRST])
    rest()
    assert np.array_equal(scan.preview.labels == 1, truth == 1)
    press(desk, [(12, 18, 8)], modifiers=("Shift",))
    rest()
    assert not scan.preview.labels[12, 18, 8]
    press(desk, [FIRST, (12, 30, 30)])
    assert len(scan.board.target().marks) == 2, "a drag moves the picture and is no click"
    desk.refreshed.emit()
    assert tab.tools.objects.table.item(0, 1).text() == "2 prompts"


def test_clicks_are_told_by_shape_and_colour(desk, session, scan, rest):
    press(desk, [FIRST])
    press(desk, [(12, 18, 8)], modifiers=("Shift",))
    points = next(layer for layer in desk.prompts.of(scan) if isinstance(layer, Points))
    assert [str(symbol) for symbol in points.symbol] == ["disc", "x"]
    assert not np.allclose(points.face_color[0], points.face_color[1])
    assert np.allclose(points.data, [FIRST, (12, 18, 8)])
    session.undo()
    assert len(points.data) == 1
    rest()


def test_a_box_is_dragged_and_extended_and_a_lasso_drawn(desk, session, scan, rest, viewer):
    key(viewer, "Shift+Q")
    assert session.tool == "box"
    assert not desk.image(scan).mouse_pan
    press(desk, [(10, 10, 6), (10, 20, 15), (10, 26, 22)])
    press(desk, [(14, 10, 6), (14, 26, 22)], modifiers=("Shift",))
    (box,) = scan.board.target().of_kind("box")
    assert np.allclose(np.sort(scan.display.geometry.voxel(np.array(box.places)), axis=0), [[10, 10, 6], [14, 26, 22]])
    lines = next(layer for layer in desk.prompts.of(scan) if isinstance(layer, Vectors))
    assert sorted(set(lines.data[:, 0, 0])) == [10, 11, 12, 13, 14]
    assert np.allclose(lines.data[:, 1, 0], 0)
    press(desk, [(10, 10, 6), (10, 10, 6)])
    assert len(scan.board.target().marks) == 1, "a slip is no box"
    session.prompting.arm("lasso")
    press(desk, [(12, 10, 6), (12, 26, 6), (12, 26, 20), (12, 10, 20)])
    assert len(scan.board.target().of_kind("lasso")[0].places) == 4
    session.prompting.arm("lasso")
    assert session.tool == ""
    assert desk.image(scan).mouse_pan
    viewer.dims.order = (1, 0, 2)
    assert sorted(set(np.round(lines.data[lines.data[:, 1, 2] > 10][:, 0, 1])))[0] == 10, "across the rows the box has a rectangle on each of them"
    rest()


def test_buttons_that_a_segmenter_has_no_use_for_say_why(desk, session, scan, tab):
    session.set(engine="clicks")
    desk.refreshed.emit()
    assert tab.tools.tools["point"].isEnabled()
    assert not tab.tools.tools["box"].isEnabled()
    assert tab.tools.tools["box"].toolTip() == "Clicks takes no boxes"
    assert not tab.tools.start.isEnabled()
    session.set(engine="unet")
    desk.refreshed.emit()
    assert not tab.tools.tools["point"].isEnabled()
    assert tab.tools.objects.isHidden()


def test_objects_are_begun_named_chosen_and_taken_away(desk, session, scan, tab, viewer, rest):
    press(desk, [FIRST])
    key(viewer, "0")
    press(desk, [SECOND])
    desk.refreshed.emit()
    table = tab.tools.objects.table
    assert [table.item(row, 0).text() for row in range(2)] == ["Organ", "Organ 2"]
    table.item(0, 0).setText("Left")
    table.selectRow(0)
    assert scan.board.target().name == "Left"
    rest()
    desk.refreshed.emit()
    table.cellWidget(0, 2).click()
    assert [t.name for t in scan.board.targets] == ["Organ 2"]
    rest()
    tab.tools.clear.click()
    assert scan.board.is_empty
    assert scan.preview is None
    session.undo()
    assert not scan.board.is_empty
    rest()


def test_strokes_are_prompts_and_one_key_takes_all_of_them_back(desk, session, scan, rest, viewer, qtbot):
    press(desk, [FIRST])
    session.prompting.arm("scribbles")
    layer = desk.writer.of(scan).strokes
    assert layer.mode == "paint"
    layer.paint(SECOND, 1)
    qtbot.wait(10)
    rest()
    assert scan.preview.labels[SECOND]
    layer.undo()
    assert not scan.strokes.any()
    layer.undo()
    assert scan.board.is_empty
    rest()


def test_accept_and_undo_by_key(desk, session, scan, rest, viewer, truth):
    press(desk, [FIRST])
    rest()
    key(viewer, "K")
    assert np.array_equal(scan.labels == 1, truth == 1)
    assert scan.board.is_empty
    key(viewer, "Ctrl+Z")
    assert not scan.labels.any()
    rest()
    assert np.array_equal(scan.preview.labels == 1, truth == 1), "the click is back, and so is its answer"


def test_the_list_says_what_each_can_do_and_how_to_get_what_is_missing(desk, session, scan, tab):
    desk.refreshed.emit()
    titles = [tab.engines.itemText(i) for i in range(tab.engines.count())]
    assert "Absent (not installed)" in titles
    assert tab.about.text() == "Takes clicks, boxes, lassos, strokes, a label to start from. Licence: BSD-3-Clause"
    session.set(engine="absent")
    desk.refreshed.emit()
    assert '"no-such==1"' in tab.missing.text()
    assert "torch==" in tab.missing.text()
    assert not tab.run.isEnabled()
    assert "not installed" in next_step(session).sentence


def test_the_form_asks_and_remembers(desk, session, scan, tab, tmp_path, monkeypatch, engine, rest):
    monkeypatch.setenv(preferences.VARIABLE, str(tmp_path / "preferences.json"))
    session.set(engine="asking")
    desk.refreshed.emit()
    assert not tab.form.isHidden()
    assert "Folder of the model" in next_step(session).sentence
    line = tab.form.field("model")
    assert isinstance(line, QLineEdit)
    line.setText(str(tmp_path / "nowhere"))
    line.editingFinished.emit()
    assert "there is no folder" in tab.form.trouble("model").text()
    assert tab.form.trouble("fold").isHidden()
    desk.refreshed.emit()
    assert line.text() == str(tmp_path / "nowhere")
    line.setText(str(tmp_path))
    line.editingFinished.emit()
    assert tab.form.trouble("model").isHidden()
    assert isinstance(tab.form.field("fold"), QComboBox)
    agree = tab.form.field("agreed")
    assert isinstance(agree, QCheckBox)
    press(desk, [FIRST])
    assert "It may run its own code" in session.trouble
    agree.setChecked(True)
    session.prompting.follow(scan)
    rest()
    assert engine.built == 1
    kept = preferences.load().answers_by_engine()
    assert kept["asking"]["model"] == str(tmp_path)
    assert "agreed" not in kept["asking"], "a consent is asked for each time"


def test_uncertainty_is_a_layer_that_comes_and_goes_and_keys_go_from_place_to_place(desk, session, scan, tab, viewer, rest):
    desk.refreshed.emit()
    assert not tab.doubt.on.isEnabled()
    press(desk, [FIRST])
    rest()
    tab.doubt.show_it.setChecked(True)
    rest()
    layer = desk.doubt.get(scan)
    assert isinstance(layer, Image)
    assert layer.visible
    assert (layer.colormap.name, str(layer.blending)) == ("inferno", "additive")
    assert session.scans == [scan], "it is no scan"
    assert list(viewer.layers).index(layer) == 1, "below the labels"
    viewer.dims.set_point(0, desk.image(scan).data_to_world((1, 0, 0))[0])
    key(viewer, "J")
    spots = session.doubt.spots(scan)
    assert desk.focus() == spots[0][0]
    key(viewer, "Shift+J")
    assert desk.focus() == spots[-1][0]
    desk.refreshed.emit()
    assert tab.doubt.where.text() == f"{len(spots)} of {len(spots)}"
    tab.doubt.show_it.setChecked(False)
    assert not layer.visible
    tab.doubt.show_it.setChecked(True)
    rest()
    viewer.layers.remove(layer)
    assert not session.doubt.on


def test_segmenters_are_combined_from_a_list(desk, session, scan, tab, engine, rest):
    desk.refreshed.emit()
    tab.advanced.fold.unfold(True)
    others = tab.advanced.others
    names = [others.item(i).text() for i in range(others.count())]
    assert "Other" in names
    assert "Pointed" not in names
    assert "Absent" not in names
    others.item(names.index("Other")).setCheckState(Qt.CheckState.Checked)
    assert session.segment.combined == ("other",)
    assert tab.doubt.kind.isHidden()
    press(desk, [FIRST])
    rest()
    assert engine.built == 2
    assert scan.preview.labels[FIRST] == 1
    desk.refreshed.emit()
    assert not tab.doubt.kind.isHidden(), "a mean of two can be asked how far they lie apart"
    tab.doubt.show_it.setChecked(True)
    rest()
    tab.doubt.kind.setCurrentIndex(1)
    tab.doubt.kind.activated.emit(1)
    rest()
    assert session.doubt.kind == "apart"
    assert desk.doubt.get(scan).visible
    assert not np.asarray(desk.doubt.get(scan).data).any(), "two of one kind never lie apart"
    tab.advanced.mirrored.setChecked(True)
    session.run()
    rest()
    assert session.job.state == "done", session.trouble


@pytest.fixture
def refined(truth, tmp_path):
    """What a round of `gil2023` wrote that has learnt next to nothing: it marks specks, and holds a clean-up."""
    image = Volume(truth * 100.0, Geometry(truth.shape), "two balls")
    some = [Example(f"c{k}", f"p{k}", image, truth.clip(max=1), np.ones(truth.shape, np.uint8)) for k in range(2)]
    recipe = gil2023(networks="unet-lite", parameters={"unet-lite": {"widths": [4, 6]}}, updates=1, tile=48, calibrate=True)
    *_, last = recipe.method().learn(some, (1,), number=1, seed=0, device="cpu", base=None)
    return last.learned.model.save(tmp_path, {})


def test_the_clean_up_of_a_refined_model_can_be_left_out(desk, session, scan, tab, rest, refined):
    tidy = tab.advanced.tidy
    assert tidy.isHidden(), "a segmenter that holds none offers none"
    session.refine.model = refined
    session.set(engine="refined")
    desk.refreshed.emit()
    assert not tidy.isHidden()
    assert tidy.isChecked()
    assert "removes pieces below 50 mm²" in tidy.toolTip()
    found = []
    for on in (True, False):
        tidy.setChecked(on)
        session.run()
        rest()
        assert session.job.state == "done", session.trouble
        found.append(scan.preview.labels > 0)
        session.discard()
    assert (found[0] != found[1]).any()
    session.set(engine="other")
    desk.refreshed.emit()
    assert tidy.isHidden()


def test_live_is_a_switch_and_run_answers_what_waits(desk, session, scan, tab, engine, rest):
    tab.live.setChecked(False)
    press(desk, [FIRST])
    desk.refreshed.emit()
    assert engine.asked == []
    assert tab.run.property("primary")
    tab.run.click()
    rest()
    assert len(engine.asked) == 1
    tab.live.setChecked(True)
    press(desk, [SECOND])
    rest()
    assert len(engine.asked) == 2


def test_removing_the_prompts_layer_takes_the_prompts(desk, session, scan, viewer, rest):
    press(desk, [FIRST])
    rest()
    viewer.layers.remove(desk.prompts.of(scan)[0])
    assert scan.board.is_empty
    assert scan.preview is None
    session.undo()
    assert len(desk.prompts.of(scan)) == 2
    rest()


def test_taking_all_layers_away_comes_to_an_end(desk, session, scan, viewer, rest):
    press(desk, [FIRST])
    session.prompting.arm("box")
    press(desk, [(10, 10, 6), (10, 20, 15), (10, 26, 22)])
    rest()
    session.doubt.switch(True)
    rest()
    viewer.layers.clear()
    assert list(viewer.layers) == []


def test_a_network_that_runs_follows_the_scrolling(desk, session, scan, viewer):
    desk.run()
    viewer.dims.set_point(0, desk.image(scan).data_to_world((5, 0, 0))[0])
    session.jobs.start("preview", "Waiting", lambda: iter(()), apply=lambda _: None, done=lambda: None, failed=session.report)
    viewer.dims.set_point(0, desk.image(scan).data_to_world((7, 0, 0))[0])
    assert session.looking_at() == 7


@pytest.mark.parametrize("name", ["pointed", "unet"])
def test_the_plain_tab_is_about_as_high_as_the_level_set_page_which_fits_a_small_screen(dock, desk, session, scan, tab, qtbot, rest, name):
    session.set(engine=name)
    dock.show()
    if name == "pointed":
        press(desk, [FIRST])
    rest()
    session.tell_devices("NVIDIA GeForce RTX 4070, 11 900 MB free")
    desk.refreshed.emit()
    qtbot.wait(50)
    assert tab.sizeHint().height() <= dock.findChild(WeakTab).sizeHint().height() + SPARE
    assert tab.minimumSizeHint().width() <= tab.parentWidget().width()
