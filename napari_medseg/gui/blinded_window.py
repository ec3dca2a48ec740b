"""The window a rater answers in: two pictures that move as one, three keys, and nothing that tells whose outline it is.

It covers napari's layers, names and status bar, which might.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QCloseEvent, QKeyEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QLineEdit, QProgressBar, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from napari_medseg.gui.blinded_pane import Pane, View
from napari_medseg.gui.blinded_result import BlindedResult
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, mark, quiet, sheet
from napari_medseg.session.guide import clock

TITLE = "Blinded review"
CHOICES = {Qt.Key.Key_A: "left", Qt.Key.Key_S: "tie", Qt.Key.Key_D: "right"}
QUESTION = {"slices": "Which outline fits this slice better?", "volumes": "Which outline fits this volume better?"}
HELP = "Wheel: {wheel}; drag: move; right drag: window and level; 0: fit, W: whole slice; hold H: hide outlines; F: fill on or off; N: note"
ASKING, END, RESULT = range(3)


class BlindedWindow(QWidget):
    """Views of `session.reviewing.blinded` while somebody answers.

    Parameters
    ----------
    desk : Desk
    parent : QWidget or None
        napari's window, whose theme it takes.
    """

    closed = Signal()

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self._desk = desk
        self._blinded = desk.session.reviewing.blinded
        self._view = View()
        self._shown: object = None
        self._hidden = False
        self._filled = False
        self.setWindowTitle(TITLE)
        self.setObjectName("blindedReview")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setStyleSheet(sheet(str(desk.viewer.theme)))
        self.pages = QStackedWidget()
        self.pages.addWidget(self._asking())
        self.pages.addWidget(self._end())
        self.result = BlindedResult(desk)
        self.result.title.setStyleSheet("font-size: 14pt;")
        self.pages.addWidget(self._with_close(self.result))
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 8, 10, 8)
        column.addWidget(self.pages)
        self.left.painted.connect(self._on_painted)
        self._blinded.turned.connect(self.refresh)
        desk.rethemed.connect(self._on_theme)
        self.refresh()

    # -- building ----------------------------------------------------------------------------------------------------------------------------------------

    def _asking(self) -> QWidget:
        page = QWidget()
        self.question, self.progress = QLabel(), QLabel()
        self.question.setStyleSheet("font-size: 15pt;")
        self.progress.setStyleSheet("font-size: 12pt;")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.left, self.right = Pane(self._view, self._redraw), Pane(self._view, self._redraw)
        self.trouble = QLabel()
        self.trouble.setWordWrap(True)
        self.trouble.setStyleSheet("color: #e69f00; font-weight: bold;")
        self.place = quiet()
        self.choices = {
            "left": button("Left is better   (A)", "The left outline is better (A)", lambda: self._blinded.answer("left")),
            "tie": button("No difference   (S)", "Neither is better (S)", lambda: self._blinded.answer("tie")),
            "right": button("Right is better   (D)", "The right outline is better (D)", lambda: self._blinded.answer("right")),
        }
        self.back = button("Back one   (Z)", "Look at the question before again, and answer it anew if you like (Z or Backspace)", self._blinded.back)
        self.forward = button("Leave it as it is   (Enter)", "Go on without changing this answer (Enter)", self._blinded.forward)
        self.unusable = QCheckBox("Neither is good enough   (X)")
        self.unusable.setToolTip("Whichever is better, neither could be used (X)")
        self.unusable.toggled.connect(self._blinded.mark_unusable)
        self.note = QLineEdit()
        self.note.setAccessibleName("Note")
        self.note.setPlaceholderText("Note (N); Enter leaves it")
        self.note.setMaxLength(500)
        self.note.textEdited.connect(self._blinded.note)
        self.note.returnPressed.connect(self.setFocus)
        self.help = quiet()
        self.note.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        for one in (*self.choices.values(), self.back, self.forward, self.unusable):  # the keys stay with the window
            one.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        for one in self.choices.values():
            one.setMinimumHeight(38)
            one.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        head = QHBoxLayout()
        head.addWidget(self.question, 1)
        head.addWidget(self.progress)
        panes = QHBoxLayout()
        panes.setSpacing(SPACING)
        panes.addWidget(self.left, 1)
        panes.addWidget(self.right, 1)
        answers = QHBoxLayout()
        for name in ("left", "tie", "right"):
            answers.addWidget(self.choices[name], 2 if name != "tie" else 1)
        more = QHBoxLayout()
        for widget, stretch in ((self.back, 0), (self.forward, 0), (self.note, 1), (self.unusable, 0)):
            more.addWidget(widget, stretch)
        low = QHBoxLayout()
        low.addWidget(self.help, 1)
        low.addWidget(self.place)
        self.place.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(head)
        column.addWidget(self.bar)
        column.addLayout(panes, 1)
        column.addWidget(self.trouble)
        column.addLayout(answers)
        column.addLayout(more)
        column.addLayout(low)
        return page

    def _end(self) -> QWidget:
        page = QWidget()
        self.thanks = QLabel()
        self.thanks.setStyleSheet("font-size: 15pt;")
        self.thanks.setAlignment(Qt.AlignmentFlag.AlignCenter)
        told = quiet("The result tells which was which; answers cannot be changed after it.")
        told.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.last = button("Back one   (Z)", "Look at the last question again (Z or Backspace)", self._blinded.back)
        self.show_result = button("Show the result", "Answers cannot be changed after that (Enter)", self._blinded.finish)
        mark(self.show_result, "primary", True)
        for one in (self.last, self.show_result):
            one.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.last)
        row.addWidget(self.show_result)
        row.addStretch(1)
        column = QVBoxLayout(page)
        column.addStretch(1)
        column.setSpacing(2 * SPACING)
        column.addWidget(self.thanks)
        column.addWidget(told)
        column.addLayout(row)
        column.addStretch(1)
        return page

    def _with_close(self, inside: QWidget) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.addWidget(inside, 1)
        row = QHBoxLayout()
        row.addStretch(1)
        self.leave = button("Close", "Back to the Review tab, where the result stays (Esc)", self.close)
        row.addWidget(self.leave)
        column.addLayout(row)
        return page

    # -- showing -----------------------------------------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the session."""
        found, sitting = self._blinded, self._blinded.sitting
        if sitting is None:
            if found.summary is not None:
                self.pages.setCurrentIndex(RESULT)
                self.result.refresh()
            elif self.isVisible():
                self.close()
            return
        if sitting.is_done:
            self.thanks.setText(f"All {sitting.of} questions are answered. Thank you, {sitting.rater}.")
            self.pages.setCurrentIndex(END)
            return
        self.pages.setCurrentIndex(ASKING)
        kind = sitting.plan.kind
        self.question.setText(QUESTION[kind] if found.pictures.up is not None or found.trouble else "Reading the next scan…")
        number = sitting.question.number if sitting.question is not None else sitting.of
        left = sitting.seconds_left
        again = ", answered before" if sitting.was is not None else ""
        self.progress.setText(f"{number} of {sitting.of}{again}" + (f", about {clock(left)} left" if left is not None else ""))
        self.bar.setRange(0, sitting.of)
        self.bar.setValue(sitting.answered)
        self.trouble.setText(found.trouble)
        self.trouble.setVisible(bool(found.trouble))
        for name, one in self.choices.items():
            mark(one, "armed", sitting.was == name)
            one.setEnabled(found.pictures.up is not None)
        self.back.setEnabled(sitting.can_go_back)
        self.forward.setVisible(sitting.was is not None)
        self.unusable.blockSignals(True)
        self.unusable.setChecked(sitting.unusable)
        self.unusable.blockSignals(False)
        if self.note.text() != sitting.note:
            self.note.setText(sitting.note)
        self.help.setText(HELP.format(wheel="zoom" if kind == "slices" else "through the slices, with Ctrl zoom"))
        self._put()

    def _put(self) -> None:
        """Put the question's pictures up, seen as one sees them first."""
        shown = self._blinded.pictures.up
        if shown is self._shown:
            return
        self._shown = shown
        self.left.put(shown, None if shown is None else shown.left)
        self.right.put(shown, None if shown is None else shown.right)
        if shown is not None:
            self._view.slice, self._view.window, self._view.zoom = shown.start, shown.window, 0.0
        self._redraw()

    def _redraw(self) -> None:
        self._view.outline = "none" if self._hidden else "fill" if self._filled else "line"
        shown = self._blinded.pictures.up
        several = shown is not None and len(shown.image) > 1
        self.place.setText(f"slice {self._view.slice + 1} of {len(shown.image)}" if shown is not None and several else "")
        self.left.update()
        self.right.update()

    def _on_painted(self) -> None:
        self._blinded.seen()

    def _on_theme(self, theme: str) -> None:
        self.setStyleSheet(sheet(theme))

    # -- keys --------------------------------------------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The rater's keys; one that is held down counts once."""
        key = event.key()
        if self.note.hasFocus():
            if key == Qt.Key.Key_Escape:
                self.setFocus()
            return
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self.pages.currentIndex() == ASKING:
            self.left.scroll(-1 if key == Qt.Key.Key_Up else 1)
        if event.isAutoRepeat() or event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier):
            return
        if key in (Qt.Key.Key_Z, Qt.Key.Key_Backspace) and self.pages.currentIndex() != RESULT:
            self._blinded.back()
        elif self.pages.currentIndex() == ASKING:
            self._on_asking(key)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.pages.currentIndex() == END:
            self._blinded.finish()
        elif key == Qt.Key.Key_Escape and self.pages.currentIndex() == RESULT:
            self.close()

    def _on_asking(self, key: Any) -> None:
        if key in CHOICES:
            self._blinded.answer(CHOICES[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._blinded.forward()
        elif key == Qt.Key.Key_X:
            self.unusable.toggle()
        elif key == Qt.Key.Key_N:
            self.note.setFocus()
        elif key == Qt.Key.Key_H:
            self._hidden = True
            self._redraw()
        elif key == Qt.Key.Key_F:
            self._filled = not self._filled
            self._redraw()
        elif key in (Qt.Key.Key_0, Qt.Key.Key_W):
            self.left.fit(whole=key == Qt.Key.Key_W)
            self._redraw()
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            self.left.zoom_by(0.8 if key == Qt.Key.Key_Minus else 1.25)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """The outlines come back."""
        if event.key() == Qt.Key.Key_H and not event.isAutoRepeat():
            self._hidden = False
            self._redraw()

    # -- the window ----------------------------------------------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """The keys are the window's, not the note's."""
        self.setFocus()
        super().showEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Time that the window is not in front does not count."""
        if event.type() == QEvent.Type.ActivationChange:
            self._blinded.pause(not self.isActiveWindow())
            if not self.isActiveWindow() and self._hidden:
                self._hidden = False
                self._redraw()
        super().changeEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop answering; all that was answered is on the disk."""
        self._blinded.turned.disconnect(self.refresh)
        self._blinded.leave()
        super().closeEvent(event)
        self.closed.emit()
        self.deleteLater()
