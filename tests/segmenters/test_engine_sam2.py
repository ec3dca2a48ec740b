"""SAM 2 through the real package, with a small network in the real checkpoint format: marks on slices are followed to both sides, on the scan's grid."""

import hashlib
import http.server
import pickle
import sys
import threading
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from napari_medseg.annotation.prompts import ObjectPrompt, Prompts
from napari_medseg.errors import InvalidInputError, MissingFileError, NoSeedsError, SegmenterError, UnavailableError
from napari_medseg.metrics.overlap import dice
from napari_medseg.segmenters import collect
from napari_medseg.segmenters.engines import sam2
from napari_medseg.segmenters.engines.sam2 import Sam2Segmenter
from napari_medseg.segmenters.engines.sam2_prompts import by_frame, spread
from napari_medseg.segmenters.promptable.pointed import pointed
from napari_medseg.segmenters.slices import slice_order
from napari_medseg.volume import Geometry, Volume, orient

needs_package = pytest.mark.skipif(find_spec("sam2") is None, reason="the optional package sam2 is not installed")

SMALL = {
    "image_encoder": {"trunk": {"embed_dim": 16, "stages": [1, 1, 1, 1], "global_att_blocks": []}, "neck": {"backbone_channel_list": [128, 64, 32, 16]}},
    "memory_attention": {"num_layers": 1, "layer": {"dim_feedforward": 32}},
}


@pytest.fixture(scope="module")
def small():
    """The package's own definition with fewer and narrower layers, known by its shapes like the published ones."""
    from napari_medseg.segmenters.engines import sam2_network

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sam2_network.SIZES, (16, 4), "t")
        patch.setattr(sam2_network, "_extras", lambda weights: SMALL)
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, small):
    """Random weights as `torch.save` of Meta's training writes them."""
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from napari_medseg.segmenters.engines.sam2_network import CHANGES, files

    torch.manual_seed(0)
    config = OmegaConf.load(str(files("sam2").joinpath("configs", "sam2.1", "sam2.1_hiera_t.yaml"))).model
    network = instantiate(OmegaConf.merge(config, {**CHANGES, **SMALL, "image_size": 64}), _recursive_=True)
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(9)  # it always sees something
    path = tmp_path_factory.mktemp("sam2") / "sam2.1_small.pt"
    torch.save({"model": network.state_dict()}, path)
    return path


@pytest.fixture
def segmenter(checkpoint):
    return Sam2Segmenter(checkpoint, side=64)


def scene():
    """A bright ball in thick slices; its middle in LPS mm."""
    geometry = Geometry((9, 40, 44), (4.0, 1.0, 1.0), (5.0, -8.0, 20.0))
    place = np.meshgrid(*(np.arange(n) * s for n, s in zip(geometry.shape, geometry.spacing, strict=True)), indexing="ij")
    ball = sum((p - m) ** 2 for p, m in zip(place, (16.0, 18.0, 24.0), strict=True)) < 9.0**2
    volume = Volume(np.where(ball, 500, 100).astype(np.int16) + np.random.default_rng(0).integers(0, 20, geometry.shape, dtype=np.int16), geometry, name="ball")
    return volume, ball, tuple(float(v) for v in geometry.world([4, 18, 24]))


def clicks(*points, label=1):
    return Prompts((ObjectPrompt(label, points=tuple((*place, sign) for place, sign in points)),))


def drawn(volume, ball, slices):
    mask = np.zeros(volume.geometry.shape, np.uint8)
    for index in slices:
        mask[index] = ball[index]
    return Prompts(mask=volume.like(mask))


def answer(segmenter, volume, prompts):
    return collect(segmenter.predict(volume, prompts, device="cpu"), volume.geometry.shape)


@needs_package
def test_slices_that_were_drawn_stay_as_they_are_and_the_rest_is_followed(segmenter):
    volume, ball, _ = scene()
    pieces = list(segmenter.predict(volume, drawn(volume, ball, [4]), device="cpu"))
    first = next(piece for piece in pieces if piece.probabilities.size)
    assert first.box[0] == slice(4, 5)
    found = collect(pieces, volume.geometry.shape)[0]
    assert dice(found[4] > 0.5, ball[4]) > 0.98
    seen = {piece.box[0].start for piece in pieces if piece.probabilities.size}
    assert seen > {4}
    assert len(found[found > 0]) > len(found[4])


@needs_package
def test_every_kind_of_prompt_is_heard(segmenter):
    volume, ball, middle = scene()
    x, y, z = middle
    lasso = tuple((x + 8 * np.cos(a), y + 8 * np.sin(a), z) for a in np.linspace(0, 6, 20))
    strokes = np.zeros(volume.geometry.shape, np.uint8)
    strokes[4, 18, 18:30] = 1
    strokes[4, 2, 5:30] = 255
    answers = [answer(segmenter, volume, prompts) for prompts in (
        clicks((middle, 1)), clicks((middle, 1), ((x + 15, y, z), -1)), Prompts((ObjectPrompt(1, boxes=(((x - 9, y - 9, z), (x + 9, y + 9, z)),)),)),
        Prompts((ObjectPrompt(1, lassos=(lasso,)),)), Prompts(scribbles=volume.like(strokes)),
    )]
    for found in answers:
        assert found.shape == (1, *volume.geometry.shape)
        assert ((found >= 0) & (found <= 1)).all()
        assert found[0, 4].any()
    assert len({found.tobytes() for found in answers}) == len(answers)
    disk = answers[3][0, 4] > 0.5
    assert (disk & ball[4]).sum() > 0.6 * disk.sum()


@needs_package
@pytest.mark.parametrize("order", ["RAS", "PSL", "IRA"])
def test_the_order_a_file_stores_does_not_matter(segmenter, order):
    volume, _, middle = scene()
    turned = orient(volume, order)
    found = turned.like(answer(segmenter, turned, clicks((middle, 1)))[0])
    np.testing.assert_allclose(orient(found, "LPS").array, answer(segmenter, volume, clicks((middle, 1)))[0], atol=1e-5)


@needs_package
def test_objects_have_maps_of_their_own(segmenter):
    volume, _, middle = scene()
    x, y, z = middle
    prompts = Prompts((ObjectPrompt(2, points=((*middle, 1),)), ObjectPrompt(5, points=((x - 15, y, z - 4, 1),))))
    found = answer(segmenter, volume, prompts)
    assert found.shape == (2, *volume.geometry.shape)
    np.testing.assert_allclose(found[0, 4], answer(segmenter, volume, clicks((middle, 1)))[0, 4], atol=1e-5)
    same = Prompts((ObjectPrompt(2, points=((*middle, 1),)), ObjectPrompt(2, points=((x - 15, y, z - 4, 1),))))
    np.testing.assert_allclose(answer(segmenter, volume, same)[0], found.max(axis=0), atol=1e-5)


@needs_package
def test_the_same_prompts_give_the_same_answer_whatever_came_before(segmenter):
    volume, ball, middle = scene()
    first = answer(segmenter, volume, clicks((middle, 1)))
    for steps in range(1, 6):
        running = segmenter.predict(volume, drawn(volume, ball, [3, 5]), device="cpu")
        for _ in range(steps):
            next(running)
        running.close()
    np.testing.assert_array_equal(answer(segmenter, volume, clicks((middle, 1))), first)


@needs_package
def test_outside_clicks_on_other_slices_correct_what_was_found(segmenter):
    volume, _, middle = scene()
    x, y, z = middle
    messages = [p.message for p in segmenter.predict(volume, clicks((middle, 1), ((x, y, z + 4), -1)), device="cpu")]
    assert "Slice 5" in messages[1]
    assert sum(message.startswith("Slice") for message in messages) == 2
    plain = answer(segmenter, volume, clicks((middle, 1)))
    assert not np.array_equal(answer(segmenter, volume, clicks((middle, 1), ((x, y, z + 4), -1))), plain)


@needs_package
def test_it_stops_where_the_object_has_been_gone_for_three_slices(segmenter, monkeypatch):
    volume, _, middle = scene()
    tall = Volume(np.repeat(volume.array, 4, axis=0), Geometry((36, 40, 44), (4.0, 1.0, 1.0), (5.0, -8.0, 20.0)))
    list(segmenter.predict(tall, clicks((middle, 1)), device="cpu"))
    real = segmenter._predictor.propagate_in_video

    def empty(*words, **more):
        for frame, ids, logits in real(*words, **more):
            yield frame, ids, logits * 0 - 5

    monkeypatch.setattr(segmenter._predictor, "propagate_in_video", empty)
    frames = [piece.box[0] for piece in segmenter.predict(tall, clicks((middle, 1)), device="cpu") if piece.probabilities.size]
    assert len(frames) <= 1 + 1 + 3 + 3


@needs_package
def test_it_says_how_far_it_is(segmenter):
    volume, _, middle = scene()
    told = list(segmenter.predict(volume, clicks((middle, 1)), device="cpu"))
    fractions = [piece.fraction for piece in told if piece.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert all(piece.message for piece in told)


@needs_package
def test_the_packages_bars_stay_silent(segmenter, capsys):
    volume, _, middle = scene()
    answer(segmenter, volume, clicks((middle, 1)))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "propagate" not in printed.err


@needs_package
def test_it_can_be_sent_to_another_process(segmenter):
    volume, _, middle = scene()
    first = answer(segmenter, volume, clicks((middle, 1)))
    np.testing.assert_array_equal(answer(pickle.loads(pickle.dumps(segmenter)), volume, clicks((middle, 1))), first)
    segmenter.release()
    np.testing.assert_array_equal(answer(segmenter, volume, clicks((middle, 1))), first)


def test_prompts_and_scans_that_make_no_sense_are_refused(tmp_path):
    volume, _, middle = scene()
    with pytest.raises(NoSeedsError):
        next(Sam2Segmenter().predict(volume, None))
    colours = Volume(np.repeat(volume.array[None], 3, axis=0), volume.geometry)
    with pytest.raises(InvalidInputError, match="3 channels"):
        next(Sam2Segmenter().predict(colours, clicks((middle, 1))))


@pytest.mark.parametrize(("settings", "error"), [
    ({"model": "nowhere.pt"}, MissingFileError), ({"side": 500}, InvalidInputError), ({"side": 32}, InvalidInputError),
    ({"low": 3}, InvalidInputError), ({"low": 3, "high": 3}, InvalidInputError),
])
def test_settings_that_make_no_sense_are_refused(settings, error):
    with pytest.raises(error):
        Sam2Segmenter(**settings)


class Ran:
    def __reduce__(self):
        return (exec, ("import sys; sys.modules['medseg_pickle_ran'] = sys",))


def saved(content):
    def write(path, checkpoint):
        import torch

        whole = torch.load(checkpoint, weights_only=True)
        torch.save(content(whole), path)

    return write


def with_nan(whole):
    whole["model"]["no_mem_embed"].fill_(float("nan"))
    return whole


def short_of_one(whole):
    del whole["model"]["no_obj_ptr"]
    return whole


@needs_package
@pytest.mark.parametrize(("write", "told"), [
    (saved(lambda whole: {**whole, "more": Ran()}), "is refused: it wants to use"),
    (saved(lambda whole: {"epoch": 3}), "holds no weights"),
    (saved(lambda whole: {"model": {"conv.weight": whole["model"]["no_mem_embed"]}}), "holds no weights of SAM 2"),
    (saved(with_nan), r"no numbers \(NaN\)"),
    (saved(short_of_one), "weights that do not fit the network"),
    (lambda path, checkpoint: path.write_bytes(checkpoint.read_bytes()[:90000]), "is no checkpoint|cannot be read"),
    (lambda path, checkpoint: path.write_bytes(pickle.dumps(Ran())), "is refused|is no checkpoint"),
])
def test_bad_checkpoints_are_named_and_run_nothing(tmp_path, checkpoint, write, told):
    volume, _, middle = scene()
    path = tmp_path / "bad.pt"
    write(path, checkpoint)
    segmenter = Sam2Segmenter(path, side=64)
    for _ in range(2):
        with pytest.raises(SegmenterError, match=rf"bad\.pt: .*({told})"):
            list(segmenter.predict(volume, clicks((middle, 1)), device="cpu"))
    assert "medseg_pickle_ran" not in sys.modules


@pytest.mark.skipif(find_spec("sam2") is not None, reason="the package is installed")
def test_a_missing_package_says_how_to_get_it(tmp_path):
    import torch

    volume, _, middle = scene()
    blocks = {f"image_encoder.trunk.blocks.{i}.norm1.weight": torch.ones(1) for i in range(12)}
    weights = {**blocks, "image_encoder.trunk.patch_embed.proj.weight": torch.ones(96, 3, 7, 7), "maskmem_tpos_enc": torch.ones(1)}
    torch.save({"model": weights}, tmp_path / "t.pt")
    with pytest.raises(UnavailableError, match=r'pip install "sam2==1\.1\.0" "torch=='):
        list(Sam2Segmenter(tmp_path / "t.pt").predict(volume, clicks((middle, 1)), device="cpu"))


def test_without_weights_it_says_what_a_download_would_be(tmp_path, monkeypatch):
    monkeypatch.setattr(sam2.platformdirs, "user_cache_path", lambda *names, **more: tmp_path)
    volume, _, middle = scene()
    with pytest.raises(UnavailableError, match=r"SAM 2\.1 tiny: 156\.0 MB, licence Apache-2\.0, from dl\.fbaipublicfiles\.com, SHA-256 7402e0d864fa"):
        list(Sam2Segmenter().predict(volume, clicks((middle, 1)), device="cpu"))


@needs_package
def test_weights_are_fetched_once_when_asked_for(tmp_path, monkeypatch, checkpoint):
    content = checkpoint.read_bytes()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    monkeypatch.setattr(sam2.platformdirs, "user_cache_path", lambda *names, **more: tmp_path)
    volume, _, middle = scene()
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        here = replace(sam2.TINY, url=f"http://127.0.0.1:{page.server_port}/t.pt", size=len(content), sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(sam2, "TINY", here)
        told = [piece.message for piece in Sam2Segmenter(download=True, side=64).predict(volume, clicks((middle, 1)), device="cpu")]
        assert any("SAM 2.1 tiny" in message for message in told)
        page.shutdown()
    assert answer(Sam2Segmenter(side=64), volume, clicks((middle, 1))).any()


def test_prompts_lie_on_the_slices_they_were_put_on():
    volume, _, (x, y, z) = scene()
    turn = slice_order(volume.geometry)
    shape = turn.geometry(volume.geometry).shape
    strokes = np.zeros(volume.geometry.shape, np.uint8)
    strokes[2, 5, 5:40] = 1
    mask = np.zeros(volume.geometry.shape, np.uint8)
    mask[:, 3:6, 3:6] = 1
    box = ((x - 3, y - 2, z - 8), (x + 3, y + 2, z + 8))
    prompts = Prompts((ObjectPrompt(1, points=((x, y, z, 1), (x, y, z + 4, -1)), boxes=(box,)),), volume.like(strokes), volume.like(mask))
    found = by_frame(pointed(prompts, volume, turn, turn.geometry(volume.geometry))[1][0], shape)
    assert sum(one.mask is not None for one in found.values()) == 8
    slices = {index: found[shape[0] - 1 - index] for index in (2, 4, 5)}
    assert slices[4].points == [(24.5, 18.5)]
    assert slices[4].box == (21.0, 16.0, 28.0, 21.0)
    assert slices[5].signs == [0]
    assert len(slices[2].points) == 8


def test_points_along_a_stroke_lie_far_apart():
    line = np.stack([np.zeros(50, int), np.arange(50)], axis=1)
    taken = sorted(spread(line, 5)[:, 1].tolist())
    assert taken[0] == 0
    assert taken[-1] == 49
    assert min(np.diff(taken)) >= 10
    np.testing.assert_array_equal(spread(line[:3], 5), line[:3])


