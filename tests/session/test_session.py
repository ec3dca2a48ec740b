import numpy as np
import pytest

from napari_medseg.errors import GridMismatchError, InvalidInputError, NoLabelsError, NoSeedsError, NoStrokesError
from napari_medseg.io import read_labels
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.naming import classes_for
from napari_medseg.session.state import Preview, labels_for, source_labels
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def scan(session, ball):
    return session.open(ball)


def grown(session, owner, scan, seeds):
    session.set_seeds(scan, {session.chosen: seeds})
    session.run()
    owner.run_until(lambda: not session.job.is_active)


def propose(session, scan, where, classes=None):
    preview = Preview(np.zeros(scan.display.geometry.shape, np.uint8), "test", tuple(classes or [session.label_class]), finished=True)
    preview.labels[where] = 1
    scan.preview = preview
    return preview


def test_a_level_set_grows_in_several_steps_and_finds_the_ball(session, owner, scan, ball, ball_seeds):
    boxes = []
    session.preview_changed.connect(lambda _, box: boxes.append(box))
    grown(session, owner, scan, ball_seeds)
    truth = scan.axes.apply(ball.array > 150)
    found = scan.preview.labels > 0
    assert scan.preview.finished
    assert len([b for b in boxes if b is not None]) >= 3
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8


def test_accepting_puts_the_preview_into_the_chosen_class_and_undo_takes_it_back(session, owner, scan, ball_seeds):
    tumour = session.add_class("Tumour")
    grown(session, owner, scan, ball_seeds)
    shown = scan.preview.labels > 0
    session.accept()
    assert scan.preview is None
    assert np.array_equal(scan.labels == tumour.value, shown)
    assert scan.ml(tumour.value) == pytest.approx(shown.sum() * 0.003)
    session.undo()
    assert not scan.labels.any()
    session.redo()
    assert np.array_equal(scan.labels == tumour.value, shown)


def test_accept_never_overwrites_another_class(session, scan):
    propose(session, scan, np.s_[2:6, 5:20, 5:20])
    session.accept()
    session.add_class("Second")
    propose(session, scan, np.s_[4:8, 5:20, 5:20])
    session.accept()
    assert (scan.labels[2:6, 5:20, 5:20] == 1).all()
    assert (scan.labels[6:8, 5:20, 5:20] == 2).all()


@pytest.mark.parametrize(("add", "left"), [(False, 0), (True, 1)])
def test_a_second_accept_replaces_the_class_unless_asked_to_add(session, scan, add, left):
    propose(session, scan, np.s_[2:4, 5:10, 5:10])
    session.accept()
    session.set(add=add)
    propose(session, scan, np.s_[8:10, 5:10, 5:10])
    session.accept()
    assert (scan.labels[2:4, 5:10, 5:10] == left).all()
    assert (scan.labels[8:10, 5:10, 5:10] == 1).all()


def test_discard_leaves_the_labels_alone(session, scan):
    propose(session, scan, np.s_[2:4, 5:10, 5:10])
    session.discard()
    assert scan.preview is None
    assert scan.labels is None


def test_accepting_while_it_grows_stops_it_there(session, owner, scan, ball_seeds):
    session.set_seeds(scan, {1: ball_seeds})
    session.run()
    owner.run_until(lambda: scan.preview is not None and not scan.preview.is_empty)
    so_far = scan.preview.labels.copy()
    session.accept()
    assert session.jobs.of(PREVIEW).state in ("stopped", "done")
    assert np.array_equal(scan.labels, so_far)


def test_a_painted_limit_bounds_the_level_set(session, owner, scan, ball_seeds):
    session.begin_limit()
    scan.limit[:, :, : scan.limit.shape[2] // 2 + 3] = 1
    centre = np.rint(scan.display.geometry.voxel(ball_seeds)).astype(int)
    scan.limit[tuple(centre.T)] = 1
    grown(session, owner, scan, ball_seeds)
    assert scan.preview.labels.any()
    assert not scan.preview.labels[scan.limit == 0].any()


def test_scribbles_grow_into_their_class(session, owner, scan, ball):
    session.set(mode="scribbles")
    session.begin_scribbles()
    truth = scan.axes.apply(ball.array > 150)
    z, y, x = np.argwhere(truth).mean(0).astype(int)
    scan.strokes[z, y, x - 3:x + 3] = 1
    scan.strokes[z, 2, :] = 255
    session.run()
    owner.run_until(lambda: not session.job.is_active)
    assert (scan.preview.labels[z][truth[z]] == 1).mean() > 0.8


def test_clean_up_is_a_preview_first(session, owner, scan):
    propose(session, scan, np.s_[2:8, 5:20, 5:20])
    scan.preview.labels[12, 30, 30] = 1
    session.accept()
    session.set(mode="cleanup")
    session.run()
    owner.run_until(lambda: not session.job.is_active)
    assert scan.labels[12, 30, 30] == 1
    session.accept()
    assert scan.labels[12, 30, 30] == 0
    assert (scan.labels[2:8, 5:20, 5:20] == 1).all()


@pytest.mark.parametrize(("values", "kind"), [
    ({"mode": "levelset"}, NoSeedsError), ({"mode": "scribbles"}, NoStrokesError), ({"mode": "cleanup"}, NoLabelsError), ({"tab": "refine"}, NoLabelsError),
])
def test_running_with_nothing_to_run_on_says_so(session, scan, problems, values, kind):
    session.set(**values)
    session.run()
    assert [type(p) for p in problems] == [kind]
    assert problems[0].todo
    assert session.trouble == str(problems[0])


def test_a_seed_outside_the_scan_is_named(session, scan, problems):
    session.set_seeds(scan, {1: ((0.0, 0.0, 5000.0),)})
    session.run()
    assert "seed 1" in str(problems[0])
    assert session.jobs.of(PREVIEW) is None


def test_accepting_nothing_says_what_to_do(session, scan, problems):
    session.accept()
    assert isinstance(problems[0], InvalidInputError)


def test_running_without_a_scan_is_a_sentence(session, problems):
    session.run()
    assert "no scan" in str(problems[0])


def test_a_scan_without_a_number_is_refused(session, ball):
    with pytest.raises(InvalidInputError, match="no usable number"):
        session.open(ball.like(np.full_like(ball.array, np.nan)))
    assert session.current is None


def test_labels_are_saved_on_the_grid_of_the_scans_file(session, scan, ball, tmp_path):
    marked = np.zeros(ball.array.shape, np.uint8)
    marked[8, 24, 16] = 1
    session.adopt_labels(scan, ball.like(marked))
    session.save_labels(tmp_path / "ball_labels.nii.gz")
    back = read_labels(tmp_path / "ball_labels.nii.gz", like=ball.geometry)
    assert back.array[8, 24, 16] == 1
    assert back.array.sum() == 1
    assert scan.is_saved


def test_saving_nothing_writes_no_file(session, scan, problems, tmp_path):
    session.save_labels(tmp_path / "none.nii.gz")
    assert isinstance(problems[0], NoLabelsError)
    assert not list(tmp_path.iterdir())


def test_saving_into_a_missing_folder_is_a_sentence(session, scan, problems, tmp_path):
    propose(session, scan, np.s_[2:4, 5:10, 5:10])
    session.accept()
    session.save_labels(tmp_path / "nowhere" / "labels.nii.gz")
    assert len(problems) == 1
    assert not scan.is_saved


def test_labels_of_another_grid_are_refused(scan):
    with pytest.raises(GridMismatchError):
        labels_for(scan, Volume(np.zeros((4, 4, 4), np.uint8), Geometry((4, 4, 4)), name="other"))


def test_classes_get_values_names_and_colours_of_their_own(session):
    session.add_class()
    session.add_class("Vessel")
    session.rename_class(1, "Liver")
    assert [(c.value, c.name) for c in session.classes] == [(1, "Liver"), (2, "Class 2"), (3, "Vessel")]
    assert len({c.colour for c in session.classes}) == 3


def test_an_engine_with_names_brings_its_classes_only_when_accepted(session, scan):
    brain = classes_for(["brain", "organ"], session.classes)
    assert brain[1] is session.classes[0]
    assert len(session.classes) == 1
    preview = propose(session, scan, np.s_[2:4, 5:10, 5:10], classes=brain)
    preview.labels[preview.labels == 1] = brain[0].value
    session.accept()
    assert [c.name for c in session.classes] == ["Organ", "brain"]
    assert (scan.labels[2:4, 5:10, 5:10] == brain[0].value).all()


def test_closing_the_scan_in_work_stops_its_job(session, scan, ball_seeds):
    session.set_seeds(scan, {1: ball_seeds})
    session.run()
    session.close(scan)
    assert session.jobs.of(PREVIEW).state == "stopped"
    assert session.current is None


def test_source_labels_are_the_display_labels_turned_back(session, scan, ball):
    propose(session, scan, np.s_[0:2, 3:9, 4:7])
    session.accept()
    saved = source_labels(scan)
    assert saved.geometry == ball.geometry
    assert np.array_equal(scan.axes.apply(saved.array), scan.labels)


def test_whether_a_preview_is_empty_is_known_after_every_part_that_is_put():
    from napari_medseg.session.state import Preview

    preview = Preview(np.zeros((4, 5, 6), np.uint8), "made", ())
    box = (slice(1, 3), slice(2, 4), slice(3, 5))
    assert preview.is_empty
    for part, empty in (([0, 0], True), ([0, 2], False), ([2, 0], False), ([0, 0], True)):
        preview.put(box, np.broadcast_to(np.array(part, np.uint8)[:, None, None], (2, 2, 2)))
        assert preview.is_empty is empty
    preview.put((slice(0, 0),) * 3, np.zeros((0, 0, 0), np.uint8))
    assert preview.is_empty
    preview.put((slice(None), slice(0, 1), slice(None)), np.ones((4, 1, 6), np.uint8))
    assert not preview.is_empty
