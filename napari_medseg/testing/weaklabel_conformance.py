"""What every weak-label tool must do, ours or a third party's.

Inherit from `WeakLabelConformance` in a test module and say how your tool is run::

    class TestMyTool(WeakLabelConformance):
        def run(self, image, truth, spacing, limit):
            seeds = annotator.seeds(truth, spacing)
            for step in my_tool(image, seeds, spacing, limit=limit):
                yield step.mask

`run` yields label maps or masks of the whole scan, (z, y, x), the last of them the answer. For tools that take seeds or strokes there is more:
`SeedConformance` (seed_conformance.py) and `StrokeConformance` (stroke_conformance.py), which ask for the prompts' own function instead.

A tool works on one channel, (z, y, x). Images of several channels are refused in words, so that none is chosen silently.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_medseg.errors import MedsegError
from napari_medseg.testing import annotator
from napari_medseg.volume import BoolArray, Spacing

Image = npt.NDArray[Any]

SCENES: dict[str, tuple[tuple[int, int, int], Spacing]] = {
    "one slice": ((1, 40, 44), (5.0, 0.8, 0.8)),
    "thin slab": ((3, 40, 44), (2.0, 0.8, 0.8)),
    "anisotropic": ((9, 40, 44), (6.5, 0.7, 0.9)),
    "isotropic": ((24, 26, 28), (1.0, 1.0, 1.0)),
}


def overlap(found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    """Dice of two masks; 1 when both are empty."""
    one, two = found > 0, truth > 0
    both = int(one.sum()) + int(two.sum())
    return 2 * int((one & two).sum()) / both if both else 1.0


def ball(shape: tuple[int, int, int], spacing: Spacing) -> tuple[npt.NDArray[np.float32], BoolArray]:
    """A bright ball, 1000 on 400 with noise of 30, and its truth."""
    offsets = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    distance = np.sqrt(sum(o**2 for o in np.meshgrid(*offsets, indexing="ij")))
    truth = np.asarray(distance < 8.0)
    noise = np.random.default_rng(0).normal(0, 30, shape)
    return np.asarray(np.where(truth, 1000.0, 400.0) + noise, np.float32), truth


class WeakLabelConformance:
    """The suite; a tool passes it or says in its own tests why it need not.

    Attributes
    ----------
    least_dice : float
        For a clear ball.
    least_dice_alone : float
        The same without a limit.
    """

    least_dice = 0.85
    least_dice_alone = 0.8

    def run(self, image: Image, truth: BoolArray, spacing: Spacing, limit: BoolArray | None) -> Iterator[npt.NDArray[Any]]:
        """Run the tool with prompts made from the truth.

        Parameters
        ----------
        image : (z, y, x)
            The scan's values; must not be changed.
        truth : bool (z, y, x)
            To make prompts from only.
        spacing : mm per voxel (z, y, x)
        limit : bool (z, y, x) or None
            What bounds every partial result; None for no bound.

        Yields
        ------
        array (z, y, x)
            Every partial result; not 0 where the object is.
        """
        raise TypeError(f"{type(self).__name__} does not say how its tool is run: define `run`")

    def answer(self, image: Image, truth: BoolArray, spacing: Spacing) -> npt.NDArray[Any]:
        """The last partial result."""
        *_, last = self.run(image, truth, spacing, annotator.hand_mask(truth, spacing))
        return last

    @pytest.mark.parametrize("scene", SCENES)
    def test_finds_a_clear_ball(self, scene: str) -> None:
        """One slice, thin slabs and thick slices work like any other volume."""
        image, truth = ball(*SCENES[scene])
        found = self.answer(image, truth, SCENES[scene][1])
        assert found.shape == truth.shape
        assert overlap(found, truth) >= self.least_dice

    @pytest.mark.parametrize("scene", ["one slice", "anisotropic", "isotropic"])
    def test_finds_a_clear_ball_without_a_limit(self, scene: str) -> None:
        """A limit helps and is not needed."""
        image, truth = ball(*SCENES[scene])
        *_, found = self.run(image, truth, SCENES[scene][1], None)
        assert overlap(found, truth) >= self.least_dice_alone

    @pytest.mark.parametrize("scene", SCENES)
    def test_stays_inside_the_limit_at_every_step(self, scene: str) -> None:
        """Nothing partial or final lies outside what was painted; a tool without a limit passes one it need not heed to `run`."""
        image, truth = ball(*SCENES[scene])
        limit = annotator.hand_mask(truth, SCENES[scene][1])
        for step in self.run(image, truth, SCENES[scene][1], limit):
            assert not ((step > 0) & ~limit).any()

    @pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8, np.float32, np.float64])
    def test_every_type_of_voxel_gives_the_same_object(self, dtype: type[np.generic]) -> None:
        """Whole numbers and floats differ by rounding only, and the scan is not written to."""
        shape, spacing = SCENES["anisotropic"]
        image, truth = ball(shape, spacing)
        typed = (image / 8).astype(dtype) if dtype is np.uint8 else image.astype(dtype)
        before = typed.copy()
        assert overlap(self.answer(typed, truth, spacing), self.answer(image, truth, spacing)) > 0.97
        np.testing.assert_array_equal(typed, before)

    @pytest.mark.parametrize("layout", ["big-endian", "read-only", "column order", "every other voxel", "upside down"])
    def test_the_layout_of_the_scan_in_memory_does_not_matter(self, layout: str) -> None:
        """As files and views bring it."""
        shape, spacing = SCENES["thin slab"]
        image, truth = ball(shape, spacing)
        image = image.astype(np.int16)
        np.testing.assert_array_equal(self.answer(_laid_out(image, layout), truth, spacing), self.answer(image, truth, spacing))

    def test_gives_the_same_answer_twice(self) -> None:
        """Deterministic."""
        shape, spacing = SCENES["anisotropic"]
        image, truth = ball(shape, spacing)
        np.testing.assert_array_equal(self.answer(image, truth, spacing), self.answer(image, truth, spacing))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_scan_without_numbers_is_refused_in_words(self, value: float) -> None:
        """Neither a crash nor a made-up mask."""
        shape, spacing = SCENES["thin slab"]
        _, truth = ball(shape, spacing)
        with pytest.raises(MedsegError) as caught:
            self.answer(np.full(shape, value, np.float32), truth, spacing)
        assert caught.value.todo

    @pytest.mark.parametrize("dtype", [np.int16, np.float32])
    def test_a_constant_scan_is_refused_in_words(self, dtype: type[np.generic]) -> None:
        """There is nothing to see in it."""
        shape, spacing = SCENES["thin slab"]
        _, truth = ball(shape, spacing)
        with pytest.raises(MedsegError) as caught:
            self.answer(np.full(shape, 7, dtype), truth, spacing)
        assert caught.value.todo

    @pytest.mark.parametrize("shape", [(0, 8, 8), (8, 8), (2, 3, 8, 8)])
    def test_an_array_that_is_no_volume_is_refused(self, shape: tuple[int, ...]) -> None:
        """Empty arrays and other dimensions."""
        image, truth = ball((3, 20, 20), (2.0, 1.0, 1.0))
        limit = annotator.hand_mask(truth, (2.0, 1.0, 1.0))
        with pytest.raises(MedsegError):
            list(self.run(np.zeros(shape, image.dtype), truth, (2.0, 1.0, 1.0), limit))

    @pytest.mark.parametrize("where", [0, -1])
    def test_several_channels_are_refused_in_words(self, where: int) -> None:
        """None of them is chosen silently."""
        shape, spacing = SCENES["thin slab"]
        image, truth = ball(shape, spacing)
        with pytest.raises(MedsegError) as caught:
            self.answer(np.stack([image] * 3, axis=where), truth, spacing)
        assert caught.value.todo

    def test_some_missing_values_do_no_harm(self) -> None:
        """A corner of NaN, as resampling leaves it."""
        shape, spacing = SCENES["anisotropic"]
        image, truth = ball(shape, spacing)
        image[:, :3] = np.nan
        assert overlap(self.answer(image, truth, spacing), truth) >= self.least_dice

    def test_a_tiny_scan_gives_an_answer_or_a_reason(self) -> None:
        """One to three voxels a side."""
        for shape in itertools.product((1, 2, 3), repeat=3):
            truth = np.zeros(shape, bool)
            truth[0, 0, 0] = True
            image = np.arange(truth.size, dtype=np.float32).reshape(shape)
            try:
                *_, found = self.run(image, truth, (1.0, 1.0, 1.0), np.ones(shape, bool))
            except MedsegError:
                continue
            assert found.shape == shape

    def test_can_be_cancelled_at_every_step(self) -> None:
        """Closing after any number of steps ends it, and the next run is not affected."""
        shape, spacing = SCENES["thin slab"]
        image, truth = ball(shape, spacing)
        limit = annotator.hand_mask(truth, spacing)
        steps = list(self.run(image, truth, spacing, limit))
        for count in range(len(steps)):
            running = self.run(image, truth, spacing, limit)
            seen = list(itertools.islice(running, count))
            running.close()  # type: ignore[attr-defined]
            assert len(seen) == count
            assert not list(running)
        np.testing.assert_array_equal(list(self.run(image, truth, spacing, limit))[-1], steps[-1])


def _laid_out(image: Image, layout: str) -> Image:
    """The same voxels, laid out otherwise."""
    if layout == "big-endian":
        return image.astype(image.dtype.newbyteorder(">"))
    if layout == "column order":
        return np.asfortranarray(image)
    if layout == "every other voxel":
        return np.repeat(image, 2, axis=2)[:, :, ::2]
    if layout == "upside down":
        return np.ascontiguousarray(image[::-1])[::-1]
    image = image.copy()
    image.flags.writeable = False
    return image
