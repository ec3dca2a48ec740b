"""The main walk in the real widgets: open the sample, click five seeds, watch it grow, accept, undo, save."""

import numpy as np
import pytest
from napari.layers import Labels

from napari_medseg.io import read_labels
from napari_medseg.session import next_step
from napari_medseg.session.state import full_box
from napari_medseg.volume import orient

pytestmark = pytest.mark.qt


def click_seeds(desk, scan, truth, count=5):
    """Clicks as a person makes them: points added to the armed layer, on slices of the tumour."""
    slices = np.flatnonzero(truth.any((1, 2)))[1:1 + count]
    desk.arm("seeds")
    layer = desk.seeds.get(scan)
    assert layer.mode == "add"
    for z in slices:
        inside = np.argwhere(truth[z])
        layer.add([[float(z), *inside[np.abs(inside - inside.mean(0)).sum(1).argmin()]]])
    return layer


@pytest.fixture
def truth(samples):
    return orient(read_labels(samples / "brain1_tumour.nii.gz")).array > 0


def shown_labels(viewer, scan):
    return next(layer for layer in viewer.layers if isinstance(layer, Labels) and layer.data is scan.labels)


def test_from_sample_to_a_saved_label(viewer, dock, desk, session, open_sample, truth, samples, qtbot, tmp_path):
    scan = open_sample()
    assert viewer.layers[0].data.shape == scan.display.geometry.shape
    assert "Add seeds" in dock.guide.sentence.text() or next_step(session).action == "seeds"
    tumour = session.add_class("Tumour")
    click_seeds(desk, scan, truth)
    assert session.seed_count == 5
    redraws = []
    desk.run()
    preview = desk.writer.of(scan).outline
    preview.events.set_data.connect(lambda: redraws.append(int((preview.data > 0).sum())))
    qtbot.waitUntil(lambda: not session.job.is_active, timeout=60_000)
    qtbot.wait(100)
    assert len(set(redraws)) >= 3, "the preview evolves over several updates"
    found = scan.preview.labels > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.3
    assert not truth[~found].all()
    assert dock.accept_bar.accept.isEnabled()
    dock.accept_bar.accept.click()
    layer = shown_labels(viewer, scan)
    assert layer.name == "brain1_t1gd labels"
    assert np.allclose(layer.colormap.map(tumour.value)[:3], tumour.colour, atol=0.01)
    assert np.array_equal(layer.data == tumour.value, found)
    qtbot.waitUntil(lambda: not desk.writer.of(scan).preview.data.any())  # it stays in sight, empty, while the seeds are in hand
    session.undo()
    assert not layer.data.any()
    session.redo()
    session.save_labels(tmp_path / "tumour.nrrd")
    back = read_labels(tmp_path / "tumour.nrrd", like=scan.geometry)
    assert np.array_equal(scan.axes.apply(back.array) == tumour.value, found)


def test_brush_strokes_and_accepts_are_undone_in_the_order_of_work(viewer, desk, session, open_sample):
    scan = open_sample()
    session.adopt_labels(scan, np.zeros(scan.display.geometry.shape, np.uint8))
    layer = shown_labels(viewer, scan)
    layer.selected_label = 1
    layer.paint((12, 100, 100), 1)
    painted = layer.data.copy()
    assert painted.any()
    assert scan.history.can_undo
    from napari_medseg.session import Preview

    scan.preview = Preview(np.zeros_like(scan.labels), "test", (session.label_class,), finished=True)
    scan.preview.labels[5:7, 50:60, 50:60] = 1
    session.accept()
    undo = next(bound for key, bound in layer.class_keymap.items() if str(key) == "Ctrl+Z")
    undo(layer)
    assert np.array_equal(layer.data, painted)
    undo(layer)
    assert not layer.data.any()


def test_the_seeds_layer_keeps_the_slices_as_they_are(viewer, desk, session, open_sample):
    open_sample()
    steps, point = viewer.dims.nsteps, viewer.dims.point
    desk.arm("seeds")
    assert viewer.dims.nsteps == steps
    assert viewer.dims.point == point


def test_a_limit_is_painted_with_a_ball_and_counts(viewer, desk, session, open_sample, truth, qtbot):
    scan = open_sample()
    click_seeds(desk, scan, truth)
    desk.arm("limit")
    limit = desk.writer.of(scan).limit
    assert (limit.mode, limit.n_edit_dimensions) == ("paint", 3)
    centre = np.argwhere(truth).mean(0).astype(int)
    limit.paint(tuple(centre), 255)
    qtbot.waitUntil(lambda: bool(scan.limit.any()))
    scan.limit_weight[truth] = 255
    session.limited(scan, (full_box(truth),))
    desk.run()
    qtbot.waitUntil(lambda: not session.job.is_active, timeout=60_000)
    assert scan.preview.labels.any()
    assert not scan.preview.labels[scan.limit == 0].any()


def test_the_preview_layer_stays_and_is_only_hidden(viewer, desk, session, open_sample, truth, qtbot):
    scan = open_sample()
    click_seeds(desk, scan, truth)
    desk.run()
    count = len(viewer.layers)
    active = viewer.layers.selection.active
    qtbot.waitUntil(lambda: session.current.preview is not None and not session.current.preview.is_empty, timeout=60_000)
    session.discard()
    assert len(viewer.layers) == count
    assert viewer.layers.selection.active is active


def test_removing_the_seeds_layer_clears_the_seeds(viewer, desk, session, open_sample, truth):
    scan = open_sample()
    layer = click_seeds(desk, scan, truth)
    viewer.layers.remove(layer)
    assert session.seed_count == 0
    desk.arm("seeds")
    desk.arm("seeds")
    assert desk.seeds.get(scan) is not None


def test_the_next_click_counts_after_all_seeds_were_taken_back(desk, session, open_sample, truth):
    scan = open_sample()
    layer = click_seeds(desk, scan, truth, 2)
    session.undo()
    session.undo()
    assert (session.seed_count, len(layer.data)) == (0, 0)
    layer.add([[8.0, 153.0, 183.0]])
    assert (session.seed_count, list(scan.seeds)) == (1, [session.chosen])


def test_a_click_beside_the_scan_is_no_seed_and_says_so(desk, session, open_sample, truth):
    scan = open_sample()
    layer = click_seeds(desk, scan, truth, 2)
    before = scan.seeds
    layer.add([[8.0, 300.0, 183.0]])
    assert (scan.seeds, len(layer.data)) == (before, 2)
    assert "outside the scan" in next_step(session).sentence
    layer.add([[8.0, 153.0, 183.0]])
    assert (session.seed_count, next_step(session).trouble) == (3, False)


def test_seeds_are_told_apart_by_class(viewer, desk, session, open_sample, truth):
    scan = open_sample()
    layer = click_seeds(desk, scan, truth, 2)
    second = session.add_class("Second")
    layer.add([[3.0, 40.0, 40.0]])
    assert {value: len(points) for value, points in scan.seeds.items()} == {1: 2, second.value: 1}
    assert np.allclose(layer.face_color[-1][:3], second.colour, atol=0.01)


def test_removing_the_scan_closes_it_and_stops_the_work(viewer, desk, session, open_sample, truth):
    scan = open_sample()
    click_seeds(desk, scan, truth)
    desk.run()
    viewer.layers.remove(desk.image(scan))
    assert session.current is None
    assert not session.jobs.active


def test_the_guide_follows_the_scribbles_as_they_are_drawn(viewer, desk, session, open_sample, qtbot):
    scan = open_sample()
    session.set(mode="scribbles")
    desk.arm("scribbles")
    layer = desk.writer.of(scan).strokes
    layer.paint((8, 150, 180), layer.selected_label)
    qtbot.waitUntil(lambda: next_step(session).key == "Q")
    session.flip()
    assert layer.selected_label == 255
    layer.paint((8, 60, 60), layer.selected_label)
    qtbot.waitUntil(lambda: next_step(session).action == "run")
