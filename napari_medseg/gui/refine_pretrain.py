"""Learn from my unlabelled scans: started, watched, stopped, and taken as the beginning of the next training; folded away until somebody wants it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QSpinBox

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import unscrolled
from napari_medseg.gui.folding import Folding
from napari_medseg.gui.style import SPACING, button, combo, quiet
from napari_medseg.session.guide import progress
from napari_medseg.session.network_choices import takes_networks

HEAD = "Learn from my unlabelled scans"
TIP = "A network first learns what scans like yours look like, from all of them, labelled or not; then a training starts from that"
START = "Learn from them"
TASKS = (
    ("cleaning noise", "denoise", "Noise as strong as that of your scans is put on, and the network learns to take it away"),
    ("completing hidden parts", "masked", "Half of each window is hidden in blocks, and the network learns to fill them in"),
)
USE = "The next training of this network begins with what it learnt here, not from nothing"
HONEST = "It may help where labels are few, and is no substitute for them."
MEASURE = "Whether it pays on your scans is measured by `medseg pretrain --compare`, at the same updates in all"


class RefinePretrain(Folding):
    """Views of the session's pre-training; hidden where the recipe trains its own network only."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(TIP)
        self._desk = desk
        self._model = desk.session.refining.pretraining
        self.said = quiet()
        self.said.setToolTip(MEASURE)
        self.task = combo("What the network learns from a scan alone")
        self.task.setAccessibleName("Learns by")
        for index, (title, task, tip) in enumerate(TASKS):
            self.task.addItem(title, task)
            self.task.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)
        self.task.activated.connect(lambda i: self._model.choose(task=self.task.itemData(i)))
        self.updates = QSpinBox()
        self.updates.setAccessibleName("Updates without labels")
        self.updates.setToolTip("How many steps it learns; about as long each as those of a training")
        self.updates.setRange(10, 100_000)
        self.updates.setSingleStep(100)
        self.updates.setKeyboardTracking(False)
        self.updates.setMinimumWidth(72)
        self.updates.valueChanged.connect(self._on_updates)
        unscrolled(self.updates)
        unscrolled(self.task, self.task.focusPolicy())
        self.run = button(START, "", self._on_run)
        self.left = quiet()
        self.found = quiet()
        self.use = QCheckBox("Start the next training from it")
        self.use.setToolTip(USE)
        self.use.clicked.connect(self._model.use)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        form.addRow("Learns by", self.task)
        form.addRow("Updates", self.updates)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.run, 1)
        row.addWidget(self.left, 1)
        self.folded.addWidget(self.said)
        self.folded.addLayout(form)
        self.folded.addLayout(row)
        self.folded.addWidget(self.found)
        self.folded.addWidget(self.use)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, model = self._desk.session, self._model
        self.setVisible(takes_networks(session, session.refine.recipe))
        if self.isHidden():
            return
        self._name()
        if not self.is_open:
            return
        model.look()
        scans, (network, dims) = model.scans(), model.network
        count = f"{len(scans)} scan{'s' if len(scans) != 1 else ''}, labelled or not" if scans else "No scan is open"
        self.said.setText(model.refused or f"{count}; {network} in {dims}D learns. {HONEST}")
        self.task.setCurrentIndex(max(0, self.task.findData(model.task)))
        if self.updates.value() != model.updates:
            self.updates.setValue(model.updates)
        running, job = model.is_learning, model.job
        for part in (self.task, self.updates):
            part.setEnabled(not running)
        self.run.setText("Stop" if running else START)
        self.run.setToolTip("Stop; nothing of it is kept" if running else "Learn in a process of its own; go on working meanwhile")
        self.run.setEnabled(running or bool(scans and not model.refused))
        self.left.setText(progress(job) if running and job is not None else "")
        self.found.setVisible(model.taught is not None)
        self.found.setText(model.taught.words if model.taught is not None else "")
        self.found.setToolTip(str(model.taught.file) if model.taught is not None else "")
        self.use.setVisible(model.taught is not None)
        self.use.setChecked(model.is_start)

    def _name(self) -> None:
        """The line that folds it, with what it comes to."""
        said = "learning" if self._model.is_learning else "used" if self._model.is_start else ""
        self.name(f"{HEAD}{f' ({said})' if said else ''}")

    def _on_run(self) -> None:
        self._model.stop() if self._model.is_learning else self._model.start()

    def _on_updates(self, value: int) -> None:
        if value != self._model.updates:
            self._model.choose(updates=value)
