"""The Segment and Refine tabs on a real network, if a small one that has learnt nothing."""

import numpy as np
import pytest

from napari_medseg.catalogue import Entry
from napari_medseg.gui.refine_tab import RefineTab
from napari_medseg.gui.segment_tab import SegmentTab
from napari_medseg.session import Preview
from napari_medseg.session.segmenting import REFINED

pytestmark = pytest.mark.qt


@pytest.fixture
def base(tmp_path, monkeypatch):
    import torch

    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.manual_seed(0)
    return save_model(tmp_path / "base" / "model.safetensors", UNet(widths=(4, 8)), {"title": "tiny", "preprocessing": {"size": 32}})


@pytest.fixture
def labelled(viewer, session, ball):
    from napari_medseg.gui.layers import layer_data

    array, keywords, _ = layer_data(ball)
    viewer.add_image(array, **keywords)
    scan = session.current
    scan.preview = Preview((array > 150).astype(np.uint8), "test", (session.label_class,), finished=True)
    session.accept()
    return scan


def test_the_list_says_how_to_get_what_is_missing(dock, desk, session, monkeypatch):
    monkeypatch.setattr(Entry, "needs", lambda self, **_: tuple(self.requires.values()))
    session.set(engine="deepbet", tab="segment")
    desk.refreshed.emit()
    tab = dock.findChild(SegmentTab)
    assert 'pip install "deepbet==1.0.2"' in tab.missing.text()
    assert "MIT" in tab.about.text()
    assert not tab.run.isEnabled()


def test_a_network_answers_live_from_the_slice_in_view(viewer, dock, desk, session, labelled, base, qtbot):
    session.set(tab="segment")
    session.refine.model, session.engine = base, REFINED
    viewer.dims.set_point(0, desk.image(labelled).data_to_world((7, 0, 0))[0])
    boxes = []
    session.preview_changed.connect(lambda _, box: boxes.append(box))
    desk.run()
    qtbot.waitUntil(lambda: not session.job.is_active, timeout=120_000)
    boxes = [box for box in boxes if box is not None]
    assert session.job.state == "done"
    assert boxes[0][0].start <= 7 < boxes[0][0].stop
    assert labelled.preview.finished


def test_a_refinement_trains_draws_its_loss_and_proposes(viewer, dock, desk, session, labelled, base, qtbot, tmp_path):
    session.set(tab="refine")
    session.refine.recipe = "salah2023"
    session.refine.base, session.refine.out, session.refine.rounds = base, tmp_path / "run", 1
    desk.run()
    qtbot.waitUntil(lambda: not session.job.is_active, timeout=240_000)
    assert session.job.state == "done", session.trouble
    desk.refreshed.emit()
    tab = dock.findChild(RefineTab)
    assert len(session.refine.losses) > 5
    assert tab.running.curve.layout().count() == 1
    assert tab.rounds.table.rowCount() == 2
    assert session.refine.model is not None
    assert session.engine == REFINED
    assert labelled.preview.title == "proposal round 1"
    held = desk.writer.of(labelled)
    qtbot.waitUntil(lambda: held.preview is not None and held.preview.name == "ball proposal round 1")


def test_stopping_a_refinement_ends_its_process(viewer, dock, desk, session, labelled, base, qtbot, tmp_path):
    session.refine.recipe = "salah2023"
    session.refine.base, session.refine.out, session.refine.rounds = base, tmp_path / "run", 10
    session.set(tab="refine")
    desk.run()
    runs = session.refining.training.runs
    qtbot.waitUntil(lambda: bool(runs) and runs[0].pid is not None, timeout=60_000)
    session.stop()
    qtbot.waitUntil(lambda: runs[0].pid is None, timeout=30_000)
    assert session.job.state == "stopped"


def test_one_folder_alone_is_not_enough(dock, desk, session, notifications, tmp_path):
    session.set(tab="refine")
    session.refine.images = tmp_path
    desk.run()
    assert "only one of the two folders" in next(m for s, m in notifications() if s == "error")
