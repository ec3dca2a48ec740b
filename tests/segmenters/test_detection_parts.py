"""The parts of networks that find objects, against formulas written out here and cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.detection.anchors import COUNT, anchors, shapes
from napari_medseg.segmenters.networks.detection.boxes import decode, encode, overlap, suppress
from napari_medseg.segmenters.networks.detection.contours import evenly, inside, middle, outline, signed_area
from napari_medseg.segmenters.networks.detection.kernels import Responses
from napari_medseg.segmenters.networks.detection.losses import balanced, box_loss, contour_loss, heat, manifold_loss
from napari_medseg.segmenters.networks.detection.matching import chosen, matched, spread
from napari_medseg.segmenters.networks.detection.regions import level_of, roi_align, roi_align_levels
from napari_medseg.segmenters.networks.detection.residual import Trunk
from napari_medseg.segmenters.networks.detection.targets import truth


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    """As the paper of RoIAlign has it: 0 more than a pixel outside, the nearest inside within that pixel."""
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    ly, lx = y - y0, x - x0
    return float(plane[y0, x0] * (1 - ly) * (1 - lx) + plane[y0, x1] * (1 - ly) * lx + plane[y1, x0] * ly * (1 - lx) + plane[y1, x1] * ly * lx)


def aligned_by_hand(features: np.ndarray, box: np.ndarray, size: int, stride: float, samples: int) -> np.ndarray:
    y0, x0, y1, x1 = box / stride - 0.5
    out = np.zeros((features.shape[0], size, size))
    for c, plane in enumerate(features):
        for i in range(size):
            for j in range(size):
                places = [
                    bilinear(plane, y0 + (i + (a + 0.5) / samples) * (y1 - y0) / size, x0 + (j + (b + 0.5) / samples) * (x1 - x0) / size)
                    for a in range(samples) for b in range(samples)
                ]
                out[c, i, j] = np.mean(places)
    return out


@pytest.mark.parametrize("stride", [1.0, 4.0])
def test_regions_are_aligned_as_the_formula_says_inside_across_and_outside_the_edge(stride: float) -> None:
    draws = np.random.default_rng(0)
    features = draws.normal(size=(2, 3, 7, 9))
    inside_, across, outside = [1.3, 2.1, 5.2, 6.9], [-2.0, 4.0, 3.3, 12.5], [20.0, 20.0, 25.0, 26.0]
    boxes = [torch.tensor([inside_, across, outside], dtype=torch.float64) * stride, torch.tensor([[0.0, 0.0, 7.0, 9.0]], dtype=torch.float64) * stride]
    found = roi_align(torch.from_numpy(features), boxes, 3, stride).numpy()
    wanted = [aligned_by_hand(features[i], box.numpy(), 3, stride, 2) for i, some in enumerate(boxes) for box in some]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert not found[2].any()


def test_a_ramp_is_read_exactly_at_the_middle_of_each_bin() -> None:
    y, x = torch.meshgrid(torch.arange(16.0) + 0.5, torch.arange(16.0) + 0.5, indexing="ij")
    found = roi_align(torch.stack([y, x])[None].double(), [torch.tensor([[2.0, 4.0, 10.0, 8.0]]).double()], 4, 1.0)
    np.testing.assert_allclose(found[0, 0, :, 0], [3, 5, 7, 9], atol=1e-12)
    np.testing.assert_allclose(found[0, 1, 0], [4.5, 5.5, 6.5, 7.5], atol=1e-12)


def test_a_region_can_be_learned_through_and_no_region_gives_an_empty_answer() -> None:
    features = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    box = torch.tensor([[0.7, 1.1, 3.9, 4.2]], dtype=torch.float64)
    assert gradcheck(lambda f: roi_align(f, [box], 2, 1.0), (features,))
    assert roi_align(features, [box[:0]], 2, 1.0).shape == (0, 2, 2, 2)


def test_a_region_of_a_pyramid_comes_from_the_level_of_equation_1_in_its_own_order() -> None:
    sides = torch.tensor([10.0, 223.0, 224.0, 447.0, 448.0, 5000.0, 112.0])
    boxes = torch.stack([torch.zeros(7), torch.zeros(7), sides, sides], 1)
    assert level_of(boxes, 4).tolist() == [0, 1, 2, 2, 3, 3, 1]
    levels = [torch.full((1, 1, 4, 4), float(i)) for i in range(4)]
    found = roi_align_levels(levels, [boxes / 100], 1, [1.0] * 4, canonical=2.24)[:, 0, 0, 0]
    assert found.tolist() == pytest.approx([0, 1, 2, 2, 3, 0, 1], abs=1e-6)  # nearly all of the sixth lies outside


def suppressed_by_hand(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    left, kept = sorted(range(len(boxes)), key=lambda i: -scores[i]), []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if iou(boxes[best], boxes[i]) <= threshold]
    return kept


def iou(a: np.ndarray, b: np.ndarray) -> float:
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize("seed", range(5))
def test_suppression_keeps_what_going_through_the_boxes_one_by_one_keeps(seed: int) -> None:
    draws = np.random.default_rng(seed)
    low = draws.uniform(0, 40, (60, 2))
    boxes = np.concatenate([low, low + draws.uniform(3, 20, (60, 2))], 1).astype(np.float32)
    scores = draws.permutation(60).astype(np.float32)
    for threshold in (0.2, 0.5, 0.8):
        assert suppress(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist() == suppressed_by_hand(boxes, scores, threshold)
    table = overlap(torch.from_numpy(boxes), torch.from_numpy(boxes)).numpy()
    np.testing.assert_allclose(table, [[iou(a, b) for b in boxes] for a in boxes], atol=1e-6)


def test_suppression_leaves_other_groups_alone_and_takes_the_earlier_of_equals() -> None:
    boxes, scores = torch.tensor([[0.0, 0, 4, 4]] * 3), torch.tensor([0.5, 0.5, 0.5])
    assert suppress(boxes, scores, 0.5).tolist() == [0]
    assert suppress(boxes, scores, 0.5, torch.tensor([1, 2, 1])).tolist() == [0, 1]
    assert suppress(boxes[:0], scores[:0], 0.5).tolist() == []


def test_a_coded_box_comes_back() -> None:
    draws = torch.Generator().manual_seed(0)
    low = torch.rand(20, 2, generator=draws) * 30
    boxes, references = (torch.cat([low + d, low + d + 2 + torch.rand(20, 2, generator=draws) * 20], 1) for d in (0, 3))
    for weights in ((1.0, 1.0), (10.0, 5.0)):
        torch.testing.assert_close(decode(encode(boxes, references, weights), references, weights), boxes, atol=1e-4, rtol=1e-4)
    assert encode(boxes, boxes).abs().max() == 0


def test_anchors_lie_around_the_middle_of_their_feature_and_have_their_area_and_ratio() -> None:
    found = anchors(2, 3, 4.0, 8.0, torch.zeros(1)).reshape(2, 3, COUNT, 4)
    middles = (found[..., :2] + found[..., 2:]) / 2
    torch.testing.assert_close(middles[1, 2], torch.tensor([6.0, 10.0]).expand(COUNT, 2))
    sides = shapes(8.0)[:, 2:] - shapes(8.0)[:, :2]
    torch.testing.assert_close(sides.prod(1), torch.tensor([64.0] * 3 + [128.0] * 3))
    torch.testing.assert_close(sides[:3, 0] / sides[:3, 1], torch.tensor([0.5, 1.0, 2.0]))


def test_the_trunks_have_as_many_parameters_as_the_published_ones_without_their_classifier() -> None:
    def count(**parameters: int) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in Trunk(3, **parameters).parameters())

    assert count(depth=18) == 11_689_512 - 513_000
    assert count(depth=34) == 21_797_672 - 513_000
    assert count(depth=50) == 25_557_032 - 2_049_000
    assert count(depth=101) == 44_549_160 - 2_049_000
    assert count(depth=50, cardinality=32, per_group=4) == 25_028_904 - 2_049_000
    assert count(depth=101, cardinality=32, per_group=8) == 88_791_336 - 2_049_000


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_trunk_halves_from_its_stride_on(stride: int) -> None:
    trunk = Trunk(1, 18, 4, stride)
    found = trunk(torch.zeros(1, 1, 64, 32))
    assert [64 // x.shape[2] for x in found] == [32 // x.shape[3] for x in found] == list(trunk.strides)
    assert [x.shape[1] for x in found] == list(trunk.channels)


def test_a_trunk_that_was_never_published_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no residual trunk"):
        Trunk(1, 19)


def square(low: int, high: int, size: int = 20) -> np.ndarray:
    plane = np.zeros((size, size), np.float32)
    plane[low:high, low:high] = 1
    return plane


def test_a_boundary_runs_clockwise_from_straight_above_the_centre_at_equal_steps() -> None:
    points = outline(square(5, 13), 28)
    assert points[0] == pytest.approx([5.0, 9.0])
    assert signed_area(points) == pytest.approx(64, rel=0.05)
    steps = np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1)
    assert steps.max() < 1.01 * np.median(steps)
    assert points[7] == pytest.approx([9.0, 13.0], abs=0.01)  # a quarter on: the right edge
    assert middle(points) == pytest.approx([9.0, 9.0], abs=1e-4)


def test_a_boundary_is_the_same_wherever_its_curve_begins_and_whichever_way_it_runs() -> None:
    turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    curve = np.stack([10 + 6 * np.sin(turn), 12 + 3 * np.cos(turn) + np.sin(2 * turn)], 1)
    first = evenly(curve, 50)
    for other in (np.roll(curve, 137, axis=0), curve[::-1], np.concatenate([curve, curve[:1]])):
        np.testing.assert_allclose(evenly(other, 50), first, atol=1e-4)


def test_an_object_at_the_edge_of_the_slice_ends_where_the_slice_ends() -> None:
    points = outline(square(14, 20), 40)
    assert points.max() == pytest.approx(20.0)
    assert points.min() == pytest.approx(14.0)
    assert not outline(np.zeros((5, 5), np.float32), 8).any()


def test_a_boundary_becomes_the_map_it_came_from() -> None:
    y, x = np.mgrid[:40, :40] + 0.5
    shape = ((y - 18) / 12) ** 2 + ((x - 22) / 7 + 0.3 * np.sin(y / 4)) ** 2 < 1
    back = inside(outline(shape.astype(np.float32), 100), (40, 40)) > 0
    assert 2 * (back & shape).sum() / (back.sum() + shape.sum()) > 0.98
    ring = inside(np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32), (30, 30))
    assert ring[14, 14] == pytest.approx(4.5)
    assert ring[25, 14] == pytest.approx(-5.5)
    assert (ring > 0).sum() == 100


def test_objects_of_a_label_map_are_its_connected_parts_with_exact_boxes() -> None:
    targets = torch.zeros(2, 20, 20)
    targets[0, 2:5, 3:9] = 1
    targets[0, 5, 9] = 1  # joined by a corner
    targets[0, 12:16, 12:16] = 1
    targets[1, 0:4, 16:20] = 1  # in the corner of the slice
    found = truth(targets, torch.ones(1, 20, 20), 16)
    assert found.boxes.tolist() == [[2, 3, 6, 10], [12, 12, 16, 16], [0, 16, 4, 20]]
    assert found.classes.tolist() == [1, 1, 2]
    assert found.counts.tolist() == [1, 1, 1]
    torch.testing.assert_close(found.masks.sum((1, 2)), torch.tensor([19.0, 16.0, 16.0]))
    assert found.contours[1].amin(0).tolist() == pytest.approx([12, 12])
    assert found.contours[1].amax(0).tolist() == pytest.approx([16, 16])


def test_a_slice_without_an_object_has_no_truth_and_all_of_it_is_background() -> None:
    nothing = truth(torch.zeros(3, 12, 12), torch.ones(1, 12, 12), 16)
    assert len(nothing) == 0
    assert nothing.contours.shape == (0, 16, 2)
    classes, _, weights = matched(torch.tensor([[0.0, 0, 5, 5], [3, 3, 9, 9]]), nothing, 0.5, 0.5, best=True)
    assert classes.tolist() == [0, 0]
    assert weights.tolist() == [1, 1]
    assert not len(chosen(torch.zeros(0, 4), nothing, 16, 0.5).boxes)


def test_an_object_counts_as_its_pixels_do_and_one_that_touches_the_unknown_is_not_taught() -> None:
    targets, weights = torch.zeros(1, 24, 24), torch.ones(1, 24, 24)
    targets[0, 2:8, 2:8] = 1
    weights[0, 2:8, 2:8] = 0.4
    targets[0, 12:18, 12:18] = 1
    weights[0, 12:18, 18:22] = 0
    targets[0, :, 18:22] = float("nan")
    targets[0, 20:, 2:3] = 1  # four pixels are taught
    targets[0, 12, 2] = 1  # one is not
    found = truth(targets.nan_to_num(0) + torch.where(weights == 0, float("nan"), 0.0), weights, 16)
    assert found.counts.tolist() == pytest.approx([0.4, 0, 0, 1])
    boxes = torch.cat([found.boxes, torch.tensor([[12.0, 18, 18, 22], [8, 8, 10, 10]])])
    classes, objects, weight = matched(boxes, found, 0.5, 0.5, best=False)
    assert classes.tolist() == [1, 1, 1, 1, 0, 0]
    assert objects[:4].tolist() == [0, 1, 2, 3]
    assert weight.tolist() == pytest.approx([0.4, 0, 0, 1, 0, 1])


def test_between_the_two_bounds_nothing_is_taught_and_every_object_has_a_box_that_holds_it() -> None:
    targets = torch.zeros(1, 30, 30)
    targets[0, 10:20, 10:20] = 1
    found = truth(targets, torch.ones(1, 30, 30), 8)
    boxes = torch.tensor([[10.0, 10, 20, 20], [10, 10, 20, 15], [0, 0, 5, 5], [10, 10, 20, 12]])
    assert matched(boxes, found, 0.7, 0.3, best=False)[2].tolist() == [1, 0, 1, 1]
    assert matched(boxes[1:], found, 0.7, 0.3, best=True)[0].tolist() == [1, 0, 0]


def test_a_choice_of_regions_holds_to_its_shares_and_needs_no_draw() -> None:
    targets = torch.zeros(1, 40, 40)
    targets[0, 10:20, 10:20] = 1
    found = truth(targets, torch.ones(1, 40, 40), 8)
    proposals = torch.cat([torch.rand(200, 2), 5 + torch.rand(200, 2) * 30], 1)
    some = chosen(proposals, found, 32, 0.25)
    assert len(some.boxes) == 32
    assert 1 <= len(some.positive) <= 8
    again = chosen(proposals, found, 32, 0.25)
    assert torch.equal(some.boxes, again.boxes)
    assert spread(torch.arange(10), 4).tolist() == [0, 3, 6, 9]


def test_losses_are_zero_where_all_is_right_and_of_nothing() -> None:
    codes = torch.randn(5, 4)
    assert box_loss(codes, codes, torch.ones(5)) == 0
    assert box_loss(torch.tensor([[0.5, 3.0, 0, 0]]), torch.zeros(1, 4), torch.ones(1)) == pytest.approx(0.125 + 2.5)
    points = torch.randn(3, 8, 2)
    assert contour_loss(points, points, torch.ones(3)) < 1e-3
    assert contour_loss(points + torch.tensor([3.0, 4.0]), points, torch.ones(3)) == pytest.approx(30, rel=1e-3)
    for loss in (box_loss(codes[:0], codes[:0], torch.ones(0)), contour_loss(points[:0], points[:0], torch.ones(0)), manifold_loss(codes[:1], codes[:1], 3)):
        assert loss == 0
    yes = torch.tensor([True] + [False] * 99)
    assert balanced(torch.zeros(100), yes, torch.ones(100)) == pytest.approx(np.log(2), rel=1e-5)
    assert balanced(torch.where(yes, 20.0, -20.0), yes, torch.ones(100)) < 1e-6


def test_the_manifold_term_is_the_normalised_laplacian_of_the_heat_kernel_graph() -> None:
    draws = torch.Generator().manual_seed(3)
    shape, latent = torch.randn(7, 6, generator=draws, dtype=torch.float64), torch.randn(7, 4, generator=draws, dtype=torch.float64)
    y = shape.numpy()
    apart = np.linalg.norm(y[:, None] - y[None], axis=-1)
    sigma = 2 / (7 * 6) * sum(apart[i, j] for i in range(7) for j in range(i + 1, 7))
    s = np.zeros((7, 7))
    for i in range(7):
        for j in sorted((j for j in range(7) if j != i), key=lambda j: apart[i, j])[:2]:
            s[i, j] = np.exp(-(apart[i, j] ** 2) / (2 * sigma**2))
    s = np.maximum(s, s.T)
    np.testing.assert_allclose(heat(shape, 2).numpy(), s, atol=1e-12)
    d = np.diag(1 / np.sqrt(s.sum(1)))
    z = latent.numpy()
    wanted = 2 / (s > 0).sum() * np.trace(z.T @ (d @ (np.diag(s.sum(1)) - s) @ d) @ z)
    assert manifold_loss(latent, shape, 2).item() == pytest.approx(wanted)
    alike = torch.ones(7, 1, dtype=torch.float64) * heat(shape, 2).sum(1, keepdim=True).sqrt()
    assert manifold_loss(alike, shape, 2).item() == pytest.approx(0, abs=1e-12)
    assert gradcheck(lambda some: manifold_loss(some, shape, 2), (latent.requires_grad_(),))


def test_a_kernel_is_dropped_where_one_modality_sees_all_or_nothing_of_it() -> None:
    ramp = torch.linspace(0, 1, 16).reshape(4, 4)
    dead, full = torch.zeros(4, 4), torch.ones(4, 4)
    responses = Responses()
    responses.add("CT", [torch.stack([ramp, ramp, ramp]), torch.stack([dead, ramp])])
    responses.add("MR", [torch.stack([ramp, dead, full]), torch.stack([dead, 1 - ramp])])
    assert responses.informative().tolist() == [True, False, False, False, True]
    responses.add("MR", [torch.stack([ramp, ramp, full]), torch.stack([dead, ramp])])  # another image shows it after all
    assert responses.informative().tolist() == [True, True, False, False, True]
