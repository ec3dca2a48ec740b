"""The rounds of a study's refinement compared without looking for folders, fairly, and kept in the study for its report."""

import json

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.annotation import LabelMap
from napari_medseg.errors import InvalidInputError
from napari_medseg.project import Project
from napari_medseg.refine import RefineResult, RoundFigures
from napari_medseg.refine.result import ZeroShot
from napari_medseg.review.kept import kept
from napari_medseg.session.compare_words import pair_words
from napari_medseg.session.guide import next_step
from napari_medseg.session.refining_runs import runs_folder
from napari_medseg.session.run_notes import RunNotes
from napari_medseg.session.study_refinement import BY_HAND
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((6, 14, 16), (3.0, 1.0, 1.0))
COUNT = 8
FIGURES = tuple(RoundFigures(number, 40, 12.0, 0.2, 1.05) for number in range(3))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "data"))


def block(shift, wide=0):
    made = np.zeros(GRID.shape, np.uint8)
    made[1:5, 2:9 + wide, 2 + shift:9 + shift] = 1
    return made


def saved(project, case, array, kind, **more):
    return project.save(case, LabelMap(array, GRID), kind=kind, tool="brush" if kind in ("corrected", "verified") else "levelset", **more).number


def make_study(session, owner, tmp_path, began="2026-01-01 10:00:00", before=None, count=COUNT):
    """Weak labels that lie 3 voxels off, two rounds that lie 2 and 1 off, and the truth verified after; `before` does what a person did before the run."""
    (tmp_path / "scans").mkdir()
    for index in range(count):
        io.write(Volume(block(0, index % 4).astype(np.int16) * 100 + index, GRID), tmp_path / "scans" / f"scan {index}.nii.gz")
    study = session.study
    study.create(tmp_path / "proof")
    owner.run_until(lambda: study.is_open)
    study.add(sorted((tmp_path / "scans").iterdir()))
    owner.run_until(lambda: len(study.cases) == count)
    ids, project = [case.id for case in study.cases], study.project
    for index, case in enumerate(ids):
        saved(project, case, block(3, index % 4), "weak")
        if before is not None:
            before(project, case, index)
    versions = {case: project.version(case).number for case in ids}
    out = runs_folder(session) / "night"
    for number in (1, 2):
        (out / f"round{number}").mkdir(parents=True)
        for index, case in enumerate(ids):
            io.write(Volume(block(3 - number, index % 4), GRID), out / f"round{number}" / f"{case}.nii.gz")
    (out / "rounds.json").write_text(json.dumps(RefineResult(FIGURES, 2, {}, None, ZeroShot(), 40).as_dict()), encoding="utf-8")
    RunNotes(began, "medseg", 2, versions).write(out)
    for index, case in enumerate(ids):
        saved(project, case, block(0, index % 4), "verified")
    study.cases = project.cases()
    session.reviewing.turn("compare")
    return session.reviewing.comparing


def compare_rounds(session, owner, model):
    model.add_rounds()
    owner.run_until(lambda: len(model.choices.models) >= 3)
    session.run()
    owner.run_until(lambda: model.comparison is not None and not session.jobs.active)


def test_the_rounds_are_models_without_a_folder_to_look_for(session, owner, tmp_path):
    model = make_study(session, owner, tmp_path)
    compare_rounds(session, owner, model)
    found = model.comparison
    assert found.models == ("labels given", "round 1", "round 2")
    assert len(found.common) == COUNT
    means = [found.summaries[name].mean for name in found.models]
    assert means == pytest.approx([2 * 4 / 14, 2 * 5 / 14, 2 * 6 / 14], abs=1e-6)
    assert "round 2 is better" in pair_words(found, "Dice")
    assert model.found.left_out == ()
    model.add_rounds()
    owner.run_until(lambda: session.study._store.wait(0) and owner.calls.empty())
    assert [each.title for each in model.choices.models] == ["labels given", "round 1", "round 2"]


def test_what_a_person_painted_before_the_run_counts_for_no_round(session, owner, tmp_path):
    painted = np.zeros(GRID.shape, np.uint8)
    painted[:3] = 1

    def before(project, case, index):
        if index == 0:  # half of the slices were put right by hand
            saved(project, case, np.where(painted, block(0), block(3)), "corrected", arrays={BY_HAND: painted})

    model = make_study(session, owner, tmp_path, before=before)
    compare_rounds(session, owner, model)
    first = model.found.cases["labels given"]["scan 0"]["1"]
    assert first["dice"] == pytest.approx(2 * 4 / 14)
    assert "hd95_mm" not in first
    assert model.found.cases["labels given"]["scan 1"]["1"]["hd95_mm"] is not None
    assert "of scan 0; of these only overlap is told" in model.found.left_out[0]
    assert model.volumes[0].n == COUNT - 1


def test_a_case_that_was_taught_as_a_whole_is_left_out_and_one_that_only_checks_is_not(session, owner, tmp_path):
    def before(project, case, index):
        if index < 4:
            saved(project, case, block(0, index % 4), "verified")
            sides[f"scan {index}"] = project.side(case)

    sides = {}
    model = make_study(session, owner, tmp_path, before=before)
    compare_rounds(session, owner, model)
    taught = {name for name, side in sides.items() if side == "teach"}
    assert taught
    assert set(model.comparison.common) == {f"scan {index}" for index in range(COUNT)} - taught
    assert all(name in model.found.left_out[0] for name in taught)
    given = model.found.cases["labels given"]
    assert all(cases["1"]["dice"] < 0.6 for cases in given.values())  # what the tool had made, not what was verified


def test_slices_that_were_taught_before_the_run_count_for_no_round_though_the_whole_was_verified_since(session, owner, tmp_path):
    sides = {}

    def before(project, case, index):
        if index < 4:
            project.mark_slice(case, 0, 2)
            sides[f"scan {index}"] = project.side(case)

    model = make_study(session, owner, tmp_path, before=before, began="2100-01-01 10:00:00")
    compare_rounds(session, owner, model)
    given = model.found.cases["labels given"]
    assert {name for name, cases in given.items() if "hd95_mm" not in cases["1"]} == {name for name, side in sides.items() if side == "teach"}
    assert "teach" in sides.values()


def test_what_is_compared_is_kept_in_the_study_under_names_that_name_nobody(session, owner, tmp_path):
    model = make_study(session, owner, tmp_path)
    chances = tmp_path / "chances"
    chances.mkdir()
    io.write(Volume(np.where(block(0) > 0, 0.9, 0.1).astype(np.float32), GRID), chances / "scan 0.nii.gz")
    extra = tmp_path / "Anna's labels"
    extra.mkdir()
    for index in range(COUNT):
        io.write(Volume(block(1), GRID), extra / f"scan {index}.nii.gz")
    model.choose(models=(extra,), probabilities=chances)
    compare_rounds(session, owner, model)
    model.look_at(threshold=70)
    assert model.can_keep
    model.keep()
    owner.run_until(lambda: model.is_kept)
    assert "Kept in the study" in next_step(session).sentence
    assert not model.can_keep
    compared, probabilities = (run for run in session.study.project.runs() if run.kind in ("comparison", "calibration"))
    assert len(compared.cases) == COUNT
    told = json.dumps([compared.figures, probabilities.figures])
    assert "Anna" not in told
    assert "scan" not in told
    one, two = kept([compared, probabilities])
    assert list(one.models) == ["labels given", "round 1", "round 2", "folder 1"]
    assert one.verified
    assert two.classes[0].threshold == 0.7
    model.look_at(threshold=60)
    assert model.can_keep


def test_nothing_is_kept_of_cases_that_are_in_no_study(session, owner, tmp_path):
    model = make_study(session, owner, tmp_path, count=1)
    with pytest.raises(InvalidInputError, match="nothing to keep"):
        model.keep()
    for name, shift in (("a", 1), ("b", 2), ("truth", 0)):
        (tmp_path / name).mkdir()
        io.write(Volume(block(shift), GRID), tmp_path / name / "stranger.nii.gz")
    model.choose(models=(tmp_path / "a", tmp_path / "b"), truth=tmp_path / "truth")
    session.run()
    owner.run_until(lambda: model.comparison is not None and not session.jobs.active)
    with pytest.raises(InvalidInputError, match="none of these cases"):
        model.keep()


def test_a_study_without_a_refinement_says_so_and_rounds_of_another_are_not_compared(session, owner, tmp_path, problems):
    model = make_study(session, owner, tmp_path, count=1)
    model.add_rounds()
    owner.run_until(lambda: len(model.choices.models) == 3)
    session.study.create(tmp_path / "other")
    owner.run_until(lambda: session.study.is_open and session.study.title == "other")
    assert "another study" in model.missing
    model.add_rounds()
    owner.run_until(lambda: bool(problems))
    assert "no round of a refinement" in str(problems[0])
    assert not [run for run in _runs(session) if run.kind == "comparison"]


def _runs(session):
    assert isinstance(session.study.project, Project)
    return session.study.project.runs()
