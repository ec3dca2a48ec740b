"""Verified labels leave the study for other programs."""

from dataclasses import replace

import numpy as np
import pytest
from dicom_scans import save_scan

from napari_medseg.io import read, read_labels, write
from napari_medseg.session import guide_refine, next_step, study_export
from napari_medseg.session.jobs import Job
from napari_medseg.session.state import Preview


@pytest.fixture
def study(session, owner, ball, tmp_path):
    """Two cases of one scan each; the first is open and labelled."""
    session.study.create(tmp_path / "Liver.medseg")
    owner.run_until(lambda: session.study.is_open)
    for name, more in (("a", 0), ("b", 1)):
        write(replace(ball, array=ball.array + more), tmp_path / f"{name}.nii.gz")
    session.study.add([tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"])
    owner.run_until(lambda: len(session.study.cases) == 2 and not session.study.busy)
    return session.study


def label(session, owner, verified=True):
    session.adopt_labels(session.current, (session.current.display.array > 150).astype(np.uint8))
    session.study.verify()
    owner.run_until(lambda: session.study.case(session.current.case).status == "verified")


def test_the_guide_leads_from_case_to_case_and_then_to_the_export(session, owner, study, tmp_path):
    assert next_step(session).action == "next"
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    session.adopt_labels(session.current, (session.current.display.array > 150).astype(np.uint8))
    session.notice = "Opened a"
    assert (next_step(session).action, next_step(session).key) == ("verify", "Ctrl+Shift+K")
    assert next_step(session).sentence.endswith("verify it, or go on (N)")
    label(session, owner)
    assert (next_step(session).action, next_step(session).key) == ("next", "N")
    study.step(1)
    owner.run_until(lambda: session.current.case == "case-0002" and not study.busy)
    session.adopt_labels(session.current, (session.current.display.array > 150).astype(np.uint8))
    session.notice = "Opened b"
    assert next_step(session).sentence.endswith("if all is right, verify it")
    label(session, owner)
    step = next_step(session)
    assert step.action == "export"
    assert step.sentence.startswith("All 2 cases are verified")
    study_export.export(session, tmp_path / "out", ".nrrd")
    owner.run_until(lambda: session.notice.startswith("Exported 2 verified cases"))
    assert read_labels(tmp_path / "out" / "case-0002.nrrd").array.any()
    for session.tab in ("weak", "segment", "refine", "review"):
        assert next_step(session).sentence == "Exported 2 verified cases to the folder out. Done; add more scans, or close the study in its menu"
    study.cases[0] = replace(study.cases[0], status="weak")
    step = next_step(session)
    assert (step.action, step.key) == ("next", "N")
    assert step.sentence.endswith("Go on: 1 is not verified yet")


def test_with_all_verified_it_names_the_network_that_can_learn_from_them(session, owner, study, ball, tmp_path):
    write(replace(ball, array=ball.array + 2), tmp_path / "c.nii.gz")
    study.add([tmp_path / "c.nii.gz"])
    owner.run_until(lambda: len(study.cases) == 3 and not study.busy)
    for number in range(1, 4):
        study.step(1)
        owner.run_until(lambda number=number: session.current is not None and session.current.case == f"case-000{number}" and not study.busy)
        label(session, owner)
    step = next_step(session)
    assert step.sentence.startswith("All 3 cases are verified")
    assert step.why.startswith("Or train a network on the 3 labelled cases: Refine tab.")


def test_a_labelled_scan_that_a_new_study_took_in_is_looked_at_though_the_tool_and_its_seeds_are_still_there(session, owner, ball, tmp_path):
    write(ball, tmp_path / "a.nii.gz")
    session.open(read(tmp_path / "a.nii.gz"))
    session.set(tab="weak", tool="seeds")
    session.set_seeds(session.current, {1: ((0.0, 0.0, 0.0),) * 5})
    session.adopt_labels(session.current, (np.asarray(session.current.display.array) > 150).astype(np.uint8))
    session.study.create(tmp_path / "Liver.medseg")
    owner.run_until(lambda: session.study.current)
    assert next_step(session).sentence.startswith(f"Took {session.current.name} into the study Liver. Look through it; if all is right, verify it")
    owner.run_until(lambda: session.study.saved == "saved")
    assert (session.tool, next_step(session).action) == ("seeds", "verify")


def test_what_is_outlined_and_not_accepted_cannot_be_verified_and_says_so(session, owner, study, problems):
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    scan = session.current
    scan.preview = Preview((scan.display.array > 150).astype(np.uint8), "test", (session.label_class,), finished=True)
    study.verify()
    assert "what is outlined is not accepted yet. Accept it first (K)" in str(problems[0])


def test_with_nothing_verified_it_says_so(session, owner, study, tmp_path, problems):
    study_export.export(session, tmp_path / "out", ".nrrd")
    assert "no case is verified yet" in str(problems[0])
    assert not (tmp_path / "out").exists()


def test_an_export_that_fails_says_why_and_the_study_goes_on(session, owner, study, tmp_path, problems):
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    label(session, owner)
    study_export.export(session, tmp_path / "out", ".seg.dcm")  # the scan is no DICOM
    owner.run_until(lambda: problems)
    assert "DICOM" in str(problems[0])
    label(session, owner)


def test_two_formats_are_written_at_one_go(session, owner, study, tmp_path):
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    label(session, owner)
    study_export.export(session, tmp_path / "out", ".nii.gz", ".nrrd")
    owner.run_until(lambda: session.notice.startswith("Exported 1 verified case"))
    first, second = (read_labels(tmp_path / "out" / f"case-0001{suffix}") for suffix in (".nii.gz", ".nrrd"))
    assert first.array.any()
    assert np.array_equal(first.array, second.array)


def test_of_two_formats_the_one_that_the_scan_can_take_is_written_and_the_other_says_why(session, owner, study, tmp_path, problems):
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    label(session, owner)
    study_export.export(session, tmp_path / "out", *study_export.BOTH)  # the scan is no DICOM
    owner.run_until(lambda: session.notice.startswith("Exported 1 verified case"))
    assert session.notice.endswith("DICOM SEG without a: refers to the DICOM images of the scan, and the scan holds none")
    assert read_labels(tmp_path / "out" / "case-0001.nii.gz").array.any()
    assert not list((tmp_path / "out").glob("*.dcm"))
    assert not problems


def test_cases_that_cannot_be_written_in_a_format_are_left_out_of_it_and_named(session, owner, study, ball, tmp_path, problems):
    save_scan(tmp_path / "dicom", (ball.array * 4).astype(np.int16), ball.geometry)
    study.add([tmp_path / "dicom"])
    owner.run_until(lambda: len(study.cases) == 3 and not study.busy)
    for case in ("case-0001", "case-0003"):
        study.go(case)
        owner.run_until(lambda case=case: session.current is not None and session.current.case == case and not study.busy)
        session.adopt_labels(session.current, (np.asarray(session.current.display.array) > np.median(session.current.display.array)).astype(np.uint8))
        study.verify()
        owner.run_until(lambda case=case: study.case(case).status == "verified")
    study_export.export(session, tmp_path / "out", ".seg.dcm")
    owner.run_until(lambda: session.notice.startswith("Exported") or problems)
    assert not problems
    assert session.notice == (
        "Exported 1 of 2 verified cases to the folder out; "
        "DICOM SEG without a: refers to the DICOM images of the scan, and the scan holds none"
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["case-0003.seg.dcm", "cases.csv", "classes.json", "classes.label"]
    assert (tmp_path / "out" / "cases.csv").read_text(encoding="utf-8").count("case-0001") == 0


def test_with_three_labelled_cases_the_guide_names_the_network_that_learns_from_them(session, owner, study):
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    label(session, owner)
    assert "Refine tab" not in next_step(session).why
    more = [replace(study.cases[0], id=f"case-{n:04d}", status="weak", latest=1) for n in (3, 4)]
    study.cases = [*study.cases, *more]
    assert next_step(session).action == "next"
    assert "Or train a network on the 3 labelled cases: Refine tab." in next_step(session).why


def test_verified_cases_need_no_marked_slices_before_rounds_are_judged(session, owner, study):
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    label(session, owner)
    session.notice = ""
    session.set(tab="refine")
    step = next_step(session)
    assert step.action == "run"
    assert "mark" not in step.why


def test_with_two_verified_cases_the_guide_says_where_a_report_is_made(session, owner, study):
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    label(session, owner)
    assert "report" not in next_step(session).why
    study.cases = [*study.cases, replace(study.cases[0], id="case-0003")]
    assert next_step(session).why == "1 of 3 is left. Make a report or export: Study menu."


def test_while_a_network_learns_from_a_study_the_guide_leads_to_its_other_cases(session, owner, study):
    study.step(1)
    owner.run_until(lambda: session.current is not None and not study.busy)
    label(session, owner)
    step = guide_refine.training(session, Job("training", "Training", message="Update 3"), "12 %")
    assert step.sentence.startswith("Training: 12 %. Go on with other cases meanwhile (N)")
    assert step.waiting
