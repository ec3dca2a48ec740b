"""What a segmenter asks of a person before it can work: its model's folder, a file, a number; remembered for the next time."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from napari_medseg.asks import Ask
from napari_medseg.errors import MedsegError
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly, unscrolled
from napari_medseg.gui.style import button, combo, quiet
from napari_medseg.session import segmenting

SHORT = 22  # letters of a question that stands beside its field


class EngineForm(QWidget):
    """The questions of the chosen segmenter; not there when it has none."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._asked: tuple[Ask, ...] = ()
        self._engine = ""
        self._fields: dict[str, QWidget] = {}
        self._troubles: dict[str, QLabel] = {}
        self._body: QWidget | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def field(self, name: str) -> QWidget:
        """The field of a question."""
        return self._fields[name]

    def trouble(self, name: str) -> QLabel:
        """What is said below a field whose answer does not fit; out of sight while it does."""
        return self._troubles[name]

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        entry = segmenting.entry_of(session)
        asks = entry.asks if entry is not None else ()
        if (asks, session.engine) != (self._asked, self._engine):
            self._asked, self._engine = asks, session.engine
            self._build()
        self.setVisible(bool(asks))
        given = session.answers.get(self._engine, {})
        for ask in asks:
            self._show(ask, given.get(ask.name))

    def _build(self) -> None:
        if self._body is not None:
            self._column.removeWidget(self._body)
            self._body.deleteLater()
        self._fields, self._troubles = {}, {}
        self._body = QWidget()
        form = QFormLayout(self._body)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        for ask in self._asked:
            widget = self._row(ask)
            title = ask.title if ask.required else f"{ask.title} (optional)"
            if ask.kind == "consent":
                form.addRow(widget)
            elif len(title) <= SHORT:
                form.addRow(title, widget)
            else:  # in a line of its own that wraps: it would make the dock's page wider than the dock, with the buttons out of sight
                label = QLabel(title)
                label.setWordWrap(True)
                label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
                form.addRow(label)
                form.addRow(widget)
            told = self._troubles[ask.name] = quiet()
            form.addRow(told)
            told.hide()
        self._column.insertWidget(0, self._body)

    def _row(self, ask: Ask) -> QWidget:
        if ask.kind == "consent":
            agree = self._fields[ask.name] = QCheckBox(ask.title)
            agree.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            agree.setToolTip(ask.title)
            agree.toggled.connect(lambda on: self._answer(ask, "yes" if on else None))
            return agree
        if ask.kind == "choice":
            chosen = self._fields[ask.name] = combo(ask.title)
            for choice in ask.choices:
                chosen.addItem(choice)
            chosen.activated.connect(lambda index: self._answer(ask, ask.choices[index]))
            return chosen
        line = self._fields[ask.name] = QLineEdit()
        line.setToolTip(ask.title + (f": a file that ends in {' or '.join(ask.suffixes)}" if ask.suffixes else ""))
        line.setPlaceholderText({"folder": "Folder", "file": "File"}.get(ask.kind, ""))
        unscrolled(line)
        line.editingFinished.connect(lambda: self._answer(ask, line.text().strip() or None))
        if ask.kind not in ("folder", "file"):
            return line
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(line, 1)
        row.addWidget(button("Browse…", f"Choose the {ask.kind}", partial(self._browse, ask)))
        return both

    def _show(self, ask: Ask, value: Any) -> None:
        field = self._fields[ask.name]
        if not self._troubles[ask.name].isHidden():
            return  # what was typed stays there to be put right
        if isinstance(field, QCheckBox):
            quietly(field, "setChecked", str(value).lower() in ("yes", "true"))
        elif isinstance(field, QLineEdit):
            if not field.hasFocus():
                quietly(field, "setText", "" if value is None and ask.default is None else str(ask.default if value is None else value))
        else:
            shown = value if value is not None else ask.default
            quietly(field, "setCurrentIndex", ask.choices.index(str(shown)) if str(shown) in ask.choices else -1 if shown is None else 0)

    def _browse(self, ask: Ask) -> None:
        start = str(self._desk.session.answers.get(self._engine, {}).get(ask.name) or Path.home())
        if ask.kind == "folder":
            path = QFileDialog.getExistingDirectory(self, ask.title, start)
        else:
            endings = " ".join(f"*{suffix}" for suffix in ask.suffixes)
            path, _ = QFileDialog.getOpenFileName(self, ask.title, start, f"{ask.title} ({endings})" if endings else "")
        if path:
            self._answer(ask, path)

    def _answer(self, ask: Ask, value: str | None) -> None:
        """Take an answer that fits; of another it is said why it does not, and the question counts as not answered."""
        told = self._troubles[ask.name]
        told.hide()
        try:
            if value is not None:
                ask.value(value)
        except MedsegError as error:
            told.setText(str(error))
            told.show()
            value = None
        segmenting.answer(self._desk.session, self._engine, ask, value)
