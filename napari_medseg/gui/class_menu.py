"""What can be done with a class, and the colours it may have: those that every eye tells apart come first, each with its name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QMenu

from napari_medseg.annotation.classes import OKABE_ITO, OKABE_ITO_NAMES
from napari_medseg.gui.style import swatch

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk
    from napari_medseg.gui.labels_table import LabelsTable


class ClassMenu(QMenu):
    """The menu of one class; it goes when it is closed.

    Attributes
    ----------
    colours : QMenu
        Its colours, which can be popped up alone.
    """

    def __init__(self, table: LabelsTable, desk: Desk, value: int) -> None:
        super().__init__(table)
        self._desk, self._value = desk, value
        classes = desk.session.table
        name, shown, locked = classes.name(value), value not in classes.hidden, value in classes.locked
        self.colours = self._colour_menu(table)
        self.addAction("Rename\tF2", partial(table.rename, value))
        self.addMenu(self.colours)
        self.addAction("Hide" if shown else "Show", partial(classes.show, value, not shown))
        self.addAction("Show only this, or all again", partial(classes.show_only, value))
        self.addAction("Unlock" if locked else "Lock: no tool changes it", partial(classes.lock, value, not locked))
        self.addSeparator()
        why = classes.refuse(value)
        delete = self.addAction(f"Delete {name}\tDel", partial(table.remove, value))
        delete.setEnabled(not why)
        delete.setToolTip(why)
        self.setToolTipsVisible(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    def _colour_menu(self, table: LabelsTable) -> QMenu:
        menu = QMenu("Colour", table)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        now = next(c.colour for c in self._desk.session.classes if c.value == self._value)
        used = {c.colour: c.name for c in self._desk.session.classes if c.value != self._value}
        for name, colour in zip(OKABE_ITO_NAMES, OKABE_ITO, strict=True):
            title = f"{name} (of {used[colour]})" if colour in used else name
            action = menu.addAction(swatch(colour), title, partial(self._desk.session.table.recolour, self._value, colour))
            action.setCheckable(True)
            action.setChecked(colour == now)
        menu.addSeparator()
        menu.addAction("Another colour…", partial(self._ask, table))
        return menu

    def _ask(self, table: LabelsTable) -> None:
        """Any colour, in a window that stops nothing."""
        now = next(c.colour for c in self._desk.session.classes if c.value == self._value)
        asked = QColorDialog(QColor.fromRgbF(*now), table)
        asked.setWindowTitle(f"Colour of {self._desk.session.table.name(self._value)}")
        asked.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        asked.setModal(False)
        asked.colorSelected.connect(partial(_recolour, self._desk, self._value))
        asked.show()


def _recolour(desk: Desk, value: int, colour: QColor) -> None:
    desk.session.table.recolour(value, (round(colour.redF(), 3), round(colour.greenF(), 3), round(colour.blueF(), 3)))
