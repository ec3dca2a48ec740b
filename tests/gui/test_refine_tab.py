"""The Refine tab as a view: it shows what the session knows, and its buttons call the session."""

import threading
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_medseg.gui import key_acts
from napari_medseg.gui.into_view import MARGIN, IntoView
from napari_medseg.gui.refine_tab import RefineTab
from napari_medseg.gui.weak_tab import WeakTab
from napari_medseg.refine import RoundFigures
from napari_medseg.refine.kept import Unfinished
from napari_medseg.session.history import change
from napari_medseg.session.jobs import TRAINING
from napari_medseg.session.refining_left import Asked
from napari_medseg.session.refining_rounds import Row
from napari_medseg.session.refining_runs import Training
from napari_medseg.session.round_pictures import changed_most
from napari_medseg.session.run_notes import Spot
from napari_medseg.session.settings import RefineChoices
from napari_medseg.session.state import Preview

pytestmark = pytest.mark.qt
GIVEN = RoundFigures(0, 0, 0.0, None, 1.0, dice_verified=0.8)
ROUND = RoundFigures(
    1, 40, 130.0, 0.2, 1.05, dice_verified=0.86, dice_change=0.06, adopted=True, reason="better on the verified slices", verified_slices=4,
    verified_patients=2, pieces="2 holes more",
)


@pytest.fixture
def scan(viewer, session, ball):
    from napari_medseg.gui.layers import layer_data

    array, keywords, _ = layer_data(ball)
    viewer.add_image(array, **keywords)
    opened = session.current
    opened.preview = Preview((array > 150).astype(np.uint8), "test", (session.label_class,), finished=True)
    session.accept()
    session.set(tab="refine")
    return opened


@pytest.fixture
def tab(dock, desk, scan):
    desk.refreshed.emit()
    return dock.findChild(RefineTab)


@pytest.fixture
def rounds(session, desk, tab, scan, ball):
    """A round that lays the ball two slices lower."""
    labels = (ball.array > 150).astype(np.uint8)
    changes = changed_most([("ball", ball)], {"ball": labels}, {"ball": np.roll(labels, 2, 0)})
    session.refining.training = Training("Refining", session.refine, scans={"ball": scan})
    spots = (Spot("ball", (4, 30, 26), "rounds disagree about 0.4 ml", False), Spot("ball", (15, 30, 26), "picked at random, to compare with", True))
    session.refining.rows = [Row(GIVEN), Row(ROUND, {}, changes, spots)]
    desk.refreshed.emit()
    return session.refining


def test_the_counts_and_the_status_of_each_case_are_shown(tab, session, desk, scan):
    assert tab.cases.counts.text() == "1 labelled case: 1 weak"
    assert [tab.cases.table.item(0, column).text() for column in (0, 1)] == ["ball", "◔ weak"]
    box = slice(3, 4), slice(0, 4), slice(0, 4)
    session.painted(scan, change(scan.labels, box, np.ones((1, 4, 4), np.uint8)))
    desk.refreshed.emit()
    assert tab.cases.counts.text() == "1 labelled case: 1 corrected"


def test_the_table_of_rounds_shows_dice_change_volume_time_and_the_reason(tab, rounds):
    cells = [tab.rounds.table.item(1, column).text() for column in range(5)]
    assert cells == ["★! 1", "0.860", "+0.060", "× 1.05", "2 min"]
    assert "4 verified slices of 2 patients" in tab.rounds.scored.text()
    assert tab.rounds.reason.text() == "Round 1 can be adopted. Better on the verified slices. Watch: 2 holes more."
    assert tab.rounds.isVisibleTo(tab)
    rounds.in_use = 1
    tab.rounds.refresh()
    assert tab.rounds.reason.text().startswith("Round 1 is in use. Better")


def test_a_click_on_a_picture_leads_to_its_slice(tab, rounds, desk, session, viewer):
    picture = tab.rounds.pictures[0]
    assert picture.isVisibleTo(tab)
    assert f"slice {picture.change.index}" in picture.text()
    picture.click()
    assert desk.slice_in_view(0) == picture.change.index


def test_choosing_a_row_shows_that_round_and_stays_when_the_tab_is_drawn_anew(tab, rounds, desk):
    tab.rounds.table.selectRow(0)
    desk.refreshed.emit()
    assert rounds.shown == 0
    assert tab.rounds.reason.text().startswith("Round 0: the labels you gave")
    assert not tab.rounds.adopt.isEnabled()


def test_the_places_to_correct_are_listed_with_the_random_one_told_apart(tab, rounds, desk, session):
    assert [tab.next.list.item(row).text()[:2] for row in range(2)] == ["1.", "⚄ "]
    key_acts.next_place(desk)
    assert desk.slice_in_view(0) == 4
    key_acts.last_place(desk)
    assert desk.slice_in_view(0) == 15
    assert "picked at random" in session.notice


def test_a_slice_is_marked_right_by_button_and_key_and_shows_on_strip_and_canvas(dock, tab, desk, session, scan):
    desk.show_slice(0, 9)
    tab.single.right.act.click()
    desk.refreshed.emit()
    assert session.verified.of(scan) == (9,)
    assert desk.right_mark.is_shown
    assert tab.single.right.act.text() == "Not right after all"
    desk.show_slice(0, 10)
    assert not desk.right_mark.is_shown
    assert "9" in tab.single.right.strip.toolTip()
    desk.show_slice(0, 9)
    desk.mark_right()
    assert session.verified.of(scan) == ()
    desk.refreshed.emit()
    assert dock.findChild(WeakTab).right.act.text() == "✓ This slice is right"


def test_the_rest_can_be_proposed_only_once_a_slice_was_corrected(tab, desk, session, scan):
    assert not tab.single.propose.isEnabled()
    box = slice(9, 10), slice(0, 4), slice(0, 4)
    session.painted(scan, change(scan.labels, box, np.ones((1, 4, 4), np.uint8)))
    desk.refreshed.emit()
    assert tab.single.propose.isEnabled()
    assert tab.single.said.text().startswith("1 slice corrected or right; 2 more for a good proposal")


def test_what_a_training_network_sees_is_a_line_of_its_own_and_no_label(tab, desk, session, scan, viewer):
    glimpse = session.refining.glimpse
    glimpse.scan, glimpse.index, glimpse.labels = scan, 7, (scan.display.array[7] > 150).astype(np.uint8)
    before, labels = len(viewer.layers), scan.labels.copy()
    session.changed.emit()
    layer = desk.glimpse.get()
    assert layer.visible
    assert len(viewer.layers) == before + 1
    extent = viewer.layers.extent.world.copy()
    assert [layer.world_to_data(viewer.layers[0].data_to_world((z, 3, 4))).tolist() for z in (7, 6)] == [[0, 3, 4], [-1, 3, 4]]
    assert layer.data.any()
    glimpse.index, glimpse.labels = 9, (scan.display.array[9] > 150).astype(np.uint8)
    session.changed.emit()
    assert desk.glimpse.get() is layer
    assert layer.world_to_data(viewer.layers[0].data_to_world((9, 3, 4))).tolist() == [0, 3, 4]
    assert np.array_equal(viewer.layers.extent.world, extent)
    assert np.array_equal(scan.labels, labels)
    assert session.scans == [scan]
    glimpse.forget()
    session.changed.emit()
    assert not layer.visible


def test_removing_that_line_switches_it_off(tab, desk, session, scan, viewer):
    glimpse = session.refining.glimpse
    glimpse.scan, glimpse.index, glimpse.labels = scan, 7, (scan.display.array[7] > 150).astype(np.uint8)
    session.changed.emit()
    viewer.layers.remove(desk.glimpse.get())
    assert not glimpse.on
    assert session.scans == [scan]


def test_a_recipe_brings_its_own_number_of_rounds(tab, desk, session):
    session.refining.choose_recipe("salah2023")
    desk.refreshed.emit()
    assert tab.setup.rounds.value() == 3
    assert tab.setup.base.itemText(0) == "M0 (synthetic CT)"


@pytest.mark.parametrize("figures", [ROUND, replace(ROUND, dice_verified=None, dice_change=None)])
def test_nothing_of_the_tab_is_wider_than_the_dock(tab, rounds, desk, figures, monkeypatch):
    rounds.rows[1].figures = figures
    monkeypatch.setattr(rounds, "name_of", lambda case: "hippocampus_of_a_long_name_017")
    tab.rounds._pictured = None
    desk.refreshed.emit()
    from napari_medseg.gui.style import WIDTH

    assert tab.minimumSizeHint().width() < WIDTH - 20


def test_a_warning_of_the_training_stands_below_its_buttons(tab, desk, session):
    assert not tab.running.warning.isVisibleTo(tab)
    session.refining.warning = "The checkpoint of round 1 was cut short or damaged, so this round starts anew."
    desk.refreshed.emit()
    assert tab.running.warning.isVisibleTo(tab)
    assert "starts anew" in tab.running.warning.text()


@pytest.fixture
def cut_off(session, desk, tab, qtbot, tmp_path):
    """A training that was cut off is found."""
    qtbot.waitUntil(lambda: not session.jobs.active)

    def found():
        run = Unfinished(tmp_path / "run", "medseg", 1, 3, datetime(2026, 11, 20, 21, 5), ("a", "b"))
        session.refining.left.runs = (run,)
        desk.refreshed.emit()

    return found


def shown(dock, qtbot):
    """The dock on a screen that is too low for the whole tab."""
    dock.resize(352, 420)
    dock.show()
    qtbot.waitExposed(dock)
    dock.tabs.setCurrentIndex(dock._keys.index("refine"))
    return dock.tabs.currentWidget()


def test_a_training_that_was_cut_off_comes_into_view_by_itself(dock, tab, rounds, desk, session, qtbot, cut_off, monkeypatch):
    monkeypatch.setattr("napari_medseg.gui.into_view.REST_MS", 20)
    area = shown(dock, qtbot)
    bar = area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0 and not tab.view.waits)
    bar.setValue(bar.maximum())
    cut_off()
    assert "not finished: it ended at 2026-11-20 21:05, with 1 of 3 rounds done" in tab.unfinished.said.text()
    qtbot.waitUntil(lambda: not tab.view.waits)
    top = tab.unfinished.mapTo(area.viewport(), QPoint(0, 0)).y()
    assert 0 <= top < area.viewport().height()
    assert tab.unfinished.go_on.property("primary")


def test_nothing_scrolls_behind_the_back_of_a_person_in_another_tab(dock, tab, rounds, desk, session, qtbot, cut_off, monkeypatch):
    monkeypatch.setattr("napari_medseg.gui.into_view.REST_MS", 20)
    area = shown(dock, qtbot)
    bar = area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0 and not tab.view.waits)
    bar.setValue(bar.maximum())
    dock.tabs.setCurrentIndex(0)
    before = bar.value()
    cut_off()
    qtbot.wait(120)
    assert bar.value() == before
    assert dock.tabs.currentIndex() == 0
    dock.tabs.setCurrentIndex(dock._keys.index("refine"))
    qtbot.waitUntil(lambda: not tab.view.waits)
    assert bar.value() < before


@pytest.fixture
def training(session, qtbot):
    """Starts a training that goes on until the test ends."""
    over = threading.Event()

    def train():
        while not over.wait(0.01):
            yield SimpleNamespace(fraction=0.0, message="learning")

    yield lambda: session.jobs.start(TRAINING, "Refining", train, apply=lambda tick: None, done=lambda: None, failed=session.report, own_thread=True)
    over.set()
    qtbot.waitUntil(lambda: not session.refining.is_training)


def test_a_training_comes_into_view_when_it_is_started_and_the_page_stays_when_its_first_loss_comes(dock, tab, desk, session, qtbot, training):
    area = shown(dock, qtbot)
    bar, running = area.verticalScrollBar(), tab.running
    qtbot.waitUntil(lambda: bar.maximum() > 0 and not tab.view.waits)
    bar.setValue(0)
    QCursor.setPos(area.mapToGlobal(QPoint(30, 30)))  # over the page, where Start has just been pressed
    training()
    desk.refreshed.emit()
    qtbot.waitUntil(lambda: not tab.view.waits)
    place = running.mapTo(area.viewport(), QPoint(0, 0)).y()
    assert place == MARGIN, "its beginning, where there is no room for all of it"
    session.refine.losses = [0.9, 0.8]
    desk.refreshed.emit()
    qtbot.waitUntil(lambda: running.curve.layout().count() == 1, timeout=60_000)  # what draws it loads beside the window
    qtbot.wait(120)
    assert not tab.view.waits
    assert running.mapTo(area.viewport(), QPoint(0, 0)).y() == place


def test_a_part_comes_into_view_by_the_shortest_way(qtbot):
    area, page, column = QScrollArea(), QWidget(), QVBoxLayout()
    parts = [QWidget() for _ in range(5)]
    for part in parts:
        part.setFixedHeight(100)
        column.addWidget(part)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    page.setLayout(column)
    area.setWidget(page)
    area.setFixedSize(120, 254)
    qtbot.addWidget(area)
    area.show()
    qtbot.waitExposed(area)
    view, bar = IntoView(page), area.verticalScrollBar()
    for part, place in ((parts[3], 400 + MARGIN - area.viewport().height()), (parts[4], bar.maximum()), (parts[2], 200 - MARGIN), (parts[0], 0)):
        view.want(part, asked=True)
        qtbot.waitUntil(lambda: not view.waits)
        assert bar.value() == place


def test_what_waited_is_offered_by_another_name(tab, desk, session, qtbot):
    qtbot.waitUntil(lambda: not session.jobs.active)
    session.refining.left.waiting = (Asked(session, RefineChoices(recipe="medseg", rounds=1)),) * 2
    desk.refreshed.emit()
    assert tab.unfinished.isVisibleTo(tab)
    assert tab.unfinished.go_on.text() == "Start them"
    assert tab.unfinished.said.text() == "2 trainings had not begun when the window was closed or stopped."
    session.refining.left.waiting = ()
    desk.refreshed.emit()
    assert not tab.unfinished.isVisibleTo(tab)


@pytest.mark.parametrize("there", [False, True])
def test_export_writes_into_an_empty_folder_and_never_among_other_files(tab, desk, session, qtbot, tmp_path, monkeypatch, there):
    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    network = save_model(tmp_path / "run" / "model.safetensors", UNet(widths=(4, 8)), {"title": "small", "preprocessing": {"size": 32}})
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    if there:
        (chosen / "thesis.txt").write_text("mine", encoding="utf-8")
    session.refine.model = network
    monkeypatch.setattr("napari_medseg.gui.refine_rounds.QFileDialog.getExistingDirectory", lambda *_: str(chosen))
    tab.rounds._on_export()
    qtbot.waitUntil(lambda: session.notice.startswith("Exported the model"), timeout=20000)
    written = chosen / "refined model" if there else chosen
    assert {"model.safetensors", "README.md"} <= {path.name for path in written.iterdir()}
    assert not there or {path.name for path in chosen.iterdir()} == {"thesis.txt", "refined model"}
