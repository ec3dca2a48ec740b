from dataclasses import replace

import pytest

pytestmark = pytest.mark.qt
PRESS, MOVE, LIFT = "TabletPress", "TabletMove", "TabletRelease"


def choose(desk, session, *, pen):
    from napari_medseg.session.remembering import settle

    settle(session, replace(session.choices, pen=pen))
    desk.pen.follow()


@pytest.fixture
def pen(desk, session, dock, qtbot):
    """Posts what Qt tells of a pen to a widget that stands for the canvas."""
    from qtpy import QT5
    from qtpy.QtCore import QCoreApplication, QEvent, QPointF, Qt
    from qtpy.QtGui import QTabletEvent
    from qtpy.QtWidgets import QWidget

    canvas = QWidget()
    qtbot.addWidget(canvas)

    def post(kind, pressure):
        at, none, plain = QPointF(5, 5), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
        if QT5:
            rest = (1, 1, pressure, 0, 0, 0.0, 0.0, 0, plain, 7)
            event = QTabletEvent(getattr(QEvent.Type, kind), at, at, *rest)
        else:
            from qtpy.QtGui import QPointingDevice

            event = QTabletEvent(
                getattr(QEvent.Type, kind), QPointingDevice.primaryPointingDevice(), at, at, pressure, 0.0, 0.0, 0.0, 0.0, 0.0, plain, none, none)
        QCoreApplication.sendEvent(canvas, event)

    choose(desk, session, pen=True)
    yield post
    choose(desk, session, pen=False)


@pytest.fixture
def scribbles(desk, session, open_sample):
    scan = open_sample()
    desk.enter_mode("scribbles")
    layer = desk.writer.of(scan).strokes
    layer.brush_size = 20
    assert layer.mode == "paint"
    return layer


def test_a_brush_is_as_wide_as_the_pen_is_pressed_and_has_its_own_size_again_when_it_is_lifted(scribbles, pen):
    pen(PRESS, 0.01)
    light = scribbles.brush_size
    pen(MOVE, 0.25)
    middle = scribbles.brush_size
    pen(MOVE, 1.0)
    assert 4 <= light < middle < scribbles.brush_size == 20
    pen(MOVE, 0.1)
    pen(LIFT, 0.0)
    assert scribbles.brush_size == 20


def test_a_pen_that_hovers_changes_nothing(scribbles, pen):
    pen(MOVE, 0.0)
    assert scribbles.brush_size == 20


def test_the_limit_brush_follows_too_and_keeps_the_radius_that_was_chosen(desk, session, open_sample, pen):
    scan = open_sample()
    session.set(tab="weak")
    desk.enter_mode("limit")
    chosen = session.limit_brush.radius_mm
    pen(PRESS, 0.04)
    assert session.limit_brush.radius_mm == pytest.approx(0.36 * chosen)
    assert desk.writer.of(scan).limit.brush_size < 2 * chosen / min(scan.display.geometry.spacing)
    pen(LIFT, 0.0)
    assert session.limit_brush.radius_mm == chosen


def test_another_layer_and_another_tool_are_left_alone(viewer, scribbles, pen, desk, session):
    desk.arm("scribbles")
    assert scribbles.mode == "pan_zoom"
    pen(PRESS, 0.1)
    assert scribbles.brush_size == 20


def test_off_no_event_of_the_program_is_looked_at(scribbles, pen, desk, session):
    choose(desk, session, pen=False)
    pen(PRESS, 0.1)
    assert scribbles.brush_size == 20


def test_it_is_off_from_the_start_and_remembered(monkeypatch, tmp_path):
    from napari_medseg.session import preferences

    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    assert preferences.load().pen is False
    preferences.choose(replace(preferences.load().choices, pen=True))
    assert preferences.load().pen is True
