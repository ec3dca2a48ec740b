import pytest
from qtpy.QtWidgets import QVBoxLayout, QWidget

pytestmark = pytest.mark.qt


@pytest.fixture(autouse=True)
def person(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))


def test_the_way_into_a_study_is_offered_unless_the_cases_dock_is_in_sight(viewer, desk, session, ball, qtbot):
    from napari_medseg.gui.cases_dock import CasesDock
    from napari_medseg.gui.study_row import StudyRow

    whole = QWidget()
    qtbot.addWidget(whole)
    column = QVBoxLayout(whole)
    row = StudyRow(desk, lambda: None)
    column.addWidget(row)
    whole.show()
    assert not row.isVisible()  # nothing is open
    session.open(ball)
    desk.refreshed.emit()
    assert row.isVisible()
    cases = CasesDock(viewer)
    column.addWidget(cases)
    cases.show()
    desk.refreshed.emit()
    assert not row.isVisible()
    cases.hide()
    desk.refreshed.emit()
    assert row.isVisible()
    cases.show()
    desk.refreshed.emit()
    assert not row.isVisible()
    with qtbot.waitSignal(cases.destroyed):
        cases.deleteLater()
    desk.refreshed.emit()
    assert row.isVisible()
