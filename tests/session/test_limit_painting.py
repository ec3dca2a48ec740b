"""The limit brush without a window."""

import numpy as np
import pytest

from napari_medseg.session import limit_painting
from napari_medseg.volume import Geometry, Volume

AS_SHOWN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def scan(session):
    scan = session.open(Volume(np.zeros((20, 80, 80), np.float32), Geometry((20, 80, 80), (5.0, 1.0, 1.0), direction=AS_SHOWN), name="thick"))
    session.set(mode="limit")
    session.begin_limit()
    return scan


def test_the_ball_reaches_across_thick_slices_in_millimetres(session, scan):
    limit_painting.paint(session, scan, (10, 40, 40), (10, 40, 40))
    held = np.argwhere(scan.limit)
    low, high = held.min(0), held.max(0)
    assert np.array_equal(high - low, [6, 30, 30]), "15 mm are 3 slices or 15 pixels to either side"
    assert set(np.unique(scan.limit)) == {0, 1}
    assert len(np.unique(scan.limit_weight)) > 10, "the rim is soft"


def test_a_stroke_leaves_no_gap_however_fast_the_hand(session, scan):
    limit_painting.paint(session, scan, (10, 40, 16), (10, 40, 64))
    assert scan.limit[10, 40, 16:65].all()


def test_erasing_and_undo_bring_back_what_was(session, scan):
    limit_painting.paint(session, scan, (10, 40, 30), (10, 40, 50))
    before = scan.limit.copy(), scan.limit_weight.copy()
    limit_painting.paint(session, scan, (10, 40, 40), (10, 40, 40), erase=True)
    assert not scan.limit[10, 40, 40]
    session.undo_limit(scan)
    assert np.array_equal(scan.limit, before[0])
    assert np.array_equal(scan.limit_weight, before[1])
    session.redo_limit(scan)
    assert not scan.limit[10, 40, 40]
    session.undo_limit(scan)
    session.undo_limit(scan)
    assert not scan.limit.any()


def test_clearing_is_one_step(session, scan):
    limit_painting.paint(session, scan, (10, 40, 30), (10, 40, 50))
    limit_painting.clear(session)
    assert not scan.limit.any()
    session.undo_limit(scan)
    assert scan.limit.any()


def test_the_brush_may_hang_over_the_edge(session, scan):
    limit_painting.paint(session, scan, (0, -4, 40), (0, 3, 40))
    assert scan.limit[0, 0, 40]
    assert limit_painting.paint(session, scan, (10, -300, 40), (10, -310, 40)) is None


def test_grow_inside_it_runs_the_level_set_in_the_limit(session, owner, ball, ball_seeds):
    scan = session.open(ball)
    session.set_seeds(scan, {1: ball_seeds})
    session.set(mode="limit")
    session.begin_limit()
    middle = scan.display.geometry.voxel(np.array(ball_seeds)).mean(0)
    place = (float(middle[0]), float(middle[1]), float(middle[2]))
    limit_painting.paint(session, scan, place, place)
    session.run()
    assert session.mode == "levelset", "whose page steers what grows"
    owner.run_until(lambda: not session.job.is_active)
    assert scan.preview.labels.any()
    assert not scan.preview.labels[scan.limit == 0].any()
