import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.session.making import Making
from napari_medseg.session.state import Preview


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A small network nobody trained."""
    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return save_model(tmp_path / "base" / "model.safetensors", UNet(widths=(4, 8)), {"title": "small", "preprocessing": {"size": 32}})


@pytest.fixture
def study(session, owner, ball, tmp_path):
    """Two cases with a weak label each; the second is open."""
    made = session.study
    made.create(tmp_path / "Balls")
    owner.run_until(lambda: made.is_open)
    for i in range(2):
        io.write(ball.like(ball.array + i), tmp_path / f"ball {i}.nii.gz")
    made.add([tmp_path / f"ball {i}.nii.gz" for i in range(2)])
    owner.run_until(lambda: len(made.cases) == 2)
    for case in ("case-0001", "case-0002"):
        made.go(case)
        owner.run_until(lambda case=case: made.current == case and made.scan is not None)
        scan = made.scan
        scan.preview = Preview(scan.axes.apply((ball.array > 150).astype(np.uint8)), "test", (session.label_class,), finished=True, made=Making("levelset"))
        session.accept()
        owner.run_until(lambda: made.saved == "saved")
    return made


@pytest.mark.slow  # trains a round in a process of its own
def test_a_study_is_refined_as_a_whole_records_the_run_and_shows_it_another_day(session, owner, study, base, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "data"))
    heard = []
    session.problem.connect(heard.append)
    session.set(tab="refine")
    session.refine.recipe = "salah2023"
    session.refine.base, session.refine.rounds = base, 1
    session.run()
    owner.run_until(lambda: not session.job.is_active, seconds=240)
    assert session.job.state == "done", session.trouble
    assert not heard
    assert "2 scans" in session.job.title
    owner.run_until(lambda: study.project.runs() and session.refining.row(1).labels, seconds=30)
    run = study.project.runs()[0]
    assert run.cases == ("case-0001", "case-0002")
    assert str(tmp_path) not in str(run.figures)
    round_one = session.refining.row(1)
    assert set(round_one.labels) == {"case-0001", "case-0002"}
    assert study.scan.preview is None or study.scan.preview.made.tool == "refine"
    assert [version.tool for version in study.project.versions("case-0001")] == ["levelset"]
    proposed = round_one.labels["case-0001"].labels
    changes = not np.array_equal(proposed, study.project.labels("case-0001").array)
    session.refining.adopt(1)
    owner.run_until(lambda: session.refining.in_use == 1)
    assert np.array_equal(study.project.labels("case-0001").array, proposed)
    assert [version.tool for version in study.project.versions("case-0001")] == ["levelset", "refine"][:1 + changes]
    before, changed, spots = session.refining.rows, [change.where for change in round_one.changes], round_one.spots
    folder = study.folder
    study.leave()
    assert not session.refining.rows
    study.open(folder)
    owner.run_until(lambda: session.refining.rows)
    again = session.refining.row(1)
    assert [row.figures for row in session.refining.rows] == [row.figures for row in before]
    assert session.refining.in_use == changes
    assert np.array_equal(again.labels["case-0001"].labels, proposed)
    assert again.spots == spots
    owner.run_until(lambda: len(session.refining.row(1).changes) == len(changed))
    assert [change.where for change in again.changes] == changed
    assert session.refine.model is not None
    session.refining.roll_back()
    owner.run_until(lambda: not session.refining.in_use and not study.busy)
    assert np.array_equal(study.project.labels("case-0001").array, study.project.labels("case-0001", 1).array)
