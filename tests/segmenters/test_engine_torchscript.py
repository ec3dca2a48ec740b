"""TorchScript models are opened by torch.jit alone, fed as their description says, and refused with the reason."""

import pickle
import sys

import numpy as np
import pytest
import torch
from engine_models import Blurred, Bright, TwoMaps, describe, scene, scripted

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnavailableError
from napari_medseg.metrics.overlap import dice
from napari_medseg.segmenters import collect, to_labels
from napari_medseg.segmenters.engines.torchscript import TorchScriptSegmenter
from napari_medseg.testing.segmenter_conformance import SegmenterConformance
from napari_medseg.volume import Volume, orient


def labels(segmenter, volume):
    found = collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape)
    return to_labels(found, segmenter.capabilities.threshold)


@pytest.fixture
def bright(tmp_path):
    return describe(scripted(Bright(), tmp_path / "bright.pt"))


class TestTorchScript(SegmenterConformance):
    """Windows of a convolution on a resampled grid."""

    change: dict = {"spacing": [2.0, 1.0, 1.0], "overlap": 0.25}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def _model(self, tmp_path):
        self.model = describe(scripted(Blurred(), tmp_path / "blurred.pt"), **self.change)

    def segmenter(self):
        return TorchScriptSegmenter(self.model)


class TestTorchScriptAsItIs(TestTorchScript):
    change = {"window": [4, 32, 32], "axes": "xyz", "orientation": "RAS"}  # noqa: RUF012


class TestTorchScriptInSlices(SegmenterConformance):
    """Whole slices at a fixed size."""

    @pytest.fixture(autouse=True)
    def _model(self, tmp_path):
        self.model = describe(scripted(Bright(), tmp_path / "bright.pt"), dims=2, window=[24, 24], fit="resize")

    def segmenter(self):
        return TorchScriptSegmenter(self.model)


@pytest.mark.parametrize("change", [
    {}, {"spacing": [2, 1.5, 1.5]}, {"axes": "xyz", "orientation": "RAS"}, {"dims": 2, "window": [16, 16]}, {"dims": 2, "window": [32, 32], "fit": "resize"},
    {"window": [32, 32, 32], "fit": "resize"}, {"batch": 3},
])
@pytest.mark.parametrize("order", ["LPS", "RAI", "PSL"])
def test_what_is_bright_is_found_however_it_is_fed(tmp_path, change, order):
    volume, ball = scene()
    model = describe(scripted(Bright(), tmp_path / "bright.pt"), **change)
    turned = orient(volume, order)
    found = orient(turned.like(labels(TorchScriptSegmenter(model), turned)), "LPS").array
    assert dice(found, ball) > (0.9 if "spacing" in change or "fit" in change else 0.9999)


def test_axes_are_handed_over_in_the_order_that_was_said(tmp_path):
    class Ramp(torch.nn.Module):
        """Tells the shape it was given."""

        def forward(self, x):
            rows = torch.arange(x.shape[2], device=x.device).reshape(1, 1, -1, 1, 1) / (x.shape[2] - 1)
            return rows + 0 * x

    volume, _ = scene((16, 16, 16), (1.0, 1.0, 1.0))
    form = {"window": "16 16 16", "classes": "ramp", "activation": "none", "axes": "xyz", "orientation": "RAS"}
    found = collect(TorchScriptSegmenter(scripted(Ramp(), tmp_path / "ramp.pt"), **form).predict(volume), (16, 16, 16))
    assert found[0, 3, 5].tolist() == pytest.approx(np.linspace(1, 0, 16))  # x runs to the right there, to the left here


@pytest.mark.parametrize(("activation", "background"), [("softmax", True), ("labels", False)])
def test_classes_are_told_apart(tmp_path, activation, background):
    class Numbers(torch.nn.Module):
        def forward(self, x):
            return ((x > 0.3).int() + (x > 0.7).int())[:, 0]

    volume, ball = scene()
    path = scripted(TwoMaps() if background else Numbers(), tmp_path / "two.pt")
    describe(path, classes=["dim", "bright"], activation=activation, background=background)
    segmenter = TorchScriptSegmenter(path)
    assert segmenter.capabilities.classes == ("dim", "bright")
    found = labels(segmenter, volume)
    np.testing.assert_array_equal(found == 2, ball)
    np.testing.assert_array_equal(found == 1, (volume.array == 400))


@pytest.mark.parametrize("take", [1, "main"])
def test_one_of_several_answers_may_be_taken(tmp_path, take):
    class Several(torch.nn.Module):
        def forward(self, x):
            return {"aux": -30.0 * (x - 0.5), "main": 30.0 * (x - 0.5)}

    volume, ball = scene()
    model = describe(scripted(Several(), tmp_path / "several.pt"), take=take)
    np.testing.assert_array_equal(labels(TorchScriptSegmenter(model), volume), ball)


def test_the_form_does_without_a_file(tmp_path):
    volume, ball = scene()
    path = scripted(Bright(), tmp_path / "bright.pt")
    segmenter = TorchScriptSegmenter(path, window="16 16 16", classes="ball", intensity="clip", low=0.0, high=1000.0)
    assert segmenter.title == "TorchScript: bright"
    np.testing.assert_array_equal(labels(segmenter, volume), ball)


class Ran:
    def __reduce__(self):
        return (exec, ("import sys; sys.modules['medseg_pickle_ran'] = sys",))


def saved_weights(path):
    torch.save({"weights": torch.zeros(2)}, path)
    return path.read_bytes()


def half(path):
    whole = scripted(Blurred(), path).read_bytes()
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(("content", "told"), [
    (lambda path: pickle.dumps(Ran()), "is a Python pickle, which may hold any code"),
    (saved_weights, "holds weights without a network"),
    (half, "is cut short or damaged"),
    (lambda path: b"", "is no TorchScript"),
    (lambda path: b"no network", "is no TorchScript"),
])
def test_other_files_are_refused_with_what_they_are(tmp_path, content, told):
    path = describe(tmp_path / "model.pt")
    path.write_bytes(content(path))
    with pytest.raises(SegmenterError, match=rf"model\.pt: {told}"):
        TorchScriptSegmenter(path)
    assert "medseg_pickle_ran" not in sys.modules


def test_damage_inside_the_archive_is_found_when_it_is_opened(tmp_path):
    import zipfile

    path = describe(tmp_path / "model.pt")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/constants.pkl", b"\x80\x02}.")
        archive.writestr("model/code/__torch__.py", "class x(Module): oh")
        archive.writestr("model/data.pkl", pickle.dumps(Ran()))
    with pytest.raises(SegmenterError, match=r"model\.pt: is no TorchScript that torch can load"):
        next(TorchScriptSegmenter(path).predict(scene()[0]))
    assert "medseg_pickle_ran" not in sys.modules


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(MissingFileError):
        TorchScriptSegmenter(tmp_path / "none.pt")


class Nan(torch.nn.Module):
    def forward(self, x):
        return x / (x * 0)


class TwoInputs(torch.nn.Module):
    def forward(self, x, y):
        return x + y


class NoTensor(torch.nn.Module):
    def forward(self, x):
        return 3


class Halves(torch.nn.Module):
    def forward(self, x):
        return x[:, :, ::2]


class Fails(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(4, 1, 1)

    def forward(self, x):
        return self.conv(x)


@pytest.mark.parametrize(("module", "change", "told"), [
    (Nan(), {}, "NaN"),
    (TwoInputs(), {}, "failed on this scan"),
    (NoTensor(), {}, "answered with int, which holds no '0'"),
    (Halves(), {}, "answered windows of 1 x 1 x 16 x 16 x 16 with 1 x 1 x 8 x 16 x 16, not with 1 x 1 x 16 x 16 x 16"),
    (Bright(), {"classes": ["a", "b"]}, "not with 1 x 2 x 16 x 16 x 16"),
    (Fails(), {}, "failed on this scan: it takes 4 channels and was given 1"),
    (Bright(), {"activation": "none"}, r"lie between -.* and .*, and are no probabilities"),
    (TwoMaps(), {"classes": ["a", "b"], "background": True, "activation": "softmax", "take": 5}, None),
])
def test_bad_models_are_named_and_the_segmenter_lives_on(tmp_path, module, change, told):
    model = describe(scripted(module, tmp_path / "bad.pt"), **change)
    segmenter, (volume, _) = TorchScriptSegmenter(model), scene()
    if told is None:  # a plain answer has nothing to take from
        assert labels(segmenter, volume).any()
        return
    for _ in range(2):
        with pytest.raises(SegmenterError, match=rf"TorchScript: bad: .*({told})"):
            list(segmenter.predict(volume, device="cpu"))


def test_channels_must_fit(bright):
    volume, _ = scene()
    colours = Volume(np.repeat(volume.array[None], 3, axis=0), volume.geometry, name="colours")
    with pytest.raises(InvalidInputError, match="colours: has 3 channels, TorchScript: bright takes 1"):
        next(TorchScriptSegmenter(bright).predict(colours))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card here")
def test_a_card_that_is_not_there_is_said_to_be_missing(bright):
    with pytest.raises(UnavailableError, match="no usable device 'cuda'"):
        next(TorchScriptSegmenter(bright).predict(scene()[0], device="cuda"))


def test_it_can_be_sent_to_another_process(bright):
    segmenter, (volume, ball) = TorchScriptSegmenter(bright), scene()
    labels(segmenter, volume)
    np.testing.assert_array_equal(labels(pickle.loads(pickle.dumps(segmenter)), volume), ball)
