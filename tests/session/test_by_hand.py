"""What a person painted outranks every proposal, and the marks go back and forth with undo."""

import numpy as np
import pytest

from napari_medseg.session import engines
from napari_medseg.session.history import change
from napari_medseg.session.making import Making
from napari_medseg.session.state import Preview, full_box


@pytest.fixture
def scan(session, ball):
    """A ball with a weak label."""
    opened = session.open(ball)
    opened.preview = Preview((opened.display.array > 150).astype(np.uint8), "test", (session.label_class,), finished=True)
    session.accept()
    return opened


def paint(session, scan, box, value):
    after = np.full(scan.labels[box].shape, value, np.uint8)
    step = change(scan.labels, box, after)
    session.painted(scan, step)


@pytest.fixture
def propose(session, owner, scan):
    """Show a round's labels, and wait until they are there."""

    def show(labels):
        engines.propose(session, scan, lambda: scan.axes.undo(labels), "proposal round 1", Making("refine", "proposal"))
        owner.run_until(lambda: scan.preview is not None)

    return show


def box_inside(scan):
    z, y, x = (int(v) for v in np.argwhere(scan.labels > 0).mean(0))
    return slice(z, z + 2), slice(y, y + 3), slice(x, x + 3)


def test_a_proposal_leaves_painted_voxels_as_they_are_bit_for_bit(session, scan, propose):
    inside = box_inside(scan)
    outside = slice(0, 1), slice(0, 2), slice(0, 2)
    paint(session, scan, inside, 0)
    paint(session, scan, outside, 1)
    before = scan.labels.copy()
    marked = scan.by_hand > 0
    assert marked.sum() == 18 + 4
    propose(1 - before)  # wrong everywhere
    assert np.array_equal(scan.preview.labels[marked], before[marked])  # what is shown is what Accept writes
    session.accept()
    assert np.array_equal(scan.labels[marked], before[marked])
    assert np.array_equal(scan.labels[~marked], (1 - before)[~marked])
    assert np.array_equal(scan.by_hand > 0, marked)


def test_strokes_painted_while_a_proposal_waits_are_kept_too(session, scan, propose):
    propose(np.ones_like(scan.labels))
    inside = box_inside(scan)
    paint(session, scan, inside, 0)
    session.accept()
    assert not scan.labels[inside].any()
    assert scan.labels.sum() == scan.labels.size - 18


def test_undo_takes_the_mark_back_with_the_stroke_and_redo_sets_it_again(session, scan):
    inside = box_inside(scan)
    counts = dict(scan.voxels)
    paint(session, scan, inside, 0)
    session.undo()
    assert not scan.by_hand.any()
    assert {k: v for k, v in scan.voxels.items() if v} == {k: v for k, v in counts.items() if v}
    session.redo()
    assert scan.by_hand[inside].all()
    assert scan.by_hand.sum() == 18


def test_another_tool_that_is_accepted_over_a_stroke_takes_its_place(session, scan):
    inside = box_inside(scan)
    paint(session, scan, inside, 0)
    scan.preview = Preview(np.ones_like(scan.labels), "level set", (session.label_class,), finished=True)
    session.accept()
    assert scan.labels[inside].all()
    assert not scan.by_hand[inside].any()
    session.undo()
    assert scan.by_hand[inside].all()


def test_labels_that_are_replaced_as_a_whole_have_no_marks(session, scan):
    paint(session, scan, box_inside(scan), 0)
    session.adopt_labels(scan, scan.labels.copy())
    assert scan.by_hand is None
    paint(session, scan, full_box(scan.labels), 1)
    assert scan.by_hand.sum() == np.count_nonzero(scan.by_hand)
