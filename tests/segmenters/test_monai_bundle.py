"""A MONAI bundle folder becomes a segmenter: its answer is MONAI's own, and none of its lines ever runs unasked."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import softmax
from tiny_bundles import write_bundle

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError, UnreadableFileError
from napari_medseg.segmenters import collect, consent, to_labels
from napari_medseg.segmenters.engines.bundle_config import BundleConfig, RefusedError
from napari_medseg.segmenters.engines.monai_bundle import BundleSegmenter
from napari_medseg.testing.segmenter_conformance import SegmenterConformance, blob
from napari_medseg.volume import Geometry, Volume


@pytest.fixture(autouse=True)
def _own_config(monkeypatch, tmp_path):
    monkeypatch.setattr(consent, "consents_file", lambda: tmp_path / "config" / "consents.json")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny_liver")


def changed(folder, name, change):
    """Rewrite a configuration file of a bundle."""
    file = folder / "configs" / f"{name}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


class TestBundle(SegmenterConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, bundle):
        self.folder = bundle

    def segmenter(self):
        return BundleSegmenter(self.folder)


def test_it_says_what_the_bundle_says(bundle):
    segmenter = BundleSegmenter(bundle)
    can = segmenter.capabilities
    assert segmenter.title == "Tiny liver"
    assert can.classes == ("liver", "tumour")
    assert can.spacing == (2.0, 1.5, 1.5)
    assert (can.licence, can.modalities, can.dims, can.channels) == ("Apache-2.0", {"CT"}, 3, 1)


def test_it_is_in_the_catalogue(bundle):
    assert catalogue.load().find("monai-bundle", "segmenter").build(folder=str(bundle)).title == "Tiny liver"


def test_the_answer_is_that_of_monais_own_transforms_inferer_and_network(bundle):
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor
    from monai.transforms import Compose

    geometry = Geometry((24, 30, 34), (2.0, 1.5, 1.5), (-20.0, 14.0, 5.0))
    values = np.random.default_rng(1).normal(500, 300, geometry.shape)
    values = np.cumsum(np.cumsum(values - 500, axis=1), axis=2) / 8 + 500
    volume = Volume(values.astype(np.float32), geometry)
    lps_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    parser = ConfigParser(json.loads((bundle / "configs" / "inference.json").read_text()))
    steps = parser.get_parsed_content("preprocessing").transforms[2:]
    image = MetaTensor(torch.from_numpy(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))[None], affine=lps_to_ras @ geometry.affine)
    image.meta["original_channel_dim"] = 0
    seen = Compose(steps)({"image": image})["image"]
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    with torch.inference_mode():
        logits = parser.get_parsed_content("inferer")(seen[None].as_tensor(), network)[0].numpy()
    turned = np.ascontiguousarray(logits[:, ::-1, ::-1].transpose(0, 3, 2, 1))  # RAS back to the scan's LPS
    found = collect(BundleSegmenter(bundle).predict(volume, device="cpu"), geometry.shape)
    chance = softmax(turned, axis=0)
    sure = chance.max(axis=0) > 0.5
    np.testing.assert_allclose(found[:, sure], chance[1:, sure], atol=1e-4)
    assert (to_labels(found) == chance.argmax(axis=0)).mean() > 0.9999
    assert len(np.unique(to_labels(found))) == 3


def test_on_another_spacing_the_answer_lies_where_monai_puts_it(tmp_path):
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor
    from monai.transforms import Compose, Invertd

    pointwise = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 3, "kernel_size": 1}
    folder = write_bundle(tmp_path / "b", network=pointwise)
    torch.save({"weight": torch.tensor([-8.0, 0.0, 8.0]).reshape(3, 1, 1, 1, 1), "bias": torch.tensor([4.0, 0.3, -4.0])}, folder / "models" / "model.pt")
    geometry = Geometry((20, 60, 68), (3.0, 0.8, 0.9), (-20.0, 14.0, 5.0))
    values = gaussian_filter(np.random.default_rng(1).normal(0, 1, geometry.shape), (1.5, 4, 4))
    volume = Volume((600 + values / values.std() * 300).astype(np.float32), geometry)
    parser = ConfigParser(json.loads((folder / "configs" / "inference.json").read_text()))
    steps = Compose(parser.get_parsed_content("preprocessing").transforms[2:])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.affine
    image = MetaTensor(torch.from_numpy(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))[None], affine=affine)
    image.meta["original_channel_dim"] = 0
    seen = steps({"image": image})
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    with torch.inference_mode():
        seen["pred"] = MetaTensor(torch.softmax(network(seen["image"][None].as_tensor())[0], 0), affine=seen["image"].affine)
    back = Invertd(keys="pred", transform=steps, orig_keys="image", nearest_interp=False)(seen)["pred"]
    expected = np.asarray(back).transpose(0, 3, 2, 1).argmax(axis=0)
    found = to_labels(collect(BundleSegmenter(folder).predict(volume, device="cpu"), geometry.shape))
    assert (found == expected).mean() > 0.96
    assert all((np.roll(found, 1, axis) == expected).mean() < 0.92 for axis in range(3))


def test_first_pieces_come_long_before_the_end(bundle):
    geometry = Geometry((40, 80, 80), (2.0, 1.5, 1.5))
    volume = Volume(np.random.default_rng(0).normal(500, 200, geometry.shape).astype(np.float32), geometry)
    running = BundleSegmenter(bundle).predict(volume, device="cpu", focus=20)
    first = next(piece for piece in running if piece.probabilities.size)
    assert first.fraction < 0.3


def test_a_bundle_of_torchscript_needs_no_network_by_name(tmp_path):
    folder = write_bundle(tmp_path / "b")
    whole = BundleSegmenter(folder)
    expected = collect(whole.predict(blob("isotropic"), device="cpu"), blob("isotropic").geometry.shape)
    torch.jit.trace(whole._network().eval(), torch.zeros(1, 1, 24, 24, 16)).save(folder / "models" / "model.ts")
    (folder / "models" / "model.pt").unlink()
    changed(folder, "inference", lambda c: (c.pop("network_def"), c.pop("network")))
    found = collect(BundleSegmenter(folder).predict(blob("isotropic"), device="cpu"), blob("isotropic").geometry.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sigmoid_regions_of_several_channels(tmp_path):
    folder = write_bundle(
        tmp_path / "b", channels=2, names={"0": "core", "1": "whole", "2": "enhancing"},
        preprocessing=[{"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True, "channel_wise": True}],
        postprocessing=[{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}, {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.4}],
    )
    segmenter = BundleSegmenter(folder)
    assert segmenter.capabilities.classes == ("core", "whole", "enhancing")
    assert segmenter.capabilities.threshold == 0.4
    volume = blob("isotropic")
    two = replace(volume, array=np.stack([volume.array, volume.array // 2]))
    assert collect(segmenter.predict(two, device="cpu"), volume.geometry.shape).shape == (3, *volume.geometry.shape)
    with pytest.raises(InvalidInputError, match="takes 2"):
        next(segmenter.predict(volume, device="cpu"))


BAD = "$__import__('pathlib').Path('MARK').touch()"


@pytest.mark.parametrize("network", [
    {"_target_": "UNet", "spatial_dims": BAD}, BAD, {"_target_": "os.mkdir", "path": "MARK"}, {"_target_": "subprocess.Popen", "args": ["touch", "MARK"]},
    {"_target_": "UNet", "spatial_dims": {"_target_": "os.mkdir", "path": "MARK"}}, {"_target_": "monai.networks.nets.unet.warnings.warn", "message": "x"},
    {"_target_": "monai.bundle.ConfigParser"}, {"_target_": "torch.hub.load"}, {"_target_": "torch.nn.modules.module.os.mkdir", "path": "MARK"},
    {"_target_": "scripts.net.Net"}, {"_target_": "torch.nn.functional.relu"}, "%scripts/net.py", {"_target_": "UNet", "channels": "$[4, *open('MARK', 'w')]"},
    {"_target_": "UNet", "act": "@evil"}, {"_target_": "UNet", "channels": "$[c for c in (4, 8)]"}, {"_target_": "UNet", "channels": "$@levels.__class__"},
])
def test_a_network_that_would_run_code_is_refused_with_its_field_and_nothing_runs(tmp_path, monkeypatch, network):
    folder = write_bundle(tmp_path / "b", extra={"evil": BAD, "network_def": network})
    (folder / "scripts").mkdir()
    (folder / "scripts" / "net.py").write_text("open('MARK', 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SegmenterError, match=r"b: is refused: `(network_def|evil)"):
        next(BundleSegmenter(folder).predict(blob("isotropic"), device="cpu"))
    assert not (tmp_path / "MARK").exists()
    with pytest.raises(SegmenterError, match="is refused"):
        next(BundleSegmenter(folder, trust=False).predict(blob("isotropic"), device="cpu"))


OWN = """
import pathlib, torch
pathlib.Path('RAN').touch()
class Net(torch.nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.c = torch.nn.Conv3d(1, maps, 1)
    def forward(self, x):
        return self.c(x)
"""


def test_with_consent_a_bundles_own_network_runs_and_is_not_asked_again(tmp_path, monkeypatch):
    folder = write_bundle(tmp_path / "b", extra={"network_def": {"_target_": "tiny_scripts_of_a_bundle.net.Net", "maps": "$int('3')"}})
    (folder / "tiny_scripts_of_a_bundle").mkdir()
    (folder / "tiny_scripts_of_a_bundle" / "net.py").write_text(OWN)
    torch.save({"c.weight": torch.ones(3, 1, 1, 1, 1), "c.bias": torch.zeros(3)}, folder / "models" / "model.pt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SegmenterError, match=r"tiny_scripts_of_a_bundle\.net\.Net, which is no network of MONAI or torch\. .*--set trust=yes"):
        next(BundleSegmenter(folder).predict(blob("isotropic"), device="cpu"))
    assert not (tmp_path / "RAN").exists()
    list(BundleSegmenter(folder, trust=True).predict(blob("isotropic"), device="cpu"))
    assert (tmp_path / "RAN").exists()
    list(BundleSegmenter(folder).predict(blob("isotropic"), device="cpu"))


@pytest.mark.parametrize("argument", [{"pretrained": True}, {"pretrained_url": "https://example.org/x.pt"}, {"weights_path": "x"}])
def test_a_network_that_would_fetch_weights_is_refused(tmp_path, argument):
    folder = write_bundle(tmp_path / "b", extra={"network_def": {"_target_": "monai.networks.nets.DenseNet121", "spatial_dims": 2, **argument}})
    with pytest.raises(SegmenterError, match="would fetch weights"):
        next(BundleSegmenter(folder).predict(blob("isotropic"), device="cpu"))


@pytest.mark.parametrize(("step", "said"), [
    ({"_target_": "HistogramNormalized", "keys": "image"}, r"preprocessing\.transforms\[0\]: does something .* HistogramNormalize"),
    ({"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x"}, "Lambda"), ({"_target_": "Spacingd", "pixdim": [1, 1]}, r"\.pixdim"),
    ({"_target_": "ScaleIntensityd", "minv": None}, "factor"), ({"_target_": "Spacingd", "pixdim": "$torch.tensor([1, 1, 1])"}, "is refused: .*runs Python"),
])
def test_a_step_that_is_not_known_is_refused_with_its_field(tmp_path, step, said):
    folder = write_bundle(tmp_path / "b", preprocessing=[step])
    with pytest.raises((InvalidInputError, SegmenterError), match=said):
        BundleSegmenter(folder)


@pytest.mark.parametrize(("steps", "expected"), [
    ([{"_target_": "monai.transforms.ScaleIntensityRanged", "a_min": -100, "a_max": 300, "b_min": 0, "b_max": 1}], {"mean": -100.0, "std": 400.0}),
    ([{"_target_": "ScaleIntensityd"}], {"kind": "min-max", "range": (0, 1)}),
    ([{"_target_": "NormalizeIntensityd", "subtrahend": 5, "divisor": 2.0}], {"kind": "z-score", "mean": 5, "std": 2}),
    ([{"_target_": "ScaleIntensityRangePercentilesd", "lower": 1, "upper": 99, "b_min": -1, "b_max": 1, "clip": True}], {"low": 1, "high": 99}),
    ([{"_target_": "CropForegroundd", "source_key": "image"}, {"_target_": "NormalizeIntensityd", "nonzero": True}], {"nonzero": True}),
])
def test_intensities_are_scaled_as_the_transform_says(tmp_path, steps, expected):
    found = BundleSegmenter(write_bundle(tmp_path / "b", preprocessing=steps)).description.input.intensity
    assert {key: getattr(found, key) for key in expected} == expected


def test_damaged_and_missing_files_are_said(tmp_path):
    folder = write_bundle(tmp_path / "b")
    with pytest.raises(MissingFileError, match=r"configs/inference\.json"):
        BundleSegmenter(tmp_path)
    (folder / "models" / "model.pt").write_bytes((folder / "models" / "model.pt").read_bytes()[:500])
    with pytest.raises(SegmenterError, match=r"model\.pt: is no checkpoint"):
        next(BundleSegmenter(folder).predict(blob("isotropic"), device="cpu"))
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(MissingFileError, match=r"model\.pt"):
        BundleSegmenter(folder)
    (folder / "configs" / "inference.json").write_text("{")
    with pytest.raises(UnreadableFileError, match=r"inference\.json"):
        BundleSegmenter(folder)


def test_weights_of_another_network_are_said(tmp_path):
    folder = write_bundle(tmp_path / "b")
    torch.save({"a": torch.zeros(3)}, folder / "models" / "model.pt")
    with pytest.raises(SegmenterError, match=r"model\.pt: holds weights that do not fit"):
        next(BundleSegmenter(folder).predict(blob("isotropic"), device="cpu"))


def test_a_network_that_gives_other_maps_than_it_says_is_refused(tmp_path):
    folder = write_bundle(tmp_path / "b")
    changed(folder, "metadata", lambda c: c["network_data_format"]["outputs"]["pred"].update(num_channels=2))
    with pytest.raises(SegmenterError, match="Tiny liver: the model answered"):
        list(BundleSegmenter(folder).predict(blob("isotropic"), device="cpu"))


@pytest.mark.parametrize(("text", "expected"), [
    ("$1 + 2 * @a", 7), ("$-(@a - 1) // 2", -1), ("$'x' + '/y'", "x/y"), ("$[1, 2] + [@a]", [1, 2, 3]), ("$(@b::c, None)", (5, None)), ("@list::1", 4),
    ("@e", 6),
])
def test_simple_arithmetic_is_worked_out(text, expected):
    assert BundleConfig({"a": 3, "b": {"c": 5}, "list": [2, "$@a + 1"], "e": "@f", "f": "$@a * 2"}).value(text, "x") == expected


@pytest.mark.parametrize("content", [
    {"x": "$@x + 1"}, {"x": "@y", "y": "@x"}, {"x": ["@x"]}, {"x": "$2 ** 999999999"}, {"x": "$'a' * 999999999"}, {"x": "$1 / 0"}, {"x": "@gone"}, {"x": "$("},
    {"x": ["@b"] * 20, "b": ["@c"] * 20, "c": ["@d"] * 20, "d": ["@e"] * 20, "e": ["@f"] * 20, "f": 1}, {"x": "$" + "(" * 5000 + ")" * 5000},
    {"x": "$@y+@y", **{f"{'y' * n}": f"$@{'y' * (n + 1)}+@{'y' * (n + 1)}" for n in range(1, 30)}, "y" * 30: "$'long text'"}, {"x": "$9e14*9e14*9"},
    {"x": "$lambda: 1"}, {"x": "$().__class__"}, {"x": "$f'{1}'"}, {"x": {"_target_": "int"}},
])
def test_what_would_not_end_or_run_is_refused(content):
    with pytest.raises(RefusedError, match="is refused: `"):
        BundleConfig(content).value(content["x"], "x")
