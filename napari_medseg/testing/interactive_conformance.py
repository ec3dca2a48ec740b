"""What a segmenter that is pointed at must do beside `segmenter_conformance`.

Inherit from `InteractiveConformance` in a test module and say how yours is made::

    class TestMySegmenter(InteractiveConformance):
        def segmenter(self):
            return MySegmenter()

The scans are the other suite's: a bright ball on a dark ground. It asks that prompts are taken, obeyed and told apart, and that the ball is found.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.annotation.prompts import ObjectPrompt, PointLPS, Prompts, SignedPoint
from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.protocol import collect
from napari_medseg.testing.segmenter_conformance import SCENES, SegmenterConformance, blob
from napari_medseg.volume import BoolArray, FloatArray, Geometry, Volume

RADIUS_MM = 9.0
KINDS = ("points", "3D box", "flat box", "lasso", "scribbles", "mask")
NEEDED = {"3D box": "boxes", "flat box": "boxes", "lasso": "lassos"}


def centre(volume: Volume, *off_mm: float) -> PointLPS:
    """A point of the suite's scan, LPS mm: the ball's middle, or so many mm (z, y, x of the scan as made) beside it."""
    shape, spacing = SCENES[volume.name]
    grid = Geometry(shape, spacing, (-20.0, 14.0, 5.0))
    off = np.array(off_mm or (0.0, 0.0, 0.0))
    x, y, z = (float(v) for v in grid.world(np.clip(0.4 * np.array(shape) + off / spacing, 0, np.array(shape) - 1)))
    return x, y, z


def ball(volume: Volume, radius_mm: float = RADIUS_MM) -> BoolArray:
    """The ball, or a smaller one about its middle, on the voxels of the suite's scan as it was made."""
    shape, spacing = SCENES[volume.name]
    place = np.meshgrid(*((np.arange(n) - 0.4 * n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    return np.asarray(sum(p**2 for p in place) < radius_mm**2)


def pointing(kind: str, volume: Volume) -> Prompts:
    """A prompt of one kind that means the ball."""
    if kind == "points":
        return Prompts((ObjectPrompt(1, points=((*centre(volume), 1),)),))
    if kind == "3D box":
        return Prompts((ObjectPrompt(1, boxes=((centre(volume, -9, -9, -9), centre(volume, 9, 9, 9)),)),))
    if kind == "flat box":
        return Prompts((ObjectPrompt(1, boxes=((centre(volume, 0, -9, -9), centre(volume, 0, 9, 9)),)),))
    if kind == "lasso":
        turns = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        return Prompts((ObjectPrompt(1, lassos=(tuple(centre(volume, 0, 9 * np.sin(a), 9 * np.cos(a)) for a in turns),)),))
    drawn = volume.like((ball(volume, 4.0 if kind == "scribbles" else 8.0)).astype(np.uint8))
    return Prompts(scribbles=drawn) if kind == "scribbles" else Prompts(mask=drawn)


class InteractiveConformance(SegmenterConformance):
    """The suite for a segmenter that outlines whatever it is pointed at.

    Attributes
    ----------
    least : float
        Dice with which the ball is to be found from one prompt of any kind.
    """

    least = 0.7

    def prompts(self, volume: Volume) -> Prompts | None:
        """A click in the middle of the ball."""
        return Prompts((ObjectPrompt(1, points=((*centre(volume), 1),)),))

    def ask(self, volume: Volume, prompts: Prompts | None) -> FloatArray:
        """Everything a fresh segmenter answers to prompts."""
        return collect(self.segmenter().predict(volume, prompts, device="cpu"), volume.geometry.shape)

    def clicked(self, volume: Volume, *points: SignedPoint) -> FloatArray:
        """The answer to points for one object."""
        return np.asarray(self.ask(volume, Prompts((ObjectPrompt(1, points=points),)))[0])

    @pytest.mark.parametrize("focus", [0, 3, 6])
    def test_the_slice_in_view_comes_first(self, focus: int) -> None:
        """Where a person looks changes nothing of what is answered to what they pointed at."""
        volume = self.volume("thick slices")
        np.testing.assert_allclose(collect(self.pieces(volume, focus), volume.geometry.shape), self.answer(volume), atol=1e-5)

    @pytest.mark.parametrize("scene", ["isotropic", "thick slices", "thick along another axis"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_finds_the_ball_from_every_kind_of_prompt_it_takes(self, kind: str, scene: str) -> None:
        """A point, a box in space or in a slice, a lasso, strokes, a mask a little too small."""
        can = self.segmenter().capabilities
        if NEEDED.get(kind, kind) not in can.prompts:
            pytest.skip(f"takes no {NEEDED.get(kind, kind)}")
        volume = blob(scene)
        found, truth = self.ask(volume, pointing(kind, volume))[0] > can.threshold, ball(volume)
        assert 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)) >= self.least

    def test_obeys_every_point(self) -> None:
        """Inside is inside and outside is outside, in the ball and beyond it, whatever the picture says."""
        volume = blob("isotropic")
        threshold = self.segmenter().capabilities.threshold
        beside, within, edge = centre(volume, 0, 0, 13), centre(volume, 0, -4, 0), centre(volume, 0, 8, 0)
        points: tuple[SignedPoint, ...] = ((*centre(volume), 1), (*beside, 1), (*within, -1), (*edge, -1))
        for count in range(1, len(points) + 1):
            found = self.clicked(volume, *points[:count])
            for x, y, z, sign in points[:count]:
                voxel = tuple(np.rint(volume.geometry.voxel((x, y, z))).astype(int))
                assert (found[voxel] > threshold) == (sign > 0)

    def test_a_further_point_asked_warm_or_cold_gives_the_same(self) -> None:
        """What a segmenter remembers of the last answer saves time and changes nothing."""
        volume = blob("thick slices")
        points: tuple[SignedPoint, ...] = ((*centre(volume), 1), (*centre(volume, 0, 0, 12), -1), (*centre(volume, 0, 6, 0), 1))
        warm = self.segmenter()
        for count in (1, 2, 3):
            asked = Prompts((ObjectPrompt(1, points=points[:count]),))
            found = collect(warm.predict(volume, asked, device="cpu"), volume.geometry.shape)
        np.testing.assert_array_equal(found[0], self.clicked(volume, *points))

    def test_each_label_has_a_map_of_its_own(self) -> None:
        """Objects in any order, maps by ascending label, two objects of one label united."""
        volume = blob("isotropic")
        here, there = ((*centre(volume), 1),), ((*centre(volume, 0, 12, 12), 1),)
        alone, other = self.clicked(volume, *here), self.clicked(volume, *there)
        both = self.ask(volume, Prompts((ObjectPrompt(7, points=there), ObjectPrompt(2, points=here))))
        np.testing.assert_array_equal(both, np.stack([alone, other]))
        united = self.ask(volume, Prompts((ObjectPrompt(3, points=there), ObjectPrompt(3, points=here))))
        np.testing.assert_array_equal(united[0], np.maximum(alone, other))

    def test_says_what_is_missing(self) -> None:
        """No prompt, nothing inside, a point beyond the scan, strokes of another scan: a fault a person can mend, before anything is computed."""
        volume, elsewhere = blob("isotropic"), blob("thick slices")
        x, y, z = centre(volume)
        wrong = [None, Prompts(), Prompts((ObjectPrompt(1, points=((x, y, z, -1),)),)), Prompts((ObjectPrompt(1, points=((x + 500, y, z, 1),)),))]
        if "scribbles" in self.segmenter().capabilities.prompts:
            wrong.append(pointing("scribbles", elsewhere))
        for prompts in wrong:
            with pytest.raises(InvalidInputError) as fault:
                list(self.segmenter().predict(volume, prompts, device="cpu"))
            assert fault.value.todo

    def test_several_channels_are_refused(self) -> None:
        """A colour picture is no scan of one channel."""
        volume = blob("isotropic")
        if self.segmenter().capabilities.channels > 1:
            pytest.skip("takes several channels")
        colour = replace(volume, array=np.stack([volume.array] * 3))
        with pytest.raises(InvalidInputError, match="channel"):
            list(self.segmenter().predict(colour, self.prompts(volume), device="cpu"))

    def test_can_be_stopped_between_objects(self) -> None:
        """Of several objects those that are done may be kept: the pieces so far hold them."""
        volume = blob("isotropic")
        objects = (ObjectPrompt(1, points=((*centre(volume), 1),)), ObjectPrompt(2, points=((*centre(volume, 0, 12, 12), 1),)))
        pieces = list(self.segmenter().predict(volume, Prompts(objects), device="cpu"))
        whole = collect(pieces, volume.geometry.shape)
        assert any(
            np.array_equal(collect(itertools.islice(pieces, count), volume.geometry.shape)[0], whole[0]) for count in range(1, len(pieces))
        )
