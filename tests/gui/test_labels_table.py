import numpy as np
import pytest

pytestmark = pytest.mark.qt
COLOUR, NAME, ML, SHOWN, LOCKED = range(5)


@pytest.fixture
def scan(viewer, dock, session, ball):
    """A scan whose slice 5 holds an organ on the left and a tumour on the right."""
    from napari_medseg.gui.layers import layer_data

    array, keywords, _ = layer_data(ball)
    viewer.add_image(array, **keywords)
    labels = np.zeros(session.current.display.geometry.shape, np.uint8)
    labels[4:7, 10:40, 10:30], labels[4:7, 10:40, 30:50] = 1, 2
    session.adopt_labels(session.current, labels)
    viewer.dims.set_point(0, session.current.display.geometry.spacing[0] * 5)
    return session.current


@pytest.fixture
def layer(desk, scan):
    return desk.writer.of(scan).labels


@pytest.fixture
def table(dock, scan):
    dock.labels.refresh()
    return dock.labels.table


def press(table, qtbot, row, column, key):
    table.setCurrentCell(row, column)
    qtbot.keyClick(table, key)


def draw(layer, viewer, tool):
    value = 0 if tool == "erase" else 2
    if tool == "fill":
        layer.fill((5, 20, 20), value)
    elif tool == "polygon":
        layer.paint_polygon([(5, 5, 5), (5, 5, 55), (5, 45, 55), (5, 45, 5)], value)
    elif tool == "script":
        layer.data_setitem((np.array([5, 5]), np.array([20, 50]), np.array([20, 20])), value)
    else:
        layer.brush_size = 30
        with layer.block_history():
            for x in range(10, 45, 5):
                layer.paint((5, 20, x), value, refresh=False)


@pytest.mark.parametrize("tool", ["brush", "erase", "fill", "polygon", "script"])
def test_no_tool_of_napari_changes_a_locked_label(scan, layer, viewer, session, tool):
    before = scan.labels.copy()
    session.table.lock(1, True)
    draw(layer, viewer, tool)
    assert np.array_equal(scan.labels == 1, before == 1)
    if tool != "fill":
        assert not np.array_equal(scan.labels, before)
        layer.undo()
    assert np.array_equal(scan.labels, before)
    assert scan.voxels[1] == (before == 1).sum()


def test_a_locked_label_is_not_drawn_with_either_and_the_window_says_why(scan, layer, session):
    before = scan.labels.copy()
    session.table.lock(1, True)
    layer.paint((5, 50, 50), 1)
    assert np.array_equal(scan.labels, before)
    assert "unlock it" in session.trouble


def test_what_a_script_gives_the_layer_spares_locked_labels(scan, layer, session):
    before = scan.labels == 1
    session.table.lock(1, True)
    layer.data = np.full_like(scan.labels, 2)
    assert np.array_equal(scan.labels == 1, before)
    assert (scan.labels[~before] == 2).all()


def test_the_layer_is_napari_s_own_again_when_its_scan_is_closed(scan, layer, session):
    session.table.lock(1, True)
    session.close(scan)
    layer.paint((5, 20, 20), 2)
    assert layer.data[5, 20, 20] == 2


def test_a_hidden_label_is_not_drawn_and_keeps_its_voxels(scan, layer, table, session, qtbot):
    from qtpy.QtCore import Qt

    before = scan.labels.copy()
    press(table, qtbot, 0, SHOWN, Qt.Key.Key_Space)
    assert session.table.hidden == {1}
    assert layer.colormap.map(np.uint8(1))[3] == 0
    assert layer.colormap.map(np.uint8(2))[3] == 1
    assert np.array_equal(scan.labels, before)


def test_layers_get_new_colours_only_when_colours_change(scan, layer, session):
    from napari_medseg.session.making import Making
    from napari_medseg.session.state import Preview

    other = next(c.value for c in session.classes if c.value != session.chosen)
    scan.preview = Preview(scan.labels.copy(), "level set", (session.label_class,), made=Making("levelset"))
    session.preview_changed.emit(scan, None)
    told = []
    layer.events.colormap.connect(lambda event: told.append(event))
    session.choose_class(other)
    session.table.lock(1, True)
    session.rename_class(2, "Lesion")
    assert not told
    session.table.show(1, False)
    session.table.show(1, True)
    session.table.recolour(2, (0.1, 0.2, 0.3))
    assert len(told) == 3
    assert np.allclose(layer.colormap.map(np.uint8(1))[:3], session.classes[0].colour, atol=0.01)
    assert np.allclose(layer.colormap.map(np.uint8(2)), (0.1, 0.2, 0.3, 1.0), atol=0.01)


def test_the_whole_table_is_worked_by_keys(table, session, scan, qtbot):
    from qtpy.QtCore import Qt

    press(table, qtbot, 1, LOCKED, Qt.Key.Key_Space)
    assert session.table.locked == {2}
    assert session.chosen == 2
    press(table, qtbot, 1, LOCKED, Qt.Key.Key_Return)
    press(table, qtbot, 1, NAME, Qt.Key.Key_Delete)
    assert [c.value for c in session.classes] == [1]
    session.undo()
    assert [c.value for c in session.classes] == [1, 2]


def test_a_letter_typed_on_the_table_goes_on_to_the_window(table):
    from qtpy.QtCore import QEvent, Qt
    from qtpy.QtGui import QKeyEvent

    event = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_G, Qt.KeyboardModifier.NoModifier, "g")
    table.keyPressEvent(event)
    assert not event.isAccepted()


def test_each_cell_says_in_words_what_its_picture_shows(table, session, dock):
    from qtpy.QtCore import Qt

    def words(column):
        dock.labels.refresh()
        return table.item(0, column).data(Qt.ItemDataRole.AccessibleTextRole)

    assert words(SHOWN) == "Organ is shown"
    assert words(LOCKED) == "Organ is not locked"
    session.table.show(1, False)
    session.table.lock(1, True)
    assert words(SHOWN) == "Organ is hidden"
    assert words(LOCKED) == "Organ is locked"
    assert "number 1" in words(COLOUR)


def test_colours_that_every_eye_tells_apart_are_offered_by_name(dock, desk, session, scan):
    from napari_medseg.gui.class_menu import ClassMenu

    menu = ClassMenu(dock.labels, desk, 1)
    actions = {action.text(): action for action in menu.colours.actions()}
    assert next(iter(actions)) == "Orange"
    assert "Sky blue (of Class 2)" in actions
    actions["Bluish green"].trigger()
    assert session.classes[0].colour == (0.0, 0.62, 0.451)


def test_rows_in_sight_are_whole_also_when_the_window_s_letters_come_later(dock, table, session, qtbot):
    from napari.qt import get_stylesheet
    from qtpy.QtWidgets import QApplication

    for number in range(5):
        session.add_class(f"Class {number}")
    dock.show()
    dock.setStyleSheet(get_stylesheet("dark", extra_variables={"font_size": "14pt"}) + dock.styleSheet())
    for _ in range(3):
        QApplication.processEvents()
    one = table.rowHeight(0)
    assert table.viewport().height() % one == 0
    assert table.verticalScrollBar().value() % one == 0
    assert table.verticalScrollBar().value() > 0, "the chosen class, the last, is in sight"
