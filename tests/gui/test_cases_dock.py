import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_medseg import io
from napari_medseg.gui import cases_dock
from napari_medseg.session.history import change

pytestmark = pytest.mark.qt


@pytest.fixture(autouse=True)
def person(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))


@pytest.fixture
def cases(viewer, dock, qtbot):
    from napari_medseg.gui.cases_dock import CasesDock

    widget = CasesDock(viewer)
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def study(session):
    return session.study


@pytest.fixture
def files(ball, tmp_path):
    made = []
    for i in range(3):
        path = tmp_path / "scans" / f"patient {i + 9}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        io.write(ball.like(ball.array + i), path)
        made.append(path)
    return made


@pytest.fixture
def filled(cases, study, files, tmp_path, qtbot):
    study.create(tmp_path / "Livers")
    qtbot.waitUntil(lambda: study.is_open)
    study.add(files)
    qtbot.waitUntil(lambda: len(study.cases) == 3)
    cases.desk.refreshed.emit()
    return cases


def open_case(qtbot, study, index):
    study.go(study.rows()[index].id)
    qtbot.waitUntil(lambda: study.scan is not None and study.current == study.rows()[index].id)
    return study.scan


def paint(session, scan, where=np.s_[4:8, 10:20, 12:30]):
    labels = scan.labels if scan.labels is not None else scan.hold_nothing()
    session.painted(scan, change(labels, where, np.ones([s.stop - s.start for s in where], np.uint8)))


def shown(cases):
    return [cases.model.index(row, 0).data().split("\n")[0] for row in range(cases.model.rowCount())]


def test_the_empty_dock_teaches(cases):
    assert cases.pages.currentIndex() == 0
    assert "Drop a DICOM folder or NIfTI file here, or try a sample" in cases.teach.text()
    assert cases.new.text() == "New study…"


def test_on_a_low_screen_the_cases_share_one_place_with_naparis_layers_and_their_controls(viewer, dock, qtbot, monkeypatch):
    monkeypatch.setattr(cases_dock, "is_low", lambda widget: True)
    monkeypatch.setattr(cases_dock, "TALL", 100_000)
    window = QMainWindow()
    qtbot.addWidget(window)
    docks = []
    for name in (cases_dock.LAYER_CONTROLS, cases_dock.LAYER_LIST, "Cases"):
        docks.append(QDockWidget(name, window))
        docks[-1].setObjectName(name)
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docks[-1])
    docks[-1].setWidget(cases_dock.CasesDock(viewer))
    qtbot.waitUntil(lambda: set(window.tabifiedDockWidgets(docks[-1])) == set(docks[:-1]))


def test_of_a_study_with_a_long_name_how_far_it_is_stays_readable(filled, study):
    study.title = "Hepatocellular carcinoma in the late arterial phase, second reading"
    filled.refresh()
    assert filled.title.text().startswith("0 of 3 verified")
    assert study.title in filled.title.toolTip()


def test_the_table_shows_every_case_with_its_status_in_words(filled):
    assert filled.pages.currentIndex() == 1
    assert shown(filled) == ["patient 9", "patient 10", "patient 11"]
    assert filled.model.index(0, 1).data() == "○ new"
    assert "0 of 3 verified" in filled.title.text()


def test_filter_status_and_sort_change_the_rows(filled, study, session, qtbot):
    filled.filter.setText("patient 1")
    filled.refresh()
    assert shown(filled) == ["patient 10", "patient 11"]
    filled.filter.clear()
    filled._on_header(0)
    filled._on_header(0)
    filled.refresh()
    assert shown(filled) == ["patient 11", "patient 10", "patient 9"]
    paint(session, open_case(qtbot, study, 0))
    study.verify()
    qtbot.waitUntil(lambda: study.saved == "saved")
    filled.status.setCurrentIndex(1)
    filled.status.activated.emit(1)
    filled.refresh()
    assert shown(filled) == ["patient 10", "patient 9"]


def test_a_double_click_opens_the_case_and_the_next_takes_its_place(filled, viewer, study, session, qtbot):
    filled.table.doubleClicked.emit(filled.model.index(0, 0))
    qtbot.waitUntil(lambda: study.scan is not None)
    assert [layer.name for layer in viewer.layers] == ["patient 9"]
    paint(session, study.scan)
    session.labels_changed.emit(study.scan, None)
    session.set_seeds(study.scan, {1: ((0.0, 0.0, 0.0),)})
    assert len(viewer.layers) > 1
    filled.next.click()
    qtbot.waitUntil(lambda: study.current == "case-0002" and study.scan is not None)
    assert viewer.layers.selection.active.name == "patient 10"
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["patient 10"])
    assert viewer.layers.selection.active is viewer.layers[0]
    qtbot.waitUntil(lambda: study.cases[0].status == "corrected")
    filled.before.click()
    qtbot.waitUntil(lambda: study.current == "case-0001" and study.scan is not None and study.scan.has_labels)
    assert (study.scan.labels[4:8, 10:20, 12:30] == 1).all()
    assert any(layer.data is study.scan.labels for layer in viewer.layers)


def test_layers_of_the_case_before_go_one_a_turn_and_none_is_taken_for_the_next(filled, viewer, study, session, desk, qtbot):
    first = open_case(qtbot, study, 0)
    paint(session, first)
    session.labels_changed.emit(first, None)
    desk.prompts.prepare(first)
    desk.rulers.layers.prepare(first)
    counts = []
    viewer.layers.events.removed.connect(lambda event: counts.append(event.value.name))
    painted = desk.writer.of(first).labels
    study.dismiss(first)
    assert session.scans == []
    assert counts == []
    assert painted in viewer.layers
    viewer.add_image(first.display.array + 1, name="own")  # the labels that are on their way out lie on its grid too
    assert session.current is not first
    assert not session.current.has_labels
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers if layer.name.startswith("patient 9")] == [])
    assert counts[0] == "patient 9"
    assert {"patient 9 labels", "patient 9 prompts", "patient 9 boxes and lassos"} <= set(counts)
    assert not session.current.has_labels


def test_who_hurries_through_cases_finds_only_the_last_one_s_layers(filled, viewer, study, session, desk, qtbot):
    for index in (0, 1, 2):
        study.go(study.rows()[index].id)
        qtbot.waitUntil(lambda index=index: study.current == study.rows()[index].id and study.scan is not None)
        paint(session, study.scan)
        session.labels_changed.emit(study.scan, None)
    qtbot.waitUntil(lambda: {layer.name for layer in viewer.layers} == {"patient 11", "patient 11 labels"})
    assert study.scan.voxels[1] == 4 * 10 * 18


def test_a_case_is_shown_whole_beside_a_larger_picture(filled, viewer, study, desk, qtbot, ball):
    far = viewer.add_image(np.zeros((400, 300, 300), np.uint8), name="own", scale=(2, 2, 2))
    viewer.reset_view()
    scan = open_case(qtbot, study, 0)
    low, high = desk.image(scan).extent.world
    assert np.allclose(np.array(viewer.scene.camera.center)[-2:], ((low + high) / 2)[1:], atol=1e-3)
    assert abs(viewer.dims.point[0] - (low[0] + high[0]) / 2) <= scan.display.geometry.spacing[0]
    assert far in viewer.layers


@pytest.mark.parametrize("before", ["a case", "a picture of one's own"])
def test_the_tool_of_one_scan_is_in_the_hand_for_the_next(filled, viewer, study, session, desk, qtbot, ball, before):
    if before == "a case":
        open_case(qtbot, study, 0)
    else:
        viewer.add_image(ball.array + 9, name="own")
    session.set(tab="weak", mode="levelset", tool="seeds")
    study.go(study.rows()[1].id)
    qtbot.waitUntil(lambda: study.current == study.rows()[1].id and session.current is study.scan)
    layer = viewer.layers.selection.active
    assert layer is desk.seeds.get(session.current)
    assert str(layer.mode) == "add"


def test_the_keys_step_through_the_cases(window, files, tmp_path, qtbot):
    _, widget = window.window.add_plugin_dock_widget("napari-medseg", "Cases")
    bound = {str(key) for key in window.keymap}
    assert {"N", "Shift+N", "Ctrl+Alt+V"} <= bound
    widget.desk.shut()


def test_the_brush_is_autosaved_and_the_dock_says_so(filled, study, session, desk, qtbot):
    scan = open_case(qtbot, study, 0)
    session.adopt_labels(scan, np.zeros(scan.display.geometry.shape, np.uint8))
    layer = desk.writer.of(scan).labels
    layer.brush_size = 8
    layer.paint((11, 30, 30), 1)
    filled.refresh()
    assert filled.history.state.text().startswith("Not saved yet")
    qtbot.waitUntil(lambda: study.saved == "autosaved", timeout=3000)
    filled.refresh()
    assert filled.history.state.text() == "Autosaved"
    recovered = study._project.recover(study.current)
    assert np.array_equal(scan.axes.apply(recovered.array), scan.labels)


def test_brush_work_is_a_version_before_its_layer_goes(filled, study, session, viewer, desk, qtbot):
    scan = open_case(qtbot, study, 0)
    paint(session, scan)
    session.labels_changed.emit(scan, None)
    viewer.layers.clear()  # as napari does when its window closes
    qtbot.waitUntil(lambda: study.cases[0].status == "corrected")
    assert study.project.unsaved() == []


def test_history_shows_and_restores_versions(filled, study, session, qtbot):
    study.set_user("Ada")
    scan = open_case(qtbot, study, 0)
    paint(session, scan)
    filled.history.fold.setChecked(True)
    filled.history.name.setText("first")
    filled.history.save.click()
    qtbot.waitUntil(lambda: len(study.versions) == 1)
    paint(session, scan, np.s_[9:10, 10:20, 12:30])
    study.verify()
    qtbot.waitUntil(lambda: len(study.versions) == 2)
    filled.refresh()
    assert filled.history.list.count() == 2
    assert "first" in filled.history.list.item(1).text()
    assert "Ada" in filled.history.list.item(1).text()
    assert not filled.history.restore.isEnabled()
    filled.history.list.setCurrentRow(1)
    filled.history.restore.click()
    qtbot.waitUntil(lambda: len(study.versions) == 3)
    assert not scan.labels[9].any()


def test_unsaved_work_is_offered_with_its_picture_and_only_discarding_asks(filled, study, session, qtbot):
    paint(session, open_case(qtbot, study, 0))
    qtbot.waitUntil(lambda: study.saved == "autosaved", timeout=3000)
    folder = study.folder
    study._edited.clear()  # as if the process had ended here
    study.leave()
    study.open(folder)
    qtbot.waitUntil(lambda: bool(study.found) and study.found[0].picture is not None)
    filled.refresh()
    frame = filled.unsaved
    assert not frame.isHidden()
    assert not frame.picture.pixmap().isNull()
    assert "patient 9" in frame.text.text()
    frame.discard.click()
    assert study.found
    assert frame.discard.text() == "Discard for good"
    frame.restore.click()
    assert frame.restore.text() == "Restore it"
    frame.restore.click()
    qtbot.waitUntil(lambda: study.scan is not None and study.scan.has_labels)
    filled.refresh()
    assert frame.isHidden()


def test_the_name_is_asked_once_and_kept(filled, study):
    assert not filled.name.isHidden()
    filled.name.field.setText("Ada")
    filled.name.field.returnPressed.emit()
    filled.refresh()
    assert filled.name.isHidden()
    assert study._project.user == "Ada"


def test_a_locked_study_says_who_has_it_and_opens_to_look(filled, study, files, tmp_path, qtbot, viewer):
    from napari_medseg.project import Project

    folder = study.folder
    study.leave()
    qtbot.waitUntil(lambda: study._store.wait(0))
    with Project.open(folder, user="Bo"):
        study.open(folder)
        qtbot.waitUntil(lambda: study.locked is not None)
        filled.refresh()
        assert "Bo" in filled.locked.text.text()
        filled.locked.look.click()
        qtbot.waitUntil(lambda: study.is_open)
        filled.refresh()
        assert "only to look" in filled.title.text()
        assert not filled.add.isEnabled()
        study.leave()
        qtbot.waitUntil(lambda: study._store.wait(0))


def test_what_is_dropped_joins_the_study_and_a_dropped_study_is_opened(filled, study, ball, tmp_path, qtbot):
    fresh = tmp_path / "fresh.nii.gz"
    io.write(ball.like(ball.array + 9), fresh)
    filled.take([fresh])
    qtbot.waitUntil(lambda: len(study.cases) == 4)
    folder = study.folder
    study.leave()
    filled.take([folder])
    qtbot.waitUntil(lambda: study.is_open and len(study.cases) == 4)


def test_a_study_s_folder_is_for_the_study_s_reader(filled, study, qtbot):
    from napari_medseg.gui import reader, study_reader

    folder = str(study.folder)
    assert study_reader.get_reader(folder) is not None
    assert study_reader.get_reader([folder, folder]) is None
    assert study_reader.get_reader(str(study.folder.parent)) is None
    assert reader.get_reader(folder) is None
    study.leave()
    filled.desk.open_path(Path(folder))
    qtbot.waitUntil(lambda: study.is_open)


def test_a_thousand_cases_stay_fluent(cases, study, qtbot):
    from dataclasses import replace
    from datetime import UTC, datetime

    from napari_medseg.project import Case
    from napari_medseg.session.cases import Amount
    from napari_medseg.volume import Geometry

    one = Case("case-0000", "scan", "weak", "CT", Geometry((8, 8, 8)), 1, 1, "Ada", 60.0, datetime.now(UTC), False, False)
    study.folder, study.title = Path("many.medseg"), "Many"
    study.cases = [replace(one, id=f"case-{i:04d}", name=f"scan {i}") for i in range(1000)]
    study.amounts = {case.id: Amount(1, 2.0) for case in study.cases}
    cases.resize(280, 700)
    cases.show()
    cases.refresh()
    qtbot.wait(50)
    times = []
    for act in (lambda: study.arrange(by="name"), lambda: study.arrange(text="9"), lambda: study.arrange(text=""), lambda: None):
        began = time.thread_time()  # what it costs, however busy the machine is
        act()
        cases.refresh()
        cases.table.viewport().repaint()
        times.append(time.thread_time() - began)
    study.folder = None
    assert times[-1] < 0.02, times
    assert max(times) < 0.3, times


def test_columns_come_with_the_room_for_them(filled):
    filled.show()
    filled.resize(280, 700)
    assert filled.table.isColumnHidden(3)
    filled.resize(500, 700)
    assert not filled.table.isColumnHidden(3)


def test_on_a_small_screen_three_cases_are_in_sight_while_the_name_is_asked(filled, qtbot):
    filled.resize(280, 300)
    filled.show()
    qtbot.waitExposed(filled)
    filled.desk.refreshed.emit()
    assert filled.name.isVisible()
    assert not filled.filter.isVisible()
    qtbot.waitUntil(lambda: filled.table.rowAt(filled.table.viewport().height() - 1) in (2, -1))
    filled.study.arrange(text="patient 1")
    filled.desk.refreshed.emit()
    assert filled.filter.isVisible()


def test_the_study_menu_makes_the_report(filled, session, study, qtbot):
    paint(session, open_case(qtbot, study, 0))
    study.verify()
    qtbot.waitUntil(lambda: study.saved == "saved")
    filled._fill_menu()
    next(action for action in filled.menu.menu().actions() if action.text() == "Make a report").trigger()
    assert (session.tab, session.reviewing.page) == ("review", "report")
    qtbot.waitUntil(lambda: session.reviewing.reporting.made is not None, timeout=60_000)
    assert session.reviewing.reporting.target.is_file()
