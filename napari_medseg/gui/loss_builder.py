"""Rows "weight x loss (its settings)" that make a loss, shown as text that can be typed too."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QLineEdit, QToolButton, QVBoxLayout, QWidget

from napari_medseg.catalogue import Catalogue
from napari_medseg.errors import MedsegError
from napari_medseg.gui.fields import unscrolled
from napari_medseg.gui.style import combo, quiet
from napari_medseg.session.network_choices import LOSSES, LossRow, Offer, loss_fault, loss_rows, loss_text, offers

MOST = 6


class LossBuilder(QWidget):
    """What a training makes small.

    Parameters
    ----------
    catalogue : Catalogue
    chosen : callable
        Told of the text whenever a person changes it; "" for the recipe's own.
    """

    def __init__(self, catalogue: Catalogue, chosen: Callable[[str], object]) -> None:
        super().__init__()
        self._chosen = chosen
        self._offers = offers(catalogue, "loss")
        self._shown: str | None = None
        self.rows: list[_Row] = []
        self.places = QVBoxLayout()
        self.places.setSpacing(2)
        self.add = QToolButton()
        self.add.setText("+ Add a loss")
        self.add.setToolTip("Losses are added up, each times its weight")
        self.add.clicked.connect(self._on_add)
        self.own = QToolButton()
        self.own.setText("The recipe's own")
        self.own.setToolTip("Cross-entropy and Dice, as the recipe has them")
        self.own.clicked.connect(lambda: self._take(""))
        self.text = QLineEdit()
        self.text.setAccessibleName("Loss as text")
        self.text.setPlaceholderText(LOSSES)
        self.text.setToolTip("The same in words, such as: focal(gamma=2) + 0.5*dice")
        self.text.editingFinished.connect(lambda: self._take(self.text.text().strip()))
        self.fault = QLabel()
        self.fault.setWordWrap(True)
        self.fault.hide()
        below = QHBoxLayout()
        below.setSpacing(4)
        below.addWidget(self.add)
        below.addWidget(self.own)
        below.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(quiet("Loss: what is made small"))
        column.addLayout(self.places)
        column.addLayout(below)
        column.addWidget(self.text)
        column.addWidget(self.fault)

    def show_text(self, text: str) -> None:
        """Show a loss; where it cannot be read the rows stay as they were, and the fault is said."""
        if text == self._shown:
            return
        self._shown = text
        if self.text.text().strip() != text:
            self.text.setText(text)
        said = loss_fault(text)
        self.fault.setText(said)
        self.fault.setVisible(bool(said))
        self.own.setEnabled(bool(text))
        try:
            rows = loss_rows(text)
        except MedsegError:
            return
        if not {row.name for row in rows} <= {offer.id for offer in self._offers}:
            return
        while len(self.rows) > len(rows):
            gone = self.rows.pop()
            self.places.removeWidget(gone)
            gone.setParent(None)
            gone.deleteLater()
        while len(self.rows) < len(rows):
            self.rows.append(_Row(self._offers, self._on_rows, self._on_less))
            self.places.addWidget(self.rows[-1])
        for place, row in zip(self.rows, rows, strict=True):
            place.show_row(row, alone=len(rows) == 1)
        self.add.setEnabled(len(rows) < MOST)

    def _take(self, text: str) -> None:
        if text != self._shown:
            self._chosen(text)

    def _on_rows(self) -> None:
        self._take(loss_text([row.value for row in self.rows]))

    def _on_add(self) -> None:
        used = {row.value.name for row in self.rows}
        new = next((offer.id for offer in self._offers if offer.id not in used and not offer.missing), self._offers[0].id)
        self._take(loss_text([*(row.value for row in self.rows), LossRow(1.0, new)]))

    def _on_less(self, row: _Row) -> None:
        self._take(loss_text([one.value for one in self.rows if one is not row]))


class _Row(QWidget):
    """One loss of the sum."""

    def __init__(self, offered: list[Offer], changed: Callable[[], object], less: Callable[[_Row], object]) -> None:
        super().__init__()
        self._offers = {offer.id: offer for offer in offered}
        self._changed = changed
        self._quiet = False
        self.factor = _Factor()
        self.factor.setAccessibleName("Weight")
        self.factor.setToolTip("How much it counts")
        self.factor.setRange(0.001, 1000)
        self.factor.setDecimals(3)
        self.factor.setSingleStep(0.1)
        self.factor.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.factor.setKeyboardTracking(False)
        self.factor.setFixedWidth(76)
        self.factor.valueChanged.connect(self._tell)
        unscrolled(self.factor)
        self.loss = combo("What counts")
        self.loss.setAccessibleName("Loss")
        self.loss.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.loss.setMinimumContentsLength(8)
        for offer in offered:
            add_offer(self.loss, offer)
        self.loss.activated.connect(self._on_loss)
        unscrolled(self.loss, self.loss.focusPolicy())
        self.settings = QLineEdit()
        self.settings.setAccessibleName("Settings")
        self.settings.editingFinished.connect(self._tell)
        self.less = QToolButton()
        self.less.setText("−")
        self.less.setToolTip("Leave this loss out")
        self.less.clicked.connect(lambda: less(self))
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(3)
        line.addWidget(self.factor)
        line.addWidget(self.loss, 3)
        line.addWidget(self.settings, 2)
        line.addWidget(self.less)

    @property
    def value(self) -> LossRow:
        """As a row."""
        return LossRow(round(self.factor.value(), 3), str(self.loss.currentData()), self.settings.text().strip())

    def show_row(self, row: LossRow, *, alone: bool) -> None:
        """Show one; a single one cannot be left out."""
        self._quiet = True
        self.factor.setValue(row.factor)
        self.loss.setCurrentIndex(self.loss.findData(row.name))
        known = {name: value for name, value in self._offers[row.name].settings.items() if value is not None}
        self.settings.setText(row.settings)
        self.settings.setEnabled(bool(self._offers[row.name].settings))
        usual = ", ".join(f"{name}={value:g}" for name, value in known.items())
        self.settings.setPlaceholderText(usual or "none")
        self.settings.setToolTip(f"Usually {usual}" if usual else "It has no settings")
        self.less.setEnabled(not alone)
        self._quiet = False

    def _on_loss(self) -> None:
        self._quiet = True
        self.settings.clear()
        self._quiet = False
        self._tell()

    def _tell(self) -> None:
        if not self._quiet:
            self._changed()


class _Factor(QDoubleSpinBox):
    """A number without the zeros that nobody typed: there is room for few digits beside a theme's buttons."""

    def textFromValue(self, value: float) -> str:
        """As it is shown."""
        text, point = super().textFromValue(value), str(self.locale().decimalPoint())
        return text.rstrip("0").removesuffix(point) if point in text else text


def add_offer(box: QComboBox, offer: Offer) -> None:
    """An item with its source as a tooltip; one that needs a package cannot be chosen, and says the line that brings it."""
    box.addItem(offer.title, offer.id)
    place = box.count() - 1
    box.setItemData(place, offer.tip, Qt.ItemDataRole.ToolTipRole)
    model = box.model()
    if offer.missing and isinstance(model, QStandardItemModel):
        model.item(place).setEnabled(False)
