"""Whatever is done in the window, Ctrl+Z takes it back and Ctrl+Shift+Z does it again, in the order of work."""

from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.session import Preview


@pytest.fixture
def scan(session, ball):
    opened = session.open(ball)
    opened.preview = outlined(session, opened)
    session.accept()
    return opened


def outlined(session, scan):
    preview = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "test", (session.label_class,), finished=True)
    preview.labels[4:6, 4:9, 4:9] = session.chosen
    return preview


def seen(session, scan):
    """All of it that a person sees."""
    labels = None if scan.labels is None else scan.labels.tobytes()
    return session.classes.copy(), dict(scan.seeds), scan.board.targets, session.verified.of(scan), scan.rulers, labels, scan.preview


ACTS = {
    "seed": lambda session, scan: session.set_seeds(scan, {session.chosen: ((1.0, 2.0, 3.0),)}),
    "more seeds": lambda session, scan: session.set_seeds(scan, {session.chosen: ((1.0, 2.0, 3.0), (2.0, 2.0, 3.0))}),
    "label added": lambda session, scan: session.add_class("Vessel"),
    "label renamed": lambda session, scan: session.rename_class(1, "Liver"),
    "label recoloured": lambda session, scan: session.table.recolour(1, (0.1, 0.2, 0.3)),
    "slice marked": lambda session, scan: session.verified.toggle(5),
    "mark taken away": lambda session, scan: session.verified.toggle(5),
    "click": lambda session, scan: session.prompting.point((1.0, 2.0, 3.0)),
    "box": lambda session, scan: session.prompting.box((0.0, 0.0, 0.0), (5.0, 5.0, 5.0)),
    "lasso": lambda session, scan: session.prompting.lasso([(0.0, 0.0, 0.0), (5.0, 0.0, 0.0), (5.0, 5.0, 0.0)]),
    "object renamed": lambda session, scan: session.prompting.rename(1, "left lobe"),
    "label deleted": lambda session, scan: session.table.remove(1),
    "one without voxels deleted": lambda session, scan: session.table.remove(session.add_class("Duct").value),
}


def test_every_act_is_taken_back_and_done_again_in_the_order_of_work(session, scan):
    session.segment = replace(session.segment, live=False)
    states = [seen(session, scan)]
    for name, act in ACTS.items():
        act(session, scan)
        if name == "one without voxels deleted":  # it was added for that
            states.append((*states[-1][:0], [*states[-1][0], session.table.removed[-1]], *states[-1][1:]))
        states.append(seen(session, scan))
        assert states[-1] != states[-2], name
    for back in reversed(states[:-1]):
        session.undo()
        assert seen(session, scan) == back
        assert session.notice == "Took the last change back"
    for again in states[1:]:
        session.redo()
        assert seen(session, scan) == again


def test_a_seed_after_a_discard_is_taken_back_first_and_the_discard_can_be_done_again(session, scan):
    shown = scan.preview = outlined(session, scan)
    session.discard()
    session.set_seeds(scan, {1: ((1.0, 2.0, 3.0),)})
    session.undo()
    assert not scan.seeds
    assert scan.preview is None
    session.undo()
    assert scan.preview is shown
    session.redo()
    assert scan.preview is None
    session.undo()
    assert scan.preview is shown
    session.set_seeds(scan, {1: ((1.0, 2.0, 3.0),)})
    session.redo()
    assert scan.preview is shown, "something else was done since"


def test_a_label_that_is_in_use_elsewhere_meanwhile_stays(session, scan, ball):
    added = session.add_class("Vessel")
    other = session.open(ball)
    session.set_seeds(other, {added.value: ((1.0, 2.0, 3.0),)})
    session.undo(scan)
    assert added in session.classes


def test_what_was_painted_counts_as_painted_whatever_was_clicked_since(session, scan):
    from napari_medseg.session import by_hand
    from napari_medseg.session.history import change

    session.painted(scan, change(scan.labels, (slice(7, 8),) * 3, np.ones((1, 1, 1), np.uint8)))
    session.set_seeds(scan, {1: ((1.0, 2.0, 3.0),)})
    assert len(by_hand.strokes(scan)) == 1
