"""The report page without a window: what goes in, where to, making it beside the window, stopping it."""

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.review.report import PARTS
from napari_medseg.session.guide_review import reviewing
from napari_medseg.session.making import Making
from napari_medseg.session.reporting import PARTS as SHOWN
from napari_medseg.session.state import Preview


@pytest.fixture
def report(session, owner, ball, tmp_path):
    """A study of one case with a weak label, and the report page open."""
    study = session.study
    study.create(tmp_path / "Balls")
    owner.run_until(lambda: study.is_open)
    io.write(ball, tmp_path / "Mr Ball.nii.gz")
    study.add([tmp_path / "Mr Ball.nii.gz"])
    owner.run_until(lambda: len(study.cases) == 1)
    study.go("case-0001")
    owner.run_until(lambda: study.current == "case-0001" and study.scan is not None)
    scan = study.scan
    scan.preview = Preview(scan.axes.apply((ball.array > 150).astype(np.uint8)), "test", (session.label_class,), finished=True, made=Making("levelset"))
    session.accept()
    owner.run_until(lambda: study.saved == "saved")
    session.reviewing.turn("report")
    return session.reviewing.reporting


def test_every_part_of_the_report_can_be_ticked():
    assert tuple(SHOWN) == PARTS


def test_the_open_study_becomes_a_report_beside_it(session, owner, report, tmp_path):
    assert report.target == tmp_path / "Balls report.html"
    assert "Make the report" in reviewing(session).sentence
    report.change(tables=True, pictures=False)
    session.run()
    assert reviewing(session).waiting == "Making the report"
    owner.run_until(lambda: report.made is not None and not report.is_running, seconds=120)
    assert {path.name for path in tmp_path.glob("Balls report.*")} == {"Balls report.html", "Balls report.json", "Balls report.csv"}
    html = (tmp_path / "Balls report.html").read_text(encoding="utf-8")
    assert "Mr Ball" not in html
    assert 'id="rounds"' in html
    assert report.made.pictures == 0
    assert "Balls report.html" in session.notice
    assert "Open the report" in reviewing(session).sentence


def test_names_go_in_only_when_a_person_ticks_them(session, owner, report, tmp_path):
    report.change(names=True)
    assert "may know them" in reviewing(session).why
    session.run()
    owner.run_until(lambda: report.made is not None and not report.is_running, seconds=120)
    assert report.made.facts.names
    assert "Mr Ball" in (tmp_path / "Balls report.html").read_text(encoding="utf-8")


def test_stopping_leaves_no_file(session, owner, report, tmp_path):
    session.run()
    session.run()
    assert not report.is_running
    assert report.made is None
    assert not list(tmp_path.glob("*.html"))


def test_without_a_study_it_says_what_to_do(session, problems):
    session.reviewing.turn("report")
    assert session.reviewing.reporting.source is None
    assert "Open a study" in reviewing(session).sentence
    session.run()
    assert "nothing to report on" in str(problems[0])


def test_a_disk_that_refuses_is_said_and_the_page_can_be_tried_again(session, owner, report, problems, tmp_path):
    report.change(out=tmp_path / "gone" / "report.html")
    session.run()
    owner.run_until(lambda: bool(problems))
    assert "does not exist" in str(problems[0])
    assert not report.is_running
