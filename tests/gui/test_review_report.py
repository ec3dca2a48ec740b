"""The report page: ticks, making it beside the window, and opening what was made."""

import numpy as np
import pytest
from qtpy.QtGui import QDesktopServices

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt
GRID = Geometry((6, 14, 16), (3.0, 1.0, 1.0))


@pytest.fixture
def page(dock, session, tmp_path, qtbot):
    made = np.zeros(GRID.shape, np.uint8)
    made[1:5, 3:9, 3:9] = 1
    write(Volume(made * np.int16(50), GRID), tmp_path / "scan.nii.gz")
    with Project.create(tmp_path / "Livers", classes=[LabelClass(1, "Liver", (0.9, 0.6, 0.0))]) as project:
        case = project.add(tmp_path / "scan.nii.gz")
        for kind, labels in (("weak", np.roll(made, 1, axis=1)), ("verified", made)):
            project.save(case.id, LabelMap(labels, GRID), kind=kind, tool="brush")
    session.study.open(tmp_path / "Livers.medseg")
    qtbot.waitUntil(lambda: session.study.is_open, timeout=30_000)
    session.reviewing.turn("report")
    found = dock.tabs.widget(3).widget().page("report")
    qtbot.waitUntil(found.make.isEnabled, timeout=10_000)
    return found


def test_a_click_makes_the_report_and_another_opens_it(page, session, tmp_path, qtbot, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))  # the test opens no browser
    assert not page.open.isVisibleTo(page)
    assert not page.names.isChecked()
    page.tables.click()
    page.parts["lineage"].click()
    page.make.click()
    qtbot.waitUntil(lambda: page.open.isVisibleTo(page), timeout=60_000)
    html = (tmp_path / "Livers report.html").read_text(encoding="utf-8")
    assert 'id="figures"' in html
    assert 'id="lineage"' not in html
    assert (tmp_path / "Livers report.csv").is_file()
    page.open.click()
    page.show_folder.click()
    assert opened == [str(tmp_path / "Livers report.html"), str(tmp_path)]
    assert "1 picture." in page.note.text()


def test_without_a_part_there_is_nothing_to_make(page, qtbot):
    for tick in page.parts.values():
        tick.click()
    qtbot.waitUntil(lambda: not page.make.isEnabled(), timeout=10_000)
    page.parts["figures"].click()
    qtbot.waitUntil(page.make.isEnabled, timeout=10_000)


def test_the_page_fits_the_tab(page):
    assert page.minimumSizeHint().width() <= 340
    assert page.sizeHint().height() <= 420
