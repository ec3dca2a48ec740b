"""A model's description says what it sees and gives, and a wrong one is refused by the name of its field."""

import json

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError
from napari_medseg.segmenters.engines.description import Input, Intensity, describe, from_form, read_description
from napari_medseg.segmenters.engines.working import Working, resampled, scaled
from napari_medseg.volume import Geometry, Volume, orient

PLAIN = {"input": {"window": [16, 16, 16]}, "output": {"classes": ["liver"]}}


def write(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("name", ["liver.json", "model.json", "model.yml"])
def test_a_description_beside_the_model_is_found(tmp_path, name):
    write(tmp_path / name, PLAIN)
    assert describe(tmp_path / "liver.pt").output.classes == ("liver",)


def test_without_one_the_person_is_told_both_ways(tmp_path):
    with pytest.raises(MissingFileError, match=r"Fill in the form.*liver\.json beside it"):
        describe(tmp_path / "liver.pt")


def test_the_form_in_words_is_the_file_in_json(tmp_path):
    content = {
        "input": {"dims": 3, "window": [96, 80, 64], "spacing": [1.5, 1, 1], "orientation": "RAS", "axes": "xyz", "overlap": 0.25,
                  "intensity": {"kind": "clip", "low": -160, "high": 240}},
        "output": {"classes": ["liver", "left kidney"], "background": True, "activation": "softmax"},
    }
    form = {
        "dims": "3", "window": "96, 80 x 64", "spacing": "1.5 1 1", "orientation": "ras", "axes": "xyz", "overlap": 0.25, "intensity": "clip", "low": -160.0,
        "high": 240.0, "classes": "liver, left kidney", "background": "yes", "activation": "softmax", "mean": None, "std": "",
    }
    assert from_form("model.pt", form) == read_description(write(tmp_path / "d.json", content))


@pytest.mark.parametrize(("change", "told"), [
    ({"input": {"window": [16, 16]}}, "window of three numbers"),
    ({"input": {"window": [16, 16, 0]}}, r"input\.window\.2"),
    ({"input": {"window": [2, 16, 16], "dims": 2}}, "window of two numbers"),
    ({"input": {"window": [16, 16, 16], "orientation": "SLP"}}, r"input\.orientation"),
    ({"input": {"window": [16, 16, 16], "intensity": {"kind": "clip"}}}, "clip needs low and high"),
    ({"input": {"window": [16, 16, 16], "intensity": {"low": 5, "high": 5}}}, "low below high"),
    ({"input": {"window": [16, 16, 16], "intensity": {"kind": "percentiles", "low": -1, "high": 99}}}, "between 0 and 100"),
    ({"input": {"window": [16, 16, 16], "intensity": {"kind": "min-max", "mean": 1, "std": 1}}}, "to z-score"),
    ({"input": {"window": [16, 16, 16], "overlap": 1}}, r"input\.overlap"),
    ({"input": {"window": [16, 16, 16], "fit": "resize", "spacing": [1, 1, 1]}}, "no room for a spacing"),
    ({"input": {"window": [16, 16, 16], "stride": 2}}, r"input\.stride"),
    ({"output": {"classes": []}}, r"output\.classes"),
    ({"output": {"classes": ["a", "a"]}}, "a name of its own"),
    ({"output": {"classes": ["a"], "activation": "softmax"}}, "always 1"),
])
def test_a_wrong_field_is_named(tmp_path, change, told):
    with pytest.raises(InvalidInputError, match=told):
        read_description(write(tmp_path / "d.json", {**PLAIN, **change}))


@pytest.mark.parametrize("content", ["{", "[1, 2", "\x00"])
def test_what_is_no_json_is_said_to_be_none(tmp_path, content):
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(UnreadableFileError, match="neither JSON nor YAML"):
        read_description(tmp_path / "d.json")


def test_yaml_runs_nothing(tmp_path):
    (tmp_path / "d.yaml").write_text("input: !!python/object/apply:os.system ['echo ran']")
    with pytest.raises(UnreadableFileError, match="neither JSON nor YAML"):
        read_description(tmp_path / "d.yaml")


def test_the_form_changes_what_the_file_beside_the_model_says(tmp_path):
    write(tmp_path / "liver.json", PLAIN)
    changed = describe(tmp_path / "liver.pt", form={"threshold": 0.3, "intensity": "clip", "low": -100.0, "high": 200.0})
    assert (changed.output.threshold, changed.input.intensity.low, changed.input.window) == (0.3, -100.0, (16, 16, 16))
    other = describe(tmp_path / "liver.pt", form={"window": "8 8 8", "classes": "spleen"})
    assert (other.output.classes, other.input.window) == (("spleen",), (8, 8, 8))
    named = describe(tmp_path / "liver.pt", write(tmp_path / "other.json", PLAIN), {"window": "8 8 8", "classes": "spleen"})
    assert (named.output.classes, named.input.window) == (("spleen",), (8, 8, 8))


def test_a_form_without_window_or_classes_says_so():
    with pytest.raises(InvalidInputError, match="lacks the window or the classes"):
        from_form("model.pt", {"dims": "3"})


@pytest.mark.parametrize(("how", "expected"), [
    (Intensity(kind="none"), [0, 0, 10, 20, 30, 0]),
    (Intensity(kind="min-max"), [0, 0, 1 / 3, 2 / 3, 1, 0]),
    (Intensity(kind="min-max", range=(-1, 1)), [-1, -1, -1 / 3, 1 / 3, 1, -1]),
    (Intensity(kind="clip", low=10, high=20), [0, 0, 0, 1, 1, 0]),
    (Intensity(kind="percentiles", low=0, high=100, nonzero=True), [0, 0, 0, 0.5, 1, 0]),
    (Intensity(kind="z-score", mean=10, std=5), [0, -2, 0, 2, 4, 0]),
    (Intensity(kind="z-score", mean=10, std=5, low=5, high=20), [0, -1, 0, 2, 2, 0]),
    (Intensity(kind="z-score", nonzero=True), [0, 0, -10 / np.sqrt(200 / 3), 0, 10 / np.sqrt(200 / 3), 0]),
])
def test_values_become_what_the_network_was_trained_on(how, expected):
    values = np.array([np.nan, 0, 10, 20, 30, -np.inf]).reshape(1, 2, 3)
    np.testing.assert_allclose(scaled(values, how).ravel(), expected, atol=1e-6)


def test_slices_may_be_scaled_one_by_one():
    values = np.array([[[0, 10]], [[0, 1000]]])
    np.testing.assert_allclose(scaled(values, Intensity(kind="min-max", per="slice")), [[[0, 1]], [[0, 1]]])


def test_resampling_keeps_the_outer_faces():
    import torch
    from torch.nn.functional import interpolate

    image = np.random.default_rng(0).random((2, 5, 9, 12), dtype=np.float32)
    ours = resampled(image, (8, 4, 12))
    theirs = interpolate(torch.from_numpy(image)[None], size=(8, 4, 12), mode="trilinear", align_corners=False)[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("order", ["LPS", "RAI", "PSL"])
def test_boxes_brought_back_piece_by_piece_make_the_whole(order):
    geometry = Geometry((9, 20, 14), (3.0, 0.7, 0.7))
    volume = orient(Volume(np.random.default_rng(1).random((9, 20, 14)), geometry), order)
    working = Working(volume, Input(window=(8, 8, 8), spacing=(1.0, 1.0, 1.0)))
    assert working.image().shape == (1, 27, 14, 10)
    maps = np.random.default_rng(2).random((2, *working.shape), dtype=np.float32)
    whole = np.full((2, *volume.geometry.shape), np.nan, np.float32)
    for start in range(0, 27, 5):
        for left in (0, 6):
            part = slice(start, min(start + 5, 27)), slice(0, 14), slice(left, left + 6 if not left else 10)
            box, values = working.back(part, maps[(slice(None), *part)])
            whole[(slice(None), *box)] = values
    np.testing.assert_allclose(whole, working.turn.undo(resampled(maps, working.source)), atol=1e-6)


@pytest.mark.parametrize("focus", [0, 5, 99])
def test_the_slice_in_view_is_found_on_the_networks_grid(focus):
    geometry = Geometry((9, 20, 14), (3.0, 0.7, 0.7))
    working = Working(Volume(np.zeros((9, 20, 14)), geometry), Input(window=(8, 8, 8), spacing=(1.0, 1.0, 1.0), orientation="LPI"))
    found = working.focus(lambda: focus)
    assert found[1:] == (None, None)
    assert (8 - min(focus, 8)) * 3 <= found[0] <= (8 - min(focus, 8)) * 3 + 3


@pytest.mark.parametrize(("slices", "shape"), [("thick", (20, 9, 14)), ("axial", (9, 20, 14)), ("coronal", (20, 9, 14)), ("sagittal", (14, 9, 20))])
def test_single_slices_run_across_the_axis_that_was_named(slices, shape):
    volume = Volume(np.zeros((9, 20, 14)), Geometry((9, 20, 14), (0.7, 3.0, 0.7)))
    assert Working(volume, Input(dims=2, window=(8, 8), slices=slices)).shape == shape
