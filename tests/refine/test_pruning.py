"""A trained model that takes less work: what it costs is measured, and what comes out is a model like any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.refine.examples import weak_examples
from napari_medseg.refine.export import export_model
from napari_medseg.refine.medseg.losses import compound
from napari_medseg.refine.medseg.recipe import medseg, network
from napari_medseg.refine.models import load
from napari_medseg.refine.pruning.curve import PruneRequest
from napari_medseg.refine.pruning.importance import Importance
from napari_medseg.refine.pruning.mending import Moments
from napari_medseg.refine.pruning.pruning import prune
from napari_medseg.refine.pruning.timing import flops, quicker
from napari_medseg.refine.salah.recipe import Recipe
from napari_medseg.segmenters import collect
from napari_medseg.segmenters.networks.pruning.anatomy import anatomy
from napari_medseg.segmenters.networks.pruning.cutting import masked, sliced
from napari_medseg.segmenters.opening import open_model
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import save_model

KINDS = {
    "medseg": medseg(updates=12, folds=2, phases=()),
    "slices": network(network="unet-lite", dims=2, parameters={"widths": [4, 6, 8], "dropout": 0.0}, updates=6),
}
FEW = medseg(updates=2, folds=2, phases=())


@pytest.fixture(scope="module", name="cases")
def _cases(bright_discs):
    return tuple(bright_discs(seed, f"p{seed}.nii.gz") for seed in range(4))


@pytest.fixture(scope="module", params=KINDS)
def trained(request, cases, tmp_path_factory):
    """A model of two networks that answer together, or one of single slices."""
    torch.set_num_threads(1)
    *_, last = KINDS[request.param].method().learn(weak_examples(cases[:2]), (1,), number=1, base=None, seed=1, device="cpu")
    return last.learned.model.save(tmp_path_factory.mktemp(request.param), {"title": "Disc"})


def finished(request):
    *_, last = prune(request)
    return last.result


def test_half_the_work_is_left_and_what_that_costs_is_measured(trained, cases, tmp_path):
    result = finished(PruneRequest(trained, cases, 0.5, (0.8, 0.001), tmp_path / "small", samples=4))
    whole, more, half = result.points  # and nothing at what it cannot be brought to
    assert (whole.share, half.asked) == (1.0, 0.5)
    assert half.share <= 0.5 < more.share <= 0.8
    assert half.parameters < more.parameters < whole.parameters
    assert result.chosen is half
    assert all(0 <= point.dice <= 1 and point.ms > 0 for point in result.points)
    assert len(result.judged_by) == 2
    member = load(result.file).network.networks[0]
    assert flops(member, (1, 1, *result.window)) * len(load(result.file).network.networks) == half.flops


def test_the_smaller_model_opens_exports_and_learns_on(trained, cases, tmp_path):
    result = finished(PruneRequest(trained, cases, 0.6, out=tmp_path / "small", samples=2))
    model = load(result.file)
    image = cases[3].image
    found = collect(open_model(result.file).predict(image, device="cpu"), image.geometry.shape)
    assert np.abs(found - model.predict(image)).max() < 0.51
    exported = export_model(result.file, tmp_path / "out", formats=("torchscript",))
    assert "of its work" in exported.title
    *_, last = FEW.method().learn(weak_examples(cases[:2]), (1, 2), number=1, base=result.file, seed=0, device="cpu")
    before, after = (dict(one.network.networks[0].named_parameters()) for one in (model, last.learned.model))
    inner = next(name for name, value in before.items() if value.ndim > 3)
    assert after[inner].shape == before[inner].shape
    again = last.learned.model.save(tmp_path / "again", {})
    assert np.array_equal(load(again).label(image), last.learned.model.label(image))


def test_a_smaller_model_can_be_made_smaller_still(trained, cases, tmp_path):
    first = finished(PruneRequest(trained, cases, 0.7, out=tmp_path / "first", samples=2))
    second = finished(PruneRequest(first.file, cases, 0.7, out=tmp_path / "second", samples=2))
    assert second.chosen.flops < first.chosen.flops
    assert load(second.file).plan["title"].count("of its work") == 1


def test_the_network_of_slices_is_pruned_and_refined_from(cases, tmp_path):
    torch.manual_seed(0)
    base = save_model(tmp_path / "base", UNet(widths=(4, 6, 8)), {"title": "Slices"})
    result = finished(PruneRequest(base, cases, 0.5, out=tmp_path / "small", samples=3))
    assert result.chosen.share <= 0.5
    recipe = Recipe(rounds=1, epochs=1)
    *_, last = recipe.method().learn(weak_examples(cases[:1]), (1, 2), number=1, base=result.file, seed=0, device="cpu")
    assert last.learned.model.network.kept == load(result.file).network.kept != {}


def test_importance_is_the_change_to_first_order():
    """Setting a channel to almost 0 changes the error by its activation times its gradient."""
    torch.manual_seed(0)
    net, windows = UNet(widths=(3, 4)).double().eval(), torch.rand(1, 1, 8, 8).double()
    target, weight = (torch.rand(1, 1, 8, 8) > 0.5).double(), torch.ones(1, 1, 8, 8).double()
    parts = anatomy(net, windows)
    found = Importance(net, parts, compound)
    found.add((windows, target, weight))
    logits = net(windows).detach().requires_grad_()
    (error,) = torch.autograd.grad(compound(logits, target, weight), logits)
    towards = error / error.norm()
    whole = dict(net.named_parameters())
    for unit in range(parts.count):
        keep = np.ones(parts.count, bool)
        keep[unit] = False
        off = dict(masked(net, parts, keep).named_parameters())
        step = 1e-5
        with torch.no_grad():
            little = torch.func.functional_call(net, {name: whole[name] + step * (off[name] - whole[name]) for name in whole}, (windows,))
            change = float((towards * (little - net(windows))).sum()) / step
        assert found.values[unit] == pytest.approx(change**2, rel=1e-3, abs=1e-12)


def test_every_sample_counts_alike_and_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    net, windows = UNet(widths=(3, 4)), torch.rand(1, 1, 8, 8)
    net.requires_grad_(False)
    target = (torch.rand(1, 1, 8, 8) > 0.5).float()
    one, other = (Importance(net, anatomy(net, windows), loss) for loss in (compound, lambda *given: 1000 * compound(*given)))
    for each in (one, other):
        each.add((windows, target, torch.ones(1, 1, 8, 8)))
        each.add((windows, target, torch.zeros(1, 1, 8, 8)))
    assert one.samples == 1, "a window in which nothing is known says nothing"
    assert np.allclose(one.values, other.values, rtol=1e-3)
    assert all(value.grad is None and not value.requires_grad for value in net.parameters())


def test_a_filter_that_goes_is_taken_over_by_its_like():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(6, 4, 2, 2), nn.ReLU(), nn.Conv2d(4, 1, 1)).eval()
    windows = torch.rand(1, 1, 12, 12)
    with torch.no_grad():
        for value in (net[0].weight, net[0].bias):
            value[3:] = 2 * value[:3]  # filters that say the same as others, twice as loud
    parts = anatomy(net, windows)
    keep = np.ones(parts.count, bool)
    keep[parts.tensors["0.weight"][0][3:]] = False
    moments = Moments(net, parts)
    moments.add(windows)
    before = net[2].weight.detach().clone()
    small = sliced(moments.mended(net, parts, keep), parts, keep)
    with torch.no_grad():
        wanted = net(windows)
        assert float((small(windows) - wanted).abs().max()) < 0.05 * float(wanted.std())
        assert float((sliced(net, parts, keep)(windows) - wanted).abs().max()) > 0.1 * float(wanted.std())
    assert small[0].out_channels == 3
    assert torch.equal(net[2].weight, before), "the whole network was touched"


def test_one_patient_is_refused(trained, cases):
    with pytest.raises(NoLabelsError, match="scans of one patient"):
        finished(PruneRequest(trained, cases[:1]))
    with pytest.raises(NoLabelsError, match="scans of one patient"):
        finished(PruneRequest(trained, cases[:2], patients={case.id: "same" for case in cases}))


def test_no_work_at_all_is_refused(trained, cases):
    with pytest.raises(InvalidInputError, match="more than 0"):
        PruneRequest(trained, cases, 0.0)
    with pytest.raises(InvalidInputError, match="is the least"):
        finished(PruneRequest(trained, cases, 0.001, samples=1))


def test_ratios_are_taken_turn_by_turn():
    assert quicker([10, 40, 10], [5, 20, 5]) == 2
