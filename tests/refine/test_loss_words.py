"""Asking for a loss in words: `ce + 0.5*dice`."""

import pytest
import torch

from napari_medseg import catalogue
from napari_medseg.errors import CatalogueError, InvalidInputError, MedsegError
from napari_medseg.refine.losses.building import build
from napari_medseg.refine.losses.limits import LIMITS, require_settings
from napari_medseg.refine.losses.spec import Term, terms


@pytest.mark.parametrize(("words", "wanted"), [
    ("ce", [Term("ce")]),
    ("ce + 0.5*dice", [Term("ce"), Term("dice", 0.5)]),
    (" 1e-2 * boundary+ce ", [Term("boundary", 0.01), Term("ce")]),
    ("focal(gamma=2) + tversky( alpha = .3 ,beta=0.7 )", [Term("focal", 1.0, {"gamma": 2.0}), Term("tversky", 1.0, {"alpha": 0.3, "beta": 0.7})]),
    ("weighted-ce(weight=[1, 2.5])", [Term("weighted-ce", 1.0, {"weight": [1.0, 2.5]})]),
    ("dice()", [Term("dice")]),
])
def test_words_are_read_as_a_person_means_them(words, wanted):
    assert terms(words) == wanted


@pytest.mark.parametrize(("words", "said"), [
    ("", "ends where a loss should follow"), ("ce +", "ends where a loss should follow"), ("ce dice", "from 'dice' on"), ("ce - dice", "from '- dice' on"),
    ("2 ce", "from '2 ce' on"), ("focal(gamma)", "from 'gamma"), ("focal(gamma=2", "from '"), ("focal(gamma=two)", "from 'gamma"),
    ("focal(gamma=2 alpha=1)", "from 'alpha"),
    ("focal(gamma=1, gamma=2)", "given twice"), ("0*ce + dice", "cannot count 0 times"), ("-1*ce", "cannot count -1 times"), ("1e999*ce", "cannot count"),
    ("weighted-ce(weight=[1,])", "from '"), ("__import__('os')", "cannot be read"), ("focal(gamma=2,)", "from '"),
])
def test_what_cannot_be_read_says_where_and_shows_an_example(words, said):
    with pytest.raises(InvalidInputError, match="loss") as caught:
        build(words)
    assert said in str(caught.value)
    assert caught.value.todo


@pytest.mark.parametrize(("words", "said"), [
    ("dise", "there is no loss 'dise'"), ("medseg", "there is no loss 'medseg'"), ("focal(delta=1)", "It has: alpha, gamma"), ("ce(alpha=1)", "no settings"),
    ("focal(gamma=-1)", "gamma must be 0 or more"), ("tversky(alpha=0, beta=0)", "alpha, beta must be"), ("focal(gamma=[1, 2])", "one number"),
    ("boundary(spacing=3)", "several belong"), ("boundary(spacing=[0, 1])", "spacing must be above 0"), ("conservative(enough=0.2)", "between 0.37 and 1"),
    ("weighted-ce(weight=0)", "weight must be above 0"), ("combo(beta=1)", "beta must be"), ("active-contour(region=0)", "region must be"),
    ("active-contour(spacing=[0, 1])", "spacing must be above 0"), ("level-set-term(spacing=[1, -1])", "spacing must be above 0"),
    ("tversky(alpha=1e999)", "too large a number"), ("weighted-ce(weight=[1, 1e999])", "too large a number"), ("dice(smooth=0)", "smooth must be"),
    ("hausdorff(alpha=0)", "alpha must be"), ("balanced-ce(beta=2)", "beta must be"),
])
def test_a_loss_that_cannot_be_is_refused_with_what_can(words, said):
    with pytest.raises((InvalidInputError, CatalogueError)) as caught:
        build(words)
    assert isinstance(caught.value, MedsegError)
    assert said in str(caught.value)


def test_a_sum_counts_each_part_as_often_as_asked():
    targets = (torch.rand((1, 2, 6, 6), generator=torch.Generator().manual_seed(0)) > 0.6).float() * torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    logits, weights = torch.randn(targets.shape, generator=torch.Generator().manual_seed(1)), torch.ones(1, 1, 6, 6)
    parts = [float(build(words)(logits, targets, weights)) for words in ("ce", "dice", "boundary(spacing=[2, 1])")]
    whole = float(build("ce + 0.5*dice + 0.01*boundary", spacing=(2.0, 1.0))(logits, targets, weights))
    assert whole == pytest.approx(parts[0] + parts[1] / 2 + parts[2] / 100)


def test_what_a_recipe_allows_as_settings_is_what_the_catalogue_has():
    entries = catalogue.load().of_kind("loss")
    assert set(LIMITS) == {entry.id for entry in entries if entry.parameters}
    for entry in entries:
        require_settings(entry.id, entry.parameters)
