"""A case is claimed by one person at a time, and is free again by itself when its machine died."""

import subprocess
import sys

import pytest

from napari_medseg.annotation.rulers import Ruler
from napari_medseg.errors import CaseClaimedError, InvalidInputError, ProjectError, UnwritableFileError
from napari_medseg.project import Project, machine

CASE = "case-0001"
pytestmark = pytest.mark.stores


@pytest.fixture
def reserved(made):
    """The study, whose case Bob has claimed for an hour."""
    with Project.open(made.folder, user="Bob") as bobs:
        bobs.claim(CASE, 3600)
    return made


def test_a_claimed_case_is_written_by_nobody_else_and_by_its_owner_as_ever(reserved):
    with reserved.open() as project:
        assert project.case(CASE).claimed.startswith("Bob on ")
        for refused in (
            lambda: project.save(CASE, reserved.labels, kind="weak", tool="brush"), lambda: project.restore(CASE, 1), lambda: project.draft(CASE, 1),
            lambda: project.set_rulers(CASE, [Ruler(((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)))]), lambda: project.claim(CASE), lambda: project.release(CASE),
        ):
            with pytest.raises(CaseClaimedError, match=r"case-0001: is being worked on by Bob on"):
                refused()
        assert [v.number for v in project.versions(CASE)] == [1]
        assert project.check() == []
    with Project.open(reserved.folder, user="Bob") as bobs:
        assert bobs.case(CASE).claimed == ""
        assert bobs.save(CASE, reserved.labels, kind="weak", tool="brush").number == 2


def test_a_claim_is_let_go_of_and_who_takes_it_away_stands_in_the_log(reserved):
    with reserved.open() as project:
        assert project.release(CASE, force=True)
        assert not project.release(CASE)
        assert project.save(CASE, reserved.labels, kind="weak", tool="brush").number == 2
        told = [(e.author, e.action, e.details) for e in project.events(CASE) if e.action in ("claimed", "released")]
        assert told == [("Bob", "claimed", {}), ("Ann", "released", {"of": "Bob"})]


def test_a_claim_whose_time_is_over_counts_no_more(reserved):
    reserved.run("UPDATE claims SET until = '2026-01-01T00:00:00.000+00:00'")
    with reserved.open() as project:
        assert (project.claims(), project.case(CASE).claimed) == ([], "")
        mine = project.claim(CASE)
        assert mine.mine
        assert 100 < (mine.until - mine.since).total_seconds() < 140


def test_the_claim_of_a_window_ends_with_it_but_not_what_the_person_had_claimed_before(made):
    with made.open() as project:
        project.claim(CASE)
        assert [one.author for one in project.claims()] == ["Ann"]
    with made.open() as project:
        assert project.claims() == []
        project.claim(CASE, 3600)
        kept = project.claim(CASE)
        assert (kept.until - kept.since).total_seconds() > 3000
    with Project.open(made.folder, user="Bob") as bobs, pytest.raises(CaseClaimedError):
        bobs.claim(CASE)


def test_a_window_that_came_too_late_is_told_what_it_lost(made):
    with made.open() as project:
        project.claim(CASE)
        assert project.keep() == []
        made.run("UPDATE claims SET until = '2026-01-01T00:00:00.000+00:00'")
        assert project.keep() == [], "nobody took it meanwhile"
        assert project.claims()[0].mine
        made.run("UPDATE claims SET author = 'Bob', machine = 'elsewhere', session = '1-x'")
        assert project.keep() == [CASE]
        assert project.keep() == []


def test_the_claim_of_a_process_that_died_on_this_machine_is_free_at_once(made):
    code = "import os, sys; from napari_medseg.project import Project; Project.open(sys.argv[1], user='Bob').claim('case-0001'); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(made.folder)], check=False).returncode == 9
    with made.open() as project:
        assert project.claims() == []
        assert project.claim(CASE).mine
    made.run(f"INSERT INTO claims VALUES (1, 'Bob', 'ward9', '1-x', '2026-01-01T00:00:00.000+00:00', '{2099}-01-01T00:00:00.000+00:00')")
    with made.open() as project, pytest.raises(CaseClaimedError, match="Bob on ward9"):
        project.claim(CASE)


def test_what_is_no_claim_is_refused(made):
    with made.open() as project:
        for seconds in (0, -1, 1e9, float("nan")):
            with pytest.raises(InvalidInputError):
                project.claim(CASE, seconds)
        with pytest.raises(ProjectError, match="holds no"):
            project.claim("case-0007")
    with made.open(readonly=True) as project, pytest.raises(UnwritableFileError):
        project.claim(CASE)


def test_the_claim_of_another_machine_of_the_same_name_is_not_taken_for_dead(made):
    with made.open() as project:
        here = project.session.split("-")[1]
        name = project.claim(CASE).machine
        project.release(CASE)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    row = f"(1, 'Bob', '{name}', '{ended.pid}-%s-x', '2026-01-01T00:00:00.000+00:00', '2099-01-01T00:00:00.000+00:00')"
    made.run(f"INSERT INTO claims VALUES {row % '0123456789abcdef'}")
    with made.open() as project, pytest.raises(CaseClaimedError, match="Bob on"):
        project.claim(CASE)
    made.run("DELETE FROM claims")
    made.run(f"INSERT INTO claims VALUES {row % here}")
    with made.open() as project:
        assert project.claim(CASE).mine


def test_a_machine_is_known_by_more_than_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(machine.platformdirs, "user_data_path", lambda *_, **__: tmp_path / "of a person")
    ask = machine.machine_id.__wrapped__
    here = ask()
    assert ask() == here
    assert len((tmp_path / "of a person" / "machine").read_text(encoding="ascii")) == 36
    monkeypatch.setattr(machine, "_boot", lambda: "another start, or another machine with this home folder")
    assert ask() != here
    monkeypatch.undo()
    monkeypatch.setattr(machine.platformdirs, "user_data_path", lambda *_, **__: tmp_path / "of another")
    assert ask() != here
    (tmp_path / "of another" / "machine").write_text("no number", encoding="ascii")
    assert ask() == ask(), "what is damaged is made anew"
