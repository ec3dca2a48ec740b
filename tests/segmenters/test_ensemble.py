"""Several segmenters as one, and one behind a mirror."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.annotation.prompts import ObjectPrompt, Prompts
from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters import Capabilities, Prediction, collect
from napari_medseg.segmenters.ensemble import Ensemble
from napari_medseg.segmenters.mirrored import MirrorView, mirrored
from napari_medseg.segmenters.unet_segmenter import UNetSegmenter
from napari_medseg.testing.segmenter_conformance import SegmenterConformance, blob
from napari_medseg.volume import Volume, orient


class Brightness:
    """Answers with a multiple of the value, slice by slice."""

    capabilities = Capabilities(classes=("bright",), licence="MIT", threshold=0.5)

    def __init__(self, scale=1e-3, title="brightness", capabilities=capabilities):
        self.scale, self.title, self.capabilities = scale, title, capabilities
        self.saw = []

    def predict(self, volume, prompts=None, *, device="auto", focus=None):
        self.saw.append((volume, prompts, focus() if callable(focus) else focus))
        n, y, x = volume.geometry.shape
        for z in range(n):
            values = np.clip(volume.channel()[z : z + 1] * self.scale, 0, 1).astype(np.float32)
            yield Prediction((slice(z, z + 1), slice(0, y), slice(0, x)), values[None], (z + 1) / n, "slice")


class Pointed:
    """Answers with a small cube around each point, one map a label, and leaves the rest out."""

    capabilities = Capabilities(classes=(), licence="MIT", prompts=frozenset({"points"}))
    title = "pointed"

    def __init__(self, reach=1):
        self.reach = reach

    def predict(self, volume, prompts=None, *, device="auto", focus=None):
        for number, label in enumerate(prompts.labels):
            for each in prompts.objects:
                for point in each.points if each.label == label else ():
                    at = np.rint(volume.geometry.voxel(np.array(point[:3]))).astype(int)
                    box = tuple(slice(max(0, c - self.reach), c + self.reach + 1) for c in at)
                    size = volume.array[box].shape
                    maps = np.zeros((len(prompts.labels), *size), np.float32)
                    maps[number] = 1
                    yield Prediction(box, maps, None, "point")


def test_the_answer_is_the_mean_and_the_disagreement_the_spread():
    volume = blob("thick slices")
    a, b = Brightness(1e-3), Brightness(5e-4)
    pieces = list(Ensemble([a, b]).predict(volume))
    one, two = (collect(m.predict(volume), volume.geometry.shape) for m in (a, b))
    np.testing.assert_allclose(collect(pieces, volume.geometry.shape), (one + two) / 2, atol=1e-6)
    apart = np.zeros(volume.geometry.shape, np.float32)
    for piece in pieces:
        if piece.disagreement is not None:
            apart[piece.box] = piece.disagreement
    np.testing.assert_allclose(apart, np.abs(one - two)[0] / 2, atol=1e-3)


def test_the_first_member_shows_while_the_second_works():
    volume = blob("thick slices")
    first = list(itertools.islice(Ensemble([Brightness(1e-3), Brightness(0.0)]).predict(volume), 7))
    assert max(piece.probabilities.max() for piece in first) > 0.8
    assert all(piece.disagreement is None for piece in first)


def test_members_that_leave_voxels_out_count_as_zero_there():
    volume = blob("isotropic")
    point = tuple(float(v) for v in volume.geometry.world(np.array([6.0, 17.0, 19.0])))
    prompts = Prompts((ObjectPrompt(3, ((*point, 1),)),))
    found = collect(Ensemble([Pointed(2), Pointed(1)]).predict(volume, prompts), volume.geometry.shape)
    assert found[0, 6, 17, 19] == 1
    assert found[0, 6, 17, 21] == 0.5


def test_members_must_outline_the_same_things():
    with pytest.raises(InvalidInputError, match="at least two"):
        Ensemble([Brightness()])
    other = Brightness(title="two", capabilities=replace(Brightness.capabilities, classes=("a", "b")))
    with pytest.raises(InvalidInputError, match=r"different things \(brightness: 1, two: 2\)"):
        Ensemble([Brightness(), other])
    with pytest.raises(InvalidInputError, match="channels"):
        Ensemble([Brightness(), Brightness(capabilities=replace(Brightness.capabilities, channels=3))])


def test_a_member_that_gives_nothing_is_named():
    class Silent(Brightness):
        def predict(self, volume, prompts=None, *, device="auto", focus=None):
            return iter(())

    with pytest.raises(SegmenterError, match="silent"):
        list(Ensemble([Brightness(), Silent(title="silent")]).predict(blob("one slice")))


def test_an_ensemble_can_what_all_its_members_can():
    ct = Brightness(capabilities=replace(Brightness.capabilities, modalities=frozenset({"CT", "MR"}), threshold=0.3))
    mr = Brightness(capabilities=replace(Brightness.capabilities, modalities=frozenset({"MR"}), licence="Apache-2.0", threshold=0.5, remote=True))
    can = Ensemble([ct, mr]).capabilities
    assert (can.modalities, can.licence, can.threshold, can.remote) == (frozenset({"MR"}), "MIT AND Apache-2.0", pytest.approx(0.4), True)


@pytest.mark.parametrize("directions", [c for n in (1, 2, 3) for c in itertools.combinations(("left-right", "front-back", "head-feet"), n)])
def test_behind_a_mirror_a_segmenter_without_a_side_answers_the_same(directions):
    volume = blob("thick slices")
    plain, seen = Brightness(), MirrorView(Brightness(), directions)
    np.testing.assert_array_equal(collect(seen.predict(volume), volume.geometry.shape), collect(plain.predict(volume), volume.geometry.shape))


def test_the_mirror_turns_the_patient_round_whatever_order_the_file_stores():
    volume = blob("thick slices")
    for order in ("LPS", "SAR", "PSL"):
        turned = orient(volume, order)
        inner = Brightness()
        list(MirrorView(inner, ("left-right",)).predict(turned))
        there = orient(inner.saw[0][0], "LPI").array
        np.testing.assert_array_equal(there, orient(volume, "LPI").array[..., ::-1])


def test_prompts_and_focus_follow_the_mirror():
    volume = blob("thick slices")
    at = np.array([2.0, 9.0, 30.0])
    point = tuple(float(v) for v in volume.geometry.world(at))
    corner = tuple(float(v) for v in volume.geometry.world(at + 3))
    strokes = np.zeros(volume.geometry.shape, np.uint8)
    strokes[2, 9, 30] = 7
    prompts = Prompts((ObjectPrompt(7, ((*point, -1),), ((point, corner),), ((point, corner, point),)),), scribbles=Volume(strokes, volume.geometry))
    inner = Brightness()
    list(MirrorView(inner, ("left-right", "head-feet")).predict(volume, prompts, focus=lambda: 1))
    seen, asked, focus = inner.saw[0]
    there = tuple(int(i) for i in np.rint(seen.geometry.voxel(np.array(asked.objects[0].points[0][:3]))))
    assert there == (7 - 1 - 2, 9, 44 - 1 - 30)
    assert asked.objects[0].points[0][3] == -1
    assert asked.scribbles.array[there] == 7
    np.testing.assert_allclose(asked.objects[0].boxes[0][0], asked.objects[0].points[0][:3])
    np.testing.assert_allclose(asked.objects[0].lassos[0][2], asked.objects[0].points[0][:3])
    assert focus == 7 - 1 - 1
    assert seen.array[there] == volume.array[2, 9, 30]


def test_the_mirror_keeps_its_view_of_one_scan():
    volume, inner = blob("one slice"), Brightness()
    view = MirrorView(inner, ("front-back",))
    for _ in range(2):
        list(view.predict(volume))
    assert inner.saw[0][0] is inner.saw[1][0]


def test_no_direction_is_refused():
    with pytest.raises(InvalidInputError, match="none"):
        mirrored(Brightness(), ())
    with pytest.raises(InvalidInputError, match="inside-out"):
        mirrored(Brightness(), ("inside-out",))


def test_mirroring_a_real_network_makes_its_answer_symmetric(tiny_model):
    volume = blob("thick slices")
    both = Volume(np.concatenate([volume.array, volume.array[..., ::-1]], axis=-1), replace(volume.geometry, shape=(7, 40, 88)))
    found = collect(mirrored(UNetSegmenter(tiny_model)).predict(both, device="cpu"), (7, 40, 88))
    np.testing.assert_allclose(found, found[..., ::-1], atol=1e-5)


class TestAMirroredUNet(SegmenterConformance):
    @pytest.fixture(autouse=True)
    def _model(self, tiny_model):
        self.model = tiny_model

    def segmenter(self):
        return mirrored(UNetSegmenter(self.model, batch=2))


def test_behind_a_mirror_an_ensemble_lies_apart_where_it_does_without():
    volume = blob("thick slices")
    pair = Ensemble([Brightness(1e-3), Brightness(5e-4)])

    def apart(segmenter, scan):
        found = np.zeros(scan.geometry.shape, np.float32)
        for piece in segmenter.predict(scan):
            if piece.disagreement is not None:
                found[piece.box] = piece.disagreement
        return found

    np.testing.assert_allclose(apart(MirrorView(pair, ("left-right",)), volume), apart(pair, volume), atol=1e-6)
