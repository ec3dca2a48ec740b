"""Found objects and where a network looks, on the canvas: layers that come with a result, lie where the scan lies and go with it; none is undone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from finds import NAMES, Finds, entry
from napari.layers import Image, Shapes
from napari.utils.triangulation_backend import TriangulationBackend, set_backend

from napari_medseg.gui.layers import layer_data
from napari_medseg.gui.segment_tab import SegmentTab
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
SIDEWAYS = (0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0)


def volume(shape=(6, 20, 24), spacing=(4.0, 1.0, 0.5), direction=(-1.0, 0, 0, 0, 1, 0, 0, 0, 1), name="blocks"):
    array = np.zeros(shape, np.float32)
    array[1:4, 3:9, 2:10] = 150
    array[2 if shape[0] > 2 else 0, 11:17, 12:20] = 300
    if shape[0] < 6:
        array[:, 3:9, 2:10] = 150
    return Volume(array, Geometry(shape, spacing, (7.0, -3.0, 40.0), direction), name, "MR")


@pytest.fixture(autouse=True)
def uncompiled():
    """napari compiles its triangulation for seconds; nothing here depends on how triangles are made."""
    before = set_backend(TriangulationBackend.pure_python)
    yield
    set_backend(before)


@pytest.fixture
def scan_of(viewer, dock, session, qtbot):
    session.catalogue = replace(session.catalogue, entries={**session.catalogue.entries, "finds": entry()})
    session.set(tab="segment", engine="finds", device="cpu")

    def run(one=None):
        array, keywords, _ = layer_data(one or volume())
        viewer.add_image(array, **keywords)
        scan = session.current
        dock.desk.run()
        qtbot.waitUntil(lambda: not session.jobs.active, timeout=240_000)
        assert session.job.state == "done", session.trouble
        return scan

    return run


@pytest.fixture
def drawn(desk, qtbot):
    """The layer of a scan once all of its shapes are drawn."""

    def wait(scan):
        def whole():
            layer = desk.found.get(scan)
            assert layer is not None
            assert len(layer.data) == 2 * len(scan.found)

        qtbot.waitUntil(whole, timeout=240_000)
        return desk.found.get(scan)

    return wait


@pytest.mark.parametrize("one", [
    volume(), volume(direction=SIDEWAYS), volume(direction=OBLIQUE), volume(shape=(1, 20, 24)),
], ids=["anisotropic", "stored sideways", "oblique", "one slice"])
def test_a_box_and_an_outline_for_each_object_lie_where_the_scan_lies(scan_of, drawn, desk, one):
    scan = scan_of(one)
    layer, picture = drawn(scan), desk.image(scan)
    assert isinstance(layer, Shapes)
    assert len(scan.found) > 0
    np.testing.assert_allclose(layer.scale, picture.scale)
    np.testing.assert_allclose(layer.translate, picture.translate)
    boxes = [points for points, kind in zip(layer.data, layer.shape_type, strict=True) if kind == "rectangle"]
    for points in boxes:
        middle = points.mean(0).round().astype(int)
        assert scan.display.array[tuple(middle)] > 100, "a box lies around what was found"
        assert np.ptp(points[:, 0]) == 0, "flat in its slice, else napari draws nothing"
    for each in scan.found:
        np.testing.assert_allclose(scan.display.geometry.voxel(each.box_mm), each.box, atol=1e-3)
        inside = scan.geometry.voxel(each.box_mm).mean(0).round().astype(int)
        assert one.array[tuple(inside)] > 100, "its millimetres lead to the same place in the file"


def test_class_and_score_are_written_and_follow_the_name_and_colour_of_the_class(scan_of, drawn, desk, session, qtbot):
    scan = scan_of()
    layer = drawn(scan)
    assert {*layer.features["words"]} == {"", "bright 75 %", "brighter 50 %"}
    colours = {each.value: each.colour for each in scan.preview.classes}
    tints = {tuple(np.round(tint[:3], 3)) for tint in layer.edge_color}
    assert tints == {tuple(np.round(colour, 3)) for colour in colours.values()}
    session.accept()
    bright = next(each for each in session.classes if each.name == "bright")
    session.rename_class(bright.value, "cyst")
    qtbot.waitUntil(lambda: {*layer.features["words"]} == {"", "cyst 75 %", "brighter 50 %"}, timeout=240_000)
    assert len(layer.data) == 2 * len(scan.found)


def test_it_is_no_scan_is_not_selected_and_nothing_to_undo(scan_of, drawn, desk, session, viewer):
    scan = scan_of()
    before = viewer.layers.selection.active
    layer = drawn(scan)
    assert session.scans == [scan]
    assert viewer.layers.selection.active is before is not layer
    session.accept()
    assert layer.visible
    session.undo(scan)
    assert not scan.has_labels, "the labels are one step, the objects none"
    assert len(layer.data) == 2 * len(scan.found) > 0


def test_a_discarded_result_takes_its_objects_along_and_brings_them_back(scan_of, drawn, desk, session, qtbot):
    scan = scan_of()
    layer = drawn(scan)
    session.discard()
    assert not layer.visible
    assert len(layer.data) == 0
    session.undo(scan)
    assert scan.preview is not None
    assert drawn(scan) is layer
    assert layer.visible


def test_a_layer_that_was_deleted_stays_away_until_something_is_found_again(scan_of, drawn, desk, session, viewer, qtbot):
    scan = scan_of()
    layer = drawn(scan)
    layer.name = "my boxes"
    session.changed.emit()
    assert desk.found.get(scan) is layer, "known by itself, not by its name"
    viewer.layers.remove(layer)
    session.changed.emit()
    assert desk.found.get(scan) is None
    assert scan.preview is not None
    desk.run()
    qtbot.waitUntil(lambda: not session.jobs.active, timeout=240_000)
    assert drawn(scan) is not layer


def test_each_scan_has_its_own_and_a_closed_one_leaves_none_behind(scan_of, drawn, desk, session, viewer):
    first = scan_of()
    drawn(first)
    second = scan_of(volume(name="others"))
    assert drawn(second) is not desk.found.get(first)
    assert desk.found.get(second).name == "others found objects"
    viewer.layers.remove(desk.image(second))
    assert session.scans == [first]
    assert desk.found.get(second) is None
    assert len(desk.found.get(first).data) == 2 * len(first.found)


def test_where_it_looks_is_offered_streamed_and_chosen_from_its_gates(scan_of, desk, dock, session, viewer, qtbot):
    row = dock.findChild(SegmentTab).looks
    assert row.isHidden()
    scan = scan_of()
    desk.refreshed.emit()
    assert not row.isHidden()
    assert desk.looks.get(scan) is None
    row.show_it.setChecked(True)
    qtbot.waitUntil(lambda: not session.jobs.active, timeout=240_000)
    desk.refreshed.emit()
    layer = desk.looks.get(scan)
    assert isinstance(layer, Image)
    assert layer.visible
    np.testing.assert_allclose(layer.scale, desk.image(scan).scale)
    assert viewer.layers.index(layer) == 1, "over the picture, below the labels"
    np.testing.assert_allclose(layer.data, scan.display.array / 300, atol=1e-3)
    assert [row.map.itemData(i) for i in range(row.map.count())] == list(NAMES)
    row.map.activated.emit(1)
    np.testing.assert_allclose(layer.data, 1 - scan.display.array / 300, atol=1e-3)
    assert session.scans == [scan]
    row.show_it.setChecked(False)
    assert not layer.visible
    row.show_it.setChecked(True)
    assert layer.visible
    viewer.layers.remove(layer)
    assert not session.looks.on


def test_a_segmenter_that_cannot_tell_takes_the_offer_back(scan_of, desk, dock, session, qtbot, monkeypatch):
    row = dock.findChild(SegmentTab).looks
    scan_of()
    desk.refreshed.emit()
    assert not row.isHidden()
    monkeypatch.setattr(Finds, "capabilities", replace(Finds.capabilities, looks=False, objects=False))
    desk.run()
    qtbot.waitUntil(lambda: not session.jobs.active, timeout=240_000)
    desk.refreshed.emit()
    assert row.isHidden()
    assert session.current.found == ()
