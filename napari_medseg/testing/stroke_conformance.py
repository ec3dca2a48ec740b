"""What every tool that grows strokes must do; see `weaklabel_conformance`.

::

    class TestMyTool(StrokeConformance):
        def grow(self, image, strokes, spacing):
            for step in my_tool(image, strokes, spacing):
                yield step.labels

        def follow(self, image, spacing):  # for tools that follow the brush; leave it out otherwise
            return MyTool(image, spacing)

Strokes are uint8 (z, y, x): 0 unknown, 255 background, 1-254 classes. `grow` yields label maps of the whole scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import MedsegError
from napari_medseg.testing import annotator
from napari_medseg.testing.weaklabel_conformance import SCENES, Image, WeakLabelConformance, ball, overlap
from napari_medseg.volume import BoolArray, LabelArray, Shape, Spacing

CLASSES = (1, 2, 200)


class Follower(Protocol):
    """A tool that follows the brush."""

    @property
    def labels(self) -> LabelArray:
        """The label map of the whole scan as it stands."""

    def update(self, strokes: npt.NDArray[Any]) -> Iterator[Any]:
        """All strokes (z, y, x) as they are now; yields until the labels are the answer."""


def organs(shape: Shape, spacing: Spacing, *, alike: bool = False) -> tuple[npt.NDArray[np.float32], LabelArray]:
    """Three organs on grey: two that touch, a third apart; where they are alike the third has the value of the first, as two kidneys have."""
    z, y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True))
    wide = x[-1] - x[0]
    truth = np.zeros(shape, np.uint8)
    for value, centre, radius in ((1, -0.18, 0.17), (2, 0.1, 0.15), (200, 0.38, 0.09)):
        distance = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + (x[None, None] - centre * wide) ** 2)
        truth[(distance < radius * wide) & (truth == 0)] = value
    values = np.array([400.0, 1000.0, 700.0, 1000.0 if alike else 1300.0])[np.searchsorted([0, 1, 2, 200], truth)]
    return np.asarray(values + np.random.default_rng(0).normal(0, 20, shape), np.float32), truth


def strokes_for(truth: LabelArray, spacing: Spacing, slices: int = 2) -> LabelArray:
    """What a person draws: in each class's largest slices a line through its middle, three fifths of its width; background all round, 4-6 mm outside."""
    strokes = np.zeros(truth.shape, np.uint8)
    ring = annotator.hand_mask(truth > 0, spacing, 6.0) & ~annotator.hand_mask(truth > 0, spacing, 4.0)
    strokes[ring] = BACKGROUND
    for value in (int(v) for v in np.unique(truth) if v):
        mask = truth == value
        for z in np.argsort(-mask.sum((1, 2)), kind="stable")[:slices]:
            if mask[z].any():
                y = int(mask[z].sum(1).argmax())
                columns = np.flatnonzero(mask[z, y])
                skipped = len(columns) // 5
                strokes[z, y, columns[skipped : len(columns) - skipped]] = value
    return strokes


class StrokeConformance(WeakLabelConformance):
    """The suite for strokes; says how the general one is run, too.

    Attributes
    ----------
    least_agreement : float
        Share of voxels that are the same after stroke upon stroke as from scratch.
    """

    least_agreement = 1.0

    def grow(self, image: Image, strokes: npt.NDArray[Any], spacing: Spacing) -> Iterator[npt.NDArray[Any]]:
        """Run the tool.

        Parameters
        ----------
        image : (z, y, x)
        strokes : whole numbers (z, y, x)
            0 unknown, 1-254 classes, 255 background.
        spacing : mm per voxel (z, y, x)

        Yields
        ------
        array (z, y, x)
            Every partial label map: 0 background, 1-254 classes.
        """
        raise TypeError(f"{type(self).__name__} does not say how its tool is run: define `grow`")

    def follow(self, image: Image, spacing: Spacing) -> Follower:
        """A tool that follows the brush."""
        pytest.skip(f"{type(self).__name__} does not follow the brush")

    def run(self, image: Image, truth: BoolArray, spacing: Spacing, limit: BoolArray | None) -> Iterator[npt.NDArray[Any]]:
        """With the annotator's first pair of strokes; what lies outside the limit is scribbled as background."""
        strokes = annotator.first_strokes(truth, spacing)
        if limit is not None:
            strokes[~limit] = BACKGROUND
        yield from self.grow(image, strokes, spacing)

    @pytest.mark.parametrize("scene", [((1, 48, 96), (5.0, 0.8, 0.8)), ((9, 40, 80), (4.0, 0.9, 0.9))], ids=["one slice", "thick slices"])
    @pytest.mark.parametrize("alike", [False, True], ids=["different", "alike"])
    def test_several_classes_are_found_each_with_its_own_number(self, scene: tuple[Shape, Spacing], alike: bool) -> None:
        """Neighbours that touch; classes that look alike are told apart by where they were drawn."""
        image, truth = organs(*scene, alike=alike)
        *_, found = self.grow(image, strokes_for(truth, scene[1], 4), scene[1])
        assert set(np.unique(found)) <= {0, *CLASSES}
        for value in CLASSES:
            assert overlap(found == value, truth == value) >= self.least_dice, value

    def test_a_stroke_keeps_its_class_at_every_step(self) -> None:
        """What was drawn is true, and background is 0; partial results may be empty."""
        spacing = (4.0, 0.9, 0.9)
        image, truth = organs((5, 40, 80), spacing)
        strokes = strokes_for(truth, spacing)
        before = strokes.copy()
        drawn = strokes > 0
        for found in self.grow(image, strokes, spacing):
            assert found.shape == truth.shape
            assert BACKGROUND not in found
        np.testing.assert_array_equal(found[drawn], np.where(strokes == BACKGROUND, 0, strokes)[drawn])
        np.testing.assert_array_equal(strokes, before)

    @pytest.mark.parametrize("scene", ["one slice", "anisotropic"])
    def test_strokes_that_contradict_the_image_or_each_other_are_obeyed(self, scene: str) -> None:
        """Background right through the object, another class beside it, class strokes outside."""
        shape, spacing = SCENES[scene]
        image, truth = ball(shape, spacing)
        z, y, x = (n // 2 for n in shape)
        strokes = annotator.first_strokes(truth, spacing)
        strokes[z, y + 2, x - 6 : x + 6] = BACKGROUND
        strokes[z, y + 3, x - 6 : x + 6] = 2
        strokes[z, 1, 1:9], strokes[z, 2, 1:9] = 1, 2
        *_, found = self.grow(image, strokes, spacing)
        drawn = strokes > 0
        np.testing.assert_array_equal(found[drawn], np.where(strokes == BACKGROUND, 0, strokes)[drawn])

    @pytest.mark.parametrize("values", [(), (BACKGROUND,)])
    def test_strokes_without_a_class_are_refused_in_words(self, values: tuple[int, ...]) -> None:
        """Nothing drawn, or background only."""
        shape, spacing = SCENES["thin slab"]
        image, _ = ball(shape, spacing)
        strokes = np.zeros(shape, np.uint8)
        for value in values:
            strokes[1, 5, 5:20] = value
        with pytest.raises(MedsegError) as caught:
            list(self.grow(image, strokes, spacing))
        assert caught.value.todo

    @pytest.mark.parametrize("fault", ["another grid", "no whole numbers", "beyond a byte"])
    def test_strokes_that_are_no_strokes_are_refused_in_words(self, fault: str) -> None:
        """Drawn on another scan, or not made of classes."""
        shape, spacing = SCENES["thin slab"]
        image, truth = ball(shape, spacing)
        strokes: npt.NDArray[Any] = annotator.first_strokes(truth, spacing)
        strokes = {"another grid": strokes[:, :-1], "no whole numbers": strokes * 0.5, "beyond a byte": strokes.astype(np.int32) * 300}[fault]
        with pytest.raises(MedsegError) as caught:
            list(self.grow(image, strokes, spacing))
        assert caught.value.todo

    def test_one_class_alone_gives_an_answer_or_a_reason(self) -> None:
        """No background was drawn."""
        shape, spacing = SCENES["anisotropic"]
        image, truth = ball(shape, spacing)
        strokes = annotator.first_strokes(truth, spacing)
        strokes[strokes == BACKGROUND] = 0
        try:
            *_, found = self.grow(image, strokes, spacing)
        except MedsegError:
            return
        assert (found[strokes > 0] == 1).all()

    def test_a_scan_covered_with_strokes_is_just_these(self) -> None:
        """Nothing is left to decide."""
        shape, spacing = SCENES["thin slab"]
        image, truth = ball(shape, spacing)
        *_, found = self.grow(image, np.where(truth, np.uint8(3), np.uint8(BACKGROUND)), spacing)
        np.testing.assert_array_equal(found, np.where(truth, 3, 0))

    def test_a_stroke_of_one_voxel_is_a_stroke(self) -> None:
        """A click in each class."""
        shape, spacing = SCENES["one slice"]
        image, _ = ball(shape, spacing)
        strokes = np.zeros(shape, np.uint8)
        strokes[0, shape[1] // 2, shape[2] // 2], strokes[0, 1, 1] = 1, BACKGROUND
        *_, found = self.grow(image, strokes, spacing)
        assert found[0, shape[1] // 2, shape[2] // 2] == 1
        assert found[0, 1, 1] == 0

    def _agrees(self, found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
        assert np.mean(found == expected) >= self.least_agreement

    def test_stroke_upon_stroke_is_as_from_scratch(self) -> None:
        """Added, changed and erased strokes; each time what the same strokes would give at once."""
        spacing = (4.0, 0.9, 0.9)
        image, truth = organs((7, 40, 80), spacing)
        every = strokes_for(truth, spacing, 3)
        tool = self.follow(image, spacing)
        for strokes in _as_drawn(every):
            list(tool.update(strokes))
            *_, expected = self.grow(image, strokes, spacing)
            self._agrees(tool.labels, expected)

    def test_an_update_cut_short_at_any_step_is_made_good_by_the_next(self) -> None:
        """The brush does not wait for an answer."""
        spacing = (4.0, 0.9, 0.9)
        image, truth = organs((5, 40, 80), spacing)
        first, *_, last = _as_drawn(strokes_for(truth, spacing, 3))
        *_, expected = self.grow(image, last, spacing)
        steps = len(list(self.follow(image, spacing).update(first)))
        for count in range(steps):
            tool = self.follow(image, spacing)
            running = tool.update(first)
            list(islice(running, count))
            close = getattr(running, "close", None)
            if close is not None:
                close()
            list(tool.update(last))
            self._agrees(tool.labels, expected)


def _as_drawn(strokes: LabelArray) -> Iterator[LabelArray]:
    """The same strokes as they come: class by class from far apart, then one taken back, then changed, then all."""
    so_far = np.zeros_like(strokes)
    for value in (1, BACKGROUND, 2, 200):
        so_far = np.where(strokes == value, strokes, so_far)
        yield so_far.copy()
    without = so_far.copy()
    without[strokes == 2] = 0
    yield without
    changed = so_far.copy()
    changed[strokes == 200] = 7
    yield changed
    yield strokes.copy()
