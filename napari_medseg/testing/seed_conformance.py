"""What every tool that grows from seed points must do; see `weaklabel_conformance`.

::

    class TestMyTool(SeedConformance):
        def grow(self, image, seeds, spacing, *, limit=None, barrier=None, init=None):
            for step in my_tool(image, seeds, spacing, limit=limit, barrier=barrier, init=init):
                yield step.mask
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_medseg.errors import MedsegError
from napari_medseg.testing import annotator
from napari_medseg.testing.weaklabel_conformance import SCENES, Image, WeakLabelConformance, ball, overlap
from napari_medseg.volume import BoolArray, Spacing


class SeedConformance(WeakLabelConformance):
    """The suite for seeds; says how the general one is run, too."""

    def grow(
        self, image: Image, seeds: npt.ArrayLike, spacing: Spacing, *, limit: BoolArray | None = None, barrier: BoolArray | None = None,
        init: BoolArray | None = None,
    ) -> Iterator[npt.NDArray[Any]]:
        """Run the tool.

        Parameters
        ----------
        image : (z, y, x)
        seeds : (n, 3)
            Voxel indices z, y, x.
        spacing : mm per voxel (z, y, x)
        limit : bool (z, y, x), optional
            Nothing outside it is taken.
        barrier : bool (z, y, x), optional
            Never crossed.
        init : bool (z, y, x), optional
            The mask to start from.

        Yields
        ------
        array (z, y, x)
            Every partial result; not 0 where the object is.

        Raises
        ------
        MedsegError
            Where seeds are missing, outside the scan, or no numbers.
        """
        raise TypeError(f"{type(self).__name__} does not say how its tool is run: define `grow`")

    def run(self, image: Image, truth: BoolArray, spacing: Spacing, limit: BoolArray | None) -> Iterator[npt.NDArray[Any]]:
        """With five seeds of the simulated annotator."""
        yield from self.grow(image, annotator.seeds(truth, spacing), spacing, limit=limit)

    @pytest.mark.parametrize(("seeds", "limited"), [([], True), ([], False), ([(0, 0, 4000)], True), ([(-3, 5, 5)], False), ([(np.nan, 1, 1)], True)])
    def test_seeds_that_are_none_or_outside_are_refused_in_words(self, seeds: list[Any], limited: bool) -> None:
        """No seed, one beyond the scan, one that is no number."""
        shape, spacing = SCENES["thin slab"]
        image, truth = ball(shape, spacing)
        limit = annotator.hand_mask(truth, spacing) if limited else None
        with pytest.raises(MedsegError) as caught:
            list(self.grow(image, seeds, spacing, limit=limit))
        assert caught.value.todo

    def test_an_empty_limit_is_refused_in_words(self) -> None:
        """Nothing could lie inside it."""
        shape, spacing = SCENES["thin slab"]
        image, truth = ball(shape, spacing)
        with pytest.raises(MedsegError) as caught:
            list(self.grow(image, annotator.seeds(truth, spacing), spacing, limit=np.zeros(shape, bool)))
        assert caught.value.todo

    def test_a_limit_that_holds_no_seed_is_refused_and_one_that_holds_some_is_not(self) -> None:
        """Prompts that contradict each other."""
        shape, spacing = SCENES["anisotropic"]
        image, truth = ball(shape, spacing)
        seeds = annotator.seeds(truth, spacing)
        away = np.zeros(shape, bool)
        away[0, 0, 0] = True
        with pytest.raises(MedsegError) as caught:
            list(self.grow(image, seeds, spacing, limit=away))
        assert caught.value.todo
        limit = annotator.hand_mask(truth, spacing)
        *_, found = self.grow(image, [*seeds.tolist(), [0, 0, 0]], spacing, limit=limit)
        assert overlap(found, truth) >= self.least_dice
        assert not (found > 0)[~limit].any()

    @pytest.mark.parametrize("scene", ["one slice", "anisotropic"])
    def test_a_barrier_is_never_entered_at_any_step(self, scene: str) -> None:
        """A wall through the middle of the ball keeps the front on the seed's side."""
        shape, spacing = SCENES[scene]
        image, truth = ball(shape, spacing)
        wall = np.zeros(shape, bool)
        middle = shape[2] // 2
        wall[:, :, middle : middle + 2] = True
        seeds = np.argwhere(truth & (np.indices(shape)[2] < middle - 3))[::40]
        for step in self.grow(image, seeds, spacing, limit=annotator.hand_mask(truth, spacing), barrier=wall):
            assert not (step > 0)[wall].any()
            last = step
        assert (last > 0)[:, :, :middle].any()

    def test_a_mask_can_be_where_it_starts(self) -> None:
        """Any mask seeds any tool: a bad one is put right."""
        shape, spacing = SCENES["isotropic"]
        image, truth = ball(shape, spacing)
        shifted = np.roll(truth, 3, axis=2)
        *_, found = self.grow(image, annotator.seeds(truth, spacing), spacing, limit=annotator.hand_mask(truth, spacing), init=shifted)
        assert overlap(found, truth) > max(overlap(shifted, truth), self.least_dice)

    @pytest.mark.parametrize("other", ["limit", "barrier", "init"])
    def test_a_mask_of_another_shape_is_refused_in_words(self, other: str) -> None:
        """Drawn on another scan."""
        shape, spacing = SCENES["thin slab"]
        image, truth = ball(shape, spacing)
        with pytest.raises(MedsegError) as caught:
            list(self.grow(image, annotator.seeds(truth, spacing), spacing, **{other: np.ones((2, 3, 4), bool)}))
        assert caught.value.todo

    def test_one_seed_is_enough(self) -> None:
        """A single click."""
        shape, spacing = SCENES["anisotropic"]
        image, truth = ball(shape, spacing)
        *_, found = self.grow(image, annotator.seeds(truth, spacing, 1), spacing, limit=annotator.hand_mask(truth, spacing))
        assert overlap(found, truth) >= self.least_dice
