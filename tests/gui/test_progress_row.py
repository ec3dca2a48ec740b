"""The row that tells what runs: it stops what no tab has a button for, and says nothing of a scan that was left."""

import threading

import numpy as np
import pytest

from napari_medseg.session.jobs import PREVIEW, Looked
from napari_medseg.session.state import open_scan
from napari_medseg.volume import Geometry, Volume

pytestmark = pytest.mark.qt


@pytest.fixture
def row(dock):
    return dock.progress


def scan(session):
    return session.open(open_scan(Volume(np.zeros((4, 8, 8), np.float32), Geometry((4, 8, 8), (1.0, 1.0, 1.0)))))


def run(session, key, message):
    end = threading.Event()

    def work():
        yield Looked(0.5, message)
        end.wait(30)
        yield Looked(0.9, message)

    return session.jobs.start(key, "Some work", work, apply=lambda _: None, done=lambda: None, failed=session.report, own_thread=True), end


def test_what_was_grown_in_one_scan_is_not_told_beside_the_next(session, row, qtbot):
    scan(session)
    job, end = run(session, PREVIEW, "30.6 ml")
    qtbot.waitUntil(lambda: row.detail.text() == "30.6 ml", timeout=20_000)
    assert row.stop.isHidden(), "the tab has a button for it"
    end.set()
    qtbot.waitUntil(lambda: not job.is_active, timeout=20_000)
    row.refresh()
    assert row.detail.text() == "30.6 ml", "it stands there while that scan is in work"
    scan(session)
    row.refresh()
    assert not row.detail.text()
    assert not row.title.text()


def test_what_work_was_doing_last_does_not_stand_beside_its_end(session, row, qtbot):
    scan(session)
    session.set(tab="review")
    job, end = run(session, session.reviewing.lane, "Reading the next scans")
    qtbot.waitUntil(lambda: row.detail.text() == "Reading the next scans", timeout=20_000)
    end.set()
    qtbot.waitUntil(lambda: job.state == "done", timeout=20_000)
    row.refresh()
    assert row.left.text().startswith("done in")
    assert not row.detail.text()


def test_work_of_no_tab_has_a_button_that_stops_it(session, row, qtbot):
    scan(session)
    job, end = run(session, "export labels", "Wrote one")
    qtbot.waitUntil(lambda: not row.stop.isHidden(), timeout=20_000)
    row.stop.click()
    end.set()
    assert job.state == "stopped"
    row.refresh()
    assert row.stop.isHidden()
