"""Run, pause, step and take back: the row of buttons that drives a level set, and the line that says why it stopped."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, mark, quiet
from napari_medseg.session.guide import next_step

REPEAT_MS = (400, 90)  # a held button: until it repeats, and then how often


class RunRow(QWidget):
    """Views of the session's running level set."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.back = button("◀ Back", "Take the last update back; hold it to go back further ( , )", desk.rewind)
        self.run = button("Grow from seeds", "", self._on_run)
        self.step = button("Step ▶", "One update, then stand still; hold it to go on slowly ( . )", desk.step)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        for each, share in ((self.back, 2), (self.run, 4), (self.step, 2)):
            row.addWidget(each, share)
        for each in (self.back, self.step):
            _repeats(each)
        self.said = quiet()
        self.farther = button("Go farther", "Let it grow half as far again from its seeds, and go on", desk.go_farther)
        self.show_me = button("Show me", "Go to the narrow neck it went through (J)", desk.show_neck)
        self.line = QWidget()
        told = QHBoxLayout(self.line)
        told.setContentsMargins(0, 0, 0, 0)
        told.addWidget(self.said, 1)
        told.addWidget(self.show_me)
        told.addWidget(self.farther)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.line)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, front = self._desk.session, self._desk.session.front
        state = front.state if front is not None else ""
        begin = {"label": "Grow from the label", "preview": "Grow from the preview"}.get(session.levelset.begin, "Grow from seeds")
        text = {"running": "Pause", "paused": "Go on", "settled": "Grow again"}.get(state, begin)
        tip = {
            "running": "Stand still; add seeds, bubbles or a barrier meanwhile, or go back (G)",
            "paused": "Run on from where it stands (G)",
            "settled": "Start anew from the seeds; sliders, seeds, bubbles and barriers go on from where it stands (G)",
        }.get(state, "It grows into a preview that you can watch, steer, accept or discard (G)")
        self.run.setText(text)
        self.run.setToolTip(tip)
        self.run.setEnabled(session.current is not None)
        self.step.setEnabled(session.current is not None)
        self.back.setEnabled(front is not None and front.can_rewind)
        mark(self.run, "primary", next_step(session).action in ("run", "stop") and session.tab == "weak" and state != "settled")
        preview = session.current.preview if session.current is not None else None
        neck = preview.neck if preview is not None and front is not None else None
        held = preview.held_mm if preview is not None and front is not None and neck is None else None
        self.said.setText(f"Narrow neck near slice {neck[0]}" if neck is not None else f"Held by its reach, {held:.0f} mm" if held is not None else "")
        self.line.setVisible(neck is not None or held is not None)
        self.show_me.setVisible(neck is not None)
        self.farther.setVisible(held is not None)
        mark(self.show_me, "primary", next_step(session).action == "neck")
        mark(self.farther, "primary", next_step(session).action == "farther")

    def _on_run(self) -> None:
        if self._desk.session.tab != "weak":
            self._desk.session.set(tab="weak")
        self._desk.run()


def _repeats(held: QPushButton) -> None:
    held.setAutoRepeat(True)
    held.setAutoRepeatDelay(REPEAT_MS[0])
    held.setAutoRepeatInterval(REPEAT_MS[1])
