"""One scan alone: the rest is proposed from the slices that were corrected, which stay as they are."""

import numpy as np
import pytest

from napari_medseg.errors import NoLabelsError
from napari_medseg.session import by_hand
from napari_medseg.session.guide import next_step
from napari_medseg.session.history import change
from napari_medseg.session.making import Making
from napari_medseg.session.resting import TITLE
from napari_medseg.session.state import Preview


@pytest.fixture
def scan(session, ball):
    """A ball, labelled two voxels aside."""
    opened = session.open(ball)
    weak = np.roll(opened.display.array > 150, 2, axis=2).astype(np.uint8)
    opened.preview = Preview(weak, "test", (session.label_class,), finished=True, made=Making("levelset"))
    session.accept()
    return opened


def correct(session, scan, index):
    box = slice(index, index + 1), slice(0, 64), slice(0, 60)
    session.painted(scan, change(scan.labels, box, (scan.display.array[box] > 150).astype(np.uint8)))


def test_without_a_corrected_slice_it_says_what_to_do(session, scan):
    with pytest.raises(NoLabelsError, match="no slice is corrected"):
        session.rest.start()


def test_painted_and_marked_slices_are_counted_and_undo_counts_too(session, scan):
    correct(session, scan, 10)
    session.in_view = 12
    session.verified.toggle()
    assert session.rest.slices(scan) == (10, 12)
    session.undo()
    assert session.rest.slices(scan) == (10,)
    session.undo()
    assert session.rest.slices(scan) == ()


def test_the_labels_before_the_strokes_are_found_in_the_undo_log(session, scan):
    before = scan.labels.copy()
    for index in (8, 10, 12):
        correct(session, scan, index)
    assert not np.array_equal(scan.labels, before)
    assert np.array_equal(by_hand.before(scan.labels, by_hand.strokes(scan)), before)


def test_the_guide_leads_a_lone_scan_to_three_corrected_slices_and_to_their_proposal(session, scan):
    session.set(tab="refine")
    assert next_step(session).action == "right"
    for index in (8, 10, 12):
        correct(session, scan, index)
    assert next_step(session).action == "rest"


@pytest.mark.slow  # compiles the kernels of the proposal where that was not done before
def test_the_rest_is_proposed_and_corrected_slices_stay_bit_for_bit(session, owner, scan, problems):
    for index in (8, 10, 12):
        correct(session, scan, index)
    painted, kept = scan.by_hand > 0, scan.labels.copy()
    session.rest.start()
    owner.run_until(lambda: not session.jobs.active, seconds=240)
    assert not problems
    assert scan.preview.title == TITLE
    session.accept()
    assert np.array_equal(scan.labels[painted], kept[painted])
    assert np.array_equal(scan.labels[[8, 10, 12]], kept[[8, 10, 12]])
    truth = scan.display.array > 150
    assert np.count_nonzero((scan.labels > 0) != truth) < np.count_nonzero((kept > 0) != truth)
    assert session.rest.report(scan).corrected
    session.set(tab="refine")
    assert next_step(session).sentence.startswith("Look through the slices")  # not into a training that cannot help it
