"""The promptable network as a segmenter keeps its promises; what ships is built on it and passes the suite (`tests/pointing`)."""

import numpy as np
import pytest

from napari_medseg.annotation.prompts import ObjectPrompt, Prompts
from napari_medseg.errors import MissingFileError
from napari_medseg.segmenters.promptable.segmenter import PromptableSegmenter
from napari_medseg.segmenters.protocol import collect
from napari_medseg.testing.interactive_conformance import ball, centre
from napari_medseg.testing.segmenter_conformance import blob
from napari_medseg.volume import Geometry, Volume


def test_missing_weights_are_named():
    with pytest.raises(MissingFileError, match="nowhere"):
        list(PromptableSegmenter("nowhere.safetensors").predict(blob("isotropic"), Prompts((ObjectPrompt(1, points=((*centre(blob("isotropic")), 1),)),))))


def test_a_large_object_is_seen_whole():
    """Wider than the finest window: the window is laid coarser until the answer no longer runs out of it."""
    volume, truth = big_ball(side=112, radius=40)
    found = clicked(volume, (56, 56, 56))
    assert 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)) > 0.8


def test_only_the_surroundings_of_a_click_are_read():
    """A scan far from the click may hold anything: here values that would change a whole-scan normalisation."""
    volume, _ = big_ball(side=112, radius=8)
    far = volume.array.copy()
    far[:, :, 100:] = 30000
    np.testing.assert_array_equal(clicked(volume, (56, 56, 40)), clicked(volume.like(far), (56, 56, 40)))


def test_the_first_answer_comes_before_the_last_of_several_looks():
    volume, _ = big_ball(side=112, radius=40)
    pieces = list(PromptableSegmenter().predict(volume, at(volume, (56, 56, 56)), device="cpu"))
    assert len(pieces) > 1
    assert pieces[0].fraction == 0
    assert pieces[0].probabilities.size


def test_a_click_outside_takes_a_neighbour_away_and_leaves_the_rest():
    """What was right far from the click stays right."""
    volume = blob("isotropic")
    segmenter = PromptableSegmenter()
    first = clicked(volume, (5, 14, 15), segmenter=segmenter)
    second = clicked(volume, (5, 14, 15), (5, 30, 34, -1), segmenter=segmenter)
    truth = ball(volume)
    assert not second[5, 30, 34]
    assert np.count_nonzero(second != first) < 0.1 * np.count_nonzero(truth)


def test_memory_of_one_scan_is_not_used_for_another():
    segmenter = PromptableSegmenter()
    bright, dark = blob("isotropic"), blob("isotropic")
    dark = dark.like(np.roll(dark.array, 7, axis=2))
    clicked(bright, (5, 14, 15), segmenter=segmenter)
    np.testing.assert_array_equal(clicked(dark, (5, 14, 15), segmenter=segmenter), clicked(dark, (5, 14, 15)))


def test_release_gives_the_network_back_and_the_next_answer_is_the_same():
    segmenter, volume = PromptableSegmenter(), blob("isotropic")
    before = clicked(volume, (5, 14, 15), segmenter=segmenter)
    segmenter.release()
    np.testing.assert_array_equal(clicked(volume, (5, 14, 15), segmenter=segmenter), before)


def big_ball(side, radius):
    place = np.indices((side,) * 3) - side // 2
    truth = (place**2).sum(axis=0) < radius**2
    values = np.where(truth, 900, 300) + np.random.default_rng(1).normal(0, 40, truth.shape)
    return Volume(values.astype(np.int16), Geometry(truth.shape, (1.0, 1.0, 1.0))), truth


def at(volume, *voxels):
    points = tuple((*(float(v) for v in volume.geometry.world(voxel[:3])), voxel[3] if len(voxel) > 3 else 1) for voxel in voxels)
    return Prompts((ObjectPrompt(1, points=points),))


def clicked(volume, *voxels, segmenter=None):
    segmenter = segmenter or PromptableSegmenter()
    return collect(segmenter.predict(volume, at(volume, *voxels), device="cpu"), volume.geometry.shape)[0] > 0.5
