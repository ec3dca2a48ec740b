"""A person says "this slice is right" on the slice in view; the mark outlives the window where there is a study, and follows the scan where there is none."""

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.errors import InvalidInputError
from napari_medseg.project import Project
from napari_medseg.session import Session
from napari_medseg.session.history import change
from napari_medseg.session.verified_slices import VerifiedSlices
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((6, 10, 12), (3.0, 1.0, 1.0), (5.0, -20.0, 30.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
"""Stored towards the head; the display runs towards the feet, so that slice 1 on screen is slice 4 of the file."""


@pytest.fixture(autouse=True)
def person(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))


class Desk:
    def __init__(self, owner):
        self.owner, self.problems = owner, []
        self.session = Session(owner)
        self.session.problem.connect(self.problems.append)
        self.verified = VerifiedSlices(self.session)

    def settle(self):
        study = self.session.study
        for _ in range(4):  # an answer may ask for more
            self.owner.run_until(lambda: study._store.wait(0) and study._reader.wait(0) and self.owner.calls.empty())

    def open(self, seed=0):
        array = np.random.default_rng(seed).normal(size=GRID.shape).astype(np.float32)
        return self.session.open(Volume(array, GRID, name=f"scan {seed}"))

    def paint(self, scan, index, value=1):
        labels = scan.labels if scan.labels is not None else scan.hold_nothing()
        box = slice(index, index + 1), slice(2, 6), slice(3, 9)
        self.session.painted(scan, change(labels, box, np.full((1, 4, 6), value, np.uint8)))

    def begin(self, tmp_path, count=1):
        paths = []
        for n in range(count):
            paths.append(tmp_path / f"scan {n}.nii.gz")
            io.write(Volume(np.random.default_rng(n).normal(size=GRID.shape).astype(np.float32), GRID), paths[-1])
        self.session.study.create(tmp_path / "study")
        self.settle()
        self.session.study.add(paths)
        self.settle()
        return [self.session.study.cases[n].id for n in range(count)]

    def go(self, case):
        self.session.study.go(case)
        self.settle()
        return self.session.study.scan


@pytest.fixture
def desk(owner):
    made = Desk(owner)
    yield made
    made.session.shut()


def test_the_slice_in_view_is_marked_and_unmarked_again(desk):
    scan = desk.open()
    desk.paint(scan, 2)
    desk.session.in_view = 2
    desk.verified.toggle()
    assert desk.verified.of(scan) == (2,)
    assert desk.session.notice == "Slice 2 is right; it checks every round, and none learns from it"
    desk.verified.toggle()
    assert desk.verified.of(scan) == ()


def test_in_a_study_the_marked_slice_is_that_of_the_file_with_the_labels_on_screen(desk, tmp_path):
    (case,) = desk.begin(tmp_path)
    scan = desk.go(case)
    desk.paint(scan, 1)
    desk.verified.toggle(1)
    desk.settle()
    assert desk.problems == []
    assert desk.verified.of(scan) == (1,)
    (mark,) = desk.session.study.project.verified_slices()
    assert (mark.axis, mark.index) == (0, 4)
    known = desk.session.study.project.verified_labels(case)
    assert np.array_equal(scan.axes.apply(known)[1], scan.labels[1])
    assert (known[:4] == 255).all()


def test_marks_are_there_when_the_study_is_opened_again(desk, owner, tmp_path):
    (case,) = desk.begin(tmp_path)
    desk.paint(desk.go(case), 1)
    desk.verified.toggle(1)
    desk.settle()
    folder = desk.session.study.folder
    desk.session.study.leave()
    desk.settle()
    assert desk.verified.count() == (0, 0)
    desk.session.study.open(folder)
    desk.settle()
    assert (desk.verified.count(), desk.verified.by_case()) == ((1, 1), {case: 1})
    assert desk.verified.of(desk.go(case)) == (1,)


def test_what_the_person_corrects_there_later_is_what_counts(desk, tmp_path):
    (case,) = desk.begin(tmp_path)
    scan = desk.go(case)
    desk.paint(scan, 1)
    desk.paint(scan, 3)
    desk.verified.toggle(1)
    desk.settle()
    desk.paint(scan, 1, value=0)
    desk.session.study.save_version()
    desk.settle()
    known = desk.session.study.project.verified_labels(case)
    assert not scan.axes.apply(known)[1].any()


def test_a_patient_checks_the_next_teaches_and_it_stays_so(desk, tmp_path):
    cases = desk.begin(tmp_path, 2)
    for case in cases:
        scan = desk.go(case)
        desk.paint(scan, 1)
        desk.verified.toggle(1)
        desk.settle()
    assert desk.verified.side(desk.go(cases[0])) == "check"
    assert desk.verified.side(desk.go(cases[1])) == "teach"
    desk.verified.toggle(3)
    desk.settle()
    assert desk.session.notice == "Slice 3 is right; it teaches the next round"
    assert desk.verified.count() == (3, 2)


def test_marked_slices_and_painted_voxels_are_locked(desk):
    scan = desk.open()
    desk.paint(scan, 2)
    desk.paint(scan, 4)
    desk.verified.toggle(2)
    desk.verified.toggle(5, axis=2)
    kept = desk.verified.locked(scan)
    assert kept[2].all()
    assert kept[:, :, 5].all()
    assert kept[4, 2:6, 3:9].all()
    assert not kept[0, :, :5].any()


def test_scans_outside_a_study_give_their_marks_by_name_with_a_side_each(desk):
    scans = [desk.open(seed) for seed in range(2)]
    for scan in scans:
        desk.session.activate(scan)
        desk.paint(scan, 2)
        desk.verified.toggle(2)
    checks = desk.verified.checks([(scan, f"case {n}") for n, scan in enumerate(scans)])
    assert checks.sides == {"case 0": "check", "case 1": "teach"}
    assert desk.verified.count() == (2, 2)
    for n, scan in enumerate(scans):
        known = scan.axes.apply(checks.verified[f"case {n}"].array)
        assert np.array_equal(known[2], scan.labels[2])
        assert (np.delete(known, 2, axis=0) == 255).all()


def test_what_was_painted_in_a_slice_that_checks_is_not_handed_over_to_learn_from(desk):
    scans = [desk.open(seed) for seed in range(2)]
    for scan in scans:
        desk.session.activate(scan)
        desk.paint(scan, 2)
        desk.paint(scan, 4)
        desk.verified.toggle(2)
    checking, teaching = (scan.axes.apply(desk.verified.untouched(scan).array) for scan in scans)
    assert (checking[2, 2:6, 3:9] == 255).all()
    assert np.array_equal(np.delete(checking, 2, axis=0), np.delete(scans[0].labels, 2, axis=0))
    assert np.array_equal(teaching, scans[1].labels)


@pytest.mark.parametrize("index", [None, 99])
def test_without_a_slice_in_view_nothing_is_marked(desk, index):
    scan = desk.open()
    desk.paint(scan, 2)
    with pytest.raises(InvalidInputError, match="no slice is in view"):
        desk.verified.toggle(index)


def test_without_labels_nothing_is_marked(desk):
    scan = desk.open()
    with pytest.raises(InvalidInputError, match="no label yet"):
        desk.verified.toggle(2)
    assert desk.verified.side(scan) is None


def test_in_a_study_opened_to_look_nothing_is_marked(desk, tmp_path):
    (case,) = desk.begin(tmp_path)
    desk.paint(desk.go(case), 1)
    desk.session.study.save_version()
    desk.settle()
    folder = desk.session.study.folder
    desk.session.study.leave()
    desk.settle()
    desk.session.study.open(folder, readonly=True)
    desk.settle()
    desk.go(case)
    with pytest.raises(InvalidInputError, match="only to look"):
        desk.verified.toggle(1)


def test_labels_that_could_not_be_saved_are_not_marked(desk, tmp_path, monkeypatch):
    (case,) = desk.begin(tmp_path)
    scan = desk.go(case)
    desk.paint(scan, 1)
    desk.session.study.save_version()
    desk.settle()
    desk.paint(scan, 1, value=0)

    def refuse(*given, **options):
        from napari_medseg.errors import UnwritableFileError

        raise UnwritableFileError("the disk is full", where="study")

    monkeypatch.setattr(Project, "save", refuse)
    desk.verified.toggle(1)
    desk.settle()
    assert any("not marked" in str(problem) for problem in desk.problems)
    assert desk.verified.of(scan) == ()
