"""Strokes that answer while they are drawn, without a window: the engines run, the brush is a function."""

import numpy as np
import pytest

from napari_medseg.session import stroke_making
from napari_medseg.session.guide import next_step
from napari_medseg.session.history import change
from napari_medseg.session.scribbles_live import Solver
from napari_medseg.session.state import Preview
from napari_medseg.volume import Geometry, Volume
from napari_medseg.weaklabel.scribble import grow, whole
from napari_medseg.weaklabel.scribble_settings import ScribbleSettings

AS_SHOWN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def truth():
    z, y, x = np.mgrid[:24, :40, :44]
    labels = np.zeros(z.shape, np.uint8)
    labels[(z - 12) ** 2 + (y - 18) ** 2 + (x - 14) ** 2 < 64] = 1
    labels[(z - 12) ** 2 + (y - 20) ** 2 + (x - 32) ** 2 < 36] = 2
    return labels


@pytest.fixture
def scan(session, truth):
    rng = np.random.default_rng(3)
    image = np.choose(truth, [60.0, 130.0, 200.0]) + rng.normal(0, 6, truth.shape)
    scan = session.open(Volume(image.astype(np.float32), Geometry(truth.shape, direction=AS_SHOWN), name="two balls"))
    session.add_class("Second")
    session.choose_class(1)
    session.set(mode="scribbles")
    session.begin_scribbles()
    return scan


def stroke(session, scan, where, value):
    """What a brush does: into the array, into the log, told."""
    box = tuple(side if isinstance(side, slice) else slice(side, side + 1) for side in where)
    shape = [side.stop - side.start for side in box]
    step = change(scan.strokes, box, np.full(shape, value, np.uint8))
    assert step is not None
    scan.keep_stroke(step)
    session.stroked(scan, step.boxes)


def settled(session):
    return lambda: session.job is not None and not session.job.is_active


CORE, SECOND, RING = np.s_[12, 18, 10:19], np.s_[12, 20, 29:36], np.s_[12, 2:4, 2:42]


def draw_all(session, owner, scan):
    for where, value in ((CORE, 1), (RING, 255), (SECOND, 2)):
        stroke(session, scan, where, value)
        owner.run_until(settled(session))


def dice(found, truth, value):
    a, b = found == value, truth == value
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_each_stroke_answers_by_itself_and_the_preview_stays(session, owner, scan, truth):
    stroke(session, scan, CORE, 1)
    owner.run_until(settled(session))
    first = scan.preview
    assert first.labels[12, 18, 14] == 1
    stroke(session, scan, RING, 255)
    seen = []
    session.preview_changed.connect(lambda _, box: seen.append(bool(scan.preview.labels.any())))
    owner.run_until(settled(session))
    stroke(session, scan, SECOND, 2)
    owner.run_until(settled(session))
    assert scan.preview is first
    assert seen
    assert all(seen), "never empty between strokes"
    assert [c.value for c in first.classes] == [1, 2]
    assert dice(first.labels, truth, 1) > 0.7
    assert dice(first.labels, truth, 2) > 0.7


def test_following_the_brush_ends_where_one_answer_to_all_strokes_ends(session, owner, scan):
    draw_all(session, owner, scan)
    *_, growth = grow(scan.display.array, scan.strokes, scan.display.geometry.spacing, session.scribble.settings())
    assert np.array_equal(scan.preview.labels, whole(growth, scan.strokes.shape))


def test_a_stroke_is_answered_while_it_is_drawn(session, owner, scan):
    scan.strokes[12, 18, 10:14] = 1
    session.stroking(scan, (slice(12, 13), slice(18, 19), slice(10, 14)))
    owner.run_until(settled(session))
    assert scan.preview.labels[12, 18, 11] == 1
    assert not scan.drawn[0], "it is no stroke before it ends"


def test_the_preview_stays_while_the_brush_moves_on(session, owner, scan):
    scan.strokes[12, 18, 10:12] = 1
    gone = []
    session.preview_changed.connect(lambda *_: gone.append(scan.preview is None))
    session.stroking(scan, (slice(12, 13), slice(18, 19), slice(10, 12)))
    scan.strokes[12, 18, 12:16] = 1
    session.stroking(scan, (slice(12, 13), slice(18, 19), slice(12, 16)))  # the first answer is still being made
    first = scan.preview
    owner.run_until(lambda: scan.preview is None or bool(scan.preview.labels[12, 18, 15]))
    assert scan.preview is first
    assert gone
    assert not any(gone), "its layers are not put away and fetched again between two answers"


def test_the_newest_stroke_overtakes_and_nothing_of_the_older_is_lost(session, owner, scan):
    stroke(session, scan, CORE, 1)
    stroke(session, scan, RING, 255)
    stroke(session, scan, SECOND, 2)
    owner.run_until(settled(session))
    *_, growth = grow(scan.display.array, scan.strokes, scan.display.geometry.spacing, session.scribble.settings())
    assert np.array_equal(scan.preview.labels, whole(growth, scan.strokes.shape))


def test_undo_of_a_stroke_solves_again(session, owner, scan):
    draw_all(session, owner, scan)
    session.undo_stroke(scan)
    owner.run_until(settled(session))
    assert scan.drawn == (True, True)
    assert [c.value for c in scan.preview.classes] == [1]
    assert not (scan.preview.labels == 2).any()
    session.redo_stroke(scan)
    owner.run_until(settled(session))
    assert (scan.preview.labels == 2).any()


def test_without_a_stroke_of_a_class_nothing_is_shown(session, owner, scan):
    stroke(session, scan, CORE, 1)
    owner.run_until(settled(session))
    stroke_making.clear(session)
    assert scan.preview is None
    assert scan.drawn == (False, False)
    session.undo_stroke(scan)
    owner.run_until(lambda: scan.preview is not None and not scan.preview.is_empty)


def test_one_stroke_alone_works_and_the_guide_says_what_counts_as_background(session, owner, scan):
    stroke(session, scan, CORE, 1)
    owner.run_until(settled(session))
    assert scan.preview.labels[12, 18, 14] == 1
    step = next_step(session)
    assert step.key == "Q"
    assert "border" in step.why


def test_with_live_off_strokes_wait(session, owner, scan):
    from dataclasses import replace

    session.set(scribble=replace(session.scribble, live=False))
    stroke(session, scan, CORE, 1)
    assert scan.preview is None
    assert next_step(session).action == "run"
    session.run()
    owner.run_until(settled(session))
    assert scan.preview.labels.any()


def test_a_preview_of_another_tool_is_never_taken_away_by_a_stroke(session, scan):
    scan.preview = other = Preview(np.ones(scan.strokes.shape, np.uint8), "level set", (session.label_class,), finished=True)
    stroke(session, scan, CORE, 1)
    assert scan.preview is other
    assert session.job is None
    assert "strokes answer again" in next_step(session).sentence


def test_accepted_strokes_go_into_their_own_classes_and_tell_how(session, owner, scan):
    stroke(session, scan, CORE, 1)
    owner.run_until(settled(session))
    session.choose_class(2)
    made = []
    session.accepted.connect(lambda _, how: made.append(how))
    session.accept()
    assert scan.voxels[1] > 0
    assert scan.voxels[2] == 0
    assert made[0].tool == "scribble"
    assert np.array_equal(made[0].arrays["strokes"], scan.strokes)
    assert made[0].parameters["solved_by"]


def test_after_accept_the_next_stroke_shows_the_whole_answer_again(session, owner, scan):
    draw_all(session, owner, scan)
    before = scan.preview.labels.copy()
    session.accept()
    assert scan.preview is None
    stroke(session, scan, np.s_[12, 19, 30:34], 2)
    owner.run_until(settled(session))
    assert (scan.preview.labels > 0).sum() > 0.9 * (before > 0).sum()
    session.discard()
    session.run()
    owner.run_until(settled(session))
    assert (scan.preview.labels > 0).sum() > 0.9 * (before > 0).sum()


def test_another_solver_answers_anew(session, owner, scan, truth):
    from dataclasses import replace

    draw_all(session, owner, scan)
    session.set(scribble=replace(session.scribble, solver="growcut"))
    session.live.chosen()
    owner.run_until(settled(session))
    assert "GrowCut" in session.live.method(scan)
    *_, growth = grow(scan.display.array, scan.strokes, scan.display.geometry.spacing, session.scribble.settings())
    assert np.array_equal(scan.preview.labels, whole(growth, scan.strokes.shape))


def test_labels_become_strokes_in_their_cores_and_around_them(session, owner, scan, truth):
    session.adopt_labels(scan, truth.copy())
    stroke(session, scan, np.s_[12, 18, 14:16], 255)
    session.discard()
    stroke_making.from_labels(session)
    owner.run_until(lambda: scan.stroked[2] > 0)
    assert set(np.unique(scan.strokes[truth == 1])) <= {0, 1, 255}
    assert (scan.strokes[truth > 0] == 255).sum() == 2, "what was drawn by hand stays, and there is no other inside"
    assert (scan.strokes == 255).sum() > 2
    owner.run_until(lambda: scan.preview is not None and scan.preview.finished)
    assert dice(scan.preview.labels, truth, 2) > 0.8
    session.undo_stroke(scan)
    assert scan.stroked[2] == 0


def test_a_preview_becomes_strokes_of_the_chosen_class(session, owner, scan, truth):
    scan.preview = Preview((truth == 1).astype(np.uint8), "level set", (session.label_class,), finished=True)
    session.choose_class(2)
    stroke_making.from_labels(session)
    owner.run_until(lambda: scan.preview is not None and session.live.owns(scan.preview) and scan.preview.finished)
    assert scan.stroked[2] > 0
    assert scan.stroked[1] == 0


def test_an_answer_that_was_cut_short_at_any_yield_is_made_up_for(scan):
    image, spacing, settings = scan.display.array, scan.display.geometry.spacing, ScribbleSettings()
    shown = np.zeros(image.shape, np.uint8)
    preview = Preview(shown, "scribbles", ())
    solver = Solver(image, spacing)
    strokes = np.zeros(image.shape, np.uint8)
    for turn, (where, value) in enumerate(((CORE, 1), (RING, 255), (SECOND, 2), (np.s_[10, 18, 10:14], 1), (np.s_[12, 18, 10:12], 0))):
        strokes[where] = value
        box = tuple(slice(side, side + 1) if isinstance(side, int) else side for side in where)
        solver.tell(box, strokes[box])
        solver.show_in(preview)
        steps = solver.solve(settings)
        for count, answer in enumerate(steps):
            if count == turn % 3:  # left here, and this one never arrives
                break
            shown[answer.box] = answer.labels
            solver.shown(answer.number)
        steps.close()
    for answer in solver.solve(settings):
        shown[answer.box] = answer.labels
        solver.shown(answer.number)
    *_, growth = grow(image, strokes, spacing, settings)
    assert np.array_equal(shown, whole(growth, image.shape))
