import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.session.history import History, Stroke, change
from napari_medseg.session.state import full_box


def small_maps(count):
    return st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=count)


@given(small_maps(8))
def test_undoing_every_step_brings_the_first_map_back_and_redo_the_last(seeds):
    labels = np.zeros((3, 5, 4), np.uint8)
    history, states = History(), [labels.copy()]
    for seed in seeds:
        after = np.random.default_rng(seed).integers(0, 3, labels.shape).astype(np.uint8)
        step = change(labels, full_box(labels), after)
        if step is not None:
            history.push(step)
            states.append(labels.copy())
    for expected in reversed(states[:-1]):
        assert history.undo()[0]
        assert np.array_equal(labels, expected)
    assert history.undo() == (False, None)
    for expected in states[1:]:
        history.redo()
        assert np.array_equal(labels, expected)
    assert not history.can_redo


def test_a_change_knows_the_smallest_box_and_says_when_nothing_changes():
    labels = np.zeros((4, 6, 6), np.uint8)
    part = np.zeros((2, 6, 6), np.uint8)
    part[1, 2:4, 3] = 5
    step = change(labels, (slice(1, 3), slice(0, 6), slice(0, 6)), part)
    assert step.box == (slice(2, 3), slice(2, 4), slice(3, 4))
    assert labels[2, 2, 3] == 5
    assert change(labels, (slice(1, 3), slice(0, 6), slice(0, 6)), part) is None


def test_strokes_of_napari_and_our_changes_are_taken_back_in_the_order_of_work():
    labels, said = np.zeros((2, 2, 2), np.uint8), []
    history = History()
    history.push(change(labels, full_box(labels), np.ones_like(labels)))
    history.push(Stroke(lambda: said.append("stroke back"), lambda: said.append("stroke again")))
    history.undo()
    assert said == ["stroke back"]
    assert labels.all()
    history.undo()
    assert not labels.any()


def test_the_log_keeps_within_its_bytes_and_fifty_steps_at_least_on_a_normal_scan():
    labels = np.zeros((25, 256, 256), np.uint8)
    history = History()
    for i in range(60):
        after = labels.copy()
        after[5:15, 50:150, 50:150] = i % 2 + 1
        step = change(labels, full_box(labels), after)
        history.push(step)
    taken = 0
    while history.undo()[0]:
        taken += 1
    assert taken == 60
    tight = History(largest_bytes=step.nbytes + 1)
    tight.push(step)
    tight.push(step)
    assert tight.undo()[0]
    assert not tight.undo()[0]
