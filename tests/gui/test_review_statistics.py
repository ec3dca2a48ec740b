"""The statistics page: it measures by itself, sorts by figures, copies with units and follows the editing."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_medseg.gui.layers import layer_data
from napari_medseg.session import next_step
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt


@pytest.fixture
def scan(viewer, dock, session):
    geometry = Geometry((12, 40, 40), (3.0, 1.0, 0.8), (-20.0, -30.0, 5.0))
    array = np.random.default_rng(0).normal(40, 10, geometry.shape).astype(np.int16)
    data, keywords, _ = layer_data(Volume(array, geometry, name="made", modality="CT", units="HU"))
    viewer.add_image(data, **keywords)
    labels = np.zeros(session.current.display.geometry.shape, np.uint8)
    labels[3:6, 5:15, 5:30] = 1
    labels[8:10, 20:24, 20:24] = 2
    session.add_class("Small")
    session.adopt_labels(session.current, labels)
    return session.current


@pytest.fixture
def page(dock, session, scan, qtbot):
    session.reviewing.turn("statistics")
    tab = dock.tabs.widget(3).widget()
    qtbot.waitUntil(lambda: session.reviewing.statistics.of(scan) is not None, timeout=20_000)
    qtbot.waitUntil(lambda: tab.page("statistics").table.rowCount() == 2, timeout=5_000)
    return tab.page("statistics")


def column(page, at):
    return [page.table.item(row, at).text() for row in range(page.table.rowCount())]


def test_labels_are_measured_as_soon_as_the_page_is_open(page, session):
    assert column(page, 1) == ["1.80", "0.08"]
    assert "HU" in page.note.text()
    assert "Click on a row" in next_step(session).sentence


def test_the_table_sorts_by_figures_not_by_letters(page):
    page.table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert column(page, 1) == ["0.08", "1.80"]


def test_the_copy_has_a_header_with_units(page):
    page._copy()
    header, first, *_ = QApplication.clipboard().text().splitlines()
    assert header.split("\t")[3:5] == ["Volume (ml)", "Surface (cm2)"]
    assert "Mean (HU)" in header
    assert first.split("\t")[0] == "Organ"


def test_it_is_saved_as_csv(page, session, tmp_path):
    session.reviewing.statistics.save(tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("Label,Value,Voxels,Volume (ml)")


def test_a_row_that_is_clicked_brings_its_longest_slice(page, session, desk, qtbot):
    page.table.selectRow(0)
    row = session.reviewing.statistics.drawn
    assert desk.slice_in_view(0) == row.diameters.slice
    qtbot.waitUntil(lambda: f"{row.diameters.long_mm:.1f}" in page.facts.text(), timeout=5_000)


def test_editing_makes_the_table_old_and_it_is_measured_again(page, session, scan, qtbot):
    scan.labels[8:10, 20:24, 20:24] = 0
    scan.voxels.update({2: -32, 0: 32})
    session.edited.emit(scan, None)
    session.changed.emit()
    assert session.reviewing.statistics.is_stale(scan)
    qtbot.waitUntil(lambda: page.table.rowCount() == 1, timeout=20_000)
    assert not session.reviewing.statistics.is_stale(scan)
