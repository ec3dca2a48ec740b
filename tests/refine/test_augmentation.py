"""Mixup and degradations: images, targets and weights stay one thing, and label values are never averaged."""

import pytest
import torch

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.augmentation.building import augmentation
from napari_medseg.refine.augmentation.degrade import COUNTS, MR, PLAIN, WORKS, degraded, kinds_for
from napari_medseg.refine.augmentation.landmarks import landmarks
from napari_medseg.refine.augmentation.mixup import mixed

SHAPES = [(24, 20), (12, 18, 16), (1, 18, 16)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=("2D", "3D", "one slice"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def boxes(shape, classes=1):
    """Two patches with a box a class at other places and of other sizes; all known but a corner of the first."""
    targets = torch.zeros(2, classes, *shape)
    for c in range(classes):
        targets[(0, c, *[slice(0, 1) if n == 1 else slice(2 + c, 8 + c) for n in shape])] = 1
        targets[(1, c, *[slice(0, 1) if n == 1 else slice(5 + c, 10 + c) for n in shape])] = 1
    targets[:, 1:] *= 1 - targets[:, :1]
    weights = torch.ones(2, 1, *shape)
    weights[(0, 0, *[slice(-3, None) if n > 1 else slice(None) for n in shape])] = 0
    return targets, weights


def drawn(shape, seed=0):
    return torch.randn((2, 1, *shape), generator=generator(seed))


@each_shape
def test_without_strengths_the_batch_itself_comes_back_and_nothing_is_drawn(shape):
    (targets, weights), images, draws = boxes(shape), drawn(shape), generator()
    before = draws.get_state()
    assert all(new is old for new, old in zip(augmentation()(images, targets, weights, draws), (images, targets, weights), strict=True))
    assert torch.equal(draws.get_state(), before)


@each_shape
@pytest.mark.parametrize("aligned", [0.0, 1.0])
def test_an_image_that_is_its_own_label_still_is_after_mixing(shape, aligned):
    """Images and labels turned or moved by different draws, the trap of published code, end this at once."""
    targets, weights = boxes(shape)
    apart = 0.0
    for seed in range(8):
        image, target, weight = augmentation(mixup=1.0, aligned=aligned)(targets, targets, weights, generator(seed))
        known = weight > 0
        assert known.any()
        assert torch.allclose(image[known], target[known], atol=1e-5) if aligned == 0 else (image - target)[known].abs().mean() < 0.02
        other = augmentation(mixup=1.0, aligned=aligned)(targets, targets, weights, generator(seed + 100))[1]
        apart = max(apart, float((image - other)[known].abs().mean()))
    assert apart > 0.05


def test_labels_are_mixed_class_by_class_so_that_no_class_appears_between_two_others():
    """Where label maps are interpolated as numbers, 0 and 2 make a rim of 1."""
    targets, weights = boxes((24, 20), 3)
    targets = targets[:, [1, 1, 0]] * torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    for seed in range(4):
        _, found, _ = augmentation(mixup=1.0, aligned=1.0)(drawn((24, 20)), targets, weights, generator(seed))
        assert not found[:, 0].any()
        assert (found.sum(1) <= 1 + 1e-5).all()
        assert found[:, 2].max() > 0.5
    numbers = (targets * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    wrong = [augmentation(mixup=1.0, aligned=1.0)(numbers, targets, weights, generator(seed))[0].round() for seed in range(4)]
    assert any((maps == 1).any() for maps in wrong)


@each_shape
def test_both_parts_of_a_pair_are_shared_alike_by_image_and_label(shape):
    targets, weights = boxes(shape)
    images = torch.stack([torch.full((1, *shape), 2.0), torch.full((1, *shape), 6.0)])
    for seed in range(3):
        image, target, weight = mixed(images, targets, torch.ones_like(weights), generator(seed), alpha=0.5)
        share = (6 - image) / 4
        wanted = [share[0] * targets[0] + (1 - share[0]) * targets[1], (1 - share[1]) * targets[1] + share[1] * targets[0]]
        assert torch.allclose(target, torch.stack(wanted), atol=1e-5)
        assert torch.equal(weight, torch.ones_like(weight))


def test_shares_come_from_the_beta_distribution_asked_for():
    images, draws = torch.stack([torch.zeros(1, 1, 1), torch.ones(1, 1, 1)]), generator(5)
    for alpha in (0.2, 1.0, 4.0):
        shares = torch.cat([mixed(images, images, torch.ones_like(images), draws, alpha=alpha)[0].flatten() for _ in range(400)])
        assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
        assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.12)


def test_what_is_unknown_in_either_of_a_pair_is_unknown_in_the_mixture_and_never_looked_at():
    targets, weights = boxes((12, 18, 16))
    nan = torch.where(weights > 0, targets, torch.nan)
    for aligned in (0.0, 1.0):
        image, target, weight = mixed(drawn((12, 18, 16)), nan, weights, generator(1), alpha=1.0, aligned=aligned)
        assert image.isfinite().all()
        assert target.isfinite().all()
        assert weight[:, 0, -1, -1, -1].sum() == 0
        assert (weight > 0).float().mean() > 0.6


@each_shape
def test_aligned_pairs_lie_over_each_other_at_the_mean_of_their_landmarks(shape):
    targets, weights = boxes(shape)
    weights = torch.ones_like(weights)
    own = landmarks(targets, weights)
    target = mixed(targets, targets, weights, generator(3), alpha=1.0, aligned=1.0)[1]
    plain = mixed(targets, targets, weights, generator(3), alpha=1.0)[1]
    assert all(float(one.amax()) > 0.95 for one in target), "the two objects cover each other"
    assert float((target * (1 - target)).mean()) < 0.5 * float((plain * (1 - plain)).mean())
    found = landmarks(target, weights)
    for ends in ("low", "high"):
        mine, theirs = getattr(own, ends)[0], getattr(own, ends)[1]
        for item in getattr(found, ends):
            assert (item >= torch.minimum(mine, theirs) - 0.6).all()
            assert (item <= torch.maximum(mine, theirs) + 0.6).all()


def test_pairs_without_a_class_in_common_are_mixed_where_they_are():
    targets, weights = boxes((24, 20))
    targets[1] = 0
    there = mixed(targets, targets, weights, generator(2), alpha=1.0, aligned=1.0)
    plain = mixed(targets, targets, weights, generator(2), alpha=1.0)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(there, plain, strict=True))


def test_a_patch_that_is_alone_is_not_mixed():
    targets, weights = boxes((24, 20))
    assert mixed(targets[:1], targets[:1], weights[:1], generator(), alpha=1.0)[0] is not None
    assert torch.equal(mixed(targets[:1], targets[:1], weights[:1], generator(), alpha=1.0)[1], targets[:1])


@each_shape
@pytest.mark.parametrize("kind", WORKS)
def test_a_degraded_scan_is_worse_and_still_in_its_place(kind, shape):
    """The middle of what is bright stays where it is, so labels that were not touched still fit."""
    shape = tuple(n if n == 1 else 24 for n in shape)
    image = torch.zeros(1, 1, *shape)
    image[(0, 0, *[slice(0, 1) if n == 1 else slice(7, 17) for n in shape])] = 3.0
    seen = degraded(image, generator(1), chance=1.0, kinds=(kind,), spacing=[4.0, 1.0, 1.0][-len(shape) :])
    assert seen.shape == image.shape
    assert seen.isfinite().all()
    assert not torch.equal(seen, image)
    before, after = (landmarks((maps > 1.5).float(), torch.ones_like(image)) for maps in (image, seen))
    assert torch.allclose(before.low + before.high, after.low + after.high, atol=1.0)


def test_degradations_leave_labels_and_weights_alone():
    (targets, weights), images = boxes((12, 18, 16)), drawn((12, 18, 16))
    image, target, weight = augmentation(degrade=1.0, modalities=["MR"], spacing=(3, 1, 1))(images, targets, weights, generator())
    assert target is targets
    assert weight is weights
    assert not torch.equal(image, images)


def test_thick_slices_are_means_along_the_coarsest_axis():
    image = torch.zeros(1, 1, 16, 8, 8)
    image[..., 8:, :, :] = 1.0
    image[..., 4:] += 2.0
    seen = degraded(image, generator(2), chance=1.0, kinds=("thick",), spacing=(3.0, 1.0, 1.0))
    assert seen[0, 0, 7, 0, 0] > 0.05, "blurred across slices"
    assert torch.allclose(seen[..., 3], seen[..., 4] - 2, atol=1e-5), "sharp within them"
    assert float(seen.mean()) == pytest.approx(float(image.mean()), abs=0.05)


def test_noise_is_that_of_the_scanner():
    flat = torch.zeros(1, 1, 24, 24, 24)
    flat[..., 12:] = 4.0
    spread = {}
    for kind in ("rician", "low dose", "noise"):
        seen = degraded(flat, generator(4), chance=1.0, kinds=(kind,))
        spread[kind] = (float(seen[..., :12].std()), float(seen[..., 12:].std()))
        if kind == "rician":
            assert seen.min() >= 0
            assert seen[..., :12].mean() > 0.01, "air is never dark in a magnitude image"
    assert spread["rician"][0] < 0.8 * spread["rician"][1]
    assert spread["low dose"][0] < 0.1 * spread["low dose"][1]
    assert spread["noise"][0] == pytest.approx(spread["noise"][1], rel=0.1)


def test_scanners_degrade_as_they_do():
    assert kinds_for(["MR"]) == MR
    assert kinds_for(["CT", "PT"]) == COUNTS
    assert kinds_for(["MR", "CT"]) == kinds_for([]) == PLAIN


@pytest.mark.parametrize("settings", [{"mixup": 0.4, "aligned": 0.5}, {"degrade": 0.5}, {"mixup": 1.0, "degrade": 1.0, "aligned": 1.0}])
def test_the_same_draws_make_the_same_batch(settings):
    (targets, weights), images = boxes((12, 18, 16)), drawn((12, 18, 16))
    augment = augmentation(**settings, spacing=(2, 1, 1))
    one, same, other = (augment(images, targets, weights, generator(seed))[0] for seed in (7, 7, 8))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("settings", "said"), [
    ({"mixup": -1}, "mixup"), ({"mixup": float("nan")}, "mixup"), ({"degrade": 1.5}, "degrade"), ({"aligned": -0.1}, "aligned"),
])
def test_strengths_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(InvalidInputError, match=said):
        augmentation(**settings)
