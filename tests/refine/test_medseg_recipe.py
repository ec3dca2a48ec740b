"""The recipe medseg: paired augmentation, losses, folds, calibration, alignment, rounds that are saved and gone on from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage as ndi

from napari_medseg.catalogue import load as load_catalogue
from napari_medseg.errors import InvalidInputError, NoLabelsError, NoRoomError
from napari_medseg.metrics import dice
from napari_medseg.refine import RefineRequest, last_result, refine
from napari_medseg.refine.checkpoint import Checkpoints
from napari_medseg.refine.medseg import round as medseg_round
from napari_medseg.refine.medseg.align import Aligner, Moves, can_move
from napari_medseg.refine.medseg.augment import Strength, cut, warp
from napari_medseg.refine.medseg.calibrate import Judged, offsets
from napari_medseg.refine.medseg.data import Prepared, patch, prepared
from napari_medseg.refine.medseg.losses import compound, cross_entropy, soft_dice
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.refine.medseg.round import folds
from napari_medseg.refine.method import Example, Learned, Learning
from napari_medseg.refine.models import load as load_model
from napari_medseg.refine.trust import Trust
from napari_medseg.segmenters.volumetric import load_volumetric
from napari_medseg.segmenters.volumetric import plan as volumetric_plan
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.network import new_network
from napari_medseg.segmenters.volumetric.plan import VolumetricPlan, planned
from napari_medseg.volume import Geometry, LabelArray, Volume

STILL = Strength(bend_mm=0, turn=0, stretch=0, shear=0, shift_mm=0)
STRONG = Strength(bend_mm=2, turn=0.4, stretch=0.2, shear=0.1, shift_mm=2)


def example(seed=0, shape=(8, 16, 16), spacing=(1.0, 1.0, 1.0), values=(1,), channels=1, move=0) -> Example:
    """A noisy scan with a bright box a class, at a place of its own, and a label map moved by some voxels."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.1, (channels, *shape)).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    for place, value in enumerate(values):
        x, z = 2 + place * 6 + int(rng.integers(0, 2)), shape[0] // 4
        box = (slice(z, shape[0] - z), slice(4, 11), slice(x, x + 5))
        image[(slice(None), *box)] += 1 + place
        labels[box] = value
    volume = Volume(image[0] if channels == 1 else image, Geometry(shape, spacing), f"p{seed}", "MR")
    return Example(f"p{seed}", f"patient {seed}", volume, np.roll(labels, move, axis=1), np.full(shape, Trust.WEAK, np.uint8))


def plan_for(some: Sequence[Example], values=(1,)) -> VolumetricPlan:
    return planned(fingerprint(((e.image, e.labels) for e in some), values), list(values))


def ready(some: Sequence[Example], values=(1,)) -> list[Prepared]:
    return list(prepared(some, plan_for(some, values)))


def learn(some, values=(1,), **overrides) -> list[Learning]:
    options = {"number": 1, "base": None, "seed": 0, "device": "cpu"}
    recipe = medseg(**{"updates": 2, "patience": 2, **{k: v for k, v in overrides.items() if k not in (*options, "checkpoints", "freeze")}})
    given = {**options, **{k: v for k, v in overrides.items() if k in (*options, "checkpoints", "freeze")}}
    return list(recipe.method().learn(some, values, **given))


def result(ticks: Sequence[Learning]) -> Learned:
    learned = ticks[-1].learned
    assert learned is not None
    return learned


def test_the_recipe_is_in_the_catalogue_and_refuses_what_makes_no_sense():
    assert load_catalogue().find("medseg", "recipe").build().name == "medseg"
    with pytest.raises(InvalidInputError, match="no 'epochs'"):
        medseg(epochs=3)
    for wrong in ({"folds": 0}, {"phases": (0.5, 0.2)}, {"learning_rate": 2.0}, {"drift": 1.0}):
        with pytest.raises(InvalidInputError):
            medseg(**wrong)


def test_updates_grow_with_the_cases_within_bounds():
    assert medseg().updates_for(40) == 800
    assert medseg().updates_for(1) == 300
    assert medseg().updates_for(10_000) == 4000
    assert medseg(updates=7).updates_for(40) == 7


def test_scan_and_label_are_augmented_by_the_same_draw():
    """Catches the published bug: image and label turned by different random rotations."""
    labels = np.zeros((12, 24, 20), np.uint8)
    labels[3:9, 6:18, 5:14] = 1
    image = Volume(labels.astype(np.float32), Geometry(labels.shape))
    case = ready([Example("a", "a", image, labels, np.ones(labels.shape, np.uint8))])[0]
    case.image = case.given.clone()  # the scan is its own label: any difference is a difference of draws
    plan = plan_for([Example("a", "a", image, labels, np.ones(labels.shape, np.uint8))])
    generator = torch.Generator().manual_seed(0)
    moved = 0.0
    for _ in range(6):
        shown, target, weight = patch(case, plan, STRONG, generator)
        inside = weight > 0.999
        torch.testing.assert_close(shown[inside], target[inside], atol=2e-3, rtol=0)
        still, _, _ = patch(case, plan, STILL, generator)
        moved += float((shown - still).abs().mean())
    assert moved > 0.05


def test_a_patch_without_augmentation_is_the_scan_itself():
    some = [example(shape=(8, 16, 16))]
    plan, case = plan_for(some), ready(some)[0]
    shown, target, weight = patch(case, plan, STILL, torch.Generator().manual_seed(0))
    assert plan.patch == (8, 16, 16)
    torch.testing.assert_close(shown, case.image.float(), atol=2e-3, rtol=0)
    torch.testing.assert_close(target, case.given.float(), atol=2e-3, rtol=0)
    assert bool((weight == 1).all())


def test_a_warp_reaches_no_farther_than_it_says():
    generator = torch.Generator().manual_seed(1)
    for spacing in ((1.0, 1.0, 1.0), (6.0, 0.8, 0.8)):
        warped = warp((8, 24, 24), spacing, STRONG, generator)
        ramps = torch.stack(torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in (60, 120, 120)], indexing="ij"))
        middle = torch.tensor([30.0, 60.0, 60.0])
        from_where = cut(ramps, middle, warped, (8, 24, 24)) - middle[:, None, None, None]
        assert bool((from_where.abs().amax((1, 2, 3)) <= warped.reach).all())


@pytest.mark.parametrize("term", [cross_entropy, soft_dice, compound])
def test_the_gradient_of_each_term_of_the_loss_reaches_every_parameter(term):
    some = [example(values=(1, 2))]
    plan = plan_for(some, (1, 2))
    network = new_network(plan.network, plan.fingerprint.share, 0)
    image, target, weight = (part[None] for part in patch(ready(some, (1, 2))[0], plan, STRONG, torch.Generator().manual_seed(0)))
    term(network(image), target, weight).backward()
    without = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("term", [cross_entropy, soft_dice, compound])
def test_unknown_voxels_contribute_exactly_nothing(term):
    generator = torch.Generator().manual_seed(0)
    weights = (torch.rand((2, 1, 4, 6, 5), generator=generator) > 0.5).float() * 3
    targets, logits = torch.rand((2, 2, 4, 6, 5), generator=generator) / 2, torch.randn((2, 2, 4, 6, 5), generator=generator)
    known = (weights > 0).expand_as(logits)
    answers = []
    for wrong in (0.0, 1e4):
        shown = torch.where(known, logits, wrong).requires_grad_()
        loss = term(shown, torch.where(known, targets, 1 - targets if wrong else targets), weights)
        loss.backward()
        assert bool((shown.grad[~known] == 0).all())
        answers.append((loss.detach(), shown.grad[known]))
    assert torch.equal(answers[0][0], answers[1][0])
    assert torch.equal(answers[0][1], answers[1][1])


def test_a_voxel_next_to_an_unknown_one_takes_nothing_of_its_label():
    first = example()
    trust = first.trust.copy()
    trust[:, :, 8:] = Trust.UNKNOWN
    patches = []
    for value in (0, 1):
        labels = first.labels.copy()
        labels[:, :, 8:] = value
        one = ready([Example("a", "a", first.image, labels, trust)])[0]
        patches.append(patch(one, plan_for([first]), STRONG, torch.Generator().manual_seed(2)))
    assert torch.equal(patches[0][1], patches[1][1])
    assert torch.equal(patches[0][2], patches[1][2])


def test_cross_entropy_and_dice_are_what_they_are_called():
    target = torch.zeros(1, 2, 2, 4, 4)
    target[:, 0, :, :2], target[:, 1, :, 2:3] = 1, 1
    sure = torch.where(target > 0, 50.0, -50.0)
    ones = torch.ones(1, 1, 2, 4, 4)
    assert float(compound(sure, target, ones)) == pytest.approx(0, abs=1e-4)
    assert float(soft_dice(-sure, target, ones)) == pytest.approx(1, abs=0.15)
    assert float(cross_entropy(torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1))) == pytest.approx(np.log(2))


def test_patients_stay_whole_and_no_network_judges_a_case_that_it_learned_from():
    patients = ["a", "b", "a", "c", "d", "b", "e"]
    dealt = folds(patients, 3, seed=4)
    assert len({(p, f) for p, f in zip(patients, dealt, strict=True)}) == len(set(patients))
    assert set(dealt) == {0, 1, 2}
    assert folds(["a", "a"], 3, 0) == [0, 0]
    some = [example(seed) for seed in range(5)]
    this = medseg_round.Round(
        medseg(updates=4), plan_for(some), some, ready(some), [new_network(plan_for(some).network, [0.1], k) for k in range(2)],
        number=1, seed=0, device="cpu", freeze="none", checkpoints=None,
    )
    for k, learner in enumerate(this.learners):
        taught = {case.id for case in learner.cases}
        judged = {case.id for case, share in zip(this.cases, this.share, strict=True) if share == k}
        assert taught | judged == {case.id for case in this.cases}
        assert not taught & judged


def test_the_cut_gives_back_the_volume_of_the_labels():
    rng = np.random.default_rng(0)
    labels = (rng.random((1, 20, 20, 20)) < 0.1).astype(np.float32)
    logits = labels * 2 - 5 + rng.normal(0, 0.5, labels.shape).astype(np.float32)
    known = np.ones(labels.shape[1:], bool)
    (cut_at,) = offsets([Judged(logits, labels, known, np.zeros_like(known))])
    assert (logits + cut_at > 0).sum() == pytest.approx(labels.sum(), abs=1)


def test_settled_voxels_settle_the_cut_where_there_are_enough():
    rng = np.random.default_rng(0)
    truth = (ndi.gaussian_filter(rng.normal(size=(24, 24, 24)), 3) > 0.02)[None].astype(np.float32)
    logits = ndi.gaussian_filter(truth, 1.5) * 6 - 5
    swollen = ndi.binary_dilation(truth[0], iterations=3)[None].astype(np.float32)  # annotators who all paint too much
    settled = np.zeros(truth.shape[1:], bool)
    settled[::2] = True
    labels = np.where(settled, truth, swollen)
    known = np.ones_like(settled)
    with_settled, without = (offsets([Judged(logits, labels, known, s)] * 2)[0] for s in (settled, np.zeros_like(settled)))
    assert (logits + with_settled > 0).sum() == pytest.approx(truth.sum(), rel=0.05)
    assert (logits + without > 0).sum() > 1.2 * truth.sum()


def ball(middle: Sequence[float], shape=(24, 28, 26), radii=(5.0, 7.0, 4.0)) -> np.ndarray:
    grid = np.indices(shape).astype(float)
    return sum(((g - m) / r) ** 2 for g, m, r in zip(grid, middle, radii, strict=True)) <= 1


def aligned(weak: Sequence[LabelArray], truths: Sequence[np.ndarray], trust: Sequence[np.ndarray] | None = None) -> tuple[Aligner, Moves, list[Prepared]]:
    some = [
        Example(f"p{i}", f"p{i}", Volume(np.zeros(m.shape, np.float32), Geometry(m.shape)), m, np.ones(m.shape, np.uint8) if trust is None else trust[i])
        for i, m in enumerate(weak)
    ]
    cases = ready(some)
    aligner = Aligner(cases, (1.0, 1.0, 1.0), 1.0)
    seen = zip(cases, truths, aligner.boxes, strict=True)
    logits = [np.where(case.way.turn.apply(truth), 2.0, -2.0).astype(np.float32)[(None, *box)] for case, truth, box in seen]
    fitting = aligner.fit(aligner.evidence(logits, [0.0]), 60)
    while True:
        try:
            next(fitting)
        except StopIteration as done:
            return aligner, done.value, cases


def test_alignment_finds_a_known_shift():
    truth = ball((12, 14, 13))
    shifts = [(0, 3, 0), (-2, 0, 2), (1, -2, -1), (1, -1, -1)]  # common to all: nothing
    weak = [np.roll(truth, shift, (0, 1, 2)).astype(np.uint8) for shift in shifts]
    aligner, moves, cases = aligned(weak, [truth] * 4)
    for index, (mask, case) in enumerate(zip(weak, cases, strict=True)):
        after = np.zeros(truth.shape, bool)
        after[aligner.boxes[index]] = aligner.moved(moves, index)[0].numpy() > 0.5
        assert dice(case.way.turn.undo(after), truth) > max(0.93, dice(mask > 0, truth) - 0.02)
        found = aligner.shifts_mm(moves)[index] * [-1 if flip else 1 for flip in case.way.turn.flipped]
        np.testing.assert_allclose(found, -np.array(shifts[index]), atol=0.8)


def test_what_all_masks_would_do_alike_is_not_done():
    truth = ball((12, 14, 13))
    weak = [np.roll(truth, (0, k, 0), (0, 1, 2)).astype(np.uint8) for k in (1, 2, 3)]
    aligner, moves, _ = aligned(weak, [truth] * 3)
    np.testing.assert_allclose(aligner.shifts_mm(moves).mean(0), 0, atol=1e-4)


def test_alignment_keeps_the_volume_on_average():
    truth = ball((12, 14, 13))
    weak = [np.roll(truth, (0, k, 0), (0, 1, 2)).astype(np.uint8) for k in (-3, 3, 2)]
    swollen = ndi.binary_dilation(truth, iterations=2)
    aligner, moves, _ = aligned(weak, [swollen] * 3)
    sizes = [float((aligner.moved(moves, i) > 0.5).sum()) for i in range(3)]
    assert sum(sizes) == pytest.approx(3 * truth.sum(), rel=0.15)


def test_what_a_person_settled_and_what_nobody_knows_is_taught_as_given():
    some = [example(seed) for seed in range(2)]
    trust = some[0].trust.copy()
    trust[4], trust[5] = Trust.CORRECTED, Trust.UNKNOWN
    case = ready([Example("a", "a", some[0].image, some[0].labels, trust)])[0]
    case.teach(torch.ones_like(case.given), (slice(0, 8), slice(0, 16), slice(0, 16)))
    kept = case.settled | (case.weight[0] == 0)
    assert torch.equal(case.target[:, kept], case.given[:, kept])
    assert bool((case.target[:, ~kept] == 1).all())


def test_a_mask_that_is_mostly_unknown_or_settled_does_not_move():
    first = example()
    for level in (Trust.UNKNOWN, Trust.VERIFIED):
        trust = np.full(first.trust.shape, level, np.uint8)
        trust[4] = Trust.WEAK
        assert not can_move(ready([Example("a", "a", first.image, first.labels, trust)])[0])
    assert can_move(ready([first])[0])


@pytest.mark.parametrize(("count", "values", "spacing", "channels"), [
    (1, (1,), (1.0, 1.0, 1.0), 1), (2, (2, 7), (1.0, 1.0, 1.0), 1), (2, (1,), (5.0, 0.9, 0.9), 1), (3, (1,), (1.0, 1.0, 1.0), 2),
])
def test_a_round_proposes_for_every_case_whatever_the_set(count, values, spacing, channels, tmp_path):
    some = [example(seed, spacing=spacing, values=values, channels=channels) for seed in range(count)]
    ticks = learn(some, values, updates=3)
    learned = result(ticks)
    assert learned.updates == 3
    assert [tick.fraction for tick in ticks] == sorted(tick.fraction for tick in ticks)
    assert set(learned.proposals) == set(learned.doubt) == {e.id for e in some}
    for one in some:
        proposal = learned.proposals[one.id]
        assert proposal.shape == one.labels.shape
        assert proposal.dtype == np.uint8
        assert set(np.unique(proposal)) <= {0, *values}
        assert 0 <= learned.doubt[one.id].min() <= learned.doubt[one.id].max() <= 1
    file = learned.model.save(tmp_path, {"title": "Round 1"})
    assert np.array_equal(load_volumetric(file, "cpu").label(some[0].image), learned.model.label(some[0].image))


def test_scans_of_many_spacings_learn_together():
    spacings = [(0.3, 0.3, 0.3), (1.0, 1.0, 1.0), (7.0, 0.6, 0.6)]
    some = [example(seed, spacing=spacing) for seed, spacing in enumerate(spacings)]
    learned = result(learn(some, updates=2))
    assert all(learned.proposals[e.id].shape == e.labels.shape for e in some)


def test_proposals_never_touch_what_a_person_settled():
    some = [example(seed) for seed in range(3)]
    trust = some[1].trust.copy()
    trust[3] = Trust.CORRECTED
    labels = some[1].labels.copy()
    labels[3] = np.arange(16) % 2
    some[1] = Example("p1", "patient 1", some[1].image, labels, trust)
    assert np.array_equal(result(learn(some)).proposals["p1"][3], labels[3])


def test_a_few_known_slices_are_enough_to_learn_from():
    first = example()
    labels, trust = np.full(first.labels.shape, 255, np.uint8), np.zeros(first.labels.shape, np.uint8)
    labels[4], trust[4] = first.labels[4], Trust.VERIFIED
    learned = result(learn([Example("a", "a", first.image, labels, trust)]))
    assert set(np.unique(learned.proposals["a"])) <= {0, 1}


def test_nothing_known_and_nothing_labelled_are_told_before_anything_starts():
    first = example()
    with pytest.raises(NoLabelsError):
        learn([])
    with pytest.raises(NoLabelsError, match="known"):
        learn([Example("a", "a", first.image, np.full_like(first.labels, 255), np.zeros_like(first.trust))])
    with pytest.raises(NoLabelsError, match="foreground"):
        learn([Example("a", "a", first.image, np.zeros_like(first.labels), first.trust)])


def test_the_same_seed_gives_the_same_labels_and_another_gives_others():
    some = [example(seed, move=seed - 1) for seed in range(3)]
    first, again, other = (result(learn(some, updates=4, seed=seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(first.proposals[e.id], again.proposals[e.id]) for e in some)
    assert any(not np.array_equal(first.doubt[e.id], other.doubt[e.id]) for e in some)


def test_a_round_that_was_killed_goes_on_to_the_same_end(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(medseg_round, "SAVE_S", 0.0)
    monkeypatch.setattr(medseg_round, "AGREE", -1.0)
    some = [example(seed, move=seed - 1) for seed in range(4)]
    whole = result(learn(some, updates=8))
    recipe = medseg(updates=8, patience=2)
    for stop in (3, 7):
        folder = tmp_path / str(stop)
        folder.mkdir()
        options = {"number": 1, "base": None, "seed": 0, "device": "cpu", "checkpoints": Checkpoints(folder)}
        for tick in recipe.method().learn(some, (1,), **options):
            if tick.updates == stop:
                break
        ticks = list(recipe.method().learn(some, (1,), **options))
        assert min(t.updates for t in ticks if t.loss is not None) >= stop
        assert result(ticks).updates == 8
        for one in some:
            np.testing.assert_allclose(result(ticks).doubt[one.id], whole.doubt[one.id], atol=1e-3)


def test_a_checkpoint_of_another_round_or_a_damaged_one_is_left_alone(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(medseg_round, "SAVE_S", 0.0)
    some = [example(seed) for seed in range(2)]
    kept = Checkpoints(tmp_path)
    learn(some, checkpoints=kept)
    assert learn(some, number=2, checkpoints=kept)[-1].updates == 2
    with monkeypatch.context() as earlier:
        earlier.setattr(volumetric_plan, "WIDTHS", (8, 16, 32))  # as a version that makes other networks leaves it
        learn(some, checkpoints=kept)
    assert result(learn(some, checkpoints=kept)).updates == 2
    kept.path.write_bytes(b"no checkpoint")
    assert result(learn(some, checkpoints=kept)).updates == 2


def test_a_look_at_the_networks_as_they_stand_changes_nothing():
    some = [example(seed) for seed in range(2)]
    plain = result(learn(some, updates=4))
    looked = []
    last = None
    for tick in medseg(updates=4, patience=2).method().learn(some, (1,), number=1, base=None, seed=0, device="cpu"):
        if tick.now is not None:
            looked.append(tick.now(some[0].image))
        last = tick
    assert len(looked) >= 4
    assert looked[0].shape == some[0].labels.shape
    assert all(np.array_equal(result([last]).doubt[e.id], plain.doubt[e.id]) for e in some)


def test_a_round_goes_on_from_a_saved_model_and_knows_its_classes(tmp_path: Path):
    some = [example(seed, values=(3,)) for seed in range(2)]
    file = result(learn(some, (3,), updates=4)).model.save(tmp_path, {})
    more = [example(seed, values=(3, 8)) for seed in range(2)]
    method = medseg(updates=2, patience=2).method()
    assert method.base_model(file, (3,), "cpu") is not None
    assert method.base_model(None, (3,), "cpu") is None
    assert method.base_model(file, (3, 8), "cpu") is None
    learned = result(learn(more, (3, 8), base=file, updates=2))
    assert learned.model.plan["values"] == [3, 8]
    with pytest.raises(InvalidInputError, match="takes 1 channel, but the scans have 2"):
        learn([example(channels=2, values=(3,))], (3,), base=file)


def test_what_is_frozen_stays_as_the_base_has_it(tmp_path: Path):
    some = [example(seed) for seed in range(2)]
    file = result(learn(some, updates=2)).model.save(tmp_path, {})
    before = load_volumetric(file, "cpu").network.networks[0].state_dict()
    learned = result(learn(some, base=file, freeze="encoder", updates=2))
    after = learned.model.network.networks[0].state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not [name for name in changed if name.startswith(("stem", "encoder"))]


def test_a_base_of_another_recipe_is_refused(tmp_path: Path):
    from napari_medseg.segmenters.plan import BASE

    with pytest.raises(InvalidInputError, match="medseg"):
        learn([example()], base=BASE)
    with pytest.raises(InvalidInputError, match="medseg"):
        medseg().method().base_model(BASE, (1,), "cpu")


def test_the_loop_runs_it_from_nothing_and_its_model_labels_scans(bright_discs, tmp_path: Path):
    cases = [bright_discs(seed, f"p{seed}.nii.gz") for seed in range(3)]
    request = RefineRequest(cases, medseg(updates=4, patience=2), out=tmp_path / "run", seed=0)
    done = last_result(refine(request))
    assert [r.round for r in done.rounds] == [0, 1]
    assert done.rounds[1].updates == 4
    model = load_model(tmp_path / "run" / "models" / "round1")
    assert model.label(cases[0].image).shape == cases[0].image.geometry.shape
    assert model.plan["network"]["kind"] == "volumetric"


def test_a_batch_too_large_for_the_memory_is_refused_before_anything_starts(bright_discs, tmp_path: Path):
    cases = [bright_discs(seed, f"p{seed}.nii.gz") for seed in range(2)]
    with pytest.raises(NoRoomError, match="GB are free"):
        last_result(refine(RefineRequest(cases, medseg(updates=1, batch=10**6), out=tmp_path / "run")))
