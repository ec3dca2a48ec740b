"""A person without a mouse points: the crosshair goes by keys, and the tool in hand is set down at it."""

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_medseg.gui.key_table import TABLE
from napari_medseg.session.settings import SegmentChoices
from napari_medseg.session.state import Preview

pytestmark = pytest.mark.qt


@pytest.fixture
def press(desk):
    acts = {row.id: row.run for row in TABLE}
    return lambda *names: [acts[name](desk) for name in names]


@pytest.fixture
def scan(open_sample):
    return open_sample("lung2")


def test_a_seed_is_set_where_keys_led_the_crosshair(session, desk, scan, press):
    session.set(tab="weak", mode="levelset")
    press("flip")
    assert session.tool == "seeds"
    grid, start = scan.display.geometry, session.views.voxel
    press("right", "right", "down", "up", "up", "set down")
    assert session.views.crosshair
    (seed,) = scan.seeds[session.chosen]
    moved = (np.rint(grid.voxel(seed)) - start) * grid.spacing
    assert moved[0] == 0
    assert moved[1] == pytest.approx(-2, abs=grid.spacing[1])
    assert moved[2] == pytest.approx(4, abs=2 * grid.spacing[2])
    press("left", "set down")
    assert len(scan.seeds[session.chosen]) == 2


def test_the_crosshair_goes_over_the_slice_that_is_in_view(session, desk, scan, press, viewer):
    viewer.dims.order = (1, 0, 2)
    start = session.views.voxel
    press("down")
    assert session.views.voxel == (start[0] + 1, start[1], start[2]), "a voxel at least: slices are 5 mm thick"


def test_a_click_of_the_promptable_model_and_a_dab_of_the_brush_are_set_too(session, desk, scan, press, viewer):
    session.set(tab="segment", engine="promptable", segment=SegmentChoices(live=False))
    assert session.tool == "point"
    press("set down")
    assert [len(each.marks) for each in scan.board.targets] == [1]
    session.set(tool="")
    scan.preview = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "test", (session.label_class,), finished=True)
    scan.preview.labels[0, 0, 0] = 1
    session.accept()
    desk.paint_labels()
    viewer.layers.selection.active.brush_size = 3
    press("right", "set down")
    assert scan.labels[session.views.voxel] == session.chosen
    session.undo()
    assert scan.labels[session.views.voxel] == 0


def test_without_a_tool_or_a_scan_nothing_is_set(session, desk, dock, press):
    press("left", "set down")
    assert not session.views.crosshair
    assert isinstance(dock, QWidget)


@pytest.mark.parametrize(("tool", "way", "places"), [("box", ("right", "right", "down"), 2), ("lasso", ("right", "right", "down", "left", "left"), 6)])
def test_a_box_and_a_lasso_begin_and_end_where_keys_led_the_crosshair(session, desk, scan, press, tool, way, places):
    session.set(tab="segment", engine="promptable", segment=SegmentChoices(live=False))
    session.prompting.arm(tool)
    lines = desk.prompts.of(scan)[1]
    start = session.views.voxel
    press("set down", *way)
    assert len(lines.data), "it is drawn while it goes on"
    assert scan.board.is_empty
    press("set down")
    ((mark,),) = (target.marks for target in scan.board.targets)
    found = np.rint(scan.display.geometry.voxel(np.array(mark.places)))
    assert (mark.kind, len(mark.places)) == (tool, places)
    assert found.min(0).tolist() == list(start), "corner or way begin where it was set down"
    assert found[:, 1].max() == session.views.voxel[1]
    assert len(set(found[:, 0])) == 1


def test_a_box_that_was_begun_goes_with_its_tool(session, desk, scan, press):
    session.set(tab="segment", engine="promptable", segment=SegmentChoices(live=False))
    session.prompting.arm("box")
    press("set down", "right", "down")
    lines = desk.prompts.of(scan)[1]
    assert len(lines.data)
    session.prompting.arm("point")
    assert not len(lines.data)
    press("set down")
    assert [mark.kind for target in scan.board.targets for mark in target.marks] == ["point"]
