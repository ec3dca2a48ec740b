"""A network as a function: content with less memory when there is less, and never in the way while it becomes quicker."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.errors import SegmenterError
from napari_medseg.segmenters.compiling import Compiling
from napari_medseg.segmenters.inference import Inference
from napari_medseg.segmenters.window import slide

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no graphics card")


class Tight(nn.Module):
    """Answers each voxel's own value twice; runs out of memory when given more than `limit` voxels at once."""

    def __init__(self, limit, error=torch.OutOfMemoryError):
        super().__init__()
        self.limit, self.error, self.given = limit, error, []

    def forward(self, x):
        self.given.append(tuple(x.shape))
        if x.numel() > self.limit:
            raise self.error("CUDA out of memory. Tried to allocate 20.00 MiB")
        return torch.cat([x, 2 * x], dim=1)


class Hungry(nn.Module):
    """Asks the system for 64 TB beside every large window, which no system has."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, x):
        if x.numel() > self.limit:
            torch.empty(1 << 46, dtype=torch.uint8)
        return 3 * x


@pytest.fixture
def windows():
    return np.random.default_rng(0).normal(size=(4, 1, 64, 64, 64)).astype(np.float32)


def test_windows_that_do_not_fit_together_go_one_by_one(windows):
    network = Tight(64**3)
    infer = Inference(network, "cpu", "Liver")
    np.testing.assert_allclose(infer(windows), np.concatenate([windows, 2 * windows], axis=1))
    assert "one by one" in infer.note
    network.given.clear()
    infer(windows)
    assert network.given == [(1, 1, 64, 64, 64)] * 4, "what did not fit once is not tried again"


@pytest.mark.parametrize("network", [Tight(32**3), Hungry(32**3)], ids=["the card's word", "the system's word"])
def test_a_window_that_does_not_fit_is_put_together_from_smaller_ones(windows, network):
    infer = Inference(network, "cpu", "Liver")
    answer = infer(windows)
    np.testing.assert_allclose(answer[:, -1], {Tight: 2, Hungry: 3}[type(network)] * windows[:, 0], rtol=1e-5)
    assert "smaller windows" in infer.note


def test_a_sliding_window_goes_on_in_smaller_ones(windows):
    image = np.random.default_rng(1).normal(size=(1, 64, 96, 64)).astype(np.float32)
    network = Tight(32**3)
    whole = np.zeros((2, 64, 96, 64), np.float32)
    for piece in slide(image, Inference(network, "cpu", "Liver"), (64, 64, 64)):
        whole[(slice(None), *piece.box)] = piece.values
    np.testing.assert_allclose(whole[1], 2 * image[0], rtol=1e-4, atol=1e-5)


def test_slices_are_cut_too():
    flat = np.random.default_rng(2).normal(size=(3, 1, 1, 128, 128)).astype(np.float32)
    network = Tight(64 * 64)
    np.testing.assert_allclose(Inference(network, "cpu", "Liver", dims=2)(flat)[:, 1], 2 * flat[:, 0], rtol=1e-5)
    assert network.given[-1] == (1, 1, 64, 64)


def test_when_nothing_is_small_enough_the_network_is_named(windows):
    with pytest.raises(SegmenterError, match="Liver: there is not enough memory for this scan"):
        Inference(Tight(100), "cpu", "Liver")(windows)


class OneSize(nn.Module):
    """Takes windows of one size only, and never has memory for them."""

    def forward(self, x):
        if x.shape[-1] != 64:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_network_of_one_size_is_not_blamed_for_the_size(windows):
    with pytest.raises(SegmenterError, match="not enough memory"):
        Inference(OneSize(), "cpu", "Liver")(windows)


def test_what_else_lies_on_the_card_goes_first(windows):
    asked = []

    def relief():
        asked.append(True)
        return len(asked) == 1

    network = Tight(64**3)
    Inference(network, "cpu", "Liver").maps(windows[:2], relief)
    assert asked == [True, True]
    assert [shape[0] for shape in network.given] == [2, 2, 1, 1]


def test_what_filled_the_memory_is_let_go_before_the_next_try(windows):
    held = []

    class Filling(nn.Module):
        def forward(self, x):
            features = torch.zeros(1000)
            held.append(torch.utils.weak.WeakTensorKeyDictionary({features: True}))
            if len(x) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            assert all(len(known) == 0 for known in held[:1])
            return x

    Inference(Filling(), "cpu", "Liver")(windows[:2])
    assert len(held) == 3


def test_a_network_that_works_in_place_leaves_the_scan_alone():
    scan = -np.ones((1, 1, 4, 4, 4), np.float32)
    assert not Inference(nn.ReLU(inplace=True), "cpu", "Liver")(scan).any()
    assert (scan == -1).all()


def test_values_whose_sum_is_too_large_are_still_numbers():
    large = np.full((1, 1, 16, 16, 16), 3e38, np.float32)
    np.testing.assert_array_equal(Inference(nn.Identity(), "cpu", "Liver")(large), large)


@pytest.fixture
def compiled():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU()).eval()
    return network, Compiling(network, torch.inference_mode, after=3, backend="eager")


def test_a_network_answers_at_once_and_is_compiled_behind_its_back(compiled):
    network, quick = compiled
    windows = torch.rand(2, 1, 8, 8)
    with torch.inference_mode():
        expected = network(windows)
        for _ in range(3):
            torch.testing.assert_close(quick(windows), expected)
        assert quick.wait(60)
        assert quick.note == "compiled"
        torch.testing.assert_close(quick(windows), expected)
        torch.testing.assert_close(quick(windows[:1]), expected[:1])


def test_windows_of_changing_shapes_are_not_worth_compiling(compiled):
    _, quick = compiled
    with torch.inference_mode():
        for n in range(1, 9):
            quick(torch.rand(1, 1, 8, 8 * n))
    assert not quick.wait(0)
    assert quick.note == ""


def test_a_network_that_cannot_be_compiled_answers_as_before():
    quick = Compiling(nn.Sigmoid(), torch.inference_mode, after=1, backend="no such compiler")
    assert (quick(torch.zeros(1, 1)) == 0.5).all()
    assert quick.wait(60)
    assert (quick(torch.zeros(1, 1)) == 0.5).all()
    assert quick.note == ""


class Net(nn.Module):
    """Small, with everything a real one has: strides, skips, norms."""

    def __init__(self):
        super().__init__()
        from monai.networks.nets import UNet

        torch.manual_seed(0)
        self.net = UNet(3, 1, 5, (8, 16, 32), (2, 2))

    def forward(self, x):
        return torch.softmax(self.net(x), dim=1)


@pytest.mark.gpu
@needs_card
def test_the_card_in_half_precision_answers_as_the_processor_to_a_hundredth():
    image = np.random.default_rng(4).random((1, 96, 96, 96), dtype=np.float32)
    answers = []
    for device in ("cpu", "cuda"):
        whole = np.zeros((5, 96, 96, 96), np.float32)
        for piece in slide(image, Inference(Net(), device, "Liver"), (64, 64, 64), focus=(40, None, None)):
            whole[(slice(None), *piece.box)] = piece.values
        answers.append(whole)
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-2)


@pytest.mark.gpu
@needs_card
def test_a_card_that_is_full_gives_way_to_smaller_batches_and_then_to_the_processor():
    class Greedy(nn.Module):
        """Asks the card for a thousand bytes a voxel; the processor for none."""

        def forward(self, x):
            if x.device.type == "cuda":
                torch.empty(x.numel() * 1000, dtype=torch.uint8, device=x.device)
            return x * 1.0

    windows = np.random.default_rng(5).random((4, 1, 64, 64, 64), dtype=np.float32)
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction(400e6 / total)
        infer = Inference(Greedy(), "auto", "Liver")
        np.testing.assert_allclose(infer(windows), windows, rtol=1e-2)
        assert "one by one" in infer.note
        torch.cuda.set_per_process_memory_fraction(20e6 / total)
        np.testing.assert_allclose(infer(windows), windows, rtol=1e-2)
        assert infer.device == "cpu" or "smaller" in infer.note
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.gpu
@needs_card
def test_the_cards_memory_is_bounded_by_the_window_and_not_by_the_volume():
    most = []
    for depth in (128, 512):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        image = np.zeros((1, depth, 96, 96), np.float32)
        for _ in slide(image, Inference(Net(), "cuda", "Liver"), (64, 64, 64), focus=(depth // 2, None, None)):
            pass
        most.append(torch.cuda.max_memory_allocated())
    assert most[1] < 1.2 * most[0]


@pytest.mark.gpu
@needs_card
def test_what_overflows_in_half_precision_is_computed_in_single_precision():
    windows = np.full((1, 1, 8, 8, 8), 1000, np.float32)

    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(1, 1, 1, bias=False)
            nn.init.constant_(self.conv.weight, 1000)

        def forward(self, x):
            return self.conv(x)

    np.testing.assert_allclose(Inference(Large(), "cuda", "Liver")(windows), 1e6, rtol=1e-5)
