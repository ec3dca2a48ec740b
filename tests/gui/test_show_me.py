"""The Guide's Show me, and that its sentences fit."""

import pytest
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.gui import guide_bar
from napari_medseg.gui.show_me import Pointer, show_step

pytestmark = pytest.mark.qt


@pytest.fixture
def inside(dock, qtbot):
    """The dock in a window of a small screen's height."""
    window = QWidget()
    column = QVBoxLayout(window)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(dock)
    qtbot.addWidget(window)
    window.resize(352, 690)
    window.show()
    return window


def test_it_frames_the_one_filled_button(inside, dock, desk, open_sample):
    open_sample()
    desk.refreshed.emit()
    target = show_step(desk, inside)
    assert target.text() == "Add seeds"
    pointer = inside.findChild(Pointer)
    assert pointer.isVisible()
    assert pointer.geometry().contains(target.mapTo(inside, target.rect().center()))


def test_a_step_of_another_tab_turns_to_it(inside, dock, desk, session, open_sample):
    open_sample()
    session.set(tab="refine")
    desk.refreshed.emit()
    show_step(desk, inside)
    assert session.tab == "weak"


def test_a_long_sentence_is_never_cut_the_reason_gives_way(inside, dock, desk, session, open_sample, qtbot):
    scan = open_sample()
    scan.hold_nothing()
    session.notice = "Accepted proposal of the promptable model into Left hippocampus head"
    desk.refreshed.emit()
    guide = dock.guide
    qtbot.wait(10)
    assert guide.sentence.heightForWidth(guide.sentence.width()) <= guide.contentsRect().height()
    if guide.why.isVisible():
        assert guide.why.geometry().bottom() <= guide.contentsRect().bottom()
    assert guide.why.text() in guide.toolTip()


def test_a_sentence_too_high_for_the_screen_is_cut_and_the_tooltip_has_all_of_it(inside, dock, desk, session, open_sample, qtbot, monkeypatch):
    open_sample()
    monkeypatch.setattr(guide_bar, "is_low", lambda widget: True)
    session.trouble = "the labels of this scan could not be written to the disk of the study, which is full; " * 5
    desk.refreshed.emit()
    guide = dock.guide
    qtbot.wait(10)
    assert guide.height() == guide_bar.HEIGHT_GUIDE
    assert guide.sentence.text().endswith("…")
    assert guide.sentence.heightForWidth(guide.sentence.width()) <= guide.contentsRect().height()
    assert session.trouble.strip().rstrip(";") in guide.toolTip()


def test_of_several_reasons_whole_ones_are_shown_as_far_as_they_have_room(inside, dock, desk, session, open_sample, qtbot):
    open_sample()
    session.set(tab="weak", tool="")
    desk.refreshed.emit()
    qtbot.wait(10)
    guide, first, second = dock.guide, "Spread them over its slices.", "Or point at it in the Segment tab."
    assert guide.why.text() in ("", first, f"{first} {second}")
    inside.resize(1500, 690)
    qtbot.waitUntil(lambda: guide.why.text() == f"{first} {second}")
    assert second in guide.toolTip()
