"""Blinded choice on the Review tab: plan a review, name the rater, start, and see the result once that rater is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDoubleSpinBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly, unscrolled
from napari_medseg.gui.folder_field import FolderField
from napari_medseg.gui.style import SPACING, button, combo, mark, quiet
from napari_medseg.session.guide import next_step

if TYPE_CHECKING:
    from napari_medseg.gui.blinded_result import BlindedResult

VERSIONS = ("proposal", "weak", "corrected", "verified", "imported", "first", "latest", *(f"round {n}" for n in range(1, 7)))
SOURCES = (("folders", "Two folders of masks"), ("study", "Two versions in this study"))
KINDS = (("slices", "slices"), ("volumes", "whole volumes"))


class BlindedPage(QWidget):
    """Views of `session.reviewing.blinded`."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._blinded = desk.session.reviewing.blinded
        self._window: QWidget | None = None
        self._listed: object = None
        self.reviews = combo("A new review, or one that is planned already")
        self.reviews.setAccessibleName("Review")
        self.reviews.activated.connect(self._on_chosen)
        self.open = button("Open…", "Open the folder of a review that was planned before", self._on_open)
        self.new = self._new()
        self.facts = quiet()
        self.rater = QLineEdit()
        self.rater.setAccessibleName("Rater")
        self.rater.setPlaceholderText("Who answers; initials are enough")
        self.rater.textEdited.connect(self._blinded.name_rater)
        self.start = button("Start", "", desk.session.reviewing.run)
        self._place = QVBoxLayout()
        self.result: BlindedResult | None = None
        head = QHBoxLayout()
        head.addWidget(QLabel("Review"))
        head.addWidget(self.reviews, 1)
        head.addWidget(self.open)
        who = QHBoxLayout()
        self.who = QWidget()
        self.who.setLayout(who)
        who.setContentsMargins(0, 0, 0, 0)
        who.addWidget(QLabel("Rater"))
        who.addWidget(self.rater, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(head)
        for part in (self.new, self.facts, self.who, self.start):
            column.addWidget(part)
        column.addLayout(self._place, 1)
        column.addStretch(0)
        self._blinded.turned.connect(self._on_turned)
        desk.refreshed.connect(self.refresh)
        self.refresh()
        QTimer.singleShot(0, self._blinded.look)
        QTimer.singleShot(0, self._on_turned)  # somebody may have begun before the page was there

    def _new(self) -> QWidget:
        """What is asked of a new review."""
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        change = self._blinded.change
        self.source = combo("Where the two sets of masks come from")
        self.source.setAccessibleName("Compare")
        for key, title in SOURCES:
            self.source.addItem(title, key)
        self.source.activated.connect(lambda i: change(source=self.source.itemData(i)))
        self.images = FolderField("folder of scans", lambda path: change(images=path))
        self.a = FolderField("folder of the first masks", lambda path: change(a=path))
        self.b = FolderField("folder of the second masks", lambda path: change(b=path))
        self.keep = FolderField("new folder for the answers", lambda path: change(keep=path))
        self.version_a, self.version_b = combo("The first version of each case"), combo("The second version of each case")
        for one, name in ((self.version_a, "version_a"), (self.version_b, "version_b")):
            for version in VERSIONS:
                one.addItem(version, version)
            one.activated.connect(lambda i, one=one, name=name: change(**{name: one.itemData(i)}))
        self.slices = QSpinBox()
        self.slices.setAccessibleName("Number asked")
        self.slices.setRange(1, 5000)
        self.slices.setToolTip("Shared evenly among the cases; the slices of a case lie at equal distances through its labels")
        self.slices.valueChanged.connect(lambda n: change(slices=n))
        self.kind = combo("Single slices, or every case as a whole volume to scroll through")
        self.kind.setAccessibleName("What is asked")
        for key, title in KINDS:
            self.kind.addItem(title, key)
        self.kind.activated.connect(lambda i: change(kind=self.kind.itemData(i)))
        self.repeats = QDoubleSpinBox()
        self.repeats.setAccessibleName("Repeats, in percent")
        self.repeats.setRange(0, 100)
        self.repeats.setDecimals(0)
        self.repeats.setSuffix(" %")
        self.repeats.setToolTip("Share of the questions that is asked once more, with the sides changed, to see whether raters agree with themselves")
        self.repeats.valueChanged.connect(lambda share: change(repeats=share / 100))
        for field in (self.slices, self.repeats):
            unscrolled(field)
        self._rows: dict[str, tuple[QLabel, QWidget]] = {}
        ask, twice = _row(self.slices, self.kind), _row(self.repeats, quiet("asked twice"))
        parts = (
            ("", "Compare", self.source), ("folders", "Scans", self.images), ("folders", "First", self.a), ("folders", "Second", self.b),
            ("study", "First", self.version_a), ("study", "Second", self.version_b), ("", "Ask", ask), ("", "", twice),
            ("folders", "Keep in", self.keep),
        )
        for number, (when, title, widget) in enumerate(parts):
            label = QLabel(title)
            form.addRow(label, widget)
            self._rows[f"{when}:{number}"] = label, widget
        return page

    def refresh(self) -> None:
        """Show the session."""
        session, found = self._desk.session, self._blinded
        if not session.reviewing.is_on("blinded"):
            return
        self._list()
        choices = found.choices
        self.new.setVisible(found.chosen is None)
        for key, (label, widget) in self._rows.items():
            when = key.partition(":")[0]
            label.setVisible(when in ("", choices.source))
            widget.setVisible(when in ("", choices.source))
        self.source.setCurrentIndex(self.source.findData(choices.source))
        self.source.setEnabled(session.study.is_open)
        self.kind.setCurrentIndex(self.kind.findData(choices.kind))
        self.slices.setEnabled(choices.kind == "slices")
        for field, value in ((self.slices, choices.slices), (self.repeats, round(100 * choices.repeats))):
            quietly(field, "setValue", value)
        for field, path in ((self.images, choices.images), (self.a, choices.a), (self.b, choices.b), (self.keep, choices.keep)):
            field.show_path(path)
        for one, version in ((self.version_a, choices.version_a), (self.version_b, choices.version_b)):
            one.setCurrentIndex(one.findData(version))
        self._show_chosen()
        self.start.setText(self._act())
        self.start.setToolTip(f"{self._act()} (G)")
        self.start.setVisible(found.summary is None)
        self.start.setEnabled(not found.is_planning and found.sitting is None and not (found.chosen is None and found.choices.lacks()))
        mark(self.start, "primary", session.tab == "review" and next_step(session).action == "run")

    def _show_chosen(self) -> None:
        found = self._blinded
        chosen = found.chosen
        self.facts.setVisible(chosen is not None)
        self.who.setVisible(chosen is not None)
        self.rater.setEnabled(found.sitting is None)
        if self.rater.text() != found.rater and not self.rater.hasFocus():
            self.rater.setText(found.rater)
        if chosen is not None:
            of = len(chosen.plan.questions)
            raters = ", ".join(f"{name} {count} of {of}" for name, count in chosen.raters) or "nobody has answered yet"
            self.facts.setText(f"{chosen.plan.scope}; {raters}.")
        if self.result is None and found.summary is not None:
            from napari_medseg.gui.blinded_result import BlindedResult  # brings statistics, which take a while to load

            self.result = BlindedResult(self._desk)
            self._place.addWidget(self.result)
        if self.result is not None:
            self.result.setVisible(found.summary is not None)
            self.result.refresh()

    def _list(self) -> None:
        """The reviews there are, after "a new one"."""
        found = self._blinded
        listed = [review.title for review in found.reviews]
        if listed != self._listed:
            self._listed = listed
            self.reviews.clear()
            self.reviews.addItem("A new review")
            self.reviews.addItems(listed)
        self.reviews.setCurrentIndex(found.reviews.index(found.chosen) + 1 if found.chosen in found.reviews else 0)

    def _act(self) -> str:
        found = self._blinded
        if found.chosen is None:
            return "Planning…" if found.is_planning else "Plan the review"
        if found.can_show:
            return "Show the result"
        count = found.chosen.answered(found.rater)
        return f"Go on ({count} of {len(found.chosen.plan.questions)})" if count else "Start"

    def _on_chosen(self, index: int) -> None:
        self._blinded.choose(self._blinded.reviews[index - 1] if index else None)

    def _on_open(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "The folder of a blinded review")
        if path:
            self._blinded.open_folder(Path(path))

    def _on_turned(self) -> None:
        """Somebody begins to answer: the window for it opens."""
        if self._blinded.sitting is None or self._window is not None:
            return
        from napari_medseg.gui.blinded_window import BlindedWindow

        window = BlindedWindow(self._desk, self._main())
        self._window = window
        window.closed.connect(self._on_closed)
        window.showMaximized()
        window.raise_()
        window.activateWindow()

    def _on_closed(self) -> None:
        self._window = None

    def _main(self) -> QWidget | None:
        top = self.window()
        return top if top is not self else None


def _row(first: QWidget, second: QWidget) -> QWidget:
    """Two fields in a row, the second wide."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(first)
    row.addWidget(second, 1)
    return made
