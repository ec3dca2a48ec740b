"""The row that shows where a network looks; there only for a network that can tell."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly
from napari_medseg.gui.style import SPACING, combo

TIP = "Lay over the scan what the network lets through to its answer: dark is shut out, bright is looked at. It explains the network, not the patient"
GATE = "attention-"


class LooksRow(QWidget):
    """Views of the session's maps of where its segmenter looks."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: tuple[str, ...] = ()
        looks = desk.session.looks
        self.show_it = QCheckBox("Show where it looks")
        self.show_it.setToolTip(TIP)
        self.show_it.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.show_it.toggled.connect(looks.switch)
        self.map = combo("Which of its gates: the finest decides on outlines, the coarser ones on where the object is")
        self.map.setAccessibleName("Gate")
        self.map.activated.connect(lambda i: looks.choose(self.map.itemData(i)))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(self.show_it, 1)
        row.addWidget(self.map)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        looks, scan = self._desk.session.looks, self._desk.session.current
        self.setVisible(looks.can(scan))
        quietly(self.show_it, "setChecked", looks.on)
        names = looks.names(scan)
        if names != self._shown:
            self._shown = names
            self.map.clear()
            for name in names:
                self.map.addItem(words(name), name)
        self.map.setVisible(looks.on and len(names) > 1)
        if scan is not None and names:
            self.map.setCurrentIndex(names.index(looks.chosen(scan)))


def words(name: str) -> str:
    """A map's name for people: gates are told by how coarse they see."""
    step = name.removeprefix(GATE)
    if step == name or not step.isdigit():
        return name
    return "finest gate" if step == "1" else f"gate at 1/{step} of the size"
