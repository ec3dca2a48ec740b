import threading

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.io import read_labels
from napari_medseg.session.history import change, together
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.locks import spared
from napari_medseg.session.making import Making
from napari_medseg.session.scan_rounds import adopt
from napari_medseg.session.state import Preview

LEFT, RIGHT, BOTH = np.s_[2:6, 5:20, 5:20], np.s_[2:6, 5:20, 30:40], np.s_[0:8, 0:30, 0:50]


@pytest.fixture
def scan(session, ball):
    """A scan with an organ on the left, locked, and a tumour on the right, chosen."""
    scan = session.open(ball)
    propose(scan, LEFT, session.classes)
    session.accept()
    session.add_class("Tumour")
    propose(scan, RIGHT, [session.label_class])
    session.accept()
    session.table.lock(1, True)
    return scan


def propose(scan, where, classes, value=1, **keywords):
    scan.preview = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "test", tuple(classes), finished=True, **keywords)
    scan.preview.labels[where] = value


def organ(scan):
    return scan.labels == 1


def paint(session, scan, where, value):
    """As a brush does: the voxels are written, then told."""
    box = tuple(slice(*part.indices(size)[:2]) for part, size in zip(where, scan.labels.shape, strict=True))
    after = np.full_like(scan.labels[box], value)
    session.painted(scan, change(scan.labels, box, after))


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("add", [False, True])
def test_accept_neither_takes_voxels_from_a_locked_class_nor_gives_it_any(session, scan, over, add):
    before = organ(scan)
    session.over, session.add = over, add
    propose(scan, BOTH, [session.label_class])
    session.accept()
    assert np.array_equal(organ(scan), before)
    assert (scan.labels == 2)[BOTH].sum() == scan.labels[BOTH].size - before.sum()


def test_accept_into_a_locked_class_says_so_and_keeps_the_preview(session, scan):
    told = []
    session.problem.connect(told.append)
    session.choose_class(1)
    propose(scan, BOTH, [session.label_class])
    session.accept()
    assert "Organ is locked" in str(told[0])
    assert scan.preview is not None


def test_what_grows_goes_on_when_the_class_that_it_is_for_is_locked(session, scan):
    session.choose_class(1)
    propose(scan, BOTH, [session.label_class])
    asked = threading.Event()

    def growing():
        asked.wait(30)
        yield from ()

    job = session.jobs.start(PREVIEW, "Growing", growing, apply=lambda _: None, done=lambda: None, failed=lambda _: None)
    session.accept()
    still = job.is_active
    session.table.lock(1, False)
    session.accept()
    asked.set()
    assert (still, job.state) == (True, "stopped")


def test_a_clean_up_of_all_classes_leaves_the_locked_one(session, scan):
    before = organ(scan)
    propose(scan, np.s_[3:4, 10:12, 10:12], session.classes, keeps_values=True, replaces=True)
    session.accept()
    assert np.array_equal(organ(scan), before)
    assert not (scan.labels == 2).any()


@pytest.mark.parametrize("value", [0, 2])
def test_what_a_brush_paints_over_a_locked_class_comes_back_and_only_the_rest_is_a_step(session, scan, value):
    before, all_before = organ(scan), scan.labels.copy()
    paint(session, scan, BOTH, value)
    assert np.array_equal(organ(scan), before)
    assert scan.voxels[1] == before.sum()
    assert scan.voxels[2] == (scan.labels == 2).sum()
    session.undo()
    assert np.array_equal(scan.labels, all_before)


def test_a_locked_class_cannot_be_painted(session, scan):
    before = scan.labels.copy()
    steps = len(scan.history.steps())
    paint(session, scan, BOTH, 1)
    assert np.array_equal(scan.labels, before)
    assert len(scan.history.steps()) == steps
    assert session.trouble


def test_several_strokes_told_as_one_are_each_looked_at(session, scan):
    before = organ(scan)
    first = change(scan.labels, np.s_[0:4, 0:30, 0:50], np.full((4, 30, 50), 2, np.uint8))
    second = change(scan.labels, np.s_[4:8, 0:30, 0:50], np.full((4, 30, 50), 0, np.uint8))
    session.painted(scan, together((first, second)))
    assert np.array_equal(organ(scan), before)
    assert scan.voxels[2] == (scan.labels == 2).sum()


def test_without_locks_a_step_is_the_very_same(scan):
    step = change(scan.labels, BOTH, np.zeros_like(scan.labels[BOTH]))
    assert spared(step, ()) is step


def test_an_adopted_round_leaves_the_locked_class(session, owner, scan):
    before, done = organ(scan), []
    adopt(session, [(scan, lambda: scan.axes.undo(np.full(scan.labels.shape, 2, np.uint8)))], Making("refine"), done.append)
    owner.run_until(lambda: done)
    assert np.array_equal(organ(scan), before)
    assert (scan.labels[~before] == 2).all()


def test_undo_goes_back_past_a_lock(session, scan):
    while scan.history.can_undo:
        session.undo()
    assert not scan.labels.any()


def test_a_class_is_shown_alone_and_then_all_are_again(session, scan):
    session.table.show_only(2)
    assert session.table.hidden == {1}
    session.table.show_only(2)
    assert not session.table.hidden
    session.table.show(2, False)
    assert session.table.hidden == {2}


def test_a_deleted_class_takes_its_voxels_along_and_undo_brings_both_back(session, scan):
    before = scan.labels.copy()
    session.table.remove(2)
    assert [c.value for c in session.classes] == [1]
    assert session.chosen == 1
    assert not (scan.labels == 2).any()
    assert session.add_class("Other").value == 3
    session.undo()
    assert [c.value for c in session.classes] == [1]
    session.undo()
    assert np.array_equal(scan.labels, before)
    assert {c.value: c.name for c in session.classes} == {1: "Organ", 2: "Tumour"}


def test_a_locked_class_and_the_only_one_cannot_be_deleted(session, scan):
    with pytest.raises(InvalidInputError, match="locked"):
        session.table.remove(1)
    session.table.remove(2)
    session.table.lock(1, False)
    with pytest.raises(InvalidInputError, match="only label"):
        session.table.remove(1)


def test_another_colour_is_told_to_the_views(session, scan):
    told = []
    session.classes_changed.connect(lambda: told.append(session.classes[0].colour))
    session.table.recolour(1, (0.1, 0.2, 0.3))
    assert told == [(0.1, 0.2, 0.3)]


def settle(session, owner):
    owner.run_until(lambda: session.study._store.wait(0) and owner.calls.empty())


def test_locks_sight_and_deleted_classes_are_there_again_when_the_study_is(session, owner, tmp_path):
    session.study.create(tmp_path / "liver")
    settle(session, owner)
    session.add_class("Tumour")
    session.add_class("Vessel")
    session.table.lock(1, True)
    session.table.show(2, False)
    session.table.remove(3)
    session.study.leave()
    session.table.lock(1, False)
    session.table.show(2, True)
    settle(session, owner)
    session.study.open(tmp_path / "liver.medseg")
    settle(session, owner)
    assert session.table.locked == {1}
    assert session.table.hidden == {2}
    assert [c.name for c in session.classes] == ["Organ", "Tumour"]


@pytest.mark.parametrize("view", [{"locked": "all", "gone": [1, "x"]}, {"hidden": None}, {"gone": [1, 2]}])
def test_what_somebody_wrote_by_hand_into_the_study_does_no_harm(session, view):
    classes = session.table.take(view, session.classes)
    assert classes
    assert all(isinstance(value, int) for value in session.table.locked | session.table.hidden)


def test_names_and_colours_go_into_the_file_that_labels_are_saved_to(session, scan, tmp_path):
    session.table.recolour(2, (0.8, 0.4, 0.2))
    session.save_labels(tmp_path / "labels.nii.gz")
    found = read_labels(tmp_path / "labels.nii.gz").classes
    assert [(c.value, c.name) for c in found] == [(1, "Organ"), (2, "Tumour")]
    assert found[1].colour == pytest.approx((0.8, 0.4, 0.2), abs=0.01)
