"""Objects of a scan: where a network that has learnt in seconds finds them, on whatever grid the scan lies; several windows and several networks agree."""

from __future__ import annotations

from itertools import pairwise

import detectors
import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.export import export_model
from napari_medseg.segmenters.found import Finder, Found, collected
from napari_medseg.segmenters.opening import open_model
from napari_medseg.segmenters.volumetric.finding import Flat, agreed, find, merged, starts
from napari_medseg.segmenters.volumetric.model import VolumetricModel
from napari_medseg.volume import orient

SIZE = 100, 100
learns = pytest.mark.slow  # the network learns from 45 updates first: 8 s of one core


def overlap(one, other):
    """Of two boxes (y0, x0, y1, x1)."""
    both = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    area = [np.prod(box[2:] - box[:2]) for box in (one, other)]
    return both / (sum(area) - both)


def flat(box, label=1, score=0.9):
    y0, x0, y1, x1 = box
    return Flat(np.array(box, np.float32), np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], np.float32), label, score)


def places(found):
    """What was found as the millimetres tell it, in one order whatever the file's."""
    each = [(one.name, *np.sort(one.box_mm, axis=0)[[0, -1]].round(2).ravel()) for one in found]
    return sorted(each)


@pytest.fixture(scope="module")
def found():
    return collected(find(detectors.trained(), detectors.scan()[0]))


@learns
def test_both_objects_of_every_slice_are_found_where_they_lie(found):
    volume, labels = detectors.scan()
    assert sorted((each.index, each.label) for each in found) == [(z, label) for z in range(3) for label in (1, 2)]
    for each in found:
        plane = (labels[each.index] & each.label) > 0  # where the balls meet both are marked
        rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
        true = np.array([rows[0] - 0.5, columns[0] - 0.5, rows[-1] + 0.5, columns[-1] + 0.5])
        assert overlap(np.concatenate([each.box[:, 1:].min(0), each.box[:, 1:].max(0)]), true) > (0.7, 0.35)[each.label - 1]
        assert each.name == ("bright", "dark")[each.label - 1]
        assert 0.5 <= each.score <= 1
        np.testing.assert_allclose(volume.geometry.voxel(each.box_mm), each.box, atol=1e-3)
        np.testing.assert_allclose(volume.geometry.voxel(each.contour_mm), each.contour, atol=1e-3)
        assert (np.ptp(each.contour_mm, axis=0) <= np.ptp(each.box_mm, axis=0) + 4).all(), "an outline belongs to its box"


@learns
@pytest.mark.parametrize("order", ["RAS", "AIR"])
def test_a_file_in_another_voxel_order_gives_the_same_millimetres(found, order):
    turned = orient(detectors.scan()[0], order)
    again = collected(find(detectors.trained(), turned))
    assert [one[0] for one in places(again)] == [one[0] for one in places(found)]
    np.testing.assert_allclose([one[1:] for one in places(again)], [one[1:] for one in places(found)], atol=0.02)
    assert {each.axis for each in again} == {2 - max(order.find("S"), order.find("I"))}
    for each in again:
        np.testing.assert_allclose(turned.geometry.voxel(each.box_mm), each.box, atol=1e-3)
        assert 0 <= each.index < turned.geometry.shape[each.axis]


@learns
def test_one_slice_and_coarser_voxels_are_no_special_case():
    volume, _ = detectors.scan()
    one = volume.geometry.cropped((slice(1, 2), slice(0, 48), slice(0, 48)))
    single = type(volume)(volume.array[1:2], one, "one slice", "MR")
    alone = collected(find(detectors.trained(), single))
    assert sorted(each.label for each in alone) == [1, 2]
    assert {each.index for each in alone} == {0}
    grid = volume.geometry
    coarse = type(grid)((3, 24, 24), (4.0, 2.0, 2.0), tuple(grid.world((0, 0.5, 0.5))), grid.direction)
    halved = type(volume)(volume.array.reshape(3, 24, 2, 24, 2).mean((2, 4)).astype(np.float32), coarse, "coarse", "MR")
    rough = collected(find(detectors.trained(), halved))
    assert {each.label for each in rough} >= {1}
    bright = next(each for each in alone if each.label == 1)
    same = next(each for each in rough if each.label == 1 and each.index == 1)
    assert np.abs(same.box_mm.mean(0) - bright.box_mm.mean(0)).max() < 4


@learns
def test_a_saved_model_says_that_it_finds_and_one_of_label_maps_refuses(tmp_path, found):
    segmenter = open_model(detectors.saved(tmp_path))
    assert segmenter.capabilities.objects
    assert isinstance(segmenter, Finder)
    steps = list(segmenter.find(detectors.scan()[0], device="cpu"))
    assert steps[-1].fraction == 1.0
    assert places(collected(steps)) == places(found)
    two = type(detectors.scan()[0])(np.zeros((2, 3, 48, 48), np.float32), detectors.scan()[0].geometry, "two")
    with pytest.raises(InvalidInputError, match="2 channels"):
        next(segmenter.find(two, device="cpu"))
    maps = detectors.trained()
    maps.network.networks[0].network = type("Plain", (type(maps.network).__mro__[1],), {})()
    with pytest.raises(InvalidInputError, match="label maps"):
        next(find(maps, detectors.scan()[0]))


def test_an_object_in_two_windows_is_one_and_two_beside_each_other_stay_two():
    whole, cut, beside, other = flat((10, 10, 50, 50)), flat((10, 30, 50, 50), score=0.99), flat((10, 60, 50, 90)), flat((12, 12, 48, 48), label=2)
    kept = merged([cut, whole, beside, other], SIZE)
    assert sorted((each.label, *each.box.tolist()) for each in kept) == [(1, 10, 10, 50, 50), (1, 10, 60, 50, 90), (2, 12, 12, 48, 48)]
    outside = merged([flat((-5, 80, 20, 120))], SIZE)
    assert outside[0].box.tolist() == [0, 80, 20, 100]


def test_what_half_of_the_networks_find_counts_once():
    everywhere, alone = flat((10, 10, 40, 40), score=0.6), flat((60, 60, 80, 80), score=0.9)
    surer = flat((11, 11, 41, 41), score=0.8)
    assert [each.score for each in agreed([[everywhere, alone], [surer], [flat((10, 10, 41, 41), score=0.7)]])] == [0.8]
    assert agreed([[], []]) == []
    assert len(agreed([[alone], [everywhere]])) == 2


def test_windows_cover_a_slice_and_overlap_by_half():
    for length, side in ((48, 64), (64, 64), (65, 64), (300, 64)):
        begins = starts(length, side)
        if length <= side:
            assert begins == [-((side - length) // 2)]
            continue
        assert begins[0] == 0
        assert begins[-1] == length - side
        assert all(0 < b - a <= side / 2 + 1 for a, b in pairwise(begins))


@learns
def test_an_object_as_json_is_plain_numbers_in_millimetres(found):
    told = found[0].as_json()
    assert isinstance(found[0], Found)
    assert set(told) == {"label", "name", "score", "axis", "slice", "box_mm", "contour_mm"}
    assert len(told["box_mm"]) == 4
    assert told["axis"] == "z"
    np.testing.assert_allclose(told["box_mm"], found[0].box_mm, atol=6e-4)


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_a_model_that_finds_objects_is_not_exported_into_a_form_that_would_hold_on_to_them(form, tmp_path):
    member, plan = detectors.fresh()
    model = VolumetricModel(plan, [member], "cpu").save(tmp_path / "model", {"title": "Balls"})
    with pytest.raises(InvalidInputError, match="'hmr-net', which finds objects and cannot be saved"):
        export_model(model, tmp_path / "out", formats=[form])
    assert not (tmp_path / "out").exists()
