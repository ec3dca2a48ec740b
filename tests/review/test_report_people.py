"""What people chose and how far they agree stands in the report, by letter and not by name."""

from datetime import UTC, datetime

import blinded_cases
import numpy as np
import pytest
from report_studies import SECRET, make_study, truth

from napari_medseg.annotation import LabelMap
from napari_medseg.metrics import measure
from napari_medseg.metrics.summary import over_classes
from napari_medseg.project import Project
from napari_medseg.review.blinded import PlanOptions, StudySource, make_plan, write_plan
from napari_medseg.review.report import ReportRequest, make


def made(source, folder, **wanted):
    *_, final = make(ReportRequest(source, folder / "report.html", folder / "report.json", made_at=datetime(2026, 1, 1, tzinfo=UTC), **wanted))
    return (folder / "report.html").read_text(encoding="utf-8"), final.made.facts


def test_a_blinded_choice_is_told_without_the_raters_names(tmp_path):
    study = make_study(tmp_path, 2, verified=2)
    with Project.open(study) as project:
        *_, last = make_plan(StudySource(project, "verified", "weak"), PlanOptions(slices=4))
        folder = project.new_review_folder()
        write_plan(last.plan, folder)
    for rater in (f"{SECRET}-ann", f"{SECRET}-bob"):
        blinded_cases.answer_all(last.plan, folder, rater, dict(enumerate(["a", "a", "tie", "b"], 1)))
    html, facts = made(study, tmp_path)
    choice, = facts.blinded
    assert (choice.together.a, choice.together.tie, choice.together.b) == (4, 2, 2)
    assert set(choice.by_rater) == {"A", "B"}
    assert "50.0 % (4 of 8" in html
    assert "66.7 % (4 of 6" in html
    assert SECRET not in html
    assert SECRET not in (tmp_path / "report.json").read_text(encoding="utf-8")
    assert f"{SECRET}-ann" in made(study, tmp_path, names=True)[0]


def test_annotators_of_one_case_are_compared_and_what_began_from_the_others_is_counted(tmp_path):
    study = make_study(tmp_path, 2, user=f"{SECRET}-ann")
    drawn = {"ann": np.roll(truth(), 1, axis=2), "bob": truth()}
    for number, person in enumerate(drawn, 1):
        with Project.open(study, user=f"{SECRET}-{person}") as project:
            for case in project.cases():
                project.save(case.id, LabelMap(drawn[person], case.geometry), kind="corrected", tool="brush", parent=number if case.id == "case-0001" else 1)
    html, facts = made(study, tmp_path)
    pair, = facts.agreement
    assert (pair.first, pair.second, pair.dice.n, pair.dependent) == ("A", "B", 2, 1)
    assert pair.dice.mean == pytest.approx(over_classes(measure(drawn["ann"], drawn["bob"], (3.0, 1.5, 1.0)))["dice"])
    assert "Mean Dice between annotators" in html
    assert SECRET not in html
