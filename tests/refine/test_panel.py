"""Several networks that answer together: Gil et al.'s six with their clean-up, and the best by cross-validation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as nnf

from napari_medseg import catalogue
from napari_medseg.cli.app import app
from napari_medseg.errors import CatalogueError, InvalidInputError, SegmenterError
from napari_medseg.io import read_labels, write
from napari_medseg.refine.checkpoint import Checkpoints
from napari_medseg.refine.export import export_model
from napari_medseg.refine.method import Example
from napari_medseg.refine.models import load
from napari_medseg.refine.panel import round as panel_round
from napari_medseg.refine.panel.learning import Stepped
from napari_medseg.refine.panel.model import PanelModel
from napari_medseg.refine.panel.recipe import gil2023, top_n
from napari_medseg.refine.panel.tidy import followed, tidied
from napari_medseg.segmenters.opening import open_model
from napari_medseg.segmenters.protocol import collect, to_labels
from napari_medseg.segmenters.volumetric.model import labelled, mean_probability
from napari_medseg.segmenters.volumetric.plan import Cleanup
from napari_medseg.segmenters.weights import write_weights
from napari_medseg.session.segmenting import Wanted
from napari_medseg.volume import Geometry, Volume

SMALL = {"unet-lite": {"widths": [4, 6]}, "attention-unet": {"widths": [4, 6]}}
TWO = {"networks": "unet-lite, attention-unet", "parameters": SMALL, "updates": 3}


def example(seed, values=(1,), shape=(6, 16, 14)):
    rng = np.random.default_rng(seed)
    image, labels = rng.normal(100, 10, shape).astype(np.float32), np.zeros(shape, np.uint8)
    for place, value in enumerate(values):
        box = (slice(1, -1), slice(3 + place * 5, 7 + place * 5), slice(3, 11))
        labels[box] = value
        image[box] += 60 * (place + 1)
    return Example(f"c{seed}", f"p{seed}", Volume(image, Geometry(shape), f"s{seed}", "MR"), labels, np.ones(shape, np.uint8))


def learnt(recipe, some, values=(1,), **options):
    *_, last = recipe.method().learn(some, values, number=1, seed=0, device="cpu", **{"base": None, **options})
    return last.learned


@pytest.fixture(scope="module")
def some():
    return [example(k, (1, 2)) for k in range(3)]


@pytest.fixture(scope="module")
def six(some):
    """A round of the preset on small networks."""
    return learnt(gil2023(**TWO, largest=True), some, (1, 2))


def test_the_preset_is_six_networks_as_published():
    recipe = catalogue.load().find("gil2023", "recipe").build()
    nets = ("deeplab-resnet50", "deeplab-mobilenetv2", "unet-sourget")
    assert [(kind.network, kind.loss) for kind in recipe.candidates] == [(net, loss) for net in nets for loss in ("balanced-ce", "dice")]
    assert (recipe.dims, recipe.tile, recipe.learning_rate, recipe.folds, recipe.best) == (2, 224, 1e-3, 1, 0)
    assert recipe.cleaning == Cleanup(smallest_mm2=50, close_mm=2, fill=True, largest=True)
    assert gil2023(cleanup=False).cleaning is None


def test_the_learning_rate_falls_to_a_fifth_after_each_quarter():
    learner = Stepped.__new__(Stepped)
    learner.recipe, learner.total, learner.fall = gil2023().training(gil2023().candidates[0]), 20, 0.2
    rates = []
    for learner.done in range(20):
        rates.append(learner.rate)
    np.testing.assert_allclose(rates, np.repeat([1e-3, 2e-4, 4e-5, 8e-6], 5))


def test_networks_together_are_the_mean_of_their_probabilities_however_sure_one_is():
    logits = torch.randn((3, 2, 2, 4, 5, 6), generator=torch.Generator().manual_seed(0)) * 8
    logits[0, 0, 0, 0] = 200.0
    each = nnf.pad(logits, (0, 0, 0, 0, 0, 0, 1, 0)).softmax(2).mean(0)
    together = nnf.pad(mean_probability(logits), (0, 0, 0, 0, 0, 0, 1, 0)).softmax(1)
    torch.testing.assert_close(together, each)
    assert mean_probability(logits).isfinite().all()


def test_a_round_keeps_every_network_in_one_model_that_opens_again_and_answers_alike(six, some, tmp_path):
    plan = six.model.described
    assert [(part.name, part.members) for part in plan.network.parts] == [("unet-lite", 1)] * 2 + [("attention-unet", 1)] * 2
    assert (plan.patch[0], plan.offsets, six.updates) == (1, [0.0, 0.0], 12)
    weights = [next(network.parameters()) for network in six.model.network.networks]
    assert not torch.equal(weights[0], weights[1])
    again = load(six.model.save(tmp_path, {}))
    assert isinstance(again, PanelModel)
    np.testing.assert_array_equal(again.predict(some[0].image), six.model.predict(some[0].image))
    np.testing.assert_array_equal(again.label(some[0].image), six.model.label(some[0].image))


@pytest.fixture(scope="module")
def speckled(some, tmp_path_factory):
    """The file of a model that marks specks and holes, its scan, and what it labels before and after its clean-up."""
    one = {"networks": "unet-lite", "parameters": {"unet-lite": SMALL["unet-lite"]}, "updates": 1}
    model = learnt(gil2023(**one, smallest_mm2=4, calibrate=True), some, (1, 2)).model
    scan = some[0].image
    before = labelled(model.predict(scan), model.described.values)
    after = model.label(scan)
    return model.save(tmp_path_factory.mktemp("speckled"), {}), scan, before, after


def test_what_labels_does_the_clean_up_of_its_model_unless_it_is_switched_off(speckled):
    file, scan, before, after = speckled
    assert (before != after).any()  # or this shows nothing
    np.testing.assert_array_equal(after, tidied(before, scan.geometry.spacing, Cleanup(smallest_mm2=4)))
    for switch, expected in (("on", after), ("off", before)):
        segmenter = open_model(file, cleanup=switch)
        found = collect(segmenter.predict(scan, device="cpu"), scan.geometry.shape)
        np.testing.assert_array_equal(to_labels(found, segmenter.capabilities.threshold), expected)
    with pytest.raises(InvalidInputError, match="cannot be 'maybe'"):
        open_model(file, cleanup="maybe")
    with pytest.raises(InvalidInputError, match="M0: has no clean-up"):
        open_model(cleanup="off")


def test_the_window_and_the_command_leave_its_clean_up_out_when_it_is_switched_off(speckled, tmp_path, capsys):
    file, scan, before, after = speckled
    segment = tmp_path / "scan.nii.gz", "--with", file, "--device", "cpu", "-o", tmp_path / "mask.nii.gz", "--json"
    write(scan, segment[0])
    for switch, expected in (("on", after), ("off", before)):
        with pytest.raises(SystemExit) as ended:
            app(["segment", *map(str, segment), "--set", f"cleanup={switch}"])
        assert not ended.value.code, capsys.readouterr().err
        found = read_labels(tmp_path / "mask.nii.gz").array
        np.testing.assert_array_equal(found > 0, expected > 0)
        wanted = Wanted((("unet", ()),), file, cleanup=switch == "on")
        segmenter = wanted.build(catalogue.load())
        found = collect(segmenter.predict(scan, device="cpu"), scan.geometry.shape)
        np.testing.assert_array_equal(to_labels(found, segmenter.capabilities.threshold), expected)
        assert wanted.recorded() == ({} if switch == "on" else {"cleanup": False})
    with pytest.raises(SystemExit) as ended:
        app(["segment", *map(str, segment), "--set", "fold=1"])
    assert ended.value.code
    assert "It asks for: cleanup" in capsys.readouterr().out


def test_a_model_that_is_passed_on_asks_for_its_clean_up(speckled, tmp_path, monkeypatch):
    file, scan, before, _after = speckled
    export_model(file, tmp_path / "given", title="Specks")
    monkeypatch.setenv("MEDSEG_PLUGINS", str(tmp_path / "given" / "plugins.yaml"))
    entry = next(each for each in catalogue.load().of_kind("segmenter") if each.title == "Specks")
    assert [(ask.name, ask.choices, ask.default) for ask in entry.asks] == [("cleanup", ("on", "off"), "on")]
    segmenter = entry.build(cleanup="off")
    found = collect(segmenter.predict(scan, device="cpu"), scan.geometry.shape)
    np.testing.assert_array_equal(to_labels(found, segmenter.capabilities.threshold), before)


def test_the_clean_up_of_a_picture_is_the_papers_in_square_millimetres():
    picture = np.zeros((1, 400, 400), np.uint8)
    picture[0, 20:120, 20:120] = 1  # 100 mm2 at 0.1 mm a pixel
    picture[0, 60:80, 60:80] = 0  # a hole in it
    picture[0, 100:, 300:] = 0
    picture[0, 200:280, 20:100] = 1  # 64 mm2, larger than 50 but not the largest
    picture[0, 300:360, 300:380] = 1  # 48 mm2
    picture[0, 60:70, 120:160] = 1  # a bar that reaches towards the next piece
    picture[0, 20:120, 175:190] = 1  # 15 mm2, 1.5 mm from the bar: too small, though closing would have joined it
    spacing = (1.0, 0.1, 0.1)
    left = tidied(picture, spacing, Cleanup(largest=False))
    assert left[0, 70, 70] == 1  # filled
    assert left[0, 240, 60] == 1
    assert not left[0, 300:360, 300:380].any()
    assert not left[0, 20:120, 176:190].any()
    assert not tidied(picture, spacing, Cleanup())[0, 200:280, 20:100].any()
    np.testing.assert_array_equal(tidied(picture, spacing, Cleanup(smallest_mm2=0, close_mm=0, fill=False, largest=False)), picture)


def test_probabilities_follow_a_clean_up_and_stay_where_it_changed_nothing():
    rng = np.random.default_rng(0)
    maps = rng.dirichlet((1, 1, 1), (3, 5, 5)).astype(np.float32).transpose(3, 0, 1, 2)[:2]
    before = to_labels(maps)
    after = rng.integers(0, 3, before.shape).astype(np.uint8)
    found = followed(maps, before, after)
    np.testing.assert_array_equal(to_labels(found), after)
    np.testing.assert_array_equal(found[:, before == after], maps[:, before == after])


def test_the_best_on_patients_held_out_is_kept_with_a_network_of_each_fold_and_the_table_is_told():
    four = [example(k) for k in range(4)]
    found = learnt(top_n(**{**TWO, "updates": 12}, folds=2, best=1, learning_rate=1e-2), four)
    head, _, rest = found.notes.partition(": ")
    rows, _, kept = rest.partition("; kept: ")
    scores = {row.split()[0]: float(row.split()[1]) for row in rows.split("; ")}
    assert head == "Dice on patients held out, mean (folds)"
    assert scores.keys() == SMALL.keys()
    assert scores[kept] == max(scores.values()) > 0.3
    assert [(part.name, part.members) for part in found.model.described.network.parts] == [(kept, 2)]
    assert found.updates == 2 * 2 * 12


def test_the_best_cannot_be_told_from_one_patient():
    with pytest.raises(InvalidInputError, match="only one"):
        learnt(top_n(**TWO, folds=2, best=1), [example(0)])


def test_a_round_that_was_cut_off_goes_on_to_the_same_networks(some, tmp_path, monkeypatch):
    monkeypatch.setattr(panel_round, "SAVE_S", 0.0)
    recipe = gil2023(**{**TWO, "losses": "ce"})
    straight = learnt(recipe, some, (1, 2))
    for tick in recipe.method().learn(some, (1, 2), number=1, seed=0, device="cpu", base=None, checkpoints=Checkpoints(tmp_path)):
        if tick.updates == 5:  # within the second network
            break
    resumed = recipe.method().learn(some, (1, 2), number=1, seed=0, device="cpu", base=None, checkpoints=Checkpoints(tmp_path))
    ticks = [tick for tick in resumed if tick.updates > 3]
    assert ticks[0].updates == 6
    for a, b in zip(straight.model.network.parameters(), ticks[-1].learned.model.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_learning_goes_on_from_each_network_of_a_base_and_refuses_what_has_none_of_them(six, some, tmp_path):
    base = six.model.save(tmp_path, {})
    more = learnt(gil2023(networks="unet-lite, attention-unet", updates=1, learning_rate=1e-9, fall=0.0), some, (1, 2), base=base).model
    assert more.described.network.parts[0].parameters == {"widths": [4, 6]}
    for a, b in zip(more.network.networks, six.model.network.networks, strict=True):
        for name, value in a.named_parameters():
            torch.testing.assert_close(value, dict(b.named_parameters())[name], rtol=0, atol=1e-6)
    with pytest.raises(InvalidInputError, match="none of the networks of the recipe"):
        gil2023(networks="xnet").method().base_model(base, [1, 2], "cpu")


def test_a_file_whose_weights_are_not_of_the_networks_it_names_is_refused(six, tmp_path):
    plan = six.model.described.model_dump()
    plan["network"]["parts"][2]["parameters"] = {"widths": [4, 8]}
    tensors = {name: value.detach().contiguous() for name, value in six.model.network.state_dict().items()}
    file = write_weights(tmp_path / "model.safetensors", tensors, type(six.model.described), plan)
    with pytest.raises(SegmenterError, match="not those of the network 'attention-unet'"):
        load(file)


@pytest.mark.parametrize(("wrong", "error", "said"), [
    ({"networks": "no-such"}, CatalogueError, "there is no network 'no-such'"),
    ({"networks": "super-image", "dims": 2}, InvalidInputError, "does not come with 2 dimensions"),
    ({"losses": "dice; nonsense"}, CatalogueError, "there is no loss 'nonsense'"),
    ({"folds": 1}, InvalidInputError, "where no patient is held out"),
    ({"networks": "unet-lite", "parameters": {"dints": {"width": 4}}}, InvalidInputError, "'dints' is no network of this recipe"),
    ({"cleanup": 3}, InvalidInputError, "cleanup cannot be 3"),
    ({"close_mm": -1.0}, InvalidInputError, "zero or more"),
    ({"network": "unet-lite"}, InvalidInputError, "a recipe has no 'network'"),
])
def test_settings_that_make_no_sense_are_refused(wrong, error, said):
    with pytest.raises(error, match=said):
        top_n(**wrong)
