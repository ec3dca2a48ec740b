"""Two windows on one shared study: who comes first works, the other looks; then they change places."""

import numpy as np
import pytest
from test_study import Desk

from napari_medseg import io
from napari_medseg.annotation import LabelMap
from napari_medseg.project import Project
from napari_medseg.refine import RoundFigures
from napari_medseg.session.guide import next_step
from napari_medseg.session.making import Making
from napari_medseg.session.refining_rounds import Row
from napari_medseg.session.refining_runs import Training
from napari_medseg.session.study_refinement import Waiting


@pytest.fixture
def desks(owner, server, ball, tmp_path, monkeypatch):
    """Ann's and Bob's windows, on one study with two cases."""
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    for name in ("a", "b"):
        io.write(ball.like(ball.array + ord(name)), tmp_path / f"{name}.nii.gz")
    with Project.create(tmp_path / "team", user="Cleo", database=server) as project:
        for name in ("a", "b"):
            project.add(tmp_path / f"{name}.nii.gz")
    made = []
    for name in ("Ann", "Bob"):
        desk = Desk(owner)
        desk.study.set_user(name)
        desk.study.open(tmp_path / "team.medseg")
        desk.settle()
        made.append(desk)
    yield made
    for desk in made:
        desk.session.shut()


def look(desk):
    """What the window does every half minute."""
    desk.study._store.submit(lambda: desk.study._look(desk.study._project))
    desk.settle()


def test_who_comes_second_looks_until_the_case_is_free(desks):
    ann, bob = desks
    where = (slice(4, 6), slice(10, 20), slice(10, 20))
    assert ann.go(0) is not None
    assert (ann.study.shared, ann.study.taken) == (True, "")
    ann.paint(where)
    bob.go(0)
    assert bob.study.taken.startswith("Ann on ")
    bob.paint(where, value=2)
    bob.study.verify()
    bob.settle()
    assert "what you draw is not kept" in str(bob.problems[-1])
    assert bob.study.saved == ""
    ann.study.verify()
    ann.settle()
    ann.go(1)
    look(bob)
    assert [case.claimed[:3] for case in bob.study.rows()] == ["", "Ann"]
    assert bob.study.rows()[0].versions == 1, "what Ann saved is seen without asking for it"
    assert next_step(bob.session).action == "again"
    bob.study.again()
    bob.settle()
    assert bob.study.taken == ""
    assert set(np.unique(bob.study.scan.labels)) == {0, 1}, "Ann's labels, none of what was drawn while looking"
    bob.paint(where, value=2)
    bob.study.verify()
    bob.settle()
    assert [(version.number, version.author) for version in bob.study.versions] == [(1, "Ann"), (2, "Bob")]


def test_a_window_whose_case_was_taken_over_keeps_what_was_drawn_as_unsaved_work(desks):
    ann, bob = desks
    ann.go(0)
    ann.paint((slice(4, 6), slice(10, 20), slice(10, 20)))
    ann.until(lambda: ann.study.saved == "autosaved")
    bob.study._project.release("case-0001", force=True)
    bob.go(0)
    assert bob.study.taken == ""
    look(ann)
    assert ann.study.taken.startswith("Bob on ")
    assert "taken over by Bob" in str(ann.problems[-1])
    ann.study.verify()
    ann.settle()
    assert bob.study._project.versions("case-0001") == []
    bob.go(1)
    ann.study.again()
    ann.settle()
    assert "unsaved work is back" in ann.session.notice
    assert ann.study.scan.labels.any()


def test_a_round_is_taken_into_the_cases_that_nobody_else_works_on_and_into_the_rest_later(desks, ball):
    ann, bob = desks
    ids = [case.id for case in ann.study.rows()]
    drawn = np.zeros(ball.array.shape, np.uint8)
    drawn[4:6, 10:20, 10:20] = 1
    with Project.open(ann.study.folder, user="Cleo") as project:
        for case in ids:
            project.save(case, LabelMap(drawn, ball.geometry, ann.session.classes), kind="weak", tool="brush")
    proposed = np.zeros(ball.array.shape, np.uint8)
    proposed[2:4] = 1
    refining = ann.session.refining
    refining.training = Training("", ann.session.refine, ids=ids)
    waiting = {case: Waiting.of(proposed, "round 1", Making("refine", "proposal")) for case in ids}
    refining.rows = [Row(RoundFigures(1, 1, 0.0, None, 1.0, adopted=True), waiting)]
    bob.go(0)
    assert bob.study.taken == ""
    ann.go(0)
    assert (ann.study.taken[:3], next_step(ann.session).action) == ("Bob", "next")
    ann.study.proposals = dict(waiting)
    refining.adopt(1)
    ann.settle()
    assert not ann.problems
    assert "1 case changed" in ann.session.notice
    assert "a was left as it is, since Bob on" in ann.session.notice
    assert ann.session.notice.endswith("Adopt again once it is free")
    assert (refining.missed, set(ann.study.proposals)) == ({ids[0]}, {ids[0]})
    bob.go(1)
    bob.study.leave()
    bob.settle()
    assert refining.can_adopt(refining.rows[0])
    refining.adopt(1)
    ann.settle()
    assert (refining.missed, refining.in_use, ann.study.proposals) == (frozenset(), 1, {})
    with Project.open(ann.study.folder, user="Cleo") as project:
        for case in ids:
            assert np.array_equal(np.asarray(project.labels(case).array)[2:4] > 0, proposed[2:4] > 0)
            assert project.version(case).author == "Ann"
