"""An annotator who prompts a network for one to ten rounds: the first prompt says what is meant, the next ones correct the answer.

Most rounds click where a person would: on the deepest voxel of the largest connected error. Some click elsewhere in an error, draw a stroke, a box or a
lasso; some sittings begin with a wrong mask; now and then the previous answer is withheld, as it is when a window moves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from napari_medseg.segmenters.promptable.encode import FADE, Marks, add_point
from napari_medseg.testing.procedural import Made
from napari_medseg.testing.procedural_shapes import noise

BoolArray = npt.NDArray[np.bool_]

MOST = 10
WITHHELD = 0.15
DONE = 0.01  # wrong voxels over the object's, below which nobody corrects
STROKE = 24  # voxels at most


class Sitting:
    """One volume and its annotator."""

    def __init__(self, made: Made, rng: np.random.Generator) -> None:
        self.image = torch.from_numpy(made.image)
        self.truth = torch.from_numpy(made.truth.astype(np.float32))
        self.known = torch.zeros_like(self.image)
        self.known[made.known] = 1
        self.marks = Marks.none(self.image.shape)
        self.over = False
        self.round = 1
        self.rounds = int(min(MOST, 1 + rng.geometric(0.2)))
        self._object, self._known, self._rng = made.truth, self.known.numpy() > 0, rng
        self._begin()

    def answered(self, answer: Tensor) -> float:
        """Take the network's probabilities, say their Dice, and put the next prompt or end."""
        given = (answer.numpy() > 0.5) & self._known
        size, held = np.count_nonzero(given), np.count_nonzero(self._object)
        score = 2 * np.count_nonzero(given & self._object) / (size + held)
        wrong = given != self._object
        if self.round >= self.rounds or np.count_nonzero(wrong) < DONE * held:
            self.over = True
            return score
        self.round += 1
        self._correct(given)
        withheld = self._rng.random() < WITHHELD
        self.marks.previous = torch.zeros_like(answer) if withheld else answer.clone()
        return score

    def _begin(self) -> None:
        kind = self._rng.random()
        if kind < 0.1:
            given = self._wrong_mask()
            self.marks.previous = torch.from_numpy(given.astype(np.float32))
            self._correct(given)
        elif kind < 0.22:
            self._area(self._object, self.marks.positive_areas)
            if self._rng.random() < 0.5:
                self._click(self._object, True)
        elif kind < 0.32:
            self._stroke(self._object, self.marks.positive_strokes)
            outside = self._known & ~ndimage.binary_dilation(self._object, iterations=3)
            if self._rng.random() < 0.7 and outside.any():
                self._stroke(outside & ndimage.binary_dilation(self._object, iterations=8), self.marks.negative_strokes)
        else:
            self._click(self._object, True, anywhere=kind > 0.85)

    def _correct(self, given: BoolArray) -> None:
        wrong = (given != self._object) & self._known
        labelled, _ = ndimage.label(wrong)
        sizes = np.bincount(labelled.ravel())[1:]
        if len(sizes) == 0:
            return
        odd = self._rng.random() < 0.15
        chosen = 1 + int(self._rng.choice(len(sizes), p=sizes / sizes.sum()) if odd else np.argmax(sizes))
        error = labelled == chosen
        missed = bool(self._object[error][0])
        kind = self._rng.random()
        marks = self.marks
        if kind < 0.86:
            self._click(error, missed, anywhere=odd)
        elif kind < 0.96:
            self._stroke(error, marks.positive_strokes if missed else marks.negative_strokes)
        else:
            self._area(error, marks.positive_areas if missed else marks.negative_areas)

    def _click(self, region: BoolArray, positive: bool, *, anywhere: bool = False) -> None:
        box = ndimage.find_objects(region.astype(np.uint8))[0]
        depth = ndimage.distance_transform_edt(np.pad(region[box], 1))[1:-1, 1:-1, 1:-1]
        good = np.argwhere(depth >= (0.3 if anywhere else 1.0) * depth.max())
        at = good[self._rng.integers(len(good))] + [part.start for part in box]
        add_point(self.marks.positive_points if positive else self.marks.negative_points, at.tolist())
        for older in (self.marks.negative_points if positive else self.marks.positive_points, self.marks.positive_strokes, self.marks.negative_strokes):
            older *= FADE

    def _stroke(self, region: BoolArray, strokes: Tensor) -> None:
        """A wandering line within the region, in the slice where it is widest."""
        for older in (self.marks.positive_points, self.marks.negative_points, self.marks.positive_strokes, self.marks.negative_strokes):
            older *= FADE
        axis = int(self._rng.integers(3))
        flat = np.moveaxis(region, axis, 0)
        plane = int(np.argmax(flat.sum(axis=(1, 2))))
        depth = ndimage.distance_transform_edt(np.pad(flat[plane], 1))[1:-1, 1:-1]
        inner = depth >= min(2.0, 0.6 * depth.max())
        spots = np.argwhere(inner)
        at = spots[self._rng.integers(len(spots))].astype(float)
        heading = self._rng.uniform(0, 2 * np.pi)
        view = np.moveaxis(strokes.numpy(), axis, 0)[plane]
        for _ in range(STROKE):
            row, column = np.round(at).astype(int)
            if not (0 <= row < inner.shape[0] and 0 <= column < inner.shape[1] and inner[row, column]):
                break
            view[row, column] = 1
            heading += self._rng.normal(0, 0.3)
            at += np.sin(heading), np.cos(heading)

    def _area(self, region: BoolArray, areas: Tensor) -> None:
        """A box or a lasso roughly around the region: in three dimensions or in the slice where it is widest."""
        box = ndimage.find_objects(region.astype(np.uint8))[0]
        loose = [max(1.0, self._rng.uniform(0, 0.15) * (part.stop - part.start)) for part in box]
        around = tuple(
            slice(max(0, round(part.start - self._rng.uniform(0, 1) * by)), max(part.start + 1, round(part.stop + self._rng.uniform(0, 1) * by)))
            for part, by in zip(box, loose, strict=True)
        )
        drawn = np.zeros_like(region)
        if self._rng.random() < 0.4:
            drawn[around] = True
        else:
            axis = int(self._rng.integers(3))
            plane = int(np.argmax(region.sum(axis=tuple(other for other in range(3) if other != axis))))
            flat = np.moveaxis(drawn, axis, 0)
            if self._rng.random() < 0.5:
                rows, columns = (part for other, part in enumerate(around) if other != axis)
                flat[plane, rows, columns] = True
            else:
                flat[plane] = ndimage.binary_dilation(np.moveaxis(region, axis, 0)[plane], iterations=int(self._rng.integers(1, 4)))
        torch.maximum(areas, torch.from_numpy(drawn.astype(np.float32)), out=areas)

    def _wrong_mask(self) -> BoolArray:
        """The object, shifted and with a wavering outline."""
        side = len(self._object)
        shift = self._rng.integers(-4, 5, 3)
        moved = np.roll(self._object, shift, (0, 1, 2))
        level = ndimage.gaussian_filter(moved.astype(np.float32), self._rng.uniform(1, 3))
        waver = self._rng.uniform(0, 0.3) * noise(self._rng, side, int(self._rng.integers(4, 10)))
        made: BoolArray = (level + waver * (level > 0.02) > 0.5) & self._known
        return made
