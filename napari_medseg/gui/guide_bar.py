"""The foot of every dock: Accept and Discard, what runs and how long it will, and the Guide line."""

from __future__ import annotations

import re

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.show_me import show_step
from napari_medseg.gui.still import Still
from napari_medseg.gui.style import SPACING, button, is_low, mark, middle, quiet
from napari_medseg.session.guide import next_step, progress
from napari_medseg.session.jobs import PREVIEW, TRAINING, Job
from napari_medseg.session.starting import notice_is_due
from napari_medseg.session.state import Scan

HEIGHT_PROGRESS = 46
HEIGHT_GUIDE = 94
HIGHEST_GUIDE = 220  # a fault in more words is cut, on a low screen already at the height above; the tooltip has all of it
ENDS = re.compile(r"(?<=[.!?]) (?=[A-Z0-9])")  # of sentences
LONGEST_NAME = 22  # letters that the button to accept has room for
PATIENCE_MS = 600  # before it is said that nobody knows how long a job will take: most have begun to tell by then


class AcceptBar(QWidget):
    """Discard and Accept into the chosen class."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.discard = button("Discard", "Drop the preview; the labels stay as they are (Shift+K)", desk.session.discard)
        self.accept = button("Accept", "", desk.session.accept)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(self.discard, 1)
        row.addWidget(self.accept, 2)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        preview = session.current.preview if session.current is not None else None
        ready = preview is not None and not preview.is_empty
        into = session.label_class.name if preview is None or len(preview.classes) == 1 else f"{len(preview.classes)} labels"
        if preview is not None and preview.keeps_values and len(preview.classes) == 1:
            into = preview.classes[0].name
        self.accept.setText(f"Accept into {middle(into, LONGEST_NAME)}")
        self.accept.setToolTip(f"Put the preview into {into}; Ctrl+Z on the label layer takes it back (K)")
        self.accept.setEnabled(ready)
        self.discard.setEnabled(preview is not None)
        step = next_step(session).action
        mark(self.accept, "primary", ready and step == "accept")
        mark(self.discard, "primary", preview is not None and step == "discard")


class ProgressRow(Still):
    """What runs, percent, time left, Stop; or what the last job took."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.title = QElidingLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.left = QLabel()
        self.detail = QElidingLabel()
        self.detail.setProperty("quiet", True)
        self.detail.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        top = QHBoxLayout()
        top.addWidget(self.title, 1)
        top.addWidget(self.left)
        self.stop = button("Stop", "Stop this work; what is finished of it stays", self._on_stop)
        self._job: Job | None = None
        self._scan: Scan | None = None
        row = QHBoxLayout(self.inside)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        column = QVBoxLayout()
        row.addLayout(column, 1)
        row.addWidget(self.stop, 0, Qt.AlignmentFlag.AlignTop)
        column.setSpacing(2)
        column.addLayout(top)
        column.addWidget(self.bar)
        column.addWidget(self.detail)
        column.addStretch(1)
        self.setFixedHeight(HEIGHT_PROGRESS)  # so that nothing above it jumps when work begins; but the first notice, or a low screen, wants its room
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._patience.timeout.connect(self.refresh)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        job = self._of_this_scan(session.job)
        self.setVisible(job is not None or not (is_low(self) or notice_is_due(session)))
        own = (PREVIEW, TRAINING, session.reviewing.lane)
        self.stop.setVisible(job is not None and job.is_active and job.key not in own)  # the others have their button in their tab
        if job is None:
            self.bar.hide()
            for line in (self.title, self.left, self.detail):
                line.setText("")
            return
        self.title.setText(job.title)
        self.title.setToolTip(job.title)
        self.bar.setVisible(job.is_active)
        self.bar.setUpdatesEnabled(False)  # it would be painted at once, and the whole window with it, which OpenGL puts together
        unknown = job.fraction is None or job.state == "waiting"
        if unknown and 1000 * job.seconds >= PATIENCE_MS:
            self.bar.setRange(0, 0)  # moves to and fro, and the whole window is painted for each of its steps
        else:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * (job.fraction or 0)))
        if unknown and job.is_active and not self._patience.isActive() and self.bar.maximum():
            self._patience.start()
        self.bar.setUpdatesEnabled(True)
        ended = {"done": "done in", "stopped": "stopped after", "failed": "failed after"}
        self.left.setText(progress(job) if job.is_active else f"{ended.get(job.state, '')} {job.seconds:.1f} s")
        told = "" if job.state == "done" and job.key != PREVIEW else job.message  # what it was doing last is over
        self.detail.setText(told)
        self.detail.setToolTip(told)

    def _of_this_scan(self, job: Job | None) -> Job | None:
        """What was told last of a scan that is no longer in work says nothing of the one that is."""
        if job is not self._job:
            self._job, self._scan = job, self._desk.session.current
        left = job is not None and job.key == PREVIEW and not job.is_active and self._scan is not self._desk.session.current
        return None if left else job

    def _on_stop(self) -> None:
        if self._job is not None:
            self._desk.session.jobs.stop(self._job.key)


class GuideLine(QFrame):
    """One sentence, one next step, its key, and why."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._told, self._reasons = desk, "", ""
        self._fitted: tuple[object, ...] | None = None
        self.setObjectName("medsegGuide")
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.key = QLabel()
        self.key.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        self.why = quiet()
        self.why.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.show_me = button("Show me", "Point at where the next step is done", lambda: show_step(desk, self.window()))
        self.show_me.setFlat(True)
        self.show_me.setStyleSheet("padding: 1px 4px;")
        beside = QVBoxLayout()
        beside.setSpacing(0)
        beside.addWidget(self.key)
        beside.addStretch(1)
        beside.addWidget(self.show_me, 0, Qt.AlignmentFlag.AlignRight)
        self._words = QVBoxLayout()
        self._words.setSpacing(2)
        self._words.addWidget(self.sentence)
        self._words.addWidget(self.why)
        self._words.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 4, 4)
        row.setSpacing(4)
        row.addLayout(self._words, 1)
        row.addLayout(beside)
        self.setFixedHeight(HEIGHT_GUIDE)  # sentences come and go, the tools above stay where they are
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        step = next_step(self._desk.session)
        plain = bool(step.waiting) or step.trouble or step.plain
        worded = self._desk.keys.worded
        self._told = worded(step.sentence if plain else f"Next: {step.sentence[0].lower()}{step.sentence[1:]}")
        self.key.setText(f"<b>[{worded(step.key)}]</b>" if step.key else "")
        self._reasons = worded(step.why)
        self.show_me.setVisible(not (step.waiting or step.trouble))
        told = " ".join(part for part in (self._told.rstrip(".") + ".", self._reasons) if part)
        self.setToolTip(f"{told}\nAll keys: ? or F1")
        mark(self, "waiting", bool(step.waiting) or step.trouble)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width, other lines."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """As many whole reasons as have room stand below the sentence; the tools above give way only to a sentence that would be cut. The tooltip has all.

        One that would push the window beyond its screen is cut all the same.
        """
        beside = max(self.key.sizeHint().width(), self.show_me.sizeHint().width())
        width = max(1, self.width() - beside - 22)  # asked before the parts have their places
        most = HEIGHT_GUIDE if is_low(self) else HIGHEST_GUIDE
        asked = (self._told, self._reasons, width, most)
        if asked == self._fitted:
            return
        self._fitted = asked
        self.sentence.setText(self._told)
        needs = self.sentence.heightForWidth(width) + 10
        if needs > most:
            needs = self._cut(width, most)
        self.setFixedHeight(max(HEIGHT_GUIDE, needs))
        room, reasons = HEIGHT_GUIDE - needs - 2 * self._words.spacing(), ENDS.split(self._reasons)
        for count in range(len(reasons), 0, -1):
            self.why.setText(" ".join(reasons[:count]))
            if self.why.heightForWidth(width) <= room:
                break
        else:
            self.why.clear()
        self.why.setVisible(bool(self.why.text()))

    def _cut(self, width: int, most: int) -> int:
        """Leave as many words as have room, and tell that there are more; the height they take."""
        words = self._told.split(" ")
        fits, more = 0, len(words) - 1
        while fits < more:
            half = (fits + more + 1) // 2
            self.sentence.setText(f"{' '.join(words[:half])} …")
            if self.sentence.heightForWidth(width) + 10 <= most:
                fits = half
            else:
                more = half - 1
        self.sentence.setText(f"{' '.join(words[:fits])} …")
        return self.sentence.heightForWidth(width) + 10
