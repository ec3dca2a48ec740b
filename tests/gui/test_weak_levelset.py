"""The level-set page in its real widgets, on brain1: run and steer, the tools on the canvas, keys, the surface in 3D, the clock."""

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_medseg.gui.fields import Between
from napari_medseg.gui.surface import mesh_of
from napari_medseg.gui.weak_levelset import LevelSetPage
from napari_medseg.session import levelset_live, next_step

pytestmark = pytest.mark.qt
LESION = (12, 164, 192)  # brain1, display voxel


@pytest.fixture
def scan(viewer, session, open_sample):
    opened = open_sample()
    truth_like = np.argwhere(opened.display.array[8:13] > 900)
    assert len(truth_like)
    session.set_seeds(opened, {1: tuple(tuple(map(float, p)) for p in opened.display.geometry.world([[8, 153, 183], [9, 153, 183], [11, 158, 190]]))})
    return opened


@pytest.fixture
def page(dock):
    return dock.findChild(LevelSetPage)


@pytest.fixture
def settled(session, qtbot):
    def wait():
        qtbot.waitUntil(lambda: session.front is not None and session.front.state == "settled", timeout=60_000)
        return session.front

    return wait


@pytest.fixture
def standing(desk, session, scan, qtbot):
    """A run that stands after three updates."""
    for count in (1, 2, 3):
        desk.step()
        qtbot.waitUntil(lambda count=count: session.front.updates == count and not session.job.is_active, timeout=60_000)
    return session.front


def click(desk, voxel, *, modifiers=(), to=None):
    """A click on the canvas as napari tells it, or a drag when `to` is another place on it."""
    layer = desk.image(desk.session.current)
    event = SimpleNamespace(type="mouse_press", button=1, pos=(100, 100), position=layer.data_to_world(voxel), modifiers=modifiers)
    going = [callback(desk.viewer, event) for callback in desk.viewer.mouse_drag_callbacks]
    for steps in going:
        next(steps, None)
    if to is not None:
        event.type, event.pos = "mouse_move", to
        for steps in going:
            next(steps, None)
    event.type = "mouse_release"
    for steps in going:
        next(steps, None)


def test_the_main_button_runs_pauses_goes_on_and_says_so(desk, page, session, scan, settled):
    desk.refreshed.emit()
    assert page.run_row.run.text() == "Grow from seeds"
    page.run_row.run.click()
    desk.refreshed.emit()
    assert page.run_row.run.text() == "Pause"
    page.run_row.run.click()
    desk.refreshed.emit()
    assert page.run_row.run.text() == "Go on"
    page.run_row.run.click()
    settled()
    desk.refreshed.emit()
    assert page.run_row.run.text() == "Grow again"
    assert not scan.preview.is_empty


def test_a_tool_stays_in_the_hand_when_it_runs(desk, page, session, scan, settled):
    desk.arm("seeds")
    page.run_row.run.click()
    assert session.tool == "seeds"
    layer = desk.seeds.get(scan)
    layer.add([[12.0, 170.0, 192.0]])
    assert session.seed_count == 4
    settled()
    assert scan.preview.labels[12, 170, 192] == 1


def test_back_and_step_go_by_single_updates(desk, page, session, standing, qtbot):
    desk.refreshed.emit()
    assert page.run_row.back.isEnabled()
    before = session.current.preview.labels.copy()
    page.run_row.step.click()
    qtbot.waitUntil(lambda: standing.updates == 4 and not session.job.is_active)
    page.run_row.back.click()
    qtbot.waitUntil(lambda: standing.updates == 3 and not session.job.is_active)
    assert np.array_equal(session.current.preview.labels, before)


def test_a_slider_that_is_dragged_is_sent_once_and_acts_on_what_settled(desk, page, session, scan, settled, qtbot):
    page.run_row.run.click()
    settled()
    small, changes = int(scan.preview.labels.sum()), []
    session.front.change, change = lambda settings: (changes.append(settings), change(settings)), session.front.change
    for value in range(1, 9):
        page.size.setValue(value)
    qtbot.waitUntil(lambda: len(changes) > 0)
    qtbot.wait(150)
    assert [round(c.size, 2) for c in changes] == [2.0]
    settled()
    assert int(scan.preview.labels.sum()) > small


def test_a_double_click_puts_a_slider_back_to_rest(page, session, scan, qtbot):
    levelset_live.choose(session, edge=8, size=3)
    for slider in (page.edge, page.size):
        assert isinstance(slider, Between)
        qtbot.mouseDClick(slider, Qt.MouseButton.LeftButton)
    assert (session.levelset.edge, session.levelset.size) == (None, 0)


def test_bubbles_are_clicked_cut_with_shift_and_a_drag_is_none(desk, session, standing, scan, qtbot):
    desk.arm("bubble")
    assert desk.image(scan).cursor == "circle"
    away = (12, 60, 60)
    click(desk, away, to=(160, 100))
    assert not session.jobs.active
    click(desk, away)
    qtbot.waitUntil(lambda: scan.preview.labels[away] == 1)
    click(desk, away, modifiers=("Shift",))
    qtbot.waitUntil(lambda: scan.preview.labels[away] == 0)
    desk.arm("bubble")
    assert desk.image(scan).cursor == "standard"


def test_a_barrier_is_a_layer_of_its_own_and_keeps_the_front_off(desk, session, scan, settled, qtbot):
    desk.run()
    settled()
    desk.arm("barrier")
    layer = desk.writer.of(scan).barrier
    assert layer.name.endswith("barrier")
    assert (layer.mode, layer.n_edit_dimensions, layer.data.dtype) == ("paint", 3, np.uint8)
    inside = tuple(int(v) for v in np.argwhere(scan.preview.labels > 0)[len(np.argwhere(scan.preview.labels > 0)) // 2])
    layer.paint(inside, 1)
    qtbot.waitUntil(lambda: scan.barred > 0)
    settled()
    assert not scan.preview.labels[scan.barrier > 0].any()
    layer.undo()
    assert scan.barred == 0
    settled()
    assert scan.preview.labels[inside] == 1
    desk.viewer.layers.remove(layer)
    assert scan.barrier is None


def test_show_me_brings_the_neck_into_view(desk, page, session, standing, scan, viewer):
    scan.preview.neck = (6, 150, 80)
    desk.refreshed.emit()
    assert not page.run_row.line.isHidden()
    assert "slice 6" in page.run_row.said.text()
    page.run_row.show_me.click()
    assert desk.focus() == 6
    place = desk.image(scan).data_to_world((6, 150, 80))
    assert np.allclose(viewer.scene.camera.center[-2:], place[1:])


def test_go_farther_stands_where_only_the_reach_held_it(desk, page, session, standing, scan):
    farther = page.run_row.farther
    assert farther.isHidden()
    scan.preview.held_mm = 20.0
    desk.refreshed.emit()
    assert not farther.isHidden()
    assert page.run_row.show_me.isHidden()
    assert page.run_row.said.text() == "Held by its reach, 20 mm"
    farther.click()
    assert standing.record().parameters["reach_mm"] == 30


def test_discard_is_taken_back_by_the_key_of_undo(desk, session, standing, scan, viewer):
    labels = scan.preview.labels.copy()
    session.discard()
    undo = next(bound for key, bound in viewer.keymap.items() if str(key) == "Ctrl+Z")
    undo(viewer)
    assert np.array_equal(scan.preview.labels, labels)
    assert session.front is standing


def test_keys_move_the_sliders_and_pick_the_tools(viewer, desk, page, session, scan):
    def press(name):
        next(bound for key, bound in viewer.keymap.items() if str(key) == name)(viewer)

    for name in ("9", "9", "8", "Alt+9", "Ctrl+8"):
        press(name)
    assert (session.levelset.size, session.levelset.smoothness, session.levelset.edge) == (1, 1, 4)
    press("Shift+B")
    assert session.tool == "barrier"
    press("Shift+O")
    assert session.tool == "bubble"
    press("Q")
    assert session.background
    desk.refreshed.emit()
    assert page.side.text() == "Cuts out"


def test_in_3d_the_preview_is_a_surface_that_follows_it(desk, viewer, session, standing, scan, qtbot):
    held = desk.writer.of(scan)
    qtbot.waitUntil(lambda: held.preview is not None and held.preview.visible)
    viewer.dims.ndisplay = 3
    assert not held.preview.visible
    assert not held.outline.visible
    qtbot.waitUntil(lambda: desk.surface.get(scan) is not None and desk.surface.get(scan).visible)
    surface = desk.surface.get(scan)
    first = surface.data[0].copy()
    where = held.outline.data_to_world
    shown = np.argwhere(scan.preview.labels > 0)
    assert np.abs(first.min(0) - where(shown.min(0))).max() < 6
    assert np.abs(first.max(0) - where(shown.max(0))).max() < 6
    desk.run()
    qtbot.waitUntil(lambda: not np.array_equal(surface.data[0], first), timeout=30_000)
    viewer.dims.ndisplay = 2
    assert held.outline.visible
    assert not surface.visible
    session.discard()
    viewer.dims.ndisplay = 3
    assert not surface.visible


def test_a_mesh_of_two_classes_keeps_their_values():
    labels = np.zeros((20, 200, 30), np.uint8)
    labels[4:10, 20:180, 5:15], labels[12:18, 10:20, 20:28] = 1, 7
    corners, triangles, values = mesh_of(labels, (2.0, 1.0, 1.0), (0.0, 0.0, 100.0))
    assert set(values) == {1, 7}
    assert triangles.max() == len(corners) - 1
    assert np.abs(corners[values == 7].mean(0) - [29, 14.5, 123.5]).max() < 1
    assert mesh_of(np.zeros((4, 4, 4), np.uint8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)) is None


def test_the_clock_counts_only_while_the_person_acts(dock, session, scan, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(scan.clock, "_now", lambda: now[0])
    for wait in (0, 20, 20, 600, 12):
        now[0] += wait
        session.act()
    from napari_medseg.gui.work_time import WorkTime

    line = dock.findChild(WorkTime)
    line.refresh()
    assert scan.clock.seconds == 52
    assert line.text() == "0:52 of work on this scan"
    assert "2.9 min" in line.toolTip()


def test_the_window_of_values_comes_from_the_seeds_and_goes_again(page, desk, session, scan):
    desk.refreshed.emit()
    page.advanced.window.click()
    low, high = session.levelset.window
    assert low < high
    desk.refreshed.emit()
    assert page.advanced.low.value() == pytest.approx(low)
    page.advanced.high.setValue(high + 100)
    assert session.levelset.window[1] == pytest.approx(high + 100)
    page.advanced.window.click()
    assert session.levelset.window is None


def test_the_guide_tells_of_every_state(desk, session, standing, scan):
    assert next_step(session).sentence.startswith("Paused")
    desk.arm("barrier")
    assert "barrier" in next_step(session).sentence
    desk.arm("bubble")
    assert "add a ball" in next_step(session).sentence


def test_the_wheel_scrolls_the_page_and_changes_no_field_that_was_not_clicked_into(page, session, scan, qtbot):
    page.advanced.show()
    for field in (page.advanced.begin, page.advanced.reach, page.size):
        field.clearFocus()
        at = QPointF(field.rect().center())
        wheel = QWheelEvent(
            at, at, QPoint(0, -120), QPoint(0, -120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )
        QApplication.sendEvent(field, wheel)
    qtbot.wait(100)
    assert (session.levelset.begin, session.levelset.reach_mm, session.levelset.size) == ("", 0, 0)
