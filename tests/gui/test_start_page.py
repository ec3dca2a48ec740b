"""What a person meets who opens the window for the first time, and the second."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDockWidget, QFileDialog, QMainWindow, QPushButton, QStackedWidget

from napari_medseg.gui import guide_bar, start_page
from napari_medseg.gui.start_page import StartPage
from napari_medseg.session import Session, preferences, starting

pytestmark = pytest.mark.qt


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))


@pytest.fixture
def page(dock):
    dock.desk.refreshed.emit()
    return dock.tabs.currentWidget().findChild(StartPage)


def filled(dock):
    return [b.text() for b in dock.findChildren(QPushButton) if b.property("primary") and not b.isHidden() and b.isVisibleTo(dock)]


def test_an_empty_window_offers_a_scan_a_sample_and_a_study_and_fills_one_button(dock, page):
    stack = dock.tabs.currentWidget()
    assert isinstance(stack, QStackedWidget)
    assert page.isVisibleTo(dock)
    assert [b.text() for b in (page.folder, page.file, page.open, page.new)] == ["DICOM folder…", "File…", "Open…", "New…"]
    assert filled(dock) == ["DICOM folder…"]
    assert not dock.labels.isVisibleTo(dock)


def test_a_sample_opens_at_a_click_and_the_tools_take_its_place(dock, page, session):
    page.samples["brain1"].click()
    dock.desk.refreshed.emit()
    assert session.current.name.startswith("brain1")
    assert not page.isVisibleTo(dock)
    assert dock.labels.isVisibleTo(dock)


def test_what_it_is_for_is_said_at_the_first_launch_and_one_line_of_it_stays(dock, page, session):
    assert dock.notice.isVisibleTo(dock)
    assert not page.foot.isVisibleTo(dock)
    dock.resize(352, 700)
    dock.show()
    places = [each.mapTo(dock, each.rect().topLeft()) for each in (page.folder, page.new)]
    dock.notice.seen.click()
    dock.desk.refreshed.emit()
    QApplication.processEvents()
    assert [each.mapTo(dock, each.rect().topLeft()) for each in (page.folder, page.new)] == places
    assert not dock.notice.isVisibleTo(dock)
    assert page.foot.text() == "For research, not a medical device."
    assert preferences.load().noticed


def test_it_is_said_to_those_too_whose_picture_is_open_already(viewer, qtbot, ball):
    from napari_medseg.gui.window import MedsegWidget

    viewer.add_image(ball.array, name="my own")
    widget = MedsegWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.notice.isVisibleTo(widget)
    widget.desk.shut()


def test_studies_are_resumed_by_name_the_last_one_first(dock, page, session, tmp_path, qtbot):
    for name in ("Liver", "Kidney"):
        session.study.create(tmp_path / f"{name}.medseg")
        qtbot.waitUntil(lambda name=name: session.study.title == name, timeout=20_000)
    session.study.leave()
    qtbot.waitUntil(lambda: not session.study.is_open)
    dock.desk.refreshed.emit()
    assert [b.text() for b in page.recent] == ["Kidney", "Liver"]
    assert filled(dock) == ["Kidney"]
    assert dock.guide.sentence.text() == "Next: go on with the study Kidney, or open a scan"
    page.recent[0].click()
    qtbot.waitUntil(lambda: session.study.title == "Kidney", timeout=20_000)
    dock.desk.refreshed.emit()
    assert page.title.text() == "<b>Study Kidney</b>"


def test_a_study_whose_folder_is_gone_is_not_offered(tmp_path):
    preferences.opened(tmp_path / "gone.medseg")
    (tmp_path / "there.medseg").mkdir()
    preferences.opened(tmp_path / "there.medseg")
    session = Session(lambda function: function())
    assert [each.title for each in starting.recent(session)] == ["there"]
    session.shut()


def test_a_folder_of_slices_is_chosen_in_a_dialog(page, session, tmp_path, qtbot, monkeypatch):
    from test_opening import series

    folder = series(tmp_path / "one", "1.2.9", "Abdomen")
    monkeypatch.setattr(start_page.QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    page.folder.click()
    qtbot.waitUntil(lambda: session.current is not None, timeout=20_000)
    assert session.current.name == "Abdomen"


def test_a_dialog_that_is_closed_opens_nothing(page, session, monkeypatch):
    for name, answer in (("getExistingDirectory", ""), ("getOpenFileNames", ([], "")), ("getSaveFileName", ("", ""))):
        monkeypatch.setattr(QFileDialog, name, lambda *_, answer=answer: answer)
    for each in (page.folder, page.file, page.open, page.new):
        each.click()
    assert session.current is None
    assert not session.study.is_open
    assert not session.study.busy


def test_a_window_that_the_dock_made_wider_than_the_screen_shrinks_to_it(viewer, qtbot):
    from napari_medseg.gui.window import MedsegWidget

    window, holder = QMainWindow(), QDockWidget()
    qtbot.addWidget(window)
    holder.setWidget(MedsegWidget(viewer))
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, holder)
    room = window.screen().availableVirtualGeometry().width()
    window.resize(room + 200, 600)
    window.show()
    qtbot.waitUntil(lambda: window.width() == room)
    holder.widget().desk.shut()


@pytest.mark.parametrize("low", [False, True])
def test_the_first_notice_stands_where_progress_is_told_until_something_runs(low, dock, desk, session, monkeypatch):
    monkeypatch.setattr(guide_bar, "is_low", lambda widget: low)
    desk.refreshed.emit()
    assert dock.notice.isVisibleTo(dock)
    assert not dock.progress.isVisibleTo(dock)
    starting.notice_seen(session)
    desk.refreshed.emit()
    assert not dock.notice.isVisibleTo(dock)
    assert dock.progress.isVisibleTo(dock) is not low  # whose room a low screen wants
