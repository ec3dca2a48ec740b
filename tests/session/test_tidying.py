"""Clean-up and interpolation in the session, without a window."""

from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.session.guide import next_step
from napari_medseg.session.state import Preview
from napari_medseg.volume import Geometry, Volume

AS_SHOWN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def scan(session):
    """Two labels: a box with a hole and a crumb beside it, and a second box; 2 mm voxels."""
    image = np.zeros((20, 40, 40), np.float32)
    image[4:12, 8:20, 8:20] = 100
    scan = session.open(Volume(image, Geometry(image.shape, (2.0, 2.0, 2.0), direction=AS_SHOWN), name="boxes"))
    session.add_class("Second")
    session.choose_class(1)
    labels = np.zeros(image.shape, np.uint8)
    labels[4:12, 8:20, 8:20] = 1
    labels[6:8, 12:14, 12:14] = 0
    labels[4, 30, 30] = 1
    labels[4:12, 24:30, 8:20] = 2
    session.adopt_labels(scan, labels)
    session.set(mode="cleanup")
    return scan


def settled(session):
    return lambda: session.job is not None and not session.job.is_active


def test_a_change_of_a_step_shows_at_once(session, owner, scan):
    session.tidy.choose(dropping=True, min_ml=0.1)
    owner.run_until(settled(session))
    assert session.tidy.owns(scan.preview)
    assert scan.preview.labels[4, 30, 30] == 0, "below 0.1 ml"
    assert scan.preview.labels[6, 12, 12] == 1, "holes are filled"
    assert (scan.preview.labels[4:12, 24:30, 8:20] == 2).all()
    assert scan.labels[4, 30, 30] == 1, "nothing counts before it is accepted"
    first = scan.preview
    session.tidy.choose(dropping=False)
    owner.run_until(settled(session))
    assert scan.preview is first, "the preview stays while steps change"
    assert first.labels[4, 30, 30] == 1
    assert "1 piece removed" not in first.detail


def test_the_newest_choice_wins(session, owner, scan):
    for margin in (0.5, 2.0, 4.0, -2.0):
        session.tidy.choose(resizing=True, margin_mm=margin, fill=False, dropping=False)
    owner.run_until(settled(session))
    assert not scan.preview.labels[4, 8:20, 8:20].any(), "shrunk by a voxel, not grown"
    assert scan.preview.labels[5, 10, 10] == 1


def test_accepting_takes_the_place_of_the_labels_even_when_adding_is_on(session, owner, scan):
    session.set(add=True)
    session.tidy.choose(dropping=True)
    owner.run_until(settled(session))
    made = []
    session.accepted.connect(lambda _, how: made.append(how))
    session.accept()
    assert scan.labels[4, 30, 30] == 0
    assert scan.preview is None, "what was just accepted is not shown again"
    assert made[0].tool == "cleanup"
    assert [step["step"] for step in made[0].parameters["steps"]] == ["fill", "remove small"]
    session.undo()
    assert scan.labels[4, 30, 30] == 1


def test_only_the_chosen_label_is_touched_when_asked(session, owner, scan):
    session.choose_class(2)
    session.tidy.choose(only_chosen=True, resizing=True, margin_mm=-2.0)
    owner.run_until(settled(session))
    assert set(np.unique(scan.preview.labels)) == {0, 2}
    before = scan.labels == 1
    session.accept()
    assert np.array_equal(scan.labels == 1, before)
    assert scan.labels[4, 24, 8] == 0


def test_clicked_pieces_stay_and_the_others_go(session, owner, scan):
    x, y, z = (float(v) for v in scan.display.geometry.world([[4, 30, 30]])[0])
    session.tidy.choose(dropping=False)
    session.tidy.click(scan, (x, y, z))
    owner.run_until(settled(session))
    assert (scan.preview.labels == 1).sum() == 1
    assert (scan.preview.labels == 2).any(), "a label that was not clicked stays whole"
    session.tidy.forget_clicks()
    owner.run_until(settled(session))
    assert (scan.preview.labels == 1).sum() > 1


def test_a_label_is_combined_with_what_lies_around_another(session, owner, scan):
    session.tidy.choose(combining=True, operation="subtract", other=2, near_mm=16.0, fill=False, dropping=False)
    owner.run_until(settled(session))
    assert not (scan.preview.labels[4:12, 18:20] == 1).any(), "within 16 mm of the second label"
    assert (scan.preview.labels[4:12, 8:10, 8:20] == 1).all()


def test_only_voxels_in_a_range_of_grey_values_change(session, owner, scan):
    session.tidy.choose(resizing=True, margin_mm=4.0, windowed=True, window=(50.0, 200.0), fill=False, dropping=False)
    owner.run_until(settled(session))
    assert (scan.preview.labels[6:8, 12:14, 12:14] == 1).all(), "the hole is as bright as the box"
    assert not scan.preview.labels[3, 8:20, 8:20].any(), "around it is dark"


def test_a_locked_label_is_left_alone(session, owner, scan):
    session.tidy.choose(resizing=True, margin_mm=-2.0, locked=frozenset({2}))
    owner.run_until(settled(session))
    assert (scan.preview.labels[4:12, 24:30, 8:20] == 2).all()


def test_what_is_undone_under_a_preview_is_cleaned_anew(session, owner, scan):
    from napari_medseg.session.history import change

    step = change(scan.labels, (slice(14, 18), slice(4, 34), slice(24, 36)), np.full((4, 30, 12), 1, np.uint8))
    session.painted(scan, step)
    session.tidy.choose(dropping=True)
    owner.run_until(settled(session))
    assert scan.preview.labels[15, 10, 30] == 1
    session.undo()
    owner.run_until(lambda: scan.preview.labels[15, 10, 30] == 0)


def test_a_preview_of_another_tool_stays(session, scan):
    scan.preview = other = Preview(np.ones(scan.labels.shape, np.uint8), "level set", (session.label_class,), finished=True)
    session.tidy.choose(dropping=True)
    assert scan.preview is other


def test_with_nothing_to_clean_it_says_so(session, owner, problems):
    session.open(Volume(np.zeros((4, 8, 8), np.float32), Geometry((4, 8, 8)), name="empty"))
    session.set(mode="cleanup")
    session.tidy.choose(fill=False)
    assert session.job is None
    session.run()
    assert isinstance(problems[0], NoLabelsError)


# -- interpolation -----------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sparse(session, scan):
    """A cone that was drawn on three axial slices."""
    z, y, x = np.mgrid[:20, :40, :40]
    cone = ((y - 20) ** 2 + (x - 20) ** 2 < (3 + z) ** 2 // 3).astype(np.uint8)
    scan.display.array[:] = 50.0 * cone
    labels = np.zeros(cone.shape, np.uint8)
    labels[[3, 9, 15]] = cone[[3, 9, 15]]
    session.adopt_labels(scan, labels)
    session.set(mode="interpolate")
    return cone


def found(session):
    return lambda: session.between.found is not None


@pytest.mark.parametrize("follow", [True, False])
def test_slices_between_are_filled_and_annotated_ones_stay(session, owner, scan, sparse, follow):
    owner.run_until(found(session))
    assert session.between.axis == 0
    assert session.between.used() == [3, 9, 15]
    assert session.between.gaps() == 10
    session.set(interpolation=replace(session.interpolation, follow=follow))
    session.run()
    owner.run_until(settled(session))
    result = scan.preview.labels
    assert np.array_equal(result[[3, 9, 15]], scan.labels[[3, 9, 15]])
    inside, true = result[3:16] > 0, sparse[3:16] > 0
    assert 2 * (inside & true).sum() / (inside.sum() + true.sum()) > 0.93
    assert not result[:3].any()
    made = []
    session.accepted.connect(lambda _, how: made.append(how))
    session.accept()
    assert scan.voxels[1] == (result > 0).sum()
    assert made[0].parameters == {"slices": [3, 9, 15], "axis": 0, "image": follow, "value": 1}


def test_a_label_drawn_in_another_plane_is_filled_along_it(session, owner, scan):
    labels = np.zeros(scan.labels.shape, np.uint8)
    labels[4:12, 10, 10:20] = 1
    labels[4:12, 20, 10:20] = 1
    session.adopt_labels(scan, labels)
    session.set(mode="interpolate")
    owner.run_until(found(session))
    assert session.between.axis == 1
    session.run()
    owner.run_until(settled(session))
    assert (scan.preview.labels[6, 10:21, 15] == 1).all()


def test_the_shape_ends_towards_a_slice_that_is_empty_on_purpose(session, owner, scan, sparse):
    owner.run_until(found(session))
    session.between.mark_empty(19)
    assert session.between.used() == [3, 9, 15, 19]
    session.run()
    owner.run_until(settled(session))
    assert scan.preview.labels[16].any()
    assert not scan.preview.labels[19].any()
    session.between.mark_empty(19)
    assert session.between.used() == [3, 9, 15]


def test_a_slice_that_does_not_count_is_filled_over(session, owner, scan, sparse):
    scan.labels[9] = 0
    scan.labels[9, 0, 0] = 1
    session.adopt_labels(scan, scan.labels)
    owner.run_until(lambda: session.between.found is not None and session.between.found.voxels[0][9] == 1)
    session.between.use(9, False)
    assert session.between.used() == [3, 15]
    session.run()
    owner.run_until(settled(session))
    assert (scan.preview.labels[9] > 0).sum() > 20


def test_new_paint_is_seen_without_asking(session, owner, scan, sparse):
    from napari_medseg.session.history import change

    owner.run_until(found(session))
    session.painted(scan, change(scan.labels, (slice(18, 19), slice(10, 20), slice(10, 20)), np.ones((1, 10, 10), np.uint8)))
    owner.run_until(lambda: session.between.used() == [3, 9, 15, 18])


def test_one_slice_alone_is_explained(session, owner, scan, problems):
    labels = np.zeros(scan.labels.shape, np.uint8)
    labels[5, 4:9, 4:9] = 1
    session.adopt_labels(scan, labels)
    session.set(mode="interpolate", interpolation=replace(session.interpolation, axis=0))
    owner.run_until(found(session))
    assert "another axial slice" in next_step(session).sentence
    session.run()
    assert isinstance(problems[0], InvalidInputError)
    assert "axial" in str(problems[0])


def test_without_a_label_there_is_nothing_between(session, scan, problems):
    session.add_class("Third")
    session.set(mode="interpolate")
    session.run()
    assert isinstance(problems[0], NoLabelsError)
