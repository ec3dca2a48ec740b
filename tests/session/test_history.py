import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.session.history import History, change, count_values, of_paint, together
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
        assert history.undo() is not None
        assert np.array_equal(labels, expected)
    assert history.undo() is None
    for expected in states[1:]:
        history.redo()
        assert np.array_equal(labels, expected)
    assert history.redo() is None


def test_a_change_knows_the_smallest_box_and_says_when_nothing_changes():
    labels = np.zeros((4, 6, 6), np.uint8)
    part = np.zeros((2, 6, 6), np.uint8)
    part[1, 2:4, 3] = 5
    step = change(labels, (slice(1, 3), slice(0, 6), slice(0, 6)), part)
    assert step.box == (slice(2, 3), slice(2, 4), slice(3, 4))
    assert labels[2, 2, 3] == 5
    assert change(labels, (slice(1, 3), slice(0, 6), slice(0, 6)), part) is None


SHAPE = (4, 7, 6)


def engine(rng, labels):
    box = tuple(slice(low, low + int(rng.integers(1, size - low + 1))) for size in SHAPE for low in [int(rng.integers(0, size))])
    return change(labels, box, rng.integers(0, 3, [b.stop - b.start for b in box]).astype(np.uint8))


def mask_atom(rng, labels, value):
    """What napari's brush, fill and polygon tell: a box, a mask or None, the values before, one value after."""
    box = tuple(slice(low, low + int(rng.integers(1, size - low + 1))) for size in SHAPE for low in [int(rng.integers(0, size))])
    part = labels[box]
    mask = (rng.random(part.shape) < 0.5) & (part != value)
    if mask.all():
        return (box, None, part.copy(), value)
    return (box, mask, part[mask], value)


def index_atom(rng, labels):
    """What napari's data_setitem tells: indices, the values before, the values after."""
    at = tuple(rng.integers(0, size, 5) for size in SHAPE)
    flat = np.unique(np.ravel_multi_index(at, SHAPE))
    at = np.unravel_index(flat, SHAPE)
    return (at, labels[at].copy(), rng.integers(0, 3, len(flat)).astype(np.uint8))


def write(labels, atom):
    if len(atom) == 3:
        labels[atom[0]] = atom[2]
    elif atom[1] is None:
        labels[atom[0]] = atom[3]
    else:
        labels[atom[0]][atom[1]] = atom[3]


def stroke(rng, labels, spoken_first):
    """One drag of several dabs; a fill is told before it is written."""
    value, atoms = int(rng.integers(0, 3)), []
    dabs = 1 if spoken_first else int(rng.integers(1, 5))
    for _ in range(dabs):
        atom = index_atom(rng, labels) if rng.random() < 0.3 else mask_atom(rng, labels, value)
        atoms.append(atom)
        if not spoken_first:
            write(labels, atom)
    step = of_paint(labels, atoms)
    if spoken_first:
        write(labels, atoms[0])
    return step


acts = st.lists(st.tuples(st.sampled_from(["brush", "fill", "engine", "drag", "undo", "redo"]), st.integers(0, 2**32 - 1)), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(acts, st.sampled_from([3, 200]), st.sampled_from([1200, 10**6]))
def test_any_sequence_of_tools_undo_and_redo_is_bit_for_bit_that_of_a_shelf_of_copies(sequence, most_steps, most_bytes):
    labels, history = np.zeros(SHAPE, np.uint8), History(most_steps, most_bytes)
    shelf, at, sizes, voxels = [labels.copy()], 0, [], count_values(labels)
    for act, seed in sequence:
        rng = np.random.default_rng(seed)
        if act == "undo":
            step = history.undo()
            assert (step is not None) == (at > 0)
            if step is not None:
                at -= 1
                voxels.subtract(step.gained)
        elif act == "redo":
            step = history.redo()
            assert (step is not None) == (at < len(shelf) - 1)
            if step is not None:
                at += 1
                voxels.update(step.gained)
        else:
            if act == "drag":
                history.press()
                told = [s for s in (stroke(rng, labels, False), engine(rng, labels)) if s is not None]
                for each in told:
                    history.push(each)
                history.release()
                step = together(tuple(told))
            else:
                step = engine(rng, labels) if act == "engine" else stroke(rng, labels, act == "fill")
                if step is not None:
                    history.push(step)
            if step is None:
                continue
            voxels.update(step.gained)
            shelf, sizes = [*shelf[:at + 1], labels.copy()], [*sizes[:at], step.nbytes]
            while len(sizes) > 1 and (len(sizes) > most_steps or sum(sizes) > most_bytes):
                shelf, sizes = shelf[1:], sizes[1:]
            at = len(shelf) - 1
            assert history.nbytes == sum(sizes)
        assert np.array_equal(labels, shelf[at])
        assert +voxels == count_values(labels)


def test_the_log_keeps_within_its_bytes_and_fifty_steps_at_least_on_a_normal_scan():
    labels = np.zeros((25, 256, 256), np.uint8)
    history = History()
    for i in range(60):
        after = labels.copy()
        after[5:15, 50:150, 50:150] = i % 2 + 1
        step = change(labels, full_box(labels), after)
        history.push(step)
    taken = 0
    while history.undo() is not None:
        taken += 1
    assert taken == 60
    tight = History(largest_bytes=step.nbytes + 1)
    tight.push(step)
    tight.push(step)
    assert tight.undo() is not None
    assert tight.undo() is None


def test_fifty_networks_over_a_whole_large_scan_stay_in_the_log():
    labels = np.zeros((100, 256, 256), np.uint8)
    history = History()
    for i in range(51):
        history.push(change(labels, full_box(labels), np.full_like(labels, i % 2 + 1)))
    assert sum(history.undo() is not None for _ in range(60)) == 51
    assert not labels.any()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32])
def test_values_are_counted_the_same_whatever_they_are_and_wherever_they_lie(dtype):
    rng = np.random.default_rng(4)
    labels = np.zeros((5, 256, 300), np.uint8)
    labels[1] = 1  # alike in itself
    labels[2, :, 100:] = 7
    labels[3] = rng.integers(0, 9, labels.shape[1:])
    labels[4, -1, -1] = 3  # in the last, shorter piece
    labels = labels.astype(dtype)
    for array in (labels, labels[:, ::2, 10:], np.asfortranarray(labels), labels[:0]):
        values, counts = np.unique(array, return_counts=True)
        assert count_values(array) == dict(zip(values.tolist(), counts.tolist(), strict=True))
