"""What the Cases dock says above its table, when there is something to say: unsaved work, a study somebody else has, and the person's name."""

from __future__ import annotations

import html

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QVBoxLayout

from napari_medseg.gui.cases_model import pixmap
from napari_medseg.gui.style import SPACING, button, mark, middle
from napari_medseg.session.pictures import Found
from napari_medseg.session.study import Study

PICTURE = 104
LONGEST_NAME = 34  # letters beside the picture; what was found is to be read below it


class _Frame(QFrame):
    """A box with an edge, as the Guide has."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study
        self.setObjectName("medsegGuide")
        mark(self, "waiting", True)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(8, 6, 6, 6)
        self.column.setSpacing(SPACING)
        self.column.addWidget(self.text)
        self.hide()


class UnsavedFrame(_Frame):
    """Unsaved work with its picture: restore it or discard it. Discarding is the one thing that asks."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self._shown: Found | None = None
        self._sure = False
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setFixedSize(PICTURE, PICTURE)
        self.column.removeWidget(self.text)
        top = QHBoxLayout()
        top.setSpacing(SPACING)
        top.addWidget(self.picture)
        top.addWidget(self.text, 1)
        self.column.insertLayout(0, top)
        self.restore = button("Restore it", "Open the case with this work, as it was when it was last autosaved", self._on_restore)
        self.discard = button("Discard it", "Forget this work; the last saved version stays as it is", self._on_discard)
        mark(self.restore, "primary", True)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.restore, 1)
        row.addWidget(self.discard, 1)
        self.column.addLayout(row)

    def refresh(self) -> None:
        """Show the first that was found."""
        found = self._study.found[0] if self._study.found else None
        self.setVisible(found is not None)
        if found is None or found is self._shown:
            return
        self._shown, self._sure = found, False
        self._say()
        self.picture.setVisible(found.picture is not None)
        if found.picture is not None:
            mode = Qt.TransformationMode.SmoothTransformation
            self.picture.setPixmap(pixmap(found.picture).scaled(PICTURE, PICTURE, Qt.AspectRatioMode.KeepAspectRatio, mode))
            self.picture.setToolTip("The slice with most of the unsaved work, its outline in orange")

    def _say(self) -> None:
        found = self._shown
        if found is None:
            return
        more = f" ({len(self._study.found) - 1} more)" if len(self._study.found) > 1 else ""
        self.text.setText(
            "This work cannot be brought back afterwards." if self._sure
            else f"<b>Unsaved work on {html.escape(middle(found.name, LONGEST_NAME))}</b>{more}<br>{found.facts}"
        )
        self.text.setToolTip(found.name)
        self.restore.setText("Keep it" if self._sure else "Restore it")
        self.discard.setText("Discard for good" if self._sure else "Discard it")

    def _on_restore(self) -> None:
        if self._sure:
            self._sure = False
            self._say()
        elif self._shown is not None:
            self._study.go(self._shown.case)

    def _on_discard(self) -> None:
        if not self._sure:
            self._sure = True
            self._say()
        elif self._shown is not None:
            self._study.discard_unsaved(self._shown.case)


class LockedFrame(_Frame):
    """A study somebody else writes to."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self.look = button("Open to look", "Open it without writing to it; what you draw is not kept", study.open_to_look)
        self.column.addWidget(self.look)

    def refresh(self) -> None:
        """Say who has it."""
        locked = self._study.locked
        self.setVisible(locked is not None)
        if locked is not None:
            self.text.setText(locked.why)


class TakenFrame(_Frame):
    """The case in work, when somebody else of the team has it."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self.again = button("Open again", "Open the case anew, with what was saved since; it is yours when nobody has it any more", study.again)
        self.column.addWidget(self.again)

    def refresh(self) -> None:
        """Say who has it."""
        study = self._study
        case = study.case(study.current) if study.taken else None
        self.setVisible(case is not None)
        if case is not None:
            if case.claimed:
                self.text.setText(f"{case.claimed} is working on {case.name}. You are looking: what you draw is not kept.")
            else:
                self.text.setText(f"{case.name} is free now. Open it again to work on it: what you drew meanwhile is not kept.")


class NameFrame(_Frame):
    """Who works here, asked once."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self._asking = False
        mark(self, "waiting", False)
        self.text.hide()  # one line: the cases below it have little room on a small screen
        self.column.setContentsMargins(6, 4, 4, 4)
        self.field = QLineEdit()
        self.field.setAccessibleName("Your name")
        self.field.setPlaceholderText("Your name")
        self.field.setToolTip("Your name, for the history of the labels: who made which version. It stays on this computer and in the study")
        self.field.setMaxLength(60)
        self.field.returnPressed.connect(self._on_kept)
        row = QHBoxLayout()
        row.addWidget(self.field, 1)
        row.addWidget(button("Keep", "Remember the name on this computer; it can be changed in the Study menu", self._on_kept))
        self.column.addLayout(row)

    def refresh(self) -> None:
        """Ask while there is no name."""
        self.setVisible(self._asking or (self._study.is_open and not self._study.readonly and not self._study.preferences.user))

    def ask(self) -> None:
        """Let the person change it."""
        self._asking = True
        self.field.setText(self._study.preferences.user)
        self.refresh()
        self.field.setFocus()

    def _on_kept(self) -> None:
        if self.field.text().strip():
            self._asking = False
            self._study.set_user(self.field.text())
            self.refresh()
