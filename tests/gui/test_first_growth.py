"""What a person waits for after Run: the window draws itself once, with the first growth, and for nothing that looks as it did."""

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_medseg.gui import labels_writer, redraws
from napari_medseg.gui.slice_bar import SliceBar

pytestmark = pytest.mark.qt


class Painted(QObject):
    """Which parts were painted."""

    def __init__(self):
        super().__init__()
        self.parts = []

    def eventFilter(self, part, event):
        if event.type() == QEvent.Type.Paint:
            self.parts.append(part)
        return False


def test_the_place_of_the_slice_is_painted_anew_only_where_it_is_another(desk, viewer, open_sample, qtbot):
    open_sample()
    window, bar, painted = QMainWindow(), SliceBar(desk), Painted()
    qtbot.addWidget(window)
    bar.attach(window)
    with qtbot.waitExposed(window):
        window.show()
    qtbot.waitUntil(lambda: bar.place.isVisible())
    for _ in range(10):
        QApplication.processEvents()
    bar.place.installEventFilter(painted)
    bar.refresh()
    for _ in range(10):
        QApplication.processEvents()
    assert not painted.parts
    before = bar.place.text()
    viewer.dims.set_current_step(0, viewer.dims.current_step[0] + 1)
    bar.refresh()
    qtbot.waitUntil(lambda: bar.place in painted.parts)
    assert bar.place.text() != before
    bar.close()


def test_the_first_growth_comes_in_the_first_picture_and_the_docks_with_it(desk, session, open_sample, qtbot, monkeypatch):
    monkeypatch.setattr(labels_writer, "GROWTH_MS", 20_000)  # on a busy machine too the first mask waits until something grew
    monkeypatch.setattr(redraws, "BEGIN_MS", 20_000)
    scan = open_sample()
    session.set(tab="weak", mode="levelset")
    desk.arm("seeds")
    held = desk.writer.of(scan)
    qtbot.waitUntil(lambda: held.preview is not None and held.outline is not None and held.outline.data is scan.spare)
    seeds = np.argwhere(scan.display.array == scan.display.array.max())[:1]
    desk.seeds.get(scan).add(seeds.astype(float))
    qtbot.waitUntil(lambda: not desk.writer.is_waiting)
    qtbot.wait(2 * redraws.REFRESH_MS)
    seen = []

    def see(what):
        seen.append((what, scan.preview.iterations if scan.preview is not None else None))

    desk.refreshed.connect(lambda: see("docks"))
    held.outline.events.set_data.connect(lambda event: see("canvas"))
    desk.run()
    qtbot.waitUntil(lambda: any(what == "canvas" and made for what, made in seen), timeout=30_000)
    assert seen[0][0] == "docks", "with the canvas, and no picture of the window before there was something to see"
    assert seen[0][1], "the mask it begins with had no picture of its own"
    session.discard()
    qtbot.waitUntil(lambda: session.job is None or not session.job.is_active)


def test_a_mask_that_nothing_joins_is_shown_after_a_moment(viewer, session, open_sample, qtbot, desk):
    scan = open_sample()
    session.set(tab="weak", mode="levelset")
    held, drawn = desk.writer.of(scan), []
    desk.arm("seeds")
    qtbot.waitUntil(lambda: held.outline is not None)
    desk.writer.redrawing.connect(lambda: drawn.append(True))
    desk.writer._later(held.outline, labels_writer.GROWTH_MS)
    assert desk.writer.is_waiting
    qtbot.waitUntil(lambda: bool(drawn))
