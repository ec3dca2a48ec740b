"""nnInteractive, through the real package: told of each act once, read as weights only, on the scan's grid; and the same over a real server of theirs."""

import json
import pickle
import socket
import sys
import threading
import time
from importlib.util import find_spec

import numpy as np
import pytest
from nninteractive_models import ARCHITECTURE, clicks, model, plans, scene

from napari_medseg.annotation.prompts import ObjectPrompt, Prompts
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, NoSeedsError, SegmenterError, UnavailableError
from napari_medseg.segmenters import collect
from napari_medseg.segmenters.engines.interactions import interactions_of, left_to_tell, outlined
from napari_medseg.segmenters.engines.nninteractive import NnInteractiveSegmenter
from napari_medseg.segmenters.engines.nninteractive_remote import NnInteractiveRemoteSegmenter
from napari_medseg.segmenters.promptable.pointed import pointed
from napari_medseg.testing.interactive_conformance import InteractiveConformance
from napari_medseg.volume import Volume, axis_map, orient

there = find_spec("nnunetv2") is not None and find_spec("nnInteractive") is not None
needs_package = pytest.mark.skipif(not there, reason="the optional package nninteractive is not installed")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return model(tmp_path_factory.mktemp("nninteractive") / "tiny")


@pytest.fixture(scope="module")
def server(folder):
    """Their server, with the model that our loading made, on this machine."""
    uvicorn = pytest.importorskip("uvicorn")
    import torch
    from nnInteractive.inference.server.app import make_app

    local = NnInteractiveSegmenter(folder).open("cpu")
    names = ("preferred_scribble_thickness", "interaction_decay", "pad_mode_data", "point_interaction", "plans_manager", "configuration_manager", "network",
             "dataset_json", "trainer_name", "label_manager", "license")
    artifacts = {name: getattr(local, name) for name in names} | {"capability_content": {}}
    app = make_app(artifacts, torch.device("cpu"), max_sessions=2, torch_n_threads=1, api_key="secret")
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=free_port(), log_level="error"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{running.config.port}"
    running.should_exit = True
    thread.join(10)


@pytest.fixture(params=["local", "remote"])
def segmenter(request, folder):
    if request.param == "local":
        made = NnInteractiveSegmenter(folder)
    else:
        made = NnInteractiveRemoteSegmenter(request.getfixturevalue("server"), api_key="secret")
    yield made
    made.release()


def answer(segmenter, volume, prompts):
    return collect(segmenter.predict(volume, prompts, device="cpu"), volume.geometry.shape)


def told(segmenter, volume, prompts):
    return [piece.message for piece in segmenter.predict(volume, prompts, device="cpu")]


@needs_package
class TestNnInteractive(InteractiveConformance):
    """With a network whose weights say what it does."""

    @pytest.fixture(autouse=True)
    def _model(self, folder):
        self.folder = folder

    def segmenter(self):
        return NnInteractiveSegmenter(self.folder)


@needs_package
def test_a_click_outlines_what_it_points_at(segmenter):
    volume, balls, points = scene()
    found = answer(segmenter, volume, clicks((points[0], 1)))
    np.testing.assert_array_equal(found[0] > 0, balls[0])
    assert segmenter.capabilities.interactive


@needs_package
@pytest.mark.parametrize("order", ["RAS", "PSL", "LPI"])
def test_the_order_a_file_stores_does_not_matter(folder, order):
    volume, balls, points = scene()
    turned = orient(volume, order)
    found = answer(NnInteractiveSegmenter(folder), turned, clicks((points[0], 1)))
    np.testing.assert_array_equal(orient(turned.like(found[0]), "LPS").array > 0, balls[0])


@needs_package
def test_a_further_click_is_all_that_is_told(segmenter):
    volume, _, points = scene()
    first = clicks((points[0], 1))
    assert told(segmenter, volume, first)[1:-1] == ["Outlining: prompt 1 of 1"]
    assert told(segmenter, volume, first)[1:-1] == []
    both = clicks((points[0], 1), (points[1], 1))
    assert told(segmenter, volume, both)[1:-1] == ["Outlining: prompt 2 of 2"]
    assert told(segmenter, volume, clicks((points[1], 1)))[1:-1] == ["Outlining: prompt 1 of 1"]  # one was taken back: anew


@needs_package
def test_a_further_click_gives_what_all_at_once_gives(segmenter, folder):
    volume, balls, points = scene()
    answer(segmenter, volume, clicks((points[0], 1)))
    both = clicks((points[0], 1), (points[1], 1))
    found = answer(segmenter, volume, both)
    np.testing.assert_array_equal(found, answer(NnInteractiveSegmenter(folder), volume, both))
    np.testing.assert_array_equal(found[0] > 0, balls[0] | balls[1])


@needs_package
def test_outside_clicks_take_away(segmenter):
    volume, balls, points = scene()
    found = answer(segmenter, volume, clicks((points[0], 1), (points[0], -1)))
    assert found[0].sum() < balls[0].sum()
    voxel = tuple(np.rint(volume.geometry.voxel(points[0])).astype(int))
    assert not found[(0, *voxel)]


@needs_package
def test_every_kind_of_prompt_is_heard(segmenter):
    volume, balls, points = scene()
    low, high = (tuple(p + d for p in points[0]) for d in (-5.0, 5.0))
    x, y, z = points[0]
    lasso = tuple((x + 5 * np.cos(a), y + 5 * np.sin(a), z) for a in np.linspace(0, 6, 12))
    strokes = np.zeros(volume.geometry.shape, np.uint8)
    strokes[6, 12, 9:14] = 1
    for prompts in (
        Prompts((ObjectPrompt(1, boxes=((low, high),)),)),
        Prompts((ObjectPrompt(1, lassos=(lasso,)),)),
        Prompts(scribbles=volume.like(strokes)),
        Prompts(mask=volume.like(strokes)),
    ):
        found = answer(segmenter, volume, prompts)[0] > 0
        assert found[balls[0]].mean() > 0.9


@needs_package
def test_a_longer_stroke_is_told_by_its_new_part(segmenter):
    volume, _, _ = scene()
    strokes = np.zeros(volume.geometry.shape, np.uint8)
    strokes[6, 12, 9:12] = 1
    assert told(segmenter, volume, Prompts(scribbles=volume.like(strokes.copy())))[1:-1] == ["Outlining: prompt 1 of 1"]
    strokes[6, 12, 12:14] = 1
    strokes[6, 27, 27:29] = 255
    assert told(segmenter, volume, Prompts(scribbles=volume.like(strokes.copy())))[1:-1] == ["Outlining: prompt 2 of 3", "Outlining: prompt 3 of 3"]
    strokes[6, 12, 9] = 0
    assert told(segmenter, volume, Prompts(scribbles=volume.like(strokes.copy())))[1:-1] == ["Outlining: prompt 1 of 2", "Outlining: prompt 2 of 2"]


@needs_package
def test_objects_have_maps_of_their_own(segmenter):
    volume, balls, points = scene()
    prompts = Prompts((ObjectPrompt(2, points=((*points[0], 1),)), ObjectPrompt(7, points=((*points[1], 1),))))
    found = answer(segmenter, volume, prompts)
    np.testing.assert_array_equal(found > 0, np.stack(balls))
    more = Prompts((prompts.objects[0], ObjectPrompt(7, points=(*prompts.objects[1].points, (*points[0], 1)))))
    assert told(segmenter, volume, more)[1:-1] == ["Object 1 of 2", "Object 2 of 2: prompt 2 of 2"]
    same = Prompts((ObjectPrompt(1, points=((*points[0], 1),)), ObjectPrompt(1, points=((*points[1], 1),))))
    np.testing.assert_array_equal(answer(segmenter, volume, same)[0] > 0, balls[0] | balls[1])


@needs_package
def test_another_scan_starts_anew_and_stopping_anywhere_loses_nothing(segmenter):
    volume, balls, points = scene()
    both = clicks((points[0], 1), (points[1], 1))
    for steps in range(4):
        running = segmenter.predict(volume, both, device="cpu")
        for _ in range(steps):
            next(running)
        running.close()
    np.testing.assert_array_equal(answer(segmenter, volume, both)[0] > 0, balls[0] | balls[1])
    other = Volume(volume.array[:, ::-1].copy(), volume.geometry)
    assert not answer(segmenter, other, both)[0][balls[0]].all()


@needs_package
def test_it_says_how_far_it_is(segmenter):
    volume, _, points = scene()
    fractions = [piece.fraction for piece in segmenter.predict(volume, clicks((points[0], 1), (points[1], 1)), device="cpu")]
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert fractions == sorted(fractions)


@needs_package
def test_prompts_and_scans_that_make_no_sense_are_refused(segmenter):
    volume, _, points = scene()
    with pytest.raises(NoSeedsError):
        next(segmenter.predict(volume, None))
    assert not answer(segmenter, volume.like(np.full(volume.geometry.shape, 7)), clicks((points[0], 1))).any()
    colours = Volume(np.repeat(volume.array[None], 3, axis=0), volume.geometry)
    with pytest.raises(InvalidInputError, match="3 channels"):
        next(segmenter.predict(colours, clicks((points[0], 1))))


@needs_package
def test_standard_output_stays_ours_and_threads_too(folder, capsys):
    import torch

    threads = torch.get_num_threads()
    volume, _, points = scene()
    answer(NnInteractiveSegmenter(folder), volume, clicks((points[0], 1)))
    assert capsys.readouterr().out == ""
    assert torch.get_num_threads() == threads


@needs_package
def test_the_licence_of_the_weights_is_said(folder):
    assert NnInteractiveSegmenter(folder).capabilities.licence == "CC BY-NC-SA 4.0"


@needs_package
def test_it_can_be_sent_to_another_process(folder):
    volume, balls, points = scene()
    segmenter = NnInteractiveSegmenter(folder)
    answer(segmenter, volume, clicks((points[0], 1)))
    again = pickle.loads(pickle.dumps(segmenter))
    np.testing.assert_array_equal(answer(again, volume, clicks((points[0], 1)))[0] > 0, balls[0])


class Ran:
    def __reduce__(self):
        return (exec, ("import sys; sys.modules['medseg_pickle_ran'] = sys",))


def nan_weights(state):
    for name, value in state.items():
        if name.startswith("decoder.seg_layers") and name.endswith("bias"):
            value.fill_(float("nan"))


def lost_weights(state):
    del state[next(name for name in state if name.startswith("decoder"))]


@needs_package
@pytest.mark.parametrize(("change", "told"), [
    ({"checkpoint": {"extra": Ran()}}, "is refused: it wants to use"),
    ({"checkpoint": {"init_args": {"configuration": "2d"}}}, "names a configuration that plans.json does not hold"),
    ({"checkpoint": {"network_weights": {}}}, "holds no weights"),
    ({"weights": nan_weights}, r"no numbers \(NaN\)"),
    ({"weights": lost_weights}, "weights that do not fit the network"),
    ({"info": {"inference_class": "AnotherSession"}}, "nnInteractive failed .*AnotherSession"),
    ({"info": {"inference_class_min_version": "99.0"}}, "nnInteractive failed .*99"),
    ({"info": {"interaction_channels": 20}}, "weights that do not fit the network"),
])
def test_bad_models_are_named_and_run_nothing(tmp_path, change, told):
    volume, _, points = scene()
    segmenter = NnInteractiveSegmenter(model(tmp_path / "bad", **change))
    for _ in range(2):
        with pytest.raises(MedsegError, match=told):
            list(segmenter.predict(volume, clicks((points[0], 1)), device="cpu"))
    assert "medseg_pickle_ran" not in sys.modules


@needs_package
def test_half_a_checkpoint_is_said_to_be_cut_short(tmp_path):
    volume, _, points = scene()
    folder = model(tmp_path / "bad")
    file = folder / "fold_0" / "checkpoint_final.pth"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(SegmenterError, match=r"checkpoint_final\.pth: (is no checkpoint|cannot be read)"):
        list(NnInteractiveSegmenter(folder).predict(volume, clicks((points[0], 1)), device="cpu"))


@pytest.mark.parametrize("architecture", [
    {**ARCHITECTURE, "network_class_name": "subprocess.Popen"},
    {**ARCHITECTURE, "arch_kwargs": {**ARCHITECTURE["arch_kwargs"], "nonlin": "os.system"}},
])
def test_plans_that_name_other_code_are_refused(tmp_path, architecture):
    bare(tmp_path)
    (tmp_path / "plans.json").write_text(json.dumps(plans(architecture)))
    with pytest.raises(SegmenterError, match="is refused"):
        NnInteractiveSegmenter(tmp_path)


def bare(folder):
    (folder / "fold_0").mkdir()
    for name, content in {"plans.json": plans(), "dataset.json": {}, "inference_info.json": {}}.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "fold_0" / "checkpoint_final.pth").write_bytes(b"")


@pytest.mark.parametrize(("spoil", "told"), [
    (lambda f: (f / "plans.json").unlink(), r"plans\.json: is missing"),
    (lambda f: (f / "plans.json").write_text("{"), r"plans\.json: cannot be read"),
    (lambda f: (f / "plans.json").write_text("[]"), "no named fields"),
    (lambda f: (f / "dataset.json").unlink(), r"dataset\.json: is missing"),
    (lambda f: (f / "inference_info.json").unlink(), "is no nnInteractive model"),
    (lambda f: (f / "fold_0" / "checkpoint_final.pth").unlink(), "holds 0 folds"),
])
def test_folders_that_are_none_say_what_is_missing(tmp_path, spoil, told):
    bare(tmp_path)
    NnInteractiveSegmenter(tmp_path)
    spoil(tmp_path)
    with pytest.raises(MedsegError, match=told):
        NnInteractiveSegmenter(tmp_path)
    with pytest.raises(MissingFileError):
        NnInteractiveSegmenter(tmp_path / "nowhere")


def test_a_scan_leaves_this_machine_only_when_somebody_agreed():
    with pytest.raises(SegmenterError, match="your scan would be sent to gpu-box, unencrypted"):
        NnInteractiveRemoteSegmenter("http://gpu-box:1527")
    with pytest.raises(SegmenterError, match=r"your scan would be sent to gpu\.example\.org\."):
        NnInteractiveRemoteSegmenter("https://gpu.example.org")
    assert NnInteractiveRemoteSegmenter("http://gpu-box:1527", agreed=True).capabilities.remote
    for here in ("http://127.0.0.1:1527", "http://localhost", "http://[::1]:1527"):
        assert not NnInteractiveRemoteSegmenter(here).capabilities.remote


@pytest.mark.parametrize("address", ["gpu-box:1527", "ftp://gpu-box", "http://", ""])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InvalidInputError, match="is no address"):
        NnInteractiveRemoteSegmenter(address, agreed=True)


@needs_package
def test_a_server_that_is_not_there_is_said_to_be_unreachable():
    volume, _, points = scene()
    with pytest.raises(SegmenterError, match="the server cannot be reached"):
        list(NnInteractiveRemoteSegmenter(f"http://127.0.0.1:{free_port()}").predict(volume, clicks((points[0], 1))))


@needs_package
def test_a_wrong_key_and_a_full_server_are_told_apart(server):
    volume, _, points = scene()
    with pytest.raises(SegmenterError, match="the server refuses the key"):
        list(NnInteractiveRemoteSegmenter(server, api_key="guess").predict(volume, clicks((points[0], 1))))
    holders = [NnInteractiveRemoteSegmenter(server, api_key="secret") for _ in range(2)]
    for holder in holders:
        answer(holder, volume, clicks((points[0], 1)))
    with pytest.raises(SegmenterError, match="the server has no free place"):
        answer(NnInteractiveRemoteSegmenter(server, api_key="secret"), volume, clicks((points[0], 1)))
    for holder in holders:
        holder.release()
    last = NnInteractiveRemoteSegmenter(server, api_key="secret")
    assert answer(last, volume, clicks((points[0], 1))).any()
    last.release()


@needs_package
def test_a_session_that_ended_is_begun_again_without_a_word(server):
    volume, balls, points = scene()
    segmenter = NnInteractiveRemoteSegmenter(server, api_key="secret")
    answer(segmenter, volume, clicks((points[0], 1)))
    segmenter._session._http.post("/release")  # as the server does after minutes without a click
    found = answer(segmenter, volume, clicks((points[0], 1), (points[1], 1)))
    np.testing.assert_array_equal(found[0] > 0, balls[0] | balls[1])
    segmenter.release()


@needs_package
def test_something_else_at_the_address_is_named():
    import http.server

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as page:
        threading.Thread(target=page.handle_request, daemon=True).start()
        volume, _, points = scene()
        with pytest.raises(SegmenterError, match="the server answered with something else"):
            list(NnInteractiveRemoteSegmenter(f"http://127.0.0.1:{page.server_port}").predict(volume, clicks((points[0], 1))))


@pytest.mark.skipif(find_spec("nnInteractive") is not None, reason="the package is installed")
def test_a_missing_package_says_how_to_get_it(tmp_path):
    volume, _, points = scene()
    bare(tmp_path)
    with pytest.raises(UnavailableError, match=r'pip install "nninteractive>=2\.6,<2\.7" "torch=='):
        list(NnInteractiveSegmenter(tmp_path).predict(volume, clicks((points[0], 1)), device="cpu"))
    with pytest.raises(UnavailableError, match=r'pip install "nninteractive-client>=2\.6,<2\.7"'):
        list(NnInteractiveRemoteSegmenter("http://localhost").predict(volume, clicks((points[0], 1))))


def acts(prompts, solid_boxes=True):
    volume, _, _ = scene()
    turn = axis_map(volume.geometry, "LPS")
    return interactions_of(pointed(prompts, volume, turn, volume.geometry)[1][0], volume.geometry.shape, solid_boxes=solid_boxes)


def test_thick_boxes_become_flat_for_engines_whose_boxes_are():
    _, _, points = scene()
    low, high = (tuple(p + d for p in points[0]) for d in (-4.0, 4.0))
    prompts = Prompts((ObjectPrompt(1, boxes=((low, high),)),))
    assert acts(prompts)[0].box == (slice(4, 9), slice(8, 17), slice(7, 16))
    assert acts(prompts, solid_boxes=False)[0].box == (slice(6, 7), slice(8, 17), slice(7, 16))


def test_what_is_left_to_tell_is_what_is_new():
    _, _, (one, two) = scene()
    first, both, other = acts(clicks((one, 1))), acts(clicks((one, 1), (two, -1))), acts(clicks((two, 1)))
    assert left_to_tell(first, first) == []
    assert left_to_tell(first, both) == both[1:]
    assert left_to_tell(both, first) is None
    assert left_to_tell(first, other) is None
    twice = acts(clicks((one, 1), (one, 1)))
    assert len(left_to_tell(first, twice)) == 1


def test_a_label_to_start_from_comes_before_all_else():
    volume, _, (one, _) = scene()
    mask = np.zeros(volume.geometry.shape, np.uint8)
    mask[3, 4, 5] = 1
    held = acts(Prompts((ObjectPrompt(1, points=((*one, 1),)),), mask=volume.like(mask)))
    assert [act.kind for act in held] == ["mask", "point"]
    assert left_to_tell(acts(clicks((one, 1))), held) is None


def test_an_outline_is_filled_in_its_slice():
    box, voxels = outlined(np.array([[3.2, 2, 2], [3.2, 2, 6], [3.2, 6, 6], [3.2, 6, 2]]), (8, 10, 10))
    assert box == (slice(3, 4), slice(2, 7), slice(2, 7))
    assert voxels.all()
    assert outlined(np.array([[30, 2, 2], [30, 2, 6], [30, 6, 6]]), (8, 10, 10)) is None
