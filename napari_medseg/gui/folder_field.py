"""A path field with a button beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from napari_medseg.gui.style import button


class FolderField(QWidget):
    """Names a folder.

    Parameters
    ----------
    hint : str
        What the folder holds.
    chosen : callable
        Told the path, None when the field was emptied.
    """

    def __init__(self, hint: str, chosen: Callable[[Path | None], None]) -> None:
        super().__init__()
        self._chosen = chosen
        self.field = QLineEdit()
        self.field.setPlaceholderText(hint)
        self.field.setToolTip(f"The {hint}: type its path, or choose it with the button beside it")
        self.field.setAccessibleName(hint.capitalize())
        self.field.setMinimumWidth(60)
        self.field.setClearButtonEnabled(True)
        self.field.editingFinished.connect(self._tell)
        self.field.textChanged.connect(lambda text: self._tell() if not text else None)
        browse = button("…", f"Choose the {hint}", self._browse)
        browse.setAccessibleName(f"Choose the {hint}")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.field, 1)
        row.addWidget(browse)

    def show_path(self, path: Path | None) -> None:
        """Show the session's path."""
        text = str(path) if path is not None else ""
        if not self.field.hasFocus() and self.field.text() != text:
            was = self.field.blockSignals(True)
            self.field.setText(text)
            self.field.blockSignals(was)

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, self.field.placeholderText().capitalize())
        if path:
            self.field.setText(path)
            self._tell()

    def _tell(self) -> None:
        text = self.field.text().strip()
        self._chosen(Path(text) if text else None)
