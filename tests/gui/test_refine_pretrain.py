"""Learn from my unlabelled scans in the Refine form: one folded line, and a result that is used when a person ticks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_medseg.gui.refine_pretrain import RefinePretrain
from napari_medseg.refine.pretraining.encoder_plan import EncoderPlan
from napari_medseg.session.pretraining import Taught

pytestmark = pytest.mark.qt
PLAN = EncoderPlan.model_validate({
    "network": {"name": "unet-lite", "dims": 2, "in_channels": 1, "classes": 1}, "task": "masked", "normalise": "z-score", "spacing": (1, 1, 1),
    "channels": [{"low": 0, "high": 1, "mean": 0, "sd": 1}], "patch": (1, 32, 32), "noise": 0.1, "scans": 30, "updates": 200, "batch": 2, "seed": 0,
    "learning_rate": 1e-3, "error": 0.4, "given": 1.0,
})


@pytest.fixture
def form(dock, desk):
    desk.refreshed.emit()
    return dock.findChild(RefinePretrain)


def test_it_is_one_folded_line_and_only_where_the_recipe_takes_networks(form, session, desk):
    assert form.inside.isHidden()
    assert form.head.text() == "▸ Learn from my unlabelled scans"
    session.refining.choose_recipe("salah2023")
    desk.refreshed.emit()
    assert form.isHidden()


def test_it_says_what_learns_from_what_and_does_not_start_without_a_scan(form, session, desk):
    form.head.setChecked(True)
    assert "No scan is open; segresnet in 3D learns" in form.said.text()
    assert not form.run.isEnabled()
    session.refining.choose_network(network="mask-rcnn-invariant")
    desk.refreshed.emit()
    assert "finds objects" in form.said.text()


def test_choices_reach_the_session(form, session, desk):
    form.head.setChecked(True)
    form.task.setCurrentIndex(1)
    form.task.activated.emit(1)
    form.updates.setValue(250)
    model = session.refining.pretraining
    assert (model.task, model.updates) == ("masked", 250)
    desk.refreshed.emit()
    assert form.task.currentData() == "masked"


def test_what_was_learnt_is_the_start_of_a_training_once_it_is_ticked(form, session, desk):
    form.head.setChecked(True)
    assert form.use.isHidden()
    session.refining.pretraining.taught = Taught(Path("somewhere.safetensors"), PLAN)
    desk.refreshed.emit()
    assert "learnt from 30 scans in 200 updates; 60% of the error from hidden blocks is gone" in form.found.text()
    assert not form.use.isChecked()
    form.use.click()
    chosen = session.refine.network
    assert (chosen.network, chosen.dims, chosen.start) == ("unet-lite", 2, "somewhere.safetensors")
    desk.refreshed.emit()
    assert form.use.isChecked()
    assert form.head.text().endswith("(used)")
    form.use.click()
    assert session.refine.network.start == ""
    assert session.refine.network.network == "unet-lite"
