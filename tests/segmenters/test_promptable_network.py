"""What the promptable network sees, how it is kept on disk, and that the weights that ship do as they are told."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_medseg.errors import InvalidInputError, MissingFileError, SegmenterError
from napari_medseg.segmenters.plan import KEY, read_plan
from napari_medseg.segmenters.promptable.encode import CHANNELS, FADE, WINDOW, Marks, add_point, encode, normalise
from napari_medseg.segmenters.promptable.model import SHIPPED, PromptablePlan, load_promptable, save_promptable
from napari_medseg.segmenters.promptable.network import PromptableNet, _pack, _unpack

SIDE = 24
MOST_BYTES = 12 * 1024 * 1024


def channel(encoded, name):
    return encoded[..., CHANNELS.index(name), :, :, :]


def ball(side, centre, radius):
    axes = np.indices((side,) * 3)
    return sum((axes[axis] - centre[axis]) ** 2 for axis in range(3)) < radius**2


def scene(seed=0, side=SIDE):
    """A bright ball and a dark one in grey noise."""
    rng = np.random.default_rng(seed)
    image = 0.1 * rng.standard_normal((side,) * 3)
    image[ball(side, (side / 2, side / 2, side / 3), side / 6)] += 1
    image[ball(side, (side / 2, side / 2, 3 * side / 4), side / 6)] -= 1
    return torch.from_numpy(image.astype(np.float32))


def marked(side=SIDE, positive=(), negative=()):
    marks = Marks.none((side,) * 3)
    for at in positive:
        add_point(marks.positive_points, at)
    for at in negative:
        add_point(marks.negative_points, at)
    return marks


BRIGHT, DARK, GREY = (12, 12, 8), (12, 12, 18), (3, 3, 3)


class TestEncoding:
    def test_a_window_has_a_channel_for_each_name(self):
        encoded = encode(scene(), marked(positive=[BRIGHT]))
        assert encoded.shape == (len(CHANNELS), SIDE, SIDE, SIDE)
        assert encoded.dtype == torch.float32

    @pytest.mark.parametrize(("scale", "offset"), [(250.0, -1000.0), (1e-3, 5.0)])
    def test_units_do_not_matter(self, scale, offset):
        marks = marked(positive=[BRIGHT], negative=[GREY])
        torch.testing.assert_close(encode(scene() * scale + offset, marks), encode(scene(), marks), atol=2e-2, rtol=0)

    def test_an_inverted_image_changes_the_sign_of_the_image_and_nothing_that_follows_from_the_prompts(self):
        marks = marked(positive=[BRIGHT], negative=[GREY])
        plain, inverted = encode(scene(), marks), encode(-scene(), marks)
        for name in ("image", "image against positives"):
            torch.testing.assert_close(channel(inverted, name), -channel(plain, name), atol=2e-2, rtol=0)
        kept = [index for index, name in enumerate(CHANNELS) if not name.startswith("image")]
        torch.testing.assert_close(inverted[kept], plain[kept], atol=2e-2, rtol=0)

    def test_the_prompts_intensity_is_likely_and_the_others_is_not(self):
        encoded = encode(scene(), marked(positive=[BRIGHT], negative=[DARK]))
        inside, outside, ratio = (
            channel(encoded, name) for name in ("likelihood beneath positives", "likelihood beneath negatives", "log ratio of likelihoods")
        )
        assert inside[BRIGHT] > 0.5 > inside[DARK]
        assert outside[DARK] > 0.5 > outside[BRIGHT]
        assert ratio[BRIGHT] > 0.5
        assert ratio[DARK] < -0.5

    def test_distances_stay_on_this_side_of_an_edge(self):
        encoded = encode(scene(), marked(positive=[BRIGHT]))
        near = channel(encoded, "near positives")
        assert near[BRIGHT] > 0.9
        assert near[12, 12, 9] > 2 * near[DARK]

    def test_which_prompt_is_nearer_shows(self):
        nearer = channel(encode(scene(), marked(positive=[BRIGHT], negative=[DARK])), "nearer to positives")
        assert nearer[BRIGHT] > 0.8
        assert nearer[DARK] < 0.2

    def test_without_prompts_only_the_image_is_seen(self):
        encoded = encode(scene(), Marks.none((SIDE,) * 3))
        assert float(encoded[1:].abs().max()) == 0
        assert float(encoded[0].std()) == pytest.approx(1, abs=0.01)

    def test_a_batch_is_its_windows_one_by_one(self):
        images, marks = [scene(0), scene(1)], [marked(positive=[BRIGHT]), marked(negative=[DARK])]
        both = encode(torch.stack(images), Marks.batch(marks))
        for index in range(2):
            torch.testing.assert_close(both[index], encode(images[index], marks[index]), atol=1e-5, rtol=1e-5)

    def test_the_same_again_is_the_same(self):
        marks = marked(positive=[BRIGHT], negative=[GREY])
        assert torch.equal(encode(scene(), marks), encode(scene(), marks))

    def test_half_precision_around_it_does_not_reach_it(self):
        marks = marked(positive=[BRIGHT], negative=[GREY])
        with torch.autocast("cpu", torch.bfloat16):
            inside = encode(scene(), marks)
        assert torch.equal(inside, encode(scene(), marks))

    def test_older_points_fade(self):
        points = marked(positive=[BRIGHT, DARK, GREY]).positive_points
        assert [float(points[at]) for at in (GREY, DARK, BRIGHT)] == pytest.approx([1, FADE, FADE**2])

    def test_a_point_may_lie_outside_the_window(self):
        assert float(marked(positive=[(12, 12, 40)]).positive_points.max()) == 0

    def test_a_flat_window_and_holes_in_it_give_numbers(self):
        marks = marked(positive=[BRIGHT], negative=[GREY])
        assert bool(torch.isfinite(encode(torch.full((SIDE,) * 3, 7.0), marks)).all())
        holed = scene()
        holed[:3] = float("nan")
        holed[3] = float("inf")
        assert bool(torch.isfinite(encode(holed, marks)).all())

    def test_a_few_extreme_voxels_do_not_flatten_the_rest(self):
        extreme = scene()
        extreme[0, 0, :5] = 1e5
        torch.testing.assert_close(normalise(extreme[None])[0, 5:], normalise(scene()[None])[0, 5:], atol=0.05, rtol=0)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_card_and_a_processor_see_the_same(self):
        marks = Marks.batch([marked(positive=[BRIGHT], negative=[GREY])])
        there = encode(scene()[None].cuda(), Marks(**{name: value.cuda() for name, value in vars(marks).items()}))
        torch.testing.assert_close(there.cpu(), encode(scene()[None], marks), atol=0.05, rtol=0)


class TestNetwork:
    def test_eight_voxels_packed_into_a_place_come_back(self):
        voxels = torch.rand(2, 1, 8, 4, 6)
        assert torch.equal(_unpack(_pack(voxels)), voxels[:, 0])

    @pytest.mark.parametrize("shape", [(24, 24, 24), (8, 16, 32)])
    def test_any_window_of_whole_multiples_goes(self, shape):
        network = PromptableNet(3, (8, 12, 16)).eval()
        assert network.multiple == 8
        assert network(torch.rand(2, 3, *shape)).shape == (2, *shape)

    @pytest.mark.parametrize(("channels", "widths"), [(0, (8, 16)), (3, (8,)), (3, (8, 6)), (3, (0, 8))])
    def test_numbers_that_make_no_network_are_refused(self, channels, widths):
        with pytest.raises(InvalidInputError, match="no promptable network"):
            PromptableNet(channels, widths)


def small():
    return PromptableNet(len(CHANNELS), (4, 8))


@pytest.fixture
def model(tmp_path):
    return save_promptable(tmp_path / "p.safetensors", small(), {"training": {"updates": 3}})


def rewritten(model, change_plan=None, change_tensors=None):
    tensors, plan = load_file(model), read_plan(model, PromptablePlan).model_dump()
    if change_plan:
        change_plan(plan)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, model, metadata={KEY: json.dumps(plan)})
    return model


class TestOnDisk:
    def test_what_was_saved_comes_back_in_half_precision(self, tmp_path):
        network = small()
        again, plan = load_promptable(save_promptable(tmp_path / "p.safetensors", network, {"training": {"updates": 3}}))
        assert not again.training
        assert (plan["network"]["widths"], plan["training"], plan["channels"]) == ([4, 8], {"updates": 3}, list(CHANNELS))
        for name, value in network.state_dict().items():
            assert torch.equal(again.state_dict()[name], value.half().float())

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(MissingFileError):
            load_promptable(tmp_path / "none.safetensors")

    def test_half_a_file_is_refused(self, model):
        model.write_bytes(model.read_bytes()[:-100])
        with pytest.raises(SegmenterError, match="cut short or damaged"):
            load_promptable(model)

    def test_a_changed_weight_is_noticed(self, model):
        def nudge(tensors):
            tensors["head.bias"][0] += 1

        with pytest.raises(SegmenterError, match="checksum"):
            load_promptable(rewritten(model, change_tensors=nudge))

    def test_a_network_of_other_channels_is_refused(self, model):
        with pytest.raises(SegmenterError, match="other channels"):
            load_promptable(rewritten(model, change_plan=lambda plan: plan["channels"].reverse()))

    def test_weights_of_another_network_are_refused(self, model):
        with pytest.raises(SegmenterError, match="do not fit"):
            load_promptable(rewritten(model, change_plan=lambda plan: plan["network"].update(widths=[8, 8])))

    def test_widths_that_make_no_network_are_refused_with_the_file_named(self, model):
        with pytest.raises(SegmenterError, match="do not fit") as refused:
            load_promptable(rewritten(model, change_plan=lambda plan: plan["network"].update(widths=[3, 8])))
        assert model.name in str(refused.value)

    def test_a_model_of_another_family_is_refused(self):
        from napari_medseg.segmenters.plan import BASE

        with pytest.raises(SegmenterError, match="cannot use"):
            load_promptable(BASE)

    def test_a_pickle_is_refused_and_not_run(self, tmp_path):
        path = tmp_path / "p.safetensors"
        path.write_bytes(pickle.dumps({"weights": 1}))
        with pytest.raises(SegmenterError, match="no model file"):
            load_promptable(path)


@pytest.fixture(scope="module")
def shipped():
    return load_promptable()[0]


def answered(network, image, marks):
    with torch.inference_mode():
        return torch.sigmoid(network(encode(image, marks)[None]).float())[0].numpy()


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


class TestWhatShips:
    def test_it_is_small_and_says_what_it_is(self):
        assert SHIPPED.stat().st_size <= MOST_BYTES
        plan = load_promptable()[1]
        assert plan["licence"] == "BSD-3-Clause"
        assert plan["training"]["data"] == "procedural volumes"
        assert plan["window"] == WINDOW

    def test_one_click_outlines_what_it_is_on(self, shipped):
        side = WINDOW
        image = scene(side=side)
        for centre in ((24, 24, 16), (24, 24, 36)):
            answer = answered(shipped, image, marked(side, positive=[centre]))
            assert dice(answer > 0.5, ball(side, centre, side / 6)) > 0.8

    def test_a_negative_click_takes_away_what_it_is_on(self, shipped):
        side = WINDOW
        one, other = ball(side, (24, 24, 17), 8), ball(side, (24, 24, 31), 8)
        image = torch.from_numpy(((one | other) + 0.1 * np.random.default_rng(0).standard_normal((side,) * 3)).astype(np.float32))
        marks = marked(side, positive=[(24, 24, 17)])
        before = answered(shipped, image, marks)
        add_point(marks.negative_points, (24, 24, 31))
        marks.previous = torch.from_numpy(before)
        after = answered(shipped, image, marks)
        assert after[other & ~one].mean() < 0.3
        assert dice(after > 0.5, one) > 0.75

    def test_the_same_prompts_get_the_same_answer(self, shipped):
        marks = marked(WINDOW, positive=[(24, 24, 16)])
        image = scene(side=WINDOW)
        assert np.array_equal(answered(shipped, image, marks), answered(shipped, image, marks))

    def test_half_precision_changes_next_to_nothing(self, shipped):
        image, marks = scene(side=WINDOW), marked(WINDOW, positive=[(24, 24, 16)])
        with torch.autocast("cpu", torch.bfloat16):
            quick = answered(shipped, image, marks)
        assert dice(quick > 0.5, answered(shipped, image, marks) > 0.5) > 0.98
