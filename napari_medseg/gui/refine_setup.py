"""How a refinement runs: recipe, base model, rounds, or whole folders; every choice has a default."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QSpinBox

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import unscrolled
from napari_medseg.gui.folder_field import FolderField
from napari_medseg.gui.folding import Folding
from napari_medseg.gui.refine_network import RefineNetwork
from napari_medseg.gui.refine_pretrain import RefinePretrain
from napari_medseg.gui.style import combo, quiet, short
from napari_medseg.session.network_choices import takes_networks


class RefineSetup(Folding):
    """Views of the session's choices, folded away until somebody wants another one."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("Recipe, base model, number of rounds; or whole folders instead of what is listed above")
        self._desk = desk
        session = desk.session
        self.recipe = combo("How rounds are run")
        self.recipe.setAccessibleName("Recipe")
        for entry in session.catalogue.of_kind("recipe"):
            self.recipe.addItem(entry.title, entry.id)
            self.recipe.setItemData(self.recipe.count() - 1, entry.summary, Qt.ItemDataRole.ToolTipRole)
        self.recipe.activated.connect(lambda i: session.refining.choose_recipe(self.recipe.itemData(i)))
        self.base = combo("The model every round starts from")
        self.base.setAccessibleName("Base")
        self.base.activated.connect(lambda i: self._choose(base=self.base.itemData(i)))
        self.rounds = QSpinBox()
        self.rounds.setAccessibleName("Rounds")
        self.rounds.setRange(1, 10)
        self.rounds.setToolTip("How many times to train and propose; the paper took 3")
        self.rounds.setMinimumWidth(64)
        self.rounds.valueChanged.connect(lambda n: self._choose(rounds=n))
        self.images = FolderField("folder of scans", lambda path: self._choose(images=path))
        self.labels = FolderField("folder of their label maps", lambda path: self._choose(labels=path))
        self.whole = quiet("Or whole folders: scans, and label maps with the same file names")
        self.network = RefineNetwork(desk)
        self.pretrain = RefinePretrain(desk)
        unscrolled(self.rounds)
        for box in (self.recipe, self.base):
            unscrolled(box, box.focusPolicy())
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        if self.recipe.count() > 1:
            form.addRow("Recipe", self.recipe)
        form.addRow("Base", self.base)
        form.addRow("Rounds", self.rounds)
        self.folded.addLayout(form)
        for part in (self.network, self.pretrain, self.whole, self.images, self.labels):
            self.folded.addWidget(part)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        choices = self._desk.session.refine
        self.images.show_path(choices.images)
        self.labels.show_path(choices.labels)
        self.recipe.setCurrentIndex(max(0, self.recipe.findData(choices.recipe)))
        if self.rounds.value() != choices.rounds:
            self.rounds.setValue(choices.rounds)
        self._fill_bases()
        self.network.refresh()
        self._summarise()

    def _fill_bases(self) -> None:
        choices = self._desk.session.refine
        own = "M0 (synthetic CT)" if choices.recipe == "salah2023" else "Its own beginning"
        bases: list[tuple[str, Path | None]] = [(own, None)]
        if choices.model is not None:
            bases.append(("Your last refinement", choices.model))
        faster = self._desk.session.faster.kept
        if faster is not None:
            bases.append(("Your faster model", faster))
        if choices.base is not None and choices.base not in (choices.model, faster):
            bases.append((choices.base.parent.name if choices.base.suffix else choices.base.name, choices.base))
        if [self.base.itemText(i) for i in range(self.base.count())] != [title for title, _ in bases]:
            self.base.clear()
            for title, path in bases:
                self.base.addItem(title, path)
        self.base.setCurrentIndex(max(0, [path for _, path in bases].index(choices.base)))

    def _summarise(self) -> None:
        """What is chosen, in the line that folds it."""
        choices = self._desk.session.refine
        rounds = f"{choices.rounds} round{'s' if choices.rounds != 1 else ''}"
        base = "" if choices.base is None else "last model" if choices.base == choices.model else "own base"
        net = choices.network.network or ("own loss" if choices.network.loss else "") if takes_networks(self._desk.session, choices.recipe) else ""
        said = ", ".join(filter(None, [choices.recipe, net, rounds, base, "folders" if choices.images or choices.labels else ""]))
        self.name(f"Train with {short(said, 36)}")

    def _choose(self, **values: object) -> None:
        choices = self._desk.session.refine
        for name, value in values.items():
            setattr(choices, name, value)
        self._desk.session.set(refine=choices)
