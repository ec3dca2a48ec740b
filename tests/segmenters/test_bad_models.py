"""A model that is bad costs only itself: an error that names it and says what to do, and the next request is answered."""

import pickle
import threading

import numpy as np
import pytest
import torch

from napari_medseg.errors import InvalidInputError, MedsegError, SegmenterError, UnavailableError
from napari_medseg.segmenters.deepbet import DeepbetSegmenter
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.unet_segmenter import UNetSegmenter
from napari_medseg.segmenters.weights import load_model, save_model
from napari_medseg.segmenters.worker import Worker
from napari_medseg.testing.segmenter_conformance import blob


class Bomb:
    """What a pickle with code in it does when somebody opens it."""

    def __reduce__(self):
        return threading.Thread.start, (None,)


def half_a_file(good, bad):
    bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])


def one_byte_changed(good, bad):
    content = bytearray(good.read_bytes())
    content[-5] ^= 1
    bad.write_bytes(content)


def a_pickle_with_code(good, bad):
    bad.write_bytes(pickle.dumps(Bomb()))


def a_checkpoint_of_torch(good, bad):
    network, _ = load_model(good)
    torch.save(network.state_dict(), bad)


def nothing(good, bad):
    bad.write_bytes(b"")


def spoilt(value):
    """A whole, sound file whose network has lost its mind in training."""

    def write(good, bad):
        network, plan = load_model(good)
        with torch.no_grad():
            network.head.weight.fill_(value)
        save_model(bad, network, {**plan, "title": "Spoilt"})

    return write


def two_channels(good, bad):
    save_model(bad, UNet(in_channels=2, widths=(2, 3)), {"title": "Two channels"})


def answered(make, device="cpu"):
    """What a window gets: the error, if any, and whether the same worker answers the next request."""
    errors, done = [], []
    with Worker("test-bad") as worker:
        asked = {"key": "k", "on_tick": lambda piece: None, "on_error": errors.append}
        assert worker.submit(lambda: make().predict(blob("thick slices"), device=device), on_done=done.append, **asked).wait(60)
        assert worker.submit(lambda: iter(["next"]), on_done=done.append, **asked).wait(60)
    assert done[-1] == "next"
    return errors


@pytest.mark.parametrize(
    ("write", "kind", "named"),
    [
        (half_a_file, SegmenterError, "bad.safetensors"),
        (one_byte_changed, SegmenterError, "bad.safetensors"),
        (a_pickle_with_code, SegmenterError, "bad.safetensors"),
        (a_checkpoint_of_torch, SegmenterError, "bad.safetensors"),
        (nothing, SegmenterError, "bad.safetensors"),
        (spoilt(float("nan")), SegmenterError, "Spoilt"),
        (spoilt(float("inf")), SegmenterError, "Spoilt"),
        (two_channels, InvalidInputError, "Two channels"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bad_model_is_named_and_the_next_request_is_answered(tiny_model, tmp_path, write, kind, named):
    bad = tmp_path / "bad.safetensors"
    write(tiny_model, bad)
    (error,) = answered(lambda: UNetSegmenter(bad))
    assert isinstance(error, kind)
    assert named in str(error)
    assert error.todo


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a graphics card")
def test_a_card_that_is_asked_for_and_missing_is_an_error_that_names_the_model(tiny_model):
    (error,) = answered(lambda: UNetSegmenter(tiny_model), device="cuda")
    assert isinstance(error, UnavailableError)
    assert error.where == "Tiny"
    assert "no usable device 'cuda'" in error.what


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a graphics card")
def test_the_window_names_the_model_too_when_the_card_is_missing():
    from napari_medseg.session.segmenting import device_in_words

    with pytest.raises(UnavailableError, match="Liver: this machine has no usable device 'cuda'"):
        device_in_words("cuda", "Liver")


class NotANumber(torch.nn.Module):
    def forward(self, x):
        return torch.cat([x, x], dim=1) * float("nan")


class TooSmall(torch.nn.Module):
    def forward(self, x):
        return torch.cat([x, x], dim=1)[:, :, ::2]


class OneMap(torch.nn.Module):
    def forward(self, x):
        return x


class Fails(torch.nn.Module):
    def forward(self, x):
        return x @ x[:, :, :3]


@pytest.mark.parametrize("network", [NotANumber, TooSmall, OneMap, Fails])
def test_a_scripted_network_that_answers_nonsense_is_named(deepbet_folder, network):
    for name in ("model.pt", "bbox_model.pt"):
        torch.jit.script(network()).save(deepbet_folder / name)
    (error,) = answered(DeepbetSegmenter)
    assert isinstance(error, MedsegError)
    assert error.where == DeepbetSegmenter.title
    assert error.todo


def test_a_scan_is_not_touched_by_a_model_that_fails(tiny_model, tmp_path):
    spoilt(float("nan"))(tiny_model, tmp_path / "bad.safetensors")
    volume = blob("thick slices")
    before = volume.array.copy()
    with pytest.raises(SegmenterError, match="no numbers"):
        list(UNetSegmenter(tmp_path / "bad.safetensors").predict(volume, device="cpu"))
    np.testing.assert_array_equal(volume.array, before)
