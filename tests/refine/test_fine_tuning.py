from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_medseg.errors import InvalidInputError, NoLabelsError, TrainingError
from napari_medseg.metrics import dice
from napari_medseg.refine.examples import weak_examples
from napari_medseg.refine.salah.recipe import salah2023
from napari_medseg.refine.salah.training import fine_tune, jaccard_distance, predict_labels, slice_set, widened
from napari_medseg.segmenters.unet import UNet
from napari_medseg.volume import AxisMap


@pytest.fixture
def tiny() -> UNet:
    torch.manual_seed(0)
    return UNet(widths=(4, 8))


def test_the_gradient_of_the_loss_reaches_every_parameter(patients, tiny):
    data = slice_set(weak_examples(patients.cases), size=32)
    jaccard_distance(tiny(data.images), data.targets, data.weights).backward()
    without = [name for name, value in tiny.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert without == []


def test_the_loss_is_nothing_for_a_perfect_answer_and_one_for_a_disjoint_one():
    target = torch.zeros(2, 1, 40, 40)
    target[:, :, :20] = 1
    known = torch.ones(2, 1, 40, 40)
    assert jaccard_distance((target - 0.5) * 100, target, known) == pytest.approx(0.0, abs=1e-4)
    assert jaccard_distance((0.5 - target) * 100, target, known) == pytest.approx(1.0, abs=1e-3)


def test_unknown_pixels_change_neither_the_loss_nor_a_gradient():
    torch.manual_seed(1)
    known = (torch.rand(3, 1, 8, 8) > 0.4).float()
    target = (torch.rand(3, 2, 8, 8) > 0.5).float()
    logits = torch.randn(3, 2, 8, 8)
    other_target = torch.where(known > 0, target, 1 - target)
    other_logits = torch.where(known > 0, logits, torch.full_like(logits, float("inf")))
    results = []
    for t, x in ((target, logits), (other_target, other_logits)):
        x = x.clone().requires_grad_()
        loss = jaccard_distance(x, t, known)
        loss.backward()
        results.append((loss.detach(), torch.where(known > 0, x.grad, torch.zeros(())), x.grad[(known == 0).expand_as(x)]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert all((unknown == 0).all() for _, _, unknown in results)


def test_a_slice_that_nobody_judged_is_not_trained_on(patients):
    case = patients.cases[0]
    labels = case.labels.array.copy()
    labels[1:3] = 255
    half = slice_set(weak_examples([replace(case, labels=case.labels.like(labels))]), size=32)
    assert len(half) == 2
    with pytest.raises(NoLabelsError):
        slice_set(weak_examples([replace(case, labels=case.labels.like(np.full_like(labels, 255)))]), size=32)


def test_what_lies_under_unknown_voxels_does_not_matter_to_the_weights(patients):
    def trained(hidden: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        network = UNet(widths=(4, 8))
        case = patients.cases[0]
        labels = case.labels.array.copy()
        labels[:, 20:] = hidden
        unknown = np.where(np.arange(32)[None, :, None] >= 20, 255, labels).astype(np.uint8)
        data = slice_set(weak_examples([replace(case, labels=case.labels.like(unknown))]), size=32)
        list(fine_tune(network, data, salah2023(epochs=2)))
        return network.state_dict()

    one, two = trained(0), trained(1)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_training_learns_a_bright_disc_and_says_how_far_it_is(tiny, bright_discs):
    cases = [bright_discs(seed, str(seed)) for seed in range(4)]
    recipe = salah2023(epochs=40, learning_rate=0.02, batch=8)
    data = slice_set(weak_examples(cases), size=32)
    ticks = list(fine_tune(tiny, data, recipe))
    assert len(ticks) == ticks[-1].updates == 4 * 2 * 40  # 16 slices: batches of 4, twice the epochs
    assert ticks[-1].fraction == 1.0
    assert ticks[-1].eta_s == pytest.approx(0.0)
    assert ticks[-1].loss < 0.6 * ticks[0].loss
    unseen = bright_discs(9, "unseen")
    assert dice(predict_labels(tiny, unseen.image, size=32), unseen.labels.array) > 0.8


def test_the_same_seed_gives_the_same_weights_and_another_does_not(patients):
    def trained(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        network = UNet(widths=(4, 8))
        list(fine_tune(network, slice_set(weak_examples(patients.cases), size=32), salah2023(epochs=1), seed=seed))
        return torch.cat([value.flatten() for value in network.parameters()])

    assert torch.equal(trained(5), trained(5))
    assert not torch.equal(trained(5), trained(6))


def test_a_learning_rate_that_breaks_the_training_is_said(patients, tiny):
    data = slice_set(weak_examples(patients.cases), size=32)
    data.images[0] = float("nan")
    with pytest.raises(TrainingError, match="astray"):
        list(fine_tune(tiny, data, salah2023(epochs=1)))


def test_two_channels_do_not_fit_a_model_of_one(patients, tiny):
    data = slice_set(weak_examples(patients.cases), size=32)
    with pytest.raises(InvalidInputError, match="2 channels"):
        next(fine_tune(tiny, replace(data, images=data.images.repeat(1, 2, 1, 1)), salah2023()))


def test_widening_keeps_what_the_base_knows(tiny):
    wide = widened(tiny, 3)
    assert wide.classes == 3
    x = torch.rand(1, 1, 32, 32)
    assert torch.equal(wide.eval()(x)[:, :1], tiny.eval()(x))
    same = widened(tiny, 1)
    assert all(torch.equal(a, b) for a, b in zip(same.state_dict().values(), tiny.state_dict().values(), strict=True))
    assert next(same.parameters()).data_ptr() != next(tiny.parameters()).data_ptr()


def test_a_scan_stored_the_other_way_round_gives_the_same_labels(tiny, bright_discs):
    case = bright_discs(0, "a")
    turn = AxisMap((1, 2, 0), (True, False, True))
    turned = replace(
        case,
        image=replace(case.image, array=turn.apply(case.image.array), geometry=turn.geometry(case.image.geometry)),
        labels=replace(case.labels, array=turn.apply(case.labels.array), geometry=turn.geometry(case.labels.geometry)),
    )
    straight = predict_labels(tiny, case.image, threshold=0.4, size=32)
    assert np.array_equal(turn.apply(straight), predict_labels(tiny, turned.image, threshold=0.4, size=32))


def test_classes_keep_their_label_values(tiny, bright_discs):
    case = bright_discs(0, "a", values=(3, 7))
    data = slice_set(weak_examples([case]), (3, 7), size=32)
    assert torch.equal(data.targets.sum(dim=(0, 2, 3)), torch.tensor([float((case.labels.array == v).sum()) for v in (3, 7)]))
    found = predict_labels(widened(tiny, 2), case.image, (3, 7), threshold=0.01, size=32)
    assert set(np.unique(found)) <= {0, 3, 7}
