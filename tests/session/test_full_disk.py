"""A disk that is full while a study is worked on takes nothing from what was drawn."""

import numpy as np
import pytest
from test_study import WHERE, desk, desks, files, study  # noqa: F401

from napari_medseg.errors import UnwritableFileError


@pytest.fixture
def full(study, monkeypatch):  # noqa: F811
    """No version and no draft can be written, until it is told otherwise."""
    project, on = study._project, [False]
    whole = {name: getattr(project, name) for name in ("save", "draft")}

    def guarded(name):
        def act(*args, **keywords):
            if on[0]:
                raise UnwritableFileError("cannot be written (No space left on device)", where="Livers.medseg", todo="Free some space")
            return whole[name](*args, **keywords)

        return act

    for name in whole:
        monkeypatch.setattr(project, name, guarded(name))
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
