"""The catalogue's losses: what each is worth where a prediction is right, what it makes of a worse one, of unknown voxels and of shares between 0 and 1."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.losses import building
from napari_medseg.refine.losses.distances import distances
from napari_medseg.refine.medseg.losses import compound

LOSSES = (
    "ce", "weighted-ce", "balanced-ce", "focal", "conservative", "dice", "generalised-dice", "jaccard", "tversky", "lovasz", "exponential-logarithmic", "combo",
    "boundary", "hausdorff", "active-contour", "level-set-term",
)
OUTLINED = ("active-contour", "level-set-term")  # hold the length of the outline
MEASURED = ("boundary", "hausdorff")  # nothing to measure to where a class is not
LABELS_ONLY = ("focal", "conservative", "boundary", "combo", *OUTLINED)  # of shares between 0 and 1 their smallest lies elsewhere, or is not 0
SURE = 50.0

build = cache(building.build)


def case(shape=(7, 10), classes=1, dtype=torch.float64):
    """Labels (2, classes, *shape) of one box a class, weights between a half and one, and one voxel in nine unknown."""
    generator = torch.Generator().manual_seed(len(shape) * 10 + classes)
    targets = torch.zeros(2, classes, *shape, dtype=dtype)
    for c in range(classes):
        targets[(slice(None), c, *[slice(1, -1)] * (len(shape) - 1), slice(1 + 3 * c, 3 + 3 * c))] = 1
    weights = 0.5 + torch.rand((2, 1, *shape), generator=generator, dtype=dtype) / 2
    weights[torch.rand(weights.shape, generator=generator) < 0.11] = 0
    return targets, weights


def logits_of(targets, sure=SURE):
    """What says exactly this, against a background of 0."""
    return (2 * targets - 1) * sure


def drawn(targets, seed=0):
    return torch.randn(targets.shape, generator=torch.Generator().manual_seed(seed), dtype=targets.dtype)


def mixed(targets):
    """Shares: each patch with a part of the other's."""
    return 0.7 * targets + 0.3 * targets.flip(2)


BATCHES = [case(shape, classes) for shape in ((7, 10), (4, 5, 10)) for classes in (1, 3)]
each = pytest.mark.parametrize("name", LOSSES)
each_batch = pytest.mark.parametrize("batch", BATCHES, ids=("2D, 1 class", "2D, 3 classes", "3D, 1 class", "3D, 3 classes"))


def some(*names):
    """Those losses."""
    return pytest.mark.parametrize("name", names)


def others(*names):
    """All losses but those."""
    return some(*(name for name in LOSSES if name not in names))


def test_every_loss_of_the_catalogue_is_held_to_what_stands_here():
    found = {entry.id: entry for entry in catalogue.load().of_kind("loss")}
    assert set(LOSSES) <= set(found)
    assert all(found[one].capabilities["source"] and found[one].summary.endswith(".") for one in LOSSES)


@each
@each_batch
def test_a_perfect_prediction_costs_nothing_but_the_outline(name, batch):
    targets, weights = batch
    cost = float(build(name)(logits_of(targets), targets, weights))
    if name in OUTLINED:
        outline = float(build("active-contour")(logits_of(targets), targets, weights))
        assert 0.05 < outline < 2
        assert cost == pytest.approx(outline) if name == "active-contour" else 0 < cost < outline
    else:
        assert cost == pytest.approx(0, abs=2e-3 if name == "balanced-ce" else 1e-6)


@each
@each_batch
def test_the_worse_a_prediction_the_higher_its_loss(name, batch):
    targets, weights = batch
    loss = build(name)
    wrong = targets.roll(2, dims=-1)
    costs = [float(loss(logits_of(targets.lerp(wrong, share), 3.0), targets, weights)) for share in (0.0, 0.3, 0.5, 0.7, 1.0)]
    assert costs == sorted(costs)
    assert costs[-1] > costs[0] + 1e-3


@each
def test_the_gradient_is_that_of_finite_differences(name):
    for shape, classes in (((3, 5), 1), ((3, 3, 5), 2)):
        targets, weights = case(shape, classes)
        loss, images = build(name), drawn(weights, 1)
        for labels in (targets, mixed(targets)):
            inputs = (drawn(labels).requires_grad_(True), labels, weights, images)
            assert torch.autograd.gradcheck(loss, inputs, atol=1e-6, fast_mode=True)


@each
def test_a_gradient_reaches_every_voxel_that_is_wrong(name):
    targets, weights = case((7, 10), 1)
    logits = (-2 * (2 * targets - 1)).requires_grad_(True)
    build(name)(logits, targets, weights).backward()
    reached = logits.grad[weights > 0] != 0
    assert reached.double().mean() > (0.9 if name == "lovasz" else 0.99)


@each
@each_batch
def test_unknown_voxels_change_neither_the_loss_nor_a_gradient(name, batch):
    targets, weights = batch
    loss, images = build(name), drawn(weights, 1)
    found = []
    for filling in (0.0, 1e4, math.nan, -math.inf):
        logits = torch.where(weights > 0, drawn(targets), filling).requires_grad_(True)
        value = loss(logits, torch.where(weights > 0, mixed(targets), filling), weights, torch.where(weights > 0, images, filling))
        value.backward()
        assert not logits.grad[(weights == 0).expand_as(targets)].any()
        found.append((value.detach(), logits.grad))
    assert all(torch.equal(value, found[0][0]) and torch.equal(gradient, found[0][1]) for value, gradient in found)


@others(*MEASURED, *OUTLINED)  # those look at neighbours, which two copies of a voxel are not
def test_voxels_of_twice_the_weight_count_as_two(name):
    targets, _ = case((4, 6), 2)
    twice = torch.ones(2, 1, 4, 6, dtype=torch.float64)
    twice[..., 3:] = 2
    copied = [torch.cat([maps, maps[..., 3:]], -1) for maps in (drawn(targets), targets, torch.ones_like(twice))]
    assert float(build(name)(drawn(targets), targets, twice)) == pytest.approx(float(build(name)(*copied)))


@others(*LABELS_ONLY)
@each_batch
def test_shares_between_0_and_1_are_best_met_exactly(name, batch):
    targets, weights = batch
    shares = 0.8 * mixed(targets) + 0.1 / targets.shape[1]
    exact = shares.log() - (1 - shares.sum(1, keepdim=True)).log()
    loss = build(name)
    best = float(loss(exact, shares, weights))
    assert all(float(loss(exact + 0.3 * drawn(targets, seed), shares, weights)) > best for seed in range(5))


@each
@each_batch
def test_a_class_that_is_nowhere_costs_nothing_where_none_is_seen_and_something_where_one_is(name, batch):
    targets, weights = batch
    nothing, loss = torch.zeros_like(targets), build(name)
    unseen = float(loss(logits_of(nothing), nothing, weights))
    assert unseen == pytest.approx(0, abs=1e-6)
    seen = float(loss(logits_of(targets), nothing, weights))
    assert seen == 0 if name == "boundary" else seen > 1e-3


@each
@each_batch
def test_a_patch_of_which_nothing_is_known_costs_nothing_and_teaches_nothing(name, batch):
    targets, weights = batch
    logits = drawn(targets).requires_grad_(True)
    value = build(name)(logits, targets, torch.zeros_like(weights), drawn(weights))
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert not logits.grad.any()


@each
@each_batch
def test_single_precision_holds_where_a_network_is_sure_and_right_or_wrong(name, batch):
    targets, weights = batch
    for sign in (1, -1):
        values = []
        for dtype in (torch.float32, torch.float64):
            logits = (sign * logits_of(targets)).to(dtype).requires_grad_(True)
            value = build(name)(logits, targets.to(dtype), weights.to(dtype))
            value.backward()
            assert logits.grad.isfinite().all()
            values.append(float(value.detach()))
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-4)


@some("ce", "weighted-ce", "balanced-ce", "focal", "combo", "conservative", "exponential-logarithmic")  # the others are flat there, as their sources have it
def test_a_voxel_that_is_surely_wrong_is_still_pulled_back(name):
    targets = torch.zeros(1, 2, 4, 4)
    targets[:, 0, 1:3, 1:3] = 1
    logits = logits_of(targets.flip(1)).requires_grad_(True)
    build(name)(logits, targets, torch.ones(1, 1, 4, 4)).backward()
    assert (logits.grad[:, 0, 1:3, 1:3] < -1e-4).all()
    assert (logits.grad[:, 1, 1:3, 1:3] > 1e-4).all()


@pytest.mark.parametrize("batch", BATCHES[2:], ids=("1 class", "3 classes"))
def test_cross_entropy_and_dice_are_what_the_product_learns_with(batch):
    targets, weights = batch
    logits = drawn(targets)
    assert float(build("ce + dice")(logits, targets, weights)) == pytest.approx(float(compound(logits, targets, weights)))


@each_batch
def test_losses_are_related_as_their_sources_say(batch):
    targets, weights = batch
    logits = drawn(targets)

    def value(words):
        return float(build(words)(logits, targets, weights))

    assert value("tversky(alpha=0.5, beta=0.5, smooth=0.5)") == pytest.approx(value("dice"))
    assert value("tversky(alpha=1, beta=1)") == pytest.approx(value("jaccard"))
    assert value("focal(gamma=0, alpha=0.3)") == pytest.approx(value("balanced-ce(beta=0.3)"))
    assert value("weighted-ce(weight=1)") == pytest.approx(value("ce"))
    assert value("balanced-ce(beta=0.5)") == pytest.approx(value("ce") / 2)
    assert value("weighted-ce(weight=3)") > value("ce")
    assert value("combo(alpha=0)") == pytest.approx(value("dice"))
    if targets.shape[1] == 1:
        assert value("combo(alpha=1)") == pytest.approx(value("ce") / 2)
    assert value("exponential-logarithmic(dice=0, ce=1)") > value("ce")


def test_the_lovasz_extension_of_a_crisp_prediction_is_its_jaccard_loss():
    targets, _ = case((7, 10), 1)
    found = targets.roll(1, dims=-1)
    cost = float(build("lovasz")(logits_of(found), targets, torch.ones(2, 1, 7, 10, dtype=torch.float64)))
    losses = [1 - float((a * b).sum() / (a + b - a * b).sum()) for a, b in ((found, targets), (1 - found, 1 - targets))]
    assert cost == pytest.approx(np.mean(losses))


def test_an_error_far_from_the_outline_costs_more_than_one_beside_it():
    targets = torch.zeros(1, 1, 24, 24)
    targets[..., 4:8, 4:8] = 1
    near, far = targets.clone(), targets.clone()
    near[..., 8, 4:8] = 1
    far[..., 20, 4:8] = 1
    for name in MEASURED:
        costs = [float(build(name)(logits_of(maps), targets, torch.ones_like(targets))) for maps in (near, far)]
        assert costs[1] > 5 * costs[0] > 0


def test_distances_are_in_voxels_of_the_finest_axis_and_pass_by_what_is_unknown():
    inside = torch.zeros(1, 1, 5, 9, dtype=torch.bool)
    inside[..., 2, 0] = True
    known = torch.ones_like(inside)
    known[..., 2, 1] = False
    far = distances(inside, known, (3.0, 1.5))[0, 0]
    assert far[2, 4] == 4
    assert far[0, 0] == 4
    assert far[2, 0] == 2  # two rows down or up; the voxel beside it may be either
    with pytest.raises(InvalidInputError, match="2 numbers"):
        distances(inside, known, (3.0, 1.0, 1.0))
    labels, weights = inside.double(), known.double()
    costs = [float(building.build("boundary", spacing=mm)(logits_of(1 - labels), labels, weights)) for mm in (None, (3.0, 1.5))]
    assert costs[1] > costs[0]


def test_the_level_set_term_prefers_outlines_where_the_scan_changes():
    scan = torch.zeros(1, 1, 12, 12)
    scan[..., 3:9, 3:9] = 2.0
    weights, loss = torch.ones_like(scan), build("level-set-term")
    there, beside = ((scan > 1).float(), (scan > 1).float().roll(3, dims=-1))
    assert float(loss(logits_of(there), beside, weights, scan)) < float(loss(logits_of(beside), beside, weights, scan))
    assert float(loss(logits_of(there), beside, weights)) > float(loss(logits_of(beside), beside, weights))


def test_maps_that_do_not_belong_together_are_refused():
    targets, weights = case()
    with pytest.raises(InvalidInputError, match="do not belong together"):
        build("ce")(torch.zeros(2, 2, 7, 10), targets, weights)
    with pytest.raises(InvalidInputError, match="2 numbers for 1 class"):
        build("weighted-ce(weight=[1, 2])")(drawn(targets), targets, weights)


def test_they_agree_with_the_toolkit_where_it_has_the_same():
    from monai.losses import DiceLoss, FocalLoss, GeneralizedDiceLoss, HausdorffDTLoss, TverskyLoss

    for classes in (1, 3):
        targets, _ = case((4, 5, 10), classes)
        weights, logits = torch.ones(2, 1, 4, 5, 10, dtype=torch.float64), drawn(targets)
        whole = torch.cat([1 - targets.sum(1, keepdim=True), targets], 1)
        against = torch.cat([torch.zeros_like(weights), logits], 1)
        same = {"softmax": True, "batch": True}
        theirs = {
            "dice": DiceLoss(**same, include_background=False, smooth_nr=1, smooth_dr=1),
            "jaccard(smooth=0.000001)": DiceLoss(**same, include_background=False, jaccard=True, smooth_nr=2e-6, smooth_dr=2e-6),
            "tversky(alpha=0.2, beta=0.9)": TverskyLoss(**same, include_background=False, alpha=0.2, beta=0.9, smooth_nr=1, smooth_dr=1),
            "generalised-dice": GeneralizedDiceLoss(**same, smooth_nr=0, smooth_dr=0),
            "hausdorff": HausdorffDTLoss(softmax=True, include_background=False),
        }
        for words, loss in theirs.items():
            assert float(build(words)(logits, targets, weights)) == pytest.approx(float(loss(against, whole)), rel=1e-5), words
    focal = FocalLoss(gamma=1.5, alpha=0.3)
    targets, weights = case()[0], torch.ones(2, 1, 7, 10, dtype=torch.float64)
    assert float(build("focal(gamma=1.5, alpha=0.3)")(drawn(targets), targets, weights)) == pytest.approx(float(focal(drawn(targets), targets)))
