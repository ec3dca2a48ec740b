"""What a report tells is what the store holds, and what is measured is what anyone would measure."""

import csv
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from report_studies import CLASSES, GRID, SECRET, make_refinement, make_study, truth

from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError
from napari_medseg.metrics import dice, measure
from napari_medseg.project import Project
from napari_medseg.review.report import PARTS, Beside, ReportRequest, make
from napari_medseg.review.report.naming import without

WHEN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def made(source, out, **wanted):
    *_, final = make(ReportRequest(source, out / "report.html", made_at=WHEN, **wanted))
    return final.made


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"), 4, verified=2, marked=1, run=True)


@pytest.fixture(scope="module")
def facts(study, tmp_path_factory):
    return made(study, tmp_path_factory.mktemp("report"), parts=("figures",)).facts


def test_the_facts_are_those_of_the_store(study, facts):
    with Project.open(study, readonly=True) as project:
        versions = [version for case in project.cases() for version in project.versions(case.id)]
        assert facts.data.cases == len(project.cases()) == 4
        assert facts.data.statuses == {"verified": 2, "weak": 2}
        assert (facts.data.verified_cases, facts.data.verified_slices) == (2, 2)
        assert facts.data.patients == 4
        assert [(one.case, one.number, one.checksum) for one in facts.versions] == [(v.case, v.number, v.checksum) for v in versions]
        assert sum(facts.events.values()) == len(project.events())
    assert [one.middle for one in facts.data.spacing_mm_zyx] == [3.0, 1.5, 1.0]
    assert facts.data.volumes_ml[3].high == pytest.approx(np.count_nonzero(truth() == 3) * np.prod(GRID.spacing) / 1000)


def test_a_run_is_told_as_it_was_recorded(facts):
    run = facts.runs[0]
    assert (run.best_round, [one.round for one in run.rounds]) == (1, [0, 1, 2])
    assert [one.dice_verified for one in run.rounds] == [0.71, 0.82, 0.74]
    assert run.rounds[2].reason == "it fails in case-0001: Dice -0.200 there; round 1 stays"
    assert run.lineage[1].labels_of_round == 1
    assert run.lineage[0].voxels == {"weak": 360, "corrected": 40}
    assert run.model_sha256 == "ab" * 32


def test_cases_verified_as_a_whole_are_measured_as_measure_does(facts):
    case = facts.cohorts[0].cases[0]
    expected = measure(np.roll(truth(), 1, axis=1), truth(), GRID.spacing)
    assert case.scores[0].known == "whole"
    assert case.scores[0].classes == expected


def test_of_marked_slices_only_what_was_marked_counts(facts):
    case = facts.cohorts[0].cases[2]
    shown = np.roll(truth(), 1 + 2 % 3, axis=1)[3:5]
    assert case.scores[0].known == "slices"
    assert case.scores[0].classes["1"]["dice"] == dice(shown == 1, shown == 1) == 1.0
    assert "hd95_mm" not in case.scores[0].classes["1"], "a distance to what nobody looked at says nothing"


def test_what_is_not_verified_is_not_measured(facts):
    assert facts.cohorts[0].cases[3].scores == ()


def test_a_refinement_is_measured_round_by_round(tmp_path):
    out = make_refinement(tmp_path, 3)
    beside = Beside(tmp_path / "images", tmp_path / "labels", tmp_path / "truth")
    found = made(out, tmp_path, beside=beside, json_out=tmp_path / "r.json", csv_out=tmp_path / "r.csv")
    cohort = found.facts.cohorts[0]
    assert [case.id for case in cohort.cases] == ["case 1", "case 2", "case 3"]
    assert [stage.key for stage in cohort.stages] == ["given", "round1", "round2"]
    assert cohort.last_stage == "round1", "the adopted round stands for what came out"
    wanted = measure(np.roll(truth(), 1, axis=1), truth(), GRID.spacing)["1"]["dice"]
    assert cohort.cases[0].score("round1").classes["1"]["dice"] == wanted
    assert cohort.statistics.classes["round1"]["1"]["dice"].mean == pytest.approx(wanted)
    assert found.pictures == 3
    assert "put back as it was" in cohort.about, "the record says that a person corrected some of what is measured"
    rows = list(csv.DictReader((tmp_path / "r.csv").open(encoding="utf-8")))
    assert len(rows) == 3 * 3 * 2
    assert float(next(row for row in rows if (row["case"], row["stage"], row["class"]) == ("case 1", "round1", "1"))["dice"]) == wanted
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))
    assert told["cohorts"][0]["cases"][0]["scores"][1]["classes"]["1"]["dice"] == wanted
    assert told["runs"][0]["lineage"][0]["labels_sha256"]["case 1"] == f"{0:064x}"


def test_a_refinement_without_its_scans_has_figures_and_says_that_pictures_are_missing(tmp_path):
    out = make_refinement(tmp_path, 2)
    found = made(out, tmp_path, beside=Beside(truth=tmp_path / "truth"))
    assert found.pictures == 0
    assert found.facts.cohorts[0].statistics is not None
    assert "No pictures" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_names_are_there_when_they_are_asked_for(study, tmp_path):
    found = made(study, tmp_path, names=True)
    assert found.facts.cohorts[0].cases[0].name == f"{SECRET}^Anna 0"
    assert found.facts.versions[0].author == f"{SECRET}-doctor"
    assert f"{SECRET}^Anna 0" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_same_input_makes_the_same_files(study, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made(study, tmp_path / name, json_out=tmp_path / name / "r.json", csv_out=tmp_path / name / "r.csv")
    for name in ("report.html", "r.json", "r.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_stopping_writes_nothing(study, tmp_path):
    work = make(ReportRequest(study, tmp_path / "report.html"))
    assert 0 <= next(work).fraction < 1
    next(work)
    work.close()
    assert list(tmp_path.iterdir()) == []
    with Project.open(study) as project:  # the study is free again
        assert not project.readonly


def test_progress_only_grows(study, tmp_path):
    ticks = [tick.fraction for tick in make(ReportRequest(study, tmp_path / "report.html"))]
    assert ticks == sorted(ticks)
    assert ticks[-1] == 1.0


def test_the_end_of_a_studys_name_may_be_left_out(study, tmp_path):
    assert made(study.with_suffix(""), tmp_path, parts=()).facts.data.cases == 4


def test_a_damaged_version_costs_its_case_only(tmp_path):
    study = make_study(tmp_path, 2, verified=2)
    for chunk in (p for p in (study / "labels" / "case-0001" / "0001.ome.zarr").rglob("*") if p.is_file() and p.name != "zarr.json"):
        chunk.write_bytes(b"broken")
    cases = made(study, tmp_path).facts.cohorts[0].cases
    assert cases[0].problem
    assert cases[1].scores
    assert "cannot be read: case-0001" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("spoil", "error", "words"), [
    (lambda folder: (folder / "rounds.json").write_text("{", encoding="utf-8"), UnreadableFileError, "damaged"),
    (lambda folder: (folder / "rounds.json").write_text("[]", encoding="utf-8"), UnreadableFileError, "refinement"),
])
def test_a_damaged_record_is_said(tmp_path, spoil, error, words):
    out = make_refinement(tmp_path, 1)
    spoil(out)
    with pytest.raises(error, match=words):
        made(out, tmp_path)


def test_a_record_of_nonsense_is_told_as_far_as_it_makes_sense(tmp_path):
    out = make_refinement(tmp_path, 1)
    nonsense = {"rounds": [{"round": "x", "loss": "nan", "reason": 3}, 7], "lineage": "no", "best_round": None}
    (out / "rounds.json").write_text(json.dumps(nonsense), encoding="utf-8")
    assert made(out, tmp_path).facts.runs[0].rounds[0].loss is None


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(MissingFileError):
        made(tmp_path / "gone", tmp_path)
    with pytest.raises(InvalidInputError, match="neither a study nor"):
        made(tmp_path, tmp_path)
    out = make_refinement(tmp_path, 1)
    with pytest.raises(MissingFileError):
        made(out, tmp_path, beside=Beside(tmp_path / "gone"))
    for path in (tmp_path / "images").iterdir():
        path.rename(path.with_name(f"other {path.name}"))
    with pytest.raises(InvalidInputError, match="named like a case"):
        made(out, tmp_path, beside=Beside(tmp_path / "images"))


def test_faulty_wishes_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InvalidInputError, match="no part"):
        made(tmp_path, tmp_path, parts=("figures", "weather"))
    with pytest.raises(InvalidInputError, match="one name"):
        made(tmp_path, tmp_path, json_out=tmp_path / "report.html")
    assert "pictures" in PARTS


@pytest.mark.parametrize(("text", "said"), [
    ("it fails in 7: Dice -0.2 there", "it fails in case 2: Dice -0.2 there"),
    ("it lost nearly everything in 7 of 9 cases (7 first)", "it lost nearly everything in 7 of 9 cases (case 2 first)"),
    ("0.97 is better by 7", "0.97 is better by 7"),
    ("worst is Meier_7.nii.gz, then Meier_7", "worst is case 1, then Meier_7"),
])
def test_a_sentence_calls_cases_by_what_the_report_calls_them(text, said):
    assert without(text, {"7": "case 2", "Meier_7.nii.gz": "case 1"}) == said


def test_classes_keep_their_values_and_names(facts):
    assert [(one.value, one.name) for one in facts.classes] == [(c.value, c.name) for c in CLASSES]
