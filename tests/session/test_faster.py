"""A trained model made faster, as a session does it: measured in a process of its own, looked at point by point, kept beside the model it came from."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_medseg.refine.models import load
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import save_model
from napari_medseg.session import faster as module
from napari_medseg.session.faster import MEASURED, last_kept
from napari_medseg.session.making import Making
from napari_medseg.session.segmenting import FASTER, engines, wanted
from napari_medseg.session.state import Preview


@pytest.fixture
def model(tmp_path):
    """What a run wrote."""
    torch.manual_seed(0)
    return save_model(tmp_path / "run" / "model", UNet(widths=(4, 6, 8)), {"title": "Ball"})


@pytest.fixture
def measured(session, owner, ball, model, monkeypatch):
    """The curve of one smaller model, measured with two open scans."""
    monkeypatch.setattr(module, "CURVE", (0.6,))
    monkeypatch.setattr(module, "WINDOWS", 2)
    for n in range(2):
        scan = session.open(replace(ball, array=ball.array + n, name=f"ball {n}"))
        scan.preview = Preview(scan.axes.apply((ball.array > 150).astype(np.uint8)), "test", (session.label_class,), finished=True, made=Making("levelset"))
        session.accept()
    session.refine.model = model
    session.changed.emit()
    session.faster.measure()
    owner.run_until(lambda: not session.faster.is_measuring, seconds=120.0)
    assert session.faster.job.state == "done", session.trouble
    return session.faster


@pytest.mark.slow  # a process of its own loads torch, and two models are timed for some seconds each
def test_a_point_of_the_curve_is_kept_beside_the_round_s_own_model(session, measured, model):
    _, small = measured.curve.points
    assert "The whole model" in measured.words()
    assert not measured.can_keep()
    measured.look_at(1)
    assert f"{100 * small.share:.0f} % of the work" in measured.words()
    assert "instead of" in measured.words()
    assert "Dice on 1 case that did not say" in measured.judged_words()
    before = model.read_bytes()
    measured.keep()
    assert measured.is_kept()
    assert model.read_bytes() == before
    assert measured.kept == last_kept(model) == model.parent.parent / "faster" / f"{100 * small.share:.0f}" / "model.safetensors"
    plan = load(measured.kept).plan
    assert plan["training"]["pruned"]["base"]["sha256"] == load(model).plan["sha256"]
    assert json.dumps(plan)
    session.set(engine=FASTER)
    assert [row.title for row in engines(session)][:2] == ["Your refined model", "Your faster model"]
    assert wanted(session).model == measured.kept
    session.refine.model = None
    session.changed.emit()
    assert measured.curve is None
    assert measured.kept is None
    session.refine.model = model
    session.changed.emit()
    assert measured.kept == last_kept(model), "kept for another day"
    assert not (model.parent.parent / "faster" / MEASURED / "60").exists()


def test_without_a_model_it_is_said(session, problems):
    session.faster.measure()
    assert "no trained model" in str(problems[0])
    assert not session.faster.can_measure()
