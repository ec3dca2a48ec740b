"""Comparisons and calibrations that a study keeps come back whole, name nobody, and are told by the report."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from report_studies import SECRET, make_study

from napari_medseg.project import Project
from napari_medseg.review.calibration import CalibrationCounter
from napari_medseg.review.comparing import compare
from napari_medseg.review.kept import KeptCalibration, KeptComparison, calibration_record, comparison_record, kept
from napari_medseg.review.report import ReportRequest, make

CASES = tuple(f"{SECRET} {number}" for number in range(9))
GROUPS = {
    f"{SECRET}'s scanner": {case: f"{SECRET} hospital {'B' if at > 6 else 'A'}" for at, case in enumerate(CASES)},
    "size": {case: "1 small (below 3.2 ml)" if at > 6 else "3 large (from 1.2e+03 ml)" for at, case in enumerate(CASES)},
}


@pytest.fixture(scope="module")
def comparison():
    """The second is better on seven cases and worse on two of another scanner."""
    first = {case: {"1": {"dice": 0.7 + 0.01 * at}} for at, case in enumerate(CASES)}
    second = {case: {"1": {"dice": first[case]["1"]["dice"] + (0.1 + 0.003 * at if at < 7 else -0.05)}} for at, case in enumerate(CASES)}
    return compare({f"{SECRET}/old": first, f"{SECRET}/new": second}, groups=GROUPS)


@pytest.fixture(scope="module")
def calibration():
    rng = np.random.default_rng(0)
    chances = rng.random((3, 8, 20, 20)).astype(np.float32)
    counter = CalibrationCounter([1, 3])
    truth = np.where(chances[0] > chances[2], 1, np.where(chances[1] > 0.8, 3, 0)).astype(np.uint8)
    counter.add(CASES[0], chances[:2], truth, (3.0, 1.0, 1.0))
    return counter.result()


@pytest.fixture
def study(tmp_path, comparison, calibration):
    path = make_study(tmp_path, 2)
    with Project.open(path) as project:
        ids = [case.id for case in project.cases()]
        told = comparison_record(comparison, ("labels given", "round 2"), verified=True)
        project.record_run("comparison", parameters={}, figures=told, cases=ids)
        project.record_run("calibration", parameters={}, figures=calibration_record(calibration, {1: 0.7}), cases=ids)
    return path


def made(study, folder):
    *_, final = make(ReportRequest(study, folder / "report.html", folder / "report.json", made_at=datetime(2026, 1, 1, tzinfo=UTC)))
    return (folder / "report.html").read_text(encoding="utf-8"), final.made.facts


def test_what_is_kept_comes_back_with_its_figures(study, comparison, calibration):
    with Project.open(study, readonly=True) as project:
        compared, probabilities = kept(project.runs())
    assert isinstance(compared, KeptComparison)
    assert isinstance(probabilities, KeptCalibration)
    assert list(compared.models) == ["labels given", "round 2"]
    assert [found.mean for found in compared.models.values()] == [found.mean for found in comparison.summaries.values()]
    pair, = compared.pairs
    test = comparison.pairs[0].test
    assert (pair.difference, pair.low, pair.high, pair.p) == (test.difference, test.difference_low, test.difference_high, test.p_holm)
    assert pair.verdict == comparison.pairs[0].verdict
    assert [(group.group, group.n) for group in pair.worse] == [("group 2 of table column 1", 2), ("size 1 small (below 3.2 ml)", 2)]
    first, second = probabilities.classes
    assert first.bins == calibration.classes[0].bins
    assert (first.ece, first.threshold, first.dice) == (calibration.classes[0].ece, 0.7, calibration.classes[0].curve[69].dice)
    assert second.threshold is None


def test_a_record_names_no_case_folder_or_group_of_a_person(comparison, calibration):
    told = json.dumps([comparison_record(comparison, ("folder 1", "folder 2"), verified=False), calibration_record(calibration, {})], allow_nan=False)
    assert SECRET not in told


def test_the_report_tells_kept_comparisons_as_a_table_and_calibration_as_a_chart(study, tmp_path):
    html, facts = made(study, tmp_path)
    assert len(facts.kept) == 2
    assert "Models and rounds compared" in html
    assert "Dice of every model, over the cases that all have" in html
    assert "group 2 of table column 1" in html
    assert "Some groups of cases got worse" in html
    assert "Reliability of Liver: ECE" in html
    assert "threshold 0.70" in html
    assert "Liver from 0.70: Dice" in html
    assert SECRET not in html
    assert SECRET not in (tmp_path / "report.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "value"), [
    (("models", 0, "title"), SECRET), (("pairs", 0, "second"), SECRET), (("pairs", 0, "verdict"), SECRET), (("figure",), f"surface_dice_{SECRET}mm"),
    (("pairs", 0, "worse", 0, "group"), f"size 1 small (below {SECRET} ml)"), (("models", 0, "mean"), "nan"), (("pairs",), None), (("class",), SECRET),
])
def test_a_record_with_what_we_would_not_have_written_is_left_out(tmp_path, comparison, path, value):
    told = json.loads(json.dumps(comparison_record(comparison, ("folder 1", "folder 2"), verified=False)))
    place = told
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    study = make_study(tmp_path, 1)
    with Project.open(study) as project:
        project.record_run("comparison", parameters={}, figures=told)
        project.record_run("agreement", parameters={}, figures={SECRET: 0.5})
        assert kept(project.runs()) == ()
    html, _ = made(study, tmp_path)
    assert "Models and rounds compared" not in html
    assert SECRET not in html


def test_too_few_cases_say_so_instead_of_an_interval(tmp_path):
    few = {case: {"1": {"dice": 0.7, "hd95_mm": 3.0}} for case in CASES[:2]}
    more = {case: {"1": {"dice": 0.8, "hd95_mm": 2.0}} for case in CASES[:2]}
    study = make_study(tmp_path, 1)
    with Project.open(study) as project:
        for figure in ("dice", "hd95_mm"):
            told = comparison_record(compare({"a": few, "b": more}, figure), ("round 1", "round 2"), verified=True)
            project.record_run("comparison", parameters={}, figures=told)
    html, _ = made(study, tmp_path)
    assert "Not enough data for an interval or a test" in html
    assert "HD95, mm, mean over the classes" in html
