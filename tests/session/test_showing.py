"""How a scan is shown never changes what it is."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_medseg.session import showing
from napari_medseg.session.state import displayed, open_scan, source_labels
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.windows import Window


@pytest.fixture
def oblique():
    matrix = Rotation.from_euler("zyx", (20, 10, 0), degrees=True).as_matrix()
    grid = Geometry((10, 30, 28), (3.0, 1.0, 1.0), (-10.0, 5.0, 40.0), tuple(float(v) for v in matrix.ravel()))
    array = np.random.default_rng(0).normal(100, 10, grid.shape).astype(np.float32)
    array[3:7, 10:20, 8:18] += 200
    return Volume(array, grid, name="tilted", modality="MR")


@pytest.fixture
def scan(session, oblique):
    return session.open(oblique)


def straighten(session, owner, scan, on):
    showing.straighten(session, scan, on)
    owner.run_until(lambda: (scan.aside is not None) == on)


def box_of(ball):
    return tuple(slice(n // 2 - 2, n // 2 + 2) for n in ball.shape)


def test_an_oblique_scan_is_shown_on_the_patients_axes_and_back_again(session, owner, scan, oblique):
    as_stored = scan.display.array
    straighten(session, owner, scan, True)
    assert not scan.display.geometry.is_oblique
    assert "patient's axes (resampled)" in scan.grid_note()
    assert scan.geometry == oblique.geometry
    np.testing.assert_array_equal(scan.source.array, oblique.array)
    straighten(session, owner, scan, False)
    assert scan.display.array is as_stored
    assert "resampled" not in scan.grid_note()


def test_labels_go_along_and_come_back_bit_for_bit_when_nobody_drew(session, owner, scan, oblique):
    session.adopt_labels(scan, scan.axes.apply((oblique.array > 200).astype(np.uint8)))
    before = source_labels(scan).array.copy()
    straighten(session, owner, scan, True)
    assert scan.labels.shape == scan.display.geometry.shape
    assert scan.display.array[scan.labels > 0].mean() > 200
    np.testing.assert_array_equal(source_labels(scan).array, before)
    straighten(session, owner, scan, False)
    np.testing.assert_array_equal(source_labels(scan).array, before)


def test_what_is_drawn_on_the_patients_axes_is_saved_on_the_files_grid_and_can_be_undone(session, owner, scan, oblique):
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[2:4, 3:6, 3:6] = 1
    session.adopt_labels(scan, labels)
    before = source_labels(scan).array.copy()
    straighten(session, owner, scan, True)
    scan.labels[box_of(scan.labels)] = 2
    drawn = scan.display.geometry.world(np.argwhere(scan.labels == 2))
    saved = source_labels(scan).array
    back = oblique.geometry.world(np.argwhere(saved == 2))
    assert len(back)
    assert np.linalg.norm(back[:, None] - drawn[None], axis=-1).min(1).max() <= np.linalg.norm(oblique.geometry.spacing) / 2 + 1e-6
    assert (saved[before == 1] > 0).all()
    straighten(session, owner, scan, False)
    np.testing.assert_array_equal(source_labels(scan).array, saved)
    assert scan.voxels[2] == np.count_nonzero(saved == 2)
    session.undo()
    np.testing.assert_array_equal(source_labels(scan).array, before)
    assert scan.voxels[2] == 0


def test_a_stroke_made_while_it_is_turned_is_kept(session, owner, scan):
    showing.straighten(session, scan, True)
    session.adopt_labels(scan, np.ones(scan.display.geometry.shape, np.uint8))
    owner.run_until(lambda: scan.aside is not None)
    assert scan.labels.any()


def test_a_slab_that_cannot_be_straightened_says_so_and_stays_as_it_is(session, owner, problems):
    matrix = Rotation.from_euler("zyx", (0, 45, 0), degrees=True).as_matrix()
    grid = Geometry((2, 300, 300), (0.5, 0.5, 0.5), direction=tuple(float(v) for v in matrix.ravel()))
    scan = session.open(Volume(np.ones(grid.shape, np.float32), grid, name="slab"))
    showing.straighten(session, scan, True)
    owner.run_until(lambda: bool(problems))
    assert "at a slant" in str(problems[0])
    assert scan.aside is None


def test_a_scan_of_several_channels_names_them_and_works_on_the_chosen_one(session, oblique):
    both = Volume(np.stack([oblique.array, oblique.array + 1000]), oblique.geometry, name="study", modality="MR", channel_names=("T1", "FLAIR"))
    scan = session.open(both)
    assert [c.name for c in scan.channels] == ["study T1", "study FLAIR"]
    assert scan.name == "study"
    showing.choose_channel(session, scan, 1)
    assert scan.display.array.min() > 900
    assert session.notice == "Working on study FLAIR now"
    np.testing.assert_array_equal(scan.source.array, both.array[1])
    showing.choose_overlay(session, scan, 0)
    showing.choose_channel(session, scan, 0)
    assert scan.overlay == 1, "what was laid over becomes what is worked on, and the other way round"
    showing.choose_overlay(session, scan, 0)
    assert scan.overlay == 1, "nothing lies over itself"


def test_a_window_is_remembered_for_the_next_scan_of_its_kind(session):
    def ct():
        return Volume(np.zeros((4, 5, 6), np.int16), Geometry((4, 5, 6)), name="chest", modality="CT")

    first = session.open(ct())
    assert session.windows.first(first.display).key == "soft"
    showing.choose_window(session, first, "lung")
    assert first.window == Window(-600, 1500)
    assert first.preset == "lung"
    assert session.windows.first(ct()).key == "lung"
    showing.set_window(session, first, Window(0, 123))
    assert first.preset == ""


def test_a_large_scan_is_shown_without_a_copy(monkeypatch, ball):
    from napari_medseg.session import state

    monkeypatch.setattr(state, "LARGE_BYTES", 1)
    assert np.shares_memory(displayed(ball).array, ball.array)
    scan = open_scan(ball)
    np.testing.assert_array_equal(scan.source.array, ball.array)
    sideways = Volume(ball.array, Geometry(ball.geometry.shape, ball.geometry.spacing, (0, 0, 0), (0, 0, 1, 1, 0, 0, 0, 1, 0)))
    assert not np.shares_memory(displayed(sideways).array, ball.array)
    np.testing.assert_array_equal(open_scan(sideways).source.array, ball.array)


@pytest.mark.parametrize("mode", ["levelset", "scribbles"])
def test_engines_work_on_a_scan_that_is_shown_without_a_copy(session, owner, problems, monkeypatch, ball, ball_seeds, mode):
    from napari_medseg.session import state

    monkeypatch.setattr(state, "LARGE_BYTES", 1)
    scan = session.open(ball)
    assert min(scan.display.array.strides) < 0, "the z axis runs backwards in memory"
    session.set_seeds(scan, {1: ball_seeds})
    session.begin_scribbles()
    scan.strokes[10:12, 28:36, 28:36], scan.strokes[:, :4] = 1, 255
    session.stroked(scan)
    session.set(mode=mode, tab="weak")
    session.run()
    owner.run_until(lambda: not session.job.is_active)
    assert not problems
    assert scan.preview.labels.any()


def test_work_that_is_not_on_disk_yet_is_told_anew_when_the_grid_changes(session, owner, scan):
    session.adopt_labels(scan, np.ones(scan.display.geometry.shape, np.uint8))
    told = []
    session.edited.connect(lambda scan, boxes: told.append(boxes))
    straighten(session, owner, scan, True)
    assert told == []
    scan.is_saved = False
    straighten(session, owner, scan, False)
    assert told == [None]
