"""The compare page: verdict, groups and charts; a point that is clicked asks for its case."""

import numpy as np
import pytest

from napari_medseg.io import write
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt
GRID = Geometry((6, 14, 16), (3.0, 1.0, 1.0))
CASES = tuple(f"case {letter}" for letter in "abcdefgh")


def put(folder, shift, kind=np.uint8):
    folder.mkdir()
    for seed, name in enumerate(CASES):
        made = np.zeros(GRID.shape, kind)
        made[1:5, 2:6 + seed % 5, 2 + shift:9 + shift] = 1
        write(Volume(made * kind(0.9) if kind is np.float32 else made, GRID, name=name), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def page(dock, session, tmp_path, qtbot):
    session.reviewing.turn("compare")
    found = dock.tabs.widget(3).widget().page("compare")
    model = session.reviewing.comparing
    models = put(tmp_path / "round1", 2), put(tmp_path / "round2", 1)
    model.choose(models=models, truth=put(tmp_path / "truth", 0), probabilities=put(tmp_path / "chances", 0, np.float32))
    qtbot.waitUntil(found.run.isEnabled, timeout=5_000)
    found.run.click()
    qtbot.waitUntil(lambda: "is better" in found.verdict.text(), timeout=30_000)
    return found


def test_it_says_which_is_better_and_shows_every_chart(page, session):
    assert page.table.rowCount() == 3  # thirds by size
    for at, told in enumerate(("click on a point", "limits of agreement", "Line:", "From 0.50")):
        page.chart.setCurrentIndex(at)
        page.refresh()
        assert told in page.told.text()
    assert page.slider.isVisibleTo(page)
    page.slider.setValue(95)
    page.refresh()
    assert "From 0.95: Dice" in page.told.text()


def test_a_point_that_is_clicked_asks_for_its_case(page, session):
    from types import SimpleNamespace

    page._plot._on_clicked(None, [SimpleNamespace(data=lambda: "case b")], None)
    assert "case b" in session.notice


def test_what_is_shown_is_kept_by_a_button_once_a_study_is_open(page, session, tmp_path, qtbot):
    assert not page.keep.isEnabled()
    assert not page.rounds.isEnabled()
    (tmp_path / "scans").mkdir()
    for seed, name in enumerate(CASES):
        write(Volume(np.full(GRID.shape, seed, np.int16), GRID), tmp_path / "scans" / f"{name}.nii.gz")
    study, model = session.study, session.reviewing.comparing
    study.create(tmp_path / "kept")
    qtbot.waitUntil(lambda: study.is_open, timeout=30_000)
    study.add(sorted((tmp_path / "scans").iterdir()))
    qtbot.waitUntil(lambda: len(study.cases) == len(CASES), timeout=30_000)
    session.run()
    qtbot.waitUntil(page.keep.isEnabled, timeout=30_000)
    page.keep.click()
    qtbot.waitUntil(lambda: page.keep.text() == "Kept", timeout=30_000)
    assert not page.keep.isEnabled()
    assert page.rounds.isEnabled()
    assert [run.kind for run in study.project.runs()] == ["comparison", "calibration"]
    page.slider.setValue(model.threshold + 10)
    qtbot.waitUntil(page.keep.isEnabled, timeout=30_000)
