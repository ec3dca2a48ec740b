"""The window a rater answers in, and its page: keys, both sides as one, and no word, colour or order that tells."""

from contextlib import suppress

import blinded_cases as cases
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit

from napari_medseg.gui.blinded_pane import outline
from napari_medseg.review.blinded import read_answers

pytestmark = pytest.mark.qt


@pytest.fixture
def blinded(session, tmp_path):
    cases.planned(tmp_path, cases.PlanOptions(slices=4))
    found = session.reviewing.blinded
    found.name_rater("Ann")
    session.reviewing.turn("blinded")
    found.open_folder(tmp_path / "review")
    return found


@pytest.fixture
def asking(blinded, dock, qtbot):
    """The window with its first picture, in front."""
    from napari_medseg.gui.blinded_window import BlindedWindow

    window = BlindedWindow(dock.desk)
    blinded.start()
    window.resize(1000, 600)
    window.show()
    qtbot.waitUntil(lambda: up(blinded), timeout=60_000)
    yield window
    with suppress(RuntimeError):  # a test closed it
        window.close()


def up(blinded):
    """Whether the picture is on the screen and its clock runs."""
    return blinded.sitting is not None and blinded.sitting._is_up


def press(window, key):
    QTest.keyClick(window, key)


def texts(window):
    shown = [widget for kind in (QLabel, QAbstractButton) for widget in window.findChildren(kind)]
    said = [widget.text() for widget in shown] + [widget.toolTip() for widget in shown] + [widget.objectName() for widget in window.findChildren(QLabel)]
    return " ".join([*said, window.windowTitle(), *(field.placeholderText() for field in window.findChildren(QLineEdit))]).lower()


def test_a_review_is_answered_by_keys_to_the_result(asking, blinded, qtbot, tmp_path):
    for key in (Qt.Key.Key_A, Qt.Key.Key_S, Qt.Key.Key_D, Qt.Key.Key_A):
        qtbot.waitUntil(lambda: up(blinded), timeout=60_000)
        assert "model" not in texts(asking)
        assert "expert" not in texts(asking)
        assert "patient" not in texts(asking)
        press(asking, key)
    assert blinded.summary is None
    assert "Thank you, Ann" in asking.thanks.text()
    press(asking, Qt.Key.Key_Return)
    assert [one.choice for one in read_answers(tmp_path / "review" / "ann.answers.jsonl").by_question.values()] == ["left", "tie", "right", "left"]
    assert "model" in asking.result.words.toPlainText()
    assert asking.result.table.rowCount() == 1


def test_one_back_shows_the_answer_and_takes_another(asking, blinded, qtbot):
    press(asking, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: up(blinded), timeout=60_000)
    press(asking, Qt.Key.Key_Z)
    assert asking.choices["left"].property("armed")
    assert "answered before" in asking.progress.text()
    qtbot.waitUntil(lambda: up(blinded), timeout=60_000)
    press(asking, Qt.Key.Key_D)
    assert blinded.sitting.question.number == 2
    press(asking, Qt.Key.Key_Backspace)
    assert blinded.sitting.was == "right"
    press(asking, Qt.Key.Key_Return)
    assert blinded.sitting.question.number == 2


def test_letters_in_a_note_are_no_answers(asking, blinded, qtbot):
    press(asking, Qt.Key.Key_N)
    QTest.keyClicks(asking.note, "sad")
    assert blinded.sitting.answered == 0
    QTest.keyClick(asking.note, Qt.Key.Key_Return)
    press(asking, Qt.Key.Key_X)
    press(asking, Qt.Key.Key_S)
    answer = blinded.sitting._file.answers[1]
    assert (answer.note, answer.unusable, answer.choice) == ("sad", True, "tie")
    assert asking.note.text() == ""
    assert not asking.unusable.isChecked()


def test_a_key_that_is_held_down_answers_once(asking, blinded):
    from qtpy.QtGui import QKeyEvent

    for _ in range(3):
        held = QKeyEvent(QKeyEvent.Type.KeyPress, Qt.Key.Key_A, Qt.KeyboardModifier.NoModifier, "a", True)
        QApplication.sendEvent(asking, held)
    assert blinded.sitting.answered == 0


def test_both_sides_move_as_one_and_look_alike(asking, blinded, qtbot):
    assert asking.left._view is asking.right._view
    before = asking.left.grab().toImage(), asking.right.grab().toImage()
    asking.left.zoom_by(2.0)
    after = asking.left.grab().toImage(), asking.right.grab().toImage()
    assert all(one != other for one, other in zip(before, after, strict=True))
    press(asking, Qt.Key.Key_0)
    asking.right.put(blinded.pictures.up, blinded.pictures.up.left)
    assert asking.left.grab().toImage() == asking.right.grab().toImage()


def test_h_hides_the_outlines_while_it_is_held(asking):
    shown = asking.left.grab().toImage()
    QTest.keyPress(asking, Qt.Key.Key_H)
    assert asking.left.grab().toImage() != shown
    QTest.keyRelease(asking, Qt.Key.Key_H)
    assert asking.left.grab().toImage() == shown
    press(asking, Qt.Key.Key_F)
    assert asking.left.grab().toImage() != shown


def test_closing_the_window_loses_nothing_and_the_page_goes_on(asking, blinded, dock, qtbot):
    press(asking, Qt.Key.Key_A)
    asking.close()
    assert blinded.sitting is None
    from napari_medseg.gui.review_blinded import BlindedPage

    page = BlindedPage(dock.desk)
    qtbot.addWidget(page)
    page.refresh()
    assert page.start.text() == "Go on (1 of 4)"
    assert "Ann 1 of 4" in page.facts.text()


def test_the_page_asks_for_what_is_missing_and_fits_the_dock(dock, session, qtbot):
    from napari_medseg.gui.review_blinded import BlindedPage
    from napari_medseg.gui.style import WIDTH

    session.reviewing.turn("blinded")
    page = BlindedPage(dock.desk)
    qtbot.addWidget(page)
    page.refresh()
    assert not page.start.isEnabled()
    assert page.minimumSizeHint().width() <= WIDTH - 20
    session.reviewing.blinded.change(images=cases.Path("a"), a=cases.Path("b"), b=cases.Path("c"), keep=cases.Path("d"))
    page.refresh()
    assert page.start.isEnabled()


def test_an_outline_runs_along_the_sides_of_the_pixels():
    mask = np.zeros((6, 7), np.uint8)
    mask[1:4, 2:5] = 1
    mask[2, 3] = 0
    path = outline(mask)
    box = path.boundingRect()
    assert (box.left(), box.top(), box.right(), box.bottom()) == (2, 1, 5, 4)
    assert len(path.toSubpathPolygons()) == 2  # the edge and the hole
    assert outline(np.zeros((4, 4), np.uint8)).isEmpty()
