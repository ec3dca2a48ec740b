"""Network and loss in the Refine form: a plain user sees one folded line; what is chosen is what a training is asked for, and is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_medseg.catalogue import Entry
from napari_medseg.errors import InvalidInputError
from napari_medseg.gui.loss_builder import LossBuilder
from napari_medseg.gui.refine_network import RefineNetwork
from napari_medseg.gui.refine_setup import RefineSetup
from napari_medseg.session import engines
from napari_medseg.session.network_choices import LossRow, NetworkChoices, loss_fault, loss_rows, loss_text, offers
from napari_medseg.session.refining_left import _choices, _plain
from napari_medseg.session.run_notes import RunNotes, read_notes
from napari_medseg.session.settings import RefineChoices

pytestmark = pytest.mark.qt


@pytest.fixture
def form(dock, desk):
    desk.refreshed.emit()
    return dock.findChild(RefineNetwork)


def items(box):
    return [box.itemData(i) for i in range(box.count())]


def choose(box, data):
    box.setCurrentIndex(items(box).index(data))
    box.activated.emit(box.currentIndex())


def test_it_is_one_folded_line_and_only_where_the_recipe_takes_networks(form, session, desk):
    assert form.inside.isHidden()
    assert form.head.text() == "▸ Network and loss: the recipe's own"
    session.refining.choose_recipe("salah2023")
    desk.refreshed.emit()
    assert form.isHidden()
    assert engines.settings_of(session, session.refine) == {}
    session.refining.choose_recipe("network")
    desk.refreshed.emit()
    assert not form.isHidden()


def test_every_network_of_the_catalogue_is_offered_with_its_source(form, session):
    offered = {offer.id for offer in offers(session.catalogue, "network")}
    assert offered >= {"unet-lite", "segformer-b0"}
    assert set(items(form.network)) == {"", *offered}
    place = items(form.network).index("unet-lite")
    assert "Source: Sourget et al." in form.network.itemData(place, Qt.ItemDataRole.ToolTipRole)


def test_a_network_whose_package_is_missing_is_greyed_and_says_what_brings_it(session, dock, desk, monkeypatch):
    facts = {"id": "far", "kind": "network", "title": "Far", "factory": "nowhere:Far", "requires": {"no_such_module": "far-package>=1"}, "licence": "MIT"}
    monkeypatch.setitem(session.catalogue.entries, "far", Entry.model_validate(facts))
    form = RefineNetwork(desk)
    place = items(form.network).index("far")
    assert not form.network.model().item(place).isEnabled()
    assert "far-package>=1" in form.network.itemData(place, Qt.ItemDataRole.ToolTipRole)


def test_what_is_chosen_is_what_the_recipe_is_given(form, session, desk):
    session.refining.choose_recipe("network")
    choose(form.network, "unet-lite")
    choose(form.dims, 2)
    form.loss.text.setText("ce + 0.5*dice")
    form.loss.text.editingFinished.emit()
    assert engines.settings_of(session, session.refine) == {"network": "unet-lite", "dims": 2, "loss": "ce + 0.5*dice"}
    recipe = session.catalogue.find("network", "recipe").build(rounds=1, **engines.settings_of(session, session.refine))
    assert (recipe.network, recipe.dims, recipe.loss, recipe.folds, recipe.phases) == ("unet-lite", 2, "ce + 0.5*dice", 1, ())
    desk.refreshed.emit()
    assert form.head.text().startswith("▸ Network: unet-lite in 2D")
    assert "unet-lite in 2D, ce + 0.5*dice" in form.head.toolTip()


def test_a_network_for_volumes_only_is_not_asked_whether_it_looks_at_slices(form, session, desk):
    choose(form.network, "unet-lite")
    choose(form.dims, 2)
    choose(form.network, "super-image")
    desk.refreshed.emit()
    assert session.refine.network.dims == 3
    assert form.dims.isHidden()


def test_rows_make_the_text_and_the_text_makes_the_rows(form, session, desk):
    builder = form.loss
    assert [row.value.name for row in builder.rows] == ["ce", "dice"]
    assert builder.text.text() == ""
    builder.rows[1].factor.setValue(0.5)
    desk.refreshed.emit()
    assert builder.text.text() == session.refine.network.loss == "ce + 0.5*dice"
    assert [row.factor.text() for row in builder.rows] == ["1", "0.5"]
    builder.add.click()
    desk.refreshed.emit()
    assert len(builder.rows) == 3
    choose(builder.rows[2].loss, "tversky")
    builder.rows[2].settings.setText("alpha=0.4, beta=0.6")
    builder.rows[2].settings.editingFinished.emit()
    desk.refreshed.emit()
    assert session.refine.network.loss == "ce + 0.5*dice + tversky(alpha=0.4, beta=0.6)"
    builder.rows[0].less.click()
    desk.refreshed.emit()
    assert [row.value for row in builder.rows] == [LossRow(0.5, "dice"), LossRow(1.0, "tversky", "alpha=0.4, beta=0.6")]
    builder.own.click()
    desk.refreshed.emit()
    assert session.refine.network.loss == ""
    assert [row.value.name for row in builder.rows] == ["ce", "dice"]


@pytest.mark.parametrize(("typed", "said"), [
    ("dice +", "ends where a loss should follow"), ("nonsense", "there is no loss 'nonsense'"),
    ("focal(width=2)", "has no setting 'width'"), ("-1*ce", "cannot count"), ("boundary", "without another loss"), ("tversky(alpha=-1)", "0 or more"),
])
def test_a_loss_that_cannot_be_read_is_said_in_place_and_refused_at_the_start(form, session, desk, typed, said):
    form.loss.text.setText(typed)
    form.loss.text.editingFinished.emit()
    desk.refreshed.emit()
    assert said in form.loss.fault.text()
    assert form.loss.isVisibleTo(form.inside)
    assert not form.loss.fault.isHidden()
    with pytest.raises((InvalidInputError, LookupError, ValueError)):
        session.catalogue.find("network", "recipe").build(**engines.settings_of(session, session.refine))
    form.loss.text.setText("dice")
    form.loss.text.editingFinished.emit()
    desk.refreshed.emit()
    assert form.loss.fault.isHidden()


def test_staying_near_the_base_is_asked_once_there_is_one(form, session, desk, tmp_path):
    assert form.near.isHidden()
    session.refine.base = tmp_path / "model.safetensors"
    desk.refreshed.emit()
    assert not form.near.isHidden()
    form.near.setValue(0.1)
    assert session.refine.network.settings == {"proximal": 0.1}


def test_the_wheel_scrolls_the_page_and_changes_neither_network_nor_loss_nor_rounds(form, dock, session, desk):
    session.refine.base = Path("model.safetensors")
    session.refining.choose_network(network="unet-lite", dims=2, loss="ce + 0.5*dice", proximal=0.1)
    desk.refreshed.emit()
    chosen, rounds = session.refine.network, session.refine.rounds
    setup = dock.findChild(RefineSetup)
    before = setup.pretrain.task.currentIndex(), setup.pretrain.updates.value()
    row = form.loss.rows[1]
    boxes = (form.network, form.dims, row.loss, setup.recipe, setup.base, setup.pretrain.task)
    for field in (*boxes, form.near, row.factor, setup.rounds, setup.pretrain.updates):
        field.clearFocus()
        at = QPointF(field.rect().center())
        for notch in (-120, 120, 120):
            turn = QPoint(0, notch)
            QApplication.sendEvent(field, QWheelEvent(
                at, at, turn, turn, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
            ))
    assert (session.refine.network, session.refine.rounds, session.refine.recipe) == (chosen, rounds, "medseg")
    assert (setup.pretrain.task.currentIndex(), setup.pretrain.updates.value()) == before


def test_it_fits_the_dock(form, session, desk):
    form.head.click()
    form.loss.text.setText("exponential-logarithmic(gamma_ce=0.5) + generalised-dice + 0.01*boundary")
    form.loss.text.editingFinished.emit()
    desk.refreshed.emit()
    assert form.inside.minimumSizeHint().width() <= 330


def test_choices_come_back_from_what_waits_from_run_notes_and_from_files_of_before(tmp_path):
    chosen = NetworkChoices("unet-lite", 2, "dice", 0.1)
    assert _choices(_plain(RefineChoices(network=chosen))).network == chosen
    before = _plain(RefineChoices())
    del before["network"]
    assert _choices(before).network == NetworkChoices()
    RunNotes("2025-01-01 10:00:00", "network", 1, {}, network=chosen).write(tmp_path)
    assert read_notes(tmp_path).network == chosen
    assert NetworkChoices.read({"network": 3, "dims": "2", "other": 1}) == NetworkChoices()
    assert NetworkChoices.read(None) == NetworkChoices()


def test_a_loss_reads_back_as_it_was_written():
    for text in ("ce + 0.5*dice", "focal(gamma=2) + tversky(alpha=0.3, beta=0.7)", "dice"):
        assert loss_text(loss_rows(text)) == text
        assert loss_fault(text) == ""


def test_without_a_loss_the_builder_shows_what_the_recipe_does(session, qtbot):
    builder = LossBuilder(session.catalogue, lambda text: None)
    qtbot.addWidget(builder)
    builder.show_text("")
    assert loss_text([row.value for row in builder.rows]) == "ce + dice"


def test_long_choices_do_not_widen_the_dock(form, session, desk, tmp_path):
    session.refine.base = tmp_path / "model.safetensors"
    session.refining.choose_network(network="mask-rcnn-invariant", dims=2, loss="exponential-logarithmic + generalised-dice", proximal=0.1)
    desk.refreshed.emit()
    assert form.head.sizeHint().width() <= 330
    assert "exponential-logarithmic + generalised-dice" in form.head.toolTip()
