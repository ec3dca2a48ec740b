"""ONNX models run in onnxruntime as their description says; what could read other files or cannot run is refused with the reason."""

from importlib.util import find_spec

import numpy as np
import pytest
from engine_models import describe, scene

from napari_medseg.errors import MissingFileError, SegmenterError, UnavailableError
from napari_medseg.metrics.overlap import dice
from napari_medseg.segmenters import collect, to_labels
from napari_medseg.segmenters.engines.onnx import OnnxSegmenter
from napari_medseg.segmenters.engines.onnx_files import external_files
from napari_medseg.testing.segmenter_conformance import SegmenterConformance
from napari_medseg.volume import orient

onnx = pytest.importorskip("onnx", reason="the test package onnx, which makes the models, is not installed")
needs_runtime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="the optional package onnxruntime is not installed")

FREE = ["n", 1, "z", "y", "x"]
FIXED = [1, 1, 16, 16, 16]


def number(name, value, dtype="FLOAT"):
    return onnx.helper.make_tensor(name, getattr(onnx.TensorProto, dtype), [], [value])


def model(path, nodes=None, shape=FREE, dtype="FLOAT", initializers=(), inputs=1, outputs=("y",), domain="", opset=17):
    """Thirty times (x - 0.5), or other nodes from x0 to y."""
    kind = getattr(onnx.TensorProto, dtype)
    if nodes is None:
        nodes = [("Sub", ["x0", "half"], ["middle"]), ("Mul", ["middle", "steep"], ["y"])]
        initializers = (number("half", 0.5, dtype), number("steep", 30.0, dtype))
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(*node, domain=domain) for node in nodes], "bright",
        [onnx.helper.make_tensor_value_info(f"x{i}", kind, shape) for i in range(inputs)],
        [onnx.helper.make_tensor_value_info(name, kind, None) for name in outputs], list(initializers),
    )
    opsets = [onnx.helper.make_opsetid("", opset), *([onnx.helper.make_opsetid(domain, 1)] if domain else [])]
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def labels(segmenter, volume):
    return to_labels(collect(segmenter.predict(volume, device="cpu"), volume.geometry.shape))


@needs_runtime
class TestOnnx(SegmenterConformance):
    change: dict = {"spacing": [2.0, 1.0, 1.0]}  # noqa: RUF012
    shape = FREE

    @pytest.fixture(autouse=True)
    def _model(self, tmp_path):
        self.model = describe(model(tmp_path / "bright.onnx", shape=self.shape), **self.change)

    def segmenter(self):
        return OnnxSegmenter(self.model)


class TestOnnxInSlicesOfFixedSize(TestOnnx):
    change = {"dims": 2, "window": [24, 24], "intensity": {"kind": "min-max", "per": "slice"}}  # noqa: RUF012
    shape = [2, 1, 24, 24]  # noqa: RUF012


@needs_runtime
@pytest.mark.parametrize(("shape", "dtype", "change"), [
    (FREE, "FLOAT", {}),
    (FIXED, "FLOAT", {}),
    ([4, 1, 16, 16, 16], "FLOAT", {}),
    (FREE, "FLOAT16", {"batch": 2}),
    (FREE, "DOUBLE", {}),
    (["n", 1, 16, 8, 12], "FLOAT", {"window": [12, 8, 16], "axes": "xyz", "orientation": "RAS"}),
    (["n", 1, "y", "x"], "FLOAT", {"dims": 2, "window": [16, 16]}),
])
def test_windows_of_free_and_fixed_sizes_are_answered(tmp_path, shape, dtype, change):
    volume, ball = scene()
    path = describe(model(tmp_path / "bright.onnx", shape=shape, dtype=dtype), **change)
    turned = orient(volume, "PSR")
    found = orient(turned.like(labels(OnnxSegmenter(path), turned)), "LPS").array
    assert dice(found, ball) == 1


@needs_runtime
@pytest.mark.parametrize("take", [1, "main"])
def test_one_of_several_answers_may_be_taken(tmp_path, take):
    nodes = [("Neg", ["x0"], ["aux"]), ("Sub", ["x0", "half"], ["main"])]
    path = model(tmp_path / "two.onnx", nodes, initializers=[number("half", 0.5)], outputs=("aux", "main"))
    volume, ball = scene()
    np.testing.assert_array_equal(labels(OnnxSegmenter(describe(path, take=take)), volume), ball)


def stored_elsewhere(path, location):
    tensor = number("half", 0.5)
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "4"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model(path, [("Sub", ["x0", "half"], ["y"])], initializers=[tensor])


@needs_runtime
def test_weights_beside_the_model_are_read(tmp_path):
    volume, ball = scene()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "half.bin").write_bytes(np.float32(0.5).tobytes())
    path = describe(stored_elsewhere(tmp_path / "big.onnx", "weights/half.bin"))
    assert external_files(path) == ("weights/half.bin",)
    np.testing.assert_array_equal(labels(OnnxSegmenter(path), volume), ball)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "weights/../../secret.bin", "..\\secret.bin"])
def test_a_model_that_wants_files_elsewhere_is_not_opened(tmp_path, location):
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    (tmp_path / "model").mkdir()
    path = describe(stored_elsewhere(tmp_path / "model" / "spy.onnx", location))
    with pytest.raises(SegmenterError, match=r"spy\.onnx: wants to read a file outside its folder"):
        OnnxSegmenter(path)


def test_a_link_to_elsewhere_counts_as_elsewhere(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    (tmp_path / "model").mkdir()
    try:
        (tmp_path / "model" / "half.bin").symlink_to(tmp_path / "secret.bin")
    except OSError:
        pytest.skip("this system makes no links")
    with pytest.raises(SegmenterError, match="outside its folder"):
        OnnxSegmenter(describe(stored_elsewhere(tmp_path / "model" / "spy.onnx", "half.bin")))


def test_a_file_deep_inside_a_subgraph_is_found_too(tmp_path):
    inner = onnx.load_from_string(stored_elsewhere(tmp_path / "inner.onnx", "../secret.bin").read_bytes()).graph
    node = onnx.helper.make_node("If", ["x0"], ["y"], then_branch=inner, else_branch=inner)
    graph = onnx.helper.make_graph([node], "outer", [], [])
    path = tmp_path / "outer.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    assert external_files(path) == ("../secret.bin",)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(SegmenterError, match=r"big\.onnx: lacks its weights file 'half\.bin'"):
        OnnxSegmenter(describe(stored_elsewhere(tmp_path / "big.onnx", "half.bin")))


@pytest.mark.parametrize("content", [
    b"", b"no network", b"\x80\x04\x95", b"PK\x03\x04", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x3a\x7f" + b"\x0a\x05" * 3,
    (b"\x3a\x80\x01" + b"\x0a\x7e" + b"\x2a\x7c") * 60,
])
def test_bytes_that_are_no_model_are_refused(tmp_path, content):
    path = describe(tmp_path / "bad.onnx")
    path.write_bytes(content)
    with pytest.raises(SegmenterError, match=r"bad\.onnx: is no ONNX model, or is cut short"):
        OnnxSegmenter(path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_half_a_file_is_refused(tmp_path, share):
    path = describe(model(tmp_path / "half.onnx"))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(SegmenterError, match=r"half\.onnx: is no ONNX model, or is cut short"):
        OnnxSegmenter(path)


@needs_runtime
@pytest.mark.parametrize(("make", "change", "told"), [
    (lambda p: model(p, [("Frobnicate", ["x0"], ["y"])]), {}, r"uses operators that this onnxruntime does not know \((ai\.onnx:)?Frobnicate\)"),
    (lambda p: model(p, [("Frobnicate", ["x0"], ["y"])], domain="com.example"), {}, r"does not know \(com\.example:Frobnicate\)"),
    (lambda p: model(p, [("Sub", ["nowhere", "x0"], ["y"])]), {}, "is no ONNX model that onnxruntime can load"),
    (lambda p: model(p, [("Add", ["x0", "x1"], ["y"])], inputs=2), {}, r"takes 2 inputs \(x0, x1\)"),
    (lambda p: model(p, [("Abs", ["x0"], ["y"])], dtype="INT64"), {}, r"takes tensor\(int64\)"),
    (lambda p: model(p, shape=[1, 1, 32, 32, 32]), {}, "takes an input of 1 x 1 x 32 x 32 x 32, and its description says any x 1 x 16 x 16 x 16"),
    (lambda p: model(p, shape=[1, 4, 16, 16, 16]), {}, "takes an input of 1 x 4 x 16 x 16 x 16"),
    (lambda p: model(p, shape=["n", 1, "y", "x"]), {}, "takes an input of any x 1 x any x any"),
    (model, {"take": "nothing"}, "gives no answer 'nothing', but y"),
    (model, {"take": 3}, "gives no answer '3', but y"),
    (model, {"classes": ["a", "b"]}, "not with 1 x 2 x 16 x 16 x 16"),
    (lambda p: model(p, [("Flatten", ["x0"], ["y"])]), {}, "answered windows of"),
    (lambda p: model(p, [("Sub", ["x0", "x0"], ["zero"]), ("Div", ["zero", "zero"], ["y"])]), {}, "NaN"),
    (lambda p: model(p, [("Expand", ["x0", "to"], ["y"])], initializers=[onnx.helper.make_tensor("to", 7, [5], [1, 1, 5, 16, 16])]), {}, "failed on this scan"),
    (model, {"activation": "none"}, "are no probabilities"),
])
def test_bad_models_are_named_and_the_segmenter_lives_on(tmp_path, make, change, told):
    segmenter, (volume, _) = OnnxSegmenter(describe(make(tmp_path / "bad.onnx"), **change)), scene()
    for _ in range(2):
        with pytest.raises(SegmenterError, match=f"ONNX: bad: .*{told}") as caught:
            list(segmenter.predict(volume, device="cpu"))
        assert str(tmp_path) not in str(caught.value)


@needs_runtime
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_card_that_is_not_there_is_said_to_be_missing(tmp_path, device):
    import onnxruntime

    if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime runs on a graphics card")
    with pytest.raises(UnavailableError, match="ONNX: bright"):
        next(OnnxSegmenter(describe(model(tmp_path / "bright.onnx"))).predict(scene()[0], device=device))


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(MissingFileError):
        OnnxSegmenter(tmp_path / "none.onnx")


@needs_runtime
def test_what_torch_exports_is_answered_as_torch_answers(tmp_path):
    torch = pytest.importorskip("torch")
    from engine_models import Blurred

    pytest.importorskip("onnxscript", reason="torch needs the package onnxscript to export")
    path = tmp_path / "blurred.onnx"
    torch.onnx.export(Blurred(), (torch.zeros(1, 1, 16, 16, 16),), path, dynamo=True)
    volume, _ = scene((16, 16, 16), (1.0, 1.0, 1.0))
    found = collect(OnnxSegmenter(path, window="16 16 16", classes="bright", intensity="none", orientation="LPS").predict(volume), (16, 16, 16))
    with torch.no_grad():
        expected = torch.sigmoid(Blurred()(torch.from_numpy(volume.array.astype(np.float32))[None, None]))[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
