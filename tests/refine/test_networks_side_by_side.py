"""Both networks of medseg at once, each in a thread of its own: what comes out does not depend on who was first, nor on a kill in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg.errors import TrainingError
from napari_medseg.refine.checkpoint import Checkpoints
from napari_medseg.refine.medseg import round as medseg_round
from napari_medseg.refine.medseg.align import Aligner, Moves
from napari_medseg.refine.medseg.beside import Beside, abreast
from napari_medseg.refine.medseg.data import prepared
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.refine.method import Example, Learned
from napari_medseg.refine.trust import Trust
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.plan import planned
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def two_threads(_one_thread: None) -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2


def scans(count: int = 4) -> list[Example]:
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        image, labels = rng.normal(0, 0.1, (8, 16, 16)).astype(np.float32), np.zeros((8, 16, 16), np.uint8)
        labels[2:6, 4:11, 3:9] = 1
        image[labels > 0] += 1
        volume = Volume(image, Geometry(image.shape, (1.0, 1.0, 1.0)), f"p{seed}", "MR")
        found.append(Example(f"p{seed}", f"patient {seed}", volume, np.roll(labels, seed - 1, axis=1), np.full(labels.shape, Trust.WEAK, np.uint8)))
    return found


def learn(some: list[Example], updates: int = 8, stop: int | None = None, checkpoints: Checkpoints | None = None) -> Learned | None:
    ticks = medseg(updates=updates, patience=2).method().learn(some, (1,), number=1, base=None, seed=0, device="cpu", checkpoints=checkpoints)
    for tick in ticks:
        if tick.learned is not None or (stop is not None and tick.updates >= stop):
            ticks.close()
            return tick.learned
    raise AssertionError("a round ends with what it learned")


def test_results_come_in_the_order_of_the_tasks_whoever_is_first(two_threads):
    late = threading.Event()

    def first() -> str:
        assert late.wait(60)
        return "first"

    def second() -> str:
        late.set()
        return "second"

    with Beside(2, "cpu") as beside:
        assert beside([first, second]) == ["first", "second"]


def test_each_task_has_its_share_of_the_threads_and_the_caller_has_its_own_back(two_threads):
    with Beside(2, "cpu") as beside:
        for _ in range(3):
            assert beside([torch.get_num_threads, torch.get_num_threads]) == [1, 1]
            assert torch.get_num_threads() == 2
        assert beside([torch.get_num_threads]) == [2]


def test_of_two_faults_the_first_tasks_is_told_and_none_is_still_at_work_then(two_threads):
    late, ended = threading.Event(), []

    def first() -> None:
        assert late.wait(60)
        ended.append("first")
        raise TrainingError("the first")

    def second() -> None:
        ended.append("second")
        late.set()
        raise TrainingError("the second")

    with Beside(2, "cpu") as beside, pytest.raises(TrainingError, match="the first"):
        beside([first, second])
    assert ended == ["second", "first"]
    assert torch.get_num_threads() == 2


def test_with_one_thread_or_on_a_graphics_card_networks_take_turns_where_they_are_called(two_threads):
    assert abreast(2, "cuda") == abreast(2, "mps") == 1
    assert (abreast(3, "cpu"), abreast(1, "cpu")) == (2, 1)
    torch.set_num_threads(1)
    assert abreast(2, "cpu") == 1
    with Beside(2, "cpu") as beside:
        assert beside([threading.get_ident, threading.get_ident]) == [threading.get_ident()] * 2
    torch.set_num_threads(2)


def test_two_networks_side_by_side_learn_what_they_learn_in_turns_and_the_same_every_time(two_threads, monkeypatch):
    monkeypatch.setattr(medseg_round, "AGREE", -1.0)
    some = scans()
    first, again = learn(some), learn(some)
    torch.set_num_threads(1)
    in_turns = learn(some)
    torch.set_num_threads(2)
    for one in some:
        assert np.array_equal(first.doubt[one.id], again.doubt[one.id])
        np.testing.assert_allclose(first.doubt[one.id], in_turns.doubt[one.id], atol=1e-3)


@pytest.mark.parametrize("stop", [2, 6])
def test_a_round_of_two_threads_that_was_killed_goes_on_to_the_same_labels_bit_for_bit(stop, two_threads, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(medseg_round, "SAVE_S", 0.0)
    monkeypatch.setattr(medseg_round, "AGREE", -1.0)
    some = scans()
    whole = learn(some)
    kept = Checkpoints(tmp_path)
    assert learn(some, stop=stop, checkpoints=kept) is None
    after = learn(some, checkpoints=kept)
    for one in some:
        assert np.array_equal(after.doubt[one.id], whole.doubt[one.id])
        assert np.array_equal(after.proposals[one.id], whole.proposals[one.id])


def test_a_round_that_is_cancelled_leaves_no_thread_behind(two_threads):
    before = set(threading.enumerate())
    assert learn(scans(2), stop=2) is None
    assert set(threading.enumerate()) == before


def test_what_two_networks_need_at_once_is_reckoned_with(two_threads, bright_discs):
    cases = [bright_discs(seed, f"p{seed}.nii.gz") for seed in range(2)]
    method = medseg().method()
    _, both = method.memory(cases, 1, "cpu")
    torch.set_num_threads(1)
    _, one = method.memory(cases, 1, "cpu")
    torch.set_num_threads(2)
    assert both == 2 * one


def test_a_mask_moves_on_the_lattice_as_it_does_voxel_by_voxel():
    some = scans(3)
    plan = planned(fingerprint(((e.image, e.labels) for e in some), (1,)), [1])
    aligner = Aligner(list(prepared(some, plan)), plan.spacing, 1.0)
    generator = torch.Generator().manual_seed(0)
    none = Moves.none(3)
    sizes = zip((none.shift, none.strain, none.bend), (1.0, 0.05, 0.4), strict=True)
    moves = Moves(*(torch.randn(part.shape, generator=generator) * size for part, size in sizes))
    points = aligner._lattice(tuple(aligner._masks(none).shape[2:]))
    there = points + aligner._displaced(moves, points, range(3))
    grid = (there / aligner._reach * aligner._cells).flip(-1)
    wanted = torch.nn.functional.grid_sample(aligner._inside, grid, mode="bilinear", padding_mode="border", align_corners=True).sigmoid()
    torch.testing.assert_close(aligner._masks(moves), wanted, atol=1e-4, rtol=0)
