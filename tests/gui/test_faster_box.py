"""Make it faster…: the box shows the curve the session has, slider and table are one, and a point is kept from it."""

from dataclasses import replace

import pytest

from napari_medseg.gui.refine_tab import RefineTab
from napari_medseg.refine.pruning.curve import Point
from napari_medseg.session.faster import MEASURED, Curve

pytestmark = pytest.mark.qt
WHOLE = Point(1.0, 2_000_000_000, 1.0, 300_000, 100, 0.871, 80.0, 80.0, 1.0)


@pytest.fixture
def box(dock, desk, session, tmp_path):
    """The box open, with three points measured of a model."""
    model = tmp_path / "run" / "model" / "model.safetensors"
    points = [WHOLE]
    for share, dice, ms in ((0.75, 0.870, 60.0), (0.5, 0.866, 40.0)):
        file = tmp_path / "run" / "faster" / MEASURED / f"{100 * share:.0f}" / "model.safetensors"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"weights")
        points.append(replace(WHOLE, asked=share, share=share, flops=int(share * WHOLE.flops), dice=dice, ms=ms, whole_ms=80.0, faster=80 / ms, file=file))
    session.refine.model = model
    session.set(tab="refine")
    session.faster.curve = Curve(model, points, judged=3)
    session.changed.emit()
    found = dock.findChild(RefineTab).faster
    found.head.click()
    desk.refreshed.emit()
    return found


def test_without_a_model_there_is_no_box(dock, desk, session):
    session.set(tab="refine")
    desk.refreshed.emit()
    assert dock.findChild(RefineTab).faster.isHidden()


def test_slider_and_table_are_one_and_the_point_is_kept(box, desk, session):
    texts = [[box.table.item(row, column).text() for column in range(4)] for row in range(3)]
    assert texts == [["100 %", "80", "–", "0.871"], ["75 %", "60", "× 1.33", "0.870"], ["50 %", "40", "× 2.00", "0.866"]]
    assert "1 GFLOP" in box.table.item(2, 0).toolTip()
    assert not box.keep.isEnabled(), "the whole model is there already"
    box.slider.setValue(2)
    desk.refreshed.emit()
    assert [index.row() for index in box.table.selectionModel().selectedRows()] == [2]
    assert "50 % of the work: 40 ms a window instead of 80, 2.0 times as fast; Dice 0.866 instead of 0.871" in box.words.text()
    assert "Dice on 3 cases" in box.judged.text()
    box.table.selectRow(1)
    desk.refreshed.emit()
    assert box.slider.value() == 1
    box.keep.click()
    desk.refreshed.emit()
    assert box.keep.text() == "Kept"
    assert session.faster.kept.read_bytes() == b"weights"
    assert session.faster.kept.parts[-3:] == ("faster", "75", "model.safetensors")
