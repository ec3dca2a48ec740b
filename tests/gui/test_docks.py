import subprocess
import sys
import time

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication

import napari_medseg
from napari_medseg.catalogue import shipped
from napari_medseg.gui.key_acts import go_to_case
from napari_medseg.gui.ortho_frame import find_canvas
from napari_medseg.io import read
from napari_medseg.session import next_step

pytestmark = pytest.mark.qt

NAMES = ["Medseg", "Segment", "Weak label", "Refine", "Review"]


def test_the_ring_of_a_brush_has_no_box_that_napari_would_leave_on_the_canvas(viewer, desk):
    from napari.components.overlays import BrushCircleOverlay

    rings = [overlay for overlay in viewer.canvas.overlays.values() if isinstance(overlay, BrushCircleOverlay)]
    assert rings
    assert not any(ring.box for ring in rings)


def test_the_manifest_is_valid_and_names_what_exists():
    from pathlib import Path

    manifest = PluginManifest.from_file(Path(napari_medseg.__file__).parent / "napari.yaml")
    manifest.validate_imports()


@pytest.mark.parametrize("name", NAMES)
def test_every_dock_opens_from_the_menu(window, name):
    _, widget = window.window.add_plugin_dock_widget("napari-medseg", name)
    assert widget.guide.sentence.text()
    assert widget.tabs.count() == (4 if name == "Medseg" else 1)
    widget.desk.shut()


def test_docks_of_one_viewer_share_one_session(window):
    _, first = window.window.add_plugin_dock_widget("napari-medseg", "Medseg")
    _, second = window.window.add_plugin_dock_widget("napari-medseg", "Refine")
    assert first.desk is second.desk
    assert first.tabs.currentIndex() == 0 or first.desk.session.tab == "refine"
    first.desk.shut()


def test_docks_of_ours_on_one_side_are_tabs_of_one_place_and_the_one_in_front_says_what_keys_mean(window, qtbot):
    docks, widgets = zip(*(window.window.add_plugin_dock_widget("napari-medseg", name) for name in ("Medseg", "Segment", "Refine")), strict=True)
    main = docks[0].window()
    qtbot.waitUntil(lambda: len(main.tabifiedDockWidgets(docks[0])) == 2, timeout=5000)
    session = widgets[0].desk.session
    for place, tab in ((1, "segment"), (2, "refine")):
        docks[place].visibilityChanged.emit(True)  # as Qt tells when a tab is chosen
        assert session.tab == tab
    docks[0].visibilityChanged.emit(True)
    assert session.tab == "refine"
    assert widgets[0].tabs.currentIndex() == 2
    widgets[0].desk.shut()


def test_opening_the_dock_loads_no_torch():
    code = """
import sys
import napari
from napari_medseg.gui.launch import PLUGIN
viewer = napari.Viewer(show=False, show_welcome_screen=False)
viewer.window.add_plugin_dock_widget(PLUGIN, "Medseg")
heavy = [name for name in ("torch", "monai", "pyqtgraph", "matplotlib.pyplot", "deepbet") if name in sys.modules]
viewer.close()
print(heavy)
sys.exit(bool(heavy))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_keys_are_ours_while_a_dock_is_open_and_napari_s_again_after(window):
    before = dict(window.keymap)
    wrapper, _ = window.window.add_plugin_dock_widget("napari-medseg", "Medseg")
    assert {"G", "K", "Q", "H"} <= {str(key) for key in window.keymap}
    window.window.remove_dock_widget(wrapper)
    assert window.keymap == before


def test_the_next_case_by_its_key_takes_the_arrows_from_the_dock_to_the_canvas(window, monkeypatch):
    wrapper, cases = window.window.add_plugin_dock_widget("napari-medseg", "Cases")
    main = wrapper.window()
    cases.table.setFocus()
    assert main.focusWidget() is cases.table
    with monkeypatch.context() as front:
        front.setattr(QApplication, "activeWindow", lambda: main)  # a window that is not shown is never in front
        go_to_case(cases.desk, 1)
    assert main.focusWidget() is find_canvas(main)
    cases.desk.shut()


def test_only_the_next_step_s_button_is_filled(dock, desk, session, open_sample, qtbot):
    def filled():
        desk.refreshed.emit()
        from qtpy.QtWidgets import QPushButton

        return [b.text() for b in dock.findChildren(QPushButton) if b.property("primary")]

    assert len(filled()) == 1
    scan = open_sample()
    assert filled() == ["Add seeds"]
    session.set_seeds(scan, {1: tuple(tuple(map(float, p)) for p in scan.display.geometry.world([[8, 153, 183], [9, 153, 183], [11, 158, 190]]))})
    assert filled() == ["Grow from seeds"]
    session.set(tab="refine")
    assert filled() == []


def test_a_declined_layer_is_explained_in_the_guide(viewer, dock, desk):
    viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True, name="photo")
    desk.refreshed.emit()
    assert "photo" in dock.guide.sentence.text()
    assert "colour picture" in dock.guide.sentence.text()


def test_napari_s_grid_mode_is_said_to_tear_labels_from_their_scan(viewer, dock, desk, open_sample, qtbot):
    open_sample()
    desk.refreshed.emit()
    assert not dock.header.notes.isVisibleTo(dock)
    viewer.canvas.grid.enabled = True
    qtbot.waitUntil(lambda: dock.header.notes.isVisibleTo(dock))
    assert "labels beside the scan" in dock.header.notes.text()
    viewer.canvas.grid.enabled = False
    qtbot.waitUntil(lambda: not dock.header.notes.isVisibleTo(dock))


@pytest.mark.parametrize(("make", "said"), [
    (lambda folder: (folder / "notes.nii.gz").write_text("this is no scan"), "notes.nii.gz"),
    (lambda folder: (folder / "cut.nrrd").write_bytes((shipped("sample_data") / "breast1_image.nrrd").read_bytes()[:4000]), "cut.nrrd"),
    (lambda folder: (folder / "empty").mkdir(), "empty"),
])
def test_a_bad_file_becomes_one_sentence_and_no_layer(viewer, dock, notifications, tmp_path, make, said):
    make(tmp_path)
    viewer.open(str(next(tmp_path.iterdir())), plugin="napari-medseg")
    errors = [message for severity, message in notifications() if severity == "error"]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in errors[0]
    assert not viewer.layers


def test_running_without_seeds_is_told_in_the_window_and_in_the_guide(viewer, dock, desk, session, open_sample, notifications):
    open_sample()
    desk.run()
    errors = [message for severity, message in notifications() if severity == "error"]
    assert len(errors) == 1
    assert "no seed" in errors[0]
    desk.refreshed.emit()
    assert "no seed" in dock.guide.sentence.text()


def test_a_label_of_another_grid_is_never_taken_over(viewer, dock, session, open_sample):
    scan = open_sample()
    viewer.add_labels(np.ones((4, 5, 6), np.uint8), name="other")
    assert scan.labels is None


def test_an_engine_s_fault_is_a_notification_and_the_window_goes_on(viewer, dock, desk, session, open_sample, notifications, qtbot, monkeypatch):
    from napari_medseg.weaklabel import levelset

    def broken(*_args, **_keywords):
        raise ZeroDivisionError("oops")

    scan = open_sample()
    session.set_seeds(scan, {1: tuple(tuple(map(float, p)) for p in scan.display.geometry.world([[8, 153, 183]]))})
    monkeypatch.setattr(levelset, "LevelSet", broken)
    desk.run()
    qtbot.waitUntil(lambda: not session.job.is_active, timeout=20_000)
    errors = [message for severity, message in notifications() if severity == "error"]
    assert len(errors) == 1
    assert "ZeroDivisionError" in errors[0]
    assert scan.preview is None
    assert next_step(session).trouble


def test_closing_the_last_dock_stops_the_work(window, samples):
    wrapper, widget = window.window.add_plugin_dock_widget("napari-medseg", "Medseg")
    session = widget.desk.session
    scan = session.open(read(samples / "brain1_t1gd.nii.gz"))
    session.set_seeds(scan, {1: tuple(tuple(map(float, p)) for p in scan.display.geometry.world([[8, 153, 183]]))})
    session.run()
    window.window.remove_dock_widget(wrapper)
    assert session.jobs.of("preview").state == "stopped"


def test_a_preview_tick_costs_the_window_little(viewer, dock, desk, session, open_sample):
    scan = open_sample()
    from napari_medseg.session import Preview

    scan.preview = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "level set", (session.label_class,))
    session.preview_changed.emit(scan, None)
    box = (slice(5, 15), slice(50, 150), slice(50, 150))
    times = []
    for i in range(10):
        began = time.thread_time()
        scan.preview.labels[box] = i % 2
        session.preview_changed.emit(scan, box)
        desk.writer._redraw()
        desk.refreshed.emit()
        times.append(time.thread_time() - began)
    assert np.median(times) < 0.1
