"""The promptable model that ships passes the suite for what is pointed at, and draws outlines that its network alone does not."""

import functools

import numpy as np
import pytest

from napari_medseg.annotation.prompts import ObjectPrompt, Prompts
from napari_medseg.catalogue import load
from napari_medseg.pointing.segmenter import PointingSegmenter
from napari_medseg.segmenters.promptable.asking import Asking
from napari_medseg.segmenters.promptable.segmenter import TITLE, WEIGHTS, PromptableSegmenter
from napari_medseg.segmenters.protocol import collect
from napari_medseg.testing.interactive_conformance import InteractiveConformance
from napari_medseg.testing.segmenter_conformance import blob
from napari_medseg.volume import Geometry, Volume


class TestPointing(InteractiveConformance):
    def segmenter(self):
        """A fresh one, which remembers nothing, round a network that was read from its file once."""
        made = PointingSegmenter()
        made._asking, made._device = network(), "cpu"
        return made


def test_the_catalogue_builds_it():
    entry = load().find("promptable", "segmenter")
    built = entry.build()
    assert isinstance(built, PointingSegmenter)
    assert set(entry.capabilities["prompts"]) == built.capabilities.prompts
    assert built.capabilities.interactive
    assert entry.licence == built.capabilities.licence


def test_a_large_object_is_outlined_at_the_scans_resolution():
    """Its network sees an object that fills several windows in voxels of two or three of the scan's; the outline is drawn in the scan's own."""
    volume, truth = balls(96, ((48, 48, 48), 34))
    bare, settled = (clicked(volume, (48, 48, 48), segmenter=each) for each in (PromptableSegmenter(), PointingSegmenter()))
    assert dice(settled, truth) > dice(bare, truth)
    assert dice(settled, truth) > 0.95


def test_two_pieces_are_both_outlined_when_both_are_clicked():
    volume, truth = balls(64, ((32, 32, 16), 8), ((32, 32, 46), 8))
    segmenter = PointingSegmenter()
    one = clicked(volume, (32, 32, 16), segmenter=segmenter)
    both = clicked(volume, (32, 32, 16), (32, 32, 46), segmenter=segmenter)
    assert dice(both, truth) > max(0.85, dice(one, truth))


def test_the_network_is_shown_before_the_outline_is_settled():
    volume, _ = balls(64, ((32, 32, 32), 10))
    pieces = list(PointingSegmenter().predict(volume, at(volume, (32, 32, 32)), device="cpu"))
    shown = [piece for piece in pieces if piece.probabilities.size]
    assert len(shown) >= 2
    assert shown[0].fraction == 0
    assert shown[-1].fraction == 1


def test_only_the_surroundings_of_a_click_are_read():
    volume, _ = balls(112, ((56, 56, 40), 8))
    far = volume.array.copy()
    far[:, :, 100:] = 30000
    np.testing.assert_array_equal(clicked(volume, (56, 56, 40)), clicked(volume.like(far), (56, 56, 40)))


@pytest.mark.parametrize("value", [7, np.nan])
def test_a_scan_of_one_value_is_answered_by_the_network_alone(value):
    volume = Volume(np.full((24, 24, 24), value, np.float32), Geometry((24, 24, 24)))
    found = clicked(volume, (12, 12, 12))
    np.testing.assert_array_equal(found, clicked(volume, (12, 12, 12), segmenter=PromptableSegmenter()))
    assert found[12, 12, 12]


def test_a_single_slice_is_outlined():
    volume, truth = balls(64, ((32, 32, 32), 12))
    slice_of = Volume(np.ascontiguousarray(volume.array[32:33]), Geometry((1, 64, 64)))
    assert dice(clicked(slice_of, (0, 32, 32)), truth[32:33]) > 0.8


def test_strokes_on_both_sides_are_obeyed_to_the_voxel():
    volume, truth = balls(64, ((32, 32, 32), 10))
    drawn = np.zeros(truth.shape, np.uint8)
    drawn[32, 32, 28:37] = 1
    drawn[32, 20, 20:45] = 255
    drawn[32, 38, 30:34] = 255
    found = collect(PointingSegmenter().predict(volume, Prompts(scribbles=volume.like(drawn)), device="cpu"), truth.shape)[0] > 0.5
    assert found[drawn == 1].all()
    assert not found[drawn == 255].any()
    assert dice(found, truth) > 0.75


def test_what_lies_far_beyond_a_box_is_no_part_of_the_answer():
    """Two alike that touch: the box says which."""
    volume, truth = balls(64, ((32, 32, 22), 10), ((32, 32, 40), 10))
    corners = tuple(tuple(float(v) for v in volume.geometry.world(corner)) for corner in ((22, 22, 12), (42, 42, 31)))
    found = collect(PointingSegmenter().predict(volume, Prompts((ObjectPrompt(1, boxes=(corners,)),)), device="cpu"), truth.shape)[0] > 0.5
    assert np.count_nonzero(found[:, :, 36:]) < 0.1 * np.count_nonzero(found)


def test_release_forgets_and_the_next_answer_is_the_same():
    segmenter, volume = PointingSegmenter(), blob("isotropic")
    before = clicked(volume, (5, 14, 15), segmenter=segmenter)
    segmenter.release()
    np.testing.assert_array_equal(clicked(volume, (5, 14, 15), segmenter=segmenter), before)


@functools.cache
def network():
    return Asking(WEIGHTS, "cpu", TITLE)


def balls(side, *placed):
    """Bright balls (centre, radius) in noise, and where they are."""
    truth = np.zeros((side,) * 3, bool)
    for centre, radius in placed:
        truth |= sum((np.arange(side).reshape([-1 if a == axis else 1 for a in range(3)]) - c) ** 2 for axis, c in enumerate(centre)) < radius**2
    values = np.where(truth, 900, 300) + np.random.default_rng(1).normal(0, 60, truth.shape)
    return Volume(values.astype(np.int16), Geometry(truth.shape, (1.0, 1.0, 1.0))), truth


def at(volume, *voxels):
    points = tuple((*(float(v) for v in volume.geometry.world(voxel[:3])), voxel[3] if len(voxel) > 3 else 1) for voxel in voxels)
    return Prompts((ObjectPrompt(1, points=points),))


def clicked(volume, *voxels, segmenter=None):
    segmenter = segmenter or PointingSegmenter()
    return collect(segmenter.predict(volume, at(volume, *voxels), device="cpu"), volume.geometry.shape)[0] > 0.5


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))
