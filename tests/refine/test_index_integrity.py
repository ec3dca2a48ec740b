"""Images, labels, trust and names stay together, in whatever order and orientation they come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from napari_medseg.refine import RefineRequest, last_result, refine, salah2023
from napari_medseg.refine.cases import Case
from napari_medseg.refine.examples import example, persons_word
from napari_medseg.refine.salah.training import jaccard_distance, slice_set
from napari_medseg.refine.trust import WEIGHTS, Trust
from napari_medseg.segmenters.slices import prepare, slice_order
from napari_medseg.volume import AxisMap, Geometry, Volume


def marked(name: str, column: int) -> Case:
    """A scan whose slice k has its bright pixel at row k of a column; the label marks the same pixel."""
    geometry = Geometry((4, 32, 32), (5.0, 2.0, 2.0))
    image = np.zeros(geometry.shape, np.float32)
    image[np.arange(4), np.arange(4) + 3, column] = 1.0
    return Case(name, Volume(image, geometry), Volume((image > 0).astype(np.uint8), geometry))


def one_slice(case: Case, index: int) -> np.ndarray:
    fix = np.full(case.labels.array.shape, 255, np.uint8)
    fix[index] = case.labels.array[index]
    return fix


def test_every_slice_keeps_its_own_label_and_its_own_trust():
    cases = [marked("a", 5), marked("b", 9), marked("c", 20)]
    examples = [example(c, c.labels.array, Trust.WEAK, persons_word(c, one_slice(c, i + 1))) for i, c in enumerate(cases)]
    data = slice_set(examples, size=32)
    assert torch.equal(data.images, data.targets)
    heavy = torch.nonzero(data.weights.amax(dim=(1, 2, 3)) == WEIGHTS[Trust.CORRECTED])[:, 0]
    wanted = [prepare(slice_order(c.image.geometry).apply(np.where(one_slice(c, i + 1) == 255, 0, c.image.array)), 32) for i, c in enumerate(cases)]
    assert torch.equal(data.images[heavy], torch.cat([stack[stack.amax(dim=(1, 2, 3)) > 0] for stack in wanted]))
    assert float(data.weights.min()) == WEIGHTS[Trust.WEAK]


def test_trust_turns_with_its_scan_however_the_file_stores_it():
    case = marked("a", 5)
    turn = AxisMap((1, 2, 0), (True, False, True))
    turned = replace(
        case,
        image=replace(case.image, array=turn.apply(case.image.array), geometry=turn.geometry(case.image.geometry)),
        labels=replace(case.labels, array=turn.apply(case.labels.array), geometry=turn.geometry(case.labels.geometry)),
    )
    fix = one_slice(case, 2)
    straight = slice_set([example(case, case.labels.array, Trust.WEAK, persons_word(case, fix))], size=32)
    other = slice_set([example(turned, turned.labels.array, Trust.WEAK, persons_word(turned, turn.apply(fix)))], size=32)
    for one, two in ((straight.images, other.images), (straight.targets, other.targets), (straight.weights, other.weights)):
        assert torch.equal(one, two)


def test_a_pixel_that_counts_four_times_moves_the_loss_as_four_pixels_would():
    torch.manual_seed(0)
    logits, target = torch.randn(1, 1, 4, 4), (torch.rand(1, 1, 4, 4) > 0.5).float()
    counts = torch.ones(1, 1, 4, 4)
    counts[0, 0, 1, 2] = 4.0
    again = [torch.cat([part.flatten(), part[0, 0, 1, 2].repeat(3)]).reshape(1, 1, 1, 19) for part in (logits, target)]
    assert torch.allclose(jaccard_distance(logits, target, counts), jaccard_distance(*again, torch.ones(1, 1, 1, 19)))


def test_proposals_come_back_under_the_name_of_their_scan_in_any_order(patients, base):
    recipe = salah2023(rounds=1, epochs=40, learning_rate=0.02, batch=6, small_batch=6, small_passes=1, drift=1e6)
    spread = [Case(f"s{i}", c.image.like(np.roll(c.image.array, 9 * i - 5, axis=2)), c.labels.like(np.roll(c.labels.array, 9 * i - 5, axis=2)))
              for i, c in enumerate(patients.cases)]
    (proposed,) = (tick.labels for tick in refine(RefineRequest(tuple(reversed(spread)), recipe, base)) if tick.labels)
    for case in spread:
        overlap = {other.id: int(np.count_nonzero((proposed[case.id] > 0) & (other.labels.array > 0))) for other in spread}
        assert max(overlap, key=lambda name: overlap[name]) == case.id


def test_held_out_scans_keep_their_own_truth(patients, base):
    """A scan that is held out beside one of the same name in the set is scored against its own label."""
    recipe = salah2023(rounds=1, epochs=2, small_passes=1)
    same_name = (Case("p0.nii.gz", patients.cases[2].image, patients.truth["p2.nii.gz"]),)
    other_name = (Case("held.nii.gz", patients.cases[2].image, patients.truth["p2.nii.gz"]),)
    one, two = (last_result(refine(RefineRequest(patients.cases[:2], recipe, base, heldout=held))) for held in (same_name, other_name))
    assert one.rounds[1].dice_heldout == two.rounds[1].dice_heldout
