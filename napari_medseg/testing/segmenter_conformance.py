"""What every segmenter must do, ours or a third party's.

Inherit from `SegmenterConformance` in a test module and say how yours is made::

    class TestMySegmenter(SegmenterConformance):
        def segmenter(self):
            return MySegmenter()

The suite asks whether it keeps the protocol, not whether it segments well. Override `volume` when yours refuses the suite's scan.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.annotation.prompts import Prompts
from napari_medseg.segmenters.protocol import Prediction, Segmenter, collect, to_labels
from napari_medseg.volume import Array, FloatArray, Geometry, Shape, Spacing, Volume, orient

PROMPTS = {"points", "boxes", "lassos", "scribbles", "mask"}
SCENES: dict[str, tuple[Shape, Spacing]] = {
    "isotropic": ((12, 34, 38), (1.0, 1.0, 1.0)),
    "thick slices": ((7, 40, 44), (6.5, 0.8, 0.8)),
    "thick along another axis": ((38, 40, 7), (0.8, 0.8, 6.5)),
    "one slice": ((1, 40, 44), (5.0, 0.8, 0.8)),
    "one voxel": ((1, 1, 1), (1.0, 1.0, 1.0)),
}
ORIENTATIONS = ("LPS", "LAS", "RAS", "RPI", "PSL", "IRA", "SAR")


def blob(scene: str) -> Volume:
    """A bright ball off the middle on a dark ground with noise, int16."""
    shape, spacing = SCENES[scene]
    place = np.meshgrid(*((np.arange(n) - 0.4 * n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    noise = np.random.default_rng(0).normal(0, 40, shape)
    values = np.where(sum(p**2 for p in place) < 9.0**2, 900, 300) + noise
    return Volume(values.astype(np.int16), Geometry(shape, spacing, (-20.0, 14.0, 5.0)), name=scene)


class SegmenterConformance:
    """The suite; a segmenter passes it or says in its own tests why it need not."""

    def segmenter(self) -> Segmenter:
        """Make the segmenter under test."""
        raise TypeError(f"{type(self).__name__} does not say how its segmenter is made: define `segmenter`")

    def volume(self, scene: str) -> Volume:
        """A scan the segmenter accepts, on the grid of `SCENES[scene]`."""
        return blob(scene)

    def prompts(self, volume: Volume) -> Prompts | None:
        """What it is pointed at with a scan; nothing for one that needs no pointing."""
        return None

    def maps(self, volume: Volume) -> int:
        """How many probability maps it owes."""
        prompts = self.prompts(volume)
        return len(self.segmenter().capabilities.classes) if prompts is None else len(prompts.labels)

    def pieces(self, volume: Volume, focus: int | None = None) -> list[Prediction]:
        """Every piece of a whole run on the processor."""
        return list(self.segmenter().predict(volume, self.prompts(volume), device="cpu", focus=focus))

    def answer(self, volume: Volume) -> FloatArray:
        """The whole answer."""
        return collect(self.pieces(volume), volume.geometry.shape)

    def with_values(self, values: Array) -> Volume:
        """The thick-sliced scan with other values in it."""
        volume = self.volume("thick slices")
        return replace(volume, array=np.broadcast_to(values, volume.array.shape))

    def test_says_what_it_is(self) -> None:
        """Title and capabilities are what the window builds its buttons from; one without classes of its own is pointed at something."""
        segmenter = self.segmenter()
        can = segmenter.capabilities
        assert isinstance(segmenter, Segmenter)
        assert segmenter.title.strip()
        assert can.licence.strip()
        assert len(can.classes) == len(set(can.classes)) <= 254
        assert bool(can.prompts) if can.interactive else can.classes
        assert can.prompts <= PROMPTS
        assert can.dims in (2, 3)
        assert can.channels >= 1
        assert 0 <= can.threshold <= 1
        assert can.spacing is None or (len(can.spacing) == 3 and min(can.spacing) > 0)

    @pytest.mark.parametrize("scene", SCENES)
    def test_covers_the_grid_with_probabilities(self, scene: str) -> None:
        """Thick slices, one slice and one voxel work like any other volume; one map a class, and every voxel is answered if nobody points."""
        volume = self.volume(scene)
        covered = np.zeros(volume.geometry.shape, bool)
        classes = self.maps(volume)
        for piece in self.pieces(volume):
            assert piece.probabilities.dtype == np.float32
            assert piece.probabilities.shape == (classes, *(part.stop - part.start for part in piece.box))
            assert all(0 <= part.start <= part.stop <= n for part, n in zip(piece.box, volume.geometry.shape, strict=True))
            assert ((piece.probabilities >= 0) & (piece.probabilities <= 1)).all()
            covered[piece.box] = True
        assert covered.all() or self.segmenter().capabilities.interactive

    def test_tells_how_far_it_is(self) -> None:
        """Fractions rise from 0 to 1, and every piece says what is being done."""
        told = self.pieces(self.volume("thick slices"))
        known = [piece.fraction for piece in told if piece.fraction is not None]
        assert all(0 <= a <= b <= 1 for a, b in itertools.pairwise([0.0, *known]))
        assert not known or known[-1] == pytest.approx(1)
        assert all(piece.message.strip() for piece in told)

    def test_gives_the_same_answer_twice(self) -> None:
        """No dropout left on, no leftovers from the run before."""
        segmenter, volume = self.segmenter(), self.volume("thick slices")
        first, second = (collect(segmenter.predict(volume, self.prompts(volume), device="cpu"), volume.geometry.shape) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_leaves_the_scan_as_it_was(self) -> None:
        """The window shows the very array it was given."""
        volume = self.volume("thick slices")
        before = volume.array.copy()
        volume.array.flags.writeable = False
        self.pieces(volume)
        np.testing.assert_array_equal(volume.array, before)

    def test_can_be_stopped_at_every_yield(self) -> None:
        """Closing it anywhere raises nothing, and the next run is whole."""
        segmenter, volume = self.segmenter(), self.volume("thick slices")
        whole = collect(segmenter.predict(volume, self.prompts(volume), device="cpu"), volume.geometry.shape)
        for steps in range(len(self.pieces(volume))):
            running = segmenter.predict(volume, self.prompts(volume), device="cpu")
            list(itertools.islice(running, steps))
            running.close()  # type: ignore[attr-defined]
        np.testing.assert_array_equal(collect(segmenter.predict(volume, self.prompts(volume), device="cpu"), volume.geometry.shape), whole)

    @pytest.mark.parametrize("focus", [0, 3, 6])
    def test_the_slice_in_view_comes_first(self, focus: int) -> None:
        """The first piece that holds anything lies on it, and the whole answer is the same to 1e-5."""
        volume = self.volume("thick slices")
        told = self.pieces(volume, focus)
        first = next(piece for piece in told if piece.probabilities.size)
        assert first.box[0].start <= focus < first.box[0].stop
        np.testing.assert_allclose(collect(told, volume.geometry.shape), self.answer(volume), atol=1e-5)

    @pytest.mark.parametrize("order", ORIENTATIONS)
    def test_the_order_a_file_stores_does_not_matter(self, order: str) -> None:
        """The same scan with its axes turned gives the same answer, turned, to the bit."""
        volume = self.volume("thick slices")
        turned = orient(volume, order)
        there = turned.like(self.answer(turned))
        here = orient(volume.like(self.answer(volume)), order)
        np.testing.assert_array_equal(there.array, here.array)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
    def test_every_type_of_voxel_gives_the_same_answer(self, dtype: type[np.generic]) -> None:
        """Whole numbers and floats are the same scan."""
        volume = self.volume("thick slices")
        small = np.clip(volume.channel() // 8, 0, 255)
        expected = self.answer(self.with_values(small))
        np.testing.assert_allclose(self.answer(self.with_values(small.astype(dtype))), expected, atol=1e-5)

    @pytest.mark.parametrize("value", [0.0, -1000.0, 1e30, np.nan, np.inf])
    def test_a_scan_of_one_value_is_answered(self, value: float) -> None:
        """An empty field of view, or a file of NaN, gives probabilities like any other."""
        found = self.answer(self.with_values(np.array(value)))
        assert np.isfinite(found).all()
        assert ((found >= 0) & (found <= 1)).all()

    def test_holes_of_nan_do_not_spread(self) -> None:
        """A few bad voxels leave numbers everywhere, and a label map can be made."""
        volume = self.volume("thick slices")
        values = volume.array.astype(np.float32)
        values[..., 2:4, 5:9, 5:9] = np.nan
        values[..., 0, 0, 0] = -np.inf
        found = self.answer(replace(volume, array=values))
        assert np.isfinite(found).all()
        assert to_labels(found, self.segmenter().capabilities.threshold).shape == volume.geometry.shape
