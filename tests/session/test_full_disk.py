"""A disk that is full while a study is worked on takes nothing from what was drawn."""

import shlex
import threading

import numpy as np
import pytest
from test_study import THERE, WHERE, desk, desks, files, study  # noqa: F401
from typer.testing import CliRunner

from napari_medseg import io
from napari_medseg.cli.app import app
from napari_medseg.errors import ProjectError, UnwritableFileError
from napari_medseg.project import Draft, Project
from napari_medseg.session import study_keeping
from napari_medseg.session.at_stake import BACK, in_no_study, put_elsewhere
from napari_medseg.session.state import open_scan


@pytest.fixture
def full(study, monkeypatch):  # noqa: F811
    """No version and no draft can be written, until it is told otherwise."""
    project, on = study._project, [False]
    whole = {"save": project.save, "draft": project.draft, "write": Draft.write}

    def guarded(name):
        def act(*args, **keywords):
            if on[0]:
                raise UnwritableFileError("cannot be written (No space left on device)", where="Livers.medseg", todo="Free some space")
            return whole[name](*args, **keywords)

        return act

    for name in ("save", "draft"):
        monkeypatch.setattr(project, name, guarded(name))
    monkeypatch.setattr(Draft, "write", guarded("write"))
    return lambda value: on.__setitem__(0, value)


def test_a_case_whose_work_is_in_memory_only_is_not_left(desk, study, full):  # noqa: F811
    scan = desk.go(0)
    full(True)
    desk.paint(WHERE)
    study.save_version()
    desk.settle()
    desk.go(1)
    assert study.scan is scan
    assert "stays open" in str(desk.problems[-1])
    study.leave()
    desk.settle()
    assert study.scan is scan
    full(False)
    desk.go(1)
    assert study.current == "case-0002"
    drawn = study.project.labels("case-0001").array
    assert np.count_nonzero(drawn) == np.count_nonzero(scan.labels) > 0


def test_another_study_is_opened_once_the_work_of_this_one_could_be_saved(desk, study, full, tmp_path):  # noqa: F811
    scan, first = desk.go(0), study.project
    desk.paint(WHERE)
    full(True)
    study.save_version()
    desk.settle()
    study.create(tmp_path / "Other")
    desk.settle()
    assert study.project is first
    assert study.scan is scan
    full(False)
    study.create(tmp_path / "Other")
    desk.settle()
    assert study.is_open
    assert study.project is not first
    assert study.scan is None


def test_work_that_was_not_written_when_its_case_was_left_is_there_when_it_is_opened_again(desk, study, full):  # noqa: F811
    desk.go(0)
    desk.paint(WHERE)
    full(True)
    desk.go(1)
    assert study.current == "case-0002"
    desk.go(0)
    assert study.current == "case-0002", "what is on the disk is older than what was drawn"
    assert "in memory only" in str(desk.problems[-1])
    full(False)
    scan = desk.go(0)
    assert study.current == "case-0001"
    assert scan.labels[WHERE].all()


def test_before_the_window_closes_what_can_be_written_is_and_the_rest_is_told(desk, study, full):  # noqa: F811
    scan = desk.go(0)
    desk.paint(WHERE)
    study.save_version()
    desk.settle()
    assert study.in_memory_only() == ()
    full(True)
    desk.paint(THERE)
    (stake,) = study.in_memory_only()  # nothing had been tried before
    drawn = int(np.count_nonzero(scan.labels[THERE]))
    assert (stake.scan, stake.voxels, stake.study) == (scan, drawn, study.folder)
    assert stake.since is not None
    assert "No space left" in stake.why
    assert f"{drawn:,} voxels" in stake.words
    full(False)
    assert study.in_memory_only() == ()
    assert np.array_equal(study.project.recover("case-0001").array, scan.axes.undo(scan.labels))


def test_work_of_a_case_that_was_left_meanwhile_is_told_too(desk, study, full):  # noqa: F811
    desk.go(0)
    desk.paint(WHERE)
    full(True)
    desk.go(1)
    assert study.current == "case-0002"
    assert [stake.scan.name for stake in study.in_memory_only()] == ["patient 9"]


def test_where_a_draft_is_refused_but_a_version_has_room_nothing_is_lost(desk, study, monkeypatch):  # noqa: F811
    def refused(*args):
        raise ProjectError("has unsaved work on top of version 1", where="case-0001", todo="Recover it or discard it first")

    desk.go(0)
    monkeypatch.setattr(study.project, "draft", refused)
    desk.paint(WHERE)
    assert study.in_memory_only() == ()
    assert study.project.labels("case-0001").array.any()


def test_a_disk_that_does_not_answer_is_not_waited_for(desk, study, monkeypatch):  # noqa: F811
    scan, back = desk.go(0), threading.Event()
    monkeypatch.setattr(study_keeping, "ANSWERS", 0.05)
    monkeypatch.setattr(study.project, "draft", lambda *args: back.wait(30))
    desk.paint(WHERE)
    try:
        (stake,) = study.in_memory_only()
        assert (stake.scan, stake.why) == (scan, study_keeping.SILENT)
    finally:
        back.set()


def test_labels_put_elsewhere_come_back_into_their_study_by_the_command_that_lies_beside_them(desk, study, full, tmp_path):  # noqa: F811
    scan = desk.go(0)
    full(True)
    desk.paint(WHERE)
    stakes, folder = study.in_memory_only(), tmp_path / "Größe und Öl"
    folder.mkdir()
    (first,), (second,) = put_elsewhere(desk.session, stakes, folder), put_elsewhere(desk.session, stakes, folder)
    assert first != second, "none takes the other's place"
    assert [c.name for c in io.read_labels(first).classes] == [c.name for c in desk.session.classes]
    full(False)
    where = study.folder
    study.leave()
    desk.settle()
    command = shlex.split((folder / BACK).read_text(encoding="utf-8").splitlines()[-1])
    assert command.pop(0) == "medseg"
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    with Project.open(where, readonly=True) as project:
        assert np.array_equal(project.labels("case-0001").array, scan.axes.undo(scan.labels))
        assert project.case("case-0001").status == "corrected"


def test_labels_of_a_scan_in_no_study_are_told_until_they_are_saved(session, ball, tmp_path):
    scan = session.open(open_scan(ball))
    assert in_no_study(session) == ()
    scan.hold_nothing()
    scan.is_saved, scan.voxels[1] = False, 1  # as after a stroke
    scan.labels[4, 4, 4] = 1
    stakes = in_no_study(session)
    assert [stake.voxels for stake in stakes] == [1]
    put_elsewhere(session, stakes, tmp_path)
    assert in_no_study(session) == ()
