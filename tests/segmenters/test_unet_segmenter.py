"""The U-Net on a scan: one path for whole slices and for windows, checked answers, a card that may fill up."""

import gc
import pickle
import shutil
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnavailableError
from napari_medseg.segmenters import collect, unet_segmenter
from napari_medseg.segmenters.inference import Inference
from napari_medseg.segmenters.slices import prepare, restore, slice_order
from napari_medseg.segmenters.unet_segmenter import UNetSegmenter, blocks
from napari_medseg.segmenters.weights import load_model
from napari_medseg.testing.segmenter_conformance import blob
from napari_medseg.volume import Geometry, Volume


def test_whole_slices_are_the_papers_recipe(tiny_model):
    """What the segmenter gives is what training sees: min-max, 128 x 128, logits back, sigmoid."""
    volume = blob("thick along another axis")
    network, _ = load_model(tiny_model)
    turn = slice_order(volume.geometry)
    stack = turn.apply(volume.array)
    with torch.inference_mode():
        logits = restore(network(prepare(stack)), stack.shape[1:])
    expected = turn.undo(1 / (1 + np.exp(-logits)))
    found = collect(UNetSegmenter(tiny_model).predict(volume, device="cpu"), volume.geometry.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_windows_on_large_slices_are_monais(tiny_model):
    from monai.inferers import SlidingWindowInferer

    from napari_medseg.segmenters.slices import normalise

    values = np.random.default_rng(0).normal(size=(2, 200, 150)).astype(np.float32)
    volume = Volume(values, Geometry(values.shape, (5.0, 0.7, 0.7)))
    network, _ = load_model(tiny_model)
    turn = slice_order(volume.geometry)
    stack = torch.from_numpy(normalise(turn.apply(values)))[:, None]
    with torch.inference_mode():
        logits = SlidingWindowInferer((128, 128), 4, overlap=0.5, mode="gaussian")(stack, network).transpose(0, 1)
    found = collect(UNetSegmenter(tiny_model, fit="native").predict(volume, device="cpu"), values.shape)
    np.testing.assert_allclose(found, turn.undo(torch.sigmoid(logits).numpy()), atol=1e-3)


def test_the_slice_in_view_comes_alone_and_first(tiny_model):
    first = next(UNetSegmenter(tiny_model).predict(blob("thick slices"), device="cpu", focus=5))
    assert first.box[0] == slice(5, 6)


@pytest.mark.parametrize(("count", "first", "size"), [(1, 0, 4), (9, 0, 4), (9, 8, 4), (9, 4, 1), (20, 7, 3)])
def test_blocks_cover_every_slice_once_from_the_first_outwards(count, first, size):
    runs = list(blocks(count, lambda: first, size))
    assert runs[0] == (first, first + 1, first)
    assert sorted(i for a, b, _ in runs for i in range(a, b)) == list(range(count))
    away = [min(abs(a - first), abs(b - 1 - first)) for a, b, _ in runs]
    assert away == sorted(away)


def test_blocks_follow_the_scrolling():
    views = iter([10, 10, 3, 3, 10, 10, 10, 10, 10, 10, 10, 10])
    runs = list(blocks(20, lambda: next(views), 4))
    assert runs[:5] == [(10, 11, 10), (11, 15, 10), (3, 4, 3), (4, 8, 3), (8, 10, 10)]
    assert sorted(i for a, b, _ in runs for i in range(a, b)) == list(range(20))


def test_the_network_is_loaded_once_and_stays_where_it_runs(tiny_model, tmp_path):
    """The file is gone after the first scan; the second is answered all the same."""
    copy = tmp_path / "model.safetensors"
    shutil.copy(tiny_model, copy)
    segmenter, volume = UNetSegmenter(copy), blob("thick slices")
    first = collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape)
    copy.unlink()
    np.testing.assert_allclose(collect(segmenter.predict(volume, device="cpu", focus=2), volume.geometry.shape), first, atol=1e-5)


def test_what_was_released_is_gone_and_loads_again(tiny_model):
    segmenter, volume = UNetSegmenter(tiny_model), blob("thick slices")
    first = collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape)
    weights = [weakref.ref(p) for p in segmenter._running[1]._network.parameters()]
    segmenter.release()
    gc.collect()
    assert [ref for ref in weights if ref() is not None] == []
    segmenter.release()
    np.testing.assert_array_equal(collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape), first)


@pytest.mark.parametrize("fit", ["slice", "native"])
def test_what_is_left_follows_the_scrolling(tiny_model, fit):
    looking = [0]
    volume = Volume(np.random.default_rng(0).normal(size=(12, 100, 100)), Geometry((12, 100, 100), (5.0, 1.0, 1.0)))
    told = []
    for piece in UNetSegmenter(tiny_model, fit=fit, batch=4).predict(volume, device="cpu", focus=lambda: looking[0]):
        told.append(piece.box[0])
        if len(told) == 1:
            looking[0] = 9
    assert list(dict.fromkeys((box.start, box.stop) for box in told))[:2] == [(0, 1), (9, 10)]
    assert {z for box in told for z in range(box.start, box.stop)} == set(range(12))


def test_it_can_be_sent_to_another_process(tiny_model):
    segmenter, volume = UNetSegmenter(tiny_model), blob("one slice")
    first = collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape)
    again = pickle.loads(pickle.dumps(segmenter))
    np.testing.assert_array_equal(collect(again.predict(volume, device="cpu"), volume.geometry.shape), first)


def test_the_models_plan_speaks_for_it(tiny_model):
    segmenter = UNetSegmenter(tiny_model.parent)
    assert segmenter.title == "Tiny"
    assert segmenter.capabilities.classes == ("liver", "spleen")
    assert segmenter.capabilities.fine_tunable


def test_a_scan_with_other_channels_is_refused(tiny_model):
    volume = Volume(np.zeros((3, 2, 8, 8), np.uint8), Geometry((2, 8, 8)), name="photo")
    with pytest.raises(InvalidInputError, match="photo: has 3 channels, Tiny takes 1"):
        next(UNetSegmenter(tiny_model).predict(volume))


def test_a_copy_without_the_base_model_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(unet_segmenter, "BASE", tmp_path / "m0.safetensors")
    with pytest.raises(UnavailableError, match="base model M0"):
        UNetSegmenter()


def test_a_model_that_is_not_there_is_named_at_once(tmp_path):
    with pytest.raises(MissingFileError, match="liver"):
        UNetSegmenter(tmp_path / "liver.safetensors")


@pytest.mark.parametrize("wrong", [{"fit": "volume"}, {"batch": 0}])
def test_impossible_settings_are_refused(tiny_model, wrong):
    with pytest.raises(InvalidInputError, match="not possible"):
        UNetSegmenter(tiny_model, **wrong)


class Answers(nn.Module):
    """A network that does what it is told."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


def fail(error):
    def answer(x):
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x * float("nan"), "no numbers"),
        (lambda x: x / 0, "no numbers"),
        (lambda x: [x], "answered with list"),
        (fail(RuntimeError("size of tensor a must match")), "failed on this scan"),
        (fail(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")), "not enough memory"),
        (fail(MemoryError()), "not enough memory"),
    ],
)
def test_a_network_that_fails_is_named(answer, said):
    with pytest.raises(SegmenterError, match=f"^Liver: .*{said}"):
        Inference(Answers(answer), "cpu", "Liver")(np.ones((1, 1, 4, 4), np.float32))


class FullCard(nn.Module):
    """Runs out of memory as a card does, as long as it has not been moved back."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x + 1


@pytest.fixture
def inference_on_a_full_card(monkeypatch):
    """No card is needed: the device is named, the network stays where it is."""

    def make(device):
        monkeypatch.setattr("napari_medseg.segmenters.inference.choose", lambda name, **_: "cpu" if name == "cpu" else "meta")
        monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *_, **__: tensor)
        return Inference(FullCard(), device, "Liver")

    return make


def test_when_the_card_is_full_the_processor_goes_on_and_says_so(inference_on_a_full_card):
    infer = inference_on_a_full_card("auto")
    np.testing.assert_array_equal(infer(np.ones((1, 1), np.float32)), [[2]])
    assert infer.device == "cpu"
    assert "going on with the processor" in infer.note


def test_when_the_card_was_asked_for_it_is_an_error(inference_on_a_full_card):
    with pytest.raises(SegmenterError, match="graphics card has not enough memory"):
        inference_on_a_full_card("cuda")(np.ones((1, 1), np.float32))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no graphics card")
def test_the_card_answers_as_the_processor(tiny_model):
    volume = blob("thick slices")
    here, there = (collect(UNetSegmenter(tiny_model).predict(volume, device=d), volume.geometry.shape) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(here, there, atol=1e-2)  # half precision
