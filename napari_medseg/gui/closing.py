"""Between a person's wish to close the window and its end stands one question, and only where labels would be lost by it that no disk holds.

A person's hand is what napari takes for one: a close event that comes from the system (`spontaneous`), and the menu and its keys, which ask napari's window to
`close` with `confirm_need`. Whatever else closes a window is a program (`viewer.close()`, the end of a script, a command that was ended), and goes through
without a question, as do the end of a session of the operating system and windows that nobody can see; what could be saved is saved as always. In the place of
napari's own question comes ours, never both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QLabel, QMainWindow, QVBoxLayout, QWidget

from napari_medseg.errors import MedsegError
from napari_medseg.gui.style import SPACING, button, mark, sheet
from napari_medseg.session.at_stake import AtStake, in_no_study, put_elsewhere, way_back
from napari_medseg.session.starting import title_of

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

UNSEEN = {"offscreen", "minimal", "minimalegl", "vnc"}
NAMED = 4
"""Scans that are named; the others are counted."""
WIDTH = 560
SOON = 2.0
"""Seconds the disk is waited for once the person has said that it may be lost, or has it elsewhere."""


class Closing(QObject):
    """Looks after the close button, the menu and its keys for a desk.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self._seen: ReferenceType[Any] | None = None
        self.question: ClosingQuestion | None = None

    def attach(self, window: QWidget) -> None:
        """The window that docks of the desk are in: napari's."""
        if isinstance(window, QMainWindow) and window is not self._window and hasattr(window, "close_window"):
            self.close()
            self._seen = ref(window)
            window.installEventFilter(self)
            window.close = _asking_first(ref(self), self._seen)

    @property
    def _window(self) -> Any:
        return self._seen() if self._seen is not None else None

    def close(self) -> None:
        """Let the window go."""
        window, self._seen = self._window, None
        if self.question is not None:
            self.question.deleteLater()
            self.question = None
        if window is not None:
            vars(window).pop("close", None)
            window.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The close button of the window."""
        if event.type() == QEvent.Type.Close and watched is self._window and event.spontaneous() and self.asks():
            event.ignore()
            return True
        return False

    def asks(self, quit_app: bool = False) -> bool:
        """Whether the window stays open because the person is asked."""
        if self.question is not None:
            self.question.raise_()
            return True
        if not somebody_looks():
            return False
        desks = others(self._desk) if quit_app else [self._desk]
        stakes = [(desk, (*desk.session.study.in_memory_only(), *in_no_study(desk.session))) for desk in desks]
        stakes = [(desk, each) for desk, each in stakes if each]
        if stakes:
            self.question = ClosingQuestion(stakes, self._window, str(self._desk.viewer.theme))
            self.question.finished.connect(lambda result: self._answered(bool(result), quit_app))
            self.question.open()
        return bool(stakes)

    def _answered(self, goes: bool, quit_app: bool) -> None:
        question, self.question = self.question, None
        if question is None:
            return
        question.deleteLater()
        window = self._window
        if goes and window is not None:
            for desk, _ in question.stakes:
                desk.session.study.patience = SOON
            window.close(quit_app=quit_app)


def _asking_first(closing: ReferenceType[Closing], window: ReferenceType[Any]) -> Callable[..., Any]:
    """What stands in the place of a window's own `close`; it keeps nothing alive."""

    def close(quit_app: bool = False, confirm_need: bool = False) -> Any:
        asking, closed = closing(), window()
        if closed is None or (confirm_need and asking is not None and asking.asks(quit_app)):
            return None
        return type(closed).close(closed, quit_app=quit_app, confirm_need=confirm_need)

    return close


class ClosingQuestion(QDialog):
    """What would be lost, why, and what may be done about it; then where it was put and how it comes back. It holds no window but the one that is to be closed.

    Parameters
    ----------
    stakes : pairs of Desk and AtStake
    parent : QWidget
        The window that is to be closed.
    theme : str
        Of the viewer.
    """

    def __init__(self, stakes: Sequence[tuple[Desk, Sequence[AtStake]]], parent: QWidget | None = None, theme: str = "dark") -> None:
        super().__init__(parent)
        self.stakes = stakes
        each = [stake for _, several in stakes for stake in several]
        self.setWindowTitle("Labels would be lost")
        self.setStyleSheet(sheet(theme))
        self.words, self.trouble = _text(_asked(each)), _text("")
        self.trouble.hide()
        self.keep = button("Keep the window open", "Go on where you are; what could not be saved is tried again by itself (Esc)", self.reject)
        where = "Save elsewhere…" if any(stake.study for stake in each) else "Save…"
        self.elsewhere = button(where, "Write these labels as NIfTI files to a folder that you choose", self._on_elsewhere)
        self.lose = button("Close and lose them", "Close the window without these labels", self.accept)
        row = QHBoxLayout()
        for part in (self.lose, self.elsewhere, self.keep):
            part.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            part.setAutoDefault(part is self.keep)
            row.addWidget(part, int(part is not self.lose))
        self.keep.setDefault(True)
        mark(self.keep, "primary", True)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(2 * SPACING)
        for words in (self.words, self.trouble):
            column.addWidget(words)
        column.addLayout(row)
        self.setFixedWidth(WIDTH)
        self.keep.setFocus()

    def _on_elsewhere(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "The folder for the labels", str(Path.home()))
        if folder:
            self.put(Path(folder))

    def put(self, folder: Path) -> None:
        """Write the labels to a folder."""
        try:
            written = [pair for desk, several in self.stakes for pair in zip(several, put_elsewhere(desk.session, several, folder), strict=True)]
        except MedsegError as error:
            self.trouble.setText(f"<b>⚠</b> {escape(str(error))}")
            self.trouble.show()
            return
        self.trouble.hide()
        self.setWindowTitle("The labels are saved")
        self.words.setText(_told(written, folder))
        self.lose.setText("Close the window")
        self.lose.setToolTip("The labels lie in that folder")
        self.elsewhere.hide()
        self.lose.setDefault(True)
        self.lose.setFocus()
        mark(self.keep, "primary", False)
        mark(self.lose, "primary", True)


def somebody_looks() -> bool:
    """Whether a question would be seen and may be asked: not where nothing is drawn on a screen, and not while the operating system ends the session."""
    app = QGuiApplication.instance()
    return app is not None and QGuiApplication.platformName() not in UNSEEN and not app.isSavingSession()


def others(desk: Desk) -> list[Desk]:
    """All desks of the program, this one first: they go together."""
    from napari_medseg.gui.desk import all_desks

    return [desk, *(each for each in all_desks() if each is not desk)]


def _asked(stakes: Sequence[AtStake]) -> str:
    lines = [escape(stake.words) for stake in stakes[:NAMED]] + ([f"and {len(stakes) - NAMED} more"] if len(stakes) > NAMED else [])
    whys = list(dict.fromkeys(escape(_why(stake)) for stake in stakes if stake.study is not None))
    if any(stake.study is None for stake in stakes):
        whys.append("Labels of a scan in no study are kept only where they are saved.")
    what = "These labels are in memory only, and are lost when the window closes:"
    return f"<p><b>{what}</b></p><p>{'<br>'.join(lines)}</p><p>{'<br>'.join(whys)}</p>"


def _why(stake: AtStake) -> str:
    """Which study does not take it, where it lies, and what its disk said."""
    folder = stake.study or Path()
    return f"The study {title_of(folder)} in {folder.parent} does not take them. {stake.why}"


def _told(written: Sequence[tuple[AtStake, Path]], folder: Path) -> str:
    ways = [f"{escape(path.name)}<br>{escape(way_back(stake, path))}".replace("\n", "<br>") for stake, path in written[:NAMED]]
    more = f"<p>and {len(written) - NAMED} more</p>" if len(written) > NAMED else ""
    head = f"The labels lie in {escape(str(folder))}, and beside them how they come back:"
    return f"<p><b>{head}</b></p>" + "".join(f"<p>{way}</p>" for way in ways) + more


def _text(words: str) -> QLabel:
    made = QLabel(words)
    made.setWordWrap(True)
    made.setTextFormat(Qt.TextFormat.RichText)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made
