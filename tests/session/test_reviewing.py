"""The Review tab's model: its pages, and what the Guide says on them."""

import numpy as np
import pytest

from napari_medseg.session import next_step
from napari_medseg.session.guide_review import PAGES as SENTENCES
from napari_medseg.session.reviewing import PAGES
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def reviewed(session):
    geometry = Geometry((8, 16, 16), (2.0, 1.0, 0.5))
    session.open(Volume(np.random.default_rng(0).normal(100, 20, geometry.shape).astype(np.float32), geometry, name="made", modality="CT", units="HU"))
    session.set(tab="review")
    return session


def test_every_page_has_a_word_with_the_guide():
    assert set(SENTENCES) == set(PAGES)


def test_without_a_label_the_statistics_page_says_to_make_one(reviewed):
    assert "First accept or paint a label" in next_step(reviewed).sentence


def test_run_on_the_statistics_page_measures_the_labels(reviewed, owner):
    scan = reviewed.current
    labels = np.zeros(scan.display.geometry.shape, np.uint8)
    labels[2:4, 3:6, 3:7] = 1
    scan.hold(labels)
    reviewed.run()
    owner.run_until(lambda: reviewed.reviewing.statistics.of(scan) is not None)
    row, = reviewed.reviewing.statistics.of(scan).rows
    assert (row.voxels, row.pieces) == (24, 1)
    assert row.values.mean == pytest.approx(float(np.mean(scan.display.array[2:4, 3:6, 3:7])))
    assert "Click on a row" in next_step(reviewed).sentence
