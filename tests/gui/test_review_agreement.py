"""The agreement page: files are listed and compared, the matrix stands there, the heat glows only while it is looked at."""

import numpy as np
import pytest

from napari_medseg.gui.layers import layer_data
from napari_medseg.io import write
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt
GRID = Geometry((8, 16, 18), (3.0, 1.0, 0.8))


@pytest.fixture
def page(viewer, dock, session, tmp_path, qtbot):
    data, keywords, _ = layer_data(Volume(np.random.default_rng(0).normal(40, 10, GRID.shape).astype(np.int16), GRID, name="made"))
    viewer.add_image(data, **keywords)
    session.reviewing.turn("agreement")
    found = dock.tabs.widget(3).widget().page("agreement")
    paths = []
    for name, shift in (("ann", 0), ("ben", 1)):
        made = np.zeros(GRID.shape, np.uint8)
        made[2:6, 4:12, 4 + shift:12 + shift] = 1
        paths.append(tmp_path / f"{name}.nii.gz")
        write(Volume(made, GRID, name=name), paths[-1])
    session.reviewing.agreement.add(paths)
    qtbot.waitUntil(lambda: found.list.count() == 2, timeout=5_000)
    return found


def test_files_are_compared_and_the_heat_goes_with_the_page(page, desk, session, qtbot):
    page.run.click()
    qtbot.waitUntil(lambda: page.table.rowCount() == 2 and page.table.item(0, 1) is not None, timeout=20_000)
    assert page.table.item(0, 1).text() == "0.875"
    assert page.table.item(1, 1).text() == ""
    layer = desk.disagreement.get(session.current)
    assert layer.visible
    assert layer.data.max() == 0.5
    page.figure.setCurrentIndex(1)
    page.refresh()
    assert "Mean distance (mm)" in page.words.text()
    session.set(tab="weak")
    assert not layer.visible


def test_unticking_leaves_too_few_to_compare(page, session, qtbot):
    from qtpy.QtCore import Qt

    page.list.item(0).setCheckState(Qt.CheckState.Unchecked)
    qtbot.waitUntil(lambda: not page.run.isEnabled(), timeout=5_000)
    assert len(session.reviewing.agreement.chosen(session.current)) == 1
