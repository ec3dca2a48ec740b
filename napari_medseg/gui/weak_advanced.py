"""What few people turn on a level set: where it starts, which values it may hold, how far it looks and goes, and where it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QLabel, QSpinBox, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly, unscrolled
from napari_medseg.gui.style import button, combo
from napari_medseg.session import levelset_live
from napari_medseg.volume.windows import unit_words

BEGINS = (("", "Seeds and limit"), ("label", "Accepted label"), ("preview", "Preview shown now"))
DRIVERS = ((True, "Probabilities"), (False, "Grey values"))
PRESETS = (("", "Automatic"), ("salah2023", "Salah 2023 (the paper)"))
DEVICES = (("auto", "Automatic"), ("cpu", "Processor"), ("cuda", "NVIDIA GPU"))


class AdvancedFields(QWidget):
    """Views of the level set's further settings.

    Parameters
    ----------
    desk : Desk
    choose : callable
        Given what was changed, by name.
    """

    def __init__(self, desk: Desk, choose: Callable[..., None]) -> None:
        super().__init__()
        self._desk, self._choose = desk, choose
        self.begin = self._menu("begin", BEGINS, "What the front starts from: any label or preview will do, whichever tool made it")
        self.learned = self._menu("learned", DRIVERS, "Where a network was run on this scan, its probabilities can drive the front in place of the grey values")
        self.preset = self._menu("preset", PRESETS, "What the sliders start from; the paper's pipeline grows from the seeds by one statistic of grey values")
        self.device = self._menu("device", DEVICES, "Where it is computed; automatic takes a GPU where there is one")
        self.low, self.high = QDoubleSpinBox(), QDoubleSpinBox()
        for box, tip in ((self.low, "Lowest value that may belong to the organ"), (self.high, "Highest value that may belong to the organ")):
            box.setRange(-1e6, 1e6)
            box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
            box.setToolTip(tip)
            box.setAccessibleName(tip)
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_window)
        self.window = button("", "Only values in this range belong to the organ; the range is first taken from the seeds", self._on_window_button)
        window = QHBoxLayout()
        window.setSpacing(4)
        for part, share in ((self.low, 2), (self.high, 2), (self.window, 1)):
            window.addWidget(part, share)
        self.reach = QSpinBox()
        self.reach.setAccessibleName("Reach, in mm")
        self.reach.setRange(0, 500)
        self.close = self._mm("close_mm", 0.5, "Holes and gaps up to twice this are closed at the end")
        self.local = self._mm("local_mm", 1.0, "How far the statistics of grey values look, so that shading does not matter; 0 mm is one statistic for all")
        self.reach.setSpecialValueText("from the seeds")
        self.reach.setSuffix(" mm")
        self.reach.setToolTip("How far from the seeds it may go; a painted limit replaces it")
        self.reach.setKeyboardTracking(False)
        self.reach.valueChanged.connect(lambda v: choose(reach_mm=v))
        for box in (self.low, self.high):
            box.setProperty("slim", True)
        for part in (self.begin, self.learned, self.preset, self.device, self.low, self.high, self.reach, self.close, self.local):
            unscrolled(part)
        form = QFormLayout(self)
        form.setContentsMargins(6, 0, 0, 0)
        form.setSpacing(4)
        for title, field in (("Start from", self.begin), ("Driven by", self.learned), ("Preset", self.preset)):
            form.addRow(title, field)
        self.unit = QLabel()
        form.addRow(self.unit, window)
        for title, box in (("Reach", self.reach), ("Close gaps", self.close), ("Local to", self.local), ("Runs on", self.device)):
            form.addRow(title, box)
        self._form = form
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        choices, scan = session.levelset, session.current
        for field, options, value in (
            (self.begin, BEGINS, choices.begin), (self.learned, DRIVERS, choices.learned), (self.preset, PRESETS, choices.preset),
            (self.device, DEVICES, choices.device),
        ):
            field.setCurrentIndex([key for key, _ in options].index(value))
        known = scan is not None and session.chosen in scan.learned
        for part in (self.learned, self._form.labelForField(self.learned)):
            part.setVisible(known)
        unit = unit_words(scan.display.modality, scan.display.units) if scan is not None else ""
        on = choices.window is not None
        self.unit.setText(f"Values, {unit}" if unit else "Values")
        self.window.setText("Any" if on else "From seeds")
        self.window.setToolTip("Let any value belong to the organ" if on else "Only values like those at the seeds belong to it; you can change the range")
        self.window.setEnabled(on or session.seed_count > 0)
        for index, box in enumerate((self.low, self.high)):
            box.setEnabled(on)
            box.setSpecialValueText("" if on else "any")
            box.setDecimals(0 if choices.window is None or choices.window[1] - choices.window[0] > 20 else 3)
            quietly(box, "setValue", choices.window[index] if choices.window is not None else box.minimum())
        limited = scan is not None and scan.limit is not None and choices.use_limit
        self.reach.setEnabled(not limited)
        quietly(self.reach, "setValue", choices.reach_mm)
        for box, mm in ((self.close, choices.close_mm), (self.local, choices.local_mm)):
            quietly(box, "setValue", box.minimum() if mm is None else mm)

    def _menu(self, name: str, options: tuple[tuple[Any, str], ...], tip: str) -> Any:
        field = combo(tip)
        field.setAccessibleName(tip)
        for key, title in options:
            field.addItem(title, key)
        field.activated.connect(lambda index: self._choose(**{name: options[index][0]}))
        return field

    def _mm(self, name: str, step: float, tip: str) -> QDoubleSpinBox:
        """Millimetres, or automatic below zero."""
        box = QDoubleSpinBox()
        box.setRange(-step, 100)
        box.setSingleStep(step)
        box.setDecimals(1)
        box.setSuffix(" mm")
        box.setSpecialValueText("automatic")
        box.setToolTip(tip)
        box.setAccessibleName(tip)
        box.setKeyboardTracking(False)
        box.valueChanged.connect(lambda value: self._choose(**{name: None if value < 0 else value}))
        return box

    def _on_window(self) -> None:
        low, high = self.low.value(), self.high.value()
        if self._desk.session.levelset.window is not None and low < high:
            self._choose(window=(low, high))

    def _on_window_button(self) -> None:
        session = self._desk.session
        self._choose(window=None if session.levelset.window is not None else levelset_live.window_of_seeds(session))
