from dataclasses import replace
from pathlib import Path

import pytest

from napari_medseg.session import saving


@pytest.fixture
def scan(session, ball):
    return session.open(replace(ball, source=Path("somewhere") / "ball.nii.gz", name="ball"))


def test_a_dicom_scan_offers_dicom_first_and_another_scan_not_at_all(session, scan):
    assert saving.formats(scan)[0] == ("NIfTI", ".nii.gz")
    assert ".seg.dcm" not in dict(saving.formats(scan)).values()
    scan.display = replace(scan.display, series="1.2.3")
    assert saving.formats(scan)[0] == ("DICOM SEG", ".seg.dcm")
    assert saving.proposed(scan) == Path("somewhere") / "ball_labels.seg.dcm"


@pytest.mark.parametrize(("typed", "chosen", "meant"), [
    ("ball_labels.nii.gz", ".nrrd", "ball_labels.nrrd"),  # the format was changed, the proposed name stayed
    ("ball_labels.nii.gz", ".nii.gz", "ball_labels.nii.gz"),
    ("mine", ".seg.nrrd", "mine.seg.nrrd"),
    ("dr. who", ".nii.gz", "dr. who.nii.gz"),
    ("mine.mha", ".nii.gz", "mine.mha"),  # typed, though another format stands below
    ("mine.nii.gz", "", "mine.nii.gz"),
])
def test_a_name_gets_the_suffix_of_the_chosen_format_unless_another_was_typed(scan, typed, chosen, meant):
    assert saving.as_chosen(Path(typed), chosen, scan) == Path(meant)


def test_no_file_is_overwritten_that_the_dialog_did_not_ask_about(scan, tmp_path):
    (tmp_path / "a.nrrd").touch()
    (tmp_path / "a.nii.gz").touch()
    assert saving.as_chosen(tmp_path / "a.nii.gz", ".nrrd", scan) == tmp_path / "a 2.nrrd"
    assert saving.as_chosen(tmp_path / "a.nii.gz", ".nii.gz", scan) == tmp_path / "a.nii.gz"
