"""Another network and another loss than the recipe's own, folded away until somebody wants one."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import unscrolled
from napari_medseg.gui.folding import Folding
from napari_medseg.gui.loss_builder import LossBuilder, add_offer
from napari_medseg.gui.style import combo
from napari_medseg.session.network_choices import NetworkChoices, Offer, offers, takes_networks

TIP = "Train another network of the catalogue, or make another loss small"
OWN = "The recipe's own"
WIDEST = 280  # pixels of the line that folds it
NEAR = (
    "Holds the weights near those of the base: for a few new scans, or when several hospitals train the same base and exchange weights. "
    "0.1 is a common start."
)


class RefineNetwork(Folding):
    """A view of the session's choices; hidden where the recipe trains its own network only."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._choose = desk.session.refining.choose_network
        self.network = combo("What is trained")
        self.network.setAccessibleName("Network")
        self._offers: dict[str, Offer] = {}
        self._fill()
        self.network.activated.connect(lambda i: self._choose(network=self.network.itemData(i)))
        self.dims = combo("Slices are quicker and need fewer scans; volumes see what lies above and below")
        self.dims.setAccessibleName("Looks at")
        for title, dims in (("single slices (2D)", 2), ("volumes (3D)", 3)):
            self.dims.addItem(title, dims)
        self.dims.activated.connect(lambda i: self._choose(dims=self.dims.itemData(i)))
        self.loss = LossBuilder(desk.session.catalogue, lambda text: self._choose(loss=text))
        self.near = QDoubleSpinBox()
        self.near.setAccessibleName("Stay close to the base")
        self.near.setToolTip(NEAR)
        self.near.setRange(0, 100)
        self.near.setDecimals(3)
        self.near.setSingleStep(0.1)
        self.near.setSpecialValueText("no")
        self.near.setMinimumWidth(72)
        self.near.setKeyboardTracking(False)
        self.near.valueChanged.connect(self._on_near)
        unscrolled(self.near)
        for box in (self.network, self.dims):
            unscrolled(box, box.focusPolicy())
        self.form = QFormLayout()
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setSpacing(4)
        self.form.addRow("Network", self.network)
        self.form.addRow("Looks at", self.dims)
        self.form.addRow("Near the base", self.near)
        self.folded.addLayout(self.form)
        self.folded.addWidget(self.loss)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        choices = self._desk.session.refine
        chosen = choices.network
        self.setVisible(takes_networks(self._desk.session, choices.recipe))
        self.network.setCurrentIndex(max(0, self.network.findData(chosen.network)))
        offer = self._offers.get(chosen.network)
        self._show_row(self.dims, offer is not None and len(offer.dims) > 1)
        self.dims.setCurrentIndex(max(0, self.dims.findData(chosen.dims)))
        self._show_row(self.near, choices.base is not None or chosen.proximal > 0)
        if self.near.value() != chosen.proximal:
            self.near.setValue(chosen.proximal)
        self.loss.show_text(chosen.loss)
        self._summarise()

    def _show_row(self, field: QWidget, shown: bool) -> None:
        field.setVisible(shown)
        self.form.labelForField(field).setVisible(shown)

    def _fill(self) -> None:
        """The networks, those greyed that need a package."""
        self.network.addItem(OWN, "")
        self.network.setItemData(0, "Suits itself to the scans", Qt.ItemDataRole.ToolTipRole)
        for offer in offers(self._desk.session.catalogue, "network"):
            self._offers[offer.id] = offer
            add_offer(self.network, offer)

    def _summarise(self) -> None:
        chosen: NetworkChoices = self._desk.session.refine.network
        said = f"Network and loss: {OWN.lower()}"
        if chosen.words:
            said = self.head.fontMetrics().elidedText(f"Network: {chosen.words}", Qt.TextElideMode.ElideRight, WIDEST)
        self.name(said)
        self.head.setToolTip("\n".join(filter(None, [TIP, chosen.words])))

    def _on_near(self, value: float) -> None:
        if value != self._desk.session.refine.network.proximal:
            self._choose(proximal=round(value, 3))
