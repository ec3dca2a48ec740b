"""The cases as a Qt table: what the session's study tells, row by row; thumbnails when a row comes into sight."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSize, Qt
from qtpy.QtGui import QColor, QFont, QIcon, QImage, QPainter, QPixmap

from napari_medseg.gui.style import swatch
from napari_medseg.project.records import Case
from napari_medseg.session.cases import SIGNS, Amount
from napari_medseg.session.guide import clock
from napari_medseg.session.pictures import Picture
from napari_medseg.session.study import Study

COLUMNS = (("Case", "name"), ("Status", "status"), ("ml", "ml"), ("By", "editor"), ("Time", "seconds"))
NARROW = 2
"""Columns that are always there; the others show where the dock is wide enough, and are told in small print below the name where it is not."""
ICON = QSize(40, 40)
COLOURS = {"new": None, "weak": (0.9, 0.62, 0.0), "refined": (0.34, 0.71, 0.91), "corrected": (0.8, 0.47, 0.65), "verified": (0.0, 0.62, 0.45)}
"""Okabe and Ito's; the sign and the word say the same."""
MEANINGS = {
    "new": "no labels yet", "weak": "labels from a weak tool or a file", "refined": "proposed by a network, not checked",
    "corrected": "corrected by a person", "verified": "checked and good",
}


class CasesModel(QAbstractTableModel):
    """A view of `Study.rows()`."""

    def __init__(self, study: Study, parent: QObject) -> None:
        super().__init__(parent)
        self._study = study
        self._rows: list[Case] = []
        self._icons: dict[str, QIcon] = {}
        self._dots = {status: swatch(colour, 10) if colour is not None else QIcon() for status, colour in COLOURS.items()}
        self._current = ""
        self.wide = False
        study.pictured.connect(self._on_picture)

    def refresh(self) -> None:
        """Take over what changed."""
        rows, before = self._study.rows(), self._rows
        if rows is before and self._study.current == self._current:
            return
        self._current = self._study.current
        if [case.id for case in rows] != [case.id for case in before]:
            self.beginResetModel()
            self._rows = rows
            self._icons = {key: icon for key, icon in self._icons.items() if key in self._study.thumbnails}
            self.endResetModel()
        else:
            self._rows = rows
            if rows:
                self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(COLUMNS) - 1))

    def set_wide(self, wide: bool) -> None:
        """Whether all columns have room."""
        if wide != self.wide:
            self.wide = wide
            self.layoutChanged.emit()

    def case(self, row: int) -> Case | None:
        """The case of a row."""
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def row_of(self, case_id: str) -> int:
        """The row of a case; -1 when it is not shown."""
        return next((row for row, case in enumerate(self._rows) if case.id == case_id), -1)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """How many cases are shown."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """How many facts a case has."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section][0]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One fact of one case."""
        case = self.case(index.row())
        if case is None:
            return None
        key = COLUMNS[index.column()][1]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(case, key)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(case)
        if role == Qt.ItemDataRole.DecorationRole and key == "name":
            return self._icon(case)
        if role == Qt.ItemDataRole.DecorationRole and key == "status":
            return self._dots[case.status]
        if role == Qt.ItemDataRole.FontRole and case.id == self._study.current:
            font = QFont()
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.TextAlignmentRole and key in ("ml", "seconds"):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def _text(self, case: Case, key: str) -> str:
        amount = self._study.amounts.get(case.id, Amount())
        ml = f"{amount.ml:.3g}" if amount.ml else ""
        if key == "status":
            return f"{SIGNS[case.status]} {case.status}"
        if key == "ml":
            return ml
        if key == "editor":
            return case.last_editor
        if key == "seconds":
            return clock(case.seconds) if case.seconds >= 1 else ""
        mark = " •" if case.has_unsaved else ""
        taken = f"{case.claimed.rpartition(' on ')[0] or case.claimed} has it" if case.claimed else ""  # where and since when: the tip
        new = "proposal" if case.id in self._study.proposals else ""
        small = " · ".join(part for part in (taken, new, f"{ml} ml" if ml else "", case.last_editor, clock(case.seconds) if case.seconds >= 1 else "") if part)
        return f"{case.name}{mark}" + (f"\n{small}" if small and not self.wide else f"\n{taken}" if taken else "")

    def _tip(self, case: Case) -> str:
        amount = self._study.amounts.get(case.id, Amount())
        size = " × ".join(str(n) for n in case.geometry.shape[::-1])
        lines = [case.name, f"{case.modality + ', ' if case.modality else ''}{size} voxels", f"{case.status}: {MEANINGS[case.status]}"]
        if case.latest is not None:
            lines.append(f"{amount.labels} label{'s' if amount.labels != 1 else ''}, {amount.ml:.3g} ml; version {case.latest} by {case.last_editor}")
        if case.seconds >= 1:
            lines.append(f"{clock(case.seconds)} of work")
        if case.has_unsaved:
            lines.append("• work that is not in a version yet")
        if case.id in self._study.proposals:
            lines.append("A refinement proposes new labels: open the case to look at them")
        if case.claimed:
            lines.append(f"{case.claimed} is working on it; it opens to look")
        if not case.is_there:
            lines.append("The scan is not where it was: add it from where it lies now, and this case has it again")
        return "\n".join(lines)

    def _icon(self, case: Case) -> QIcon:
        if case.id not in self._icons:
            picture = self._study.thumbnails.get(case.id)
            if picture is None:
                self._study.want_picture(case.id)
                return _blank()
            self._icons[case.id] = _icon(picture)
        return self._icons[case.id]

    def _on_picture(self, case_id: str) -> None:
        self._icons.pop(case_id, None)
        row = self.row_of(case_id)
        if row >= 0:
            self.dataChanged.emit(self.index(row, 0), self.index(row, 0))


def pixmap(picture: Picture) -> QPixmap:
    """A picture for Qt."""
    height, width = picture.shape[:2]
    return QPixmap.fromImage(QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888))


def _icon(picture: Picture) -> QIcon:
    """A square one, so that names line up, and the same grey when its row is chosen."""
    small = pixmap(picture).scaled(ICON, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    square = QPixmap(ICON)
    square.fill(QColor(0, 0, 0))
    painter = QPainter(square)
    painter.drawPixmap((ICON.width() - small.width()) // 2, (ICON.height() - small.height()) // 2, small)
    painter.end()
    icon = QIcon(square)
    icon.addPixmap(square, QIcon.Mode.Selected)
    return icon


def _blank() -> QIcon:
    picture = QPixmap(ICON)
    picture.fill(QColor(128, 128, 128, 60))
    return QIcon(picture)
